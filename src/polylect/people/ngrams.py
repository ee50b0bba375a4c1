"""Texts as hashed n-grams of the response alone.

What texts have in common with their prompt cancels where two responses are compared.
"""

from collections.abc import Sequence

from polylect.engine import ngram_vectors
from polylect.people.crowd import Seen, Text

NGRAMS = "ngrams"
"""Name of the encoder."""


def see_ngrams(texts: Sequence[Text]) -> Seen:
    """Vectors of the responses; equal ones have equal vectors.

    Args:
        texts: whose responses are seen.
    """
    return Seen(tuple(texts), ngram_vectors([text.response for text in texts]))
