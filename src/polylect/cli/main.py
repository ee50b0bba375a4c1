"""The entry point: finds the command, runs it, and turns errors into one line and an exit code."""

import importlib
import os
import sys
from collections.abc import Sequence

from polylect import __version__
from polylect.cli.table import COMMANDS

_CANCELED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code of a command line: 0 done, 1 failed, 2 wrong input, 3 undecidable, 130 Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _dispatch(given)
    except KeyboardInterrupt:
        _complain("stopped by Ctrl-C", "run the same command again: finished steps are kept")
        return _CANCELED
    except BrokenPipeError:
        # The reader (head, less) closed the pipe.
        _let_go_of_output()
        return 0


def _dispatch(given: Sequence[str]) -> int:
    from polylect.base import PolylectError, storage_error

    try:
        code = _answer(given)
        sys.stdout.flush()  # here, where a full disk or a closed pipe is still answered in words
        return code
    except PolylectError as error:
        _complain(error.message, error.hint)
        return error.exit_code
    except MemoryError:
        _complain("out of memory", "use --workers 1, or fewer parameters")
        return 1
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").split(".")[0])
        if extra is None:
            raise
        _complain(
            f"the package {error.name!r} is not installed",
            f"pip install -c constraints.txt '.[{extra}]'",
        )
        return 2
    except BrokenPipeError:
        raise
    except OSError as error:
        known = storage_error(error)
        _complain(known.message, known.hint)
        _let_go_of_output()
        return known.exit_code


def _answer(given: Sequence[str]) -> int:
    """Exit code of what was asked for."""
    if not given or given[0] in {"-h", "--help", "help"}:
        sys.stdout.write(usage() + "\n")
        return 0 if given else 2
    name, rest = given[0], given[1:]
    if name in {"-V", "--version"}:
        sys.stdout.write(f"polylect {__version__}\n")
        return 0
    if name not in COMMANDS:
        from polylect.base import InputError, did_you_mean

        hint = did_you_mean(name, COMMANDS) or f"known are {', '.join(COMMANDS)}"
        raise InputError(f"no command {name!r}", hint)
    # Idle threads that spin slow the other process down when several train side by side.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    return importlib.import_module(COMMANDS[name][0]).main(rest)


def _let_go_of_output() -> None:
    """Leave nothing for the interpreter to flush into an output that failed."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


_EXTRAS = {"torch": "models", "transformers": "models"}


def usage() -> str:
    """The text of ``polylect --help``."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {summary}" for name, (_, summary) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: polylect COMMAND [options]",
            "",
            "One language model for many - and at every step, who pays for it.",
            "",
            *lines,
            "",
            "polylect COMMAND --help says more. polylect --version prints the version.",
        ]
    )


def _complain(message: str, hint: str) -> None:
    sys.stderr.write(f"polylect: {message}" + (f" — {hint}" if hint else "") + "\n")
