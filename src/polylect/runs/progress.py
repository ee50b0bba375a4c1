"""Progress of long work: live bars on a terminal, a line every 15 s elsewhere."""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

_QUIET_SECONDS = 2.0
_LINE_SECONDS = 15.0
_MOST_COLUMNS = 8


class Reporter(Protocol):
    """Receives the progress of a step. Reporting never changes a result."""

    def update(self, done: float, total: float, unit: str = "", note: str = "") -> None:
        """Report that ``done`` of ``total`` units are finished; ``note`` is shown beside them."""
        ...

    def metrics(self, step: int, row: Mapping[str, Any]) -> None:
        """Report the metrics of a training step: numbers, and numbers ``by_language``."""
        ...


@dataclass(frozen=True, slots=True)
class Event:
    """One report; small, since it is sent between processes."""

    task: str
    done: float
    total: float
    unit: str = ""
    note: str = ""
    finished: bool = False


class Display:
    """Draws the progress of several tasks: live bars on a terminal, a line every 15 s elsewhere.

    Tasks under two seconds are not drawn.
    """

    def __init__(self, *, terminal: bool | None = None) -> None:
        self._terminal = sys.stderr.isatty() if terminal is None else terminal
        self._lock = threading.Lock()
        self._started: dict[tuple[str, str], tuple[float, float]] = {}
        self._last_line: dict[str, float] = {}
        self._bars: dict[str, Any] = {}
        self._progress: Any = None
        self._rows: dict[str, Mapping[str, float]] = {}

    def handle(self, event: Event) -> None:
        """Draw one event; thread-safe."""
        with self._lock:
            now = time.monotonic()
            # A task that changes its unit starts a new count.
            key = (event.task, event.unit)
            first, base = self._started.setdefault(key, (now, event.done))
            if event.finished:
                self._finish(event.task)
            elif now - first >= _QUIET_SECONDS:
                rate = (event.done - base) / (now - first)
                if self._terminal:
                    self._draw(event, rate)
                elif now - self._last_line.get(event.task, 0.0) >= _LINE_SECONDS:
                    self._last_line[event.task] = now
                    sys.stderr.write(f"  {event.task}: {_words(event, rate)}\n")
                    sys.stderr.flush()

    def languages(self, rows: Mapping[str, Mapping[str, float]]) -> None:
        """Show a table of numbers by language below the bars, on a terminal only."""
        with self._lock:
            self._rows = {**self._rows, **rows}

    def _table(self) -> Any:
        """The latest numbers of every language."""
        from rich.table import Table

        names = list(dict.fromkeys(name for values in self._rows.values() for name in values))
        table = Table(box=None, padding=(0, 2, 0, 0))
        for name in ("", *names[:_MOST_COLUMNS]):
            table.add_column(name.replace("_", " "), justify="right" if name else "left")
        for tag, values in sorted(self._rows.items()):
            cells = [
                f"{values[name]:,.4g}" if name in values else "" for name in names[:_MOST_COLUMNS]
            ]
            table.add_row(tag, *cells)
        return table

    def close(self) -> None:
        """Remove the bars from the terminal."""
        with self._lock:
            if self._progress is not None:
                self._progress.stop()
                self._progress = None
                self._bars.clear()

    def _draw(self, event: Event, rate: float) -> None:
        if self._progress is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            display = self

            class Bars(Progress):
                def get_renderables(self) -> Any:
                    yield from super().get_renderables()
                    if display._rows:
                        yield display._table()

            self._progress = Bars(
                TextColumn("{task.description:<24}"),
                BarColumn(bar_width=28),
                TextColumn("{task.fields[words]}"),
                console=Console(stderr=True),
                transient=True,
            )
            self._progress.start()
        if event.task not in self._bars:
            self._bars[event.task] = self._progress.add_task(event.task, words="")
        self._progress.update(
            self._bars[event.task],
            completed=event.done,
            total=event.total,
            words=_words(event, rate),
        )

    def _finish(self, task: str) -> None:
        self._started = {key: start for key, start in self._started.items() if key[0] != task}
        if task in self._bars and self._progress is not None:
            self._progress.remove_task(self._bars.pop(task))


def _words(event: Event, rate: float) -> str:
    parts = [f"{event.done:,.0f} of {event.total:,.0f} {event.unit}".rstrip()]
    if rate > 0:
        parts.append(f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s")
        parts.append(f"{duration((event.total - event.done) / rate)} left")
    if event.note:
        parts.append(event.note)
    return " · ".join(parts)


def duration(seconds: float) -> str:
    """Seconds in words: ``9 s``, ``3 min 20 s``, ``2 h 5 min``."""
    total = max(0, round(seconds))
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60} s"
    return f"{total // 3600} h {total % 3600 // 60} min"


class TaskReporter:
    """A reporter that passes the events of one task to a function, at most ten per second."""

    def __init__(
        self,
        task: str,
        handle: Callable[[Event], None],
        watchers: Sequence[Callable[[int, Mapping[str, Any]], None]] = (),
    ) -> None:
        self._task = task
        self._handle = handle
        self._watchers = watchers
        self._last = 0.0

    def metrics(self, step: int, row: Mapping[str, Any]) -> None:
        """Pass the metrics to every watcher."""
        for watcher in self._watchers:
            watcher(step, row)

    def update(self, done: float, total: float, unit: str = "", note: str = "") -> None:
        """Pass the event on, unless the last one was less than 0.1 s ago."""
        now = time.monotonic()
        if now - self._last >= 0.1 or done >= total:
            self._last = now
            self._handle(Event(self._task, done, total, unit, note))


class Silent:
    """A reporter that ignores everything."""

    def update(self, done: float, total: float, unit: str = "", note: str = "") -> None:
        """Do nothing."""

    def metrics(self, step: int, row: Mapping[str, Any]) -> None:
        """Do nothing."""


@contextmanager
def display() -> Iterator[Display]:
    """A display that is removed from the terminal at the end."""
    drawn = Display()
    try:
        yield drawn
    finally:
        drawn.close()
