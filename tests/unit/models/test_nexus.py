"""The Nexus block against a float64 reference, and Nexus models against their families."""

import copy

import pytest
import torch
import transformers as hf
from torch.nn.functional import silu, softmax

from polylect.base import InputError
from polylect.models import (
    FAMILIES,
    Balance,
    NexusBlock,
    Routing,
    blocks_of,
    family_classes,
    given_experts,
    mlp_router_size,
    register_nexus,
    routing_of,
    watched_routing,
)
from polylect.models.dispatch import _is_plain
from polylect.models.nexus import LinearRouter, MlpRouter, NexusRouter
from polylect.models.reward import reward_model

WIDTH, HIDDEN, DOMAIN = 10, 7, 5
SHAPE = {
    "vocab_size": 61, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
HEADS = {"qwen3", "gemma", "gemma2", "gemma3_text"}


class FeedForward(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.gate_proj = torch.nn.Linear(WIDTH, HIDDEN, bias=False)
        self.up_proj = torch.nn.Linear(WIDTH, HIDDEN, bias=False)
        self.down_proj = torch.nn.Linear(HIDDEN, WIDTH, bias=False)
        self.act_fn = silu

    def forward(self, x):
        return self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x))


def make_router(kind, num_experts):
    match kind:
        case "nexus":
            router = NexusRouter(WIDTH, num_experts, DOMAIN)
            router.domains.normal_()
        case "linear":
            router = LinearRouter(WIDTH, num_experts)
        case "mlp":
            router = MlpRouter(WIDTH, num_experts, mlp_router_size(WIDTH, num_experts, DOMAIN))
    for parameter in router.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return router


def make_block(kind="nexus", num_experts=4, top_k=1):
    torch.manual_seed(3)
    block = NexusBlock(
        FeedForward(), [FeedForward() for _ in range(num_experts)],
        make_router(kind, num_experts), top_k=top_k, number=0, routing=Routing(),
    )  # fmt: skip
    return block.double()


def logits_of(block, x):
    """The router's logits, written out."""
    router = block.router
    if isinstance(router, NexusRouter):
        hidden = router.domains @ router.proj_in.weight.T
        half = hidden.shape[1] // 2
        rows = (silu(hidden[:, :half]) * hidden[:, half:]) @ router.proj_out.weight.T
        return x @ rows.T
    if isinstance(router, LinearRouter):
        return x @ router.rows.weight.T
    hidden = x @ router.proj_in.weight.T
    half = hidden.shape[1] // 2
    return (silu(hidden[:, :half]) * hidden[:, half:]) @ router.proj_out.weight.T


def reference(block, x):
    """The block, token by token."""
    rows = []
    for token, logits in zip(x, logits_of(block, x), strict=True):
        gates = softmax(logits, dim=0)
        output = block.shared_expert(token)
        for number in gates.topk(block.top_k).indices.tolist():
            output = output + gates[number] * block.experts[number](token)
        rows.append(output)
    return torch.stack(rows)


@pytest.mark.parametrize("kind", ["nexus", "linear", "mlp"])
@pytest.mark.parametrize("top_k", [1, 2, 4])
@pytest.mark.parametrize("num_tokens", [1, 2, 33])
def test_the_block_and_every_gradient_equal_a_reference(kind, top_k, num_tokens):
    block = make_block(kind, top_k=top_k)
    x = torch.randn(num_tokens, WIDTH, dtype=torch.float64)
    target = torch.randn_like(x)
    results = []
    for forward in (block, lambda x: reference(block, x)):
        block.zero_grad()
        inputs = x.clone().requires_grad_()
        output = forward(inputs)
        (output * target).sum().backward()
        gradients = {name: p.grad for name, p in block.named_parameters()}
        results.append((output, inputs.grad, gradients))
    (output, of_input, gradients), (expected, of_input_expected, expected_gradients) = results
    assert torch.allclose(output, expected, atol=1e-10, rtol=0)
    assert torch.allclose(of_input, of_input_expected, atol=1e-10, rtol=0)
    for name, gradient in gradients.items():
        other = expected_gradients[name]
        gradient = torch.zeros(()) if gradient is None else gradient
        other = torch.zeros(()) if other is None else other
        assert torch.allclose(gradient.double(), other.double(), atol=1e-10, rtol=0), name


@pytest.mark.parametrize("num_tokens", [1, 9])
def test_all_tokens_may_go_to_one_expert(num_tokens):
    block = make_block()
    x = torch.randn(num_tokens, WIDTH, dtype=torch.float64)
    block.routing.given = torch.full((num_tokens,), 2)
    expected = block.shared_expert(x) + block.experts[2](x)
    assert torch.allclose(block(x), expected, atol=1e-12)


def test_shapes_beyond_two_dimensions():
    block = make_block(top_k=2)
    x = torch.randn(2, 3, WIDTH, dtype=torch.float64)
    assert torch.equal(block(x).view(-1, WIDTH), block(x.view(-1, WIDTH)))


def test_the_rows_of_a_router_are_kept_until_a_weight_changes():
    router = make_block().router.eval()
    with torch.no_grad():
        rows = router.rows()
        assert router.rows() is rows
        for tensor in (router.domains, router.proj_in.weight, router.proj_out.weight):
            before = router.rows().clone()
            tensor.mul_(1.5)
            assert not torch.equal(router.rows(), before)
    assert router.rows().requires_grad
    assert copy.deepcopy(router)._kept is None
    assert router._kept
    assert router.train()._kept is None
    with torch.no_grad():
        assert router.rows() is not router.rows()


def test_a_router_has_as_many_parameters_whatever_the_number_of_experts():
    sizes = {n: sum(p.numel() for p in make_router("nexus", n).parameters()) for n in (2, 9)}
    assert sizes[2] == sizes[9] == 2 * WIDTH * DOMAIN + WIDTH**2
    for width, n, m in ((64, 4, 64), (2560, 6, 1024), (16, 3, 5)):
        size = mlp_router_size(width, n, m)
        parameters = size * (2 * width + n)
        assert abs(parameters - (2 * width * m + width**2)) <= (2 * width + n) / 2


@pytest.mark.parametrize("top_k", [1, 2])
def test_the_parts_of_a_balance_loss_add_up(top_k):
    block = make_block(num_experts=5, top_k=top_k).float()
    x = torch.randn(40, WIDTH)

    def gradients(passes, balance):
        block.zero_grad()
        loss = 0.0
        for part in passes:
            block.routing.balance = balance
            (block(part) * 0).sum().backward()
            loss += block.routing.balance_loss[0]
        return loss, [parameter.grad.clone() for parameter in block.router.parameters()]

    whole_loss, whole = gradients([x], Balance(0.1, 40))
    gates = softmax(block.router(x), dim=-1)
    shares = torch.bincount(gates.topk(top_k).indices.flatten(), minlength=5) / (40 * top_k)
    direct = 0.1 * 5 * (shares * gates.mean(dim=0)).sum()
    assert whole_loss == pytest.approx(float(direct.detach()), rel=1e-6)
    expected = torch.autograd.grad(direct, list(block.router.parameters()))
    parts_loss, parts = gradients([x[:7], x[7:]], Balance(0.1, 40, shares[None]))
    assert parts_loss == pytest.approx(whole_loss, rel=1e-6)
    for one, two, three in zip(whole, parts, expected, strict=True):
        assert torch.allclose(one, three, atol=1e-7)
        assert torch.allclose(two, three, atol=1e-7)


def config_of(family, **more):
    """A small config, of the dense family or of its Nexus."""
    dense = family_classes(family)[0].__mro__[1]
    shape = SHAPE | ({"head_dim": 8} if family in HEADS else {})
    window = {"sliding_window": 8} if "sliding_window" in dense.__dataclass_fields__ else {}
    kind = family_classes(family)[0] if more else dense
    return kind(**shape, **window, **more)


NEXUS = {"num_experts": 3, "domain_size": 4}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_without_routed_outputs_is_its_shared_dense_model(family):
    torch.manual_seed(0)
    dense = hf.AutoModelForCausalLM.from_config(config_of(family)).eval()
    config = config_of(family, **NEXUS, num_experts_per_tok=3)
    nexus = family_classes(family)[2](config).eval()
    state = {name.replace(".mlp.", ".mlp.shared_expert."): value
             for name, value in dense.state_dict().items()}  # fmt: skip
    result = nexus.load_state_dict(state, strict=False)
    assert not result.unexpected_keys
    assert all(".experts." in key or ".router." in key for key in result.missing_keys)
    ids = torch.randint(3, 61, (2, 20))
    with torch.no_grad():
        for block in blocks_of(nexus):
            for expert in block.experts:
                expert.down_proj.weight.zero_()
        expected = dense(ids).logits
        assert torch.allclose(nexus(ids).logits, expected, atol=1e-5)
        # Experts like the shared one whose gates sum to one double the feed-forward.
        for layer, block in zip(dense.model.layers, blocks_of(nexus), strict=True):
            for expert in block.experts:
                expert.load_state_dict(layer.mlp.state_dict())
            layer.mlp.down_proj.weight.mul_(2)
        doubled = dense(ids).logits
        assert not torch.allclose(doubled, expected, atol=1e-5)
        assert torch.allclose(nexus(ids).logits, doubled, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("router", ["nexus", "linear", "mlp"])
def test_transformers_saves_and_loads_a_model(family, router, tmp_path):
    config = config_of(family, **NEXUS, router_type=router, router_size=3)
    torch.manual_seed(0)
    model = family_classes(family)[2](config).eval()
    for block in blocks_of(model):
        if router == "nexus":
            block.router.domains.normal_()
    model.save_pretrained(tmp_path)
    loaded, about = hf.AutoModelForCausalLM.from_pretrained(
        tmp_path, attn_implementation=model.config._attn_implementation, output_loading_info=True
    )
    assert not about["missing_keys"]
    assert not about["unexpected_keys"]
    ids = torch.randint(3, 61, (2, 20))
    with torch.no_grad():
        expected = model(ids)
        assert torch.equal(loaded.eval()(ids).logits, expected.logits)
        body = hf.AutoModel.from_pretrained(
            tmp_path, attn_implementation=model.config._attn_implementation
        )
        assert type(body) is family_classes(family)[1]
        assert torch.equal(body.eval()(ids).last_hidden_state, model.model(ids).last_hidden_state)
    answers = [each.generate(ids[:1], max_new_tokens=4, do_sample=False)
               for each in (model, loaded)]  # fmt: skip
    assert torch.equal(*answers)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_familys_experts_are_computed_together(family):
    block = blocks_of(family_classes(family)[2](config_of(family, **NEXUS)))[0]
    assert all(map(_is_plain, block.experts))


def test_a_router_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="nexus, linear, mlp or oracle"):
        family_classes("llama")[2](config_of("llama", **NEXUS, router_type="hash"))


def test_the_oracle_wants_to_be_told():
    model = family_classes("llama")[2](config_of("llama", **NEXUS, router_type="oracle")).eval()
    ids = torch.randint(3, 61, (1, 6))
    with pytest.raises(InputError, match="which domain the text is of"):
        model(ids)
    with given_experts(model, torch.tensor([0, 0, 1, 1, 2, 2])):
        model(ids)
    assert routing_of(model).given is None


def test_routing_can_be_watched():
    model = family_classes("qwen2")[2](config_of("qwen2", **NEXUS, num_experts_per_tok=2)).eval()
    with watched_routing(model) as seen, torch.no_grad():
        model(torch.randint(3, 61, (2, 5)))
    assert [(block, gates.shape, choices.shape) for block, gates, choices in seen] == [
        (0, (10, 3), (10, 2)), (1, (10, 3), (10, 2))
    ]  # fmt: skip
    assert routing_of(model).seen is None
    assert routing_of(hf.LlamaForCausalLM(hf.LlamaConfig(**SHAPE))) is None


@pytest.mark.parametrize("family", ["llama", "gemma2", "cohere2"])
def test_a_reward_model_of_a_nexus(family):
    model = family_classes(family)[2](config_of(family, **NEXUS)).eval()
    reward = reward_model(model, 0)
    assert len(blocks_of(reward)) == 2
    assert reward(torch.randint(3, 61, (1, 6))).logits.shape == (1, 1)


def test_only_known_families_are_registered():
    register_nexus({"model_type": "llama"})
    register_nexus({"model_type": "nexus_unknown"})
    register_nexus({})
