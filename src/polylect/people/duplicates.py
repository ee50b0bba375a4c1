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

import numpy as np

SIMILARITY = 0.75
"""Near-duplicates share at least this part of their n-grams."""


def normalized(text: str) -> str:
    """A text without case, punctuation and layout; as it is where nothing else is in it.

    >>> normalized("  Ｗhy,  then? ")
    'why then'
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    kept = "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in folded)
    return " ".join(kept.split()) or text.strip()


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
    grams = [_grams(normalized(text)) for text in texts]
    counts = Counter(gram for each in grams for gram in each)
    index: dict[str, list[int]] = {}
    pairs: list[tuple[int, int, float]] = []
    for number, each in enumerate(grams):
        rarest = sorted(each, key=lambda gram: (counts[gram], gram))
        prefix = rarest[: len(each) - ceil(similarity * len(each) - 1e-9) + 1]
        candidates = {other for gram in prefix for other in index.get(gram, ())}
        for other in sorted(candidates):
            sizes = sorted((len(each), len(grams[other])))
            if sizes[0] < similarity * sizes[1]:
                continue
            common = len(each & grams[other])
            jaccard = common / (sizes[0] + sizes[1] - common)
            if jaccard >= similarity:
                pairs.append((other, number, jaccard))
        for gram in prefix:
            index.setdefault(gram, []).append(number)
    return pairs


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
