import numpy as np
import pytest
import torch
import transformers

from polylect.base import InputError
from polylect.models import (
    Head,
    answer_log_probabilities,
    head_of,
    scored_positions,
    token_log_probabilities,
    weighted_nll,
)
from polylect.text import Segment, pack

NUM, HIDDEN, VOCAB = 23, 8, 31


@pytest.fixture
def case():
    torch.manual_seed(0)
    return {
        "hidden": torch.randn(NUM, HIDDEN, dtype=torch.float64) * 2,
        "weight": torch.randn(VOCAB, HIDDEN, dtype=torch.float64),
        "targets": torch.randint(0, VOCAB, (NUM,)),
        "weights": torch.tensor([0.0, 1.0, 0.5, 2.5] * 6, dtype=torch.float64)[:NUM],
    }


@pytest.fixture(params=[1 << 22, VOCAB * 7, VOCAB * NUM, VOCAB, 1], ids=lambda n: f"chunk{n}")
def chunk(request, monkeypatch):
    """Chunks of all rows, of seven (with a rest), of just all, of one, and of less than one."""
    monkeypatch.setattr("polylect.models.head._CHUNK_LOGITS", request.param)
    monkeypatch.setattr("polylect.models.head._LEAST_ROWS", 1)


@pytest.fixture(params=[(1024, 2048), (7, 5), (1, 1), (NUM, VOCAB - 1)], ids=str)
def piece(request, monkeypatch):
    """Pieces of rows and tokens: all at once, with rests, one by one, and one token over."""
    monkeypatch.setattr("polylect.models.head._ROWS", request.param[0])
    monkeypatch.setattr("polylect.models.head._TOKENS", request.param[1])


def leaf(tensor):
    return tensor.clone().requires_grad_()


@pytest.mark.usefixtures("chunk")
@pytest.mark.parametrize("scale", [1.0, 0.0625, 3.0])
def test_loss_and_gradients_are_cross_entropys(case, scale):
    hidden, weight = leaf(case["hidden"]), leaf(case["weight"])
    each = torch.nn.functional.cross_entropy(
        scale * hidden @ weight.T, case["targets"], reduction="none"
    )
    expected = (each * case["weights"]).sum()
    (expected / 7).backward()

    own_hidden, own_weight = leaf(case["hidden"]), leaf(case["weight"])
    loss, nll = weighted_nll(own_hidden, Head(own_weight, scale), case["targets"], case["weights"])
    assert not nll.requires_grad
    (loss / 7).backward()
    assert torch.allclose(loss, expected, rtol=1e-10, atol=0)
    assert torch.allclose(nll, each, rtol=1e-10, atol=1e-12)
    assert torch.allclose(own_hidden.grad, hidden.grad, rtol=1e-10, atol=1e-12)
    assert torch.allclose(own_weight.grad, weight.grad, rtol=1e-10, atol=1e-12)


def test_gradients_reach_a_tied_embedding_from_both_sides(case):
    ids = torch.arange(NUM) % VOCAB
    grads = []
    for own in (True, False):
        weight = leaf(case["weight"])
        hidden = weight[ids] * 1.5
        if own:
            loss, _ = weighted_nll(hidden, Head(weight), case["targets"], case["weights"])
        else:
            each = torch.nn.functional.cross_entropy(
                hidden @ weight.T, case["targets"], reduction="none"
            )
            loss = (each * case["weights"]).sum()
        loss.backward()
        grads.append(weight.grad)
    assert torch.allclose(*grads, rtol=1e-10, atol=1e-12)


def test_float32_keeps_its_type_and_its_precision(case):
    hidden, weight = case["hidden"].float(), case["weight"].float()
    loss, nll = weighted_nll(hidden, Head(weight), case["targets"], case["weights"].float())
    exact, _ = weighted_nll(case["hidden"], Head(case["weight"]), case["targets"], case["weights"])
    assert loss.dtype == nll.dtype == torch.float32
    assert abs(loss.item() - exact.item()) <= 1e-6 * abs(exact.item())


def test_large_logits_do_not_overflow(case):
    hidden = leaf(case["hidden"] * 1000)
    loss, _ = weighted_nll(hidden, Head(case["weight"]), case["targets"], case["weights"])
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(hidden.grad).all()


@pytest.mark.usefixtures("chunk")
@pytest.mark.parametrize("objective", ["weighted", "answers", "answers, recomputed"])
@pytest.mark.parametrize("softcap", [None, 3.0])
@pytest.mark.parametrize("has_bias", [False, True])
def test_gradients_go_through_scale_softcap_and_bias(
    case, monkeypatch, objective, softcap, has_bias
):
    if objective == "answers, recomputed":
        monkeypatch.setattr("polylect.models.head._KEPT_LOGITS", 0)
    grads, losses = [], []
    for plain in (True, False):
        hidden, weight = leaf(case["hidden"]), leaf(case["weight"])
        bias = leaf(torch.linspace(-1, 1, VOCAB, dtype=torch.float64)) if has_bias else None
        head = Head(weight, 0.5, softcap, bias)
        if plain:
            values = head.logits(hidden).log_softmax(dim=1)[torch.arange(NUM), case["targets"]]
            loss = -(values * case["weights"]).sum()
        elif objective == "weighted":
            loss, _ = weighted_nll(hidden, head, case["targets"], case["weights"])
        else:
            values = answer_log_probabilities(hidden, head, case["targets"])
            loss = -(values * case["weights"]).sum()
        (loss / 7).backward()
        losses.append(loss.item())
        grads.append([one.grad for one in (hidden, weight, bias) if one is not None])
    assert losses[1] == pytest.approx(losses[0], rel=1e-12)
    for expected, found in zip(*grads, strict=True):
        assert torch.allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.usefixtures("piece")
@pytest.mark.parametrize("scale", [1.0, 0.25])
@pytest.mark.parametrize("softcap", [None, 5.0])
def test_log_probabilities_are_log_softmax(case, scale, softcap):
    logits = scale * case["hidden"] @ case["weight"].T
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    expected = logits.log_softmax(dim=1)[torch.arange(NUM), case["targets"]]
    head = Head(case["weight"].requires_grad_(), scale, softcap)
    found, best = token_log_probabilities(case["hidden"], head, case["targets"])
    assert torch.allclose(found, expected, rtol=1e-10, atol=1e-12)
    assert not found.requires_grad
    assert best.tolist() == (logits.argmax(dim=1) == case["targets"]).tolist()


@pytest.mark.usefixtures("piece")
def test_one_hidden_state_may_predict_several_targets_or_none(case):
    expected = (case["hidden"] @ case["weight"].T).log_softmax(dim=1)
    head = Head(case["weight"])
    every = torch.arange(0, NUM, 3).repeat_interleave(4)
    targets = (torch.arange(len(every)) * 7) % case["weight"].shape[0]
    targets[::4] = expected.argmax(dim=1)[every[::4]]
    found, best = token_log_probabilities(case["hidden"], head, targets, every)
    assert torch.allclose(found, expected[every, targets], rtol=1e-10, atol=1e-12)
    assert best.tolist() == (expected.argmax(dim=1)[every] == targets).tolist()
    assert best[::4].all()


@pytest.mark.usefixtures("piece")
def test_the_first_of_equally_likely_tokens_is_the_most_likely(case):
    weight = torch.zeros_like(case["weight"])
    weight[[3, -1]] = 1.0
    hidden = torch.ones_like(case["hidden"])
    for target, expected in ((3, True), (VOCAB - 1, False)):
        targets = torch.full((NUM,), target)
        _, best = token_log_probabilities(hidden, Head(weight), targets)
        assert best.tolist() == [expected] * NUM


@pytest.mark.usefixtures("piece")
def test_tokens_that_a_bias_forbids_take_no_part(case):
    bias = torch.zeros(VOCAB, dtype=torch.float64)
    bias[: VOCAB // 2] = -torch.inf
    head = Head(case["weight"], bias=bias)
    expected = head.logits(case["hidden"]).log_softmax(dim=1)
    targets = torch.arange(NUM) % VOCAB
    found, _ = token_log_probabilities(case["hidden"], head, targets)
    assert torch.allclose(found, expected[torch.arange(NUM), targets], rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("chunk")
@pytest.mark.parametrize("kept", [0, 1 << 26, VOCAB * 9])
@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_log_probabilities_with_gradient_are_autograds(case, kept, scale, monkeypatch):
    monkeypatch.setattr("polylect.models.head._KEPT_LOGITS", kept)
    grads, values = [], []
    for own in (True, False):
        hidden, weight = leaf(case["hidden"]), leaf(case["weight"])
        if own:
            found = answer_log_probabilities(hidden, Head(weight, scale), case["targets"])
        else:
            whole = (scale * hidden @ weight.T).log_softmax(dim=1)
            found = whole[torch.arange(NUM), case["targets"]]
        # A loss that is not linear in them, as preferences have it.
        (found * case["weights"]).sum().exp().log1p().backward()
        values.append(found.detach())
        grads.append((hidden.grad, weight.grad))
    assert torch.allclose(*values, rtol=1e-10, atol=1e-12)
    for ours, theirs in zip(*grads, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def test_scored_positions_are_the_predecessors_of_weighted_tokens():
    root = Segment(np.array([5, 6, 7]), np.array([0.0, 0.0, 2.0], np.float32), "de")
    child = Segment(np.array([8, 9]), np.array([1.0, 0.5], np.float32), "de", parent=0)
    sibling = Segment(np.array([10]), np.array([1.0], np.float32), "de", parent=0)
    before, targets, weights = scored_positions(pack([root, child, sibling]))
    assert before.tolist() == [1, 2, 3, 2]
    assert targets.tolist() == [7, 8, 9, 10]
    assert weights.tolist() == [2.0, 1.0, 0.5, 1.0]


def tiny(config_class, **extra):
    return transformers.AutoModelForCausalLM.from_config(
        config_class(
            vocab_size=VOCAB, hidden_size=16, intermediate_size=16, num_hidden_layers=2,
            num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=32, head_dim=8,
            pad_token_id=0, **extra,
        )
    ).eval()  # fmt: skip


@pytest.mark.parametrize(
    ("config", "extra"),
    [
        (transformers.LlamaConfig, {}),
        (transformers.Cohere2Config, {"logit_scale": 0.25}),
        (transformers.GraniteConfig, {"logits_scaling": 8.0}),
        (transformers.Gemma2Config, {"final_logit_softcapping": 3.0}),
    ],
)
@torch.no_grad()
def test_the_head_of_a_model_gives_the_models_logits(config, extra):
    torch.manual_seed(0)
    model = tiny(config, **extra)
    model.get_output_embeddings().weight.mul_(20)
    ids = torch.randint(0, VOCAB, (1, 9))
    hidden = model.base_model(ids).last_hidden_state[0]
    assert torch.allclose(head_of(model).logits(hidden), model(ids).logits[0], atol=1e-5)


@torch.no_grad()
def test_a_heads_bias_counts():
    model = tiny(transformers.LlamaConfig)
    model.lm_head = torch.nn.Linear(16, VOCAB, bias=True)
    ids = torch.randint(0, VOCAB, (1, 9))
    hidden = model.base_model(ids).last_hidden_state[0]
    assert torch.allclose(head_of(model).logits(hidden), model(ids).logits[0], atol=1e-5)


def test_a_head_that_is_no_linear_layer_is_refused():
    model = tiny(transformers.LlamaConfig)
    model.lm_head = torch.nn.Sequential(torch.nn.Linear(16, VOCAB, bias=False))
    with pytest.raises(InputError, match="LlamaForCausalLM: its head is not a plain linear layer"):
        head_of(model)
