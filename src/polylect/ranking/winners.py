"""Inference on winners: scores of the best of several variants, corrected for the selection.

From all N scores: conditional and hybrid inference (Andrews, Kitagawa and McCloskey 2024,
"Inference on Winners"). From the spread of the true scores: the exact distribution of the winner's
noise. From the winner's score and N alone: bounds, and an interval that is valid for any true
scores. No point estimate is unbiased for every spread; ``bias_curve`` shows the remaining bias.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np

from polylect.base import InputError, UndecidableError, generator
from polylect.ranking.bradley_terry import fit_bradley_terry
from polylect.ranking.components import identify
from polylect.ranking.counts import FloatArray, PairCounts
from polylect.ranking.order_statistics import expected_maximum, maximum_rule
from polylect.ranking.ratings import ELO_PER_NAT, Ratings
from polylect.ranking.votes import VoteTable
from polylect.stats import two_sided_z

_NUM_BISECTIONS = 60
_PROJECTION_SHARE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class WinnerScore:
    """A score of a model that was selected as the best of several.

    Attributes:
        estimate: the correction and what it uses, in words.
        rating: point estimate, or None where only bounds are known.
        rating_lower, rating_upper: bounds of the point estimate; equal to it if there is one.
        lower, upper: interval of the winner's true score.
    """

    estimate: str
    rating: float | None
    rating_lower: float
    rating_upper: float
    lower: float
    upper: float


def naive_score(score: float, sd: float, level: float = 0.95) -> WinnerScore:
    """The winner's score without a correction: too high."""
    half = two_sided_z(level) * sd
    return _point("as shown, not corrected", score, score - half, score + half)


def score_from_number(
    score: float, sd: float, num_variants: int, level: float = 0.95
) -> WinnerScore:
    """Bounds from the winner's score and N alone, valid whatever the true scores are.

    The winner's expected noise lies between 0 (one variant far ahead) and that of N identical
    ones. The lower end of the interval holds because the winner's noise is at most the largest of
    N (Šidák), the upper end because selection only makes a variant's noise larger.

    Args:
        score: of the winner.
        sd: its standard error; those of the other variants are assumed to be no larger.
        num_variants: N, including the winner.
        level: of the interval.
    """
    from scipy.special import ndtri

    tail = (1.0 - level) / 2.0
    reach = float(ndtri((1.0 - tail) ** (1.0 / num_variants)))
    return WinnerScore(
        estimate=f"bounds from N = {num_variants} alone",
        rating=None,
        rating_lower=score - sd * expected_maximum(num_variants),
        rating_upper=score,
        lower=score - sd * reach,
        upper=score + sd * two_sided_z(level),
    )


def score_from_spread(
    score: float, sd: float, num_variants: int, spread: float, level: float = 0.95
) -> WinnerScore:
    """Unbiased score and exact interval if true scores are normal with the given spread.

    The winner's noise is (s²/v) T + √(s² τ²/v) Z with v = s² + τ², T the maximum of N normals of
    variance v, Z standard normal.

    Args:
        score: of the winner.
        sd: s, the standard error of each score.
        num_variants: N, including the winner.
        spread: τ, standard deviation of the variants' true scores, in Elo.
        level: of the interval.
    """
    from scipy.optimize import brentq
    from scipy.special import ndtr

    total_sd = float(np.hypot(sd, spread))
    slope, rest = sd**2 / total_sd, sd * spread / total_sd
    nodes, weights = maximum_rule(num_variants)

    def noise_cdf(noise: float) -> float:
        if rest == 0.0:
            # Identical variants: the noise is the maximum itself.
            return float(ndtr(noise / sd)) ** num_variants
        return float(weights @ ndtr((noise - slope * nodes) / rest))

    def quantile(share: float) -> float:
        wide = 12.0 * sd
        root = brentq(lambda noise: noise_cdf(noise) - share, -wide, wide, xtol=1e-10)
        return cast(float, root)

    tail = (1.0 - level) / 2.0
    return _point(
        f"N = {num_variants} and a spread of {spread:g} Elo",
        score - slope * expected_maximum(num_variants),
        score - quantile(1.0 - tail),
        score - quantile(tail),
    )


def score_from_all(scores: FloatArray, covariance: FloatArray, level: float = 0.95) -> WinnerScore:
    """Median-unbiased score and hybrid interval of the winner, from all N scores.

    The interval covers the winner's true score with probability ``level`` or more for any true
    scores, up to the normal approximation of the scores (Andrews, Kitagawa and McCloskey 2024). A
    tenth of the error goes to the projection interval that keeps the hybrid one short.

    Args:
        scores: (N,) of all variants, N ≥ 2.
        covariance: (N, N) of the scores.
        level: of the interval.
    """
    best = int(np.argmax(scores))
    variance = float(covariance[best, best])
    others = np.delete(np.arange(len(scores)), best)
    # Given what is independent of the winner's score, winning means that it is above a limit.
    ratio = covariance[others, best] / variance
    free = scores[others] - ratio * scores[best]
    with np.errstate(divide="ignore", invalid="ignore"):
        limits = np.where(ratio < 1.0, free / (1.0 - ratio), -np.inf)
        caps = np.where(ratio > 1.0, free / (1.0 - ratio), np.inf)
    point, lower, upper = hybrid_intervals(
        np.array([scores[best]]),
        np.array([np.sqrt(variance)]),
        np.array([limits.max()]),
        np.array([caps.min()]),
        len(scores),
        level,
    )
    return _point(f"all {len(scores)} scores", float(point[0]), float(lower[0]), float(upper[0]))


def hybrid_intervals(
    score: FloatArray,
    sd: FloatArray,
    limit: FloatArray,
    cap: FloatArray,
    num_variants: int,
    level: float = 0.95,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Median-unbiased points, lower ends and upper ends, for R winners at once.

    Args:
        score: (R,) scores of the winners.
        sd: (R,) their standard errors.
        limit: (R,) score below which the winner would not have won.
        cap: (R,) score above which it would not have won; infinite for independent scores.
        num_variants: N.
        level: of the intervals.
    """
    from scipy.special import ndtri

    tail = 1.0 - level
    aside = tail * _PROJECTION_SHARE
    reach = float(ndtri(0.5 + 0.5 * (1.0 - aside) ** (1.0 / num_variants)))
    inner = (tail - aside) / (1.0 - aside)
    ends = []
    for share in (0.5, 1.0 - inner / 2.0, inner / 2.0):
        low, high = score - reach * sd, score + reach * sd
        for _ in range(_NUM_BISECTIONS):
            middle = (low + high) / 2.0
            # The probability of a score up to the observed one falls as the true score rises.
            above = _truncated_normal_cdf(score, middle, sd, limit, cap, reach) > share
            low, high = np.where(above, middle, low), np.where(above, high, middle)
        ends.append((low + high) / 2.0)
    return ends[0], ends[1], ends[2]


def fresh_counts(table: VoteTable, model: str, since: float) -> PairCounts:
    """All votes except those on a model from before its selection: an unbiased basis of its score.

    Args:
        table: votes with ``numbers["time"]``, in seconds since 1970.
        model: the selected model.
        since: when it was selected, in seconds since 1970.

    Raises:
        InputError: there is no such model.
    """
    position = table.counts().position(model)
    with_model = (table.a == position) | (table.b == position)
    return table.counts(~with_model | (table.numbers["time"] >= since))


def fresh_score(
    counts: PairCounts, model: str, anchor: tuple[str, float] | None = None
) -> WinnerScore:
    """The score from ``fresh_counts``, which needs no correction.

    Raises:
        UndecidableError: these votes give the model no finite rating.
    """
    core = identify(counts).core_with(model)
    if len(core) < 2:
        raise UndecidableError(
            f"{model!r} has no finite rating from the votes after it was chosen",
            "collect more votes, with wins and losses",
        )
    fit = fit_bradley_terry(counts.restricted(core))
    i = fit.position(model)
    shift = fit.shift(anchor)
    lower, upper = fit.bounds
    return _point(
        f"its {fit.battles[i]:,.0f} votes cast after the choice",
        float(fit.elo[i]) + shift,
        float(lower[i]) + shift,
        float(upper[i]) + shift,
    )


def winner_scores(
    fit: Ratings,
    shift: float,
    model: str,
    num_variants: int,
    variants: tuple[str, ...] = (),
    spread: float | None = None,
) -> list[WinnerScore]:
    """The uncorrected score, then every correction for which the inputs are known.

    Args:
        fit: ratings of the board.
        shift: constant that the display adds to centered Elo.
        model: the selected model.
        num_variants: number of variants it was selected from, including itself.
        variants: names of all variants, if they are on the board.
        spread: standard deviation of their true scores in Elo, if it is known.

    Raises:
        InputError: fewer than two variants, or names that do not fit.
    """
    if num_variants < 2:
        raise InputError(f"best of {num_variants}: nothing was chosen", "give 2 or more")
    i = fit.position(model)
    score, sd = float(fit.elo[i]) + shift, float(fit.standard_error[i])
    results = [naive_score(score, sd, fit.level)]
    results.append(score_from_number(score, sd, num_variants, fit.level))
    if spread is not None:
        results.append(score_from_spread(score, sd, num_variants, spread, fit.level))
    if variants:
        names = sorted({*variants, model})
        if len(names) != num_variants:
            raise InputError(
                f"{len(names)} variants are named, but it is the best of {num_variants}",
                "name all of them, or none",
            )
        places = [fit.position(name) for name in names]
        scores = fit.elo[places] + shift
        if scores.max() > score:
            raise InputError(
                f"{names[int(scores.argmax())]!r} has a higher score than {model!r}",
                "name the best of the variants",
            )
        covariance = fit.covariance[np.ix_(places, places)] * ELO_PER_NAT**2
        results.append(score_from_all(scores, covariance, fit.level))
    return results


@dataclass(frozen=True, eq=False, slots=True)
class BiasCurve:
    """Bias and coverage of a winner's score by the spread of the true scores.

    Attributes:
        spread: (K,) standard deviation of the true scores, in Elo.
        naive_bias, median_bias: of the uncorrected score, and of the median-unbiased score.
        naive_coverage, hybrid_coverage, number_coverage: of the plain interval, the hybrid
            interval, and the interval from N alone.
    """

    spread: FloatArray
    naive_bias: FloatArray
    median_bias: FloatArray
    naive_coverage: FloatArray
    hybrid_coverage: FloatArray
    number_coverage: FloatArray


def bias_curve(
    num_variants: int,
    sd: float,
    spreads: FloatArray,
    num_runs: int = 4000,
    seed: int = 0,
    level: float = 0.95,
) -> BiasCurve:
    """Bias and coverage of each correction, simulated for normal scores with common draws.

    Args:
        num_variants: N, 2 or more.
        sd: standard error of each score, in Elo.
        spreads: (K,) standard deviations of the true scores to simulate, in Elo.
        num_runs: simulated selections per spread.
        seed: of the draws.
        level: of the intervals.
    """
    rng = generator(seed, "bias curve")
    truth = rng.standard_normal((num_runs, num_variants))
    noise = rng.standard_normal((num_runs, num_variants)) * sd
    rows = np.arange(num_runs)
    columns: list[list[float]] = []
    for spread in spreads:
        scores = spread * truth + noise
        best = scores.argmax(1)
        shown, target = scores[rows, best], spread * truth[rows, best]
        second = np.partition(scores, -2, axis=1)[:, -2]
        point, lower, upper = hybrid_intervals(
            shown, np.full(num_runs, sd), second, np.full(num_runs, np.inf), num_variants, level
        )
        from_number = score_from_number(0.0, sd, num_variants, level)
        error = shown - target
        columns.append(
            [
                float(error.mean()),
                float((point - target).mean()),
                float((np.abs(error) <= two_sided_z(level) * sd).mean()),
                float(((lower <= target) & (target <= upper)).mean()),
                float(((from_number.lower <= -error) & (-error <= from_number.upper)).mean()),
            ]
        )
    return BiasCurve(np.asarray(spreads, np.float64), *np.array(columns).T)


def _truncated_normal_cdf(
    score: FloatArray,
    mean: FloatArray,
    sd: FloatArray,
    limit: FloatArray,
    cap: FloatArray,
    reach: float,
) -> FloatArray:
    """P(X ≤ score) for X normal, given limit ≤ X ≤ cap and |X − mean| ≤ reach · sd."""
    from scipy.special import ndtr

    low = np.maximum((limit - mean) / sd, -reach)
    high = np.minimum((cap - mean) / sd, reach)
    here = np.clip((score - mean) / sd, low, high)
    # Above zero use the mirrored tail: a difference of two numbers near one would lose digits.
    flip = low > 0
    low, here, high = (np.where(flip, -x, x) for x in (low, here, high))
    base = ndtr(high) - ndtr(low)
    share = (ndtr(here) - ndtr(low)) / np.where(base == 0.0, 1.0, base)
    return np.where(base == 0.0, 0.5, share)


def _point(estimate: str, rating: float, lower: float, upper: float) -> WinnerScore:
    return WinnerScore(
        estimate=estimate,
        rating=rating,
        rating_lower=rating,
        rating_upper=rating,
        lower=lower,
        upper=upper,
    )
