"""Processes that tests start: forked from one with torch imported, or real; none is left behind."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

COMMAND_LINE = "import sys; from polylect.cli import main; sys.exit(main())"
"""What ``python -m polylect`` runs, as code for ``python -c``."""


def wait_until(condition: Callable[[], object], seconds: float = 60.0, pause: float = 0.01) -> None:
    """Return as soon as the condition holds; fail after some seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(pause)


def num_files(folder: Path) -> int:
    """How many files lie below a folder that a process writes to."""
    return sum(len(names) for _, _, names in os.walk(folder))


class Child:
    """A started process that leads a group of its own; its output goes to files."""

    def __init__(
        self,
        code: str,
        *arguments: object,
        real: bool = False,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Start ``python -c CODE ARGUMENTS``, forked from a process that has torch imported.

        Args:
            code: what to run; with ``real``, "" leaves ``-c`` out.
            arguments: ``sys.argv[1:]``.
            real: a new interpreter, as a user starts it.
            cwd: the working folder.
            env: more environment variables.
        """
        self.arguments = [str(argument) for argument in arguments]
        self._files = tempfile.TemporaryDirectory(prefix="child-")
        stdout, stderr = (Path(self._files.name) / name for name in ("stdout", "stderr"))
        environment = {**os.environ, **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None
        if real:
            command = [sys.executable, *(["-c", code] if code else []), *self.arguments]
            with open(stdout, "wb") as out, open(stderr, "wb") as err:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=cwd,
                    env=environment, start_new_session=True,
                )  # fmt: skip
            self.pid = self._process.pid
        else:
            stdout.touch()
            stderr.touch()
            request = {
                "code": code,
                "arguments": self.arguments,
                "cwd": str(cwd or Path.cwd()),
                "env": environment,
                "stdout": str(stdout),
                "stderr": str(stderr),
            }
            self.pid = _server.start(request)

    @property
    def stdout(self) -> str:
        """What it has written so far."""
        return (Path(self._files.name) / "stdout").read_text("utf-8")

    @property
    def stderr(self) -> str:
        """What it has written so far."""
        return (Path(self._files.name) / "stderr").read_text("utf-8")

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._process.poll() if self._process else _server.poll(self.pid)

    def wait(self, seconds: float = 300.0) -> int:
        """The exit code, once it has ended."""
        if self._process:
            return self._process.wait(seconds)
        return _server.wait(self.pid, seconds)

    def wait_until(
        self, condition: Callable[[], object], seconds: float = 120.0, pause: float = 0.01
    ) -> None:
        """Return as soon as the condition holds; fail when the process ends before."""

        def held() -> object:
            running = self.poll() is None
            met = condition()
            assert met or running, f"it ended with {self.poll()}: {self.stderr[-2000:]}"
            return met

        wait_until(held, seconds, pause)

    def kill(self) -> None:
        """Kill the process and all that it started, and wait until none is left."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.wait()
        wait_until(lambda: not group_exists(self.pid))

    def close(self) -> None:
        """Kill what still runs and remove the files."""
        self.kill()
        self._files.cleanup()


def group_exists(number: int) -> bool:
    """Whether any process of the group is left."""
    try:
        os.killpg(number, 0)
    except ProcessLookupError:
        return False
    return True


class Children:
    """Starts processes and ends those that still run when the test is over."""

    def __init__(self) -> None:
        self._children: list[Child] = []

    def __call__(
        self,
        code: str,
        *arguments: object,
        real: bool = False,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Child:
        """Start a ``Child``."""
        child = Child(code, *arguments, real=real, cwd=cwd, env=env)
        self._children.append(child)
        return child

    def close(self) -> None:
        """End all that were started."""
        for child in self._children:
            child.close()
        self._children.clear()


class _ForkServer:
    """The process of ``fork_server``, started when it is first needed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer = b""
        self._codes: dict[int, int] = {}

    def start(self, request: dict[str, object]) -> int:
        """The process id of a new child."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-c", "import fork_server; fork_server.serve()"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
                env={**os.environ, "OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"},
                start_new_session=True,
            )  # fmt: skip
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        while (pid := self._read(120.0)) is None:
            pass
        self._codes.pop(pid, None)
        return pid

    def poll(self, pid: int) -> int | None:
        """The exit code of a child, or None while it runs."""
        while pid not in self._codes and self._waiting(0.0):
            self._read(0.0)
        return self._codes.get(pid)

    def wait(self, pid: int, seconds: float) -> int:
        """The exit code of a child, once it has ended."""
        deadline = time.monotonic() + seconds
        while (code := self.poll(pid)) is None:
            assert time.monotonic() < deadline, f"process {pid} did not end within {seconds} s"
            self._waiting(1.0)
        return code

    def close(self) -> None:
        """End the server; its children were ended before."""
        if self._process is not None:
            self._process.communicate(timeout=60)
            self._process = None

    def _waiting(self, seconds: float) -> bool:
        assert self._process is not None
        return b"\n" in self._buffer or bool(
            select.select([self._process.stdout], [], [], seconds)[0]
        )

    def _read(self, seconds: float) -> int | None:
        """Take one answer: the process id where a child has started."""
        assert self._process is not None
        assert self._process.stdout is not None
        while b"\n" not in self._buffer:
            assert self._waiting(seconds), "the fork server does not answer"
            data = self._process.stdout.read(65536)
            assert data, "the fork server has ended"
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        kind, pid, *code = line.decode().split()
        if kind == "started":
            return int(pid)
        self._codes[int(pid)] = int(code[0])
        return None


_server = _ForkServer()


def close_fork_server() -> None:
    """End the fork server of this process, if one was started."""
    _server.close()
