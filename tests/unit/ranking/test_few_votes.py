"""Few votes leave much open, wherever on the board they are few."""

import numpy as np
import pytest

from polylect.ranking import (
    ELO_PER_NAT,
    PairCounts,
    VoteTable,
    bootstrap,
    cluster_sandwich,
    fit_bradley_terry,
    fit_contextual,
    fit_davidson,
    fit_rao_kupper,
)

MODELS = tuple(f"{group}{i}" for group in "pq" for i in range(4))
BRIDGES = {
    "one pair": lambda num: [(0, 4, 2, num)],
    "two pairs": lambda num: [(0, 4, 2, num), (1, 5, 2, num)],
    "any pairs": lambda num: [(i, 4 + i, 2, num) for i in range(4)],
    "a model between": lambda num: [(0, 8, 2, num), (8, 4, 2, num)],
}


def rows_of(bridge, num):
    """Two groups with thousands of votes, linked by ties alone."""
    random = np.random.default_rng(0)
    rows = []
    for start in (0, 4):
        for i in range(start, start + 4):
            for j in range(i + 1, start + 4):
                won, tied = random.multinomial(500, [0.3, 0.4, 0.3])[:2]
                rows += [(i, j, 0, won), (i, j, 1, 500 - won - tied), (i, j, 2, tied)]
    return rows + BRIDGES[bridge](num)


def counts_of(rows):
    size = 1 + max(max(a, b) for a, b, _, _ in rows)
    names = (*MODELS, "between")[:size]
    return PairCounts.from_cells(names, *(list(column) for column in zip(*rows, strict=True)))


def error(ratings):
    """Standard error of p0's lead over q0, in Elo points."""
    lead = np.zeros(len(ratings.models))
    lead[[ratings.position("p0"), ratings.position("q0")]] = 1.0, -1.0
    if ratings.samples is not None:
        return float((ratings.samples @ lead).std()) * ELO_PER_NAT
    return float(np.sqrt(lead @ ratings.covariance[: len(lead), : len(lead)] @ lead)) * ELO_PER_NAT


def table_of(rows):
    """A voter for every ten votes, and a feature that says nothing."""
    a, b, outcome, num = (np.repeat(c, [r[3] for r in rows]) for c in zip(*rows, strict=True))
    names = counts_of(rows).models
    random = np.random.default_rng(1)
    return VoteTable(
        names, a.astype(np.int32), b.astype(np.int32), outcome.astype(np.int8), np.ones(len(num)),
        {"voter": (np.arange(len(num)) // 10).astype(np.int32)},
        {"voter": tuple(f"u{i}" for i in range(len(num) // 10 + 1))},
        {"style": random.normal(size=len(num))},
    )  # fmt: skip


@pytest.mark.parametrize("bridge", BRIDGES)
@pytest.mark.parametrize("num", [1, 3, 8])
def test_ties_between_two_groups_leave_their_distance_open(bridge, num):
    rows = rows_of(bridge, num)
    counts = counts_of(rows)
    fit = fit_bradley_terry(counts)
    # A tie's p (1 − p) is a quarter: half a decisive vote over the votes that link the groups.
    links = {"two pairs": 2, "any pairs": 4}.get(bridge, 1) * num
    least = 0.9 * np.sqrt(0.5 * 0.25) / (0.25 * links) * ELO_PER_NAT
    assert error(fit) >= least
    # These take a tie for a statement: more than half a vote for each side.
    assert error(fit_davidson(counts)) >= 0.5 * least
    assert error(fit_rao_kupper(counts)) >= 0.5 * least
    table = table_of(rows)
    assert error(cluster_sandwich(counts, table, "voter", fit)) >= least
    assert error(fit_contextual(table, ["style"])) >= least
    # With fewer, too many resamples have no vote between the groups, and are refused.
    if num == 8:
        assert error(bootstrap(counts, fit, 100, seed=0)) >= 0.7 * least


def test_within_the_groups_nothing_is_wider():
    rows = rows_of("one pair", 1)
    fit, alone = fit_bradley_terry(counts_of(rows)), fit_bradley_terry(counts_of(rows[:18]))
    lead = np.array([1.0, 0.0, -1.0, 0.0])
    wide, plain = (np.sqrt(lead @ f.covariance[:4, :4] @ lead) for f in (fit, alone))
    assert wide == pytest.approx(plain, rel=1e-6)


@pytest.mark.parametrize("num", [2, 5, 15])
def test_intervals_of_a_distance_hold_for_few_linking_votes(num):
    random = np.random.default_rng(num)
    holds = []
    while len(holds) < 60:
        outcomes = random.choice(3, num, p=[0.5, 0.2, 0.3])
        if (outcomes != 1).all() or (outcomes != 0).all():
            continue  # one-sided: no finite distance
        bridge = [(0, 4, int(outcome), 1) for outcome in outcomes]
        fit = fit_bradley_terry(counts_of(rows_of("one pair", 1)[:-1] + bridge))
        distance = fit.elo[fit.position("p0")] - fit.elo[fit.position("q0")]
        holds.append(abs(distance - np.log(0.65 / 0.35) * ELO_PER_NAT) <= 1.96 * error(fit))
    assert np.mean(holds) > 0.85
