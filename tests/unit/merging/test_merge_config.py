"""What must be equal in models that are merged: keys that decide the function, and buffers."""

import json

import numpy as np
import pytest

from polylect.base import InputError, Ledger
from polylect.checkpoints import Checkpoint, ShardWriter, TensorSpec, read_floats, to_bytes
from polylect.merging import MergeConfig, merge, merge_linear, plan_merge, verify
from polylect.models import check_configs

LLAMA = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 8,
    "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 2, "vocab_size": 12, "max_position_embeddings": 64,
    "hidden_act": "silu", "rms_norm_eps": 1e-6, "tie_word_embeddings": False,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
}  # fmt: skip
TINY = {"architectures": ["Tiny"], "model_type": "tiny", "num_hidden_layers": 2}
INV_FREQ = "model.layers.0.self_attn.rotary_emb.inv_freq"
MASK = "transformer.h.0.attn.bias"
SHAPES = {"w": (6, 5), "b": (5,), INV_FREQ: (4,), MASK: (1, 1, 3, 3)}


def differing(changes, config=LLAMA):
    """The ledger's rows of a pair of configs; a change to None removes the key."""
    other = {key: value for key, value in {**config, **changes}.items() if value is not None}
    ledger = Ledger()
    check_configs("a", config, "b", other, ledger)
    other_way = Ledger()
    check_configs("a", other, "b", config, other_way)
    assert ledger.by_event() == other_way.by_event()
    return [event for event, _, _ in ledger.rows()]


@pytest.mark.parametrize(
    "changes",
    [
        {"num_attention_heads": 4},
        {"num_key_value_heads": 1},
        {"hidden_act": "gelu"},
        {"tie_word_embeddings": True},
        {"rms_norm_eps": 1e-5},
        {"head_dim": 2},
        {"attention_bias": True},
        {"quantization_config": {"quant_method": "fp8"}},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 500000.0}},
        {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}},
        {"rope_parameters": None, "rope_theta": 500000.0},
        {"something_new": 3},
    ],
    ids=lambda changes: next(iter(changes)),
)
@pytest.mark.parametrize("kind", ["llama", "tiny"])
def test_a_key_that_decides_the_function_is_refused(changes, kind):
    if kind == "tiny":
        changes = {key: value for key, value in changes.items() if value is not None}
    config = {**LLAMA, "model_type": kind}
    with pytest.raises(InputError, match=r"b: \w+.* in config\.json is .*, in a"):
        differing(changes, config)


@pytest.mark.parametrize(
    "changes",
    [
        {"use_cache": False}, {"attention_dropout": 0.1}, {"resid_pdrop": 0.1}, {"dropout": 0.1},
        {"initializer_range": 0.5}, {"eos_token_id": 7}, {"pad_token_id": 3}, {"temperature": 0.6},
        {"id2label": {"0": "x"}}, {"auto_map": {"AutoModel": "x"}},
        {"max_position_embeddings": 128},
    ],
    ids=lambda changes: next(iter(changes)),
)  # fmt: skip
@pytest.mark.parametrize("config", [LLAMA, TINY], ids=["llama", "tiny"])
def test_a_key_that_does_not_is_counted(changes, config):
    (event,) = differing(changes, config)
    assert event == f"differs: {next(iter(changes))} in config.json, taken from a"


@pytest.mark.parametrize(
    "changes",
    [
        {"torch_dtype": "float32"}, {"_name_or_path": "x"}, {"transformers_version": "9"},
        {"attention_bias": False}, {"mlp_bias": False}, {"head_dim": 4},
        {"rope_parameters": None, "rope_theta": 10000.0, "rope_scaling": None},
        {"hidden_act": None}, {"num_key_value_heads": None},
    ],
    ids=lambda changes: next(iter(changes)),
)  # fmt: skip
def test_a_default_written_out_is_no_difference(changes):
    assert differing(changes) == []


def test_null_is_missing_and_parts_are_compared_key_by_key():
    part = {**TINY, "text_config": {"layers": 2, "dropout": 0.1, "x": None}}
    (event,) = differing({"text_config": {"layers": 2, "dropout": 0.2}}, part)
    assert "text_config.dropout" in event
    with pytest.raises(InputError, match=r"text_config\.layers in config\.json is 3, in a 2"):
        check_configs("a", part, "b", {**TINY, "text_config": {"layers": 3}}, Ledger())


def test_the_number_of_positions_decides_where_rope_is_scaled_by_it():
    for rope in (
        {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0},
        {"full_attention": {"rope_type": "yarn", "factor": 2.0, "rope_theta": 1.0}},
    ):
        config = {**TINY, "rope_parameters": rope, "max_position_embeddings": 64}
        with pytest.raises(InputError, match="max_position_embeddings"):
            differing({"max_position_embeddings": 128}, config)


# -- buffers -------------------------------------------------------------------------------------


def make(folder, number, *, buffer=0.0, dtype="F32", config=TINY):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    specs = [
        TensorSpec(name, "F32" if name == INV_FREQ else dtype, shape)
        for name, shape in sorted(SHAPES.items())
    ]
    writer = ShardWriter(folder, specs)
    for place, spec in enumerate(specs):
        num = int(np.prod(spec.shape))
        values = np.random.default_rng(place).standard_normal(num)
        if spec.name in {INV_FREQ, MASK}:
            values = values + buffer
        else:
            values = values + number * np.random.default_rng([place, number]).standard_normal(num)
        writer.write(spec.name, 0, to_bytes(values.astype(np.float32), spec.dtype))
    writer.finish()
    return Checkpoint.open(folder)


def read(checkpoint, name):
    info = checkpoint.tensors[name]
    return info.dtype, read_floats(info, out=np.empty(info.num_elements, np.float32))


def test_buffers_are_copied_whatever_the_weights_and_the_dtype(tmp_path):
    models = {f"m{n}": make(tmp_path / f"m{n}", n) for n in range(3)}
    configs = [
        MergeConfig(options={"normalize": False}, out_dtype="BF16"),
        MergeConfig(method="passthrough", options={"scale": 3.0}),
        MergeConfig(method="task_arithmetic", base="m0", options={"lambda": 2.0}),
        MergeConfig(method="dare_ties", base="m0", options={"density": 0.5}),
        MergeConfig(method="slerp", base="m0", options={"t": 0.5}, out_dtype="F16"),
    ]
    for number, config in enumerate(configs):
        num = {"passthrough": 1, "slerp": 2}.get(config.method, 3)
        used = {f"m{n}": models[f"m{n}"] for n in range(num)}
        merged = merge(config, used, tmp_path / f"out{number}").checkpoint
        for name in (INV_FREQ, MASK):
            dtype, values = read(merged, name)
            original_dtype, original = read(models["m0"], name)
            assert (dtype, values.tolist()) == (original_dtype, original.tolist())
        assert read(merged, "w")[0] == (config.out_dtype or "F32")
        assert read(merged, "w")[1].tolist() != read(models["m0"], "w")[1].tolist()
        verify(merged.path)


def test_no_weight_is_asked_for_a_buffer(tmp_path):
    models = {f"m{n}": make(tmp_path / f"m{n}", n) for n in (1, 2)}
    some = [{"filter": "w", "value": 0.3}, {"filter": "b", "value": 0.5}]
    plan_merge(MergeConfig(options={"weight": some}), models)


def test_buffers_that_differ_are_refused_and_nothing_is_left(tmp_path):
    models = [make(tmp_path / "a", 1), make(tmp_path / "b", 2, buffer=0.5)]
    with pytest.raises(InputError, match=r"differs from a .*it is a buffer, not a weight"):
        merge_linear(models, None, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_structure_that_differs_is_refused_by_the_plan(tmp_path):
    models = {
        "a": make(tmp_path / "a", 1, config={**LLAMA, "num_attention_heads": 2}),
        "b": make(tmp_path / "b", 2, config={**LLAMA, "num_attention_heads": 4}),
    }
    with pytest.raises(InputError, match="num_attention_heads in config"):
        plan_merge(MergeConfig(), models)
