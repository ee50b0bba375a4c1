"""The script that a text is written in, and the tag of a language in it."""

import unicodedata
from collections import Counter
from functools import lru_cache

from polylect.base import canonical_tag, described, parts_of, scripts_of

# First words of the Unicode names of letters, and their script in ISO 15924.
_NAMES = {
    "LATIN": "Latn", "CYRILLIC": "Cyrl", "ARABIC": "Arab", "DEVANAGARI": "Deva", "GREEK": "Grek",
    "HEBREW": "Hebr", "CJK": "Hani", "HIRAGANA": "Kana", "KATAKANA": "Kana", "HANGUL": "Hang",
    "BENGALI": "Beng", "GURMUKHI": "Guru", "GUJARATI": "Gujr", "ORIYA": "Orya", "TAMIL": "Taml",
    "TELUGU": "Telu", "KANNADA": "Knda", "MALAYALAM": "Mlym", "SINHALA": "Sinh", "THAI": "Thai",
    "LAO": "Laoo", "TIBETAN": "Tibt", "MYANMAR": "Mymr", "GEORGIAN": "Geor", "ARMENIAN": "Armn",
    "ETHIOPIC": "Ethi", "KHMER": "Khmr", "MONGOLIAN": "Mong", "THAANA": "Thaa", "SYRIAC": "Syrc",
    "TIFINAGH": "Tfng", "NKO": "Nkoo", "CHEROKEE": "Cher", "JAVANESE": "Java", "BALINESE": "Bali",
}  # fmt: skip
_SEVERAL = frozenset({"zh", "ja", "ko"})
"""Languages written in several scripts at once, or in two that share most characters."""


def written_script(text: str) -> str:
    """The script of more than half of the letters of a text; empty where there is none.

    >>> written_script("Добар дан!"), written_script("今天天气"), written_script("12")
    ('Cyrl', 'Hani', '')
    """
    counts = Counter(map(letter_script, filter(str.isalpha, text)))
    if not counts:
        return ""
    script, num = counts.most_common(1)[0]
    return script if 2 * num > counts.total() else ""


@lru_cache(maxsize=1 << 16)
def letter_script(letter: str) -> str:
    """The script of a letter, in ISO 15924; empty for other characters and for rarer scripts.

    >>> letter_script("д"), letter_script("語"), letter_script("1")
    ('Cyrl', 'Hani', '')
    """
    return _NAMES.get(unicodedata.name(letter, "").partition(" ")[0].partition("-")[0], "")


def in_its_script(tag: str, text: str) -> str:
    """A tag with the script of a text, where the language is written in it, by CLDR.

    >>> in_its_script("uz", "Бу китоб"), in_its_script("sr-Latn", "Добар дан")
    ('uz-Cyrl', 'sr')
    """
    base = parts_of(tag)[0]
    if not base or base in _SEVERAL:
        return tag
    written = written_script(text)
    if not written or written == described(tag).script or written not in scripts_of(base):
        return tag
    return canonical_tag(base if described(base).script == written else f"{base}-{written}")
