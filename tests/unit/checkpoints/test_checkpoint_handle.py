"""The handle, its digest of content, seals and what they notice."""

import json
import os
import pickle
import subprocess
import sys
from dataclasses import FrozenInstanceError

import pytest
import torch
from safetensors.torch import load_file, save_file

from polylect.base import InputError
from polylect.checkpoints import INDEX, LINEAGE, Checkpoint, Lineage, Parent, seal

CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 8}
LINEAGE_OF_TEST = Lineage(
    method="dpo",
    settings={"rate": 1e-5, "seeds": [1, 2], "note": "größe"},
    parents=(Parent(label="base", digest="0" * 64, license="MIT"),),
    license="MIT",
)


def tensors():
    generator = torch.Generator().manual_seed(0)
    return {
        "w": torch.randn(4, 8, generator=generator),
        "v": torch.randn(8, generator=generator).bfloat16(),
        "n": torch.tensor([3, 1]),
    }


def make(folder, *, config=None, shards=(("w", "v", "n"),), tokenizer="{}", change=None):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config or CONFIG))
    if tokenizer is not None:
        (folder / "tokenizer.json").write_text(tokenizer)
    stored = tensors() | (change or {})
    if len(shards) == 1:
        save_file(stored, folder / "model.safetensors")
        return folder
    weight_map = {}
    for number, names in enumerate(shards):
        save_file({name: stored[name] for name in names}, folder / f"s{number}.safetensors")
        weight_map |= dict.fromkeys(names, f"s{number}.safetensors")
    (folder / INDEX).write_text(json.dumps({"weight_map": weight_map}))
    return folder


def test_open_reads_config_headers_and_tokenizer(tmp_path):
    checkpoint = Checkpoint.open(str(make(tmp_path / "m")))
    assert checkpoint.path == tmp_path / "m"
    assert checkpoint.config == CONFIG
    assert list(checkpoint.tensors) == ["n", "v", "w"]
    assert checkpoint.num_parameters == 32 + 8 + 2
    assert len(checkpoint.tokenizer_digest) == 64
    assert checkpoint.lineage is None
    assert checkpoint.license == ""
    assert checkpoint == Checkpoint.open(tmp_path / "m")
    assert hash(checkpoint) == hash(Checkpoint.open(tmp_path / "m"))
    with pytest.raises(FrozenInstanceError):
        checkpoint.path = tmp_path
    assert pickle.loads(pickle.dumps(checkpoint)).digest == checkpoint.digest


def test_content_digest_does_not_depend_on_shards_paths_or_their_names(tmp_path):
    whole = Checkpoint.open(make(tmp_path / "one"))
    three = make(
        tmp_path / "deep" / "three",
        shards=[("v",), ("n", "w")],
        config={**CONFIG, "_name_or_path": "/home/me", "transformers_version": "9"},
    )
    assert Checkpoint.open(three).digest == whole.digest
    assert seal(three, LINEAGE_OF_TEST).digest == whole.digest
    assert len(whole.digest) == 64
    assert Checkpoint.open(tmp_path / "one").digest == whole.digest


@pytest.mark.parametrize(
    "options",
    [
        {"config": {**CONFIG, "hidden_size": 9}},
        {"config": {**CONFIG, "eps": float("inf")}},
        {"tokenizer": "{ }"},
        {"tokenizer": None},
        {"change": {"w": tensors()["w"] + 1}},
        {"change": {"w": tensors()["w"].reshape(8, 4)}},
        {"change": {"n": tensors()["n"].view(torch.float64)}},
        {"change": {"n": tensors()["n"] * 0}},
    ],
)
def test_content_digest_notices_every_change(tmp_path, options):
    plain = Checkpoint.open(make(tmp_path / "plain"))
    assert Checkpoint.open(make(tmp_path / "other", **options)).digest != plain.digest


def test_content_digest_is_computed_once_and_for_an_instance(tmp_path):
    folder = make(tmp_path / "m")
    checkpoint = Checkpoint.open(folder)
    before = checkpoint.digest
    save_file({**tensors(), "v": torch.zeros(8).bfloat16()}, folder / "model.safetensors")
    assert checkpoint.digest == before
    assert Checkpoint.open(folder).digest != before


def test_every_tokenizer_file_counts_and_no_other(tmp_path):
    folder = make(tmp_path / "m", tokenizer=None)
    assert Checkpoint.open(folder).tokenizer_digest == ""
    seen = {""}
    for name in [
        "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "tokenizer.model",
        "vocab.json", "merges.txt", "added_tokens.json",
    ]:  # fmt: skip
        (folder / name).write_text(name)
        seen.add(Checkpoint.open(folder).tokenizer_digest)
    assert len(seen) == 8
    (folder / "README.md").write_text("text")
    assert Checkpoint.open(folder).tokenizer_digest in seen


def test_a_sealed_checkpoint_verifies(tmp_path):
    folder = make(tmp_path / "m", shards=[("v",), ("n", "w")])
    with pytest.raises(InputError, match=r"no polylect\.json"):
        Checkpoint.open(folder).verify()
    sealed = seal(folder, LINEAGE_OF_TEST)
    assert sealed.lineage == LINEAGE_OF_TEST
    assert sealed.license == "MIT"
    sealed.verify()
    (folder / "README.md").write_text("anything may lie beside")
    Checkpoint.open(folder).verify()
    stored = json.loads((folder / LINEAGE).read_text(encoding="utf-8"))
    assert sorted(stored["files"]) == [
        "config.json", INDEX, "s0.safetensors", "s1.safetensors", "tokenizer.json",
    ]  # fmt: skip
    assert seal(folder, LINEAGE_OF_TEST).lineage == LINEAGE_OF_TEST


def test_seal_does_not_read_files_whose_digests_are_known(tmp_path):
    folder = make(tmp_path / "m")
    seal(folder, LINEAGE_OF_TEST, digests={"model.safetensors": "f" * 64})
    with pytest.raises(InputError, match=r"model\.safetensors: was changed.*sealed ffffffffffff"):
        Checkpoint.open(folder).verify()


def test_verify_names_the_first_file_that_differs(tmp_path):
    folder = make(tmp_path / "m", shards=[("v",), ("n", "w")])
    seal(folder, LINEAGE_OF_TEST)

    def expect(message):
        with pytest.raises(InputError, match=message):
            Checkpoint.open(folder).verify()

    last = (folder / "s1.safetensors").read_bytes()
    (folder / "s1.safetensors").write_bytes(last[:-1] + bytes([last[-1] ^ 1]))
    expect(r"s1\.safetensors: was changed")
    (folder / "s0.safetensors").write_bytes((folder / "s0.safetensors").read_bytes()[:-1] + b"x")
    expect(r"s0\.safetensors: was changed")
    (folder / "chat_template.jinja").write_text("{{ x }}")
    expect(r"chat_template\.jinja: was not there")
    (folder / "chat_template.jinja").unlink()
    seal(folder, LINEAGE_OF_TEST)
    (folder / "tokenizer.json").unlink()
    expect(r"tokenizer\.json: is missing")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "polylect.json"),
        ('{"version": 1, "lineage": {"method": "x"}, "file": {}}', "'file' .did you mean files"),
        ('{"version": 1, "lineage": {"method": 3}, "files": {}}', "'lineage.method' is 3"),
        ('{"version": 2, "lineage": {"method": "x"}, "files": {}}', "version 2"),
        ('{"version": 1, "version": 1, "lineage": {"method": "x"}, "files": {}}', "listed twice"),
    ],
)
def test_a_broken_lineage_is_refused(tmp_path, text, message):
    folder = make(tmp_path / "m")
    (folder / LINEAGE).write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        Checkpoint.open(folder)
    assert LINEAGE in caught.value.message


def test_folders_that_are_not_checkpoints_are_refused(tmp_path):
    def expect(path, message, hint=""):
        with pytest.raises(InputError, match=message) as caught:
            Checkpoint.open(path)
        assert hint in caught.value.hint

    expect(tmp_path / "none", "none: no such folder", "check the path")
    expect("CohereLabs/aya-23-8B", "no such folder", "hf download CohereLabs/aya-23-8B")
    (tmp_path / "empty").mkdir()
    expect(tmp_path / "empty", r"no config\.json", "save_pretrained")
    (tmp_path / "empty" / "config.json").write_text("[1]")
    expect(tmp_path / "empty", r"config\.json: not a JSON object")
    (tmp_path / "empty" / "config.json").write_text('{"a": 1,}')
    expect(tmp_path / "empty", r"config\.json: not JSON")
    (tmp_path / "empty" / "config.json").write_text("{}")
    expect(tmp_path / "empty", r"no model\.safetensors")
    (tmp_path / "empty" / "pytorch_model.bin").write_bytes(b"")
    expect(tmp_path / "empty", "pickled weights only", "convert them")
    expect(tmp_path / "empty" / "config.json", "no such folder", "check the path")


def test_infinity_in_a_config_is_read(tmp_path):
    folder = make(tmp_path / "m", config={**CONFIG, "limit": [0.0, float("inf")]})
    assert Checkpoint.open(folder).config["limit"][1] == float("inf")
    assert len(Checkpoint.open(folder).digest) == 64


def test_shards_may_be_symlinks_as_in_the_hub_cache(tmp_path):
    folder = make(tmp_path / "m")
    os.rename(folder / "model.safetensors", tmp_path / "blob")
    (folder / "model.safetensors").symlink_to(tmp_path / "blob")
    assert Checkpoint.open(folder).num_parameters == sum(
        tensor.numel() for tensor in load_file(tmp_path / "blob").values()
    )


def test_opening_a_checkpoint_imports_no_torch():
    code = "import sys, polylect.checkpoints, polylect.merging; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"torch", "transformers", "safetensors"}.isdisjoint(done.stdout.split())


def test_the_chat_template_is_content_and_not_part_of_the_tokenizer(tmp_path):
    folder = make(tmp_path / "m", tokenizer=None)
    (folder / "tokenizer_config.json").write_text('{"eos_token": "</s>"}')
    bare = Checkpoint.open(folder)
    digests, contents = {bare.tokenizer_digest}, {bare.digest}
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    beside = Checkpoint.open(folder)
    (folder / "chat_template.jinja").unlink()
    (folder / "tokenizer_config.json").write_text('{"chat_template": "x", "eos_token": "</s>"}')
    within = Checkpoint.open(folder)
    digests |= {beside.tokenizer_digest, within.tokenizer_digest}
    contents |= {beside.digest, within.digest}
    assert (len(digests), len(contents)) == (1, 3)
