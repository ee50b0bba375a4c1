"""Programs in the confined child: what computes passes, and nothing else gets anywhere."""

import gzip
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from polylect.evals import Item, Source
from polylect.evals.tasks.programs import HUMANEVAL, MBPP, STOP, program_of
from polylect.runs import Limits, run_program

DATA = Path(os.environ.get("POLYLECT_DATA", Path(__file__).parents[4] / "shared" / "data"))
SHORT = Limits(seconds=1.5, memory_mib=256)


def test_a_program_passes_when_it_ends_and_only_then():
    assert run_program("assert sum(range(10)) == 45").reason == "passed"
    for program, reason in {
        "assert False": "failed: AssertionError",
        "1 / 0": "failed: ZeroDivisionError",
        "def f(:": "failed: SyntaxError",
        "raise SystemExit(0)": "failed: SystemExit",
        "import os; os._exit(0)": "died",
        "import ctypes; ctypes.string_at(0)": "died",
        "x = 1 +": "failed: SyntaxError",
        "raise KeyboardInterrupt": "failed: KeyboardInterrupt",
    }.items():
        outcome = run_program(program)
        assert (outcome.passed, outcome.reason) == (False, reason), program


def test_the_standard_library_that_solutions_use_is_available():
    names = "math re random collections itertools heapq hashlib datetime decimal functools typing"
    assert run_program(f"import {', '.join(names.split())}, statistics, fractions, copy").passed


@pytest.mark.parametrize(
    "program",
    [
        "import os\nwhile True:\n    os.fork()",
        "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass",
        "while True:\n    pass",
        "import time\ntime.sleep(60)",
        "x = []\nwhile True:\n    x.append(bytearray(1 << 24))",
        "x = 'a' * (1 << 34)",
        "def f():\n    return f()\nf()",
        "import threading\nwhile True:\n    threading.Thread(target=print).start()",
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True:\n    pass",
        "while True:\n    print('x' * 10**6)",
        "import os\nwhile True:\n    os.write(int(__import__('sys').argv[1]), b'x' * 4096)",
    ],
)
def test_a_program_without_end_or_bounds_is_ended(program):
    started = time.monotonic()
    assert not run_program(program, SHORT).passed
    assert time.monotonic() - started < 10


HARM = """
import ctypes, os, signal, socket, subprocess
{setup}
def tried(act):
    try:
        act()
    except (OSError, ValueError):
        return False
    return True
acts = {acts}
assert not [name for name, act in acts.items() if tried(act)], "something worked"
"""
ACTS = """{
    "delete": lambda: os.unlink(victim),
    "open for writing": lambda: open(victim, "a"),
    "open and truncate": lambda: os.open(victim, os.O_TRUNC),
    "make": lambda: open(other, "x"),
    "make without a name": lambda: os.open(os.path.dirname(victim), os.O_TMPFILE | os.O_RDWR),
    "rename": lambda: os.rename(victim, other),
    "link": lambda: os.symlink(victim, other),
    "truncate": lambda: os.truncate(victim, 0),
    "mode": lambda: os.chmod(victim, 0),
    "times": lambda: os.utime(victim),
    "folder": lambda: os.mkdir(other),
    "socket": lambda: socket.socket(),
    "unix socket": lambda: socket.socketpair(),
    "look up": lambda: socket.create_connection(("127.0.0.1", 9), 1),
    "process": lambda: subprocess.run(["true"]),
    "shell": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "replace itself": lambda: os.execv("/bin/true", ["true"]),
    "signal the parent": lambda: os.kill(os.getppid(), signal.SIGKILL),
    "signal everyone": lambda: os.kill(-1, signal.SIGKILL),
    "memory file": lambda: os.memfd_create("x"),
    "own memory": lambda: open("/proc/self/mem", "r+b"),
}"""


def test_a_program_can_write_send_start_and_signal_nothing(tmp_path):
    victim, other = tmp_path / "victim", tmp_path / "other"
    victim.write_text("whole")
    before = victim.stat()
    program = HARM.format(setup=f"victim, other = {str(victim)!r}, {str(other)!r}", acts=ACTS)
    assert run_program(program).reason == "passed"
    # The same acts work outside: what stopped them was the child, not this machine.
    outside = HARM.format(
        setup=f"victim, other = {str(victim)!r}, {str(tmp_path / 'new')!r}",
        acts='{"make": lambda: open(other, "x").close()}',
    )
    with pytest.raises(AssertionError, match="something worked"):
        exec(outside, {})
    assert victim.read_text() == "whole"
    assert (victim.stat().st_mode, victim.stat().st_mtime_ns) == (
        before.st_mode,
        before.st_mtime_ns,
    )
    assert not other.exists()


def test_a_completion_or_a_fenced_block_becomes_a_program():
    item = Item(
        id="1", language="code", context="import math\n\ndef area(r):\n    '''of a circle'''\n",
        choices=("    return math.pi * r * r\n",), answer=0, delimiter="",
        tests="def check(candidate):\n    assert round(candidate(1), 3) == 3.142\n\ncheck(area)\n",
    )  # fmt: skip
    body = "    return math.pi * r * r\n"
    chat = f"Here it is:\n```python\ndef area(r):\n{body}```\nIt is right."
    only_body = f"```\n{body}```"
    for answer in (body, chat, only_body, chat.replace("```python", "```py")):
        assert run_program(program_of(item, answer)).passed, answer
    for answer in ("    return 1\n", "", "```\nnothing\n```"):
        assert not run_program(program_of(item, answer)).passed


@pytest.fixture
def data():
    if not (DATA / "humaneval").is_dir():
        if sys.stderr:
            sys.stderr.write("skipped: no data (humaneval, mbpp)\n")
        pytest.skip("no data")
    return Source.at(DATA)


def test_the_canonical_solutions_of_humaneval_pass(data):
    items = HUMANEVAL.items(data, "code")
    assert len(items) == 164
    failed = {}
    for item in items:
        outcome = run_program(program_of(item, item.choices[0]), Limits(seconds=60))
        if not outcome.passed:
            failed[item.id] = outcome.reason
    assert failed == {}
    with gzip.open(DATA / "humaneval" / "HumanEval.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file]
    # What the stop texts cut off is never a part of a solution.
    assert not [row["task_id"] for row in rows
                if any(stop in row["canonical_solution"].rstrip() for stop in STOP)]  # fmt: skip


def test_the_canonical_solutions_of_mbpp_pass_where_they_pass_in_plain_python(data):
    items = {item.id: item for item in MBPP.items(data, "code")}
    assert len(items) > 480
    # Published solutions that fail their own tests, in plain Python as well.
    wrong = {"56", "64", "160", "341", "349", "367"}
    failed = set()
    for name in [*list(items)[::3], *wrong]:
        program = program_of(items[name], items[name].choices[0])
        if not run_program(program, Limits(60)).passed:
            failed.add(name)
            plain = [sys.executable, "-I", "-c", program]
            assert subprocess.run(plain, capture_output=True, check=False).returncode == 1
    assert failed == wrong
