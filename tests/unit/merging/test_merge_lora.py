"""LoRA adapters, held against peft's own merges (tests/golden/peft_adapters.py)."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models

from polylect.base import InputError
from polylect.checkpoints import Checkpoint, ShardWriter, TensorSpec, read_floats, to_bytes
from polylect.cli import main
from polylect.merging import open_models, verify
from polylect.merging.inputs import _split_adapter
from polylect.merging.lora import apply_adapter
from polylect.merging.lora_reading import read_adapter

GOLDEN = Path(__file__).parents[2] / "golden" / "peft_adapters.json"
CASES = json.loads(GOLDEN.read_text())["cases"]


def array(stored):
    raw = base64.b64decode(stored["data"])
    return np.frombuffer(raw, np.float32).reshape(stored["shape"])


def write(folder, tensors, dtype="F32", file="model.safetensors"):
    """A folder of safetensors; the file is renamed for an adapter."""
    folder.mkdir(parents=True, exist_ok=True)
    specs = [TensorSpec(name, dtype, tensor.shape) for name, tensor in sorted(tensors.items())]
    writer = ShardWriter(folder, specs)
    for name, tensor in tensors.items():
        writer.write(name, 0, to_bytes(np.ascontiguousarray(tensor).reshape(-1), dtype))
    writer.finish()
    (folder / "model.safetensors").rename(folder / file)


def base_of(folder, tensors, dtype="F32"):
    write(folder, tensors, dtype)
    (folder / "config.json").write_text('{"model_type": "tiny"}')
    Tokenizer(models.BPE()).save(str(folder / "tokenizer.json"))
    return Checkpoint.open(folder)


def adapter_of(folder, config, tensors, dtype="F32"):
    write(folder, tensors, dtype, "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def base_and_adapter(root, name, dtype="F32"):
    case = CASES[name]
    base = base_of(root / "base", {key: array(value) for key, value in case["base"].items()}, dtype)
    tensors = {key: array(value) for key, value in case["adapter"].items()}
    return base, adapter_of(root / "adapter", case["config"], tensors)


def values(checkpoint):
    return {
        name: read_floats(info).reshape(info.shape) for name, info in checkpoint.tensors.items()
    }


@pytest.mark.parametrize("name", sorted(CASES))
def test_an_applied_adapter_equals_pefts_merge(tmp_path, name):
    base, folder = base_and_adapter(tmp_path, name)
    merged = apply_adapter(base, read_adapter(folder, base), tmp_path / "out")
    actual, plain = values(merged), values(base)
    expected = {key: array(value) for key, value in CASES[name]["merged"].items()}
    assert actual.keys() == expected.keys()
    for key, value in expected.items():
        # peft rounds products and sums to float32 as it goes.
        assert np.allclose(actual[key], value, rtol=2e-6, atol=2e-7), key
    changed = [key for key in actual if not np.array_equal(actual[key], plain[key])]
    assert changed == sorted(
        key for key in expected if not np.array_equal(expected[key], plain[key])
    )
    assert changed
    assert merged.lineage.method == "lora"
    assert [parent.label for parent in merged.lineage.parents] == ["base", "adapter"]


def test_a_bf16_base_is_rounded_once(tmp_path):
    base, folder = base_and_adapter(tmp_path, "plain", "BF16")
    merged = apply_adapter(base, read_adapter(folder, base), tmp_path / "out")
    weight = values(base)["first.weight"].astype(np.float64)
    down, up = (array(CASES["plain"]["adapter"][f"base_model.model.first.lora_{factor}.weight"])
                for factor in "AB")  # fmt: skip
    exact = weight + 5 / 3 * (up.astype(np.float64) @ down.astype(np.float64))
    raw = to_bytes(exact.reshape(-1), "BF16").view(np.uint16)
    actual = to_bytes(values(merged)["first.weight"].reshape(-1), "BF16").view(np.uint16)
    assert np.array_equal(actual, raw)


def test_block_size_does_not_change_the_bytes(tmp_path, monkeypatch):
    base, folder = base_and_adapter(tmp_path, "embedding")
    adapter = read_adapter(folder, base)
    whole = apply_adapter(base, adapter, tmp_path / "whole")
    monkeypatch.setattr("polylect.merging.lora._BLOCK_ELEMENTS", 7)
    parts = apply_adapter(base, adapter, tmp_path / "parts")
    assert whole.digest == parts.digest


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"peft_type": "IA3"}, "of kind 'IA3', only LORA"),
        ({"use_dora": True}, "first has no lora_magnitude_vector"),
        ({"layer_replication": [[0, 2]]}, "replicated layers"),
        ({"init_lora_weights": "pissa_niter_4"}, "'pissa_niter_4', which changed the base"),
        ({"lora_alpha": None}, "no lora_alpha"),
    ],
)
def test_unsupported_adapter_kinds_are_refused(tmp_path, config, words):
    base, folder = base_and_adapter(tmp_path, "plain")
    (folder / "adapter_config.json").write_text(json.dumps(CASES["plain"]["config"] | config))
    with pytest.raises(InputError, match=words):
        read_adapter(folder, base)


def test_an_adapter_of_another_base_is_refused_before_anything_is_written(tmp_path):
    base, _ = base_and_adapter(tmp_path, "plain")
    config = CASES["plain"]["config"]
    pair = {"A": np.ones((2, 6), np.float32), "B": np.ones((8, 2), np.float32)}
    start = "base_model.model."

    def refused(words, tensors):
        folder = adapter_of(tmp_path / f"bad{len(list(tmp_path.iterdir()))}", config, tensors)
        with pytest.raises(InputError, match=words):
            read_adapter(folder, base)

    named = {f"{start}frist.lora_{factor}.weight": pair[factor] for factor in "AB"}
    refused(r"no tensor 'frist\.weight' — did you mean first\.weight\?", named)
    refused("first has no lora_B", {f"{start}first.lora_A.weight": pair["A"]})
    wide = {"A": np.ones((2, 7), np.float32), "B": pair["B"]}
    refused(
        r"lora_A \[2, 7\] and lora_B \[8, 2\] do not make 'first\.weight' of shape \[8, 6\]",
        {f"{start}first.lora_{factor}.weight": wide[factor] for factor in "AB"},
    )
    refused("'base_model.model.x' has no place", {f"{start}x": np.ones(3, np.float32)})
    refused("has shape", {f"{start}first.bias": np.ones(9, np.float32)})
    with pytest.raises(InputError, match=r"no adapter_config\.json"):
        read_adapter(tmp_path / "base", base)


def test_an_adapter_that_is_not_finite_leaves_nothing_behind(tmp_path):
    base, _ = base_and_adapter(tmp_path, "plain")
    pair = {"A": np.full((2, 6), np.inf, np.float32), "B": np.ones((8, 2), np.float32)}
    tensors = {f"base_model.model.first.lora_{factor}.weight": pair[factor] for factor in "AB"}
    folder = adapter_of(tmp_path / "bad", CASES["plain"]["config"], tensors)
    with pytest.raises(InputError, match=r"'first\.weight' gets an element that is not finite"):
        apply_adapter(base, read_adapter(folder, base), tmp_path / "out")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [".out.run", "adapter", "bad", "base"]  # the record says what went wrong


def test_models_and_adapters_are_merged_by_name_and_verified(tmp_path, capsys):
    base, folder = base_and_adapter(tmp_path, "plain")
    named = f"{base.path}+{folder}"
    out = tmp_path / "out"
    command = ["merge", "--models", str(base.path), named, "--weights", "0.25", "0.75"]
    assert main([*command, "--out", str(out), "--dry-run"]) == 0
    assert not out.exists()
    assert not (tmp_path / "out-inputs").exists()
    assert main([*command, "--out", str(out)]) == 0
    actual, plain = values(Checkpoint.open(out)), values(base)
    merged = {key: array(value) for key, value in CASES["plain"]["merged"].items()}
    for key, value in merged.items():
        assert np.allclose(actual[key], 0.25 * plain[key] + 0.75 * value, rtol=1e-5, atol=1e-6)
    assert verify(out).num_inputs > 0
    (tmp_path / "r.yml").write_text(
        "merge_method: linear\nmodels:\n  - {model: base, parameters: {weight: 0.25}}\n"
        "  - {model: base+adapter, parameters: {weight: 0.75}}\n"
    )
    assert main(["merge", str(tmp_path / "r.yml"), "--out", str(tmp_path / "again")]) == 0
    weights = [folder / "model.safetensors" for folder in (out, tmp_path / "again")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    capsys.readouterr()
    assert main(["merge", "--models", str(folder), "--out", str(tmp_path / "x")]) == 2
    assert "an adapter, not a model — give its base too: BASE+" in capsys.readouterr().err


def test_an_applied_adapter_is_reused_and_a_changed_one_is_refused(tmp_path):
    base, folder = base_and_adapter(tmp_path, "plain")
    named = [Path(f"{base.path}+{folder}")]
    (first,) = open_models(named, tmp_path / "kept")
    stamp = (first.path / "model.safetensors").stat().st_mtime_ns
    (again,) = open_models(named, tmp_path / "kept")
    assert (again.path / "model.safetensors").stat().st_mtime_ns == stamp
    config = CASES["plain"]["config"] | {"lora_alpha": 50}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="not empty, and not this lora input — remove it"):
        open_models(named, tmp_path / "kept")


def test_base_and_adapter_of_one_name_are_two_parents(tmp_path):
    base, folder = base_and_adapter(tmp_path, sorted(CASES)[0])
    for path, place in ((base.path, "a"), (folder, "b")):
        (tmp_path / place).mkdir()
        path.rename(tmp_path / place / "final")
    base = Checkpoint.open(tmp_path / "a/final")
    adapter = read_adapter(tmp_path / "b/final", base)
    parents = apply_adapter(base, adapter, tmp_path / "out").lineage.parents
    assert [(p.label, p.digest) for p in parents] == [
        ("final#1", base.digest), ("final#2", adapter.digest),
    ]  # fmt: skip


def test_a_folders_name_may_contain_a_plus(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c++" / "model").mkdir(parents=True)
    assert _split_adapter("c++/model") is None
    assert _split_adapter("c++/model+lora") == (Path("c++/model"), Path("lora"))
    assert _split_adapter("nowhere+lora") == (Path("nowhere"), Path("lora"))
    assert _split_adapter("nowhere") is None


def test_what_cannot_be_merged_is_refused_before_an_adapter_is_written(tmp_path, capsys):
    base, adapter = base_and_adapter(tmp_path, "plain" if "plain" in CASES else next(iter(CASES)))
    other = {
        name: np.zeros((*info.shape[:-1], info.shape[-1] + 1), np.float32)
        for name, info in base.tensors.items()
    }
    base_of(tmp_path / "other", other)
    before = sorted(tmp_path.rglob("*"))
    models = [f"{base.path}+{adapter}", str(tmp_path / "other")]
    assert main(["merge", "--models", *models, "--out", str(tmp_path / "out")]) == 2
    assert "has shape" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before
    assert main(["merge", "--models", *models, "--method", "ties",
                 "--out", str(tmp_path / "out")]) == 2  # fmt: skip
    assert sorted(tmp_path.rglob("*")) == before
