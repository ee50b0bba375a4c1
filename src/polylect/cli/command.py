"""Running one verb from words: parse, do it, print what it gave."""

import json
import logging
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from inspect import cleandoc
from typing import Any

from polylect.api.notices import quiet
from polylect.api.option_fields import option_fields
from polylect.api.results import Result
from polylect.api.verbs import Verb
from polylect.base import InputError, UndecidableError, json_value
from polylect.cli.arguments import parse
from polylect.cli.help_page import help_page
from polylect.cli.renamed import RENAMED

_COLORS = {"paid": "31", "gained": "32"}
_VERBOSITY = {"--json": "json", "--quiet": "quiet", "-q": "quiet", "--verbose": "verbose",
              "-v": "verbose"}  # fmt: skip


def run_verb(job: Verb[Any], arguments: Sequence[str]) -> int:
    """Exit code of a verb with these words behind its name."""
    if {"-h", "--help"} & set(arguments):
        text = cleandoc(job.options.__doc__ or "")
        sys.stdout.write(help_page(option_fields(job.options), job.command, text))
        return 0
    modes = {_VERBOSITY[word] for word in arguments if word in _VERBOSITY}
    if {"quiet", "verbose"} <= modes:
        raise InputError(f"{job.command}: --quiet beside --verbose", "give one of them")
    words = [word for word in arguments if word not in _VERBOSITY]
    options = parse(job.options, words, job.command, RENAMED.get(job.command, {}))
    with quiet() if "quiet" in modes else nullcontext(), _log("verbose" in modes):
        result = job.run(options)
        print_result(result, modes)
    if result.refusal:
        sys.stderr.write(f"polylect: {result.refusal}\n")
        return UndecidableError.exit_code
    return 0


def print_result(result: Result, modes: set[str]) -> None:
    """Print a result: its lines, its rows as JSON, or nothing."""
    if result.is_silent:
        return
    if "json" in modes:
        rows = json_value(result.rows())
        sys.stdout.write(json.dumps(rows, ensure_ascii=False, indent=1) + "\n")
    elif "quiet" not in modes:
        # Paths are easier to read, and to type, from the folder that one is in.
        lines = [line.replace(f"{os.getcwd()}/", "") for line in result.lines()]
        if sys.stdout.isatty():
            lines = [_colored(line) for line in lines]
        sys.stdout.write("".join(f"{line}\n" for line in lines))


def _colored(line: str) -> str:
    """A line whose last words are a verdict, in its color."""
    return re.sub(r"(?<=  )(paid|gained)(?=( \(.*\))?$)",
                  lambda match: f"\x1b[{_COLORS[match[0]]}m{match[0]}\x1b[0m", line)  # fmt: skip


@contextmanager
def _log(verbose: bool) -> Iterator[None]:
    """Print the log of polylect on standard error."""
    if not verbose:
        yield
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("polylect")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
