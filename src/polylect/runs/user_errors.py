"""Errors of a user's own Python file, as one line."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from polylect.base import InputError, PolylectError, as_key

_LONGEST = 300


@contextmanager
def users_code(path: Path, function: str = "") -> Iterator[None]:
    """Whatever a user's function raises becomes one line: file, line, function, kind and words.

    The error itself stays its cause. Ctrl-C and exits pass.

    Args:
        path: the user's file.
        function: that is called in it; empty while the file itself is read.

    Raises:
        InputError: the function raised.
    """
    try:
        yield
    except SyntaxError as error:
        place = error.filename or path
        words = f"{place}:{error.lineno}: not valid Python ({error.msg})"
        raise InputError(words, "mend the file") from None
    except Exception as error:
        line = _line(error, path)
        where = f"{path}:{line}" if line else str(path)
        where += f": {function}()" if function else ""
        if isinstance(error, PolylectError):
            known = as_key(error) if isinstance(error, InputError) else error
            if known.message.startswith(str(path)):
                raise
            raise InputError(f"{where}: {known.message}", known.hint) from error
        words = " ".join(str(error).split())[:_LONGEST]
        kind = type(error).__name__
        raise InputError(
            f"{where} raised {kind}" + (f": {words}" if words else ""), "mend the file"
        ) from error


def _line(error: BaseException, path: Path) -> int | None:
    """The last line of the file that was being run; None where none was."""
    names = {str(path), str(path.resolve())}
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__)
             if frame.filename in names]  # fmt: skip
    return lines[-1] if lines else None
