"""What the documents promise is there: nothing unfilled, no path, option or command that is not."""

import re
from pathlib import Path

import pytest

from polylect.cli.completion import options_by_command
from polylect.cli.table import COMMANDS
from polylect.recipes import SHIPPED

ROOT = Path(__file__).parents[2]
TEXTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/logs/*.md", "plugins/**/*.md")
    for path in ROOT.glob(pattern)
)
PAGES = sorted(ROOT.glob("benchmarks/pages/**/*.html"))
UNFILLED = re.compile(
    r"@[A-Z][A-Z_]+@|\{\{ ?\w+ ?\}\}|\$\{\w+\}|%\(\w+\)s|<[A-Z_]{3,}>"
    r"|\b(TODO|TBD|FIXME|XXX|LOREM)\b"
)
"""A place that was to be filled in."""
OPTIONS = options_by_command()


def name(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", [*TEXTS, *PAGES], ids=name)
def test_no_place_is_left_unfilled(path):
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)  # programs have braces of their own
    assert [match[0] for match in UNFILLED.finditer(text)] == []


@pytest.mark.parametrize("path", TEXTS, ids=name)
def test_every_file_that_is_named_is_there(path):
    text = path.read_text(encoding="utf-8")
    missing = [
        target
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text)
        if not (path.parent / target).exists()
    ]
    missing += [
        target
        for target in re.findall(r"\b(?:benchmarks|tests|docs|plugins)/[\w/.-]+\.\w+", text)
        if not target.startswith("benchmarks/.envs") and not (ROOT / target).exists()
    ]
    assert missing == []


@pytest.mark.parametrize("path", TEXTS, ids=name)
def test_every_command_that_is_shown_has_its_options(path):
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    wrong = []
    for line in re.findall(r"(?<![\w-])polylect [a-z]+[^\n`|]*", text):
        verb, *words = line.removeprefix("polylect ").split("#")[0].split()
        if verb not in COMMANDS:
            continue
        if verb == "run" and words and words[0].isidentifier() and words[0].islower():
            known = words[0] in SHIPPED
            wrong += [] if known else [line]
        options = [word.split("=")[0] for word in words if re.match(r"--[a-z]", word)]
        options = [option.rstrip(".,;:)'’") for option in options]
        known_options = {*OPTIONS["run" if verb == "quantize" else verb], *OPTIONS[verb], "--help"}
        if ".py:" not in line:
            wrong += [(line, option) for option in options if option not in known_options]
    assert wrong == []
