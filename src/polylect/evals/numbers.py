"""The numbers in a text, in the digits of any script and with the separators of its language.

On English text the last of them is what lm-evaluation-harness's ``flexible-extract`` takes, but
that a dash between two digits is no sign ("3-4" holds 3 and 4), and that values are compared as
numbers, so that 18.00 is 18. Words for numbers, fractions and exponents are not known here: what is
raised ("cm²") or in a circle is no number.
"""

import re
import unicodedata
from collections.abc import Sequence
from decimal import Decimal

# Languages that write 1.234,5 or 1 234,5 (CLDR's decimal mark is a comma).
_COMMA = frozenset((
    "af", "az", "be", "bg", "bs", "ca", "cs", "da", "de", "el", "es", "et", "eu", "fi", "fr",
    "gl", "hr", "hu", "hy", "id", "is", "it", "ka", "kk", "lt", "lv", "mk", "nb", "nl", "nn",
    "no", "pl", "pt", "ro", "ru", "sk", "sl", "sq", "sr", "sv", "tr", "uk", "uz", "vi",
))  # fmt: skip
# Those of them that group digits by a space (CLDR; Spanish by its academy's rule).
_SPACED = frozenset((
    "af", "be", "bg", "cs", "es", "et", "fi", "fr", "hu", "hy", "ka", "kk", "lt", "lv", "nb", "nn",
    "no", "pl", "ru", "sk", "sq", "sv", "uk", "uz",
))  # fmt: skip
_POINT, _NO_BREAK = "\x01", "\x02"
"""The Arabic decimal mark, and any space at which no line breaks."""
_PLAIN = str.maketrans({
    "−": "-", "‒": "-", "﹣": "-", "－": "-", "，": ",", "﹐": ",", "．": ".", "﹒": ".", "،": ",",
    "'": "’", "＇": "’", "٬": "’", "٫": _POINT,
    "\u00a0": _NO_BREAK, "\u2007": _NO_BREAK, "\u2009": _NO_BREAK, "\u202f": _NO_BREAK,
})  # fmt: skip
# Any mark may group digits but the Arabic decimal mark; in this order what is no number is split.
_MARKS = (" ", _NO_BREAK, "’", ",", ".", _POINT)
_NUMBER = re.compile(rf"(?:(?<![\w)])-(?=\d))?\d+(?:[{''.join(_MARKS)}]\d+)*", re.ASCII)


def numbers_in(text: str, language: str) -> list[Decimal]:
    """All numbers of a text, in order.

    Every Unicode decimal digit counts. Of two kinds of separators the last is the decimal mark. A
    separator that occurs several times groups digits, and so do spaces in languages that write
    them; groups have three digits, or as in India two before the last. A point or comma that occurs
    once is the decimal mark, unless exactly three digits follow: then the language decides ("1.000"
    is 1 in English and 1000 in German). What is no number by these rules is several: "1,2,3".

    Example:
        >>> numbers_in("1.000 von 3", "de"), numbers_in("1.000 of 3", "en")
        ([Decimal('1000'), Decimal('3')], [Decimal('1.000'), Decimal('3')])

    Args:
        text: an answer.
        language: tag; only the part before a hyphen is used.
    """
    code = language.partition("-")[0]
    return [
        number for match in _NUMBER.finditer(_plain(text)) for number in _read(match.group(), code)
    ]


def last_number(text: str, language: str) -> Decimal | None:
    """The last number of a text, by which an answer to a word problem is read; None for none."""
    numbers = numbers_in(text, language)
    return numbers[-1] if numbers else None


def _plain(text: str) -> str:
    """ASCII digits and marks, one minus. No NFKC, by which "cm²" would hold a 2."""
    return "".join(
        str(unicodedata.decimal(char)) if char.isdecimal() else char
        for char in text.translate(_PLAIN)
    )


def _read(number: str, code: str) -> list[Decimal]:
    """The number, or the numbers at whose marks it is to be split."""
    parts = re.split(f"([{''.join(_MARKS)}])", number.removeprefix("-"))
    digits, marks = parts[::2], parts[1::2]
    text = None if " " in marks and code not in _SPACED else _joined(digits, marks, code)
    if text is not None:
        return [Decimal(f"-{text}" if number.startswith("-") else text)]
    mark = next(mark for mark in _MARKS if mark in marks)
    return [value for part in number.split(mark) for value in _read(part, code)]


def _joined(digits: Sequence[str], marks: Sequence[str], code: str) -> str | None:
    """The digits with an ASCII point as the decimal mark; None if they are no one number."""
    if not marks:
        return digits[0]
    *before, last = marks
    is_decimal = last not in before and last in {",", ".", _POINT}
    if is_decimal and not before and last != _POINT and _is_grouped(digits):
        is_decimal = last == ("," if code in _COMMA else ".")
    if is_decimal:
        whole, grouping = digits[:-1], before
    else:
        whole, grouping = digits, marks
    if grouping and (len({*grouping, _POINT}) > 2 or _POINT in grouping or not _is_grouped(whole)):
        return None
    return "".join(whole) + (f".{digits[-1]}" if is_decimal else "")


def _is_grouped(digits: Sequence[str]) -> bool:
    """Whether digits are in groups: up to three, twos or threes, and three."""
    first, *middle, last = digits
    are_groups = all(len(group) in {2, 3} for group in middle) and len(last) == 3
    return are_groups and len(first) <= 3 and first[0] != "0"
