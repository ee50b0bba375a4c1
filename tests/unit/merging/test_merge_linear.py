"""Linear merges against a float64 reference, what is refused, and what is left behind."""

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from polylect.base import InputError, StorageError
from polylect.checkpoints import INDEX, Checkpoint, Lineage, Parent, seal
from polylect.merging import LinearConfig, merge_linear

CONFIG = {"architectures": ["TinyForCausalLM"], "model_type": "tiny", "dtype": "float32"}
WORDS, OTHERS = (Tokenizer(WordLevel({word: 0}, word)).to_str() for word in "ab")


def tensors(seed, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return {
        "scalar": torch.randn((), generator=generator).to(dtype),
        "w": torch.randn(20, 30, generator=generator).to(dtype),
        "empty": torch.zeros(0, 4, dtype=dtype),
        "ids": torch.tensor([1, 2, 3]),
    }


def make(folder, stored, *, config=None, files=None):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config or CONFIG))
    for name, text in ({"tokenizer.json": WORDS} | (files or {})).items():
        (folder / name).write_text(text)
    save_file(stored, folder / "model.safetensors")
    return Checkpoint.open(folder)


@pytest.fixture
def models(tmp_path):
    return [make(tmp_path / f"m{seed}", tensors(seed)) for seed in range(3)]


def stored_in(folder):
    stored = {}
    for path in folder.glob("*.safetensors"):
        stored |= load_file(path)
    return stored


def refuse(message, models, weights=None, out="out", **options):
    """The merge is refused, in one line, with a next step, and nothing but its record is left."""
    parent = models[0].path.parent if models else Path()
    before = {f".{out}.run", *os.listdir(parent)}
    place = (parent / out) if models else out
    with pytest.raises(InputError, match=message) as caught:
        merge_linear(models, weights, place, **options)
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    assert {f".{out}.run", *os.listdir(parent)} == before


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("normalize", [True, False])
def test_the_weighted_sum_of_float64_rounded_once(tmp_path, dtype, normalize):
    weights = [0.4, 0.3, -0.5]
    inputs = [tensors(seed, dtype) for seed in range(3)]
    models = [make(tmp_path / f"m{n}", tensors_) for n, tensors_ in enumerate(inputs)]
    merge_linear(models, weights, tmp_path / "out", normalize=normalize)
    merged = load_file(tmp_path / "out" / "model.safetensors")
    assert merged.keys() == inputs[0].keys()
    for name in ["scalar", "w", "empty"]:
        exact = sum(
            tensors_[name].double() * weight
            for tensors_, weight in zip(inputs, weights, strict=True)
        )
        exact = exact / sum(weights) if normalize else exact
        assert merged[name].dtype == dtype
        assert merged[name].shape == inputs[0][name].shape
        # Half a step of the result, and what sums in float32 lose where they cancel.
        size = torch.stack([tensors_[name].double().abs() for tensors_ in inputs]).sum(0)
        slack = (1e-14 if dtype == torch.float64 else 1e-6) * size
        allowed = exact.abs() * torch.finfo(dtype).eps / 2 + slack
        assert bool(((merged[name].double() - exact).abs() <= allowed).all())
    assert torch.equal(merged["ids"], inputs[0]["ids"])


def test_weights_are_normalized_by_default(tmp_path):
    models = [make(tmp_path / f"m{n}", {"x": torch.tensor([float(n)])}) for n in (1, 2)]
    values = {
        "none": merge_linear(models, None, tmp_path / "none"),
        "shares": merge_linear(models, [1, 3], tmp_path / "shares"),
        "sums": merge_linear(models, [1, 3], tmp_path / "sums", normalize=False),
        "zero": merge_linear(models, [0, 0], tmp_path / "zero", normalize=False),
        "one": merge_linear(models[:1], [5], tmp_path / "one"),
        "mirror": merge_linear(models, [-1, 2], tmp_path / "mirror"),
    }
    results = {
        name: float(stored_in(result.checkpoint.path)["x"]) for name, result in values.items()
    }
    assert results == {"none": 1.5, "shares": 1.75, "sums": 7, "zero": 0, "one": 1, "mirror": 3}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_same_bytes_for_threads_blocks_and_shards(tmp_path, dtype):
    weights = [0.4, 0.35, 0.25]
    inputs = [tensors(seed, dtype) for seed in range(3)]
    models = [make(tmp_path / f"m{n}", tensors_) for n, tensors_ in enumerate(inputs)]
    cut = []
    for number, tensors_ in enumerate(inputs):
        folder = tmp_path / f"cut{number}"
        make(folder, tensors_)
        (folder / "model.safetensors").unlink()
        weight_map = {name: f"{place % 2}.safetensors" for place, name in enumerate(tensors_)}
        for shard in set(weight_map.values()):
            part = {name: tensors_[name] for name in tensors_ if weight_map[name] == shard}
            save_file(part, folder / shard)
        (folder / INDEX).write_text(json.dumps({"weight_map": weight_map}))
        cut.append(Checkpoint.open(folder))
    expected = merge_linear(models, weights, tmp_path / "expected").checkpoint
    file = (expected.path / "model.safetensors").read_bytes()
    for number, (inputs_used, options) in enumerate(
        [
            (models, {"num_threads": 1, "block_elems": 1}),
            (models, {"num_threads": 5, "block_elems": 14}),
            (cut, {"num_threads": 3, "block_elems": 2**18}),
        ]
    ):
        out = tmp_path / f"out{number}"
        merged = merge_linear(inputs_used, weights, out, **options).checkpoint
        assert (out / "model.safetensors").read_bytes() == file
        assert merged.digest == expected.digest
    split = merge_linear(cut, weights, tmp_path / "split", max_shard_bytes=100).checkpoint
    assert len(list(split.path.glob("*.safetensors"))) > 1
    assert split.digest == expected.digest


def test_lineage_names_parents_weights_and_license(tmp_path):
    models = [make(tmp_path / name / "final", tensors(n)) for n, name in enumerate("ab")]
    for model, license in zip(models, ["MIT", "Apache-2.0"], strict=True):
        seal(model.path, Lineage(method="sft", license=license))
    models = [Checkpoint.open(model.path) for model in models]
    result = merge_linear(models, [1, 3], tmp_path / "out")
    result.checkpoint.verify()
    assert result.checkpoint == Checkpoint.open(tmp_path / "out")
    assert result.checkpoint.lineage == Lineage(
        method="linear",
        settings={
            "options": {"normalize": True},
            "model_options": {"final#1": {"weight": 1.0}, "final#2": {"weight": 3.0}},
            "base": None,
            "out_dtype": None,
            "seed": 0,
            "parity": False,
        },
        parents=(
            Parent(label="final#1", digest=models[0].digest, license="MIT"),
            Parent(label="final#2", digest=models[1].digest, license="Apache-2.0"),
        ),
        license="Apache-2.0 AND MIT",
    )
    named = merge_linear(models, None, tmp_path / "named", labels=["de", "fr"]).checkpoint.lineage
    assert [parent.label for parent in named.parents] == ["de", "fr"]
    assert not result.ledger


def test_companion_files_are_copied_and_differences_counted(tmp_path):
    files = {"generation_config.json": '{"top_p": 1}', "chat_template.jinja": "{{ x }}"}
    other = {**files, "generation_config.json": '{"top_p": 0.9, "transformers_version": "5"}'}
    same = {**files, "generation_config.json": '{"top_p": 1, "transformers_version": "5"}'}
    config = {**CONFIG, "dropout": 0.1, "_name_or_path": "x", "init_std": float("inf")}
    models = [
        make(tmp_path / "a", tensors(0), files={**files, "README.md": "mine"}),
        make(tmp_path / "b", tensors(1), files=other, config=config),
        make(tmp_path / "c", tensors(2), files=same),
    ]
    result = merge_linear(models, None, tmp_path / "out")
    for name in ["config.json", "tokenizer.json", "README.md", *files]:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "a" / name).read_bytes()
    assert list(result.ledger.rows()) == [
        ("differs: dropout in config.json, taken from a", "b", 1),
        ("differs: init_std in config.json, taken from a", "b", 1),
        ("differs: top_p in generation_config.json, taken from a", "b", 1),
    ]


def test_out_dtype_settles_dtypes_and_is_written_to_the_config(tmp_path):
    parts = {"text_config": {"dtype": "float16", "layers": 1}}
    config = {**CONFIG, **parts, "dtype": "float16"}
    inputs = [tensors(0, torch.float16), tensors(1, torch.float32)]
    models = [
        make(tmp_path / f"m{n}", tensors_, config=config) for n, tensors_ in enumerate(inputs)
    ]
    refuse(r"m1: tensor 'empty' is F32, in m0 F16.*--out-dtype BF16", models)
    merged = merge_linear(models, None, tmp_path / "out", out_dtype="BF16").checkpoint
    assert {info.dtype for info in merged.tensors.values()} == {"BF16", "I64"}
    assert merged.config["dtype"] == merged.config["text_config"]["dtype"] == "bfloat16"
    expected = ((inputs[0]["w"].float() + inputs[1]["w"]) / 2).bfloat16()
    assert torch.equal(stored_in(merged.path)["w"], expected)


@pytest.mark.parametrize(
    ("weights", "options", "message"),
    [
        ([1, 2], {}, "2 weights for 3 models"),
        ([1, float("nan"), 1], {}, "weight 2 is nan"),
        ([1, 1, float("inf")], {}, "weight 3 is inf"),
        ([1, float("nan"), 1], {"normalize": False}, "weight 2 is nan"),
        ([1, -2, 1], {}, "weights 1, -2, 1 sum to 0"),
        ([0.1, 0.2, -0.3], {}, "weights 0.1, 0.2, -0.3 sum to"),
        ([0, 0, 0], {}, "sum to 0"),
        ([1e30, 1, 1], {}, r"of the order of 1e\+30"),
        ([1e-30, 0, 0], {}, "of the order of 1e-30"),
        (None, {"out_dtype": "bfloat15"}, "out_dtype is 'bfloat15'.*BF16"),
        (None, {"num_threads": 0}, "num_threads is 0"),
        (None, {"block_elems": 0}, "block_elems is 0"),
        (None, {"max_shard_bytes": -1}, "max_shard_bytes is -1"),
        (None, {"labels": ["a"]}, "1 labels for 3 models"),
        (None, {"labels": ["a", "b", "a"]}, "label 'a' is given twice"),
    ],
)
def test_invalid_settings_are_refused_before_reading(
    models, monkeypatch, weights, options, message
):
    monkeypatch.setattr("polylect.checkpoints.tensors.os.preadv", None)
    refuse(message, models, weights, **options)


def test_no_models_are_refused(tmp_path):
    refuse("no models", [], out=tmp_path / "out")


def test_incompatible_models_are_refused_before_reading(tmp_path, monkeypatch):
    monkeypatch.setattr("polylect.checkpoints.tensors.os.preadv", None)
    stored = tensors(0)
    first = make(tmp_path / "first", stored)
    other_kind = {"config": {**CONFIG, "model_type": "x"}}
    for name, message, changed, options in [
        ("arch", "architectures is", stored, {"config": {**CONFIG, "architectures": ["X"]}}),
        ("type", "model_type is x, first has tiny", stored, other_kind),
        ("token", "its tokenizer is not", stored, {"files": {"tokenizer.json": OTHERS}}),
        ("broken", "not a tokenizer", stored, {"files": {"tokenizer.json": "[1]"}}),
        ("more", "first: no tensor 'extra', which more has", stored | {"extra": torch.ones(2)}, {}),
        ("less", "less: no tensor 'empty', which first has", {"ids": stored["ids"]}, {}),
        ("shape", r"'w' has shape \(5,\), in first \(20, 30\)", stored | {"w": torch.ones(5)}, {}),
        ("kind", "tensor 'ids' is F32, in first I64", stored | {"ids": torch.zeros(3)}, {}),
    ]:
        refuse(message, [first, make(tmp_path / name, changed, **options)])


def test_floats_and_integers_do_not_mix_even_with_an_out_dtype(tmp_path):
    models = [
        make(tmp_path / "a", {"x": torch.zeros(3)}),
        make(tmp_path / "b", {"x": torch.zeros(3, dtype=torch.int32)}),
    ]
    refuse("'x' is I32, in a F32", models, out_dtype="F32")


def test_an_occupied_output_folder_is_refused(models, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").touch()
    refuse("out: there is something already", models)
    (tmp_path / "empty").mkdir()
    merge_linear(models, None, tmp_path / "empty").checkpoint.verify()


@pytest.mark.parametrize("num_threads", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_the_first_element_that_is_not_finite_is_named(tmp_path, dtype, value, num_threads):
    inputs = [tensors(seed, dtype) for seed in range(3)]
    inputs[1]["w"][19, 2] = value
    inputs[2]["w"][7, 5] = value
    inputs[2]["w"][7, 6] = -value
    inputs[1]["w"][7, 9] = -value
    models = [make(tmp_path / f"m{n}", tensors_) for n, tensors_ in enumerate(inputs)]
    for block_elems in (10, 2**18):
        refuse(
            rf"m2: tensor 'w', element \[7, 5\] is {value}",
            models,
            [1, 2, 0],
            num_threads=num_threads,
            block_elems=block_elems,
        )


def test_a_scalar_that_is_not_finite_is_named(tmp_path):
    models = [make(tmp_path / "a", {"x": torch.tensor(float("nan"))})]
    refuse(r"a: tensor 'x', element \[\] is nan", models)


@pytest.mark.parametrize(
    ("dtype", "value", "weights", "options"),
    [
        (torch.float16, 60000.0, [1, 1], {"normalize": False}),
        (torch.bfloat16, 3e38, [1, 1], {"normalize": False}),
        (torch.bfloat16, 3e38, [2, 2], {}),
        (torch.float32, 3e38, [1, 1], {"normalize": False}),
        (torch.float32, 1e5, [1, 1], {"out_dtype": "F16"}),
        (torch.float64, 1e300, [1, 1], {"out_dtype": "BF16"}),
        (torch.float64, 1e308, [1, 1], {"normalize": False}),
    ],
)
def test_a_result_that_does_not_fit_is_refused(tmp_path, dtype, value, weights, options):
    stored = {"x": torch.tensor([0.0, 1.0, value], dtype=dtype)}
    models = [make(tmp_path / name, stored) for name in "ab"]
    refuse(r"merged tensor 'x', element \[2\] is too large", models, weights, **options)


def test_tensors_that_are_not_floats_must_be_equal(tmp_path):
    inputs = [tensors(0), tensors(1)]
    inputs[1]["ids"] = torch.tensor([1, 2, 2**33])
    models = [make(tmp_path / f"m{n}", tensors_) for n, tensors_ in enumerate(inputs)]
    refuse(r"m1: tensor 'ids' \(I64\) differs from m0 at element \[2\]", models, block_elems=1)
    f8 = [{"x": torch.full((4,), n).to(torch.float8_e4m3fn)} for n in (1, 2)]
    models = [make(tmp_path / f"f8{n}", tensors_) for n, tensors_ in enumerate(f8)]
    refuse(r"f81: tensor 'x' \(F8_E4M3\) differs from f80 at element \[0\]", models)
    merge_linear([models[0], models[0]], None, tmp_path / "same", labels=["a", "b"])


def test_a_file_that_vanished_is_named(models):
    (models[1].path / "model.safetensors").unlink()
    refuse(r"m1/model\.safetensors: no such file", models)


def test_a_full_disk_leaves_nothing(models, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("polylect.checkpoints.writer.os.pwrite", full)
    with pytest.raises(StorageError, match="the disk is full"):
        merge_linear(models, None, tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == [".out.run", "m0", "m1", "m2"]


def test_memory_does_not_grow_with_the_model_or_their_number(tmp_path):
    small = [make(tmp_path / f"s{n}", {"w": torch.ones(2**18)}) for n in range(2)]
    large = [make(tmp_path / f"l{n}", {"w": torch.ones(2**21)}) for n in range(2)]
    peaks = []
    for number, models in enumerate([small, small, large, large * 4]):
        for model in models:
            assert model.digest
        tracemalloc.start()
        merge_linear(models, None, tmp_path / str(number), block_elems=2**15, num_threads=1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert max(peaks[1:]) < 1.25 * peaks[1]
    assert max(peaks[1:]) < 2**21


SCRIPT = """
import os, signal, sys
from pathlib import Path
from polylect.checkpoints import Checkpoint, ShardWriter
import polylect.runs.folders as folder
import polylect.merging.engine as linear
from polylect.merging import merge_linear

moment, root = sys.argv[1], Path(sys.argv[2])

def die(*args, **options):
    os.kill(os.getpid(), signal.SIGKILL)

write, num_written = ShardWriter.write, 0
def write_some(self, *args):
    global num_written
    write(self, *args)
    num_written += 1
    if moment == str(num_written):
        die()

ShardWriter.write = write_some
if moment == "finish": ShardWriter.finish = die
if moment == "seal": linear.seal = die
if moment == "rename": folder.os.rename = die
models = [Checkpoint.open(root / f"m{n}") for n in range(3)]
merge_linear(models, None, root / "out", block_elems=128)
"""


@pytest.mark.parametrize("moment", ["1", "7", "finish", "seal", "rename"])
@pytest.mark.kill
def test_a_killed_merge_leaves_no_output_and_can_be_repeated(models, tmp_path, moment):
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), moment, str(tmp_path)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    assert any(name.startswith(".out.") for name in os.listdir(tmp_path))
    merge_linear(models, None, tmp_path / "out").checkpoint.verify()
    assert sorted(os.listdir(tmp_path)) == ["m0", "m1", "m2", "out"]


def test_plain_transformers_loads_it_and_gives_the_logits_of_the_average(tmp_path):
    transformers = pytest.importorskip("transformers")
    from transformers import LlamaConfig, LlamaForCausalLM

    transformers.utils.logging.disable_progress_bar()
    config = LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True,
    )  # fmt: skip
    weights = [0.5, 0.3, 0.2]
    inputs = []
    for seed in range(3):
        torch.manual_seed(seed)
        inputs.append(LlamaForCausalLM(config))
        inputs[-1].save_pretrained(tmp_path / str(seed), max_shard_size="20KB" if seed else "5GB")
    models = [Checkpoint.open(tmp_path / str(seed)) for seed in range(3)]
    assert len({info.file for info in models[1].tensors.values()}) > 1
    merged = merge_linear(models, weights, tmp_path / "out", max_shard_bytes=30_000).checkpoint
    assert merged.num_parameters == sum(parameter.numel() for parameter in inputs[0].parameters())
    average = LlamaForCausalLM(config)
    states = [model.state_dict() for model in inputs]
    average.load_state_dict(
        {
            name: sum(
                state[name].double() * weight for state, weight in zip(states, weights, strict=True)
            )
            for name in states[0]
        }
    )
    loaded, report = LlamaForCausalLM.from_pretrained(merged.path, output_loading_info=True)
    assert not any(report.values())
    ids = torch.randint(0, 64, (2, 9))
    with torch.no_grad():
        difference = (loaded.eval()(ids).logits - average.eval()(ids).logits).abs().max()
    assert float(difference) <= 1e-6


def test_the_config_says_what_the_function_does():
    assert LinearConfig() == LinearConfig(weights=None, normalize=True)
    with pytest.raises(TypeError):
        LinearConfig((1.0,))
    assert np.isclose(sum(LinearConfig(weights=(0.5, 0.5)).weights), 1)
