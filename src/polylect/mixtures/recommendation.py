"""The mixture that a fitted law recommends, by a stated rule, and how sure that is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from polylect.base import Count, InputError, Range, Seed, check_settings, generator
from polylect.mixtures.laws import Floats, Law, LawName, explains, fit_law, left_out_errors

Rule = Literal["average", "worst", "nobody-pays"]


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """How a table of runs becomes a recommendation.

    Attributes:
        law: linear or log-linear. Default: the one with the smaller error on runs left out.
        rule: the mixture with the best average over cells; with the best worst-hurt cell, against
            the reference; or with the best average among those that hurt no cell.
        level: largest p-value of no effect at which a change is recommended.
        candidates: mixtures that are looked at.
        resamples: of the runs, for the intervals.
        seed: of all that is drawn.
    """

    law: LawName | None = None
    rule: Rule = "average"
    level: Annotated[float, Range(above=0, below=1)] = 0.05
    candidates: Count = 20_000
    resamples: Count = 200
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class Recommendation:
    """What the runs say to do.

    Attributes:
        shares: the recommended mixture [streams]; the reference where no change is recommended.
        is_change: whether it differs from the reference.
        law: the fitted law.
        law_name: its name.
        errors: root mean squared error on runs left out, by law and cell.
        p_value: of no effect of the shares on what the rule looks at.
        gains: relative fall of the loss of every cell against the reference [cells], predicted.
        lower: lower ends of their 95 % intervals, from resampled runs.
        upper: upper ends.
    """

    shares: Floats
    is_change: bool
    law: Law
    law_name: LawName
    errors: dict[LawName, Floats]
    p_value: float
    gains: Floats
    lower: Floats
    upper: Floats


def recommend(
    shares: Floats,
    losses: Floats,
    reference: Sequence[float] | Floats,
    config: FitConfig,
    *,
    lowest: Sequence[float] | Floats | None = None,
    highest: Sequence[float] | Floats | None = None,
) -> Recommendation:
    """The mixture that a rule prefers under the law of a table of runs.

    A change is recommended where the law explains the runs better than chance (permutations of the
    shares, at ``config.level``); else the reference stays. Intervals are percentiles over resampled
    runs, the recommended mixture held fixed: they do not cover that it was chosen among many.

    Args:
        shares: of every run [runs, streams], rows that sum to 1.
        losses: of every run [runs, cells].
        reference: the mixture that a change is compared with [streams].
        config: law, rule and level.
        lowest: smallest shares [streams]; default 0.
        highest: largest shares [streams], what text and epochs allow; default 1.

    Raises:
        InputError: fewer runs than streams and one, values that are not finite, losses at or below
            0, or bounds that no mixture keeps.
    """
    reference = np.asarray(reference, float)
    _check(shares, losses, reference)
    names: tuple[LawName, ...] = (config.law,) if config.law else ("linear", "log-linear")
    errors = {
        name: np.sqrt((left_out_errors(name, shares, losses) ** 2).mean(axis=0)) for name in names
    }
    law_name = min(names, key=lambda name: float((errors[name] / losses.mean(axis=0)).mean()))
    law = fit_law(law_name, shares, losses)
    level = losses.mean(axis=0)

    def average(values: Floats) -> Floats:
        return (values / level).mean(axis=1)

    p_value = explains(law_name, shares, losses, average, seed=config.seed)
    chosen = reference
    if p_value <= config.level:
        pool = candidates(len(reference), config.candidates, config.seed, lowest, highest)
        pool = np.concatenate([reference[None], pool])
        chosen = pool[int(np.argmin(_badness(law, pool, reference, config.rule)))]
    gains = _gains(law, chosen, reference)
    drawn = []
    for number in range(config.resamples):
        rows = generator(config.seed, "resample", number).integers(0, len(shares), len(shares))
        drawn.append(_gains(fit_law(law_name, shares[rows], losses[rows]), chosen, reference))
    lower, upper = np.percentile(np.array(drawn), [2.5, 97.5], axis=0)
    return Recommendation(
        chosen, bool((chosen != reference).any()), law, law_name, errors, p_value, gains, lower,
        upper,
    )  # fmt: skip


def candidates(
    num_streams: int,
    num: int,
    seed: int,
    lowest: Sequence[float] | Floats | None = None,
    highest: Sequence[float] | Floats | None = None,
) -> Floats:
    """Mixtures [n, streams] spread over the simplex between bounds; its corners among them.

    Raises:
        InputError: no mixture keeps the bounds.
    """
    low = np.zeros(num_streams) if lowest is None else np.asarray(lowest, float)
    high = np.ones(num_streams) if highest is None else np.asarray(highest, float)
    if low.sum() > 1 + 1e-9 or high.sum() < 1 - 1e-9 or (low > high).any():
        raise InputError(
            f"no mixture keeps the bounds: the smallest shares sum to {low.sum():.2f}, the largest"
            f" to {high.sum():.2f}",
            "the first must be at most 1, the second at least 1",
        )
    random = generator(seed, "candidates")
    # Half of them sparse, so that edges and corners are looked at as well as the middle.
    free = np.concatenate(
        [random.dirichlet(np.ones(num_streams), num // 2),
         random.dirichlet(np.full(num_streams, 0.3), num - num // 2), np.eye(num_streams)]
    )  # fmt: skip
    return _within(low + free * (1 - low.sum()), high)


def _within(shares: Floats, high: Floats) -> Floats:
    """Mixtures whose shares above a bound are cut to it, the rest spread over the others' room."""
    for _ in range(shares.shape[1]):
        over = np.clip(shares - high, 0, None).sum(axis=1, keepdims=True)
        if float(over.max()) < 1e-12:
            break
        shares = np.minimum(shares, high)
        room = high - shares
        shares = shares + over * room / np.maximum(room.sum(axis=1, keepdims=True), 1e-300)
    return shares


def _badness(law: Law, pool: Floats, reference: Floats, rule: Rule) -> Floats:
    """What a rule minimizes, for every mixture; infinite for those that it does not allow."""
    ratio = law.predict(pool) / law.predict(reference[None])
    if rule == "worst":
        return ratio.max(axis=1)
    average = ratio.mean(axis=1)
    if rule == "nobody-pays":
        return np.where((ratio <= 1 + 1e-9).all(axis=1), average, np.inf)
    return average


def _gains(law: Law, chosen: Floats, reference: Floats) -> Floats:
    return 1.0 - law.predict(chosen[None])[0] / law.predict(reference[None])[0]


def _check(shares: Floats, losses: Floats, reference: Floats) -> None:
    runs, streams = shares.shape
    if runs < streams + 1:
        raise InputError(f"{runs} runs for {streams} streams",
                         f"give at least {streams + 1} runs of other mixtures")  # fmt: skip
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
