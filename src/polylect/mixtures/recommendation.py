"""The mixture that a fitted law recommends, by a stated rule, and how sure that is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from polylect.base import Count, InputError, Range, Seed, check_settings, numbered
from polylect.comparison import GAINED, OPEN, PAID
from polylect.mixtures.law_forms import (
    SMOOTH,
    Floats,
    Law,
    LawName,
    Numbers,
    num_coefficients,
)
from polylect.mixtures.laws import deal_folds, fit_of, predict_left_out
from polylect.mixtures.no_effect import NoEffect, shares_matter
from polylect.mixtures.resampled import Interval, interval_of, resample, resampled_laws
from polylect.mixtures.scaling import ScaledLaw, check_scales, with_scale
from polylect.mixtures.share_space import ShareSpace, space_around

Rule = Literal["average", "worst", "nobody-pays"]
Verdict = Literal["change", "no effect", "not separable", "reference is best"]

FOLDS_OF_BOOSTED = 10
MIN_RESAMPLES = 20
"""Of fewer, not one in twenty lies outside an interval of 95 %."""
_RESAMPLES_OF_BOOSTED = MIN_RESAMPLES
_BEST_OF_BOOSTED = 128
_SMALL_STEP, _BOOSTED_STEP = 0.01, 0.1


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """How a table of runs becomes a recommendation.

    Attributes:
        laws: that are compared; the one with the smallest error on mixtures left out is used. One
            that takes as many numbers from a cell as there are mixtures is left out.
        rule: the mixture with the best average over cells; with the best worst-hurt cell, against
            the reference; or with the best average among those that hurt no cell.
        level: largest p-value of no effect at which a change is recommended.
        candidates: mixtures that are looked at.
        resamples: of the mixtures, for the intervals, 20 or more; at most 20 of a boosted fit.
        folds: parts in which mixtures are left out. Default: every mixture alone up to 128, else
            64; ten where a boosted fit is compared.
        seed: of all that is drawn.
    """

    laws: tuple[LawName, ...] = SMOOTH
    rule: Rule = "average"
    level: Annotated[float, Range(above=0, below=1)] = 0.05
    candidates: Count = 20_000
    resamples: Annotated[int, Range(MIN_RESAMPLES)] = 200
    folds: Annotated[int, Range(2, float("inf"))] | None = None
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_settings(self)
        if not self.laws or len(set(self.laws)) != len(self.laws):
            raise InputError(f"laws: {list(self.laws)}", "name each law once, at least one")


@dataclass(frozen=True)
class LawErrors:
    """How well a law predicts mixtures that it was not fitted to.

    Attributes:
        predicted: losses of the runs, each from runs of other mixtures [runs, cells].
        relative: root mean squared error, relative to the cell's mean loss [cells].
    """

    predicted: Floats
    relative: Floats


@dataclass(frozen=True)
class Recommendation:
    """What the runs say to do.

    Attributes:
        shares: the recommended mixture [streams]; the reference where no change is recommended.
        verdict: why: a change; no effect of shares; a gain that cannot be separated from none; or
            the law's best is the reference.
        considered: the best mixture by law and rule, recommended or not [streams].
        lowest: smallest shares that were allowed [streams].
        highest: largest ones [streams].
        law_name: the law that was used.
        laws: all that were compared, fitted to all runs, by name.
        errors: of every law that was compared, by name.
        too_many: numbers that each law would take from a cell, of those that there are too few
            mixtures for.
        folds: in which every run was left out [runs].
        no_effect: the test that shares matter at all.
        gain: of what the rule looks at, from the reference to ``considered``: the mean, or the
            worst cell's, of relative falls of the loss; a single number.
        gains: relative fall of the loss of every cell from the reference to ``shares`` [cells];
            the intervals hold for all cells at once.
        verdicts: of every cell: gained, paid or not separable.
        prices: relative rise of the loss of every cell for one percentage point more of a stream,
            the others giving in proportion [streams, cells]; NaN where no run tells. Each interval
            for itself.
        degrees: of freedom behind the intervals.
    """

    shares: Floats
    verdict: Verdict
    considered: Floats
    lowest: Floats
    highest: Floats
    law_name: LawName
    laws: dict[LawName, Law]
    errors: dict[LawName, LawErrors]
    too_many: dict[LawName, int]
    folds: Numbers
    no_effect: NoEffect
    gain: Interval
    gains: Interval
    verdicts: tuple[str, ...]
    prices: Interval
    degrees: int

    @property
    def law(self) -> Law:
        """The law that was used."""
        return self.laws[self.law_name]

    @property
    def is_change(self) -> bool:
        """Whether a change is recommended."""
        return self.verdict == "change"


def recommend(
    shares: Floats,
    losses: Floats,
    reference: Sequence[float] | Floats,
    config: FitConfig,
    *,
    mixtures: Numbers | None = None,
    seeds: Sequence[int] | None = None,
    scales: Sequence[float] | Floats | None = None,
    at_scale: float = 1.0,
    lowest: Sequence[float | None] | Floats | None = None,
    highest: Sequence[float | None] | Floats | None = None,
    groups: tuple[tuple[int, ...], ...] | None = None,
) -> Recommendation:
    """The mixture that a rule prefers under the law of a table of runs.

    A change is recommended where shares explain losses better than chance (mixtures dealt out anew,
    at ``config.level``) and where the gain that the rule looks at is separable from none; else the
    reference stays. Intervals are 95 % over resampled mixtures, the recommended mixture held fixed:
    they do not cover that it was chosen among many.

    Args:
        shares: of every run [runs, streams], rows that sum to 1.
        losses: of every run [runs, cells].
        reference: the mixture that a change is compared with [streams].
        config: laws, rule and level.
        mixtures: number of the mixture of every run [runs]; default by equal shares.
        seeds: of the runs; default each its own.
        scales: of the runs; the laws are of shares and scale then, and at least three are needed.
        at_scale: the scale for which the mixture is recommended, where there are ``scales``.
        lowest: smallest shares [streams]; default (and None) the smallest of any run.
        highest: largest shares [streams], what text and epochs allow; default (and None) the
            largest of any run.
        groups: columns of shares whose sum is kept, as those of a stage; default all in one.

    Raises:
        InputError: fewer mixtures than streams and one, values that are not finite, losses at or
            below 0, bounds that no mixture keeps, or a boosted fit without its package.
    """
    reference = np.asarray(reference, float)
    if mixtures is None:
        mixtures = np.unique(shares.round(6), axis=0, return_inverse=True)[1].reshape(-1)
    _check(shares, losses, reference, mixtures)
    space = space_around(shares, reference, lowest=lowest, highest=highest, groups=groups)
    num_folds = FOLDS_OF_BOOSTED if config.folds is None and "boosted" in config.laws else (
        config.folds)  # fmt: skip
    folds = deal_folds(mixtures, num_folds, config.seed)
    columns, num_streams = shares, shares.shape[1]
    if scales is not None:
        check_scales(np.asarray(scales, float), mixtures)
        columns = with_scale(shares, np.asarray(scales, float))

    def at(law: Law) -> Law:
        return law if scales is None else ScaledLaw(law, at_scale)

    level = losses.mean(axis=0)
    names, too_many = _enough_mixtures(config.laws, columns, num_streams, mixtures)
    errors: dict[LawName, LawErrors] = {}
    for name in names:
        predicted = predict_left_out(name, columns, losses, folds, num_streams, config.seed)
        relative = np.sqrt(((predicted - losses) ** 2).mean(axis=0)) / level
        errors[name] = LawErrors(predicted, relative)
    law_name = min(names, key=lambda name: float(errors[name].relative.mean()))
    fit, is_boosted = fit_of(law_name, num_streams, config.seed), law_name == "boosted"
    fitted = {name: fit_of(name, num_streams, config.seed)(columns, losses, None) for name in names}
    law = at(fitted[law_name])
    no_effect = shares_matter(
        shares, losses, mixtures, [1.0] * len(shares) if scales is None else list(scales),
        list(range(len(shares))) if seeds is None else seeds, seed=config.seed,
    )  # fmt: skip
    best = _best(law, space, config, is_boosted=is_boosted)
    directions = space.price_directions()
    step = _BOOSTED_STEP if is_boosted else _SMALL_STEP
    drawn = resample(
        resampled_laws(
            fit, fitted[law_name], columns, losses, errors[law_name].predicted, mixtures,
            num=min(config.resamples, _RESAMPLES_OF_BOOSTED) if is_boosted else config.resamples,
            seed=config.seed,
        ),
        {
            "gains": lambda drawn: _gains(at(drawn), best, reference),
            "prices": lambda drawn: _prices(at(drawn), reference, directions, step),
        },
    )  # fmt: skip
    taken = num_coefficients(law_name, columns, num_streams)
    degrees = max(1, int(mixtures.max()) + 1 - (taken or num_streams))
    gain_cells = _gains(law, best, reference)
    gain = interval_of(
        np.array(_looked_at(gain_cells, config.rule)), _looked_at(drawn["gains"], config.rule),
        degrees, 0.95, together=False,
    )  # fmt: skip
    verdict = _verdict(best, reference, no_effect, gain, config.level)
    gains = interval_of(gain_cells, drawn["gains"], degrees, 0.95, together=True)
    if verdict != "change":
        nothing = np.zeros_like(gain_cells)
        gains = Interval(nothing, nothing, nothing)
    prices = interval_of(_prices(law, reference, directions, step), drawn["prices"], degrees, 0.95,
                         together=False)  # fmt: skip
    return Recommendation(
        best if verdict == "change" else reference, verdict, best, space.lowest, space.highest,
        law_name, {name: at(law) for name, law in fitted.items()}, errors, too_many, folds,
        no_effect, gain, gains, cell_verdicts(gains), prices, degrees,
    )  # fmt: skip


def cell_verdicts(gains: Interval) -> tuple[str, ...]:
    """Gained, paid or not separable, by the interval of every gain."""
    return tuple(GAINED if low > 0 else PAID if high < 0 else OPEN
                 for low, high in zip(gains.lower, gains.upper, strict=True))  # fmt: skip


def _verdict(
    best: Floats, reference: Floats, no_effect: NoEffect, gain: Interval, level: float
) -> Verdict:
    if no_effect.p_value > level:
        return "no effect"
    if np.abs(best - reference).max() < 1e-6:
        return "reference is best"
    return "change" if float(gain.lower) > 0 else "not separable"


def _enough_mixtures(
    names: Sequence[LawName], columns: Floats, num_streams: int, mixtures: Numbers
) -> tuple[list[LawName], dict[LawName, int]]:
    """Laws that can be judged by a mixture left out, and numbers that the others would take."""
    num = int(mixtures.max()) + 1
    taken = {name: num_coefficients(name, columns, num_streams) for name in names}
    # What a law takes beyond shares is told by runs of the same mixture at other scales, too.
    beyond = columns.shape[1] - num_streams
    enough = [name for name in names if taken[name] - beyond < num]
    if not enough:
        raise InputError(
            f"{numbered(num, 'mixture')}, and the {names[0]} law takes"
            f" {numbered(taken[names[0]], 'number')} from a cell",
            "run more mixtures, or compare the linear law",
        )
    return enough, {name: taken[name] for name in names if name not in enough}


def _best(law: Law, space: ShareSpace, config: FitConfig, *, is_boosted: bool) -> Floats:
    """The mixture of the space that the rule prefers."""
    pool = space.sample(config.candidates, config.seed)
    badness = _badness(law, pool, space.reference, config.rule)
    if is_boosted:
        # Steps of trees leave many alike: RegMix takes the mean of the best 128 (its notebook).
        allowed = int(np.isfinite(badness).sum())
        order = np.argsort(badness, kind="stable")[: min(_BEST_OF_BOOSTED, allowed)]
        mean = pool[order].mean(axis=0)
        is_allowed = np.isfinite(_badness(law, mean[None], space.reference, config.rule))[0]
        best = int(np.argmin(badness))
        return space.reference if best == 0 else mean if is_allowed else pool[best]
    return _polished(law, pool[int(np.argmin(badness))], space, config.rule)


def _polished(law: Law, start: Floats, space: ShareSpace, rule: Rule) -> Floats:
    """The best mixture near one, for a law that is smooth; never a worse one."""
    from scipy.optimize import minimize

    reference = space.reference
    base = law.predict(reference[None])[0]

    def ratio(shares: Floats) -> Floats:
        return law.predict(shares[None, : len(reference)])[0] / base

    is_worst = rule == "worst"
    rows = [np.isin(np.arange(len(reference)), group).astype(float) for group in space.groups]
    equal = np.array([*rows, *space.frozen])
    constraints = [{"type": "eq", "fun": lambda x: equal @ (x[: len(reference)] - reference)}]
    if is_worst:  # the largest ratio is a variable of its own
        constraints.append({"type": "ineq", "fun": lambda x: x[-1] - ratio(x)})
    elif rule == "nobody-pays":
        constraints.append({"type": "ineq", "fun": lambda x: 1.0 - ratio(x)})
    bounds = [*zip(space.lowest, space.highest, strict=True), *([(0, None)] if is_worst else [])]
    begin = np.append(start, ratio(start).max()) if is_worst else start
    result = minimize(
        (lambda x: x[-1]) if is_worst else (lambda x: float(ratio(x).mean())), begin,
        method="SLSQP", bounds=bounds, constraints=constraints,
        options={"maxiter": 200, "ftol": 1e-9},
    )  # fmt: skip
    polished = np.clip(result.x[: len(reference)], space.lowest, space.highest)
    for row in rows:
        total = float(row @ polished)
        polished = np.where(row > 0, polished * (row @ reference) / max(total, 1e-300), polished)
    pair = np.stack([start, polished])
    if (polished > space.highest + 1e-6).any() or (polished < space.lowest - 1e-6).any():
        return start
    # Rounding of the optimizer may leave a cell worse by a millionth.
    badness = _badness(law, pair, reference, rule, slack=1e-6)
    return pair[int(badness[1] < badness[0] - 1e-9)]


def _badness(
    law: Law, pool: Floats, reference: Floats, rule: Rule, slack: float = 1e-9
) -> Floats:  # fmt: skip
    """What a rule minimizes, for every mixture; infinite for those that it does not allow."""
    ratio = law.predict(pool) / law.predict(reference[None])
    if rule == "worst":
        return ratio.max(axis=1)
    average = ratio.mean(axis=1)
    if rule == "nobody-pays":
        return np.where((ratio <= 1 + slack).all(axis=1), average, np.inf)
    return average


def _looked_at(gains: Floats, rule: Rule) -> Floats:
    """The number that a rule looks at, of gains [..., cells]."""
    return gains.min(axis=-1) if rule == "worst" else gains.mean(axis=-1)


def _gains(law: Law, chosen: Floats, reference: Floats) -> Floats:
    return 1.0 - law.predict(chosen[None])[0] / law.predict(reference[None])[0]


def _prices(law: Law, reference: Floats, directions: Floats, step: float) -> Floats:
    """Relative rise of every cell's loss per percentage point of every stream [streams, cells]."""
    base = law.predict(reference[None])[0]
    # A stream that is everything is priced by what one point less of it does.
    sign = np.where(reference + step > 1, -1.0, 1.0)[:, None]
    moved = law.predict(np.nan_to_num(reference + sign * step * directions))
    prices = sign * (moved / base - 1.0) / (100 * step)
    unknown = np.asarray(np.isnan(directions)).any(axis=1, keepdims=True)
    return np.where(unknown, np.nan, prices)


def _check(shares: Floats, losses: Floats, reference: Floats, mixtures: Numbers) -> None:
    for name, values in (("shares", shares), ("losses", losses), ("reference", reference[None])):
        if not np.isfinite(values).all():
            row = int(np.argwhere(~np.isfinite(values).all(axis=1))[0, 0])
            raise InputError(f"{name}: row {row + 1} has a value that is not finite",
                             "leave the run out")  # fmt: skip
    for name, values in (("shares", shares), ("reference", reference[None])):
        sums = values.sum(axis=1)
        if (np.abs(sums - 1) > 1e-6).any() or (values < 0).any():
            row = int(np.argmax(np.abs(sums - 1)))
            raise InputError(f"{name}: row {row + 1} sums to {sums[row]:g}",
                             "give shares of 0 and more that sum to 1")  # fmt: skip
    if not (losses > 0).all():
        raise InputError("losses: not all are above 0", "give losses per token or byte")
    num, rank = int(mixtures.max()) + 1, int(np.linalg.matrix_rank(shares))
    if num < rank + 1:
        raise InputError(
            f"{numbered(num, 'mixture')} ({numbered(len(shares), 'run')}) for"
            f" {numbered(rank, 'stream')} with shares of their own",
            f"give runs of at least {numbered(rank + 1, 'mixture')}: a further seed is no further"
            " mixture",
        )
