import numpy as np
import pytest
import torch
import transformers

from polylect.base import InputError
from polylect.models import PACKED, forward_hidden, head_of, packed_attention, probe
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


def reference(query, key, value, lengths, scaling, window):
    """Softmax attention in float64 numpy, one query at a time."""
    heads, num, dim = query.shape
    group = heads // key.shape[0]
    segment = np.repeat(np.arange(len(lengths)), lengths)
    out = np.zeros((num, heads, dim))
    for head in range(heads):
        for t in range(num):
            seen = [
                s for s in range(t + 1)
                if segment[s] == segment[t] and (window is None or t - s < window)
            ]  # fmt: skip
            scores = key[head // group][seen] @ query[head, t] * scaling
            weight = np.exp(scores - scores.max())
            out[t, head] = (weight / weight.sum()) @ value[head // group][seen]
    return out


@pytest.mark.parametrize("window", [None, 1, 3, 50])
@pytest.mark.parametrize("scaling", [None, 0.3])
def test_attention_is_the_textbooks(window, scaling):
    random = np.random.default_rng(0)
    lengths = (1, 4, 7)
    query = random.normal(size=(4, 12, 6))
    key, value = random.normal(size=(2, 2, 12, 6))
    found, none = packed_attention(
        torch.nn.Module(), *(torch.from_numpy(one)[None] for one in (query, key, value)), None,
        scaling=scaling, sliding_window=window, segment_lengths=lengths, dropout=0.0,
    )  # fmt: skip
    expected = reference(query, key, value, lengths, scaling or 6**-0.5, window)
    assert none is None
    assert np.abs(found[0].numpy() - expected).max() <= 1e-12


def test_shared_prefixes_are_refused_until_they_are_supported():
    packed, _ = pair(CONFIGS["llama"])
    prefix, child = rows(3, 2)
    weight = np.zeros(2, np.float32)
    tree = pack(
        [Segment(prefix, np.zeros(3, np.float32), "de"), Segment(child, weight, "de", parent=0)]
    )
    with pytest.raises(AssertionError, match="shared prefixes are not supported yet"):
        forward_hidden(packed, tree)


UNSUPPORTED = {
    "state space": lambda: transformers.MambaConfig(
        vocab_size=VOCAB, hidden_size=16, num_hidden_layers=2, state_size=4
    ),
    "positions in the mask": lambda: transformers.BloomConfig(
        vocab_size=VOCAB, hidden_size=32, n_layer=2, n_head=4
    ),
    "attention sinks": lambda: transformers.GptOssConfig(
        **COMMON, head_dim=8, **SLIDING, num_local_experts=2, num_experts_per_tok=1
    ),
    "chunked mask": lambda: transformers.Llama4TextConfig(
        **COMMON, head_dim=8, attention_chunk_size=8, num_local_experts=2
    ),
    "capped scores": lambda: transformers.Gemma2Config(**COMMON, head_dim=8, **SLIDING),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_an_architecture_that_would_give_wrong_numbers_is_refused_in_one_line(name):
    torch.manual_seed(0)
    made = transformers.AutoModelForCausalLM.from_config
    model = made(UNSUPPORTED[name](), attn_implementation=PACKED).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(8)
    with pytest.raises(InputError, match=type(model).__name__) as caught:
        probe(model)
    assert "\n" not in str(caught.value)
    assert "attention interface" in caught.value.hint
