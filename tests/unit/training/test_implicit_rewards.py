"""Accuracy, margin and rewards of every objective, against its formula in float64."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers
from align_cases import pair_rows, write_lines, write_model

from polylect.base import InputError, Ledger
from polylect.comparison import read_model
from polylect.rows import read_preferences
from polylect.runs import Call, Files, execute_into
from polylect.training import (
    ExamplesConfig,
    OptimConfig,
    PreferenceConfig,
    open_policy,
    preference,
)
from polylect.training.batch_metrics import pair_metrics
from polylect.training.encode import PreferenceTokens, encode_preferences
from polylect.training.pair_checks import with_partners
from polylect.training.preference_loop import evaluate, names_of, pair_losses

BETA = 0.3
W, L, WW, LW, WL, LL = range(6)
"""Of a pair's sequences, as they are packed: w, l, and a|b as WL is w after l."""


def summed(pi, ref, own, _other):
    return BETA * sum(pi[own] - ref[own])


def mean(pi, ref, own, _other):
    return BETA * np.mean(pi[own] - ref[own])


def mean_without_reference(pi, _ref, own, _other):
    return BETA * np.mean(pi[own])


def both_roles(pi, ref, own, other):
    return BETA / 2 * (sum(pi[own] - ref[own]) + sum(pi[other] - ref[other]))


REWARD = {
    "dpo": summed, "robust-dpo": summed, "ipo": summed, "slic": summed, "kto": summed,
    "copg": summed, "ipo-mean": mean, "simpo": mean_without_reference, "srpo": both_roles,
}  # fmt: skip
Z0 = 0.7


def log_sigmoid(x):
    return -np.logaddexp(0, -x)


# The loss as a function of the two rewards alone; γ is 0.5, robust DPO's ε 0.2.
LOSS = {
    "dpo": lambda w, o: -log_sigmoid(w - o),
    "robust-dpo": lambda w, o: (-0.8 * log_sigmoid(w - o) + 0.2 * log_sigmoid(o - w)) / 0.6,
    "ipo": lambda w, o: ((w - o - 0.5) / BETA) ** 2,
    "ipo-mean": lambda w, o: ((w - o - 0.5) / BETA) ** 2,
    "simpo": lambda w, o: -log_sigmoid(w - o - 0.5),
    "slic": lambda w, o: np.maximum(0, 1 - (w - o)),
    "kto": lambda w, o: 2 - np.exp(log_sigmoid(w - BETA * Z0)) - np.exp(log_sigmoid(BETA * Z0 - o)),
    "srpo": lambda w, o: (0.5 - (w - o)) ** 2,  # α 0: the joint loss
    "copg": lambda w, o: (0.5 - (w - o)) ** 2,
}


def config_of(objective):
    smoothing = 0.2 if objective == "robust-dpo" else 0.0
    return PreferenceConfig(
        objective=objective, beta=BETA, margin=0.5, alpha=0.0, label_smoothing=smoothing
    )


def token_pair(num_chosen, num_rejected):
    return PreferenceTokens(
        prompt=np.arange(3), chosen=np.arange(num_chosen), rejected=np.arange(num_rejected),
        refine=(), language="de", scores=None, margin=0.0,
    )  # fmt: skip


def case(seed):
    """Log-probabilities token by token of six sequences a pair, with answers of any length."""
    random = np.random.default_rng(seed)
    lengths = random.integers(1, 30, (50, 2))
    which = [0, 1, 0, 1, 0, 1]
    tokens = [[[-random.exponential(1.5, row[side]) for side in which] for row in lengths]
              for _ in range(2)]  # fmt: skip
    return [token_pair(*row) for row in lengths], *tokens


@pytest.mark.parametrize("objective", REWARD)
def test_metrics_are_made_of_the_objectives_own_reward(objective):
    pairs, pi, ref = case(len(objective))
    config = config_of(objective)
    num = len(names_of(config))
    policy, reference = (torch.tensor([[x.sum() for x in row[:num]] for row in part])
                         for part in (pi, ref))  # fmt: skip
    ratios = policy - (0 if objective == "simpo" else reference)
    baseline = torch.tensor(Z0, dtype=torch.float64)
    loss = pair_losses(config, BETA, policy, ratios, pairs, baseline)
    rows = pair_metrics(objective, BETA, policy, ratios, loss, pairs)
    reward, flips = REWARD[objective], 0
    for row, own, reference_row in zip(rows, pi, ref, strict=True):
        better, worse = reward(own, reference_row, W, WL), reward(own, reference_row, L, LW)
        assert row["reward_chosen"] == pytest.approx(better, abs=1e-9)
        assert row["reward_rejected"] == pytest.approx(worse, abs=1e-9)
        assert row["margin"] == pytest.approx(better - worse, abs=1e-9)
        assert row["accuracy"] == float(better > worse)
        assert row["loss"] == pytest.approx(LOSS[objective](better, worse), abs=1e-9)
        by_sums = sum(own[W] - reference_row[W]) > sum(own[L] - reference_row[L])
        flips += by_sums != (better > worse)
        assert ("log_ratio_chosen" in row) == (objective != "simpo")
        assert ("log_probability_chosen" in row) == (objective == "simpo")
    # The lengths differ enough for a sum in place of a mean to be seen.
    assert (flips > 0) == (objective in {"simpo", "ipo-mean", "srpo"})


def test_every_objective_is_in_the_table():
    from typing import get_args

    from polylect.training.config import Objective

    assert set(REWARD) == set(LOSS) == set(get_args(Objective))


def test_srpos_margin_at_the_solution_is_the_preference():
    """Of a game that no reward explains; policy and improver in closed form."""
    random = np.random.default_rng(4)
    raw = random.random((5, 5))
    prefer = np.triu(raw, 1) + np.tril(1 - raw.T, -1) + 0.5 * np.eye(5)
    reference = np.log(random.dirichlet(np.ones(5)))
    tilt = reference[None, :] + prefer.T / BETA
    partition = np.logaddexp.reduce(tilt, axis=1)
    improver = tilt - partition[:, None] - reference[None, :]  # ρ†(a|b) at [b, a]
    policy = -partition
    for w in range(5):
        for l in range(5):  # noqa: E741 - the notation of the paper
            ratios = torch.tensor([[policy[w], policy[l], improver[w, w], improver[w, l],
                                    improver[l, w], improver[l, l]]])  # fmt: skip
            (row,) = pair_metrics("srpo", BETA, ratios, ratios, ratios[:, 0], [token_pair(4, 9)])
            assert row["margin"] == pytest.approx(prefer[w, l] - 0.5, abs=1e-12)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A model, and pairs whose answers differ much in length."""
    folder = tmp_path_factory.mktemp("implicit")
    write_model(folder / "model")
    rows = [row | {"chosen": f"{row['chosen']} {row['chosen']}" if i % 2 else "the sea"}
            for i, row in enumerate(pair_rows(12))]  # fmt: skip
    write_lines(folder / "pairs.jsonl", rows)
    return folder


@torch.no_grad()
def plain_log_probabilities(model, pair):
    """Of all six sequences, token by token, by plain transformers in float64."""
    answers = (pair.chosen, pair.rejected)
    wholes = [(np.concatenate([pair.prompt, ids]), len(ids)) for ids in answers]
    for before, ask in zip(answers, pair.refine, strict=True):
        wholes += [(np.concatenate([pair.prompt, before, ask.ids, ids]), len(ids))
                   for ids in answers]  # fmt: skip
    values = []
    for ids, num in wholes:
        tokens = torch.from_numpy(ids.astype(np.int64))
        logits = model(tokens[None]).logits[0, :-1].log_softmax(dim=1)
        values.append(logits[torch.arange(len(ids) - 1), tokens[1:]][-num:].numpy())
    return values


@pytest.mark.parametrize("objective", REWARD)
def test_held_out_margins_are_those_of_plain_forward_passes(place, objective):
    policy = open_policy(place / "model", ExamplesConfig(), Ledger())
    rows = read_preferences(place / "pairs.jsonl")
    pairs = encode_preferences(rows, policy.style, 128, "refuse", Ledger(), "Improve it.")
    pairs = with_partners(pairs, 128)
    plain = transformers.AutoModelForCausalLM.from_pretrained(place / "model").double().eval()
    config = config_of(objective)
    num = len(names_of(config))
    values = [plain_log_probabilities(plain, pair) for pair in pairs]
    # A reference that is another model: every token's log-probability, less likely by a third.
    reference = [[1.33 * own for own in row] for row in values]
    sums = np.array([[own.sum() for own in row[:num]] for row in reference], np.float32)
    known = {"sequences": 0 * sums if objective == "simpo" else sums,
             "mismatched": np.zeros(len(pairs), np.float32)}  # fmt: skip
    metrics = evaluate(policy.load().eval(), pairs, known, config)
    reward = REWARD[objective]
    for row, own, other in zip(metrics, values, reference, strict=True):
        margin = reward(own, other, W, WL) - reward(own, other, L, LW)
        assert row["margin"] == pytest.approx(margin, abs=1e-4)
        assert row["accuracy"] == float(margin > 0)


def test_margins_on_other_scales_are_not_compared(place, tmp_path):
    optim = OptimConfig(learning_rate=1e-9)
    inputs = {"model": Files(place / "model"), "data": Files(place / "pairs.jsonl"),
              "held_out": Files(place / "pairs.jsonl")}  # fmt: skip
    tables = []
    for name, objective, beta in (("dpo", "dpo", 0.1), ("ipo", "ipo", 0.1), ("sharp", "dpo", 0.5)):
        config = PreferenceConfig(objective=objective, beta=beta, optim=optim)
        config = replace(config, examples=replace(config.examples, probes=0))
        out = execute_into(Call(preference, name, config, inputs), tmp_path / name).path
        tables.append(read_model(out).table)
    first = tables[0]
    for other in tables[1:]:
        assert first.only(metric="acc").joined(other.only(metric="acc")).height
        for metric in ("margin", "loss"):
            with pytest.raises(InputError, match="other settings"):
                first.only(metric=metric).joined(other.only(metric=metric))
