"""The page of pairwise judgments: who wins where, and every reason to doubt the judge."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from polylect.base import Ledger
from polylect.judging import (
    interval_over_prompts,
    interval_over_rows,
    significant_languages,
    win_rate_table,
)
from polylect.report.agreement import (
    OF_VERDICTS,
    VERDICTS,
    agreement_section,
    named_kappa,
    self_judged_lines,
)
from polylect.report.charts import Dot, dot_plot
from polylect.report.formats import (
    DASH,
    interval,
    language_cell_of,
    language_of,
    ledger_section,
    percent,
    settings_table,
)
from polylect.report.judged import Judged
from polylect.report.page import Html, join, section, table, table_section, tag, write_page

_MOST_GROUPS = 20
_COLUMNS = ("pairs", "win", "tie", "loss", "win rate", "95 %", "flips", "ties given", "invalid",
            "abstained", "first preferred")  # fmt: skip


def judging_summary(judged: Judged) -> str:
    """A few lines for the terminal."""
    baseline, model = judged.models
    lines = [f"{model} against {baseline}"]
    for row in win_rate_table(judged.outcomes, "judge").iter_rows(named=True):
        lines.append(
            f"{row['judge']}: win {_share(row, 'wins')}, tie {_share(row, 'ties')}, loss"
            f" {_share(row, 'losses')} of {_valid(row):,}; win rate {_win_rate(row)}; flips"
            f" {percent(row['flip'])}, invalid {percent(row['invalid'])}, first place preferred"
            f" {percent(row['first'])}"
        )
        lines.append("  " + _decided(judged, row["judge"]))
    for row in judged.rates_of_both_orders():
        lines.append(
            f"{row['judge']}: win {_share(row, 'wins')}, loss {_share(row, 'losses')}; win rate"
            f" {_win_rate(row)}"
        )
    for row in judged.agreement().iter_rows(named=True):
        lines.append(
            f"agreement {row['judges']}: {percent(row['equal'])} of {row['cases']:,},"
            f" {named_kappa(row)}"
        )
    return "\n".join(lines) + "\n"


def write_judging_page(path: Path, judged: Judged) -> None:
    """Write the page; the file appears complete or not at all."""
    baseline, model = judged.models
    words = (
        f"Answers of {model} beside those of {baseline}, each pair shown in both orders. A win"
        " needs both orders; two verdicts that contradict each other are a flip and count as a tie."
        " A verdict that cannot be read is INVALID and never averaged. In the win rate a tie counts"
        " half."
    )
    lead = join([
        tag("p", words, class_="lead"), *self_judged_lines(judged.self_judged, "judged"),
    ])  # fmt: skip
    sections = [_overall(judged), _both_orders(judged)]
    for judge in judged.judges:
        sections += [_by_language(judged, judge), *_by_group(judged, judge)]
    sections += [
        agreement_section(
            judged.agreement(),
            judged.agreement("language"),
            VERDICTS,
            note=f"{OF_VERDICTS} The longer answer is a rule without a model, lengths in"
            f" {judged.length}.",
            named=True,
        ),
        _style(judged),
        _arena(judged),
        ledger_section(judged.ledger.rows()),
        section("How it was made", settings_table(judged.settings)),
    ]
    write_page(path, f"{model} against {baseline}", lead, sections)


def _overall(judged: Judged) -> Html:
    head = ["judge", *_COLUMNS]
    rows = [[row["judge"], *_cells(row)]
            for row in win_rate_table(judged.outcomes, "judge").iter_rows(named=True)]  # fmt: skip
    return section(
        "All languages together",
        table(head, rows, numbers=range(1, len(head))),
        *[tag("p", f"{judge}: {_decided(judged, judge)}") for judge in judged.judges],
        note="Intervals are over prompts, since samples and translations of one prompt are not"
        " independent.",
    )


def _by_language(judged: Judged, judge: str) -> Html:
    baseline, model = judged.models
    outcomes = judged.only(judge)
    by_language = {row["language"]: row for row in win_rate_table(outcomes, "language").to_dicts()}
    simultaneous = {row["language"]: row for row in significant_languages(outcomes).to_dicts()}
    worst_first = sorted(by_language.values(),
                         key=lambda row: (row["win_rate"] is None, row["win_rate"]))  # fmt: skip
    plot, rows = [], []
    for row in worst_first:
        label = row["language"]
        at_once = simultaneous.get(label)
        winner = "open"
        if at_once is not None:
            value, low, high = (100 * at_once[key] for key in ("win_rate", "lower", "upper"))
            plot.append((language_of(label), [Dot(value, low, high, 0, _win_rate(row))]))
            winner = {"A": baseline, "B": model}.get(at_once["verdict"], "open")
        rows.append([language_cell_of(label), *_cells(row), winner])
    head = ["language", *_COLUMNS, "decided for"]
    return section(
        f"By language, {judge}",
        # A judge without one valid verdict has nothing to draw.
        tag("figure", dot_plot(plot, f"win rate of {model}, %")) if plot else "",
        table(head, rows, numbers=range(1, len(head) - 1)),
        note="The intervals of the chart and the last column hold for all languages at once, those"
        " of the table for one at a time.",
    )


def _both_orders(judged: Judged) -> Html:
    """Win rates when the log-odds of the two orders are added, where there are any."""
    rows = [
        [row["judge"], language_cell_of(row["language"]) if "language" in row else "all languages",
         f"{row['pairs']:,}", _share(row, "wins"), _share(row, "losses"),
         percent(row["win_rate"]), _interval(row)]
        for row in judged.rates_of_both_orders() + judged.rates_of_both_orders("language")
    ]  # fmt: skip
    head = ["judge", "", "pairs", "win", "loss", "win rate", "95 %"]
    return table_section(
        "Both orders together",
        head,
        rows,
        numbers=range(2, len(head)),
        note="The log-odds of the two orders added, so that any preference for a position or a"
        " letter cancels. Shown beside the verdicts, of which a flip counts as a tie; it is not"
        " their win rate.",
    )


def _by_group(judged: Judged, judge: str) -> list[Html]:
    """By languages seen in training, by origin of the prompt's text, and by category."""
    outcomes = judged.only(judge)
    columns = []
    if judged.seen:
        is_seen = pl.col("language").is_in(list(judged.seen))
        seen = pl.when(is_seen).then(pl.lit("seen")).otherwise(pl.lit("unseen"))
        outcomes = outcomes.with_columns(seen=seen)
        columns.append(("seen", "By languages seen in training"))
    for column, title in (("origin", "By origin of the prompt"), ("category", "By category")):
        groups = set(outcomes[column].unique())
        # A single origin is shown too: that all prompts were translated is worth knowing.
        if 1 < len(groups) <= _MOST_GROUPS or (column == "origin" and groups != {""}):
            columns.append((column, title))
    head = ["", *_COLUMNS]
    sections = []
    for column, title in columns:
        rows = [[row[column] or "not stated", *_cells(row)]
                for row in win_rate_table(outcomes, column).iter_rows(named=True)]  # fmt: skip
        sections.append(
            section(f"{title}, {judge}", table(head, rows, numbers=range(1, len(head))))
        )
    return sections


def _style(judged: Judged) -> Html:
    rows = []
    for judge, results in judged.controlled.items():
        (raw,) = win_rate_table(judged.only(judge), "judge").to_dicts()
        rows.append([judge, "nothing", _win_rate(raw), ""])
        for result in results:
            shown = f"{result.win_rate:.1%} ({result.lower:.1%} to {result.upper:.1%})"
            equal = ", ".join(result.features) or "nothing differs"
            rows.append([judge, equal, DASH if result.problem else shown, result.problem])
    return table_section(
        "Win rate at equal length and style",
        ["judge", "held equal", "win rate", ""],
        rows,
        numbers=(2,),
        note=f"Bradley–Terry with the differences as features; lengths in {judged.length}; Markdown"
        " headers, list items and bold words per unit of length.",
    )


def write_arena_page(
    path: Path, rows: Sequence[Sequence[str]], weight: int, ledger: Ledger
) -> None:
    """Write the page of arena-hard's scores: model, prompts, score, and both intervals."""
    head = ["model", "prompts", "score", "95 %, over prompts", "arena-hard's 90 %, over rows"]
    lead = f"Scores by arena-hard's rule; a strong verdict counts {weight} times."
    parts = [
        section("Models", table(head, rows, numbers=range(1, len(head))), note=_ARENA_NOTE),
        ledger_section(ledger.rows()),
    ]
    write_page(path, "Arena-hard's score", tag("p", lead, class_="lead"), parts)


_ARENA_NOTE = (
    "Arena-hard's own interval resamples the copies of a verdict independently: it is too narrow,"
    " and shown for comparison."
)


def _arena(judged: Judged) -> Html:
    rows = []
    for judge, points in judged.points.items():
        if points:
            ours, theirs = interval_over_prompts(points), interval_over_rows(points)
            rows.append([judge, f"{100 * ours.score:.1f}",
                         ours.bounds, theirs.bounds])  # fmt: skip
    head = ["judge", "score", "95 %, over prompts", "arena-hard's 90 %, over rows"]
    return table_section(
        "Arena-hard's score",
        head,
        rows,
        numbers=(1, 2, 3),
        note="A strong verdict counts three times, a tie half, over all prompts with two verdicts."
        f" {_ARENA_NOTE}",
    )


def _decided(judged: Judged, judge: str) -> str:
    """Which languages are decided for which model, in words."""
    outcomes = judged.only(judge)
    if outcomes["value"].drop_nulls().is_empty():
        return "no valid verdict"
    tags: dict[str, list[str]] = {"B": [], "A": [], "open": []}
    for row in significant_languages(outcomes).iter_rows(named=True):
        tags[row["verdict"]].append(row["language"])
    baseline, model = judged.models
    words = [f"{name} wins in {' '.join(tags[side])}"
             for side, name in (("B", model), ("A", baseline)) if tags[side]]  # fmt: skip
    return "; ".join([*words, *([f"open in {' '.join(tags['open'])}"] if tags["open"] else [])])


def _cells(row: Mapping[str, Any]) -> list[str]:
    return [
        f"{row['pairs']:,}", _share(row, "wins"), _share(row, "ties"), _share(row, "losses"),
        percent(row["win_rate"]), _interval(row),
        *[percent(row[key]) for key in ("flip", "tie", "invalid", "abstained", "first")],
    ]  # fmt: skip


def _valid(row: Mapping[str, Any]) -> int:
    return row["pairs"] - row["invalid_pairs"]


def _share(row: Mapping[str, Any], name: str) -> str:
    return percent(row[name] / _valid(row) if _valid(row) else None)


def _win_rate(row: Mapping[str, Any]) -> str:
    return f"{percent(row['win_rate'])} ({_interval(row)})"


def _interval(row: Mapping[str, Any]) -> str:
    return interval(row["lower"], row["upper"], ".1%", "no valid verdict")
