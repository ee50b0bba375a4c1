"""Progress of long work: live bars on a terminal or in a notebook, a line every 15 s elsewhere."""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from polylect.runs.canvas import SilentCanvas, canvas
from polylect.runs.course import Course
from polylect.runs.durations import duration
from polylect.runs.logs import log

_QUIET_SECONDS = 2.0
_LINE_SECONDS = 15.0


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
    begun: bool = False
    finished: bool = False
    failed: bool = False
    seconds: float = 0.0


class Receiver(Protocol):
    """Takes the reports of several tasks."""

    def handle(self, event: Event) -> None:
        """Take one report; thread-safe."""
        ...


class Display:
    """Draws the progress of several tasks: live bars on a terminal or in a notebook, a line every
    15 s elsewhere; and a line when a stage ends.

    What takes under two seconds is not drawn.
    """

    def __init__(self, *, terminal: bool | None = None, silent: bool = False) -> None:
        self._canvas = SilentCanvas() if silent else canvas(terminal)
        self._lock = threading.Lock()
        self._stages: dict[str, _Stage] = {}
        self._last_line: dict[str, float] = {}
        self._overall = ""

    def handle(self, event: Event) -> None:
        """Draw one event; thread-safe."""
        with self._lock:
            now = time.monotonic()
            stage = self._stages.get(event.task)
            if event.finished:
                self._end(event.task, now)
                return
            if stage is None or stage.last.unit != event.unit:
                # A task that changes its unit starts a new count.
                self._end(event.task, now)
                stage = self._stages[event.task] = _Stage(now, event.done, event)
            stage.last = event
            if now - stage.begun < _QUIET_SECONDS or event.begun:
                return
            words = _words(event, (event.done - stage.base) / (now - stage.begun))
            if self._canvas is not None:
                self._canvas.draw(event.task, event.done, event.total, words, self._overall)
            elif now - self._last_line.get(event.task, 0.0) >= _LINE_SECONDS:
                self._last_line[event.task] = now
                overall = f" ({self._overall})" if self._overall else ""
                self._write(f"{event.task}: {words}{overall}")

    def overall(self, text: str) -> None:
        """Set what is shown of the whole run beside its tasks, e.g. ``step 6 of 31``."""
        with self._lock:
            self._overall = text

    def say(self, text: str) -> None:
        """Write a line that stays."""
        with self._lock:
            self._write(text)

    def _end(self, task: str, now: float) -> None:
        """A stage ends; of a task that is no step of a run, its last report is said."""
        stage = self._stages.pop(task, None)
        if stage is None:
            return
        if self._canvas is not None:
            self._canvas.remove(task)
        seconds = now - stage.begun
        last = stage.last
        is_done = last.unit and last.done >= last.total
        if is_done and not self._overall and seconds >= _QUIET_SECONDS:
            count = f"{last.total:,.0f} {last.unit}"
            self._write(f"{task}: {count} done in {duration(seconds)}")

    def _write(self, text: str) -> None:
        if self._canvas is not None:
            self._canvas.write(text)
        else:
            sys.stderr.write(f"  {text}\n")
            sys.stderr.flush()

    def languages(self, rows: Mapping[str, Mapping[str, float]]) -> None:
        """Show a table of numbers by language below the bars, where there are bars."""
        with self._lock:
            if self._canvas is not None:
                self._canvas.languages(rows)

    def close(self) -> None:
        """Remove the bars, and say which stages were done."""
        with self._lock:
            now = time.monotonic()
            for task in list(self._stages):
                self._end(task, now)
            if self._canvas is not None:
                self._canvas.close()


@dataclass(slots=True)
class _Stage:
    """One count of a task: since when, from where, and its last report."""

    begun: float
    base: float
    last: Event


class RunProgress:
    """Passes the reports of a run's steps on, and says with each how far the whole run is."""

    def __init__(
        self, course: Course, display: Display | None, record: Callable[..., None]
    ) -> None:
        """Pass reports on.

        Args:
            course: the steps of the run.
            display: draws; None draws nothing.
            record: gets ``step``, ``num_steps``, ``label``, ``done``, ``total``, ``unit`` and
                ``seconds_left``.
        """
        self._course = course
        self._display = display
        self._record = record
        self._lock = threading.Lock()

    def handle(self, event: Event) -> None:
        """Take one report of a step; thread-safe."""
        with self._lock:
            if event.begun:
                self._course.begin(event.task)
                log.info("%s begins (%s)", event.task, self._course.words(self._num))
            elif event.finished and event.failed:
                log.info("%s ended after %.1f s, not done", event.task, event.seconds)
            elif event.finished:
                self._finish(event)
            self._record(
                step=self._num, num_steps=self._course.num_steps, label=event.task,
                done=event.done, total=event.total, unit=event.unit,
                seconds_left=self._course.seconds_left(),
            )  # fmt: skip
            if self._display is not None:
                self._display.overall(self._course.words(self._num))
        if self._display is not None:
            self._display.handle(event)

    @property
    def _num(self) -> int:
        """The number of the step that is running: one more than are done."""
        num = self._course.num_done + 1
        return min(num, self._course.num_steps or num)

    def _finish(self, event: Event) -> None:
        self._course.end(event.task, event.seconds)
        words = self._course.words(self._course.num_done)
        text = f"{event.task}: done in {duration(event.seconds)} ({words})"
        log.info("%s", text)
        if self._display is not None and event.seconds >= _QUIET_SECONDS:
            self._display.say(text)


def _words(event: Event, rate: float) -> str:
    parts = [f"{event.done:,.0f} of {event.total:,.0f} {event.unit}".rstrip()]
    if rate > 0:
        parts.append(f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s")
        parts.append(f"{duration((event.total - event.done) / rate)} left")
    if event.note:
        parts.append(event.note)
    return " · ".join(parts)


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
def display(*, silent: bool = False) -> Iterator[Display]:
    """A display that is removed from the terminal at the end; a silent one draws nothing."""
    drawn = Display(silent=silent)
    try:
        yield drawn
    finally:
        drawn.close()
