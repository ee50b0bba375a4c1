"""The ledger: counts of everything dropped, truncated, repeated, invalid or handled by fallback."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Ledger:
    """Counts by event and place (a language, a source; empty for none). Merges by addition.

    Law: rows kept, plus rows counted under ``dropped: …``, equals rows read.
    """

    _counts: dict[tuple[str, str], int] = field(default_factory=dict)

    def count(self, event: str, num: int = 1, where: str = "") -> None:
        """Add ``num`` to the count of an event at a place; zero adds no entry.

        Args:
            event: ``kind: reason``, e.g. ``dropped: exact duplicate``.
            num: number of times, zero or more.
            where: language tag or source.
        """
        assert num >= 0, f"a ledger only grows: {event} {num}"
        if num:
            key = (event, where)
            self._counts[key] = self._counts.get(key, 0) + num

    def total(self, prefix: str = "") -> int:
        """Sum over all events that start with ``prefix``."""
        return sum(num for (event, _), num in self._counts.items() if event.startswith(prefix))

    def add(self, other: "Ledger") -> None:
        """Add the counts of another ledger to this one."""
        for event, where, num in other.rows():
            self.count(event, num, where)

    def by_event(self) -> dict[str, int]:
        """Counts by event, summed over places, sorted by event."""
        totals: dict[str, int] = {}
        for (event, _), num in sorted(self._counts.items()):
            totals[event] = totals.get(event, 0) + num
        return totals

    def rows(self) -> Iterator[tuple[str, str, int]]:
        """Event, place and count, sorted."""
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
        """A list of ``{event, where, count}``, sorted."""
        return [{"event": e, "where": w, "count": n} for e, w, n in self.rows()]

    @classmethod
    def from_json(cls, rows: Sequence[Mapping[str, Any]]) -> "Ledger":
        """The ledger that ``to_json`` wrote."""
        ledger = cls()
        for row in rows:
            ledger.count(row["event"], row["count"], row["where"])
        return ledger
