"""Vectors of texts that a user has computed elsewhere, from a file.

A Parquet or JSON lines file has a row per text: ``text``, ``prompt`` or none, and ``vector``, a
list of numbers. A table of numbers, ``.npy`` or ``.safetensors`` with one tensor [texts, width],
has its texts beside it, in a file of the same name that ends in ``.jsonl`` or ``.parquet``: row i
of the table belongs to row i of that file. So no vector is taken for another text's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from polylect.base import InputError, digest_file, digest_of, refuse_pointer
from polylect.rows import columns_of, read_dicts, text_cell

_TABLES = (".npy", ".safetensors")
_TEXTS = (".jsonl", ".parquet")

_Rows = dict[tuple[str, str | None], int]


@dataclass(frozen=True)
class GivenVectors:
    """A file of vectors.

    Attributes:
        file: see the module.
    """

    file: Path

    @property
    def digest(self) -> str:
        """Digest of what is known of the encoder: the width and the name that the file gives it.

        The texts are not part of it: other texts have another file. The name is the column
        ``encoder`` of the first row, if there is one.

        Raises:
            InputError: as ``of``.
        """
        _, vectors, encoder = self._content
        return digest_of({"vectors": vectors.shape[1], "encoder": encoder})

    @property
    def content(self) -> str:
        """Digest of the file, and of the texts beside it.

        Raises:
            InputError: as ``of``.
        """
        files = [self.file, self._texts] if self._is_table else [self.file]
        return digest_of([digest_file(file) for file in files])

    @property
    def _is_table(self) -> bool:
        return self.file.suffix in _TABLES

    def of(self, texts: Sequence[str], contexts: Sequence[str]) -> np.ndarray:
        """The vectors of texts, float32 [texts, width].

        Args:
            texts: each is looked up with its context, then alone.
            contexts: what stands before each text, in the file's column ``prompt``.

        Raises:
            InputError: a text is missing; or the file cannot be read, has vectors of different
                widths or a number that is not finite.
        """
        rows, vectors, _ = self._content
        places = [rows.get((text, context), rows.get((text, None)))
                  for text, context in zip(texts, contexts, strict=True)]  # fmt: skip
        missing = [i for i, place in enumerate(places) if place is None]
        if missing:
            text = texts[missing[0]]
            raise InputError(
                f"{self.file}: no vector for {len(missing):,} of {len(texts):,} texts, the first:"
                f" {text[:60]!r}",
                "add them, or give another encoder",
            )
        return vectors[np.array(places, np.int64)]

    @cached_property
    def _content(self) -> tuple[_Rows, np.ndarray, str]:
        """Row of every (text, prompt), vectors float32 [rows, width], and the encoder's name."""
        file = self.file
        if not file.is_file():
            raise InputError(f"{file}: no such file", "give a file of vectors")
        if not self._is_table and not file.name.endswith((*_TEXTS, ".ndjson", ".jsonl.gz")):
            raise InputError(
                f"{file}: not a file of vectors", "give .npy, .safetensors, .parquet or .jsonl"
            )
        listed = list(read_dicts(self._texts if self._is_table else file))
        if not listed:
            raise InputError(f"{file}: no row in it", "a row has text and vector")
        rows: _Rows = {}
        again: list[tuple[int, int]] = []
        for number, (place, row) in enumerate(listed):
            if "text" not in row:
                raise InputError(f"{place}: 'text' is missing", columns_of(row))
            prompt = text_cell(row, "prompt", place) if row.get("prompt") else None
            key = text_cell(row, "text", place), prompt
            again.append((rows.setdefault(key, number), number))
        places = [place for place, _ in listed]
        vectors = self._table(places) if self._is_table else _stacked(listed)
        bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(bad):
            raise InputError(
                f"{places[bad[0]]}: a number of the vector is not finite in float32"
                + (f" (and {len(bad) - 1:,} more rows)" if len(bad) > 1 else ""),
                "compute the vector again",
            )
        for first, second in again:
            if not np.array_equal(vectors[first], vectors[second]):
                raise InputError(
                    f"{places[second]}: another vector than {places[first]} for the same text",
                    "give each text one vector, or a column prompt that tells them apart",
                )
        return rows, vectors, str(listed[0][1].get("encoder") or "")

    @property
    def _texts(self) -> Path:
        for ending in _TEXTS:
            if (texts := self.file.with_suffix(ending)).is_file():
                return texts
        texts = self.file.with_suffix(_TEXTS[0])
        raise InputError(
            f"{self.file}: which texts are they of? There is no {texts.name} beside it",
            f"write {texts}, a row with text for each vector",
        )

    def _table(self, places: Sequence[str]) -> np.ndarray:
        refuse_pointer(self.file)
        tables = list(_tables(self.file))
        if len(tables) != 1 or tables[0].ndim != 2 or tables[0].dtype.kind not in "fiu":
            shapes = ", ".join(f"{table.dtype} {list(table.shape)}" for table in tables)
            raise InputError(
                f"{self.file}: not one table of numbers [texts, width], but {shapes or 'nothing'}",
                "save a float array with two axes",
            )
        if len(tables[0]) != len(places):
            raise InputError(
                f"{self.file}: {len(tables[0]):,} vectors, but {len(places):,} texts in"
                f" {self._texts.name}",
                "write a row for each vector, in the same order",
            )
        return _float32(tables[0])


def _tables(file: Path) -> Iterator[np.ndarray]:
    try:
        if file.suffix == ".npy":
            yield np.load(file, allow_pickle=False)
            return
        from safetensors.numpy import load_file

        yield from load_file(file).values()
    except (ValueError, OSError, EOFError, TypeError, KeyError) as error:
        reason = (str(error).splitlines() or [""])[0][:100]
        raise InputError(f"{file}: cannot be read ({reason})", "save it again") from None
    except Exception as error:  # safetensors' own
        raise InputError(f"{file}: cannot be read ({str(error)[:100]})", "save it again") from None


def _stacked(listed: Sequence[tuple[str, dict[str, Any]]]) -> np.ndarray:
    """The column ``vector``."""
    width = 0
    for place, row in listed:
        vector = row.get("vector")
        if not isinstance(vector, list) or not vector:
            raise InputError(f"{place}: 'vector' is missing or empty", columns_of(row))
        wrong = next((x for x in vector if isinstance(x, bool) or not isinstance(x, int | float)),
                     None)  # fmt: skip
        if wrong is not None or None in vector:
            raise InputError(f"{place}: {wrong!r} in 'vector' is no number", "give numbers")
        width = width or len(vector)
        if len(vector) != width:
            raise InputError(
                f"{place}: a vector of width {len(vector)}, the first has {width}",
                "give vectors of one encoder",
            )
    return _float32(np.array([row["vector"] for _, row in listed], np.float64))


def _float32(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return values.astype(np.float32)
