"""How pages write numbers, intervals, verdicts and languages; tables that many pages have."""

import math
import re
from collections.abc import Iterable, Mapping

from polylect.base import InputError, Language, canonical_tag, described
from polylect.comparison import GAINED, OPEN, PAID
from polylect.report.page import Html, join, language_cell, link, section, table, table_section, tag
from polylect.rows import AT_CHANCE

DASH = "–"
"""Stands for a value that there is none of."""

VERDICT_CLASSES = {PAID: "worse", GAINED: "better", OPEN: "level", AT_CHANCE: "level"}
"""CSS class of each verdict of a comparison."""

CLAIM_CLASSES = {"same direction": "better", "better": "better", "opposite": "worse",
                 "worse": "worse"}  # fmt: skip
"""CSS class of each verdict on a paper's claim, or on a question that nobody claims to answer."""


def minus(text: str) -> str:
    """Text with a true minus before its negative numbers, and none before a zero.

    >>> minus("from -1 to +2, w4-g128"), minus("-0.00 to -0.01")
    ('from −1 to +2, w4-g128', '0.00 to −0.01')
    """
    text = re.sub(r"(?<![\w.])-(?=0(?:\.0+)?(?![.\d]))", "", text)
    return re.sub(r"(?<![\w.])-(?=\d)", "\u2212", text)


def signed(value: float, digits: int) -> str:
    """The number with its sign, a true minus included; ∞ for an infinite bound.

    What rounds to zero is no negative number.

    >>> signed(-1.25, 1), signed(float("inf"), 1), signed(-0.01, 1)
    ('−1.2', '+∞', '+0.0')
    """
    return f"{value:+z.{digits}f}".replace("-", "\u2212").replace("inf", "∞")


def signed_interval(lower: float, upper: float, digits: int) -> str:
    """Both bounds in brackets, signed; a dash where they are infinite."""
    if not math.isfinite(upper - lower):
        return f"({DASH})"
    return f"({signed(lower, digits)} to {signed(upper, digits)})"


def with_interval(
    words: object, lower: float, upper: float, digits: int, class_: str | None = None
) -> Html:
    """A value, and in small letters its bounds, signed."""
    bounds = tag("small", signed_interval(lower, upper, digits))
    return tag("span", words, " ", bounds, class_=class_)


def sentence_list(sentences: Iterable[str]) -> Html:
    """Sentences as a list, with a true minus before negative numbers."""
    return tag("ul", *[tag("li", minus(sentence)) for sentence in sentences], class_="found")


def lead(words: object, sentences: Iterable[str]) -> Html:
    """What stands below a page's title: a paragraph, then what was found, in sentences."""
    return join([tag("p", words, class_="lead"), sentence_list(sentences)])


def linked(value: float | None, target: str, *, as_percent: bool = False) -> Html:
    """A number that links to what made it; a dash where there is none."""
    if value is None:
        return Html(DASH)
    return link(f"{100 * value:.1f} %" if as_percent else f"{value:.2f}", target)


def percent(value: float | None) -> str:
    """A share in percent; a dash where there is none."""
    return DASH if value is None else f"{value:z.1%}"


def coefficient(value: float | None) -> str:
    """A coefficient of agreement with three digits and a true minus; a dash where there is none."""
    return DASH if value is None else f"{value:z.3f}".replace("-", "\u2212")


def interval(lower: float | None, upper: float | None, form: str, few: str) -> str:
    """The bounds in a format such as ``.1%``; ``few`` where there are none or they are infinite."""
    if lower is None or upper is None or not math.isfinite(upper - lower):
        return few
    return minus(f"{lower:{form}} to {upper:{form}}")


def verdict_cell(verdict: str) -> Html:
    """A verdict of a comparison in its color."""
    return tag("span", verdict, class_=VERDICT_CLASSES[verdict])


def language_of(label: str) -> Language | str:
    """The language of a canonical tag that has a name; any other label is returned as it is."""
    try:
        is_tag = canonical_tag(label) == label
    except InputError:
        return label
    known = described(label)
    return known if is_tag and known.name != label and label != "und" else label


def language_name(label: str) -> str:
    """The English name of a tag's language; an unknown tag as it is."""
    known = language_of(label)
    return known if isinstance(known, str) else known.name


def language_cell_of(label: str) -> Html:
    """A table cell with the language of a tag; an unknown tag is shown as it is."""
    known = language_of(label)
    if isinstance(known, str):
        return Html("language unknown") if label == "und" else tag("span", label)
    return language_cell(known)


def ledger_section(
    rows: Iterable[tuple[str, str, int]], title: str = "Counted", empty: str = ""
) -> Html:
    """What a ledger counted; nothing, or the text ``empty``, where it is empty."""
    cells = [[event, where, f"{num:,}"] for event, where, num in rows]
    if empty and not cells:
        return section(title, tag("p", empty))
    return table_section(title, ["what", "where", "how often"], cells, numbers=(2,))


def settings_table(settings: Mapping[str, object]) -> Html:
    """Names and values of settings."""
    rows = [[name, tag("code", str(value))] for name, value in settings.items()]
    return table(["setting", "value"], rows)
