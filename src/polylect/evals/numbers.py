"""The numbers in a text, in the digits of any script and with the separators of its language."""

import re
import unicodedata
from decimal import Decimal

# Languages that write 1.234,5 or 1 234,5 (CLDR's decimal mark is a comma).
_COMMA = frozenset((
    "af", "az", "be", "bg", "bs", "ca", "cs", "da", "de", "el", "es", "et", "eu", "fi", "fr",
    "gl", "hr", "hu", "hy", "id", "is", "it", "ka", "kk", "lt", "lv", "mk", "nb", "nl", "nn",
    "no", "pl", "pt", "ro", "ru", "sk", "sl", "sq", "sr", "sv", "tr", "uk", "uz", "vi",
))  # fmt: skip
_MINUS = str.maketrans({"−": "-", "‒": "-", "﹣": "-", "٫": "\x01", "٬": "\x02", "،": ","})
_MARKS = ".,'’ \x01\x02"
# A sign counts where no letter or digit stands before it: "3-4" holds 3 and 4.
_NUMBER = re.compile(rf"(?:(?<![\w)])-\s?(?=\d))?\d+(?:[{_MARKS}]\d+)*", re.ASCII)
_SPACED = re.compile(r"\d{1,3}(?: \d{3})+(?!\d)")


def numbers_in(text: str, language: str) -> list[Decimal]:
    """All numbers of a text, in order.

    Every Unicode decimal digit counts. Of two kinds of separators the last is the decimal mark. A
    separator that occurs several times groups digits. One that occurs once is the decimal mark,
    unless exactly three digits follow: then the language decides ("1.000" is 1 in English and 1000
    in German). A space groups only threes.

    Example:
        >>> numbers_in("1.000 von 3", "de"), numbers_in("1.000 of 3", "en")
        ([Decimal('1000'), Decimal('3')], [Decimal('1.000'), Decimal('3')])

    Args:
        text: an answer.
        language: tag; only the part before a hyphen is used.
    """
    return [
        _value(number, language)
        for match in _NUMBER.finditer(_plain(text))
        for number in _split_at_spaces(match.group())
    ]


def last_number(text: str, language: str) -> Decimal | None:
    """The last number of a text, by which an answer to a word problem is read; None for none."""
    numbers = numbers_in(text, language)
    return numbers[-1] if numbers else None


def _plain(text: str) -> str:
    """NFKC, ASCII digits, one minus."""
    compatible = unicodedata.normalize("NFKC", text).translate(_MINUS)
    return "".join(
        str(unicodedata.decimal(char)) if char.isdecimal() else " " if char.isspace() else char
        for char in compatible
    )


def _split_at_spaces(match: str) -> list[str]:
    """The numbers of a match, split at spaces unless these group threes."""
    sign = "-" if match.startswith("-") else ""
    bare = match.removeprefix("-").strip()
    if " " not in bare:
        return [sign + bare]
    whole = re.split(r"[.,\x01]", bare)
    if _SPACED.fullmatch(whole[0]) and len(whole) <= 2 and " " not in "".join(whole[1:]):
        return [sign + bare.replace(" ", "")]
    first, *rest = bare.split(" ")
    return [sign + first, *rest]


def _value(number: str, language: str) -> Decimal:
    sign = "-" if number.startswith("-") else ""
    bare = re.sub(r"['’\x02]", "", number.removeprefix("-"))
    if "\x01" in bare:
        whole, _, rest = re.sub(r"[.,]", "", bare).partition("\x01")
        return Decimal(f"{sign}{whole}.{rest.replace(chr(1), '')}")
    marks = re.findall(r"[.,]", bare)
    if not marks:
        return Decimal(sign + bare)
    last = marks[-1]
    before, after = bare.rsplit(last, 1)
    decimal = marks.count(last) == 1
    if decimal and len(marks) == 1 and len(after) == 3 and len(before) <= 3 and before[0] != "0":
        decimal = last == ("," if language.split("-")[0] in _COMMA else ".")
    joined = re.sub(r"[.,]", "", before)
    return Decimal(f"{sign}{joined}.{after}" if decimal else f"{sign}{joined}{after}")
