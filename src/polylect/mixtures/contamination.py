"""Contamination: how much of the evaluation text occurs verbatim in the training text."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import polars as pl

from polylect.rows import Document

_LEAST_LINE = 20
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xBF58476D1CE4E5B9)
_BLOCK_DOCUMENTS = 512
_COLUMNS = {
    "language": pl.String, "grams": pl.Int64, "grams_seen": pl.Int64, "gram_share": pl.Float64,
    "lines": pl.Int64, "lines_seen": pl.Int64, "line_share": pl.Float64,
}  # fmt: skip


def overlap(
    training: Iterable[Document], evaluation: Iterable[Document], *, gram_characters: int = 40
) -> pl.DataFrame:
    """Overlap of evaluation and training text, a row per evaluation language, sorted by tag.

    Columns: language; grams, grams_seen, gram_share: n-grams of ``gram_characters`` characters in
    the evaluation text (every position, repeats counted), and how many of them occur anywhere in
    the training text, in any language; lines, lines_seen, line_share: the same for whole lines of
    at least 20 characters. A share is null where there is nothing to look for. White space is
    collapsed first; case and punctuation count.

    Training text is streamed: memory grows with the evaluation text alone, about 40 bytes a
    character. N-grams are compared by 64-bit hashes. Paraphrases and translations are not
    found.
    """
    texts: dict[str, list[str]] = defaultdict(list)
    for document in evaluation:
        texts[document.language].append(document.text)
    grams = {tag: _grams(documents, gram_characters) for tag, documents in texts.items()}
    lines = {tag: _lines(documents) for tag, documents in texts.items()}
    known_grams = np.unique(np.concatenate([_EMPTY, *grams.values()]))
    known_lines = np.unique(np.concatenate([_EMPTY, *lines.values()]))
    seen_grams = np.zeros(len(known_grams), bool)
    seen_lines = np.zeros(len(known_lines), bool)
    for block in _blocks(training):
        _mark(known_grams, seen_grams, _grams(block, gram_characters))
        _mark(known_lines, seen_lines, _lines(block))
    rows = []
    for tag in sorted(texts):
        row: list[object] = [tag]
        for hashes, known, seen in (
            (grams[tag], known_grams, seen_grams),
            (lines[tag], known_lines, seen_lines),
        ):
            num_seen = int(seen[np.searchsorted(known, hashes)].sum()) if len(hashes) else 0
            row += [len(hashes), num_seen, num_seen / len(hashes) if len(hashes) else None]
        rows.append(row)
    return pl.DataFrame(rows, schema=_COLUMNS, orient="row")


_EMPTY = np.empty(0, np.uint64)


def _blocks(documents: Iterable[Document]) -> Iterable[list[str]]:
    block: list[str] = []
    for document in documents:
        block.append(document.text)
        if len(block) == _BLOCK_DOCUMENTS:
            yield block
            block = []
    yield block


def _mark(known: np.ndarray, seen: np.ndarray, hashes: np.ndarray) -> None:
    """Set ``seen`` where ``known`` (sorted) is among ``hashes``."""
    if len(known):
        hashes = np.unique(hashes)  # sorted: the search then walks through memory in order
        at = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
        seen[at[known[at] == hashes]] = True


def _lines(texts: Iterable[str]) -> np.ndarray:
    """Hashes of the lines that are long enough, uint64 [lines]."""
    lines = (" ".join(line.split()) for text in texts for line in text.splitlines())
    digests = [
        hashlib.blake2b(line.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        for line in lines
        if len(line) >= _LEAST_LINE
    ]
    return np.frombuffer(b"".join(digests), np.uint64)


def _grams(texts: Iterable[str], size: int) -> np.ndarray:
    """Hashes of all runs of ``size`` characters that lie within one text, uint64 [runs]."""
    collapsed = [" ".join(text.split()) for text in texts]
    hashes = _run_hashes("".join(collapsed), size)
    ends = np.cumsum([len(text) for text in collapsed], dtype=np.int64)
    within = np.ones(len(hashes), bool)
    for end in ends[:-1]:
        within[max(0, end - size + 1) : end] = False
    return hashes[within]


def _run_hashes(text: str, size: int) -> np.ndarray:
    """Polynomial hashes modulo 2^64 of every run of ``size`` characters, by doubling."""
    if len(text) < size:
        return _EMPTY
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    power = (codes + np.uint64(1)) * _MIX
    power ^= power >> np.uint64(31)
    num = len(codes) - size + 1
    total = np.zeros(num, np.uint64)
    done, length, factor = 0, 1, int(_FACTOR)
    while done < size:
        if size & length:
            total = total * np.uint64(factor) + power[done : done + num]
            done += length
        if done < size:
            rest = len(power) - length
            power = power[:rest] * np.uint64(factor) + power[length : length + rest]
            length, factor = 2 * length, factor * factor % 2**64
    return total
