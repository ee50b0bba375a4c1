"""Texts that are nearly equal, in any script.

Two texts are equal when they are so after normalization: compatibility forms (NFKC) and case
folded, only letters, marks and digits kept, one blank between words. They are near-duplicates when
the sets of their character n-grams have a Jaccard similarity of at least ``SIMILARITY``; n is 3, or
2 where most characters are wide (Chinese, Japanese, Korean). Translations are not recognized.
"""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np

from polylect.text.normal_form import normalized

SIMILARITY = 0.75
"""Near-duplicates share at least this part of their n-grams."""
_BLOCK, _VERIFIED = 2_000, 100_000


def near_duplicates(
    texts: Sequence[str], similarity: float = SIMILARITY
) -> list[tuple[int, int, float]]:
    """Every two texts that are near-duplicates, the smaller number first, with their similarity.

    All are found: two sets with a Jaccard similarity of t share one of the rarest
    ``n - ceil(t n) + 1`` elements of each (prefix filter; Chaudhuri, Ganti and Kaushik 2006).

    Args:
        texts: as they are; equal ones after normalization have the similarity 1.
        similarity: the least.
    """
    from scipy.sparse import csr_array

    grams = [_grams(normalized(text)) for text in texts]
    counts = Counter(gram for each in grams for gram in each)
    ranks = {gram: i for i, gram in enumerate(sorted(counts, key=lambda g: (counts[g], g)))}
    rows = [sorted(map(ranks.__getitem__, each)) for each in grams]  # the rarest first
    sizes = np.array([len(row) for row in rows], np.int64)
    prefixes = [row[: len(row) - ceil(similarity * len(row) - 1e-9) + 1] for row in rows]
    shape = (len(texts), max(len(ranks), 1))
    whole, rarest = _table(rows, shape), _table(prefixes, shape)
    pairs: list[tuple[int, int, float]] = []
    for start in range(0, len(texts), _BLOCK):
        met = csr_array(rarest[start : start + _BLOCK] @ rarest[: start + _BLOCK].T).tocoo()
        second, first = met.coords[0] + start, met.coords[1]
        few, many = (side(sizes[first], sizes[second]) for side in (np.minimum, np.maximum))
        likely = (first < second) & (few >= similarity * many)
        first, second = first[likely], second[likely]
        for at in range(0, len(first), _VERIFIED):
            a, b = first[at : at + _VERIFIED], second[at : at + _VERIFIED]
            common = (whole[a] * whole[b]).sum(1)
            jaccard = common / (sizes[a] + sizes[b] - common)
            near = np.flatnonzero(jaccard >= similarity)
            pairs += zip(a[near].tolist(), b[near].tolist(), jaccard[near].tolist(), strict=True)
    return sorted(pairs)


def _table(rows: list[list[int]], shape: tuple[int, int]) -> Any:
    """Ones in the columns that each row names, sparse."""
    from scipy.sparse import csr_array

    ends = np.cumsum([0, *(len(row) for row in rows)])
    columns = np.array([column for row in rows for column in row], np.int64)
    return csr_array((np.ones(len(columns), np.float32), columns, ends), shape=shape)


def _grams(text: str) -> frozenset[str]:
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    size = 2 if 2 * wide > len(text) else 3
    padded = f" {text} "
    return frozenset(padded[i : i + size] for i in range(max(1, len(padded) - size + 1)))


def duplicate_groups(texts: Sequence[str], similarity: float = SIMILARITY) -> np.ndarray:
    """A number per text, equal for near-duplicates and for what they are linked to, int64 [texts].

    Args:
        texts: as they are.
        similarity: the least; see ``near_duplicates``.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    forms: dict[str, int] = {}
    form = np.array([forms.setdefault(normalized(text), len(forms)) for text in texts], np.int64)
    links = near_duplicates(list(forms), similarity)
    ends = np.array([link[:2] for link in links], np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(links)), (ends[0], ends[1])), shape=(len(forms),) * 2)
    return connected_components(graph, directed=False)[1].astype(np.int64)[form]
