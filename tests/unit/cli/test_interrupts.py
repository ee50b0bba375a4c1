"""Ctrl-C at any moment: over within two seconds, exit 130, and true in what it says is kept."""

import os
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path

import pytest
from child_processes import COMMAND_LINE, Children

pytestmark = pytest.mark.kill

RECIPE = '''
import ctypes, re, time
from dataclasses import dataclass
from pathlib import Path
from polylect.runs import Call, Processes, Run, step

@dataclass(frozen=True, kw_only=True)
class Config:
    how: str = "sleep"
    mark: str = "mark"
    finished: int = 0

@step(version=1)
def quick(config, inputs, context):
    (context.out / "x").write_text("x")

@step(version=1)
def slow(config, inputs, context):
    if config.how == "kept":
        (context.work / "state").write_text("half")
    Path(config.mark).touch()
    WAYS[config.how](context)

def swallow(context):
    """A library that takes every exception for its own."""
    for _ in range(600):
        try:
            time.sleep(0.1)
        except BaseException:
            pass

def in_c(context):
    """A long call outside of Python, which cannot hear signals; the lock is given back."""
    libc = ctypes.CDLL(None)
    for _ in range(60):
        libc.usleep(900_000)
        libc.sleep(60)

def forward(context):
    import torch
    weights = torch.randn(3000, 3000)
    for _ in range(10**6):
        weights = torch.softmax(weights @ weights, 0)

def threads(context):
    """Threads that the interpreter waits for at its end."""
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(time.sleep, [60, 60]))

WAYS = {"sleep": lambda context: time.sleep(60), "kept": lambda context: time.sleep(60),
        "swallow": swallow, "c": in_c, "forward": forward, "threads": threads}

def work(run: Run, config: Config) -> None:
    """Finishes some steps, then hangs."""
    for number in range(config.finished):
        run.step(quick, f"quick-{number}", config)
    calls = [Call(slow, f"slow-{n}", config, {}) for n in range(run.num_workers)]
    run.steps(calls)
'''


@pytest.fixture
def children():
    started = Children()
    yield started
    started.close()


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(RECIPE)
    return path


def interrupt(child, *, times=1):
    """What it says, once Ctrl-C has ended it."""
    started = time.monotonic()
    for _ in range(times):
        with suppress(ProcessLookupError):  # it may be over before the second one
            os.killpg(child.pid, signal.SIGINT)
        time.sleep(0.1)
    assert child.wait(20) == 130, child.stderr
    took = time.monotonic() - started
    busy = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    assert took < 2.0 * busy, took
    # On a busy machine a run is slow enough to show its progress before.
    (line,) = [line for line in child.stderr.splitlines() if not line.startswith("  ")]
    assert line.startswith("polylect: interrupted by Ctrl-C — run the same command again")
    return line.partition("again")[2]


NOTHING = "; nothing of it was kept"


@pytest.mark.parametrize(
    ("how", "workers", "finished", "kept"),
    [
        ("sleep", 1, 0, NOTHING),
        ("sleep", 1, 1, ": 1 finished step is kept in out"),
        ("sleep", 2, 2, ": 2 finished steps are kept in out"),
        ("swallow", 1, 0, NOTHING),
        ("c", 1, 0, NOTHING),
        ("forward", 1, 0, NOTHING),
        ("forward", 2, 0, NOTHING),
        ("threads", 1, 3, ": 3 finished steps are kept in out"),
        ("kept", 1, 0, ": unfinished work is kept in out/steps/"),
    ],
)
def test_wherever_it_is(how, workers, finished, kept, recipe, tmp_path, children):
    words = ["run", "mine.py:work", "--out", "out", "--workers", workers, "--how", how]
    words += ["--finished", finished]
    child = children(COMMAND_LINE, *words, cwd=tmp_path, real=how == "forward")
    child.wait_until(lambda: (tmp_path / "mark").exists())
    time.sleep(0.3)
    said = interrupt(child, times=2 if how == "sleep" else 1)
    assert said == kept or (how == "kept" and said.startswith(kept))
    if how == "kept":
        folder = tmp_path / said.rpartition(" in ")[2]
        assert (folder / "work/state").read_text() == "half"
    done = [path for path in (tmp_path / "out/steps").iterdir() if path.name[0] != "."]
    assert len(done) == finished


@pytest.mark.parametrize("library", ["libtorch_cpu", "polars", None])
def test_while_it_imports(library, tmp_path, children):
    """From the moment on at which polylect itself runs; before, it is Python's to say."""
    child = children("", "-m", "polylect", "run", "lifecycle", "--num-parameters", "1000",
                     "--dry-run", real=True, cwd=tmp_path)  # fmt: skip
    maps = Path(f"/proc/{child.pid}/maps")
    child.wait_until(lambda: (library or "pyexpat") in maps.read_text() or not library, pause=0.001)
    if library is None:
        time.sleep(1.0)
    assert interrupt(child) == NOTHING
    assert os.listdir(tmp_path) == []


def test_at_a_server_that_hangs(tmp_path, children):
    (tmp_path / "prompts.jsonl").write_text('{"id": "1", "prompt": "Hallo?", "language": "de"}\n')
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/v1"
        words = ["--prompts", "prompts.jsonl", "--out", "out", "--served-model", "m"]
        child = children(COMMAND_LINE, "generate", url, *words, cwd=tmp_path)
        server.settimeout(60)
        connection, _ = server.accept()
        with connection:
            time.sleep(0.3)
            said = interrupt(child)
    kept = list(tmp_path.glob(".out*.partial/work/*"))
    assert (said == NOTHING) == (not kept)


def test_while_it_reads(tmp_path, children):
    vote = '{"model_a": "%d", "model_b": "x", "verdict": "A", "voter": "u", "time": 1.7e9}\n'
    (tmp_path / "votes.jsonl").write_text("".join(vote % (n % 7) for n in range(600_000)))
    child = children(COMMAND_LINE, "rank", "votes.jsonl", "--out", "out", cwd=tmp_path)

    def is_reading():
        for path in Path(f"/proc/{child.pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # a file may be closed meanwhile
                if os.readlink(path).endswith("votes.jsonl"):
                    return True
        return False

    child.wait_until(is_reading)
    assert interrupt(child) == NOTHING
    assert not (tmp_path / "out").exists()
