import numpy as np
import pytest
import torch
import transformers

from polylect.models import (
    PACKED,
    forward_hidden,
    head_of,
    is_packed,
    keep_prefix,
    packed_attention,
    probe,
)
from polylect.models.attention import Row, attend_flex
from polylect.models.segment_mask import Layout
from polylect.text import Segment, pack

VOCAB, WINDOW = 61, 8
COMMON = {
    "vocab_size": VOCAB, "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128,
    "pad_token_id": 0,
}  # fmt: skip
LAYERS = ["sliding_attention", "full_attention", "sliding_attention"]
SLIDING = {"sliding_window": WINDOW, "layer_types": LAYERS}
CONFIGS = {
    "llama": lambda: transformers.LlamaConfig(**COMMON),
    "qwen3": lambda: transformers.Qwen3Config(
        **COMMON, head_dim=8, use_sliding_window=True, **SLIDING
    ),
    "gemma3": lambda: transformers.Gemma3TextConfig(**COMMON, head_dim=8, **SLIDING),
    "cohere2": lambda: transformers.Cohere2Config(**COMMON, **SLIDING),
    "attention sinks": lambda: transformers.GptOssConfig(
        **COMMON, head_dim=8, **SLIDING, num_local_experts=2, num_experts_per_tok=1
    ),
    "values narrower than keys": lambda: transformers.DeepseekV3Config(
        **COMMON | {"num_key_value_heads": 4},
        q_lora_rank=16,
        kv_lora_rank=16,
        head_dim=8,
        qk_rope_head_dim=8,
        qk_nope_head_dim=8,
        v_head_dim=12,
        first_k_dense_replace=3,
        n_routed_experts=4,
        n_group=2,
        topk_group=1,
    ),
}


def pair(config):
    """The same random weights under packed and under transformers' plain attention."""
    torch.manual_seed(0)
    made = transformers.AutoModelForCausalLM.from_config
    plain = made(config(), attn_implementation="eager").eval()
    with torch.no_grad():
        for parameter in plain.parameters():
            if parameter.ndim == 2:
                parameter.mul_(6)  # so that what a token attends to shows
    packed = made(config(), attn_implementation=PACKED).eval()
    packed.load_state_dict(plain.state_dict())
    return packed, plain


def rows(*lengths):
    random = np.random.default_rng(1)
    return [random.integers(1, VOCAB, length) for length in lengths]


def packed_log_probabilities(model, runs):
    batch = pack([Segment(one, np.zeros(len(one), np.float32), "de") for one in runs])
    return head_of(model).logits(forward_hidden(model, batch)).log_softmax(dim=1)


def separate_log_probabilities(model, runs):
    return torch.cat(
        [model(torch.from_numpy(one)[None]).logits[0].log_softmax(dim=1) for one in runs]
    )


@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_packed_equals_separate_forward_passes(name):
    packed, plain = pair(CONFIGS[name])
    runs = rows(1, 5, 40, WINDOW, WINDOW + 1, 27, 2)  # some longer than the window
    found = packed_log_probabilities(packed, runs)
    expected = separate_log_probabilities(plain, runs)
    assert (found - expected).abs().max() <= 1e-5
    assert probe(packed) <= 1e-5
    # The test can fail: as one run, or with a window of another size, the numbers are others.
    joined = packed_log_probabilities(packed, [np.concatenate(runs)])
    assert (joined - expected).abs().max() > 0.1


@pytest.mark.parametrize("name", ["qwen3", "gemma3", "cohere2"])
@torch.no_grad()
def test_the_window_matters_in_that_test(name):
    packed, _ = pair(CONFIGS[name])
    wide, _ = pair(lambda: CONFIGS[name]())
    for module in wide.modules():
        if getattr(module, "sliding_window", None):
            module.sliding_window = WINDOW + 1
    runs = rows(40)
    difference = packed_log_probabilities(packed, runs) - packed_log_probabilities(wide, runs)
    assert difference.abs().max() > 1e-3


@torch.no_grad()
def test_the_order_of_segments_and_what_lies_beside_them_do_not_matter():
    packed, _ = pair(CONFIGS["cohere2"])
    runs = rows(12, 3, 30)
    whole = packed_log_probabilities(packed, runs).split([12, 3, 30])
    turned = packed_log_probabilities(packed, runs[::-1]).split([30, 3, 12])
    for one, other in zip(whole, turned[::-1], strict=True):
        assert (one - other).abs().max() <= 1e-5


def test_gradients_equal_those_of_separate_passes():
    packed, plain = pair(CONFIGS["cohere2"])
    runs = rows(9, 20)
    packed_log_probabilities(packed, runs)[:, 3].sum().backward()
    separate_log_probabilities(plain, runs)[:, 3].sum().backward()
    for (name, one), other in zip(packed.named_parameters(), plain.parameters(), strict=True):
        scale = other.grad.abs().max().clamp(min=1e-3)
        assert (one.grad - other.grad).abs().max() <= 1e-4 * scale, name


def reference(query, key, value, layout, scaling, window, softcap=None):
    """Softmax attention in float64 numpy, one query at a time, walking up its ancestors."""
    heads, num, dim = query.shape
    group = heads // key.shape[0]
    starts = np.cumsum((0, *layout.lengths))
    out = np.zeros((num, heads, dim))
    for t in range(num):
        segment = int(np.searchsorted(starts, t, side="right")) - 1
        seen = list(range(starts[segment], t + 1))
        while layout.parents[segment] >= 0:
            segment = layout.parents[segment]
            seen = list(range(starts[segment], starts[segment + 1])) + seen
        seen = list(range(layout.num_kept)) + [layout.num_kept + s for s in seen]
        seen = seen[-window:] if window else seen
        for head in range(heads):
            scores = key[head // group][seen] @ query[head, t] * scaling
            if softcap:
                scores = softcap * np.tanh(scores / softcap)
            weight = np.exp(scores - scores.max())
            out[t, head] = (weight / weight.sum()) @ value[head // group][seen]
    return out


TREES = {
    "no parents": Layout((1, 4, 7), (-1, -1, -1)),
    "a tree": Layout((3, 2, 2, 4, 1, 2), (-1, 0, 1, 0, -1, 4)),
    "a tree on a kept prefix": Layout((3, 2, 2, 4, 1), (-1, 0, 1, 0, -1), 5),
    "not depth first": Layout((3, 4, 2, 3, 2), (-1, -1, 0, 1, 0), 2),
    "long runs": Layout((140, 9, 150, 4, 130), (-1, 0, 0, 2, -1)),
    "many short ones below a long one": Layout((150, *[9] * 30), (-1, *[0] * 30), 3),
}


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("tree", TREES)
@pytest.mark.parametrize("window", [None, 1, 3, 50])
@pytest.mark.parametrize(("scaling", "softcap"), [(None, None), (0.3, None), (0.3, 2.0)])
def test_attention_is_the_textbooks(tree, window, scaling, softcap):
    random = np.random.default_rng(0)
    layout = TREES[tree]
    layout = Layout(layout.lengths, layout.parents, layout.num_kept)
    num = layout.num_tokens
    query = random.normal(size=(4, num, 6))
    key, value = random.normal(size=(2, 2, layout.num_kept + num, 6))
    expected = reference(query, key, value, layout, scaling or 6**-0.5, window, softcap)
    tensors = [torch.from_numpy(one)[None] for one in (query, key, value)]
    found, none = packed_attention(
        torch.nn.Module(), *tensors, None, scaling=scaling, sliding_window=window,
        softcap=softcap, packed_row=Row(layout), dropout=0.0,
    )  # fmt: skip
    assert none is None
    assert np.abs(found[0].numpy() - expected).max() <= 1e-12
    if softcap is None:
        flexed = attend_flex(*tensors, layout, scaling, window)[0].transpose(0, 1)
        assert np.abs(flexed.numpy() - expected).max() <= 1e-5  # it has no float64 on CPU


def tree_of(runs, parents):
    return pack(
        [
            Segment(run, np.zeros(len(run), np.float32), "de", parent)
            for run, parent in zip(runs, parents, strict=True)
        ]
    )


def separate_paths(model, runs, parents, prefix=()):
    """Log-probabilities of every segment's tokens, each by a plain pass over its whole path."""
    found = []
    for i, run in enumerate(runs):
        path, at = [run], parents[i]
        while at >= 0:
            path.insert(0, runs[at])
            at = parents[at]
        whole = np.concatenate([*prefix, *path])
        logits = model(torch.from_numpy(whole)[None]).logits[0]
        found.append(logits[len(whole) - len(run) :].log_softmax(dim=1))
    return torch.cat(found)


@pytest.mark.parametrize("kept", [(), (4,), (3, 12)])
@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_a_tree_equals_separate_forward_passes(name, kept):
    packed, plain = pair(CONFIGS[name])
    parents = (-1, 0, 1, 0, 0, -1, 5, -1)
    runs = rows(12, 5, 1, WINDOW + 3, 2, 20, 3, 6)
    chain = [run + 1 for run in rows(*kept)] if kept else []
    prefix = None
    heads = []
    for one in chain:
        hidden, prefix = keep_prefix(packed, one, prefix)
        heads.append(head_of(packed).logits(hidden).log_softmax(dim=1))
    hidden = forward_hidden(packed, tree_of(runs, parents), prefix)
    found = head_of(packed).logits(hidden).log_softmax(dim=1)
    expected = separate_paths(plain, runs, parents, chain)
    assert (found - expected).abs().max() <= 1e-5
    for number, one in enumerate(heads):
        assert (one - separate_paths(plain, chain[: number + 1], range(-1, number))[-len(one) :])\
            .abs().max() <= 1e-5  # fmt: skip
    # The test can fail: with another parent the numbers are others.
    other = forward_hidden(packed, tree_of(runs, (-1, 0, 0, 0, 0, -1, 5, -1)), prefix)
    assert (head_of(packed).logits(other).log_softmax(dim=1) - expected).abs().max() > 1e-3


@pytest.mark.parametrize("name", CONFIGS)
def test_gradients_through_a_tree_equal_those_of_separate_passes(name):
    packed, plain = pair(CONFIGS[name])
    parents, runs = (-1, 0, 0, 2), rows(9, 4, 13, 2)
    weight = torch.linspace(-1, 1, sum(map(len, runs)) * VOCAB).reshape(-1, VOCAB)
    hidden = forward_hidden(packed, tree_of(runs, parents))
    (head_of(packed).logits(hidden).log_softmax(dim=1) * weight).sum().backward()
    (separate_paths(plain, runs, parents) * weight).sum().backward()
    for (label, one), other in zip(packed.named_parameters(), plain.parameters(), strict=True):
        scale = other.grad.abs().max().clamp(min=1e-3)
        assert (one.grad - other.grad).abs().max() <= 1e-4 * scale, label


UNSUPPORTED = {
    "state space": lambda: transformers.MambaConfig(
        vocab_size=VOCAB, hidden_size=16, num_hidden_layers=2, state_size=4
    ),
    "positions in the mask": lambda: transformers.BloomConfig(
        vocab_size=VOCAB, hidden_size=32, n_layer=2, n_head=4
    ),
    "chunked mask": lambda: transformers.Llama4TextConfig(
        **COMMON, head_dim=8, attention_chunk_size=8, num_local_experts=2
    ),
    "chunks longer than what is probed": lambda: transformers.Llama4TextConfig(
        **COMMON, head_dim=8, attention_chunk_size=8192, num_local_experts=2
    ),
    "a long window in the mask alone": lambda: transformers.PhimoeConfig(
        **COMMON, sliding_window=2047, num_local_experts=2, num_experts_per_tok=1
    ),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
@torch.no_grad()
def test_an_architecture_that_would_give_wrong_numbers_gets_separate_passes(name):
    torch.manual_seed(0)
    made = transformers.AutoModelForCausalLM.from_config
    model = made(UNSUPPORTED[name](), attn_implementation=PACKED).eval()
    for parameter in model.parameters():
        if parameter.ndim == 2:
            parameter.mul_(8)
    assert probe(model) > 1e-3
    state = model.state_dict()
    model = made(UNSUPPORTED[name](), attn_implementation="eager").eval()
    model.load_state_dict(state)
    assert not is_packed(model)
    parents, runs, chain = (-1, 0, 0, -1), rows(9, 4, 12, 2), rows(3, 2)
    prefix = None
    for one in chain:
        hidden, prefix = keep_prefix(model, one, prefix)
        assert len(hidden) == len(one)
    hidden = forward_hidden(model, tree_of(runs, parents), prefix)
    found = head_of(model).logits(hidden).log_softmax(dim=1)
    assert (found - separate_paths(model, runs, parents, chain)).abs().max() <= 1e-4


def test_capped_scores_run_packed():
    packed, plain = pair(lambda: transformers.Gemma2Config(**COMMON, head_dim=8, **SLIDING))
    parents, runs = (-1, 0, 0, -1), rows(9, 4, 12, 2)
    assert probe(packed) <= 1e-5
    with torch.no_grad():
        hidden = forward_hidden(packed, tree_of(runs, parents))
        found = head_of(packed).logits(hidden).log_softmax(dim=1)
        assert (found - separate_paths(plain, runs, parents)).abs().max() <= 1e-5
