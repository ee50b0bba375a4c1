"""Sentences of a text in any script, by ICU's rules (Unicode Standard Annex 29).

Abbreviations are not known: ``Dr. Who`` is cut in two. Thai and Lao end sentences with spaces,
which end no sentence here.
"""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from icu4py.breakers import SentenceBreaker


def split_sentences(text: str) -> list[str]:
    """The sentences in order, with the white space after each: joined, they are the text.

    >>> split_sentences("Is it? 是的。好吧！ Yes.")
    ['Is it? ', '是的。', '好吧！ ', 'Yes.']
    """
    return list(_sentence_breaker()(text, "root")) if text else []


@cache
def _sentence_breaker() -> "type[SentenceBreaker]":
    from icu4py.breakers import SentenceBreaker

    return SentenceBreaker
