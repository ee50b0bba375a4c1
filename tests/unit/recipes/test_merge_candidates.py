"""A candidate in memory is the merge that would have been written, bit for bit."""

import json

import numpy as np
import pytest
import torch

from polylect.base import InputError
from polylect.checkpoints import Checkpoint, Lineage, ShardWriter, TensorSpec, read_raw, to_bytes
from polylect.merging import MergeConfig, merge
from polylect.models import BuildConfig, build_model, load_model, place_weights, save_model
from polylect.recipes import Candidates
from polylect.text import train_bpe

WEIGHTS = [(0.5, 0.3, 0.2), (0.1, 0.0, 0.9), (1.4, -0.5, 0.1), (1 / 3, 1 / 3, 1 / 3)]
METHODS = {
    "linear": MergeConfig(),
    "unnormalized": MergeConfig(options={"normalize": False}),
    "ties": MergeConfig(method="ties", base="base", options={"density": 0.5}),
    "dare": MergeConfig(method="dare_linear", base="base", options={"density": 0.5}, seed=3),
    "task": MergeConfig(method="task_arithmetic", base="base", out_dtype="F32"),
}
SHAPES = {"embed": (70, 40), "layers.0.w": (40, 50), "norm": (40,), "scalar": ()}


def make(folder, number, dtype):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "tiny"}))
    specs = [TensorSpec(name, dtype, shape) for name, shape in sorted(SHAPES.items())]
    specs.append(TensorSpec("steps", "I64", (3,)))
    writer = ShardWriter(folder, specs)
    for place, spec in enumerate(specs[:-1]):
        values = np.random.default_rng([place, number]).standard_normal(int(np.prod(spec.shape)))
        writer.write(spec.name, 0, to_bytes(values.astype(np.float32), dtype))
    writer.write("steps", 0, np.arange(3).view(np.uint8))
    writer.finish()
    return Checkpoint.open(folder)


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32"])
@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_tensor_has_the_bytes_of_the_written_merge(tmp_path, method, dtype):
    config = METHODS[method]
    names = [*(["base"] if config.base else []), "a", "b", "c"]
    models = {name: make(tmp_path / name, n, dtype) for n, name in enumerate(names)}
    candidates = Candidates(config, models)
    assert candidates.labels == ("a", "b", "c")
    for number, weights in enumerate(WEIGHTS):
        written = merge(candidates.config(weights), models, tmp_path / f"out{number}").checkpoint
        seen = []
        for spec, raw in candidates.tensors(weights, num_threads=1 + number % 2):
            info = written.tensors[spec.name]
            assert (spec.dtype, spec.shape) == (info.dtype, info.shape)
            assert np.array_equal(raw, read_raw(info)), spec.name
            seen.append(spec.name)
        assert seen == list(written.tensors)
    again = candidates.write(WEIGHTS[0], tmp_path / "again").checkpoint
    assert again.digest == Checkpoint.open(tmp_path / "out0").digest


@pytest.fixture(scope="module")
def tokenizer():
    return train_bpe({"de": ["Das ist ein kleiner Text über nichts."]}, vocab_size=270)


def saved(folder, tokenizer, seed, dtype, tied):
    config = BuildConfig(num_parameters=250_000, context_tokens=64, sliding_window=8, seed=seed)
    model = build_model(
        config, tokenizer.vocab_size, tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id
    )
    if not tied:
        model.config.tie_word_embeddings = False
        head = torch.empty_like(model.lm_head.weight)
        model.lm_head.weight = torch.nn.Parameter(head.normal_(0, 0.02 * (1 + seed)))
    folder.mkdir()
    return save_model(model.to(dtype), tokenizer, folder, Lineage(method="build"))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_model_in_memory_is_the_one_that_would_be_loaded(tmp_path, tokenizer, dtype, tied):
    models = {
        name: saved(tmp_path / name, tokenizer, n, dtype, tied) for n, name in enumerate("abc")
    }
    assert ("lm_head.weight" in models["a"].tensors) != tied
    candidates = Candidates(MergeConfig(), models)
    model = load_model(models["a"])
    for number, weights in enumerate(WEIGHTS[:2]):
        place_weights(model, candidates.tensors(weights))
        written = candidates.write(weights, tmp_path / f"out{number}").checkpoint
        expected = load_model(written).state_dict()
        state = model.state_dict()
        assert state.keys() == expected.keys()
        for name, tensor in expected.items():
            assert torch.equal(state[name], tensor), name
    ids = torch.arange(12)[None]
    assert torch.equal(model(ids).logits, load_model(written)(ids).logits)


def test_a_tensor_without_a_place_and_a_parameter_without_a_tensor_are_refused(tmp_path, tokenizer):
    model = load_model(saved(tmp_path / "a", tokenizer, 0, torch.float32, tied=True))
    raw = np.zeros(16, np.uint8)
    with pytest.raises(InputError, match=r"holds no tensor 'x' of shape \[4\].*to files"):
        place_weights(model, [(TensorSpec("x", "F32", (4,)), raw)])
    with pytest.raises(InputError, match="the checkpoint holds no 'model"):
        place_weights(model, [])


def test_what_has_no_weights_or_no_choice_is_refused(tmp_path):
    models = {name: make(tmp_path / name, n, "F32") for n, name in enumerate("ab")}
    with pytest.raises(InputError, match="slerp has no weights to search"):
        Candidates(MergeConfig(method="slerp", base="a", options={"t": 0.5}), models)
    with pytest.raises(InputError, match="besides the base, not 1"):
        Candidates(MergeConfig(method="ties", base="a"), models)


def test_the_identity_follows_the_bytes_of_the_inputs_and_the_method(tmp_path):
    models = {name: make(tmp_path / "one" / name, n, "F32") for n, name in enumerate("ab")}
    same = {name: make(tmp_path / "same" / name, n, "F32") for n, name in enumerate("ab")}
    other = {name: make(tmp_path / "other" / name, n + 1, "F32") for n, name in enumerate("ab")}
    identity = Candidates(MergeConfig(), models).identity()
    assert identity == Candidates(MergeConfig(), same).identity()
    assert identity != Candidates(MergeConfig(), other).identity()
    assert identity != Candidates(MergeConfig(out_dtype="BF16"), models).identity()
    assert "weight" not in json.dumps(identity)
