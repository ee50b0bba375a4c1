"""Encoders by name: the one place where the name of what sees a text is read.

``ngrams``, ``vectors:FILE``, ``hidden:CHECKPOINT``, ``sentence:FOLDER-or-PACKAGE`` or
``function:FILE.py:NAME``; settings stand behind ``#``, as in
``hidden:models/base#layer=6,dtype=bfloat16``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import numpy as np

from polylect.base import (
    ANY,
    Count,
    InputError,
    Ledger,
    check_known,
    check_settings,
    digest_of,
)
from polylect.engine.called_vectors import function_vectors, package_vectors
from polylect.engine.given_vectors import GivenVectors
from polylect.engine.hashed_ngrams import WIDTH, ngram_vectors
from polylect.engine.sentence_folder import SentenceLayout, find_folder, read_layout
from polylect.engine.static_vectors import StaticVectors

ENCODER_FORMS = (
    "ngrams, vectors:FILE, hidden:CHECKPOINT, sentence:FOLDER-or-PACKAGE or function:FILE.py:NAME"
)
_NGRAM_VERSION = 1


class _Vectors(Protocol):
    @property
    def digest(self) -> str: ...

    @property
    def content(self) -> str: ...

    def of(
        self, texts: Sequence[str], contexts: Sequence[str], languages: Sequence[str],
        ledger: Ledger, cache: Path | None,
    ) -> np.ndarray: ...  # fmt: skip


@dataclass(frozen=True)
class Encoder:
    """What makes vectors of texts.

    Attributes:
        name: as it is typed.
        reads_context: what stands before a text changes its vector.
        uses_torch: it computes with torch, in the threads that the caller sets.
    """

    name: str
    reads_context: bool
    uses_torch: bool
    _open: Callable[[], _Vectors]

    @cached_property
    def _vectors(self) -> _Vectors:
        return self._open()

    @property
    def digest(self) -> str:
        """Digest of all that decides a vector, but rounding; equal for a copy at another place.

        Of a file of vectors it is their width and the encoder's name in the file: other texts have
        another file.

        Raises:
            InputError: the encoder cannot be read.
        """
        return self._vectors.digest

    @property
    def content(self) -> str:
        """Digest of all that decides a vector, the numbers in a file of vectors included.

        Raises:
            InputError: the encoder cannot be read.
        """
        return self._vectors.content

    def vectors(
        self,
        texts: Sequence[str],
        contexts: Sequence[str],
        languages: Sequence[str],
        ledger: Ledger,
        cache: Path | None,
    ) -> np.ndarray:
        """Float32 [texts, width]; see ``embed``."""
        return self._vectors.of(texts, contexts, languages, ledger, cache)


def find_encoder(name: str, option: str = "--encoder") -> Encoder:
    """The encoder of a name; nothing large is read yet.

    Args:
        name: see the module.
        option: what errors call it.

    Raises:
        InputError: there is no such encoder, file, folder or setting.

    >>> find_encoder("ngrams#width=64").reads_context
    False
    """
    bare, mark, tail = name.partition("#")
    kind, _, place = bare.partition(":")
    check_known(kind, _KINDS, f"{option} {name}: no such encoder", "one of")
    settings, make = _KINDS[kind]
    if (kind == "ngrams") != (not place):
        raise InputError(f"{option} {name}: no such encoder", f"give {ENCODER_FORMS}")
    values = _values(f"{option} {name}", tail, settings, bool(mark))
    try:
        chosen = settings(**values)
    except InputError as error:
        message = error.message.removeprefix("--")
        raise InputError(f"{option} {name}: {message}", error.hint) from None
    return make(name, place, chosen)


def _values(where: str, tail: str, settings: type, is_marked: bool) -> dict[str, Any]:
    """The settings behind ``#``."""
    values: dict[str, Any] = {}
    known = list(settings.__dataclass_fields__)
    for part in tail.split(",") if is_marked else ():
        key, _, value = part.partition("=")
        problem = f"{where}: no setting {key!r}"
        check_known(key, known, problem, "known are" if known else "it has no settings")
        try:
            values[key] = int(value)
        except ValueError:
            values[key] = value
    return values


@dataclass(frozen=True, kw_only=True)
class _NoSettings:
    pass


@dataclass(frozen=True, kw_only=True)
class _NgramSettings:
    width: Count = WIDTH

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class _HiddenSettings:
    layer: Annotated[int, ANY] = -1
    max_tokens: Count | None = None
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class _SentenceSettings:
    max_tokens: Count | None = None
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class _Ngrams:
    width: int

    @property
    def digest(self) -> str:
        return digest_of({"ngrams": _NGRAM_VERSION, "width": self.width})

    @property
    def content(self) -> str:
        return self.digest

    def of(
        self, texts: Sequence[str], contexts: Sequence[str], languages: Sequence[str],
        ledger: Ledger, cache: Path | None,
    ) -> np.ndarray:  # fmt: skip
        return ngram_vectors(texts, self.width)


@dataclass(frozen=True)
class _Given:
    file: GivenVectors

    @property
    def digest(self) -> str:
        return self.file.digest

    @property
    def content(self) -> str:
        return self.file.content

    def of(
        self, texts: Sequence[str], contexts: Sequence[str], languages: Sequence[str],
        ledger: Ledger, cache: Path | None,
    ) -> np.ndarray:  # fmt: skip
        return self.file.of(texts, contexts)


def _ngrams(name: str, place: str, settings: _NgramSettings) -> Encoder:
    return Encoder(name, False, False, lambda: _Ngrams(settings.width))


def _given(name: str, place: str, settings: _NoSettings) -> Encoder:
    if not Path(place).is_file():
        raise InputError(f"{place}: no such file", "give vectors:FILE")
    return Encoder(name, True, False, lambda: _Given(GivenVectors(Path(place))))


def _hidden(name: str, place: str, settings: _HiddenSettings) -> Encoder:
    from polylect.checkpoints import Checkpoint

    Checkpoint.open(place)

    def load() -> _Vectors:
        from polylect.engine.text_vectors import BodyVectors

        return BodyVectors(
            Path(place), settings.layer, max_tokens=settings.max_tokens, dtype=settings.dtype
        )

    return Encoder(name, True, True, load)


def _sentence(name: str, place: str, settings: _SentenceSettings) -> Encoder:
    package = package_vectors(place)
    if package is not None:
        if settings != _SentenceSettings():
            raise InputError(f"--encoder {name}: {place} has no settings", f"sentence:{place}")
        return Encoder(name, False, False, lambda: package)
    layout = read_layout(find_folder(place))
    most = [x for x in (layout.max_tokens, settings.max_tokens) if x is not None]
    max_tokens = min(most, default=None)

    def load() -> _Vectors:
        return _sentence_vectors(layout, max_tokens, settings)

    return Encoder(name, False, not layout.is_static, load)


def _sentence_vectors(
    layout: SentenceLayout, max_tokens: int | None, settings: _SentenceSettings
) -> _Vectors:
    if layout.is_static:
        return StaticVectors(
            layout.body, layout.drops_unknown, layout.normalizes, max_tokens, layout.languages
        )
    from polylect.engine.text_vectors import BodyVectors

    return BodyVectors(
        layout.body, -1, layout.pooling, False, layout.dense, layout.normalizes, max_tokens,
        layout.is_lower, layout.prompt, settings.dtype, layout.languages,
    )  # fmt: skip


def _function(name: str, place: str, settings: _NoSettings) -> Encoder:
    vectors = function_vectors(place)
    return Encoder(name, False, False, lambda: vectors)


_KINDS: dict[str, tuple[type, Callable[..., Encoder]]] = {
    "ngrams": (_NgramSettings, _ngrams),
    "vectors": (_NoSettings, _given),
    "hidden": (_HiddenSettings, _hidden),
    "sentence": (_SentenceSettings, _sentence),
    "function": (_NoSettings, _function),
}
