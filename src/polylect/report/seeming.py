"""What text seems to be in: the pairs said and seems, and text of which nothing was said."""

from polylect.base import Ledger
from polylect.mixtures import UNASKED, UNTOLD, seems_other
from polylect.report.formats import DASH, language_cell_of
from polylect.report.page import Html, join, table, table_section, tag


def seeming_section(counted: Ledger) -> Html:
    """A row per pair with the worst file, and one per language of text that was left out.

    Empty where all text seems to be in the language that it was said to be in.
    """
    pairs = [
        [
            language_cell_of(pair.said),
            language_cell_of(pair.seems),
            f"{pair.kept:,}",
            f"{pair.dropped:,}",
            f"{pair.file}: {pair.in_file:,}" if pair.file else DASH,
        ]
        for pair in seems_other(counted)
    ]
    left = [
        [_seems(where), event.removeprefix("dropped: "), f"{num:,}"]
        for event, where, num in counted.rows()
        if event in {UNASKED, UNTOLD}
    ]
    parts = []
    if left:
        head = ["seems to be", "left out because", "documents"]
        parts = [
            tag("h3", "Text of which no language was said, or of another than was asked for"),
            table(head, left, numbers=(2,)),
        ]
    if not pairs and not left:
        return Html("")
    return join(
        [
            table_section(
                "What the text seems to be",
                ["said to be", "seems to be", "kept", "dropped", "most in one file"],
                pairs,
                numbers=(2, 3),
                note="What is said of a text stands: it is dropped only where that was asked for.",
            ),
            *parts,
        ]
    )


def _seems(tag_or_tags: str) -> Html | str:
    """A language, several that it may be, or none."""
    if not tag_or_tags or " or " in tag_or_tags:
        return tag_or_tags or "cannot tell"
    return language_cell_of(tag_or_tags)
