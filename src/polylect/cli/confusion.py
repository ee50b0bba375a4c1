"""``polylect confusion``: measure whether answers are in the requested language."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from polylect.cli.fields import Switch
from polylect.cli.options import parse
from polylect.cli.results import file_in, finish, is_already_there, result_call

_WORDS = Path("language-confusion") / "words"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure language confusion by the rules of the Language Confusion Benchmark.

    Each ANSWERS is a folder of 'polylect generate' (the prompts' category names their
    source) or a CSV file with completion, source and language, as the benchmark publishes them.
    Writes a score table per model, which 'polylect compare' reads, confusion.json and index.html.
    """

    answers: tyro.conf.Positional[
        Annotated[tuple[Path, ...], tyro.conf.arg(metavar="ANSWERS [ANSWERS ...]")]
    ]
    """Answers of one model each."""
    out: Path = Path("runs/confusion")
    """Folder for NAME.parquet, confusion.json and index.html."""
    identifier: tuple[str, ...] = ("benchmark", "polylect")
    """Language identifiers to use: benchmark, polylect, lingua, FILE.py:function, or a command
    (docs/guides/identification.md)."""
    words: Path | None = None
    """English words, one per line. Default: language-confusion/words in POLYLECT_DATA; without it,
    no word pass rates."""
    force: Switch = False
    """Replace what --out holds, once the new result is complete."""
    dry_run: Switch = False
    """Print what would be measured; write nothing."""


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
    identifiers = [find_identifier(name) for name in dict.fromkeys(options.identifier)]
    words = words_file(options.words)
    english = read_english_words(words) if words else frozenset()
    completions = [read_completions(path) for path in options.answers]
    names = [rows[0].model for rows in completions]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(f"two of the files are of {repeated[0]!r}", "give each model once")
    lines: list[str] = []

    def write(context: StepContext) -> None:
        measured = [
            measure_confusion(rows, identifiers, english, context.report) for rows in completions
        ]
        write_confusion(context.out, measured, [identifier.summary for identifier in identifiers])
        lines.append(confusion_summary(measured))

    inputs = {f"answers {name}": Files(file_in(path, ANSWERS))
              for name, path in zip(names, options.answers, strict=True)}  # fmt: skip
    if words:
        inputs["words"] = Files(words)
    call = result_call("confusion", 3, options, inputs, write, leave_out=["answers", "words"])
    if options.dry_run:
        if is_already_there(call, options.out, force=options.force):
            return 0
        for path, rows in zip(options.answers, completions, strict=True):
            tags = " ".join(dict.fromkeys(row.language for row in rows))
            sys.stdout.write(f"{path}: {len(rows):,} answers of {rows[0].model} in {tags}\n")
        sys.stdout.write(f"{len(english):,} English words\nwould write into {options.out}\n")
        return 0
    finish(call, options.out, force=options.force)
    if not english:
        lines.append("no list of English words: no word pass rates (--words FILE)\n")
    sys.stdout.write("".join([*lines, f"{options.out / 'index.html'}\n"]))
    return 0


def words_file(option: Path | None) -> Path | None:
    """The list of English words: that of ``--words``, or the benchmark's in POLYLECT_DATA."""
    data = os.environ.get("POLYLECT_DATA")
    if option is None and data and (Path(data) / _WORDS).is_file():
        return Path(data) / _WORDS
    return option
