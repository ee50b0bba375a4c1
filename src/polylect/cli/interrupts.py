"""Ctrl-C: heard at once, over within two seconds, and true in what it says is kept.

Python hears a signal only between two of its own instructions, and may wait for threads and
processes afterwards: an import, a long forward pass or a server that hangs would hold the user up.
So a thread listens to the signal itself, and ends the process where the ordinary way out takes too
long. Everything that polylect writes survives that, as it survives SIGKILL.
"""

import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

CANCELED = 130
_GRACE_SECONDS = 1.5

_said = threading.Lock()


def watch() -> None:
    """Make Ctrl-C end this process within two seconds; for the main thread of a command.

    Does nothing where SIGINT is ignored, as in the background of a script.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.signal(signal.SIGINT, _Once())
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=_listen, args=(reading,), daemon=True).start()


def say_interrupted() -> None:
    """Say once that Ctrl-C was heard, and what is kept."""
    if _said.acquire(blocking=False):
        kept = what_is_kept()
        again = "run the same command again"
        hint = f"{again}: {kept}" if kept else f"{again}; nothing of it was kept"
        with suppress(OSError):
            sys.stderr.write(f"polylect: interrupted by Ctrl-C — {hint}\n")
            sys.stderr.flush()


def what_is_kept() -> str:
    """What the command that was interrupted left for the next one, as it lies on the disk."""
    if "polylect.runs.records" not in sys.modules:
        return ""
    from polylect.runs import unfinished

    parts: list[str] = []
    for record in unfinished():
        if record.holds_steps:
            done = [path for path in _entries(record.out / "steps") if path.name[0] != "."]
            if done:
                steps = "finished step is" if len(done) == 1 else "finished steps are"
                parts.append(f"{len(done)} {steps} kept in {_shown(record.out)}")
            continue
        work = record.partial / "work"
        if _entries(work if work.is_dir() else record.partial):
            parts.append(f"unfinished work is kept in {_shown(record.partial)}")
        cache = record.out.with_name(f"{record.out.name}-cache")
        if _entries(cache):
            parts.append(f"what was scored is kept in {_shown(cache)}")
    return ", ".join(dict.fromkeys(parts))


def _entries(folder: Path) -> Sequence[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _shown(path: Path) -> str:
    """A path as the user may have typed it."""
    with suppress(ValueError):
        return str(path.resolve().relative_to(Path.cwd()))
    return str(path)


class _Once:
    """The handler of SIGINT: raises the first time; what cleans up is not interrupted again."""

    def __init__(self) -> None:
        self._is_heard = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self._is_heard:
            self._is_heard = True
            raise KeyboardInterrupt


def _listen(reading: int) -> None:
    """Wait for SIGINT, then end the process if it does not end by itself."""
    # The signal must reach the main thread, whose system call it interrupts.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    while signal.SIGINT not in os.read(reading, 64):
        pass
    threading.Event().wait(_GRACE_SECONDS)
    _end()


def _end() -> NoReturn:
    """End this process and its workers at once."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K\x1b[?25h")  # the line of a bar, and the cursor that it hid
    say_interrupted()
    if "multiprocessing" in sys.modules:
        import multiprocessing

        for child in multiprocessing.active_children():
            child.kill()
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    os._exit(CANCELED)
