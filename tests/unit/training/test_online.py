"""Reward models, and training on one's own answers."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
import transformers
from align_cases import CHATML, chat_rows, pair_rows, write_lines, write_model

from polylect.base import InputError, Ledger
from polylect.checkpoints import Checkpoint
from polylect.engine import Question
from polylect.models import load_reward_model
from polylect.recipes import find_reward
from polylect.rows import Message, read_preferences, read_prompts
from polylect.runs import Call, Files, Silent, execute_into
from polylect.training import (
    ExamplesConfig,
    OnlineConfig,
    OptimConfig,
    RewardConfig,
    encode_prompts,
    objectives,
    online,
    open_policy,
    read_groups,
    reward,
)
from polylect.training.encode import encode_preferences
from polylect.training.online_gradients import gradients, with_reference
from polylect.training.online_loop import rounds_of
from polylect.training.packing import PLAIN, pack_pairs, sequence_rewards
from polylect.training.reading import encode_rewarded
from polylect.training.rewards import gated
from polylect.training.samples import sample_round, write_groups

OPTIM = OptimConfig(learning_rate=3e-3, warmup=0.1, schedule="linear", min_lr_ratio=0.0,
                    weight_decay=0.0)  # fmt: skip
OBJECTIVES = ("rloo", "copg", "dpo", "ipo", "srpo", "best-of-n")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("online")
    write_model(folder / "model")
    write_model(folder / "chatty", template=CHATML)
    write_lines(folder / "pairs.jsonl", pair_rows(24))
    write_lines(folder / "chats.jsonl", chat_rows(12))
    (folder / "own.py").write_text(
        "def letters(messages, answer, language):\n    return answer.count('e') / 10\n"
        "def nothing(messages, answer, language):\n    return float('nan')\n"
        "def short(answer):\n    return 1.0\n"
    )
    config = RewardConfig(examples=ExamplesConfig(epochs=10, batch_size=4), optim=OPTIM)
    inputs = {"model": Files(folder / "chatty"), "data": Files(folder / "pairs.jsonl")}
    execute_into(Call(reward, "judge", config, inputs), folder / "judge")
    return folder


def test_a_reward_model_learns_and_transformers_gives_the_same_rewards(place):
    rows = [json.loads(line) for line in (place / "judge/metrics.jsonl").read_text().splitlines()]
    assert rows[0]["margin"] == 0
    assert rows[0]["loss"] == pytest.approx(np.log(2))
    assert rows[-1]["accuracy"] == 1
    assert set(rows[-1]["by_language"]) <= {"en", "de", "tr"}
    ours = load_reward_model(Checkpoint.open(place / "judge"))
    plain = transformers.AutoModelForSequenceClassification.from_pretrained(place / "judge").eval()
    policy = open_policy(place / "chatty", ExamplesConfig(), Ledger())
    pairs = encode_rewarded(
        read_preferences(place / "pairs.jsonl"), policy.style, 128, "refuse", Ledger(), 0
    )
    with torch.no_grad():
        rewards = sequence_rewards(ours, pack_pairs(pairs[:4], PLAIN), 8).tolist()
        expected = [
            float(plain(torch.from_numpy(np.concatenate([pair.prompt, ids]).astype(np.int64))[None])
                  .logits[0, 0])
            for pair in pairs[:4] for ids in (pair.chosen, pair.rejected)
        ]  # fmt: skip
    assert rewards == pytest.approx(expected, abs=1e-4)
    questions = [Question(pair.messages, "en", [pair.chosen, pair.rejected])
                 for pair in read_preferences(place / "pairs.jsonl")[:4]]  # fmt: skip
    scored = find_reward(str(place / "judge")).open("own", 100, Ledger())(questions, Ledger())
    assert [x for row in scored for x in row] == pytest.approx(expected, abs=1e-4)


def test_the_gradient_of_a_reward_model_is_that_of_plain_passes(place):
    from polylect.training.reward_loop import gradients as reward_gradients

    policy = open_policy(place / "chatty", ExamplesConfig(), Ledger())
    pairs = encode_preferences(
        read_preferences(place / "pairs.jsonl"), policy.style, 128, "refuse", Ledger()
    )
    plain = transformers.AutoModelForSequenceClassification.from_pretrained(place / "judge")
    wholes = [np.concatenate([pair.prompt, ids]).astype(np.int64)
              for pair in pairs[:6] for ids in (pair.chosen, pair.rejected)]  # fmt: skip
    values = torch.stack([plain(torch.from_numpy(pair)[None]).logits[0, 0] for pair in wholes])
    values = values.view(6, 2)
    objectives.bradley_terry(values[:, 0], values[:, 1], 0.0, 0.05).mean().backward()
    theirs = torch.cat([p.grad.ravel() for p in plain.parameters()])
    for size in (10_000, 60):
        ours = load_reward_model(Checkpoint.open(place / "judge")).train()
        config = RewardConfig(
            examples=ExamplesConfig(micro_batch_tokens=size), reward_centering=0.05
        )
        reward_gradients(ours, pairs[:6], config)
        ours_flat = torch.cat([p.grad.ravel() for p in ours.parameters()])
        assert float((ours_flat - theirs).norm() / theirs.norm()) < 1e-4


def test_an_architecture_without_a_class_of_its_own_goes_there_and_back(tmp_path):
    from polylect.models import reward_model
    from polylect.models.reward import reward_class

    config = transformers.Cohere2Config(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, vocab_size=64, sliding_window=16, pad_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.Cohere2ForCausalLM(config)
    model_with_score = reward_model(model, 0)
    torch.nn.init.normal_(model_with_score.score.weight)
    model_with_score.save_pretrained(tmp_path)
    again = load_reward_model(Checkpoint.open(tmp_path))
    ids = torch.arange(5, 20)[None]
    with torch.no_grad():
        a, b = model_with_score.eval()(ids).logits, reward_class(config)(config)
        assert type(b).__name__ == "Cohere2ForSequenceClassification"
        hidden = again.base_model(ids).last_hidden_state[0, -1]
        reward = float(again.score(hidden))
    assert reward == pytest.approx(float(a[0, 0]), abs=1e-5)


def test_a_language_model_is_no_reward_model(place):
    with pytest.raises(InputError, match="not a reward model"):
        find_reward(str(place / "model")).open("own", 100, Ledger())


def test_rewards_that_cannot_be(place):
    question = [Question([Message("user", "a")], "en", ["b"])]
    with pytest.raises(InputError, match="finite number"):
        find_reward(f"{place}/own.py:nothing").open("own", 1, Ledger())(question, Ledger())
    with pytest.raises(InputError, match="prompt, answer, language"):
        find_reward(f"{place}/own.py:short").open("own", 1, Ledger())
    with pytest.raises(InputError, match="no function"):
        find_reward(f"{place}/own.py:absent").open("own", 1, Ledger())
    with pytest.raises(InputError, match="no such folder"):
        find_reward("nowhere").open("own", 1, Ledger())


def test_the_gate_puts_another_language_last():
    questions = [Question([], "de", ["a", "b", "c"]), Question([], "tr", ["a", "b"])]
    ledger = Ledger()
    rewards = gated(
        [[5.0, 1.0, 9.0], [2.0, 3.0]], [[True, True, False], [False, False]], questions, ledger
    )
    assert rewards == [[5.0, 1.0, 0.0], [-1.0, -1.0]]
    assert [(where, num) for _, where, num in ledger.rows()] == [("de", 1), ("tr", 2)]


def test_the_language_itself_as_reward():
    text = "Das ist ein ganz gewöhnlicher deutscher Satz über das Wetter."
    questions = [Question([], "de", [text]), Question([], "tr", [text])]
    assert find_reward("language").open("own", 1, Ledger())(questions, Ledger()) == [[1.0], [0.0]]


def test_an_answer_as_long_as_the_context_is_refused(place):
    policy = open_policy(place / "model", ExamplesConfig(), Ledger())
    rows = read_prompts(place / "pairs.jsonl")
    with pytest.raises(InputError, match=r"128 tokens leaves no room .* --max-new-tokens 64"):
        encode_prompts(rows, policy.style, 128, 128, "drop", Ledger())


def test_no_update_reaches_into_the_next_round():
    plan = rounds_of(10, 4, 3)
    assert plan == [(0, (0, 4), (0, 3)), (0, (0, 4), (3, 4)), (1, (4, 8), (4, 7)),
                    (1, (4, 8), (7, 8)), (2, (8, 10), (8, 10))]  # fmt: skip


def config_of(objective, **more):
    examples = ExamplesConfig(epochs=2, batch_size=3, micro_batch_tokens=300, save_every=2)
    settings = {"num_samples": 4, "max_new_tokens": 8, "prompts_per_round": 12, "gate": False}
    return OnlineConfig(examples=examples, optim=OPTIM, objective=objective, **settings | more)


def sampled(place, config, model=None):
    policy = open_policy(place / "model", config.examples, Ledger())
    rows = read_prompts(place / "pairs.jsonl")
    prompts = encode_prompts(rows, policy.style, 128, 8, "refuse", Ledger())
    model = model or policy.load()
    judge = find_reward(f"{place}/own.py:letters").open("own", 100, Ledger())
    groups = sample_round(model, policy, prompts, [(i, i) for i in range(8)], 0, config, judge,
                          config.gate, Silent(), Ledger())  # fmt: skip
    return policy, prompts, model, with_reference(model, groups, prompts, policy, config)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_an_updates_gradient_does_not_depend_on_how_it_is_cut(place, tmp_path, objective):
    config = config_of(objective)
    policy, prompts, _, groups = sampled(place, config)
    write_groups(tmp_path / "groups.parquet", groups)
    assert read_groups(tmp_path / "groups.parquet") == groups
    grads = []
    for size in (10_000, 40):
        cut = replace(config, examples=ExamplesConfig(micro_batch_tokens=size))
        model = policy.load()
        metrics = gradients(model, groups, prompts, policy, cut)
        grads.append(torch.cat([p.grad.ravel() for p in model.parameters()]))
        assert metrics["prompts"] == 8
        # The reference is the model that generated: two ways to compute the same number.
        assert metrics["kl"] == pytest.approx(0.0, abs=1e-4)
    assert float(grads[0].norm()) > 0
    assert float((grads[0] - grads[1]).norm() / grads[0].norm()) < 1e-5


def test_reinforce_from_plain_forward_passes(place):
    """RLOO's gradient from transformers' own logits, one answer at a time."""
    config = config_of("rloo", beta=0.0)
    policy, prompts, model, groups = sampled(place, config)
    gradients(model, groups, prompts, policy, config)
    ours = torch.cat([p.grad.ravel() for p in model.parameters()])
    plain = transformers.AutoModelForCausalLM.from_pretrained(place / "model")
    total = torch.tensor(0.0)
    for group in groups:
        rewards = np.array(group.rewards)
        for i, ids in enumerate(group.ids):
            whole = torch.tensor([*prompts[group.prompt][1], *ids])
            logits = plain(whole[None]).logits[0, :-1].log_softmax(dim=1)
            value = logits[torch.arange(len(whole) - 1), whole[1:]][-len(ids) :].sum()
            assert value.item() == pytest.approx(group.policy[i], abs=1e-3)
            others = (rewards.sum() - rewards[i]) / 3
            total = total - (rewards[i] - others) * value / 4 / len(groups)
    total.backward()
    theirs = torch.cat([p.grad.ravel() for p in plain.parameters()])
    assert float((ours - theirs).norm() / theirs.norm()) < 1e-4


@pytest.mark.parametrize("objective", ["rloo", "copg", "dpo", "best-of-n"])
def test_the_reward_rises(place, tmp_path, objective):
    config = OnlineConfig(
        examples=ExamplesConfig(epochs=8, batch_size=6, micro_batch_tokens=600), optim=OPTIM,
        objective=objective, beta=0.01, num_samples=4, max_new_tokens=8, gate=False,
        prompts_per_round=6,
    )  # fmt: skip
    inputs = {"model": Files(place / "model"), "data": Files(place / "pairs.jsonl"),
              "reward": find_reward(f"{place}/own.py:letters")}  # fmt: skip
    artifact = execute_into(Call(online, "out", config, inputs), tmp_path / "out")
    rows = [json.loads(x) for x in (artifact.path / "metrics.jsonl").read_text().splitlines()]
    first, last = (np.mean([row["reward"] for row in part]) for part in (rows[:8], rows[-8:]))
    assert last > first + 0.05, (first, last)
    samples = pl.read_parquet(artifact.path / "samples.parquet")
    assert len(samples) == 8 * 24
    assert {"answers", "rewards", "language", "right"} <= set(samples.columns)
