"""Safetensors files as safetensors itself reads them; broken ones always give an InputError."""

import json
import random

import numpy as np
import pytest
import safetensors
import torch
from safetensors.torch import save_file

from polylect.base import InputError
from polylect.checkpoints import INDEX, list_tensors, read_floats, read_header, read_raw

TENSORS = {
    "a": torch.arange(24, dtype=torch.float32).reshape(2, 3, 4),
    "b": torch.randn(7, 5, generator=torch.Generator().manual_seed(0)).bfloat16(),
    "bool": torch.tensor([True, False, True]),
    "empty": torch.zeros(0, 3, dtype=torch.float16),
    "f8": torch.ones(3, dtype=torch.float8_e4m3fn),
    "ints": torch.tensor([[1, -2], [3, 2**40]]),
    "scalar": torch.tensor(1.5, dtype=torch.float64),
    "größe": torch.tensor([1.0]),
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file(TENSORS, path, metadata={"format": "pt"})
    return path


def with_header(path, header, data=b"\0" * 8):
    """A file with any header, dict or bytes."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def test_reads_what_safetensors_wrote(file):
    infos = read_header(file)
    assert infos.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        info = infos[name]
        assert info.name == name
        assert info.file == file
        assert info.shape == tuple(tensor.shape)
        assert info.num_elements == tensor.numel()
        assert info.end - info.begin == tensor.numel() * tensor.element_size()
        assert bytes(read_raw(info)) == bytes(tensor.reshape(-1).view(torch.uint8).numpy())
        if name != "f8":
            assert np.array_equal(read_floats(info), tensor.float().reshape(-1).numpy())


def test_reads_any_range_of_elements(file):
    info = read_header(file)["b"]
    whole = TENSORS["b"].float().reshape(-1).numpy()
    for start in range(0, 36, 5):
        for stop in range(start, 36, 7):
            assert np.array_equal(read_floats(info, start, stop), whole[start:stop])
    with pytest.raises(AssertionError):
        read_raw(info, 3, 36)


def test_a_truncated_or_removed_file_is_named(file):
    info = read_header(file)["a"]
    data = file.read_bytes()
    file.write_bytes(data[: info.begin + 4])
    with pytest.raises(InputError, match="ends inside tensor 'a'"):
        read_raw(info)
    file.unlink()
    with pytest.raises(InputError, match=r"model\.safetensors: no such file"):
        read_raw(info)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"x": entry("F31")}, "unknown dtype 'F31'.*F32"),
        ({"x": entry(7)}, "unknown dtype 7"),
        ({"x": entry(shape=(3,))}, r"'x': F32 \[3\] takes 12 bytes, the header gives 8"),
        ({"x": entry(shape=(-1,))}, r"bad shape \[-1\]"),
        ({"x": entry(shape=(True, 2))}, "bad shape"),
        ({"x": entry(shape=(2.0,))}, "bad shape"),
        ({"x": entry(shape=(2**62, 4, 0), offsets=(0, 0))}, "bad shape"),
        ({"x": {"dtype": "F32", "shape": 2, "data_offsets": [0, 8]}}, "bad shape 2"),
        ({"x": entry(offsets=(0,))}, "bad data_offsets"),
        ({"x": entry(offsets=(8, 0))}, "takes 8 bytes, the header gives -8"),
        ({"x": entry(offsets=(8, 16))}, "'x' leaves a gap"),
        ({"x": entry(), "y": entry(offsets=(4, 12))}, "'y' overlaps"),
        ({"x": entry(), "y": entry(offsets=(8, 16))}, "'y' ends at byte"),
        ({"x": entry(shape=(1,), offsets=(0, 4))}, "4 bytes belong to no tensor"),
        ({}, "8 bytes belong to no tensor"),
        ({"x": {**entry(), "more": 1}}, "needs dtype, shape and data_offsets"),
        ({"x": 3}, "needs dtype"),
        ({"__metadata__": {"a": 1}, "x": entry()}, "not a map of text to text"),
        ({"__metadata__": None, "x": entry()}, "not a map of text to text"),
        ([1], "not a safetensors header"),
        (b'{"x":' + json.dumps(entry()).encode() * 2 + b"}", "not JSON"),
        (b'{"x":1,"x":2}', "'x' is listed twice"),
        (b'{"x":NaN}', "not JSON"),
        (b'{"x":' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"x":' + b"[" * 100_000, "not JSON"),
        (b'{"\xff":1}', "not JSON"),
        ('{"x":1}'.encode("utf-16-le"), "not JSON"),
        (json.dumps({"\ud800": entry()}).encode(), "not valid Unicode"),
        (b"", "not a safetensors header"),
    ],
)
def test_broken_headers_are_refused(tmp_path, header, message):
    path = with_header(tmp_path / "model.safetensors", header)
    with pytest.raises(InputError, match=message) as caught:
        read_header(path)
    assert str(path) in caught.value.message
    assert caught.value.hint
    assert "\n" not in str(caught.value)


def test_header_lengths_are_checked_against_the_file_size(tmp_path):
    path = tmp_path / "model.safetensors"
    for data, message in [
        (b"", "0 bytes, too short"),
        (b"1234567", "7 bytes, too short"),
        ((100).to_bytes(8, "little") + b"{}", "a header of 100 bytes in a file of 10"),
        (b"\xff" * 16, "not safetensors"),
        (b"<html><body>Not found</body></html>", "not safetensors"),
    ]:
        path.write_bytes(data)
        with pytest.raises(InputError, match=message):
            read_header(path)


def test_a_missing_file_or_a_folder_in_its_place_is_named(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_header(tmp_path / "none.safetensors")
    with pytest.raises(InputError, match="folder"):
        read_header(tmp_path)


def test_a_file_truncated_anywhere_is_refused(file):
    data = file.read_bytes()
    for length in range(0, len(data)):
        file.write_bytes(data[:length])
        with pytest.raises(InputError):
            read_header(file)
    file.write_bytes(data + b"\0")
    with pytest.raises(InputError, match="1 bytes belong to no tensor"):
        read_header(file)


def read_all(path):
    """Every tensor we accept, safetensors accepts as well, with the same bytes."""
    expected = dict(safetensors.deserialize(path.read_bytes()))
    for name, info in read_header(path).items():
        assert expected[name]["dtype"] == info.dtype
        assert expected[name]["shape"] == list(info.shape)
        assert bytes(expected[name]["data"]) == bytes(read_raw(info))
        if not info.dtype.startswith("F8"):
            assert read_floats(info).size == info.num_elements


def test_flipped_header_bytes_are_errors_or_correct_reads(file):
    data = file.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    draw = random.Random(0)
    messages = []
    for number in range(1500):
        broken = bytearray(data)
        for _ in range(draw.choice([1, 1, 2, 8])):
            place = number % end if draw.random() < 0.5 else draw.randrange(end)
            broken[place] = draw.choice([broken[place] ^ (1 << draw.randrange(8)), *b'0"{}[],:9-'])
        file.write_bytes(broken)
        try:
            read_header(file)
        except InputError as error:
            messages.append(str(error))
        else:
            read_all(file)
    assert 600 < len(messages) < 1500
    assert not any("\n" in message for message in messages)


@pytest.fixture
def sharded(tmp_path):
    names = ["a", "b", "ints"]
    shards = {name: f"model-{n:05}-of-00003.safetensors" for n, name in enumerate(names, 1)}
    for name, shard in shards.items():
        save_file({name: TENSORS[name]}, tmp_path / shard)
    (tmp_path / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": shards}))
    return tmp_path


def edit_index(folder, change):
    listing = json.loads((folder / INDEX).read_text())
    change(listing["weight_map"])
    (folder / INDEX).write_text(json.dumps(listing))


def test_tensors_of_all_shards_are_sorted_by_name(sharded):
    tensors = list_tensors(sharded)
    assert list(tensors) == ["a", "b", "ints"]
    assert tensors["b"].file.name == "model-00002-of-00003.safetensors"


def test_index_and_shards_must_agree(sharded):
    def expect(message):
        with pytest.raises(InputError, match=message):
            list_tensors(sharded)

    text = (sharded / INDEX).read_text()
    edit_index(
        sharded, lambda weight_map: weight_map.update(more="model-00001-of-00003.safetensors")
    )
    expect("model-00001-of-00003.safetensors: tensor 'more' is missing")
    (sharded / INDEX).write_text(text)
    edit_index(sharded, lambda weight_map: weight_map.update(a=weight_map["b"]))
    expect("model-00002-of-00003.safetensors: tensor 'a' is missing")
    (sharded / INDEX).write_text(text.replace('"ints"', '"a"'))
    expect("'a' is listed twice")
    (sharded / INDEX).write_text(text)
    edit_index(sharded, lambda weight_map: weight_map.update(a="../model.safetensors"))
    expect("shard '../model.safetensors' is not in")
    (sharded / INDEX).write_text("[]")
    expect("no weight_map")
    (sharded / INDEX).write_text("{")
    expect("not JSON")
    (sharded / INDEX).write_text(text)
    save_file({"b": TENSORS["b"], "a": TENSORS["a"]}, sharded / "model-00002-of-00003.safetensors")
    expect("tensor 'a' is listed twice, also in model-00001")
    save_file({"b": TENSORS["b"], "c": TENSORS["a"]}, sharded / "model-00002-of-00003.safetensors")
    expect(r"tensor 'c' is not in model\.safetensors\.index\.json")
    (sharded / "model-00002-of-00003.safetensors").unlink()
    expect("shard 'model-00002-of-00003.safetensors' is not in")


def test_two_kinds_of_weights_are_ambiguous(sharded):
    save_file(TENSORS, sharded / "model.safetensors")
    with pytest.raises(InputError, match="both") as caught:
        list_tensors(sharded)
    assert "stale" in caught.value.hint


def test_folders_without_safetensors_weights_are_refused_with_a_hint(tmp_path):
    with pytest.raises(InputError, match=r"no model\.safetensors"):
        list_tensors(tmp_path)
    (tmp_path / "adapter_model.safetensors").touch()
    with pytest.raises(InputError, match="adapter"):
        list_tensors(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(InputError, match="pickled") as caught:
        list_tensors(tmp_path)
    assert "save_pretrained" in caught.value.hint


def test_a_tensor_far_into_a_large_file_is_read(tmp_path):
    # The file is a hole of 6 GB; nothing of it lies on the disk but the header and the last bytes.
    far = 6_000_000_000
    header = {
        "large": {"dtype": "U8", "shape": [far], "data_offsets": [0, far]},
        "last": {"dtype": "F32", "shape": [2], "data_offsets": [far, far + 8]},
    }
    path = with_header(tmp_path / "model.safetensors", header, data=b"")
    begin = path.stat().st_size
    with open(path, "r+b") as file:
        file.truncate(begin + far + 8)
        file.seek(begin + far)
        file.write(np.array([1.5, -2.0], "<f4").tobytes())
    infos = read_header(path)
    assert infos["last"].begin == begin + far
    assert read_floats(infos["last"]).tolist() == [1.5, -2.0]
