"""Texts as hashed n-grams: an encoder without dependencies, for any script.

Words, and character n-grams of 3 to 5 within words (1 to 3 of wide characters).
"""

import unicodedata
import zlib
from collections import Counter
from collections.abc import Sequence

import numpy as np

from polylect.text import normalized

WIDTH = 512
"""Of the vectors."""


def ngram_vectors(texts: Sequence[str], width: int = WIDTH) -> np.ndarray:
    """Vectors of unit length, float32 [texts, width]: signed, hashed, counted as 1 + log.

    A text without a character has the vector 0.

    Source: Weinberger et al. 2009, "Feature Hashing for Large Scale Multitask Learning".

    Args:
        texts: equal ones have equal vectors.
        width: of the vectors.
    """
    vectors = np.zeros((len(texts), width), np.float32)
    for row, text in zip(vectors, texts, strict=True):
        counts = Counter(_grams(normalized(text)))
        if not counts:
            continue
        hashes = np.array([zlib.crc32(gram.encode("utf-8", "surrogatepass")) for gram in counts],
                          np.int64)  # fmt: skip
        signs = np.where(hashes >> 31, 1.0, -1.0)
        np.add.at(row, hashes % (2**31 - 1) % width, signs * (1 + np.log(list(counts.values()))))
        row /= max(float(np.linalg.norm(row)), 1e-12)
    return vectors


def _grams(text: str) -> list[str]:
    grams: list[str] = []
    for word in text.split():
        wide = any(unicodedata.east_asian_width(letter) in "WF" for letter in word)
        padded = word if wide else f" {word} "
        grams.append(f"={word}")
        for size in (1, 2, 3) if wide else (3, 4, 5):
            grams += [padded[i : i + size] for i in range(len(padded) - size + 1)]
    return grams
