"""The ledger: named counts of all that was dropped, cut, repeated, fell back or was invalid."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Ledger:
    """Named counts, by place (a language, a source; empty for none). Merges by addition.

    Law: what was kept plus what the ledger counts under ``dropped: …`` equals what was read.
    """

    _counts: dict[tuple[str, str], int] = field(default_factory=dict)

    def count(self, event: str, num: int = 1, where: str = "") -> None:
        """Add ``num`` to an event at a place; a count of zero leaves no entry.

        Args:
            event: what happened, ``kind: reason``, e.g. ``dropped: exact duplicate``.
            num: how often, zero or more.
            where: language tag or source.
        """
        assert num >= 0, f"a ledger only grows: {event} {num}"
        if num:
            key = (event, where)
            self._counts[key] = self._counts.get(key, 0) + num

    def total(self, prefix: str = "") -> int:
        """Sum of all events whose name starts with ``prefix``."""
        return sum(num for (event, _), num in self._counts.items() if event.startswith(prefix))

    def add(self, other: "Ledger") -> None:
        """Add the counts of another ledger to this one."""
        for event, where, num in other.rows():
            self.count(event, num, where)

    def by_event(self) -> dict[str, int]:
        """Counts by event, summed over places, in order of names."""
        totals: dict[str, int] = {}
        for (event, _), num in sorted(self._counts.items()):
            totals[event] = totals.get(event, 0) + num
        return totals

    def rows(self) -> Iterator[tuple[str, str, int]]:
        """Event, place and count, in order."""
        for (event, where), num in sorted(self._counts.items()):
            yield event, where, num

    def lines(self, prefix: str = "") -> list[str]:
        """A line for every entry of the events that start with ``prefix``.

        >>> ledger = Ledger()
        >>> ledger.count("dropped: exact duplicate", 1200, "de")
        >>> ledger.lines()
        ['1,200 dropped: exact duplicate (de)']
        """
        return [
            f"{num:,} {event}" + (f" ({where})" if where else "")
            for event, where, num in self.rows()
            if event.startswith(prefix)
        ]

    def summary(self) -> list[str]:
        """A line for every event, summed over places."""
        return [f"{num:,} {event}" for event, num in self.by_event().items()]

    def __add__(self, other: "Ledger") -> "Ledger":
        merged = Ledger(dict(self._counts))
        merged.add(other)
        return merged

    def __bool__(self) -> bool:
        return bool(self._counts)

    def to_json(self) -> list[dict[str, Any]]:
        """A list of ``{event, where, count}``, in order."""
        return [{"event": e, "where": w, "count": n} for e, w, n in self.rows()]

    @classmethod
    def from_json(cls, rows: list[Mapping[str, Any]]) -> "Ledger":
        """The ledger that ``to_json`` wrote."""
        ledger = cls()
        for row in rows:
            ledger.count(row["event"], row["count"], row["where"])
        return ledger
