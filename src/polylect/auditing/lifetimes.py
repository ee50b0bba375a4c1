"""Private tests of models before publication, and models that quietly stop being shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
import numpy.typing as npt

from polylect.auditing.findings import Figure, Finding
from polylect.auditing.registry import DatedRow, Entry, Registry, parse_day
from polylect.base import UndecidableError
from polylect.ranking import FloatArray, VoteTable, expected_gain, sum_by
from polylect.stats import wilson_interval

WINDOW_DAYS = 52
"""Length of the paper's window, 2025-03-03 to 2025-04-23."""
HARDLY_SHARE = 0.1
"""Share of the models' mean battles per day up to which a model counts as hardly shown."""
_MIN_EXPECTED = 50.0
_MIN_SILENT_DAYS = 7


@dataclass(frozen=True, slots=True)
class Activity:
    """Battles per day of each model over the last days of the data.

    Attributes:
        first, last: first and last day of the window.
        rate: battles per day by model, for models that were there at the beginning of the window.
        newcomers: models that were added during the window; only whether they are gone is judged.
        gone: models without a battle in the last seven days or more of the data, in which their
            share of the board's battles until then makes 50 or more.
    """

    first: date
    last: date
    rate: Mapping[str, float]
    newcomers: tuple[str, ...]
    gone: tuple[str, ...] = ()

    @property
    def judged(self) -> list[str]:
        """The models that can be told to be shown or not, sorted."""
        return sorted({*self.rate, *self.gone})

    @property
    def hardly_shown(self) -> set[str]:
        """Models that are gone, or have few battles for this board."""
        return {model for model, rate in self.rate.items() if rate <= self.limit} | {*self.gone}

    @property
    def limit(self) -> float:
        """Battles per day up to which a model is hardly shown, by the traffic of this board."""
        return HARDLY_SHARE * float(np.mean(list(self.rate.values()) or [0.0]))


def _decidable(activity: Activity) -> Activity:
    """The activity, if its window has battles enough to tell who is hardly shown.

    Raises:
        UndecidableError: the mean model has fewer than 50 battles in the window, a tenth of which
            may be missing by chance.
    """
    num_days = (activity.last - activity.first).days + 1
    expected = activity.limit / HARDLY_SHARE * num_days
    if expected < _MIN_EXPECTED:
        raise UndecidableError(
            f"a model has {expected:.0f} battles in {num_days} days on average, fewer than "
            f"{_MIN_EXPECTED:.0f}",
            "use a longer --window",
        )
    return activity


def activity_of_votes(table: VoteTable, window_days: int = WINDOW_DAYS) -> Activity:
    """Activity over the last days of votes with times.

    Raises:
        UndecidableError: the votes do not span the window, or are too few.
    """
    vote_day = np.floor_divide(table.numbers["time"], 86400.0)
    last = float(vote_day.max())
    first = last - window_days + 1
    span = last - float(vote_day.min())
    if last - span > first:
        raise UndecidableError(
            f"the votes span {span + 1:.0f} days, the window is {window_days} days",
            f"use --window {max(1, int(span))}",
        )
    during = _battles(table, vote_day >= first)
    before = _battles(table, vote_day < first)
    rate = {m: float(during[i]) / window_days for i, m in enumerate(table.models) if before[i] > 0}
    newcomers = tuple(model for model, num in zip(table.models, before, strict=True) if num == 0)
    start = datetime.fromtimestamp(first * 86400.0, UTC).date()
    origin = int(vote_day.min())
    battles = np.zeros((int(span) + 1, len(table.models)))
    for side in (table.a, table.b):
        np.add.at(battles, (vote_day.astype(np.int64) - origin, side), table.count)
    gone = _gone(table.models, battles, np.arange(len(battles)))
    end = start + timedelta(days=window_days - 1)
    return _decidable(Activity(start, end, rate, newcomers, gone))


def activity_of_boards(boards: Sequence[DatedRow], window_days: int = WINDOW_DAYS) -> Activity:
    """Activity between the last board and the one nearest to the beginning of the window.

    Raises:
        UndecidableError: fewer than two dates, or too few battles.
    """
    dates = sorted({row.date for row in boards})
    days = [date.fromisoformat(text[:10]) for text in dates]
    if len(days) < 2:
        raise UndecidableError("one dated board shows no activity", "give two dates or more")
    start = days[-1] - timedelta(days=window_days)
    first = min(range(len(days) - 1), key=lambda i: abs((days[i] - start).days))
    before = {row.model: row.battles for row in boards if row.date == dates[first]}
    after = {row.model: row.battles for row in boards if row.date == dates[-1]}
    span = max((days[-1] - days[first]).days, 1)
    # A model that is not on the last board had no visible battles.
    rate = {model: max(after.get(model, num) - num, 0) / span for model, num in before.items()}
    newcomers = tuple(model for model in after if model not in before)
    models = sorted({row.model for row in boards})
    place = {model: i for i, model in enumerate(models)}
    total = np.zeros((len(dates), len(models)))
    for row in boards:
        total[dates.index(row.date), place[row.model]] = row.battles
    # What is not on a later board has no more battles, and battles before the first have no date.
    battles = np.diff(np.maximum.accumulate(total, axis=0), axis=0)
    ends = np.array([(day - days[0]).days for day in days[1:]])
    gone = _gone(models, battles, ends)
    return _decidable(Activity(days[first], days[-1], rate, newcomers, gone))


def _gone(
    models: Sequence[str], battles: FloatArray, day: npt.NDArray[np.integer]
) -> tuple[str, ...]:
    """Models that are not shown any more, though their share until then makes 50 battles or more.

    Args:
        models: M names.
        battles: (T, M) of each model in each span of time.
        day: (T,) last day of each span.
    """
    traffic = battles.sum(1)
    names = []
    for i, name in enumerate(models):
        spans = np.flatnonzero(battles[:, i])
        if not len(spans):
            continue
        share = battles[:, i].sum() / traffic[spans[0] : spans[-1] + 1].sum()
        expected = share * traffic[spans[-1] + 1 :].sum()
        if expected >= _MIN_EXPECTED and day[-1] - day[spans[-1]] >= _MIN_SILENT_DAYS:
            names.append(name)
    return tuple(names)


def retirements(
    activity: Activity, registry: Registry | None, groups: Registry | None = None
) -> tuple[Finding, set[str]]:
    """Share of models that are hardly shown any more, and how many of them were announced.

    Args:
        activity: battles per day.
        registry: announced retirements; None if they are not known.
        groups: license classes. Default: the registry.

    Returns:
        The finding, and the silently retired models.
    """
    hardly_shown = activity.hardly_shown
    announced = {
        model
        for model in activity.judged
        if registry is not None and (entry := registry.entry(model)) and entry.retired
    }
    silent = hardly_shown - announced
    num = len(activity.judged)
    figures = [
        _share("hardly shown", len(hardly_shown), num),
        _share("announced as retired", len(announced), num),
        _share("hardly shown and not announced", len(silent), num),
    ]
    groups = groups or registry
    if groups is not None:
        models = activity.judged
        licenses = groups.group("license", models)
        for license in sorted(set(licenses)):
            members = {m for m, name in zip(models, licenses, strict=True) if name == license}
            num_shown = len(members & hardly_shown)
            figures.append(_share(f"hardly shown, {license}", num_shown, len(members)))
    shown = ", ".join(sorted(silent)[:20]) + (" …" if len(silent) > 20 else "")
    remarks = [f"Not announced: {shown}."] if silent else []
    if registry is None:
        remarks.append("Without a registry every retirement counts as not announced.")
    if activity.newcomers:
        remarks.append(
            f"{len(activity.newcomers)} models came during the window; only whether they are gone "
            "is judged."
        )
    finding = Finding(
        "retirements",
        "Official and silent retirements",
        f"Models with at most {activity.limit:.3g} battles a day from {activity.first} to "
        f"{activity.last}, a tenth of the mean of the {len(activity.rate)} that were there before, "
        f"and models without any for the last {_MIN_SILENT_DAYS} days or more, where their share "
        f"of the battles until then makes {_MIN_EXPECTED:.0f} or more. An activity proxy, as in "
        "the paper, whose limit of ten a day is for its own board: it cannot tell a retirement from"
        " a lack of interest.",
        "95 %, Wilson, models as independent: how well the share would hold for other such models",
        "share",
        tuple(figures),
        tuple(remarks),
    )
    return finding, silent


def private_variants(registry: Registry, noise_sd: float | None = None) -> Finding:
    """How many variants each provider tested in private, and how many at a time.

    Args:
        registry: the known private variants.
        noise_sd: typical standard error of a rating, in Elo; adds the gain from luck alone.
    """
    figures, remarks = [], []
    for provider, private in registry.private_by_provider().items():
        figures.append(Figure(provider, float(len(private))))
        if not private:
            continue
        remark = f"{provider}: {len(private)} private variants"
        at_once = most_at_once(private)
        if at_once is not None:
            remark += f", at most {at_once} at a time"
        num_scores = sum(entry.score is not None for entry in private)
        remark += f", {num_scores} with a published score"
        if noise_sd is not None and len(private) > 1:
            gain = expected_gain(len(private), noise_sd).noise
            remark += (
                f"; the best of {len(private)} with identical weights would gain {gain:.1f} Elo by "
                "luck alone"
            )
        remarks.append(remark + ".")
    if not remarks:
        figures = []
        remarks.append("The registry lists none, which is no proof that there were none.")
    return Finding(
        "variants",
        "Private variants",
        "Entries of the registry that were tested without being public, by provider.",
        "none: a count of what the registry lists; what it leaves out nobody can see",
        "count",
        tuple(sorted(figures, key=lambda figure: -figure.value)),
        tuple(remarks),
    )


def most_at_once(entries: Sequence[Entry]) -> int | None:
    """Largest number of variants under test on the same day; None if a date is missing.

    The first and the last day of a test both count.
    """
    spans = []
    for entry in entries:
        start = parse_day(entry.tested_from, "tested_from")
        end = parse_day(entry.tested_to, "tested_to")
        if start is None or end is None:
            return None
        spans.append((start, end))
    return max((sum(a <= start <= b for a, b in spans) for start, _ in spans), default=0)


def _share(label: str, hits: int, num: int) -> Figure:
    share = wilson_interval(hits / num if num else 0.0, num)
    return Figure(label, share.value, share.lower, share.upper, float(num))


def _battles(table: VoteTable, rows: npt.NDArray[np.bool_]) -> FloatArray:
    """(M,) votes with each model among the rows."""
    count, size = table.count[rows], len(table.models)
    return sum_by(table.a[rows], count, size) + sum_by(table.b[rows], count, size)
