"""Automatic metrics, judges and people side by side: does each see what the others see?"""

from collections.abc import Mapping
from typing import Any

import polars as pl

from polylect.report.folder import cell_of, signed
from polylect.report.page import Html, section, table, tag


def side_by_side(found: Mapping[str, Any], languages: pl.DataFrame) -> Html:
    """A row per scheme and language that was judged; a word on how to import where none was.

    Args:
        found: ``damage.json`` of the study.
        languages: rows of all comparisons by language.
    """
    title = "Automatic metrics, judges and people"
    judged = found["preferences"]
    if not judged:
        return section(
            title,
            tag("p", "Nobody has judged answers of these checkpoints. Generate answers with"
                " polylect generate, judge them with polylect judge or by people, and give the"
                " judgments to the study: --judgments FILE --people NAME.", class_="note"),
        )  # fmt: skip
    automatic = {
        (row["after"], row["language"]): row
        for row in languages.filter(pl.col("what") == "damage").iter_rows(named=True)
    }
    by: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for one in judged:
        by.setdefault((one["label"], one["language"]), {})[one["by"]] = one
    rows = []
    for (label, language), kinds in sorted(by.items()):
        rows.append([
            label, cell_of(language),
            _automatic(automatic.get((label, language))),
            *[cell for kind in ("judge", "people") for cell in _rates(kinds.get(kind))],
        ])  # fmt: skip
    head = [
        "scheme",
        "language",
        "automatic, %",
        "judge: win rate",
        "net",
        "people: win rate",
        "net",
    ]
    return section(
        title,
        table(head, rows, numbers=(2, 3, 4, 5, 6)),
        note="Win rate of the quantized answers against full precision, (wins + ties/2)/n, in"
        " percent with an interval over prompts, 50 is even; net is (wins − losses)/n. The paper"
        " does not say which of the two its figure is. Its finding to look for: people see a loss"
        " where automatic metrics do not.",
    )


def _automatic(row: Mapping[str, Any] | None) -> Html:
    if row is None or row["relative"] is None:
        return Html("–")
    flip = -1.0 if row["relative"] * row["gain"] < 0 else 1.0
    return Html(signed(flip * 100 * row["relative"], 1))


def _rates(row: Mapping[str, Any] | None) -> tuple[Html, Html]:
    if row is None or row["win_rate"] is None:
        return Html("–"), Html("–")
    low, high = row["lower"], row["upper"]
    span = "" if low is None or high is None else f" ({100 * low:.0f} to {100 * high:.0f})"
    first = tag("span", f"{100 * row['win_rate']:.1f}", tag("small", span))
    return first, Html("–" if row["net"] is None else signed(100 * row["net"], 1))
