"""The page of a crowd: its figures, and each user a dot, named only where that is asked for."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from polylect.base import Ledger
from polylect.people import MIN_OVERLAP, Crowd, Description, Figure
from polylect.report.charts import Point, scatter
from polylect.report.formats import DASH, language_cell_of, ledger_section, minus, percent
from polylect.report.page import Html, section, table, table_section, tag, write_page

_WORST = 30
_FEWER = "fewer than {} users: not shown"
_NOTE = (
    "An interval is the value plus and minus Student's t times the standard deviation over"
    " resamples of the users; without one, all resamples are equal, or there is one user. These"
    " formulas are proposals: see the guide."
)


def figure_text(figure: Figure, min_group: int, num_users: int) -> tuple[str, str]:
    """A figure and its interval in words; a group of fewer users is not shown.

    Args:
        figure: of a description.
        min_group: the least number of users that are shown as a group.
        num_users: of the crowd, which as a whole is no group.
    """
    if figure.value is None:
        return DASH, ""
    if figure.of == "users" and 0 < figure.num < min(min_group, num_users):
        return _FEWER.format(min_group), ""
    if figure.of == "users" and figure.is_share and figure.name.endswith(("users", "pairs")):
        num = round(figure.value * figure.num)
        if 0 < num < min_group:
            return _FEWER.format(min_group), ""
    form = ".1%" if figure.is_share else ",.1f"
    if figure.lower is None or figure.upper is None:
        return minus(f"{figure.value:{form}}"), ""
    return minus(f"{figure.value:{form}}"), minus(f"{figure.lower:{form}} to {figure.upper:{form}}")


def crowd_lines(description: Description, min_group: int) -> list[str]:
    """A line per figure for the terminal."""
    lines = []
    num_users = int((description.pairs > 0).sum())
    for figure in description.figures:
        value, interval = figure_text(figure, min_group, num_users)
        of = f"of {figure.num:,} {figure.of}" if figure.value is not None else "not said"
        if value == _FEWER.format(min_group):
            lines.append(f"{figure.name}: {value}")
            continue
        named = figure.name
        if named == "consistency" and description.consistency.measure:
            named = f"consistency by {description.consistency.measure}"
            named += (
                " (overstated: pairs of an order)" if description.consistency.is_ordered else ""
            )
        lines.append(f"{named}: {value}" + (f" ({interval})" if interval else "") + f", {of}")
    return lines


def write_crowd_page(
    path: Path,
    description: Description,
    crowd: Crowd,
    ledger: Ledger,
    names: Sequence[str],
    min_group: int,
) -> None:
    """Write the page; the file appears complete or not at all.

    Args:
        path: the HTML file.
        description: of the crowd.
        crowd: what was described.
        ledger: what was left out.
        names: what each user is called on the page: a number, or a name.
        min_group: the least number of users that are shown as a group.
    """
    num_users = int((description.pairs > 0).sum())
    lead = (
        f"{num_users:,} users, {crowd.num_pairs:,} preferences between"
        f" {len(crowd.texts):,} texts, {description.num_items:,} different pairs."
    )
    rows = []
    for figure in description.figures:
        value, interval = figure_text(figure, min_group, num_users)
        of = DASH if value == _FEWER.format(min_group) else f"{figure.num:,} {figure.of}"
        rows.append([figure.name, value, interval or DASH, of])
    parts = [
        section("Figures", table(["figure", "value", "95 %", "of"], rows, numbers=(1, 2, 3)),
                note=_NOTE),
        section("Consistency", tag("p", _consistency(description))),
        _chart(description, names, min_group),
        _worst(description, names, min_group),
        _languages(description, crowd, min_group),
        ledger_section(ledger.rows()),
    ]  # fmt: skip
    write_page(path, "People who disagree", lead, parts)


def _consistency(description: Description) -> str:
    consistency = description.consistency
    if not consistency.measure:
        return (
            "Not measured: nobody labeled a pair repeatedly, compared three texts with each other,"
            " or labeled the same text in several pairs often enough. Without it, room for"
            " personalization is not known."
        )
    words = {
        "test-retest": "of two labels that a user gave the same pair, the share that is equal",
        "transitive triples": "of three texts that a user compared with each other, the share"
        " without a cycle",
        "split-half": "how often the shares of wins of the texts in one half of a user's pairs"
        " predict the other half: a lower bound",
        "split-half of a model": "how often a model of half of a user's pairs, on hashed n-grams,"
        " predicts the other half: a lower bound, so that room may be below nothing",
    }[consistency.measure]
    ordered = (
        " Nobody contradicts an order, as in pairs made of ratings: this is overstated."
        if consistency.is_ordered else ""
    )  # fmt: skip
    return f"Measured by {consistency.measure}: {words}.{ordered}"


def _chart(description: Description, names: Sequence[str], min_group: int) -> Html:
    """Each user a dot: agreement with the majority, against consistency or the number of pairs."""
    is_shown = int(description.is_minority.sum()) >= min_group
    agreement, value = description.agreement, description.consistency.value
    has_value = bool(np.isfinite(value[np.isfinite(agreement)]).any())
    points = []
    for user in np.flatnonzero(np.isfinite(agreement)).tolist():
        y = 100 * float(value[user]) if has_value else float(description.pairs[user])
        if np.isfinite(y):
            title = f"user {names[user]}: {agreement[user]:.1%} with the majority"
            series = int(is_shown and description.is_minority[user])
            points.append(Point(100 * float(agreement[user]), y, series, title))
    if not points:
        return Html("")
    up = f"consistency ({description.consistency.measure}), %" if has_value else "pairs"
    series_names = ["others", "minority users"] if is_shown else ["users"]
    chart = scatter(points, series_names, "agreement with the majority, %", up)
    return section("Users", chart, note=f"A minority user agrees with the majority of the others on"
                   f" less than half of at least {MIN_OVERLAP} pairs.")  # fmt: skip


def _worst(description: Description, names: Sequence[str], min_group: int) -> Html:
    decided = np.flatnonzero(description.is_decided)
    if len(decided) < min(min_group, int((description.pairs > 0).sum())):
        return Html("")
    order = decided[np.argsort(description.agreement[decided], kind="stable")][:_WORST]
    value = description.consistency.value
    rows = [
        [f"user {names[i]}", percent(float(description.agreement[i])),
         f"{description.overlap[i]:,}", f"{description.pairs[i]:,}",
         percent(float(value[i]) if np.isfinite(value[i]) else None)]
        for i in order.tolist()
    ]  # fmt: skip
    head = ["", "with the majority", "of pairs", "preferences", "consistency"]
    note = f"The {len(rows)} users who agree least with the majority of the others."
    return table_section("Least with the majority", head, rows, numbers=(1, 2, 3, 4), note=note)


def _languages(description: Description, crowd: Crowd, min_group: int) -> Html:
    tags = sorted({text.language for text in crowd.texts})
    number = {language: i for i, language in enumerate(tags)}
    of_text = np.array([number[text.language] for text in crowd.texts])
    of_pair = of_text[crowd.chosen]
    rows, hidden = [], 0
    for language, i in number.items():
        users = np.unique(crowd.user[of_pair == i])
        if len(users) < min_group:
            hidden += 1
            continue
        agreement = description.agreement[users]
        mean = float(np.nanmean(agreement)) if np.isfinite(agreement).any() else None
        rows.append([language_cell_of(language), f"{len(users):,}", f"{(of_pair == i).sum():,}",
                     percent(mean)])  # fmt: skip
    note = f"Not shown: {hidden} with fewer than {min_group} users." if hidden else ""
    head = ["language", "users", "preferences", "users' agreement with the majority"]
    return table_section("Languages", head, rows, numbers=(1, 2, 3), note=note)
