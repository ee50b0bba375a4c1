"""``domains.json``: where the encoder of a mixture's domains lay when it was made.

It is carried into what is trained or quantized from the mixture, so that the next expert's domain
is embedded by the same encoder without naming it again. Content never depends on it.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from polylect.base import InputError, decode, read_json, write_json

PLACE = "domains.json"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where an encoder lies.

    Attributes:
        encoder: its name with the folder or file as it is seen from the mixture's folder.
        digest: of all that decides its vectors.
    """

    encoder: str
    digest: str


def write_place(folder: Path, encoder: str, digest: str, final: Path) -> None:
    """Write ``domains.json``; paths are relative to where the mixture will lie.

    Raises:
        StorageError: the folder cannot be written.
    """
    kind, path, tail = split_encoder(encoder)
    if path and os.path.exists(path):
        path = os.path.relpath(os.path.realpath(path), os.path.realpath(final))
    name = (f"{kind}:{path}" if path else kind) + tail
    write_json(folder / PLACE, Place(encoder=name, digest=digest))


def read_place(folder: Path) -> Place | None:
    """What ``domains.json`` says, its path resolved; None without the file.

    Raises:
        InputError: it is broken.
    """
    path = folder / PLACE
    if not path.is_file():
        return None
    data = read_json(path)
    if not isinstance(data, dict):
        raise InputError(f"{path}: not an object", "remove it")
    place = decode(Place, data, str(path))
    kind, where, tail = split_encoder(place.encoder)
    near = os.path.normpath(folder.resolve() / where) if where else ""
    if near and os.path.exists(near):
        place = Place(encoder=f"{kind}:{near}{tail}", digest=place.digest)
    return place


def split_encoder(encoder: str) -> tuple[str, str, str]:
    """Kind, place and settings of an encoder's name.

    >>> split_encoder("hidden:models/base#layer=6")
    ('hidden', 'models/base', '#layer=6')
    """
    bare, mark, tail = encoder.partition("#")
    kind, _, place = bare.partition(":")
    return kind, place, mark + tail


def portable_name(encoder: str) -> str:
    """An encoder's name without the folders above what it names: what config.json may hold.

    >>> portable_name("hidden:../models/base#layer=6"), portable_name("ngrams")
    ('hidden:base#layer=6', 'ngrams')
    """
    kind, place, tail = split_encoder(encoder)
    if not place:
        return encoder
    last = os.path.basename(os.path.normpath(os.path.realpath(place) if _is_dots(place) else place))
    return f"{kind}:{last}{tail}"


def _is_dots(place: str) -> bool:
    return os.path.basename(os.path.normpath(place)) in {".", ".."}
