"""Texts as the encoder of a name sees them."""

from collections.abc import Sequence

from polylect.base import InputError, Ledger
from polylect.people.crowd import Seen, Text
from polylect.people.ngrams import NGRAMS, see_ngrams


def see(texts: Sequence[Text], encoder: str = NGRAMS, ledger: Ledger | None = None) -> Seen:
    """The texts with their vectors, float32 [texts, width].

    Args:
        texts: in any order; equal ones have equal vectors.
        encoder: name of the encoder.
        ledger: counts texts that were cut, or that the encoder does not know.

    Raises:
        InputError: there is no such encoder, or it cannot see the texts.
    """
    if encoder != NGRAMS:
        raise InputError(f"--encoder {encoder}: no such encoder", f"--encoder {NGRAMS}")
    return see_ngrams(texts)
