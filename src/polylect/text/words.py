"""Words of a text in any script: between spaces, and by ICU where a script has none.

What is cut is decided by the characters of the text, not by what it is said to be in: an answer in
Thai to a question in Korean is cut as Thai. ICU finds Thai, Lao, Khmer, Burmese, Chinese and
Japanese words by its dictionaries, and ends a Tibetan syllable at its tsheg; scripts without spaces
for which it has no dictionary (Javanese, Balinese, Tai Tham …) are cut into grapheme clusters.

It knows nothing of sentences or of case, and joins nothing.
"""

import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from icu4py.breakers import CharacterBreaker, WordBreaker

SCRIPTS_WITH_DICTIONARY = frozenset(
    {"Hani", "Hans", "Hant", "Hrkt", "Hira", "Kana", "Jpan", "Thai", "Laoo", "Khmr", "Mymr"}
)
"""Scripts without spaces between words, of which ICU has a dictionary."""
SCRIPTS_IN_CHARACTERS = frozenset({"Ahom", "Bali", "Java", "Lana", "Tale", "Talu", "Tavt"})
"""Scripts without spaces between words, of which it has none."""

# Blocks of those scripts. Marks between them (the Japanese long vowel) are in the blocks.
_DICTIONARY = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u19e0-\u19ff"  # Thai, Lao, Burmese, Khmer
    "\ua9e0-\ua9ff\uaa60-\uaa7f"  # Burmese, extended
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # kana, Han
    "\uff66-\uff9f\U0001b000-\U0001b16f\U00020000-\U000333af"
)
_SYLLABLES = "\u0f00-\u0fff"  # Tibetan
_CHARACTERS = (
    "\u1950-\u19df\u1a20-\u1aad\u1b00-\u1b7f\ua980-\ua9df\uaa80-\uaadf\U00011700-\U00011746"
)
_UNSPACED = re.compile(f"[{_DICTIONARY}{_SYLLABLES}{_CHARACTERS}]")
_IN_CHARACTERS = re.compile(f"[{_CHARACTERS}]")
_A_WORD = re.compile(r"\w")


@cache
def words_rule() -> str:
    """What cuts the words, with ICU's version, for signatures: ``spaces+icu-78.2``."""
    from icu4py import icu_version

    return f"spaces+icu-{icu_version}"


def split_words(text: str) -> list[str]:
    """The words of a text, in order.

    A part between spaces that has none of the scripts without spaces is a word as it stands, its
    punctuation included. Of other parts punctuation is left out.

    >>> split_words("I don't know, 我喜欢学习!")
    ['I', "don't", 'know,', '我', '喜欢', '学习']
    """
    parts = text.split()
    if _UNSPACED.search(text) is None:
        return parts
    return [word for part in parts for word in _words_of(part)]


def _words_of(part: str) -> list[str]:
    if _UNSPACED.search(part) is None:
        return [part]
    words: list[str] = []
    for segment in _word_breaker()(part, "root"):
        if _IN_CHARACTERS.search(segment) is not None:
            words += _character_breaker()(segment, "root")
        elif _A_WORD.search(segment) is not None:
            words.append(segment)
    return words


@cache
def _word_breaker() -> "type[WordBreaker]":
    from icu4py.breakers import WordBreaker

    return WordBreaker


@cache
def _character_breaker() -> "type[CharacterBreaker]":
    from icu4py.breakers import CharacterBreaker

    return CharacterBreaker
