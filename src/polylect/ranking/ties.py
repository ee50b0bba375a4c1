"""Fits in which a tie, or a BOTH_BAD, is an outcome of its own rather than half a win.

Each has a logit or threshold parameter per kind of tie and a concave likelihood. It is fitted by
Newton on the counts, with a sandwich over strengths and parameters together; few votes widen it as
in ``fit_bradley_terry``.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from polylect.base import UndecidableError
from polylect.ranking._joint_fit import fix_common_shift, joint_ratings
from polylect.ranking._linear_algebra import solve_positive
from polylect.ranking._logistic import expit, softmax
from polylect.ranking._separation import require_finite_ties
from polylect.ranking.components import require_finite
from polylect.ranking.counts import FloatArray, PairCounts
from polylect.ranking.few_votes import few_votes_share
from polylect.ranking.ratings import Ratings

_STEP_TOLERANCE = 1e-11
_MAX_ITERATIONS = 100
_MAX_HALVINGS = 60
# Logits of A, B, TIE and BOTH_BAD as combinations of a, b, log ν and the level of "neither".
_LOGITS = np.array(
    [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.5, 0.5, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
)
# Not negative: for A a − b − η, for B b − a − η, for a tie η − |a − b|.
_RAO_KUPPER_MARGINS = [
    np.array([[1.0, -1.0, -1.0]]),
    np.array([[-1.0, 1.0, -1.0]]),
    np.array([[-1.0, 1.0, 1.0], [1.0, -1.0, 1.0]]),
]


class PairLikelihood(NamedTuple):
    """Log-probabilities of the outcomes of each pair, with derivatives in L local parameters.

    The local parameters are the pair's two strengths and the extra parameters.

    Attributes:
        value: (P, K).
        gradient: (P, K, L).
        hessian: (P, K, L, L).
    """

    value: FloatArray
    gradient: FloatArray
    hessian: FloatArray


_TieModel = Callable[[FloatArray, FloatArray, FloatArray], PairLikelihood]
"""Likelihood of the pairs, of strengths a (P,) and b (P,) and the extra parameters."""


def fit_davidson(counts: PairCounts) -> Ratings:
    """Strengths and a tie parameter ν; TIE and BOTH_BAD are one kind of tie.

    P(A), P(B), P(tie) are proportional to e^a, e^b, ν e^((a+b)/2) (Davidson 1970). The
    parameter ``tie`` is log ν.

    Raises:
        UndecidableError: strengths are not finite, or every vote is a tie.
    """
    _require_decisive(counts)
    return _fit_softmax(counts, _ties_merged(counts), ("tie",), "Davidson ties")


def fit_rao_kupper(counts: PairCounts) -> Ratings:
    """Strengths and a threshold η > 0; TIE and BOTH_BAD are one kind of tie.

    P(A) = σ(a − b − η), P(B) = σ(b − a − η), a tie is the rest (Rao and Kupper 1967, with
    θ = e^η). The parameter ``tie`` is η.

    Raises:
        UndecidableError: strengths are not finite, or every vote is a tie.
    """
    _require_decisive(counts)
    cells = _ties_merged(counts)
    if not cells[:, 2].any():
        return _fit_softmax(counts, cells, ("tie",), "Rao–Kupper ties")
    share = min(float(cells[:, 2].sum() / cells.sum()), 0.99)
    require_finite_ties(counts, cells, _RAO_KUPPER_MARGINS, "Rao–Kupper ties")
    start = {"tie": float(np.log((1.0 + share) / (1.0 - share)))}
    return _fit(counts, cells, _rao_kupper_model, start, "Rao–Kupper ties")


def fit_both_bad(counts: PairCounts) -> Ratings:
    """Strengths, a tie parameter, and the level below which an answer is bad.

    P(A), P(B), P(TIE), P(BOTH_BAD) are proportional to e^a, e^b, ν e^((a+b)/2), e^g: Davidson's
    model with "neither" as an outside option of strength g (Luce's choice axiom). Good models are
    called bad less often, and the strengths use this, so they estimate something else than those of
    the half-point fit. ``tie`` is log ν; ``both bad`` is g on the scale of the centered strengths.

    Does not: let BOTH_BAD link models that never met. The model could, but the link would then
    rest on the model alone.

    Raises:
        UndecidableError: strengths are not finite, or no vote is decisive.
    """
    _require_decisive(counts)
    return _fit_softmax(
        counts, counts.outcomes, ("tie", "both bad"), "Davidson ties, both-bad its own"
    )


def _require_decisive(counts: PairCounts) -> None:
    require_finite(counts)
    if not counts.outcomes[:, :2].any():
        raise UndecidableError(
            "every vote is a tie: the tie parameter is not finite", "use the half-point fit"
        )


def _ties_merged(counts: PairCounts) -> FloatArray:
    """(P, 3) votes of each pair: first won, second won, TIE or BOTH_BAD."""
    cells = counts.outcomes
    return np.column_stack([cells[:, 0], cells[:, 1], cells[:, 2] + cells[:, 3]])


def _fit_softmax(
    counts: PairCounts, cells: FloatArray, names: tuple[str, ...], method: str
) -> Ratings:
    """Davidson's model, with the outcomes among ``names`` that occur.

    An outcome that never occurred would have its parameter at minus infinity, and is left out.
    """
    columns = [0, 1, *(2 + i for i in range(len(names)) if cells[:, 2 + i].any())]
    kept = [names[column - 2] for column in columns[2:]]
    design = _LOGITS[np.ix_(columns, columns)]
    margins = [np.delete(logit - design, row, axis=0) for row, logit in enumerate(design)]
    require_finite_ties(counts, cells[:, columns], margins, method)
    start = dict.fromkeys(kept, 0.0)
    return _fit(counts, cells[:, columns], _softmax_model(design), start, method)


def _softmax_model(design: FloatArray) -> _TieModel:
    """Outcomes whose logits are linear in the local parameters."""

    def likelihood(a: FloatArray, b: FloatArray, extra: FloatArray) -> PairLikelihood:
        point = np.column_stack([a, b, np.broadcast_to(extra, (len(a), len(extra)))])
        logits = point @ design.T
        share = softmax(logits)
        mean = share @ design
        top = logits.max(1, keepdims=True)
        value = logits - top - np.log(np.exp(logits - top).sum(1, keepdims=True))
        second = np.einsum("pk,kl,km->plm", share, design, design)
        hessian = np.einsum("pl,pm->plm", mean, mean) - second
        return PairLikelihood(
            value,
            design[None] - mean[:, None, :],
            np.broadcast_to(hessian[:, None], (len(a), len(design), *hessian.shape[1:])),
        )

    return likelihood


def _rao_kupper_model(a: FloatArray, b: FloatArray, extra: FloatArray) -> PairLikelihood:
    threshold = float(extra[0])
    gap = a - b
    zero = np.zeros_like(gap)
    if threshold <= 0.0:
        # Outside the parameter space: a tie has no probability.
        value = np.column_stack([zero, zero, np.full_like(gap, -np.inf)])
        return PairLikelihood(value, np.zeros((len(gap), 3, 3)), np.zeros((len(gap), 3, 3, 3)))
    up, down = expit(gap - threshold), expit(-gap - threshold)
    log_up = -np.logaddexp(0.0, threshold - gap)
    log_down = -np.logaddexp(0.0, threshold + gap)
    value = np.column_stack([log_up, log_down, log_up + log_down + np.log(np.expm1(2 * threshold))])
    win = np.stack([1 - up, up - 1, up - 1], 1)
    lose = np.stack([down - 1, 1 - down, down - 1], 1)
    tail = -np.expm1(-2 * threshold)
    tie = win + lose + np.array([0.0, 0.0, 2.0 / tail])
    win_direction = np.array([1.0, -1.0, -1.0])
    lose_direction = np.array([-1.0, 1.0, -1.0])
    win_2 = -(up * (1 - up))[:, None, None] * np.outer(win_direction, win_direction)
    lose_2 = -(down * (1 - down))[:, None, None] * np.outer(lose_direction, lose_direction)
    tie_2 = win_2 + lose_2
    tie_2[:, 2, 2] -= 4.0 * np.exp(-2 * threshold) / tail**2
    return PairLikelihood(value, np.stack([win, lose, tie], 1), np.stack([win_2, lose_2, tie_2], 1))


def _fit(
    counts: PairCounts, cells: FloatArray, model: _TieModel, start: dict[str, float], method: str
) -> Ratings:
    point = np.append(np.zeros(counts.num_models), list(start.values()))
    point, num_iterations = _newton(counts, cells, model, point)
    gradient, hessian, meat, _ = _assemble(counts, cells, model, point)
    share = few_votes_share(counts, counts.totals, counts.outcomes[:, :2].sum(1))
    if share.any():
        meat = meat + _assemble(counts, cells * share[:, None], model, point)[1]
    return joint_ratings(
        counts,
        point,
        point[: counts.num_models],
        (gradient, hessian, meat),
        list(start),
        f"Bradley–Terry with {method}",
        num_iterations,
    )


def _newton(
    counts: PairCounts, cells: FloatArray, model: _TieModel, point: FloatArray
) -> tuple[FloatArray, int]:
    """The solution and the number of steps."""
    size = counts.num_models
    for iteration in range(1, _MAX_ITERATIONS + 1):
        gradient, hessian, _, likelihood = _assemble(counts, cells, model, point)
        step = solve_positive(fix_common_shift(hessian, size), gradient)
        length = float(np.abs(step).max())
        if length > 0.1:
            for _ in range(_MAX_HALVINGS):
                if _assemble(counts, cells, model, point + step)[3] >= likelihood:
                    break
                step = step / 2.0
        point = point + step
        if length < _STEP_TOLERANCE * max(1.0, float(np.abs(point).max())):
            return point, iteration
    raise UndecidableError(f"no solution after {_MAX_ITERATIONS} Newton steps", "check the votes")


def _assemble(
    counts: PairCounts, cells: FloatArray, model: _TieModel, point: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, float]:
    """Gradient, negative Hessian, sum of outer products of single scores, log-likelihood."""
    size = counts.num_models
    pairs = model(point[counts.first], point[counts.second], point[size:])
    with np.errstate(invalid="ignore"):
        log_likelihood = np.where(cells > 0, cells * pairs.value, 0.0)
    num_extra = len(point) - size
    extra = np.broadcast_to(np.arange(size, len(point)), (len(cells), num_extra))
    index = np.column_stack([counts.first, counts.second, extra])
    gradient = np.zeros(len(point))
    np.add.at(gradient, index, np.einsum("pk,pkl->pl", cells, pairs.gradient))
    where = (index[:, :, None], index[:, None, :])
    hessian, meat = np.zeros((len(point),) * 2), np.zeros((len(point),) * 2)
    np.add.at(hessian, where, -np.einsum("pk,pklm->plm", cells, pairs.hessian))
    squared = np.einsum("pk,pkl,pkm->plm", cells, pairs.gradient, pairs.gradient)
    np.add.at(meat, where, squared)
    return gradient, hessian, meat, float(log_likelihood.sum())
