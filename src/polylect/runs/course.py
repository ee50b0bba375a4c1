"""How far a recipe is: which steps are done, which are ahead, and how long those will take.

The number of steps is what the recipe has announced, and unknown before. The time left comes from
the costs that it announced with them, scaled by what the finished steps took; without costs, from
finished steps of the same kind. It is unknown as long as any step ahead is. A step that was found
finished says nothing about time.
"""

import heapq
import time
from collections.abc import Iterable, Mapping, Sequence

from polylect.runs.durations import rounded

_FURTHEST = 20
"""A step is expected to take up to so many times the seconds that were measured: what a step of
little work takes (10 s for its imports) says nothing about one of much."""


class Course:
    """The steps of a run, done and ahead."""

    def __init__(self, num_workers: int = 1) -> None:
        self._num_workers = num_workers
        self._ahead: list[list[str]] = []
        self._costs: dict[str, float | None] = {}
        self._is_announced = False
        self._done: set[str] = set()
        self._seconds: dict[str, float] = {}
        self._running: dict[str, float] = {}
        self.unannounced: list[str] = []

    def announce(self, batches: Sequence[Mapping[str, float | None]]) -> None:
        """Say which steps are still to come; all of them, so that the number is known.

        Args:
            batches: in order; each the labels of steps that run side by side, with what they are
                expected to cost, None where that is not known. Costs count in proportion to each
                other: seconds, or tokens.
        """
        self._is_announced = True
        self._ahead = [[label for label in batch if label not in self._done] for batch in batches]
        for batch in batches:
            self._costs |= batch

    def begin(self, label: str, now: float | None = None) -> None:
        """A step begins."""
        self._running[label] = time.monotonic() if now is None else now

    def end(self, label: str, seconds: float | None = None) -> None:
        """A step is done.

        Args:
            label: the step's.
            seconds: how long it took; None if it was found finished.
        """
        self._running.pop(label, None)
        if self._is_announced and label not in self._costs and label not in self._done:
            self.unannounced.append(label)
        self._done.add(label)
        if seconds is not None:
            self._seconds[label] = seconds

    @property
    def num_done(self) -> int:
        """Steps that are done."""
        return len(self._done)

    @property
    def num_steps(self) -> int | None:
        """Steps of the whole run; None where the recipe has not announced them."""
        if not self._is_announced:
            return None
        return len(self._done | self.left() | self._running.keys())

    def left(self) -> set[str]:
        """Labels that were announced and are not done."""
        return {label for batch in self._ahead for label in batch if label not in self._done}

    def seconds_left(self, now: float | None = None) -> float | None:
        """Seconds until the last announced step is done; None where nothing is known of them."""
        now = time.monotonic() if now is None else now
        total = 0.0
        for batch in self._ahead:
            seconds = []
            for label in batch:
                if label in self._done:
                    continue
                expected = self._expected(label)
                if expected is None:
                    return None
                elapsed = now - self._running[label] if label in self._running else 0.0
                seconds.append(max(0.0, expected - elapsed))
            total += makespan(seconds, self._num_workers)
        return total if self._is_announced else None

    def words(self, num: int, now: float | None = None) -> str:
        """Where step number ``num`` stands, e.g. ``step 6 of 31, about 12 min left``."""
        total = self.num_steps
        parts = [f"step {num} of {total}" if total else f"step {num}"]
        left = self.seconds_left(now)
        if left is not None and total and num <= total and self.left():
            parts.append(f"about {rounded(left)} left")
        return ", ".join(parts)

    def _expected(self, label: str) -> float | None:
        """Seconds that a step will take; None where nothing measured says so."""
        same = [name for name in self._seconds if _kind(name) == _kind(label)]
        cost = self._costs[label]
        if cost is None:
            return sum(self._seconds[name] for name in same) / len(same) if same else None
        for names in (same, list(self._seconds)):
            costs = {name: known for name in names if (known := self._costs.get(name)) is not None}
            if (measured := sum(costs.values())) and measured >= cost / _FURTHEST:
                return cost * sum(self._seconds[name] for name in costs) / measured
        return None


def makespan(seconds: Iterable[float], num_workers: int) -> float:
    """How long tasks take side by side, each given to the worker that is free first.

    >>> makespan([3, 2, 2], 2)
    4.0
    """
    busy = [0.0] * max(1, num_workers)
    for length in seconds:
        heapq.heappush(busy, heapq.heappop(busy) + length)
    return max(busy)


def _kind(label: str) -> str:
    """Steps whose labels begin with the same word do the same: ``score-a``, ``score-b``."""
    return label.partition("-")[0]
