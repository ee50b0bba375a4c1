"""Runs programs written by a model in a confined child process.

The child is a fresh interpreter without site packages. Before it gets the program, it permanently
gives up all system calls that computing does not need (seccomp: no sockets, no new processes, no
signals to others, no files opened for writing, nothing renamed or deleted), memory and CPU time
above a limit, and writing to files. Its output is discarded. A program passes only if the child
sends a token made for this run after the program and its tests have ended.

Does not hide files that the user may read (without a network and with its output discarded, the
program cannot send them anywhere), nor stop a program that searches the interpreter for the token.
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

from polylect.base import Count, InputError, Positive, check_settings

_BOOT = Path(__file__).with_name("_confined_child.py")
_MOST_BYTES = 4096
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a program.

    Attributes:
        seconds: wall clock, and CPU time.
        memory_mib: address space, including the interpreter, in MiB.
    """

    seconds: Positive = 10.0
    memory_mib: Count = 512

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a program.

    Attributes:
        passed: it ran to the end and its tests passed.
        reason: ``passed``, ``failed: NAME`` of the exception, ``timed out``, or ``died`` (killed by
            a limit or by itself).
    """

    passed: bool
    reason: str


def require_sandbox() -> None:
    """Check that programs can be confined on this system.

    Raises:
        InputError: no seccomp, or an unsupported processor architecture.
    """
    if not sys.platform.startswith("linux") or platform.machine() not in {"x86_64", "aarch64"}:
        raise InputError(
            f"programs cannot be confined on {sys.platform} ({platform.machine()})",
            "run these tasks on Linux, x86_64 or aarch64",
        )


def run_program(program: str, limits: Limits | None = None) -> Outcome:
    """Run a program with its tests.

    Args:
        program: Python source; an exception is a failed test.
        limits: default: ``Limits()``.

    Raises:
        InputError: programs cannot be confined here.
    """
    require_sandbox()
    limits = limits or Limits()
    token = secrets.token_hex(16)
    job = {
        "program": program,
        "token": token,
        "seconds": max(1, round(limits.seconds)),
        "memory": limits.memory_mib * _MIB,
    }
    reading, writing = os.pipe()
    child = subprocess.Popen(
        # In its own session, so that one signal ends all of it.
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
        output, in_time = _listen(reading, time.monotonic() + limits.seconds)
    finally:
        os.close(reading)
        _end(child)
    lines = output.decode("utf-8", "replace").splitlines()
    if lines[:1] != ["confined"]:
        raise InputError(
            f"the child process could not confine itself ({' '.join(lines)[:100] or 'no answer'})",
            "a kernel with seccomp is needed to run programs",
        )
    if token in lines:
        return Outcome(True, "passed")
    if not in_time:
        return Outcome(False, "timed out")
    failed = next((line for line in lines if line.startswith("failed: ")), "died")
    return Outcome(False, failed)


def _feed(child: subprocess.Popen[bytes], data: bytes) -> None:
    assert child.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        child.stdin.write(data)
        child.stdin.close()


def _listen(reading: int, deadline: float) -> tuple[bytes, bool]:
    """The child's output until it ends, and whether it ended in time."""
    output = b""
    with selectors.DefaultSelector() as ready:
        ready.register(reading, selectors.EVENT_READ)
        while len(output) < _MOST_BYTES:
            left = deadline - time.monotonic()
            if left <= 0 or not ready.select(left):
                return output, False
            part = os.read(reading, _MOST_BYTES)
            if not part:
                return output, True
            output += part
    return output, True


def _end(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
