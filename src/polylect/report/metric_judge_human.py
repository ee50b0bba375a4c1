"""Automatic metrics, judges and people side by side: do they see the same damage?"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from polylect.report.formats import DASH, language_cell_of, signed
from polylect.report.page import Html, section, table, tag
from polylect.report.relative_changes import relative_change


def side_by_side(preferences: Sequence[Mapping[str, Any]], languages: pl.DataFrame) -> Html:
    """A row per scheme and language that was judged; how to add judgments where there are none.

    Args:
        preferences: of ``damage.json``.
        languages: rows of all comparisons by language.
    """
    title = "Automatic metrics, judges and people"
    if not preferences:
        return section(
            title,
            tag("p", "No answers of these checkpoints have been judged. Generate answers with"
                " polylect generate, judge them with polylect judge or by people, and pass the"
                " judgments to the study: --judgments FILE --people NAME.", class_="note"),
        )  # fmt: skip
    automatic = {
        (row["after"], row["language"]): row
        for row in languages.filter(pl.col("what") == "damage").iter_rows(named=True)
    }
    by: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for row in preferences:
        by.setdefault((row["label"], row["language"]), {})[row["by"]] = row
    rows = []
    for (label, language), kinds in sorted(by.items()):
        rows.append([
            label, language_cell_of(language),
            _automatic(automatic.get((label, language))),
            *[cell for kind in ("judge", "people") for cell in _rates(kinds.get(kind))],
        ])  # fmt: skip
    head = ["scheme", "language", "automatic, %", "judge: win rate", "net", "people: win rate",
            "net"]  # fmt: skip
    return section(
        title,
        table(head, rows, numbers=(2, 3, 4, 5, 6)),
        note="Win rate of the quantized answers against full precision, (wins + ties/2)/n, in"
        " percent with an interval over prompts, 50 is even; net is (wins − losses)/n. The paper"
        " does not say which of the two its figure is. The finding of the paper to look for: people"
        " see a loss where automatic metrics do not.",
    )


def _automatic(row: Mapping[str, Any] | None) -> Html:
    change = relative_change(row) if row is not None else None
    return Html(signed(change[0], 1) if change is not None else DASH)


def _rates(row: Mapping[str, Any] | None) -> tuple[Html, Html]:
    if row is None or row["win_rate"] is None:
        return Html(DASH), Html(DASH)
    low, high = row["lower"], row["upper"]
    span = "" if low is None or high is None else f" ({100 * low:.0f} to {100 * high:.0f})"
    first = tag("span", f"{100 * row['win_rate']:.1f}", tag("small", span))
    return first, Html(DASH if row["net"] is None else signed(100 * row["net"], 1))
