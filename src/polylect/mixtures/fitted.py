"""A table of runs, fitted: which of its runs, columns and bounds a recommendation is made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from polylect.base import (
    InputError,
    Positive,
    check_known,
    check_once,
    check_settings,
    did_you_mean,
)
from polylect.mixtures.law_forms import Floats, LawName, Numbers
from polylect.mixtures.recommendation import FitConfig, Recommendation, recommend
from polylect.mixtures.run_table import RunTable
from polylect.mixtures.scaling import largest_scale_error
from polylect.stats import rank_correlation

_VISIBLE = 5e-4  # of a share: what is shown to a tenth of a per cent
_ROUNDED, _SAME_RUN = 1e-4, 1e-6  # relative and absolute: one of the tables may be rounded
MEAN = "mean"
"""Names the mean of all mixtures as the reference."""
_LISTED = 6


@dataclass(frozen=True, kw_only=True)
class TableConfig:
    """What of a table is fitted, and what a change is compared with.

    Attributes:
        reference: ``STREAM=SHARE`` of each, the name of a run or variant, or ``mean``. Default: the
            mixture of the first run.
        bounds: ``LOW..HIGH`` of a stream's share; either may be left out.
        cells: whose losses count. Default: all.
        by_stage: shares of every stream in every stage; the stages keep their lengths.
        only_scale: the scale whose runs are fitted. Default: the largest of those with the most
            mixtures.
        at_scale: the scale to recommend for, by a fit of all scales.
    """

    reference: tuple[str, ...] = ()
    bounds: Mapping[str, str] | None = None
    cells: tuple[str, ...] = ()
    by_stage: bool = False
    only_scale: Positive | None = None
    at_scale: Positive | None = None

    def __post_init__(self) -> None:
        check_settings(self)
        if self.only_scale is not None and self.at_scale is not None:
            raise InputError("both --only-scale and --at-scale",
                             "give one: the runs of a scale, or a fit over all scales")  # fmt: skip
        named = [word.rpartition("=")[0] for word in self.reference if "=" in word]
        check_once(self.cells, "--cells")
        check_once(named, "--reference")


@dataclass(frozen=True)
class FittedRuns:
    """A recommendation with the names that belong to its numbers.

    Attributes:
        table: the runs that were fitted.
        num_other_scales: runs of the table that were not, as their scale is another.
        columns: streams, or ``STAGE/STREAM``.
        cells: kinds of text.
        reference_name: where the reference is from.
        reference: shares [columns].
        mixtures: number of the mixture of every run [runs].
        result: what is recommended.
        largest_scale: relative error of every law at the largest scale, fitted to the others
            [cells]; empty for a fit of one scale.
        at_scale: that is recommended for; None for a fit of one scale.
    """

    table: RunTable
    num_other_scales: int
    columns: tuple[str, ...]
    cells: tuple[str, ...]
    reference_name: str
    reference: Floats
    mixtures: Numbers
    result: Recommendation
    largest_scale: Mapping[LawName, Floats]
    at_scale: float | None = None

    def beyond_tried(self, shares: Floats) -> list[dict[str, Any]]:
        """Columns whose share no run came up or down to: name, share, tried, and end (most, least).

        Args:
            shares: a mixture [columns].
        """
        tried = self.table.shares(self.columns)
        rows = []
        for name, share, least, most in zip(
            self.columns, shares, tried.min(axis=0), tried.max(axis=0), strict=True
        ):
            for end, value, away in (("most", most, share - most), ("least", least, least - share)):
                if away > _VISIBLE:
                    rows.append(
                        {"name": name, "share": float(share), "tried": float(value), "end": end}
                    )
        return rows

    @property
    def edges(self) -> list[str]:
        """Columns whose recommended share is the smallest or largest of those allowed."""
        shares = self.result.shares
        moved = np.abs(shares - self.reference) > 1e-4
        on_edge = (shares < self.result.lowest + 1e-4) | (shares > self.result.highest - 1e-4)
        # At 0 and 1 there is nothing further to try.
        inside = (shares > 1e-4) & (shares < 1 - 1e-4)
        return [name for name, edge in zip(self.columns, moved & on_edge & inside, strict=True)
                if edge]  # fmt: skip


def fit_runs(table: RunTable, config: FitConfig, about: TableConfig) -> FittedRuns:
    """The recommendation of a table of runs.

    Args:
        table: of runs.
        config: laws, rule and level.
        about: what of the table is fitted.

    Raises:
        InputError: an unknown name, shares or bounds that cannot be, or too few mixtures or scales.
    """
    used = table
    if about.at_scale is None:
        used = table.at_scale(about.only_scale or _chosen_scale(table))
    columns = used.stage_streams if about.by_stage else used.streams
    if not columns:
        raise InputError("the table of runs has no shares by stage",
                         "give columns share:STAGE/STREAM, or leave --by-stage out")  # fmt: skip
    shares, losses = used.shares(columns), used.losses(about.cells)
    reference, name = _reference(about.reference, table, used, columns)
    low, high = _bounds(about.bounds or {}, columns)
    is_over_scales = about.at_scale is not None
    result = recommend(
        shares, losses, reference, config, mixtures=used.mixtures(), seeds=list(used.frame["seed"]),
        scales=used.frame["scale"].to_numpy() if is_over_scales else None,
        at_scale=about.at_scale or 1.0, lowest=low, highest=high,
        groups=_stage_groups(columns) if about.by_stage else None,
    )  # fmt: skip
    largest: dict[LawName, Floats] = {}
    if is_over_scales:
        scales = used.frame["scale"].to_numpy()
        largest = {law: largest_scale_error(law, shares, losses, scales, config.seed)
                   for law in result.errors}  # fmt: skip
    return FittedRuns(
        used, len(table.runs) - len(used.runs), tuple(columns), about.cells or used.cells, name,
        reference,
        used.mixtures(), result, largest, about.at_scale,
    )  # fmt: skip


def held_out_errors(fitted: FittedRuns, held_out: RunTable) -> list[dict[str, Any]]:
    """How every law predicts runs that were not fitted, a row per law and cell.

    ``rank_correlation`` (Spearman's, as RegMix reports it) tells whether the order of mixtures is
    right, where another size of model has another level; ``relative`` is the root mean squared
    error relative to the cell's mean loss. ``mean`` stands for the mean of all cells.

    Args:
        fitted: the fitted runs.
        held_out: other runs, with the same streams and cells.

    Raises:
        InputError: it lacks a stream or a cell, or a run of it was fitted.
    """
    shares, losses = held_out.shares(fitted.columns), held_out.losses(fitted.cells)
    _check_held_out(fitted, held_out, shares, losses)
    rows = []
    for name, law in fitted.result.laws.items():
        predicted = law.predict(shares)
        for cell, (ours, true) in {
            **{cell: (predicted[:, i], losses[:, i]) for i, cell in enumerate(fitted.cells)},
            MEAN: (predicted.mean(axis=1), losses.mean(axis=1)),
        }.items():
            rows.append({
                "law": name, "cell": cell,
                "relative": float(np.sqrt(((ours - true) ** 2).mean()) / true.mean()),
                "rank_correlation": rank_correlation(ours.tolist(), true.tolist()).rho,
            })  # fmt: skip
    return rows


def _check_held_out(fitted: FittedRuns, held_out: RunTable, shares: Floats, losses: Floats) -> None:
    """Refuse a held-out run that was fitted: of equal shares and losses, whatever it is called.

    Runs of one name but of another mixture are two: tables number their runs alike. So are runs of
    one mixture with other losses: another seed, or another size of model.

    Raises:
        InputError: names the run in both tables.
    """
    ours = np.hstack([fitted.table.shares(fitted.columns), fitted.table.losses(fitted.cells)])
    theirs = np.hstack([shares, losses])
    names = [
        (held_out.runs[row], fitted.table.runs[int(np.argmax(same))])
        for row, values in enumerate(theirs)
        if (same := np.isclose(ours, values, _ROUNDED, _SAME_RUN).all(axis=1)).any()
    ]
    if names:
        other = "" if names[0][0] == names[0][1] else f" as {names[0][1]!r}"
        raise InputError(
            f"--held-out-runs: {len(names)} of {len(held_out.runs)} were fitted, too:"
            f" {names[0][0]!r} is in the table of runs{other}, with equal shares and losses",
            "take them out of one of the two tables",
        )


def _chosen_scale(table: RunTable) -> float:
    """The largest of the scales with the most mixtures."""
    mixtures, scales = table.mixtures(), table.frame["scale"].to_numpy()
    return max(table.scales, key=lambda scale: (len(set(mixtures[scales == scale])), scale))


def _reference(
    given: Sequence[str], table: RunTable, used: RunTable, columns: Sequence[str]
) -> tuple[Floats, str]:
    """Shares of the reference [columns], and what it is called."""
    if not given:
        return used.shares(columns)[0], used.runs[0]
    if all("=" in word for word in given):
        shares = dict.fromkeys(columns, 0.0)
        for word in given:
            name, _, text = word.rpartition("=")
            check_known(name, columns, f"--reference {word}: no stream {name!r}")
            shares[name] = _number(text, f"--reference {word}")
        values = np.array(list(shares.values()))
        if abs(values.sum() - 1) > 1e-6:
            raise InputError(f"--reference: its shares sum to {values.sum():g}",
                             "give shares that sum to 1")  # fmt: skip
        return values, " ".join(given)
    name = " ".join(given)
    if name == MEAN:
        firsts = np.unique(used.mixtures(), return_index=True)[1]
        return used.shares(columns)[firsts].mean(axis=0), "the mean of all mixtures"
    for column in ("run", "variant"):
        places = [row for row, value in enumerate(table.frame[column]) if value == name]
        if places:
            return table.shares(columns)[places[0]], name
    variants = dict.fromkeys(word for word in table.frame["variant"] if word)
    listed = ", ".join(list(variants or table.runs)[:_LISTED])
    raise InputError(f"--reference {name}: no run or variant of this name",
                     did_you_mean(name, [*variants, *table.runs, MEAN])
                     or f"known are {listed} …, and {MEAN}")  # fmt: skip


def _bounds(
    given: Mapping[str, str], columns: Sequence[str]
) -> tuple[list[float | None], list[float | None]]:
    low: dict[str, float | None] = dict.fromkeys(columns)
    high: dict[str, float | None] = dict.fromkeys(columns)
    for name, text in given.items():
        where = f"--allowed {name}={text}"
        check_known(name, columns, f"{where}: no stream {name!r}")
        first, dots, last = text.partition("..")
        if not dots:
            raise InputError(f"{where}: no range", f"give {name}=0.1..0.4, {name}=..0.4 or"
                             f" {name}=0.1..")  # fmt: skip
        low[name] = _number(first, where) if first else None
        high[name] = _number(last, where) if last else None
        for value in (low[name], high[name]):
            if value is not None and not 0 <= value <= 1:
                raise InputError(f"{where}: {value:g}", "give shares from 0 to 1")
    return list(low.values()), list(high.values())


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not (np.isfinite(value) and value >= 0):
        raise InputError(f"{where}: {text!r} is no share", "give a number from 0 to 1")
    return value


def _stage_groups(columns: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """Columns of each stage."""
    stages = dict.fromkeys(name.partition("/")[0] for name in columns)
    return tuple(
        tuple(i for i, name in enumerate(columns) if name.partition("/")[0] == stage)
        for stage in stages
    )
