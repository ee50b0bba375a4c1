import errno
import pickle

import pytest

from polylect.base import InputError, PolylectError, StorageError, UndecidableError, storage_error

ALL = (PolylectError, InputError, UndecidableError, StorageError)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("hint", ["", "type this"])
def test_survives_a_process_border(kind, hint):
    error = pickle.loads(pickle.dumps(kind("what failed", hint)))
    assert type(error) is kind
    assert (error.message, error.hint) == ("what failed", hint)
    assert str(error) == ("what failed — type this" if hint else "what failed")


@pytest.mark.parametrize(("kind", "code"), [*zip(ALL, (1, 2, 3, 1), strict=True)])
def test_exit_codes(kind, code):
    assert kind("x").exit_code == code


def test_kinds_are_what_python_code_would_catch():
    assert issubclass(InputError, ValueError)
    assert issubclass(StorageError, OSError)
    assert not issubclass(UndecidableError, (ValueError, OSError))


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EFBIG, "ulimit -f"),
        (errno.EACCES, "permission denied"),
        (errno.EROFS, "read-only"),
        (errno.ENOENT, "no such file or folder"),
        (errno.ENOTDIR, "is a file, not a folder"),
        (errno.EISDIR, "name a file inside it"),
    ],
)
def test_storage_error_says_in_words_what_the_system_means(number, words):
    error = storage_error(OSError(number, "system words", "/some/place"))
    assert words in str(error)
    assert str(error).startswith("/some/place: ")
    assert "Errno" not in str(error)
    assert "\n" not in str(error)


def test_storage_error_places():
    assert str(storage_error(OSError(errno.ENOSPC, "x"), "/given")).startswith("/given: ")
    assert str(storage_error(OSError(errno.ENOSPC, "x", "/own"), "/given")).startswith("/given: ")
    assert storage_error(OSError(errno.ENOSPC, "x")).message == "the disk is full"
    assert storage_error(OSError(errno.EIO, "device broke", "/d")).message == "/d: device broke"
    assert "TimeoutError" in storage_error(TimeoutError()).message


def test_storage_error_keeps_one_that_is_already_in_words():
    first = storage_error(OSError(errno.ENOSPC, "x", "/a"))
    assert storage_error(first, "/b") is first
