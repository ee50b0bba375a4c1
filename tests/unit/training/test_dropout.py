"""Dropout: in fine-tuning as in transformers; never in what is measured, nor in preferences."""

import json

import numpy as np
import pytest
import torch
import transformers
from align_cases import chat_rows, pair_rows, write_lines, write_model

from polylect.base import Ledger
from polylect.cli import main
from polylect.models import load_model
from polylect.recipes import find_reward
from polylect.rows import read_preferences, read_prompts
from polylect.runs import Call, Files, execute_into
from polylect.training import (
    ExamplesConfig,
    OnlineConfig,
    OptimConfig,
    PreferenceConfig,
    RewardConfig,
    SftConfig,
    encode_prompts,
    objectives,
    online,
    open_policy,
    preference,
    read_groups,
    reward,
    sft,
)
from polylect.training.callbacks import probe
from polylect.training.encode import encode_preferences
from polylect.training.modes import DROPOUT_OFF, dropout_of, evaluating

KINDS = ("gpt2", "opt", "llama")
# So small a rate leaves the weights as they were: what is measured is known in closed form.
STILL = OptimConfig(learning_rate=1e-30, weight_decay=0.0)
FIRST_LOSS = {
    "dpo": np.log(2),
    "robust-dpo": np.log(2),
    "ipo": (1 / (2 * 0.1)) ** 2,
    "ipo-mean": (1 / (2 * 0.1)) ** 2,
    "slic": 1.0,
    "kto": 1.0,
    "srpo": 0.25,
    "copg": 0.25,
}
"""Losses of a policy that is its reference, with the defaults."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dropout")
    for kind in KINDS:
        write_model(folder / kind, kind=kind)
    write_lines(folder / "pairs.jsonl", pair_rows(12))
    write_lines(folder / "chats.jsonl", chat_rows(8))
    (folder / "own.py").write_text(
        "def letters(messages, answer, language):\n    return answer.count('e') / 10\n"
    )
    return folder


def examples(**more):
    settings = {"epochs": 1, "batch_size": 6, "micro_batch_tokens": 150, "probe_tokens": 6}
    return ExamplesConfig(**(settings | more))


def rows_of(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def run_step(place, out, step, kind, config, *, held_out=True):
    inputs = {"model": Files(place / kind), "data": Files(place / "pairs.jsonl")}
    if held_out:
        inputs["held_out"] = Files(place / "pairs.jsonl")
    return execute_into(Call(step, "out", config, inputs), out / "out")


@pytest.mark.parametrize(
    ("kind", "objective"),
    [*(("gpt2", name) for name in FIRST_LOSS), ("opt", "ipo-mean"), ("opt", "srpo"),
     ("llama", "dpo"), ("llama", "srpo")],
)  # fmt: skip
def test_a_policy_that_is_its_reference_has_the_closed_forms_loss(place, tmp_path, kind, objective):
    config = PreferenceConfig(examples=examples(), optim=STILL, objective=objective)
    artifact = run_step(place, tmp_path, preference, kind, config)
    for row in rows_of(artifact.path):
        assert row["loss"] == pytest.approx(FIRST_LOSS[objective], rel=1e-3)
        assert row["log_ratio_chosen"] == pytest.approx(0, abs=1e-3)
    assert rows_of(artifact.path)[0]["probe_start"]["kl"] == pytest.approx(0, abs=1e-4)
    from polylect.comparison import read_model

    table = read_model(artifact.path).table
    assert set(table.only(metric="acc").frame["value"]) == {0.5}
    assert set(table.only(metric="margin").frame["value"]) == {0.0}
    counted = artifact.ledger.by_event()
    assert counted.get(DROPOUT_OFF, 0) == int(kind != "llama")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("objective", ["dpo", "simpo"])
def test_its_gradient_is_that_of_plain_passes_in_evaluation_mode(place, kind, objective, recompute):
    """The objectives' losses of transformers' own log-probabilities, without dropout."""
    from polylect.training.preference_loop import gradients

    config = PreferenceConfig(examples=examples(recompute=recompute), objective=objective)
    policy = open_policy(place / kind, config.examples, Ledger())
    rows = read_preferences(place / "pairs.jsonl")
    pairs = encode_preferences(rows, policy.style, 128, "refuse", Ledger())[:4]
    plain = transformers.AutoModelForCausalLM.from_pretrained(place / kind).eval()
    values = []
    for pair in pairs:
        for answer in (pair.chosen, pair.rejected):
            ids = torch.from_numpy(np.concatenate([pair.prompt, answer]).astype(np.int64))
            logits = plain(ids[None]).logits[0, :-1].log_softmax(dim=1)
            values.append(logits[torch.arange(len(ids) - 1), ids[1:]][-len(answer) :].sum())
    policy_values = torch.stack(values).view(-1, 2)
    lengths = torch.tensor([[len(pair.chosen), len(pair.rejected)] for pair in pairs])
    reference = policy_values.detach() - torch.tensor([1.0, -2.0])
    if objective == "dpo":
        ratios = policy_values - reference
        loss = objectives.dpo(ratios[:, 0], ratios[:, 1]).mean()
    else:
        loss = objectives.simpo(*policy_values.unbind(1), *lengths.unbind(1)).mean()
    loss.backward()
    model = policy.load()
    known = {"sequences": reference.numpy()}
    metrics = gradients(model, pairs, np.arange(4), known, config)
    assert metrics["loss"] == pytest.approx(loss.item(), rel=1e-4)
    # OPT's positions are padded: the same names on both sides, in one order.
    ours = torch.cat([p.grad.ravel() for p in model.parameters()])
    theirs = torch.cat([p.grad.ravel() for p in plain.parameters()])
    assert float((ours - theirs).norm() / theirs.norm()) < 1e-4
    layers = [m for m in model.modules() if getattr(m, "gradient_checkpointing", False)]
    assert any(layer.training for layer in layers) == recompute


@pytest.mark.parametrize("kind", KINDS)
def test_rewards_of_one_answer_are_one_number(place, tmp_path, kind):
    """Trained, held-out and opened again: the reward that transformers gives."""
    config = RewardConfig(
        examples=examples(epochs=3), optim=OptimConfig(learning_rate=1e-2, weight_decay=0.0)
    )
    artifact = run_step(place, tmp_path, reward, kind, config)
    assert rows_of(artifact.path)[0]["loss"] == pytest.approx(np.log(2))
    assert artifact.ledger.by_event().get(DROPOUT_OFF, 0) == int(kind != "llama")
    from polylect.comparison import read_model
    from polylect.engine import Question

    judge = find_reward(str(artifact.path)).open("own", 100, Ledger())
    questions = [
        Question(row.messages, row.language, [row.chosen, row.rejected])
        for row in read_preferences(place / "pairs.jsonl")
    ]
    scored = judge(questions, Ledger())
    frame = read_model(artifact.path).table.only(metric="margin").frame.sort("item")
    expected = [better - worse for better, worse in scored]
    assert sorted(frame["value"].to_list()) == pytest.approx(sorted(expected), abs=1e-4)
    assert max(map(abs, expected)) > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_own_answers_have_one_log_probability(place, tmp_path, kind):
    config = OnlineConfig(
        examples=examples(), optim=STILL, objective="copg", num_samples=2, max_new_tokens=6,
        gate=False,
    )  # fmt: skip
    inputs = {"model": Files(place / kind), "data": Files(place / "pairs.jsonl"),
              "reward": find_reward(f"{place}/own.py:letters")}  # fmt: skip
    artifact = execute_into(Call(online, "out", config, inputs), tmp_path / "out")
    groups = read_groups(artifact.path / "samples.parquet")
    policy = open_policy(place / kind, config.examples, Ledger())
    prompts = encode_prompts(
        read_prompts(place / "pairs.jsonl"), policy.style, 128, 6, "refuse", Ledger()
    )
    plain = transformers.AutoModelForCausalLM.from_pretrained(place / kind).eval()
    for group in groups:
        assert group.policy == pytest.approx(group.reference, abs=1e-3)
        whole = torch.tensor([*prompts[group.prompt][1], *group.ids[0]])
        with torch.no_grad():
            logits = plain(whole[None]).logits[0, :-1].log_softmax(dim=1)
        value = logits[torch.arange(len(whole) - 1), whole[1:]][-len(group.ids[0]) :].sum()
        assert group.policy[0] == pytest.approx(float(value), abs=1e-3)
    assert artifact.ledger.by_event().get(DROPOUT_OFF, 0) == int(kind != "llama")


@pytest.mark.parametrize("kind", KINDS)
def test_a_probe_before_the_first_update_has_no_divergence(place, kind):
    policy = open_policy(place / kind, examples(), Ledger())
    model = policy.load(dropout=True)
    prompts = encode_prompts(
        read_prompts(place / "pairs.jsonl"), policy.style, 128, 6, "refuse", Ledger()
    )
    rows = probe(model, policy, [*enumerate(prompts)], examples())
    assert [row["kl"] for row in rows] == pytest.approx([0] * len(rows), abs=1e-3)
    assert all(module.training for module in model.modules())


def test_modes_come_back_module_by_module(place):
    model = open_policy(place / "gpt2", examples(recompute=True), Ledger()).load()
    before = [module.training for module in model.modules()]
    with evaluating(model):
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model.modules()] == before


@pytest.mark.parametrize("kind", KINDS)
def test_fine_tuning_has_the_dropout_of_the_config(place, tmp_path, kind):
    inputs = {"model": Files(place / kind), "data": Files(place / "chats.jsonl")}
    losses = []
    for seed in (0, 1):
        changed = SftConfig(examples=examples(probes=0, seed=seed, batch_size=8), optim=STILL)
        call = Call(sft, "out", changed, inputs)
        artifact = execute_into(call, tmp_path / str(seed))
        losses.append(rows_of(artifact.path)[0]["loss"])
        assert DROPOUT_OFF not in artifact.ledger.by_event()
    # One batch holds all rows: only dropout's masks differ between the seeds.
    assert (losses[0] != pytest.approx(losses[1], rel=1e-5)) == (kind != "llama")


@pytest.mark.parametrize("kind", ["gpt2", "opt"])
def test_attention_weights_are_dropped_as_in_transformers(place, kind):
    """With dropout of attention alone, the mean over many masks is transformers' own."""
    outputs = []
    for attention in ("packed", "eager"):
        folder = place / kind
        if attention == "packed":
            from polylect.checkpoints import Checkpoint

            model = load_model(Checkpoint.open(folder))
        else:
            model = transformers.AutoModelForCausalLM.from_pretrained(
                folder, attn_implementation="eager"
            )
        keep_only_attention_dropout(model, 0.5)
        model.train()
        ids = torch.arange(5, 25)[None]
        torch.manual_seed(0)
        with torch.no_grad():
            samples = torch.stack([model(ids, use_cache=False).logits[0, -1] for _ in range(400)])
        outputs.append((samples.mean(dim=0), samples.var(dim=0).mean()))
    (mean, variance), (expected, expected_variance) = outputs
    assert float(variance) > 0
    assert float(variance / expected_variance) == pytest.approx(1, abs=0.15)
    assert float((mean - expected).norm() / expected.norm()) < 0.05


def keep_only_attention_dropout(model, probability):
    for name, module in model.named_modules():
        is_attention = name.endswith(("attn", "self_attn", "attn_dropout"))
        if isinstance(module, torch.nn.Dropout):
            module.p = probability if is_attention else 0.0
        elif isinstance(getattr(module, "dropout", None), float):
            module.dropout = probability if is_attention else 0.0


def test_the_dropout_of_a_config():
    assert dropout_of(transformers.GPT2Config()) == {
        "attn_pdrop": 0.1, "embd_pdrop": 0.1, "resid_pdrop": 0.1
    }  # fmt: skip
    assert dropout_of(transformers.OPTConfig()) == {"dropout": 0.1}
    assert dropout_of(transformers.LlamaConfig()) == {}


def test_the_plan_says_that_dropout_is_off(place, tmp_path, capsys):
    words = ["train", "preference", "--model", str(place / "gpt2"), "--data",
             str(place / "pairs.jsonl"), "--out", str(tmp_path / "out"), "--dry-run"]  # fmt: skip
    assert main(words) == 0
    assert f"1 {DROPOUT_OFF} (attn_pdrop 0.1, embd_pdrop 0.1" in capsys.readouterr().out
