"""Recipe files of the tests' own, in the test's folder: what a user's file is."""

import contextlib
import importlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

RECIPE = '''
import os, time
from dataclasses import dataclass
from pathlib import Path
from polylect.base import InputError, PolylectError
from polylect.runs import Call, Files, Processes, Run, step, execute, load_file


@dataclass(frozen=True, kw_only=True)
class Config:
    text: str = "text"
    seconds: float = 0.0
    mark: str = ""


@step(version=1)
def count_workers(config, inputs, context):
    """Writes how many processes it may use: what no step of a user's should do."""
    (context.out / "num.txt").write_text(str(context.num_workers))


@step(version=1)
def write(config, inputs, context):
    """Counts its tries in work, says that it has begun, waits, and writes."""
    tries = context.work / "tries"
    before = int(tries.read_text()) if tries.exists() else 0
    tries.write_text(str(before + 1))
    half = context.out / f"half-{before}.txt"
    half.write_text("half")
    if config.mark:
        with open(config.mark, "a") as file:
            file.write(f"{os.getpid()}\\n")
    deadline = time.monotonic() + config.seconds
    while time.monotonic() < deadline:
        context.report.update(1, 2, "units")
        time.sleep(0.02)
    half.unlink()
    (context.out / "text.txt").write_text(config.text)
    (context.out / "sub").mkdir()
    (context.out / "sub/tries.txt").write_text(str(before + 1))
    context.ledger.count("dropped: test", 2, "de")


@step(version=2)
def fail(config, inputs, context):
    raise InputError(f"cannot do {config.text}", "do something else")


@step(version=1)
def join(config, inputs, context):
    texts = [(one.path / "text.txt").read_text() for one in inputs.values()]
    (context.out / "text.txt").write_text("+".join(texts))

'''

WORK = """
import os, time
from polylect.base import InputError


def square(item):
    time.sleep(0.05 * (item % 3))
    return item * item, os.getpid()


def sleep_and_mark(path):
    with open(path, "w") as file:
        file.write(str(os.getpid()))
    time.sleep(60)


def kill_me(path):
    os.kill(os.getpid(), 9)


def raise_on_two(item):
    if item == 2:
        raise InputError("two is wrong", "take three")
    return item
"""


@pytest.fixture
def recipe(tmp_path):
    """The path of a recipe file with a few steps and functions."""
    path = tmp_path / "recipe_of_tests.py"
    path.write_text(RECIPE)
    return path


@pytest.fixture
def load(recipe):
    """The module of the recipe file, as ``polylect run FILE.py`` loads it."""
    from polylect.runs import load_file

    return load_file(recipe)


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A module of functions that workers can import, as an installed package's are."""
    (tmp_path / "work_of_tests.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "work_of_tests", raising=False)
    return importlib.import_module("work_of_tests")


@pytest.fixture
def start(recipe, work):
    """Starts a Python process that has the recipe's module as ``r``, the functions as ``w``."""
    running: list[subprocess.Popen[str]] = []

    def run(code: str, *arguments: object, in_workers: str = "pass") -> subprocess.Popen[str]:
        head = (
            "import sys\nfrom pathlib import Path\nfrom polylect.runs import load_file, Processes\n"
            "import work_of_tests as w\n"
            f"r = load_file(Path({str(recipe)!r}))\n"
        )
        script = recipe.with_name(f"script_{len(running)}.py")
        body = textwrap.indent(head + textwrap.dedent(code), "    ")
        script.write_text(f"if __name__ == '__main__':\n{body}\nelse:\n    {in_workers}\n")
        process = subprocess.Popen(
            [sys.executable, script, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        running.append(process)
        return process

    yield run
    for process in running:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # the session's orphans as well
        process.communicate()


def wait_until(condition, seconds: float = 20.0) -> None:
    """Return as soon as the condition holds; fail after some seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


@pytest.fixture(name="wait_until")
def wait_until_fixture():
    return wait_until


@pytest.fixture
def alive():
    """Whether a process exists and is no zombie."""

    def look(pid: int) -> bool:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return False
        return state != "Z"

    return look
