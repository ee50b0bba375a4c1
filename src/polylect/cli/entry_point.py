"""The entry point: runs a command, and turns errors into one line and an exit code."""

import os
import sys
from collections.abc import Sequence

from polylect._version import __version__
from polylect.cli.interrupts import CANCELED, say_interrupted, watch
from polylect.cli.table import COMMANDS


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code of a command line: 0 done, 1 failed, 2 wrong input, 3 undecidable, 130 Ctrl-C."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    # Its advice on kernels and settings is not ours: what happens is counted and said by polylect.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    try:
        if arguments is None:
            watch()
        return _dispatch(words)
    except KeyboardInterrupt:
        say_interrupted()
        return CANCELED
    except BrokenPipeError:
        # The reader (head, less) closed the pipe.
        _discard_output()
        return 0


def _dispatch(words: Sequence[str]) -> int:
    from polylect.base import PolylectError, storage_error

    try:
        code = _run(_without_languages_file(words), words)
        sys.stdout.flush()  # here, where a full disk or a closed pipe still gets a message
        return code
    except PolylectError as error:
        if _names_missing(error.__cause__):  # by a user's own file
            return 2
        _print_error(error.message, error.hint)
        return error.exit_code
    except MemoryError:
        hint = _LESS_MEMORY.get(words[0])
        _print_error("out of memory", f"try {hint}" if hint else "give it less data")
        return 1
    except ModuleNotFoundError as error:
        if not _names_missing(error):
            raise
        return 2
    except BrokenPipeError:
        raise
    except OSError as error:
        failure = storage_error(error)
        _print_error(failure.message, failure.hint)
        _discard_output()
        return failure.exit_code


def _names_missing(error: BaseException | None) -> bool:
    """Whether a package of an extra is missing; then the message says which brings it."""
    name = error.name or "" if isinstance(error, ModuleNotFoundError) else ""
    extra = _EXTRAS.get(name.split(".")[0])
    if extra is None:
        return False
    _print_error(
        f"the package {name!r} is not installed", f"pip install -c constraints.txt '.[{extra}]'"
    )
    return True


def _run(words: Sequence[str], typed: Sequence[str]) -> int:
    """Exit code of a command, of ``--help`` or of ``--version``.

    Args:
        words: the command and its options.
        typed: all words, which the results of the command keep.
    """
    if not words or words[0] in {"-h", "--help", "help"}:
        sys.stdout.write(usage() + "\n")
        return 0 if words else 2
    name, rest = words[0], words[1:]
    if name in {"-V", "--version"}:
        sys.stdout.write(f"polylect {__version__}\n")
        return 0
    if name not in COMMANDS:
        from polylect.base import InputError, did_you_mean

        hint = did_you_mean(name, COMMANDS) or f"known are {', '.join(COMMANDS)}"
        if name.startswith("-"):
            hint = "options stand behind the command: polylect COMMAND … --quiet"
        raise InputError(f"no command {name!r}", hint)
    # Spinning idle threads slow down other processes that train at the same time.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if name == "completion":
        from polylect.cli.completion import main as complete

        return complete(rest)
    from polylect.api.catalog import COMMANDS as VERBS
    from polylect.cli.command import run_verb
    from polylect.cli.lookup import find_verb
    from polylect.runs import invocation

    match = find_verb(words)
    if match is None:
        return 0
    named = " ".join(words[:2])
    with invocation(typed, named if named in VERBS else name):
        code = run_verb(match[0], words[match[1] :])
    if name == "train" and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        # Everything is written. Taking the communication library down with the interpreter can
        # abort a process that is done, and torchrun would kill the one that still writes.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _without_languages_file(words: Sequence[str]) -> list[str]:
    """The words without ``--languages-file FILE``, which any command takes; the file is read."""
    rest: list[str] = []
    paths: list[str] = []
    remaining = iter(words)
    for word in remaining:
        option, equals, value = word.partition("=")
        if option == "--languages-file":
            paths.append(value if equals else next(remaining, ""))
        else:
            rest.append(word)
    if paths:
        from pathlib import Path

        from polylect.base import InputError, use_languages_file

        if len(paths) > 1 or not paths[0]:
            problem = "given twice" if len(paths) > 1 else "the file is missing"
            raise InputError(f"--languages-file: {problem}", "--languages-file FILE.json")
        use_languages_file(Path(paths[0]))
    return rest


def _discard_output() -> None:
    """Leave nothing for the interpreter to flush into a broken output at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


_LESS_MEMORY = {
    "run": "--workers 1",
    "train": "--micro-batch-tokens 1024",
    "merge": "--threads 1",
    "quantize": "--samples 16",
    "eval": "--memory-mib 64",
    "generate": "--memory-mib 64",
    "judge": "--memory-mib 64",
    "grade": "--memory-mib 64",
    "compare": "--resamples 200",
    "rank": "--bootstrap 0",
}
"""Options with which a command needs less memory, where it has one."""


_EXTRAS = {"torch": "models", "transformers": "models"}


def usage() -> str:
    """The text of ``polylect --help``."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(
        [
            "usage: polylect COMMAND [options]",
            "",
            "One language model for many - and at every step, who pays for it.",
            "",
            *lines,
            "",
            "polylect COMMAND --help lists its options. polylect --version prints the version.",
            "Every command takes --languages-file FILE.json (docs/concepts/languages.md).",
        ]
    )


def _print_error(message: str, hint: str) -> None:
    sys.stderr.write(f"polylect: {message}" + (f" — {hint}" if hint else "") + "\n")
