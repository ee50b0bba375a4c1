"""A fitted model in a folder: arrays as safetensors, the rest as JSON; nothing is unpickled."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from polylect._version import __version__
from polylect.base import (
    InputError,
    atomic_file,
    decode,
    digest_file,
    plain,
    read_json,
    write_json,
)
from polylect.people.methods.model import VectorModel
from polylect.people.registry import find_method

ARRAYS, RECORD = "model.safetensors", "people.json"
_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What a model was learned from.

    Attributes:
        data: digest of the crowd that it was fitted to (``Crowd.digest``); empty if not known.
        encoder: name of what saw the texts; empty if not known.
        encoder_digest: of its content and settings (``Encoder.digest``); empty if not known.
        seed: of the fit.
        parent: digest of the model that a user was added to or deleted from; empty for a fit.
        added: digest of the pairs of the user who was added; empty where nobody was.
    """

    data: str = ""
    encoder: str = ""
    encoder_digest: str = ""
    seed: int = 0
    parent: str = ""
    added: str = ""


@dataclass(frozen=True, kw_only=True)
class _Record:
    format: int
    method: str
    users: tuple[str, ...]
    arrays: str
    origin: Origin
    polylect: str
    settings: dict[str, Any] = field(default_factory=dict)


def save_model(model: VectorModel, folder: Path, origin: Origin | None = None) -> None:
    """Write a model into a folder: ``model.safetensors`` and ``people.json``.

    Equal models and origins give equal bytes. The JSON names the method with all its settings, the
    users, the digest of the arrays, the origin and the version of polylect. It holds the users'
    names; the arrays of some methods hold the vectors of their pairs.

    Args:
        model: as it was fitted, or adapted.
        folder: made if it does not exist; a model in it is replaced.
        origin: what it was learned from.

    Raises:
        StorageError: the folder cannot be written.
    """
    from safetensors.numpy import save_file

    arrays = {name: np.ascontiguousarray(array) for name, array in model.arrays().items()}
    record = folder / RECORD
    record.unlink(missing_ok=True)
    with atomic_file(folder / ARRAYS) as temporary:
        save_file(arrays, temporary)
    content = _Record(
        format=_FORMAT, method=model.method.name, users=model.users,
        arrays=digest_file(folder / ARRAYS), origin=origin or Origin(), polylect=__version__,
        settings=plain(model.method),
    )  # fmt: skip
    write_json(record, content)


def load_model(folder: Path) -> VectorModel:
    """The model that ``save_model`` wrote.

    Raises:
        InputError: no model there, or one that was changed or is of a later format.
    """
    from safetensors.numpy import load_file

    record = _read(folder)
    path = folder / ARRAYS
    if not path.is_file() or digest_file(path) != record.arrays:
        raise InputError(f"{path}: missing, or not as it was saved", "fit the model again")
    settings = {k: math.inf if v == "inf" else v for k, v in record.settings.items()}
    method = find_method(record.method, **settings)
    return method.load(record.users, load_file(path))


def read_origin(folder: Path) -> Origin:
    """What a saved model was learned from.

    Raises:
        InputError: no model there.
    """
    return _read(folder).origin


def _read(folder: Path) -> _Record:
    path = folder / RECORD
    if not path.is_file():
        raise InputError(f"{folder}: there is no fitted model", "give a folder from people fit")
    data = read_json(path)
    if isinstance(data, dict) and isinstance(data.get("format"), int) and data["format"] > _FORMAT:
        raise InputError(f"{path}: format {data['format']}", "update polylect")
    return decode(_Record, data, str(path))
