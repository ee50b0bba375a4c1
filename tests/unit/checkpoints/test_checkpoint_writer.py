"""What the writer writes, safetensors reads; with one shard it is the same file byte for byte."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from polylect.base import StorageError, digest_file
from polylect.checkpoints import INDEX, WEIGHTS, ShardWriter, TensorSpec, list_tensors

NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
}
GENERATOR = torch.Generator().manual_seed(0)
TENSORS = {
    f"{name}.{number}": torch.randint(0, 2, shape, generator=GENERATOR).to(dtype)
    for dtype, name in NAMES.items()
    for number, shape in enumerate([(5, 3), (), (0, 4), (2, 1, 7)])
} | {"größe": torch.ones(3), 'quote"d': torch.ones(1)}


def raw_of(tensor):
    return tensor.reshape(-1).view(torch.uint8).numpy()


def specs_of(tensors):
    return [
        TensorSpec(name, NAMES[tensor.dtype], tuple(tensor.shape))
        for name, tensor in tensors.items()
    ]


def write(folder, tensors, **options):
    writer = ShardWriter(folder, specs_of(tensors), **options)
    for name, tensor in tensors.items():
        writer.write(name, 0, raw_of(tensor))
    return writer.finish()


def equal(tensors, other):
    return tensors.keys() == other.keys() and all(
        tensors[name].dtype == other[name].dtype
        and tensors[name].shape == other[name].shape
        and np.array_equal(raw_of(tensors[name]), raw_of(other[name]))
        for name in tensors
    )


def test_one_shard_is_the_file_that_safetensors_writes(tmp_path):
    ordered = dict(sorted(TENSORS.items()))
    digests = write(tmp_path, ordered)
    save_file(ordered, tmp_path / "theirs", metadata={"format": "pt"})
    assert (tmp_path / WEIGHTS).read_bytes() == (tmp_path / "theirs").read_bytes()
    assert digests == {WEIGHTS: digest_file(tmp_path / "theirs")}


@pytest.mark.parametrize("max_shard_bytes", [1, 40, 200])
def test_shards_and_index_are_read_by_safetensors(tmp_path, max_shard_bytes):
    digests = write(tmp_path, TENSORS, max_shard_bytes=max_shard_bytes)
    listing = json.loads((tmp_path / INDEX).read_text(encoding="utf-8"))
    loaded = {}
    for path in sorted(tmp_path.glob("*.safetensors")):
        shard = load_file(path)
        size = sum(tensor.numel() * tensor.element_size() for tensor in shard.values())
        assert size <= max_shard_bytes or len(shard) == 1
        assert {listing["weight_map"][name] for name in shard} == {path.name}
        loaded |= shard
    assert equal(loaded, TENSORS)
    assert listing["metadata"]["total_size"] == sum(
        tensor.numel() * tensor.element_size() for tensor in TENSORS.values()
    )
    assert digests == {path.name: digest_file(path) for path in tmp_path.iterdir()}
    assert list(list_tensors(tmp_path)) == sorted(TENSORS)


def test_blocks_may_be_written_in_any_order_by_several_threads(tmp_path):
    values = torch.arange(10_000, dtype=torch.int16)
    writer = ShardWriter(tmp_path, [TensorSpec("x", "I16", (100, 100))])
    starts = np.random.default_rng(0).permutation(np.arange(0, 10_000, 70))
    barrier = threading.Barrier(4)

    def fill(part):
        barrier.wait()
        for start in part:
            writer.write("x", int(start), raw_of(values[start : start + 70]))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(fill, np.array_split(starts, 4)))
    writer.finish()
    assert torch.equal(load_file(tmp_path / WEIGHTS)["x"].reshape(-1), values)


def test_a_checkpoint_without_tensors_can_be_written(tmp_path):
    write(tmp_path, {})
    assert load_file(tmp_path / WEIGHTS) == {}


def test_misuse_of_the_writer_is_an_assertion(tmp_path):
    spec = TensorSpec("x", "F32", (3,))
    with pytest.raises(AssertionError, match="given twice"):
        ShardWriter(tmp_path, [spec, spec])
    with pytest.raises(AssertionError, match="max_shard_bytes"):
        ShardWriter(tmp_path, [spec], max_shard_bytes=0)
    writer = ShardWriter(tmp_path, [spec])
    for start, num_bytes, message in [(0, 16, "past its end"), (-1, 4, "begins"), (0, 3, "whole")]:
        with pytest.raises(AssertionError, match=message):
            writer.write("x", start, np.zeros(num_bytes, np.uint8))
    writer.write("x", 0, np.zeros(8, np.uint8))
    with pytest.raises(AssertionError, match="4 bytes were never written"):
        writer.finish()
    with pytest.raises(AssertionError, match="written twice"):
        writer.write("x", 0, np.zeros(8, np.uint8))


def test_a_folder_that_cannot_be_written_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError, match="none"):
        ShardWriter(tmp_path / "none", [TensorSpec("x", "F32", (3,))])
    writer = ShardWriter(tmp_path, [TensorSpec("x", "F32", (3,))])
    (tmp_path / WEIGHTS).unlink()
    with pytest.raises(StorageError, match=WEIGHTS):
        writer.write("x", 0, np.zeros(12, np.uint8))
