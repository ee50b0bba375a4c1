"""What is known of a run while it runs, and after it failed: its log, and how far it is.

Both lie in the run's *record*: for a recipe its own folder, otherwise the hidden folder
``.NAME.run`` beside the output. The process holds a lock on the log as long as it lives, so that
everyone can see whether it does. When the output is complete, the log goes into it and the rest of
the record goes; after an error or a kill it stays, until the same output is made or removed.
"""

import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any

from polylect.base import PolylectError, read_json, remove_folder, storage_error
from polylect.runs.commands import Invocation, current_invocation
from polylect.runs.logs import LogHandler, log, log_head

LOG = "log.txt"
STATUS = "status.json"
_STATUS_SECONDS = 1.0


def record_folder(out: Path) -> Path:
    """Where the record of an output lies that is a step's or a checkpoint."""
    return out.with_name(f".{out.name}.run")


def now() -> str:
    """The time in UTC, as records write it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class Record:
    """The record of a run in this process: where progress, headline and error are written.

    Attributes:
        folder: where log and status lie.
        out: the output.
        partial: what the output is called until it is complete; the output itself for a recipe.
        headline: one short text about the result, for lists.
        started: when this try began, in UTC.
    """

    def __init__(self, folder: Path, out: Path, partial: Path, what: str) -> None:
        running = current_invocation()
        self.folder = folder
        self.out = out
        self.partial = partial
        self.headline = ""
        self.invocation: Invocation | None = running
        self.started = now()
        self._what = running.what if running else what
        self._begun = time.monotonic()
        self._written = 0.0
        self._lock = threading.Lock()
        self._changes: dict[str, Any] = {}
        self._log: IO[str] | None = None
        self._log_start = 0
        self._handler: LogHandler | None = None
        self._seconds_before = float(read_status(folder).get("seconds") or 0.0)

    @property
    def holds_steps(self) -> bool:
        """Whether it is a recipe's, whose steps have records of their own."""
        return self.folder == self.out

    @property
    def seconds(self) -> float:
        """How long it has run, the tries before a kill included."""
        return self._seconds_before + time.monotonic() - self._begun

    def begin(self) -> None:
        """Open the log, lock it, and say what runs."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for earlier in (self.partial / LOG, self.partial / "out" / LOG):
            if self.partial != self.folder and earlier.is_file():
                os.replace(earlier, self.folder / LOG)  # of a process killed in its last moment
        self._log = open(self.folder / LOG, "a", encoding="utf-8")  # noqa: SIM115
        self._log_start = self._log.tell()
        with suppress(OSError):  # a second process of one recipe: the first has it
            fcntl.flock(self._log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A thread that the work started has no record of its own; a step's lines are its own.
        self._handler = LogHandler(self._log, lambda: _current.get() in (None, self))
        self._handler.attach()
        log_head(self._what, self.invocation)
        self._write()

    def update(self, **changes: object) -> None:
        """Say how far it is: ``step``, ``num_steps``, ``label``, ``done``, ``total``, ``unit``.

        Written at most once per second.
        """
        with self._lock:
            self._changes |= changes
            if self._log is not None and time.monotonic() - self._written >= _STATUS_SECONDS:
                self._write()

    def complete(self, into: Path, *, has_worked: bool = True) -> None:
        """Put the log into the output, which is complete but for its name.

        ``remove`` follows once it has it.

        Args:
            into: the output.
            has_worked: False leaves the log as it was: all was there already.
        """
        log.info("done in %.1f s", time.monotonic() - self._begun)
        self._close()
        if not has_worked and self._log_start:
            os.truncate(self.folder / LOG, self._log_start)
        if into != self.folder:
            with suppress(FileNotFoundError):
                os.replace(self.folder / LOG, into / LOG)

    def remove(self) -> None:
        """Remove what is left of the record of a complete output."""
        clear_record(self.folder, self.out)

    def fail(self, error: BaseException) -> None:
        """Keep what went wrong; an interruption is none, and says so."""
        if isinstance(error, Exception):
            line = error_line(error)
            log.error("%s", line, exc_info=error)
            self._changes |= {"error": line, "exit_code": getattr(error, "exit_code", 1)}
        else:
            log.warning("interrupted (%s)", type(error).__name__)
            self._changes |= {"interrupted": True}
        with suppress(OSError):
            self._write()
        self._close()

    def volatile(self) -> dict[str, Any]:
        """What the result keeps of its making."""
        values: dict[str, Any] = {"started": self.started}
        if self.invocation is not None:
            values["made_by"] = self.invocation.to_json()
        if self.headline:
            values["headline"] = self.headline
        return values

    def _close(self) -> None:
        if self._handler is not None:
            self._handler.detach()
            self._handler = None
        if self._log is not None:
            with suppress(OSError):
                self._log.close()
            self._log = None

    def _write(self) -> None:
        """Write the status; a full disk is for the work itself to report."""
        self._written = time.monotonic()
        status = {
            "what": self._what,
            "out": self.out.name,
            "partial": self.partial.name,
            "process": os.getpid(),
            "started": self.started,
            "seconds": round(self.seconds, 1),
            "updated": now(),
            "made_by": self.invocation.to_json() if self.invocation else None,
            **self._changes,
        }
        temporary = self.folder / f".{STATUS}.{os.getpid()}.tmp"
        try:
            temporary.write_text(json.dumps(status, ensure_ascii=False) + "\n", "utf-8")
            os.replace(temporary, self.folder / STATUS)
        except OSError:
            with suppress(OSError):
                temporary.unlink()


_current: ContextVar[Record | None] = ContextVar("record", default=None)
_begun: list[Record] = []
"""Every record of this process that is not complete, for what an interruption leaves."""


def current_record() -> Record | None:
    """The innermost run that is being written in this context."""
    return _current.get()


def unfinished() -> list[Record]:
    """The records that this process began and did not complete, the outermost first."""
    return list(_begun)


@contextmanager
def recording(record: Record) -> Iterator[Record]:
    """Keeps the record while the block runs; an error that leaves it is kept in the record.

    The block ends with ``record.complete``, and with ``record.remove`` once the output has its
    name.
    """
    token = _current.set(record)
    try:
        record.begin()
        _begun.append(record)
        yield record
    except BaseException as error:
        record.fail(error)
        raise
    else:
        _begun.remove(record)
    finally:
        _current.reset(token)


def headline(text: str) -> None:
    """Give the result that is being written a short text for lists of runs.

    Nothing happens outside of a step, a checkpoint that is written, or a recipe.

    Args:
        text: one line, e.g. ``worst hurt: hi −3.2 %``.
    """
    record = _current.get()
    if record is not None:
        record.headline = " ".join(text.split())


def read_status(folder: Path) -> dict[str, Any]:
    """What a record says; empty where there is none, or it cannot be read."""
    try:
        status = read_json(folder / STATUS)
    except PolylectError:
        return {}
    return dict(status) if isinstance(status, Mapping) else {}


def is_running(folder: Path) -> bool:
    """Whether a living process holds the record in a folder."""
    return is_held(folder / LOG)


def is_held(path: Path) -> bool:
    """Whether a living process holds a lock on a file."""
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def clear_record(folder: Path, out: Path) -> None:
    """Remove a record: the hidden folder, or of a recipe's the status."""
    if folder != out:
        remove_folder(folder)
    else:
        (folder / STATUS).unlink(missing_ok=True)


def error_line(error: Exception) -> str:
    """An error in one line, as the command line prints it."""
    if isinstance(error, OSError) and not isinstance(error, PolylectError):
        error = storage_error(error)
    text = str(error) if isinstance(error, PolylectError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())
