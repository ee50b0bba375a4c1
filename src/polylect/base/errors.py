"""Errors shown to the user: what went wrong, where, which value, and the next thing to type.

    PolylectError            exit 1: the work failed
    ├── InputError           exit 2: the input is wrong (a ValueError)
    ├── UndecidableError     exit 3: the data do not answer the question
    └── StorageError         exit 1: the disk or a folder refused (an OSError)

A programmer's mistake is an assertion and keeps its traceback; these print as one line.
"""

import errno
from pathlib import Path


class PolylectError(Exception):
    """An error that is shown as one line: the message, then what to type next.

    Attributes:
        message: what is wrong, where, and the offending value.
        hint: the next thing to type or to change; may be empty.
        exit_code: what the command line returns for it.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} — {self.hint}" if self.hint else self.message


class InputError(PolylectError, ValueError):
    """The user's input is wrong: a file, a key, a value, an option."""

    exit_code = 2


class UndecidableError(PolylectError):
    """The input is valid, but the data cannot answer the question."""

    exit_code = 3


class StorageError(PolylectError, OSError):
    """The disk is full, a folder is not writable, a device failed."""

    exit_code = 1


_WRITABLE = "choose a folder that you may write, e.g. --out DIR"
_ADVICE = {
    errno.ENOSPC: ("the disk is full", "free some space and run the same command again"),
    errno.EDQUOT: ("the disk quota is used up", "free some space and run the same command again"),
    errno.EFBIG: ("the file would exceed the allowed size", "raise the limit (ulimit -f)"),
    errno.EACCES: ("permission denied", _WRITABLE),
    errno.EPERM: ("not permitted", _WRITABLE),
    errno.EROFS: ("the file system is read-only", _WRITABLE),
    errno.ENOENT: ("no such file or folder", "check the path"),
    errno.ENOTDIR: ("a part of the path is a file, not a folder", "choose another path"),
    errno.EEXIST: ("there is a file where a folder is needed", "choose another path"),
    errno.EISDIR: ("this is a folder, a file is needed", "name a file inside it"),
}


def storage_error(error: OSError, path: Path | str | None = None) -> StorageError:
    """The ``StorageError`` that says in words what an ``OSError`` means.

    Args:
        error: raised by the operating system.
        path: named in the message; default: the error's own file name.
    """
    if isinstance(error, StorageError):
        return error
    path = path if path is not None else error.filename
    what, hint = _ADVICE.get(error.errno or 0, (error.strerror or type(error).__name__, ""))
    if hint == _WRITABLE and path is not None and Path(path).exists():
        hint = f"you have no right to it: ls -ld {path}, or choose another path"
    return StorageError(f"{path}: {what}" if path is not None else what, hint)
