"""What an error tells the user to type exists: every command, kind, recipe and option in src."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import polylect
from polylect.base import InputError, language
from polylect.cli import main
from polylect.cli.completion import options_by_command
from polylect.cli.entry_point import _LESS_MEMORY
from polylect.cli.table import COMMANDS
from polylect.merging import OPERATORS
from polylect.recipes import SHIPPED

SRC = Path(polylect.__file__).parent
FOREIGN = {
    "--log_samples", "--output_path",  # lm-evaluation-harness
    "--local-dir",  # hf download
    "--upgrade",  # pip
    "--json", "--quiet", "--verbose",  # of every verb
    "--port", "--host", "--model", "--help", "--version",  # of every verb
}  # fmt: skip
NO_WORDS = {"cli/renamed.py", "evals/comet.py", "report/charts.py", "report/heatmaps.py",
            "report/table_widths.py"}  # fmt: skip
"""Files whose strings are options of another program or of an earlier version, or CSS."""
SENTENCES = {"cannot", "does", "trains", "reads", "is"}
"""What follows ``polylect`` where it is the subject of a sentence."""


def strings() -> Iterator[tuple[str, str]]:
    """Place and text of every string in src that is no docstring; {} for what is filled in."""
    for path in sorted(SRC.rglob("*.py")):
        if str(path.relative_to(SRC)) in NO_WORDS:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        inside = {
            id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)
            for part in node.values
        }  # fmt: skip
        docs = {
            id(node.value) for node in ast.walk(tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        }  # fmt: skip
        for node in ast.walk(tree):
            where = f"{path.relative_to(SRC)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.JoinedStr):
                yield (
                    where,
                    "".join(
                        str(part.value) if isinstance(part, ast.Constant) else "{}"
                        for part in node.values
                    ),
                )
            elif isinstance(node, ast.Constant) and id(node) not in inside | docs:
                yield where, node.value if isinstance(node.value, str) else ""


STRINGS = list(strings())
OPTIONS = options_by_command()
KNOWN = {option for options in OPTIONS.values() for option in options} | {"--languages-file"}


def test_every_option_that_a_text_names_exists():
    unknown = [
        (where, option, text[:80])
        for where, text in STRINGS
        for option in re.findall(r"(?<![\w{-])--[a-z][\w-]*", text)
        if option not in KNOWN | FOREIGN
    ]
    assert unknown == []


def test_every_command_that_a_text_names_exists():
    wrong = []
    for where, text in STRINGS:
        for verb, word in re.findall(r"\bpolylect ([a-z]+)(?: ([a-z]\w*))?", text):
            known = {
                "train": ("sft", "preference", "reward", "online"),
                "run": SHIPPED,
                "quantize": ("study", "search"),
            }.get(verb)
            if verb not in {*COMMANDS, *SENTENCES} or (known and word and word not in known):
                wrong.append((where, verb, word, text))
    assert wrong == []


def test_a_command_with_its_options_has_them():
    wrong = []
    for where, text in STRINGS:
        for verb, rest in re.findall(r"\bpolylect ([a-z]+)\b([^;:()']*)", text):
            for option in re.findall(r"(?<!\w)--[a-z][\w-]*", rest):
                if verb in COMMANDS and option not in {*OPTIONS[verb], "--help"}:
                    wrong.append((where, verb, option))
    assert wrong == []


def test_every_setting_of_a_method_that_a_text_names_exists():
    known = {name for operator in OPERATORS.values() for name in operator.options}
    named = [(w, name) for w, text in STRINGS for name in re.findall(r"--set (\w+)=", text)]
    assert [(where, name) for where, name in named if name not in known] == []


def test_what_is_said_after_a_break_fits_the_command():
    for command, hint in _LESS_MEMORY.items():
        assert hint.split()[0] in OPTIONS[command]


@pytest.mark.parametrize("command", ["rank", "run", "simulate"])
def test_out_of_memory_names_options_of_the_command(command, capsys, monkeypatch):
    def stop(*_):
        raise MemoryError

    monkeypatch.setattr("polylect.cli.entry_point._run", stop)
    assert main([command]) == 1
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert all(option in OPTIONS[command] for option in re.findall(r"--[a-z-]+", line))


def test_the_tags_that_are_suggested_for_an_unknown_language_are_taken():
    with pytest.raises(InputError) as caught:
        language("zzzz")
    for tag in ("cy", "sr-Latn", "x-mine"):
        assert tag in caught.value.hint
        assert language(tag).tag == tag
