"""``polylect confusion``: whether answers are in the language that was asked for."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from polylect.cli.fields import Switch
from polylect.cli.options import parse
from polylect.cli.results import command_call, file_in, finish

_WORDS = Path("language-confusion") / "words"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure language confusion by the rules of the Language Confusion Benchmark.

    Each ANSWERS is a folder that 'polylect generate' wrote (the prompts' category names their
    source) or a CSV file with completion, source and language, as the benchmark publishes them.
    Writes a score table per model, confusion.json and the page; polylect compare takes two tables.
    """

    answers: tyro.conf.Positional[
        Annotated[tuple[Path, ...], tyro.conf.arg(metavar="ANSWERS [ANSWERS ...]")]
    ]
    """Answers of one model each."""
    out: Path = Path("runs/confusion")
    """Folder for NAME.parquet, confusion.json and index.html."""
    identifier: tuple[str, ...] = ("benchmark", "polylect")
    """Who says which language a line is in: benchmark, polylect, lingua."""
    words: Path | None = None
    """English words, one a line. Default: language-confusion/words in POLYLECT_DATA; without it
    there are no word pass rates."""
    force: Switch = False
    """Replace what --out holds, once the new result is complete."""
    dry_run: Switch = False
    """Say what would be measured, and write nothing."""


def main(arguments: Sequence[str]) -> int:
    """Exit code of ``polylect confusion``."""
    options = parse(Options, arguments, "confusion")
    from polylect.base import InputError
    from polylect.engine import ANSWERS
    from polylect.evals import (
        find_identifier,
        measure_confusion,
        read_completions,
        read_english_words,
    )
    from polylect.report import confusion_summary, write_confusion
    from polylect.runs import Files, StepContext

    if not options.answers or not options.identifier:
        raise InputError("confusion: nothing to measure", "polylect confusion DIR_OR_CSV ...")
    identifiers = [find_identifier(one) for one in dict.fromkeys(options.identifier)]
    words = words_file(options.words)
    english = read_english_words(words) if words else frozenset()
    read = [read_completions(path) for path in options.answers]
    names = [own[0].model for own in read]
    twice = sorted({one for one in names if names.count(one) > 1})
    if twice:
        raise InputError(f"two of the files are of {twice[0]!r}", "name each model once")
    if options.dry_run:
        for path, own in zip(options.answers, read, strict=True):
            tags = " ".join(dict.fromkeys(one.language for one in own))
            sys.stdout.write(f"{path}: {len(own):,} answers of {own[0].model} in {tags}\n")
        sys.stdout.write(f"{len(english):,} English words\nwould write into {options.out}\n")
        return 0
    lines: list[str] = []

    def write(context: StepContext) -> None:
        measured = [measure_confusion(rows, identifiers, english, context.report) for rows in read]
        write_confusion(context.out, measured, [one.summary for one in identifiers])
        lines.append(confusion_summary(measured))

    inputs = {f"answers {name}": Files(file_in(path, ANSWERS))
              for name, path in zip(names, options.answers, strict=True)}  # fmt: skip
    if words:
        inputs["words"] = Files(words)
    call = command_call("confusion", 1, options, inputs, write, leave_out=["answers", "words"])
    finish(call, options.out, force=options.force)
    if not english:
        lines.append("no list of English words: no word pass rates (--words FILE)\n")
    sys.stdout.write("".join([*lines, f"{options.out / 'index.html'}\n"]))
    return 0


def words_file(given: Path | None) -> Path | None:
    """The list of English words: the given one, or that of the benchmark where it is at hand."""
    data = os.environ.get("POLYLECT_DATA")
    if given is None and data and (Path(data) / _WORDS).is_file():
        return Path(data) / _WORDS
    return given
