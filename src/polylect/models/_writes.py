"""Failed writes of tensors, in words."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from polylect.base import storage_error


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Turn what the system or safetensors raises while writing into a ``StorageError``.

    Args:
        place: what is written, for the message.
    """
    try:
        yield
    except OSError as error:
        raise storage_error(error, place) from error
    except SafetensorError as error:
        # Its own error, with the system's number inside the text: "… (os error 28)".
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise storage_error(OSError(int(number[1]), str(error)), place) from error
