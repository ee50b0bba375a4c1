"""Where bars are drawn: a terminal, or the output of a notebook's cell."""

import html
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress import Progress, TaskID
    from rich.table import Table

_MOST_COLUMNS = 8
_DRAW_SECONDS = 0.5
_BAR_CHARACTERS = 28


class Canvas(Protocol):
    """Draws bars of tasks, a table of numbers below, and lines that stay above."""

    def draw(self, task: str, done: float, total: float, words: str, overall: str) -> None:
        """Draw the bar of a task; ``overall`` is said of all."""
        ...

    def remove(self, task: str) -> None:
        """Remove the bar of a task."""
        ...

    def write(self, text: str) -> None:
        """Write a line that stays."""
        ...

    def languages(self, rows: Mapping[str, Mapping[str, float]]) -> None:
        """Show the latest numbers by language."""
        ...

    def close(self) -> None:
        """Remove the bars."""
        ...


def canvas(terminal: bool | None = None) -> Canvas | None:
    """Where to draw; None where only lines can be written.

    Args:
        terminal: whether to draw on standard error; default: if it is a terminal.
    """
    if terminal is None and in_notebook():
        return NotebookCanvas()
    return TerminalCanvas() if terminal or (terminal is None and sys.stderr.isatty()) else None


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this; looks only at what is imported already."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and shell.has_trait("kernel")


class SilentCanvas:
    """Draws nothing."""

    def draw(self, task: str, done: float, total: float, words: str, overall: str) -> None:
        """Do nothing."""

    def remove(self, task: str) -> None:
        """Do nothing."""

    def write(self, text: str) -> None:
        """Do nothing."""

    def languages(self, rows: Mapping[str, Mapping[str, float]]) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class TerminalCanvas:
    """Bars on standard error that are removed at the end."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._bars: dict[str, TaskID] = {}
        self._rows: dict[str, Mapping[str, float]] = {}
        self._overall = ""

    def draw(self, task: str, done: float, total: float, words: str, overall: str) -> None:
        """Draw the bar of a task."""
        self._overall = overall
        progress = self._progress or self._start()
        if task not in self._bars:
            self._bars[task] = progress.add_task(task, words="")
        progress.update(self._bars[task], completed=done, total=total, words=words)

    def remove(self, task: str) -> None:
        """Remove the bar of a task."""
        if task in self._bars and self._progress is not None:
            self._progress.remove_task(self._bars.pop(task))

    def write(self, text: str) -> None:
        """Write a line above the bars."""
        if self._progress is not None:
            self._progress.console.print(f"  {text}", markup=False, highlight=False)
        else:
            sys.stderr.write(f"  {text}\n")
            sys.stderr.flush()

    def languages(self, rows: Mapping[str, Mapping[str, float]]) -> None:
        """Show the latest numbers by language below the bars."""
        self._rows = {**self._rows, **rows}

    def close(self) -> None:
        """Remove the bars from the terminal."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
            self._bars.clear()

    def _start(self) -> "Progress":
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        canvas = self

        class Bars(Progress):
            def get_renderables(self) -> "Iterator[RenderableType]":
                yield from super().get_renderables()
                if canvas._overall:
                    yield canvas._overall
                if canvas._rows:
                    yield canvas._table()

        self._progress = Bars(
            TextColumn("{task.description:<24}"),
            BarColumn(bar_width=_BAR_CHARACTERS),
            TextColumn("{task.fields[words]}"),
            console=Console(stderr=True),
            transient=True,
        )
        self._progress.start()
        return self._progress

    def _table(self) -> "Table":
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


@dataclass(frozen=True, slots=True)
class _Bar:
    """What a bar in a notebook shows."""

    done: float
    total: float
    words: str


class NotebookCanvas:
    """Bars in the output of a notebook's cell: one output that is replaced; needs no widgets."""

    def __init__(self) -> None:
        self._bars: dict[str, _Bar] = {}
        self._lines: list[str] = []
        self._overall = ""
        self._handle: Any = None  # IPython's, which has no types
        self._drawn = 0.0

    def draw(self, task: str, done: float, total: float, words: str, overall: str) -> None:
        """Draw the bar of a task."""
        self._bars[task] = _Bar(done, total, words)
        self._overall = overall
        if time.monotonic() - self._drawn >= _DRAW_SECONDS:
            self._show()

    def remove(self, task: str) -> None:
        """Remove the bar of a task."""
        self._bars.pop(task, None)

    def write(self, text: str) -> None:
        """Keep a line above the bars."""
        self._lines.append(text)
        self._show()

    def languages(self, rows: Mapping[str, Mapping[str, float]]) -> None:
        """Numbers by language are not shown in notebooks: they are in the result."""

    def close(self) -> None:
        """Leave the lines alone."""
        self._bars.clear()
        if self._handle is not None:
            self._show()

    def _show(self) -> None:
        display = import_module("IPython.display").display
        self._drawn = time.monotonic()
        text = self._text()
        data = {"text/plain": text, "text/html": f"<pre>{html.escape(text)}</pre>"}
        if self._handle is None:
            self._handle = display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)

    def _text(self) -> str:
        lines = list(self._lines)
        for task, bar in self._bars.items():
            share = min(1.0, bar.done / bar.total) if bar.total else 0.0
            filled = round(share * _BAR_CHARACTERS)
            drawn = "█" * filled + "░" * (_BAR_CHARACTERS - filled)
            lines.append(f"{task:<24} {drawn} {bar.words}")
        if self._bars and self._overall:
            lines.append(self._overall)
        return "\n".join(lines)
