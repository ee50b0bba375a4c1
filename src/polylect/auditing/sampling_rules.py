"""Sampling rules: which pair of models to show next, and a fair variant of each rule."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from polylect.base import UndecidableError
from polylect.ranking import FloatArray, IntArray, PairCounts, Ratings

_SMOOTHING = 4.0
_TOLERANCE = 1e-6
_SHARPNESS = 8
_DAMPING = 0.7


@dataclass(frozen=True, eq=False, slots=True)
class PairState:
    """All pairs of models with their votes: what a sampling rule sees.

    Attributes:
        models: names.
        first, second: (P,) every unordered pair, with or without votes.
        votes: (P,) votes so far.
        variance: (P,) variance of a vote's score on the pair, smoothed by four votes of the board's
            mean variance.
        ratings: of the votes so far; None while they are not finite.
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
"""Returns the probability (P,) with which each pair is shown next."""


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
    """The same probability for every pair."""
    return np.full(len(state.votes), 1.0 / len(state.votes))


def active_rule(state: PairState) -> FloatArray:
    """The Chatbot Arena paper's rule: prefers pairs whose win rate gains most from another vote.

    P(a) ∝ √(Σ̂_aa / n_a) − √(Σ̂_aa / (n_a + 1)) (Chiang et al. 2024, eq. 9), with Σ̂_aa the variance
    of a vote on pair a. A pair without votes counts as if it had one.

    Does not: optimize the ratings; its target is the matrix of win rates.
    """
    num = np.maximum(state.votes, 1.0)
    gain = np.sqrt(state.variance) * (1.0 / np.sqrt(num) - 1.0 / np.sqrt(num + 1.0))
    return gain / gain.sum()


def rating_rule(state: PairState) -> FloatArray:
    """Prefers pairs where another vote lowers the summed variance of the ratings most.

    A vote of information w = p(1 − p) on (i, j) lowers the trace of H⁺ by w |H⁺(e_i − e_j)|² / (1 +
    w R_ij), with R the effective resistance (Sherman and Morrison 1950). The probability is that
    gain to the eighth power: nearly always the best pairs, but every pair has a chance. It is
    uniform without ratings.
    """
    if state.ratings is None:
        return uniform_rule(state)
    bread, strength = state.ratings.bread, state.ratings.strength
    gap = strength[state.first] - strength[state.second]
    information = 1.0 / (2.0 + np.exp(gap) + np.exp(-gap))
    square = bread @ bread

    resistance = _pair_quadratic(bread, state.first, state.second)
    squared = _pair_quadratic(square, state.first, state.second)
    gain = information * squared / (1.0 + information * resistance)
    gain = np.maximum(gain / gain.max(), 0.0) ** _SHARPNESS
    return gain / gain.sum()


def best_design(strength: FloatArray, num_steps: int = 400) -> tuple[FloatArray, float]:
    """Shares of pairs (P,) that minimize the mean standard error, and their votes over uniform's.

    The second value is a lower bound for every rule: the share of the votes of uniform sampling
    that the best design needs for the same mean interval width, if all votes are decisive and
    strengths are known in advance. Computed with the multiplicative algorithm for optimal designs
    (Silvey, Titterington and Torsney 1978).
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
        sensitivity = inverse @ (inverse / (2.0 * error)[:, None])
        return float(error.mean()), information * _pair_quadratic(sensitivity, first, second)

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
    """The nearest rule (in Kullback–Leibler divergence) that gives every group a fair share.

    A group's equal share is its share of the models. Its share of all seats in battles is kept
    between ``floor`` and ``cap`` times that. The projection multiplies each pair's probability by
    exp(λ) for the groups of its two models, with the multipliers λ of the binding constraints.

    Args:
        rule: the rule to project.
        partitions: by name (``license``, ``provider``), the group of each model, in the order of
            the models. The constraints of all partitions hold at once.
        floor: smallest share over the equal share, 0 to 1.
        cap: largest share over the equal share, 1 or more; None for no limit.

    Raises:
        UndecidableError: the rule never shows some group, so that no multiplier helps.
    """
    assert 0.0 <= floor <= 1.0, floor
    assert cap is None or cap >= 1.0, cap

    def projected(state: PairState) -> FloatArray:
        seats, equal, names = group_seats(state, partitions)
        return _project(rule(state), seats, equal, names, floor, cap)

    return projected


def group_seats(
    state: PairState, partitions: Mapping[str, Sequence[str]]
) -> tuple[FloatArray, FloatArray, list[str]]:
    """(P, G) share of each pair's seats by group, (G,) equal shares, and names of the groups."""
    columns, equal, names = [], [], []
    for title, labels in partitions.items():
        assert len(labels) == state.num_models, f"{title}: one group per model"
        label_array = np.array(labels, dtype=str)
        for group in sorted(set(labels)):
            is_member = (label_array == group).astype(np.float64)
            columns.append((is_member[state.first] + is_member[state.second]) / 2.0)
            equal.append(float(is_member.mean()))
            names.append(f"{title} {group}")
    return np.column_stack(columns), np.array(equal), names


def _pair_quadratic(matrix: FloatArray, first: IntArray, second: IntArray) -> FloatArray:
    """(P,) quadratic form of a symmetric matrix in e_i − e_j, for each pair."""
    diagonal = np.diag(matrix)
    return diagonal[first] + diagonal[second] - 2.0 * matrix[first, second]


def _project(
    weight: FloatArray,
    seats: FloatArray,
    equal: FloatArray,
    names: list[str],
    floor: float,
    cap: float | None,
) -> FloatArray:
    """The distribution nearest to ``weight`` in which every group's share is within the bounds.

    Minimizes the dual of the Kullback–Leibler projection over one multiplier per bound.
    """
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

    solution = minimize(
        dual,
        np.zeros(len(bound)),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, None)] * len(bound),
        options={"maxiter": 2000, "ftol": 1e-15, "gtol": 1e-9},
    )
    logits = base + design @ solution.x
    share = np.exp(logits - logits.max())
    share /= share.sum()
    slack = design.T @ share - bound
    worst = int(np.argmin(slack))
    if slack[worst] < -_TOLERANCE:
        raise UndecidableError(
            f"no sampling gives {names[worst % len(names)]!r} its part",
            "lower --floor, or use a rule that shows every model",
        )
    return share
