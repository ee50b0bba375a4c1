"""Models that are tested in private, and models that quietly stop being shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np

from polylect.auditing.figures import Figure, Finding
from polylect.auditing.registry import DatedRow, Entry, Registry, day
from polylect.base import UndecidableError
from polylect.ranking import VoteTable, expected_gain, sum_by
from polylect.stats import wilson_interval

WINDOW_DAYS = 52
"""Length of the paper's window, 2025-03-03 to 2025-04-23."""
MAX_BATTLES = 10.0
"""Battles per day up to which a model counts as not shown any more."""


@dataclass(frozen=True, slots=True)
class Activity:
    """Battles per day of each model over the last days of the data.

    Attributes:
        first, last: days of the window.
        rate: battles per day by model, of models that were there at its beginning.
        newcomers: models that came during the window; they are not judged.
    """

    first: date
    last: date
    rate: Mapping[str, float]
    newcomers: tuple[str, ...]


def activity_of_votes(table: VoteTable, window_days: int = WINDOW_DAYS) -> Activity:
    """Activity over the last days of votes with times.

    Raises:
        UndecidableError: the votes do not span the window.
    """
    time = table.numbers["time"]
    day_of = np.floor_divide(time, 86400.0)
    last = float(day_of.max())
    first = last - window_days + 1
    if float(day_of.min()) > first:
        raise UndecidableError(
            f"the votes span {last - float(day_of.min()) + 1:.0f} days, the window is "
            f"{window_days} days",
            f"use --window {max(1, int(last - float(day_of.min())))}",
        )
    size = len(table.models)
    inside = day_of >= first
    here = _battles(table, inside, size)
    before = _battles(table, ~inside, size)
    rate = {m: float(here[i]) / window_days for i, m in enumerate(table.models) if before[i] > 0}
    new = tuple(m for i, m in enumerate(table.models) if before[i] == 0)
    start = datetime.fromtimestamp(first * 86400.0, UTC).date()
    return Activity(start, start + timedelta(days=window_days - 1), rate, new)


def activity_of_boards(boards: Sequence[DatedRow], window_days: int = WINDOW_DAYS) -> Activity:
    """Activity between the last board and the one that is nearest to the window's beginning.

    Raises:
        UndecidableError: fewer than two dates.
    """
    dates = sorted({row.date for row in boards})
    days = [date.fromisoformat(one[:10]) for one in dates]
    if len(days) < 2:
        raise UndecidableError("one dated board shows no activity", "give two dates or more")
    wanted = days[-1] - timedelta(days=window_days)
    at = min(range(len(days) - 1), key=lambda i: abs((days[i] - wanted).days))
    then = {row.model: row.battles for row in boards if row.date == dates[at]}
    now = {row.model: row.battles for row in boards if row.date == dates[-1]}
    span = max((days[-1] - days[at]).days, 1)
    # A model that is off the last board got no battles that anyone can see.
    rate = {model: max(now.get(model, num) - num, 0) / span for model, num in then.items()}
    return Activity(days[at], days[-1], rate, tuple(m for m in now if m not in then))


def retirements(
    activity: Activity, registry: Registry | None, groups: Registry | None = None
) -> tuple[Finding, set[str]]:
    """Share of models that are hardly shown any more, and of those the unannounced ones.

    Args:
        activity: battles per day.
        registry: says which retirements were announced; None: nobody knows.
        groups: gives the license classes; the registry when left out.

    Returns:
        the finding; and the silently retired models.
    """
    quiet = {model for model, rate in activity.rate.items() if rate <= MAX_BATTLES}
    announced = {
        model
        for model in activity.rate
        if registry is not None and (entry := registry.entry(model)) and entry.retired
    }
    silent = quiet - announced
    num = len(activity.rate)
    figures = [
        _share("hardly shown", len(quiet), num),
        _share("announced as retired", len(announced), num),
        _share("hardly shown and not announced", len(silent), num),
    ]
    groups = groups or registry
    if groups is not None:
        models = sorted(activity.rate)
        license = dict(zip(models, groups.group("license", models), strict=True))
        for group in sorted(set(license.values())):
            members = [m for m in models if license[m] == group]
            hit = sum(m in quiet for m in members)
            figures.append(_share(f"hardly shown, {group}", hit, len(members)))
    shown = ", ".join(sorted(silent)[:20]) + (" …" if len(silent) > 20 else "")
    remarks = [f"Not announced: {shown}."] if silent else []
    if registry is None:
        remarks.append("Without a registry every retirement counts as not announced.")
    if activity.newcomers:
        remarks.append(f"{len(activity.newcomers)} models came during the window; not judged.")
    finding = Finding(
        "retirements",
        "Official and silent retirements",
        f"Models with at most {MAX_BATTLES:g} battles a day from {activity.first} to "
        f"{activity.last}, among the {num} that were there before. An activity proxy, as in the "
        "paper: it cannot tell a retirement from a lack of interest.",
        "95 %, Wilson, models as independent: how well the share would hold for other such models",
        "share",
        tuple(figures),
        tuple(remarks),
    )
    return finding, silent


def private_variants(registry: Registry, noise_sd: float | None = None) -> Finding:
    """How many variants each provider tested in private, and how many at a time.

    Args:
        registry: with the private variants that are known of.
        noise_sd: typical standard error of a rating, in Elo; adds what luck alone would gain.
    """
    providers = sorted({one.provider for one in registry.entries})
    figures, remarks = [], []
    for provider in providers:
        private = [one for one in registry.entries if one.provider == provider and one.private]
        at_once = most_at_once(private)
        figures.append(Figure(provider, float(len(private))))
        if not private:
            continue
        words = f"{provider}: {len(private)} private variants"
        if at_once is not None:
            words += f", at most {at_once} at a time"
        words += f", {sum(one.score is not None for one in private)} with a published score"
        if noise_sd is not None and len(private) > 1:
            gain = expected_gain(len(private), noise_sd).noise
            words += (
                f"; the best of {len(private)} with identical weights would gain {gain:.1f} Elo by "
                "luck alone"
            )
        remarks.append(words + ".")
    if not any(one.private for one in registry.entries):
        figures = []
        remarks.append("The registry lists none, which is no proof that there were none.")
    return Finding(
        "variants",
        "Private variants",
        "Entries of the registry that were tested without being public, by provider.",
        "none: a count of what the registry lists; what it leaves out nobody can see",
        "count",
        tuple(sorted(figures, key=lambda one: -one.value)),
        tuple(remarks),
    )


def most_at_once(entries: Sequence[Entry]) -> int | None:
    """Most variants under test on one day; None when a date is missing.

    Both ends count as tested.
    """
    spans = []
    for one in entries:
        start, end = day(one.tested_from, "tested_from"), day(one.tested_to, "tested_to")
        if start is None or end is None:
            return None
        spans.append((start, end))
    return max((sum(a <= start <= b for a, b in spans) for start, _ in spans), default=0)


def _share(label: str, hits: int, num: int) -> Figure:
    share = wilson_interval(hits / num if num else 0.0, num)
    return Figure(label, share.value, share.lower, share.upper, float(num))


def _battles(table: VoteTable, rows: np.ndarray, size: int) -> np.ndarray:
    count = table.count[rows]
    return sum_by(table.a[rows], count, size) + sum_by(table.b[rows], count, size)
