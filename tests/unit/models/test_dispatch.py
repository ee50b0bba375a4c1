import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import gelu, silu
from torch.utils.checkpoint import checkpoint
from transformers.models.gemma2.modeling_gemma2 import Gemma2MLP
from transformers.models.llama.modeling_llama import LlamaMLP

from polylect.models import routed

H, F = 12, 10
ROUTINGS = {
    "spread": lambda t, n, k: torch.rand(t, n).topk(k).indices,
    "an empty expert": lambda t, n, k: torch.rand(t, n - 1).topk(k).indices,
    "all to the last": lambda t, n, k: torch.arange(n).flip(0)[:k].expand(t, k).contiguous(),
}


def make_experts(n, *, bias=False, act="silu", kind=LlamaMLP, dtype=torch.float64):
    config = transformers.LlamaConfig(
        hidden_size=H,
        intermediate_size=F,
        hidden_act=act,
        mlp_bias=bias,
        num_attention_heads=2,
    )
    config.hidden_activation = act
    return torch.nn.ModuleList(kind(config) for _ in range(n)).to(dtype)


def reference(x, index, weight, experts):
    """One token, one expert at a time."""
    rows = []
    for t in range(len(x)):
        row = torch.zeros_like(x[t])
        for j in range(index.shape[1]):
            expert = experts[int(index[t, j])]
            row = row + weight[t, j] * expert(x[t : t + 1])[0]
        rows.append(row)
    return torch.stack(rows)


def gradients(function, x, index, weight, experts, grad):
    x, weight = x.detach().requires_grad_(), weight.detach().requires_grad_()
    experts.zero_grad()
    y = function(x, index, weight, experts)
    y.backward(grad)
    found = {"y": y.detach(), "x": x.grad, "weight": weight.grad}
    found |= {name: one.grad for name, one in experts.named_parameters()}
    return found


def assert_equal(actual, expected, atol=1e-10):
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        value = torch.zeros_like(actual[name]) if value is None else value
        assert torch.allclose(actual[name], value, rtol=0, atol=atol), name


def inputs(t, n, k, routing="spread", seed=0):
    torch.manual_seed(seed)
    x = torch.randn(t, H, dtype=torch.float64)
    index = ROUTINGS[routing](t, n, k)
    return x, index, torch.rand(t, k, dtype=torch.float64), torch.randn(t, H, dtype=torch.float64)


@pytest.mark.parametrize("routing", ROUTINGS)
@pytest.mark.parametrize(("t", "n", "k"), [(9, 4, 1), (9, 4, 2), (1, 4, 1), (1, 5, 2), (7, 3, 2)])
@pytest.mark.parametrize("bias", [False, True])
def test_equals_the_loop_over_tokens(routing, t, n, k, bias):
    x, index, weight, grad = inputs(t, n, k, routing)
    experts = make_experts(n, bias=bias)
    expected = gradients(reference, x, index, weight, experts, grad)
    assert_equal(gradients(routed, x, index, weight, experts, grad), expected)


@pytest.mark.parametrize("bias", [False, True])
def test_every_expert_for_every_token(bias):
    x, index, weight, grad = inputs(6, 4, 4)
    experts = make_experts(4, bias=bias)
    expected = gradients(reference, x, index, weight, experts, grad)
    assert_equal(gradients(routed, x, index, weight, experts, grad), expected)


@pytest.mark.parametrize("kind", [LlamaMLP, Gemma2MLP])
@pytest.mark.parametrize("act", ["silu", "gelu", "gelu_pytorch_tanh", "gelu_new", "relu2"])
def test_activations(act, kind):
    x, index, weight, grad = inputs(8, 3, 2)
    experts = make_experts(3, act=act, kind=kind)
    expected = gradients(reference, x, index, weight, experts, grad)
    assert_equal(gradients(routed, x, index, weight, experts, grad), expected)


@pytest.mark.parametrize("torch_act", [torch.nn.SiLU(), torch.nn.GELU(), torch.nn.Tanh()])
def test_activations_of_torch(torch_act):
    x, index, weight, grad = inputs(8, 3, 2)
    experts = make_experts(3)
    for expert in experts:
        expert.act_fn = torch_act
    expected = gradients(reference, x, index, weight, experts, grad)
    assert_equal(gradients(routed, x, index, weight, experts, grad), expected)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_sizes(data):
    n = data.draw(st.integers(1, 7))
    k = data.draw(st.integers(1, n))
    t = data.draw(st.integers(1, 12))
    torch.manual_seed(data.draw(st.integers(0, 1000)))
    index = torch.tensor([data.draw(st.permutations(range(n)))[:k] for _ in range(t)])
    x, weight = torch.randn(t, H, dtype=torch.float64), torch.randn(t, k, dtype=torch.float64)
    experts, grad = make_experts(n, bias=data.draw(st.booleans())), torch.randn_like(x)
    expected = gradients(reference, x, index, weight, experts, grad)
    assert_equal(gradients(routed, x, index, weight, experts, grad), expected)
    for expert in experts:
        expert.register_forward_hook(lambda *_: None)
    assert_equal(gradients(routed, x, index, weight, experts, grad), expected)


def test_gradcheck():
    x, index, weight, _ = inputs(4, 3, 2)
    experts = make_experts(3, bias=True)
    parameters = list(experts.parameters())
    assert torch.autograd.gradcheck(
        lambda x, weight, *_: routed(x, index, weight, experts),
        (x.requires_grad_(), weight.requires_grad_(), *parameters),
    )


def test_layouts_of_the_inputs():
    x, index, weight, grad = inputs(8, 4, 2)
    experts = make_experts(4)
    expected = gradients(reference, x, index, weight, experts, grad)
    strided = gradients(
        routed, x.t().contiguous().t(), index.t().contiguous().t(),
        weight.t().contiguous().t(), experts, grad.t().contiguous().t(),
    )  # fmt: skip
    assert_equal(strided, expected)
    same = routed(x, index, weight, experts).sum()  # its gradient has stride 0
    same.backward()


def test_no_tokens():
    x = torch.zeros(0, H, dtype=torch.float64, requires_grad=True)
    weight = torch.zeros(0, 2, dtype=torch.float64, requires_grad=True)
    experts = make_experts(3)
    y = routed(x, torch.zeros(0, 2, dtype=torch.int64), weight, experts)
    assert y.shape == (0, H)
    y.sum().backward()
    assert all(not one.grad.any() for one in experts.parameters())
    assert x.grad.shape == (0, H)


def test_an_index_above_is_no_expert():
    x, index, weight, grad = inputs(8, 4, 2)
    experts = make_experts(4, bias=True)
    gone = torch.rand(8, 2) < 0.4
    expected = gradients(reference, x, index, weight.masked_fill(gone, 0), experts, grad)
    expected["weight"] = expected["weight"].masked_fill(gone, 0)
    marked = index.masked_fill(gone, 4)
    assert_equal(gradients(routed, x, marked, weight, experts, grad), expected)
    experts[0].register_forward_hook(lambda *_: None)
    assert_equal(gradients(routed, x, marked, weight, experts, grad), expected)


def test_an_untouched_expert_has_zeros():
    x, index, weight, _ = inputs(5, 4, 1, "all to the last")
    for hooked in (False, True):
        experts = make_experts(4, bias=True)
        if hooked:
            experts[0].register_forward_hook(lambda *_: None)
        routed(x, index, weight, experts).sum().backward()
        for name, one in experts.named_parameters():
            assert one.grad is not None, name
            assert bool(one.grad.any()) == name.startswith("3."), name


@pytest.mark.parametrize("frozen", ["all", "gate_proj", "down_proj", "0.", "x", "weight"])
def test_what_is_frozen_has_no_gradient(frozen):
    x, index, weight, grad = inputs(8, 3, 2)
    experts = make_experts(3, bias=True)
    expected = gradients(reference, x, index, weight, experts, grad)
    for name, one in experts.named_parameters():
        one.requires_grad_(not (frozen == "all" or frozen in name))
    experts.zero_grad()
    x = x.detach().requires_grad_(frozen != "x")
    weight = weight.detach().requires_grad_(frozen != "weight")
    routed(x, index, weight, experts).backward(grad)
    for name, one in (*experts.named_parameters(), ("x", x), ("weight", weight)):
        if one.requires_grad:
            assert torch.allclose(one.grad, expected[name], rtol=0, atol=1e-10), name
        else:
            assert one.grad is None


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointed_and_used_twice(reentrant):
    x, index, weight, grad = inputs(8, 4, 2)
    experts = make_experts(4)

    def twice(function):
        def run(x, index, weight, experts):
            once = function(x, index, weight, experts)
            return function(once, index.flip(0), weight, experts)

        return run

    def saved(x, index, weight, experts):
        return checkpoint(twice(routed), x, index, weight, experts, use_reentrant=reentrant)

    expected = gradients(twice(reference), x, index, weight, experts, grad)
    assert_equal(gradients(saved, x, index, weight, experts, grad), expected)


def test_no_grad_and_inference():
    x, index, weight, _ = inputs(8, 4, 2)
    experts = make_experts(4)
    expected = routed(x, index, weight, experts)
    for context in (torch.no_grad(), torch.inference_mode()):
        with context:
            actual = routed(x, index, weight, experts)
        assert torch.equal(actual, expected.detach())
        assert not actual.requires_grad


@pytest.mark.parametrize("bias", [False, True])
def test_autocast(bias):
    x, index, weight, grad = (one.float() if one.is_floating_point() else one
                              for one in inputs(32, 4, 2))  # fmt: skip
    experts = make_experts(4, bias=bias, dtype=torch.float32)
    exact = gradients(routed, x, index, weight, experts, grad)

    def autocast(*arguments):
        with torch.autocast("cpu", torch.bfloat16):
            return routed(*arguments)

    found = gradients(autocast, x, index, weight, experts, grad)
    for name, value in exact.items():
        assert found[name].dtype == torch.float32
        assert (found[name] - value).norm() <= 0.02 * value.norm().clamp(min=1e-3), name


def test_half_precision():
    x, index, weight, grad = inputs(32, 4, 2)
    experts = make_experts(4, dtype=torch.float32)
    exact = gradients(routed, x.float(), index, weight.float(), experts, grad.float())
    low = gradients(
        routed, x.bfloat16(), index, weight.float(), experts.bfloat16(), grad.bfloat16()
    )
    for name, value in exact.items():
        assert low[name].dtype == (torch.float32 if name == "weight" else torch.bfloat16)
        assert (low[name].float() - value).norm() <= 0.02 * value.norm(), name


def test_saves_nothing_of_the_size_of_all_rows_but_the_first_products():
    x, index, weight, _ = inputs(8, 4, 2)
    experts = make_experts(4)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda one: kept.append(one) or one, lambda one: one
    ):
        routed(x.requires_grad_(), index, weight, experts)
    own = {one.data_ptr() for one in experts.parameters()}
    rest = sum(one.numel() for one in kept if one.data_ptr() not in own)
    assert rest <= 8 * H + 2 * 8 * (2 + 2 * F)


def test_equal_runs_give_equal_bytes():
    x, index, weight, grad = inputs(40, 5, 2)
    experts = make_experts(5, dtype=torch.float32)
    runs = [
        gradients(routed, x.float(), index, weight.float(), experts, grad.float()) for _ in range(2)
    ]
    for name, value in runs[0].items():
        assert torch.equal(value, runs[1][name])


def test_a_subclass_with_another_forward_is_called():
    class Doubled(LlamaMLP):
        def forward(self, x):
            return 2 * super().forward(x)

    x, index, weight, grad = inputs(8, 3, 2)
    experts = make_experts(3, kind=Doubled)
    expected = gradients(reference, x, index, weight, experts, grad)
    assert_equal(gradients(routed, x, index, weight, experts, grad), expected)


def test_reference_is_what_the_experts_compute():
    experts, x = make_experts(1), torch.randn(1, H, dtype=torch.float64)
    one = experts[0]
    by_hand = silu(x @ one.gate_proj.weight.t()) * (x @ one.up_proj.weight.t())
    assert torch.allclose(one(x), by_hand @ one.down_proj.weight.t())
    assert not torch.allclose(silu(x), gelu(x))
