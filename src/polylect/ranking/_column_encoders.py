"""Encoding of text columns as integer codes, batch by batch, with up to millions of values."""

from typing import cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_MERGE_CHUNKS = 8


def used_values(column: pa.DictionaryArray) -> tuple[npt.NDArray[np.int32], pa.Array]:
    """Codes of the rows, −1 for a missing value; and the values that occur in them.

    A file's dictionary may be far longer than a batch of its rows.
    """
    rows = column.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    used, place = np.unique(rows, return_inverse=True)
    missing = int(len(used) > 0 and used[0] < 0)
    values = column.dictionary.take(pa.array(used[missing:])).cast(pa.string())
    return (place - missing).astype(np.int32), values


class DictionaryEncoder:
    """Codes of a text column that keeps each value once."""

    def __init__(self) -> None:
        self._chunks: list[pa.Array] = []

    def add(self, column: pa.DictionaryArray) -> None:
        """Add the rows of a batch."""
        rows, values = used_values(column)
        indices = pa.array(rows, mask=rows < 0)
        self._chunks.append(pa.DictionaryArray.from_arrays(indices, values))
        if len(self._chunks) > _MERGE_CHUNKS:
            self._merge()

    def finish(self) -> tuple[npt.NDArray[np.int32], tuple[str, ...]]:
        """(N,) codes, −1 for an empty or missing value, and the sorted values."""
        self._merge()
        whole = cast(pa.DictionaryArray, self._chunks.pop())
        order = pc.call_function("sort_indices", [whole.dictionary]).to_numpy()
        labels = whole.dictionary.take(pa.array(order)).to_pylist()
        code = np.empty(len(labels) + 1, np.int32)
        code[order] = np.arange(len(labels), dtype=np.int32)
        code[-1] = -1
        if labels and labels[0] == "":
            code -= code >= 0
            labels = labels[1:]
            code[order[0]] = -1
        return code[whole.indices.fill_null(-1).to_numpy(zero_copy_only=False)], tuple(labels)

    def _merge(self) -> None:
        kind = pa.dictionary(pa.int32(), pa.string())
        merged = pa.chunked_array(self._chunks, kind).unify_dictionaries().combine_chunks()
        self._chunks = [merged]


class HashEncoder:
    """Codes of a text column by 64-bit hash; the values, e.g. prompts, are not kept."""

    def __init__(self) -> None:
        self._chunks: list[npt.NDArray[np.uint64]] = []

    def add(self, column: pa.DictionaryArray) -> None:
        """Add the rows of a batch."""
        import polars as pl

        rows, values = used_values(column)
        series = pl.Series(values=values.to_pylist(), dtype=pl.String)
        hashes = np.where((series == "").to_numpy(), 0, series.hash().to_numpy() | np.uint64(1))
        self._chunks.append(np.append(hashes, 0).astype(np.uint64)[rows])

    def finish(self) -> tuple[npt.NDArray[np.int32], None]:
        """(N,) codes in the order in which values first occur, −1 for an empty or missing value."""
        hashes = np.concatenate([np.zeros(0, np.uint64), *self._chunks])
        self._chunks = []
        values, at, rows = np.unique(hashes, return_index=True, return_inverse=True)
        codes = np.empty(len(values), np.int32)
        filled = np.flatnonzero(values != 0)
        codes[filled[np.argsort(at[filled])]] = np.arange(len(filled), dtype=np.int32)
        codes[values == 0] = -1
        return codes[rows], None
