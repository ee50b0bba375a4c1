"""The guide's table of architectures: a step of training is that of a plain loop."""

import json

import pytest
import torch
from align_cases import write_lines
from architecture_matrix import (
    ARCHITECTURES,
    check_refusal,
    plain_model,
    table_of_the_guide,
    write_architecture,
)

from polylect.base import InputError, Ledger
from polylect.models import SEPARATE
from polylect.runs import Call, Files, execute_into
from polylect.training import (
    ExamplesConfig,
    OptimConfig,
    PreferenceConfig,
    SftConfig,
    open_policy,
    preference,
    sft,
)
from polylect.training.preference_loop import load_examples as load_pairs
from polylect.training.sft_loop import load_examples as load_chats

TABLE = table_of_the_guide()
RATE = 1e-3
OPTIM = OptimConfig(
    learning_rate=RATE, warmup=0.0, schedule="constant", weight_decay=0.0, max_grad_norm=0.0
)
EXAMPLES = ExamplesConfig(epochs=1, batch_size=4, template="plain", probes=0)
ENDS = ("small", "white", "alt", "and")


def log_probabilities(model, ids, num):
    """Of the last tokens of a sequence, with gradient."""
    row = torch.tensor([[*map(int, ids)]])
    logits = model(row, use_cache=False).logits[0, :-1].log_softmax(dim=1)
    return logits.gather(1, row[0, 1:, None])[-num:, 0]


def check_step(folder, out, loss_of, cell, ledger):
    """Loss, gradient norm and weights after a step against a plain loop's."""
    if cell == "random":  # PhiMoE's router draws experts in training mode, in transformers too
        assert plain_model(out).config.model_type == "phimoe"
        return
    plain = plain_model(folder)
    loss = loss_of(plain)
    loss.backward()
    loss = float(loss.detach())
    grads = {
        name: value.grad.clone()
        for name, value in plain.named_parameters()
        if value.grad is not None
    }
    row = json.loads((out / "metrics.jsonl").read_text().splitlines()[0])
    norm = torch.stack([grad.norm() for grad in grads.values()]).norm()
    assert row["loss"] == pytest.approx(loss, rel=1e-4)
    assert row["gradient_norm"] == pytest.approx(float(norm), rel=1e-3)
    torch.optim.AdamW(plain.parameters(), lr=RATE, betas=(0.9, 0.95), weight_decay=0.0).step()
    trained = dict(plain_model(out).named_parameters())
    for name, expected in plain.named_parameters():
        # Adam's first step is the gradient's sign: where it is all but zero, rounding decides.
        grad = grads.get(name, torch.zeros_like(expected))
        clear = (grad.abs() > 1e-4 * norm) | (name not in grads)
        difference = torch.where(clear, (trained[name] - expected).detach().abs(), 0.0)
        assert float(difference.max()) < RATE / 20, name
    assert cell == ("apart" if ledger.total(SEPARATE) else "yes")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_step_of_sft_is_a_plain_loops(name, tmp_path):
    folder, cell = tmp_path / "model", TABLE[name]["train sft"]
    write_architecture(name, folder)
    rows = [
        {"language": "en", "messages": [
            {"role": "user", "content": f"the house is {end}"},
            {"role": "assistant", "content": f"das Haus ist klein {end}"},
        ]}
        for end in ENDS
    ]  # fmt: skip
    data = write_lines(tmp_path / "chats.jsonl", rows)
    config = SftConfig(examples=EXAMPLES, optim=OPTIM)
    inputs = {"model": Files(folder), "data": Files(data)}
    out, ledger = tmp_path / "run" / "out", Ledger()
    try:
        execute_into(Call(sft, "out", config, inputs), out)
    except InputError as error:
        check_refusal(cell, error)
        return
    policy = open_policy(folder, EXAMPLES, ledger)
    _, chats = load_chats(config, policy, data, Ledger())
    policy.load()

    def loss_of(model):
        total, num = 0.0, 0
        for chat in chats:
            trained = torch.from_numpy(chat.trained[1:].astype(bool))
            total = total - log_probabilities(model, chat.ids, len(chat.ids) - 1)[trained].sum()
            num += int(trained.sum())
        return total / num

    check_step(folder, out, loss_of, cell, ledger)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_step_of_dpo_is_a_plain_loops(name, tmp_path):
    folder, cell = tmp_path / "model", TABLE[name]["train prefer"]
    write_architecture(name, folder)
    rows = [
        {"language": "en", "prompt": f"the house is {end}", "chosen": f"das Haus ist klein {end}",
         "rejected": "und alt alt"}
        for end in ENDS
    ]  # fmt: skip
    data = write_lines(tmp_path / "pairs.jsonl", rows)
    config = PreferenceConfig(examples=EXAMPLES, optim=OPTIM)
    inputs = {"model": Files(folder), "data": Files(data)}
    out, ledger = tmp_path / "run" / "out", Ledger()
    try:
        execute_into(Call(preference, "out", config, inputs), out)
    except InputError as error:
        check_refusal(cell, error)
        return
    policy = open_policy(folder, EXAMPLES, ledger)
    _, pairs = load_pairs(config, policy, data, Ledger())
    policy.load()

    def loss_of(model):
        losses = []
        for pair in pairs:
            ratios = []
            for ids in (pair.chosen, pair.rejected):
                value = log_probabilities(model, [*pair.prompt, *ids], len(ids)).sum()
                ratios.append(value - value.detach())
            margin = config.kl_coefficient * (ratios[0] - ratios[1])
            losses.append(-torch.nn.functional.logsigmoid(margin))
        return torch.stack(losses).mean()

    check_step(folder, out, loss_of, cell, ledger)


def test_training_stops_where_longrope_rotates_all_positions_otherwise(tmp_path):
    folder = tmp_path / "model"
    write_architecture("Phi 3, LongRoPE", folder)
    assert open_policy(folder, EXAMPLES, Ledger()).context_tokens == 32
    longer = ExamplesConfig(context_tokens=64)
    with pytest.raises(InputError, match=r"takes 32 in training .LongRoPE.*tokens 32"):
        open_policy(folder, longer, Ledger())
