"""Training of Nexus models: balance whatever the micro-batches, what is frozen, the oracle."""

import json

import pytest
import torch
from align_cases import chat_rows, write_lines, write_model
from safetensors.numpy import load_file

import polylect as pl
from polylect.base import InputError
from polylect.checkpoints import Checkpoint
from polylect.models import blocks_of, family_classes, given_experts, load_model
from polylect.text import Segment, pack
from polylect.training.mesh import Mesh
from polylect.training.pretrain_loop import gradients

LANGUAGES = ["de", "hi", "tr"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nexus")
    write_model(folder / "model", kind="nexus")
    write_lines(folder / "chats.jsonl", chat_rows(12))
    texts = [{"text": f"{tag} text number {i} of a few words", "language": tag}
             for tag in LANGUAGES for i in range(12)]  # fmt: skip
    write_lines(folder / "text.jsonl", texts)
    return folder


def rows_of_text(num=6, length=9):
    random = torch.Generator().manual_seed(1)
    rows = []
    for i in range(num):
        ids = torch.randint(4, 300, (length + i,), generator=random).numpy()
        weight = torch.ones(len(ids)).numpy()
        weight[0] = 0
        rows.append(Segment(ids, weight, LANGUAGES[i % 3]))
    return rows


def gradients_of(model, rows):
    model.zero_grad()
    metrics = gradients(model, rows, Mesh(alone=True))
    return metrics, {name: p.grad.clone() for name, p in model.named_parameters()
                     if p.grad is not None}  # fmt: skip


@pytest.mark.parametrize("coefficient", [0.0, 0.5])
def test_one_pass_is_several(place, coefficient):
    model = load_model(Checkpoint.open(place / "model")).train()
    model.config.router_aux_loss_coef = coefficient
    segments = rows_of_text()
    whole, expected = gradients_of(model, [pack(segments)])
    parts, found = gradients_of(
        model, [pack(segments[:1]), pack(segments[1:4]), pack(segments[4:])]
    )
    assert ("balance_loss" in whole) == bool(coefficient)
    assert parts.get("balance_loss", 0) == pytest.approx(whole.get("balance_loss", 0), rel=1e-5)
    assert parts["loss"] == pytest.approx(whole["loss"], rel=1e-6)
    for name, gradient in expected.items():
        # An expert that no token of a part reaches adds nothing.
        assert torch.allclose(found[name], gradient, atol=1e-6 + 1e-5 * float(gradient.abs().max()))


def test_the_balance_loss_evens_out_what_experts_do(place, tmp_path):
    """An untrained router that favors one expert: with the loss, its choices spread."""
    shares = {}
    for name, coefficient in (("without", 0.0), ("with", 1.0)):
        model = load_model(Checkpoint.open(place / "model")).train()
        model.config.router_aux_loss_coef = coefficient
        routers = [p for block in blocks_of(model) for p in block.router.parameters()]
        optimizer = torch.optim.Adam(routers, lr=3e-3)
        rows = [pack(rows_of_text(24))]
        for _ in range(60):
            gradients(model, rows, Mesh(alone=True))
            optimizer.step()
            model.zero_grad()
        model.config.router_aux_loss_coef = 1.0
        shares[name] = gradients(model, rows, Mesh(alone=True))["balance_loss"] / 2
    assert shares["with"] < shares["without"]
    assert 0.99 <= shares["with"] < 1.3  # 1 where all experts do as much


def test_pretraining_writes_a_checkpoint_that_goes_on(place, tmp_path):
    first = pl.train.pretrain(place / "model", place / "text.jsonl", tokens=600, batch_tokens=200,
                              micro_batch_tokens=100, context_tokens=64, learning_rate=1e-3,
                              out=tmp_path / "one")  # fmt: skip
    second = pl.train.sft(first.path, place / "chats.jsonl", epochs=1, batch_size=4, probes=0,
                          learning_rate=1e-3, out=tmp_path / "two")  # fmt: skip
    before, after = Checkpoint.open(place / "model"), Checkpoint.open(second.path)
    assert after.config["expert_names"] == before.config["expert_names"]
    assert after.config["model_type"] == "nexus_llama"
    lines = (second.path / "metrics.jsonl").read_text().splitlines()
    assert all(json.loads(line)["balance_loss"] > 0 for line in lines)
    old, new = (
        load_file(before.path / "model.safetensors"),
        load_file(after.path / "model.safetensors"),
    )
    assert old.keys() == new.keys()
    for name, value in old.items():
        assert (value == new[name]).all() == name.endswith("router.domains"), name


def test_what_is_frozen_stays(place, tmp_path):
    patterns = ["*.experts.[0-3].*", "*.shared_expert.*", "*.self_attn.*", "*norm*"]
    result = pl.train.sft(place / "model", place / "chats.jsonl", epochs=1, batch_size=4, probes=0,
                          learning_rate=1e-3, freeze=patterns, out=tmp_path / "out")  # fmt: skip
    old, new = (load_file(path / "model.safetensors") for path in (place / "model", result.path))
    changed = {name for name in old if not (old[name] == new[name]).all()}
    assert changed
    assert all("experts.4." in n or "router.proj" in n or "embed" in n for n in changed), changed


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"freeze": ["*.experts.9.*"]}, "matches no parameter of the model"),
        ({"freeze": ["*"]}, "nothing is left to train"),
        ({"freeze": ["*"], "lora_rank": 2}, "freeze with lora_rank"),
    ],
)
def test_a_mistake_about_freezing_is_one_line(place, tmp_path, options, words):
    with pytest.raises(InputError, match=words):
        pl.train.sft(place / "model", place / "chats.jsonl", out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def oracle(languages):
    config = family_classes("llama")[0](
        vocab_size=320, hidden_size=32, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128, pad_token_id=0,
        num_experts=len(languages), router_type="oracle", domain_size=0,
        expert_names=[f"e{i}" for i in range(len(languages))],
        domains=[{"languages": tags} for tags in languages],
    )  # fmt: skip
    torch.manual_seed(0)
    return family_classes("llama")[2](config)


def test_the_oracle_sends_text_to_the_expert_of_its_language(tmp_path):
    model = oracle([["de"], ["hi", "tr"], ["el"]])
    model.save_pretrained(tmp_path / "model")
    write_tokenizer = write_model(tmp_path / "other")
    for path in write_tokenizer.iterdir():
        if path.name.startswith("tokenizer"):
            (tmp_path / "model" / path.name).write_bytes(path.read_bytes())
    model = load_model(Checkpoint.open(tmp_path / "model")).train()
    segments = rows_of_text()
    _, found = gradients_of(model, [pack(segments)])
    reached = {name.split(".experts.")[1][0] for name in found if ".experts." in name
               and float(found[name].abs().max()) > 0}  # fmt: skip
    assert reached == {"0", "1"}
    # The same as telling every token by hand.
    lengths = [len(segment.ids) for segment in segments]
    told = torch.tensor([0, 1, 1] * 2).repeat_interleave(torch.tensor(lengths))
    with given_experts(model, told):
        _, expected = gradients_of(model, [pack(segments)])
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    segments[0] = Segment(segments[0].ids, segments[0].loss_weight, "ja")
    with pytest.raises(InputError, match=r"no domain is of 'ja' \(known: de, el, hi, tr\)"):
        gradients_of(model, [pack(segments)])


def test_an_oracle_cannot_tell_two_domains_of_one_language_apart():
    model = oracle([["de"], ["hi", "de"]])
    with pytest.raises(InputError, match="the domains of e0 and e1 both have text in 'de'"):
        gradients_of(model, [pack(rows_of_text())])


def test_all_experts_learn_while_training_and_the_model_keeps_its_number(place):
    model = load_model(Checkpoint.open(place / "model")).train()
    own = blocks_of(model)[0].top_k
    num = len(blocks_of(model)[0].experts)
    rows = [pack(rows_of_text())]
    model.zero_grad()
    metrics = gradients(model, rows, Mesh(alone=True), num)
    found = {name: p.grad.clone() for name, p in model.named_parameters()}
    assert "balance_loss" not in metrics  # constant, without a gradient
    assert [block.top_k for block in blocks_of(model)] == [own] * len(blocks_of(model))
    assert all(float(found[name].abs().max()) > 0 for name in found if ".experts." in name)
    # The oracle: the sum over all experts, written out.
    model.zero_grad()
    for block in blocks_of(model):
        block.forward = dense_forward(block)
    model.config.router_aux_loss_coef = 0.0
    expected = gradients(model, rows, Mesh(alone=True))
    assert metrics["loss"] == pytest.approx(expected["loss"], rel=1e-6)
    for name, p in model.named_parameters():
        assert torch.allclose(found[name], p.grad, atol=1e-6 + 1e-5 * float(p.grad.abs().max()))


def dense_forward(block):
    def forward(hidden):
        gates = torch.softmax(block.router(hidden), dim=-1)
        routed = sum(gates[..., i, None] * expert(hidden) for i, expert in enumerate(block.experts))
        return block.shared_expert(hidden) + routed

    return forward


def test_routers_learn_at_a_rate_of_their_own(place, tmp_path):
    """After one update of Adam every weight has moved by the rate, but for the decay."""
    moved = {}
    for ratio in (1.0, 5.0):
        result = pl.train.pretrain(
            place / "model", place / "text.jsonl", tokens=64, batch_tokens=2000, context_tokens=64,
            learning_rate=1e-3, weight_decay=0, warmup=0, router_lr_ratio=ratio,
            experts_per_token=3, out=tmp_path / f"{ratio}",
        )  # fmt: skip
        assert Checkpoint.open(result.path).config["num_experts_per_tok"] == 1
        old, new = (
            load_file(path / "model.safetensors") for path in (place / "model", result.path)
        )
        for name in old:
            moved.setdefault(name, []).append(float(abs(new[name] - old[name]).max()))
    for name, (once, five) in moved.items():
        if "router.proj" in name:
            assert five == pytest.approx(5 * once, rel=1e-3), name
        else:
            assert five == once, name


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"experts_per_token": 99}, "experts_per_token=99: the model has 5"),
        ({"experts_per_token": -1}, "experts_per_token"),
        ({"router_lr_ratio": 0}, "router_lr_ratio"),
    ],
)
def test_a_mistake_about_routers_is_one_line(place, tmp_path, options, words):
    with pytest.raises(InputError, match=words):
        pl.train.pretrain(place / "model", place / "text.jsonl", out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("options", [{"experts_per_token": 2}, {"router_lr_ratio": 5.0}])
def test_a_dense_model_has_no_routers(place, tmp_path, options):
    write_model(tmp_path / "dense")
    with pytest.raises(InputError, match="the model has no"):
        pl.train.pretrain(tmp_path / "dense", place / "text.jsonl", out=tmp_path / "out", **options)
