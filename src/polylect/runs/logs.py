"""The log of a run: what the logger ``polylect`` says while the run is written, and warnings."""

import logging
import os
import platform
import threading
import time
import warnings
from collections.abc import Callable
from functools import cache
from typing import IO, Any

from polylect._version import __version__
from polylect.runs.commands import Invocation
from polylect.runs.packages import PACKAGES, package_versions

log = logging.getLogger("polylect")


class LogHandler(logging.StreamHandler[IO[str]]):
    """Writes to the log of one run what is said under it."""

    def __init__(self, stream: IO[str], is_ours: Callable[[], bool]) -> None:
        """Write to a stream.

        Args:
            stream: the log.
            is_ours: whether what is said right now belongs to the run.
        """
        super().__init__(stream)
        self._is_ours = is_ours
        formatter = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
        formatter.converter = time.gmtime
        self.setFormatter(formatter)

    def attach(self) -> None:
        """Begin to listen to the logger, and to Python's warnings."""
        if log.level == logging.NOTSET:
            log.setLevel(logging.INFO)
        log.addHandler(self)
        _listen(self)

    def detach(self) -> None:
        """Stop listening."""
        log.removeHandler(self)
        _ignore(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it was said under this run."""
        return self._is_ours() and bool(super().filter(record))

    def handleError(self, record: logging.LogRecord) -> None:
        """A log that cannot be written never stops the work."""


def log_head(what: str, running: Invocation | None) -> None:
    """Say what begins: the command, where, with which versions and threads."""
    log.info("%s begins, process %d", running.command if running else what, os.getpid())
    if running:
        log.info("in %s", running.folder)
    versions = ", ".join(f"{name} {version}" for name, version in _versions())
    log.info("polylect %s, Python %s, %s", __version__, platform.python_version(), versions)
    names = ("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "POLARS_MAX_THREADS")
    threads = [f"{name}={os.environ[name]}" for name in names if name in os.environ]
    log.info("%s, %s processors%s", platform.platform(), os.cpu_count(),
             "".join(f", {text}" for text in threads))  # fmt: skip


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    return tuple(package_versions(PACKAGES).items())


_listeners: list[LogHandler] = []
_shown: Callable[..., Any] = warnings.showwarning
_guard = threading.Lock()


def _listen(handler: LogHandler) -> None:
    global _shown
    with _guard:
        if not _listeners:
            _shown = warnings.showwarning
            warnings.showwarning = _show
        _listeners.append(handler)


def _ignore(handler: LogHandler) -> None:
    with _guard:
        _listeners.remove(handler)
        if not _listeners and warnings.showwarning is _show:
            warnings.showwarning = _shown


def _show(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: Any = None,
    line: str | None = None,
) -> None:
    """Log a warning, and show it as before."""
    if file is None:
        log.warning("%s:%d: %s: %s", filename, lineno, category.__name__, message)
    _shown(message, category, filename, lineno, file, line)
