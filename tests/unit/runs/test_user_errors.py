"""Errors of a user's own file: one line that names file, line and function."""

import pytest

from polylect.base import InputError, Ledger
from polylect.engine import FunctionSource, Question, embed
from polylect.rows import Message
from polylect.runs import load_file, users_code
from polylect.text import open_identifier

CODE = """
def fails(*given):
    return deeper()

def deeper():
    return {}["نص"]

def encodes(texts):
    return int("x")
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(CODE)
    return path


def reward(file):
    question = Question([Message("user", "Warum?")], "de", ["Darum."])
    FunctionSource(file, "fails").open("own", 100, Ledger())([question], Ledger())


@pytest.mark.parametrize(
    "call",
    [
        reward,
        lambda file: embed(["a"], f"function:{file}:fails"),
        lambda file: open_identifier(f"{file}:fails").guess(["ein Haus"]),
    ],
)
def test_every_function_of_a_user_that_raises_is_one_line(file, call):
    words = r"mine\.py:6: fails\(\) raised KeyError: 'نص' — mend the file$"
    with pytest.raises(InputError, match=words) as error:
        call(file)
    assert "\n" not in str(error.value)
    assert isinstance(error.value.__cause__, KeyError)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (InputError("--rate is 0", "give more"), "mine.py: f(): 'rate' is 0 — give more"),
        (InputError("no such model", "look"), "mine.py: f(): no such model — look"),
        (ValueError("a\n  b"), "mine.py: f() raised ValueError: a b — mend the file"),
        (
            ValueError("x" * 900),
            "mine.py: f() raised ValueError: " + "x" * 300 + " — mend the file",
        ),
    ],
)
def test_what_is_raised_elsewhere_names_the_function(file, error, words):
    with pytest.raises(InputError) as raised, users_code(file, "f"):
        raise error
    assert str(raised.value).removeprefix(f"{file.parent}/") == words


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_ctrl_c_and_exits_pass(file, error):
    with pytest.raises(error), users_code(file, "f"):
        raise error


def test_a_file_that_raises_when_it_is_read_can_be_mended(file):
    file.write_text("\n1 / 0\n")
    with pytest.raises(InputError, match=r"mine\.py:2 raised ZeroDivisionError: division by zero"):
        load_file(file)
    file.write_text("value = 3\n")
    assert load_file(file).value == 3
