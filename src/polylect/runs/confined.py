"""Programs that a model wrote, run in a child process that can compute and nothing else.

The child is a fresh interpreter without site packages. Before it sees the program it gives up, for
good: every system call but those that computing needs (seccomp; no socket, no new process, no
signal to others, no file opened for writing, nothing renamed or deleted), memory beyond a bound,
processor time, and any byte written to a file. What it prints is thrown away. It passes only by
sending a word that was made for this one run, after the program and its tests have ended.

Does not: hide files that the user may read (without a network, and with what it prints thrown
away, there is nowhere to send them); nor stop a program that searches the interpreter for the word.
"""

import contextlib
import json
import os
import platform
import secrets
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from polylect.base import InputError

_BOOT = Path(__file__).with_name("_confined_child.py")
_MOST_BYTES = 4096
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What a program may use.

    Attributes:
        seconds: wall clock; a program that computes has as many of the processor.
        memory_mib: address space, the interpreter's own included.
    """

    seconds: float = 10.0
    memory_mib: int = 512


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a program ended.

    Attributes:
        passed: it ran to its end and its tests held.
        reason: ``passed``, ``failed: NAME`` of the exception, ``timed out``, or ``died`` (killed by
            a limit or by itself).
    """

    passed: bool
    reason: str


def require_sandbox() -> None:
    """Nothing, where programs can be confined.

    Raises:
        InputError: the system has no seccomp, or a processor whose calls are not listed here.
    """
    if not sys.platform.startswith("linux") or platform.machine() not in {"x86_64", "aarch64"}:
        raise InputError(
            f"programs cannot be confined on {sys.platform} ({platform.machine()})",
            "run these tasks on Linux, x86_64 or aarch64",
        )


def run_program(program: str, limits: Limits | None = None) -> Outcome:
    """The outcome of a program with its tests.

    Args:
        program: Python source; an exception is a failed test.
        limits: what it may use.

    Raises:
        InputError: programs cannot be confined here.
    """
    require_sandbox()
    limits = limits or Limits()
    word = secrets.token_hex(16)
    job = {
        "program": program,
        "word": word,
        "seconds": max(1, round(limits.seconds)),
        "memory": limits.memory_mib * _MIB,
    }
    reading, writing = os.pipe()
    child = subprocess.Popen(
        # Its own session: whatever it is, one signal ends it.
        [sys.executable, "-I", "-S", "-B", "-X", "utf8", str(_BOOT), str(writing)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(writing,),
        cwd="/",
        env={},
        start_new_session=True,
    )
    os.close(writing)
    try:
        _feed(child, json.dumps(job).encode())
        said, in_time = _listen(reading, time.monotonic() + limits.seconds)
    finally:
        os.close(reading)
        _end(child)
    lines = said.decode("utf-8", "replace").splitlines()
    if lines[:1] != ["confined"]:
        raise InputError(
            f"the child process could not confine itself ({' '.join(lines)[:100] or 'no answer'})",
            "a kernel with seccomp is needed to run programs",
        )
    if word in lines:
        return Outcome(True, "passed")
    if not in_time:
        return Outcome(False, "timed out")
    failed = next((one for one in lines if one.startswith("failed: ")), "died")
    return Outcome(False, failed)


def _feed(child: subprocess.Popen[bytes], data: bytes) -> None:
    assert child.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        child.stdin.write(data)
        child.stdin.close()


def _listen(reading: int, deadline: float) -> tuple[bytes, bool]:
    """What the child says until it ends, and whether it did so in time."""
    said = b""
    with selectors.DefaultSelector() as ready:
        ready.register(reading, selectors.EVENT_READ)
        while len(said) < _MOST_BYTES:
            left = deadline - time.monotonic()
            if left <= 0 or not ready.select(left):
                return said, False
            part = os.read(reading, _MOST_BYTES)
            if not part:
                return said, True
            said += part
    return said, True


def _end(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
