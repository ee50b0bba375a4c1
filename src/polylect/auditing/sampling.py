"""Which pair to show next: rules, a fair variant of each, and how many votes each rule needs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from polylect.base import UndecidableError, generator
from polylect.ranking import (
    ELO_PER_NAT,
    FloatArray,
    IntArray,
    PairCounts,
    Ratings,
    fit_bradley_terry,
    tie_probability,
)
from polylect.stats import two_sided_z

_SMOOTHING = 4.0
_TOLERANCE = 1e-6
_LEVEL = 0.95
_SHARPNESS = 8
_DAMPING = 0.7


@dataclass(frozen=True, eq=False, slots=True)
class PairState:
    """All pairs of models, with what is known of each.

    Attributes:
        models: names.
        first, second: (P,) every unordered pair, voted on or not.
        votes: (P,) so far.
        variance: (P,) of a vote's score on the pair: of its own votes, with four votes of the
            board's mean variance added.
        ratings: of the votes so far; None when they are not finite yet.
    """

    models: tuple[str, ...]
    first: IntArray
    second: IntArray
    votes: FloatArray
    variance: FloatArray
    ratings: Ratings | None

    @property
    def num_models(self) -> int:
        """Number of models."""
        return len(self.models)


Rule = Callable[[PairState], FloatArray]
"""Gives the probability (P,) with which each pair is shown next."""


def pair_state(counts: PairCounts, ratings: Ratings | None = None) -> PairState:
    """The state of a board, over all pairs of its models."""
    size = counts.num_models
    first, second = np.triu_indices(size, 1)
    cells = np.zeros((size, size, 4))
    cells[counts.first, counts.second] = counts.outcomes
    cells = cells[first, second]
    votes = cells.sum(1)
    halves = cells[:, 2] + cells[:, 3]
    mean = np.divide(cells[:, 0] + halves / 2, votes, out=np.full(len(votes), 0.5), where=votes > 0)
    second_moment = cells[:, 0] + halves / 4
    spread = np.maximum(second_moment - votes * mean**2, 0.0)
    typical = float(spread.sum() / votes.sum()) if votes.any() else 0.25
    variance = (spread + _SMOOTHING * typical) / (votes + _SMOOTHING)
    return PairState(counts.models, first, second, votes, variance, ratings)


def uniform_rule(state: PairState) -> FloatArray:
    """Every pair alike."""
    return np.full(len(state.votes), 1.0 / len(state.votes))


def active_rule(state: PairState) -> FloatArray:
    """The Chatbot Arena paper's rule: where one more vote narrows the pair's own interval most.

    P(a) ∝ √(Σ̂_aa / n_a) − √(Σ̂_aa / (n_a + 1)) (Chiang et al. 2024, eq. 9), with Σ̂_aa the variance
    of a vote on pair a. A pair without votes counts as one with one vote.

    It aims at the matrix of win rates, not at the ratings.
    """
    num = np.maximum(state.votes, 1.0)
    gain = np.sqrt(state.variance) * (1.0 / np.sqrt(num) - 1.0 / np.sqrt(num + 1.0))
    return gain / gain.sum()


def rating_rule(state: PairState) -> FloatArray:
    """The same idea for ratings: where one more vote lowers the ratings' summed variance most.

    A vote of information w = p(1 − p) on (i, j) lowers the trace of H⁺ by w |H⁺(e_i − e_j)|² / (1 +
    w R_ij), with R the effective resistance (Sherman and Morrison 1950). Pairs are drawn with that
    gain to the eighth power: nearly the best ones, but every pair has a chance. Without ratings:
    uniform.
    """
    if state.ratings is None:
        return uniform_rule(state)
    bread, strength = state.ratings.bread, state.ratings.strength
    gap = strength[state.first] - strength[state.second]
    information = 1.0 / (2.0 + np.exp(gap) + np.exp(-gap))
    square = bread @ bread

    def of(matrix: FloatArray) -> FloatArray:
        diagonal = np.diag(matrix)
        both = diagonal[state.first] + diagonal[state.second]
        return both - 2.0 * matrix[state.first, state.second]

    gain = information * of(square) / (1.0 + information * of(bread))
    gain = np.maximum(gain / gain.max(), 0.0) ** _SHARPNESS
    return gain / gain.sum()


def best_design(strength: FloatArray, num_steps: int = 400) -> tuple[FloatArray, float]:
    """Shares of pairs (P,) that make the mean standard error smallest, and votes over uniform's.

    No rule can do with less than this share of the votes that uniform sampling needs for the same
    mean interval width, where all votes are decisive and strengths are known in advance: the
    multiplicative algorithm for optimal designs (Silvey, Titterington and Torsney 1978).
    """
    size = len(strength)
    first, second = np.triu_indices(size, 1)
    win = 1.0 / (1.0 + np.exp(strength[second] - strength[first]))
    information = win * (1.0 - win)

    def evaluate(share: FloatArray) -> tuple[float, FloatArray]:
        matrix = np.zeros((size, size))
        matrix[first, second] = matrix[second, first] = -share * information
        matrix[np.arange(size), np.arange(size)] = -matrix.sum(1)
        inverse = np.linalg.inv(matrix + 1.0 / size) - 1.0 / size
        error = np.sqrt(np.diag(inverse))
        pull = inverse @ (inverse / (2.0 * error)[:, None])
        diagonal = np.diag(pull)
        gain = information * (diagonal[first] + diagonal[second] - 2.0 * pull[first, second])
        return float(error.mean()), gain

    share = np.full(len(first), 1.0 / len(first))
    uniform = evaluate(share)[0]
    for _ in range(num_steps):
        share = share * evaluate(share)[1] ** _DAMPING
        share /= share.sum()
    return share, (evaluate(share)[0] / uniform) ** 2


def fair_rule(
    rule: Rule,
    partitions: Mapping[str, Sequence[str]],
    floor: float = 0.9,
    cap: float | None = None,
) -> Rule:
    """The nearest rule (Kullback–Leibler) that gives every group its stated part.

    A group's equal part is its share of the models. The group gets between ``floor`` and ``cap``
    times that, as its share of all seats in battles. The projection multiplies each pair's
    probability by exp(λ) for the groups of its two models, with the multipliers of the constraints
    that bind.

    Args:
        rule: what to bend.
        partitions: by name (``license``, ``provider``), the group of each model, in the order of
            the models. All partitions hold at once.
        floor: least part, 0 to 1.
        cap: greatest part, 1 or more; None for no limit.

    Raises:
        UndecidableError: the rule gives no pair of some group any chance, so that no multiplier
            helps.
    """
    assert 0.0 <= floor <= 1.0, floor
    assert cap is None or cap >= 1.0, cap

    def bent(state: PairState) -> FloatArray:
        seats, equal, names = group_seats(state, partitions)
        return _project(rule(state), seats, equal, names, floor, cap)

    return bent


def group_seats(
    state: PairState, partitions: Mapping[str, Sequence[str]]
) -> tuple[FloatArray, FloatArray, list[str]]:
    """(P, G) share of a pair's two seats that each group has, its equal part (G,), its name."""
    columns, equal, names = [], [], []
    for title, labels in partitions.items():
        assert len(labels) == state.num_models, f"{title}: one group per model"
        every = np.array(labels, dtype=str)
        for group in sorted(set(labels)):
            inside = (every == group).astype(np.float64)
            columns.append((inside[state.first] + inside[state.second]) / 2.0)
            equal.append(float(inside.mean()))
            names.append(f"{title} {group}")
    return np.column_stack(columns), np.array(equal), names


def _project(
    weight: FloatArray,
    seats: FloatArray,
    equal: FloatArray,
    names: list[str],
    floor: float,
    cap: float | None,
) -> FloatArray:
    from scipy.optimize import minimize

    base = np.log(weight, out=np.full(len(weight), -np.inf), where=weight > 0.0)
    design = seats if cap is None else np.hstack([seats, -seats])
    bound = floor * equal if cap is None else np.concatenate([floor * equal, -cap * equal])

    def dual(multiplier: FloatArray) -> tuple[float, FloatArray]:
        logits = base + design @ multiplier
        top = float(logits.max())
        share = np.exp(logits - top)
        total = float(share.sum())
        value = top + np.log(total) - float(multiplier @ bound)
        return value, design.T @ (share / total) - bound

    found = minimize(
        dual,
        np.zeros(len(bound)),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, None)] * len(bound),
        options={"maxiter": 2000, "ftol": 1e-15, "gtol": 1e-9},
    )
    logits = base + design @ found.x
    share = np.exp(logits - logits.max())
    share /= share.sum()
    short = design.T @ share - bound
    worst = int(np.argmin(short))
    if short[worst] < -_TOLERANCE:
        raise UndecidableError(
            f"no sampling gives {names[worst % len(names)]!r} its part",
            "lower --floor, or use a rule that shows every model",
        )
    return share


@dataclass(frozen=True, slots=True)
class SamplingRun:
    """One rule, simulated until the mean interval was narrow enough.

    Attributes:
        rule: its name.
        num_votes: votes when the mean width of the 95 % intervals reached the target, by
            interpolation; None when it did not within the limit.
        widths: (votes, mean width in Elo) along the way.
        root_mean_square: error of the ratings at the end, in Elo.
        least_part: the smallest share of a group over its equal part, over all votes after the
            start, by partition.
        gini: of the votes per model, 0 when all have the same.
    """

    rule: str
    num_votes: float | None
    widths: tuple[tuple[float, float], ...]
    root_mean_square: float
    least_part: Mapping[str, float]
    gini: float


def simulate_sampling(
    strength: FloatArray,
    rule: Rule,
    target_width: float,
    *,
    name: str = "",
    tie_share: float = 0.35,
    partitions: Mapping[str, Sequence[str]] | None = None,
    growth: float = 1.1,
    max_votes: float = 1e7,
    seed: int = 0,
) -> SamplingRun:
    """Votes that a rule needs for a mean interval width, by simulating the board it makes.

    Every pair starts with two votes, then votes come in batches, each a tenth of those that are
    there; the rule sees the votes and the ratings fitted to them, never the truth.

    Args:
        strength: (M,) true log-odds.
        rule: what to simulate.
        target_width: mean width (upper less lower) of the 95 % intervals, in Elo.
        name: of the rule, for the result.
        tie_share: mean share of ties; a tie is likelier between equals.
        partitions: groups of the models, to report the least part.
        growth: of the votes from batch to batch.
        max_votes: where to give up.
        seed: of the votes.
    """
    rng = generator(seed, "sampling", name)
    size = len(strength)
    names = tuple(f"{i:06}" for i in range(size))
    first, second = np.triu_indices(size, 1)
    win = 1.0 / (1.0 + np.exp(strength[second] - strength[first]))
    tie = tie_probability(win, np.full(len(win), 1.0 / len(win)), tie_share)
    chance = np.column_stack([win - tie / 2.0, 1.0 - win - tie / 2.0, tie, np.zeros_like(tie)])
    chance = np.maximum(chance, 0.0)
    chance /= chance.sum(1, keepdims=True)
    start = np.full(len(first), 2)
    outcomes = rng.multinomial(start, chance).astype(np.float64)
    widths: list[tuple[float, float]] = []
    while True:
        counts = PairCounts(names, first, second, outcomes)
        fit = _fit(counts)
        width = np.inf if fit is None else _mean_width(fit)
        widths.append((counts.num_votes, width))
        if width <= target_width or counts.num_votes >= max_votes:
            break
        probability = rule(pair_state(counts, fit))
        batch = rng.multinomial(int(counts.num_votes * (growth - 1.0)), probability)
        outcomes = outcomes + rng.multinomial(batch, chance)
    centered = strength - strength.mean()
    error = np.inf if fit is None else float(np.sqrt(np.mean((fit.strength - centered) ** 2)))
    later = outcomes.sum(1) - start
    return SamplingRun(
        rule=name,
        num_votes=_crossing(widths, target_width),
        widths=tuple(widths),
        root_mean_square=error * ELO_PER_NAT,
        least_part=least_parts(first, second, later, size, partitions or {}),
        gini=gini(counts.battles),
    )


def least_parts(
    first: IntArray,
    second: IntArray,
    votes: FloatArray,
    num_models: int,
    partitions: Mapping[str, Sequence[str]],
) -> dict[str, float]:
    """The smallest share of a group over its equal part, by partition."""
    seats = np.bincount(first, votes, num_models) + np.bincount(second, votes, num_models)
    found = {}
    for title, labels in partitions.items():
        groups, place, sizes = np.unique(
            np.array(labels, dtype=str), return_inverse=True, return_counts=True
        )
        part = np.bincount(place, seats, len(groups)) / max(float(seats.sum()), 1.0)
        found[title] = float((part / (sizes / num_models)).min())
    return found


def gini(values: FloatArray) -> float:
    """Gini coefficient: half the mean absolute difference over the mean; 0 when all are equal."""
    ordered = np.sort(values)
    total = float(ordered.sum())
    if not total:
        return 0.0
    num = len(ordered)
    return float((2.0 * np.arange(1, num + 1) - num - 1.0) @ ordered) / (num * total)


def _fit(counts: PairCounts) -> Ratings | None:
    try:
        return fit_bradley_terry(counts)
    except UndecidableError:
        return None


def _mean_width(fit: Ratings) -> float:
    return 2.0 * two_sided_z(_LEVEL) * float(fit.standard_error.mean())


def _crossing(widths: Sequence[tuple[float, float]], target: float) -> float | None:
    """Votes at which the width reached the target, along a power law between two batches."""
    if widths[-1][1] > target:
        return None
    if len(widths) == 1 or not np.isfinite(widths[-2][1]):
        return widths[-1][0]
    (low, wide), (high, narrow) = widths[-2:]
    share = np.log(wide / target) / np.log(wide / narrow)
    return float(low * (high / low) ** share)
