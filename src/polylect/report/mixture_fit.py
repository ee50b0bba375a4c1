"""The page of a fit of mixtures: what is recommended, who gains and pays, and what a point costs.

Drawn from what ``polylect mixture fit`` stored: ``fit.json`` and ``left_out.parquet``.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from polylect.base import Ledger, numbered
from polylect.comparison import GAINED, OPEN, PAID
from polylect.report.charts import Dot, Point, dot_plot, legend, scatter
from polylect.report.formats import (
    DASH,
    language_cell_of,
    language_name,
    language_of,
    lead,
    ledger_section,
    minus,
    percent,
    signed,
    signed_interval,
    verdict_cell,
    with_interval,
)
from polylect.report.page import Html, section, table, table_section, tag, write_page

FIT = "fit.json"
_MOST_CHANGES, _MOST_NAMES, _MOST_SERIES, _MOST_POINTS = 6, 6, 4, 2000
LESS = "Less is better in every loss; an accuracy belongs in the table as 1 − accuracy."
_RULES = {
    "average": "the best average over all cells",
    "worst": "the best gain of the worst-off cell",
    "nobody-pays": "the best average among mixtures that cost no cell anything",
}


def fit_sentences(content: Mapping[str, Any]) -> list[str]:
    """What a fit found, in sentences; ``content`` is that of ``fit.json``."""
    sentences = [_verdict(content)]
    if content["verdict"] == "change":
        sentences.append(_who(content))
        if content["edges"]:
            edges = ", ".join(map(_isolated, content["edges"]))
            sentences.append(
                f"At the edge of what was tried: {edges}; run mixtures beyond it to believe it."
            )
    sentences += _extrapolated(content)
    used = next(row for row in content["laws"] if row["used"])
    others = [f"{row['law']} {row['left_out']:.2%}" for row in content["laws"] if not row["used"]]
    against = f" ({', '.join(others)})" if others else ""
    sentences.append(
        f"The {used['law']} law is off by {used['left_out']:.2%} of the loss on mixtures left"
        f" out{against}."
    )
    for row in content["too_many"]:
        sentences.append(
            f"The {row['law']} law takes {numbered(row['numbers'], 'number')} from a cell, too many"
            f" for {numbered(content['num_mixtures'], 'mixture')}."
        )
    return [*sentences, *_held_out_sentence(content), *_farthest(content), LESS]


def _extrapolated(content: Mapping[str, Any]) -> list[str]:
    """Where the law speaks of shares and scales that no run had."""
    sentences = []
    for key, what in (("reference_beyond", "The reference"),
                      ("recommended_beyond", "The recommended mixture")):  # fmt: skip
        rows = sorted(content.get(key, ()), key=lambda row: -abs(row["share"] - row["tried"]))
        if not rows:
            continue
        shown = [f"{_isolated(row['name'])} {row['share']:z.1%} ({row['end']} tried"
                 f" {row['tried']:z.1%})" for row in rows[:_MOST_CHANGES]]  # fmt: skip
        more = f" and {len(rows) - len(shown)} more" if len(rows) > len(shown) else ""
        sentences.append(f"{what} is beyond what was tried: {', '.join(shown)}{more}; what the law"
                         " says of it no run has shown.")  # fmt: skip
    scale, scales = content.get("at_scale"), content["scales"]
    if scale is not None and scale > scales[-1]:
        sentences.append(f"Scale {scale:g} is {scale / scales[-1]:.3g} times the largest that was"
                         f" run ({scales[-1]:g}): the law is stretched that far.")  # fmt: skip
    elif scale is not None and scale < scales[0]:
        sentences.append(f"Scale {scale:g} is below the smallest that was run ({scales[0]:g}).")
    return sentences


def _held_out_sentence(content: Mapping[str, Any]) -> list[str]:
    used = next(row for row in content["laws"] if row["used"])
    if used["held_out"] is None:
        return []
    rank = used["held_out_rank"]
    words = "" if rank is None else f", rank correlation {rank:z.3f}"
    others = [f"{row['law']} {row['held_out']:.2%}" for row in content["laws"]
              if not row["used"] and row["held_out"] is not None]  # fmt: skip
    runs = numbered(content["num_held_out"], "held-out run") if "num_held_out" in content else (
        "held-out runs")  # fmt: skip
    against = f" ({', '.join(others)})" if others else ""
    return [f"On {runs} it is off by {used['held_out']:.2%}{words}{against}."]


def _farthest(content: Mapping[str, Any]) -> list[str]:
    """Where a law is far off: the run and cell that it misses most."""
    row = content.get("farthest")
    if row is None:
        return []
    cells = numbered(row["num_cells"], "cell")
    run, cell = _isolated(row["run"]), _isolated(row["cell"])
    return [f"On {cells} the law is off by more than 10 %; farthest is run {run}, cell {cell}:"
            f" {row['observed']:.4g}, where {row['predicted']:.4g} was predicted from the other"
            " mixtures. Is it right?"]  # fmt: skip


def _verdict(content: Mapping[str, Any]) -> str:
    gain = content["gain"]
    bounds = f"{100 * gain['lower']:+z.2f} to {100 * gain['upper']:+z.2f}"
    what = "of the worst-off cell" if content["rule"] == "worst" else "on average"
    best = _changes(content, "considered")
    if content["verdict"] == "change":
        return (f"Recommended, for {_RULES[content['rule']]}: {best}. Predicted gain {what}:"
                f" {100 * gain['value']:+z.2f} % ({bounds}) of the loss.")  # fmt: skip
    if content["verdict"] == "not separable":
        return (f"No change is recommended: the law's best mixture ({best}) would gain"
                f" {100 * gain['value']:+z.2f} % ({bounds}) {what}, which cannot be separated from"
                " none.")  # fmt: skip
    if content["verdict"] == "reference is best":
        return f"No change is recommended: none is better, for {_RULES[content['rule']]}."
    words = (f"No change is recommended: shares explain losses no better than chance"
             f" (p = {content['p_value']:.3f}).")  # fmt: skip
    if content["lowest_p"] > content["level"]:
        words += (f" With {numbered(content['num_mixtures'], 'mixture')} p cannot fall below"
                  f" {content['lowest_p']:.2f}: run more mixtures.")  # fmt: skip
    return words


def _changes(content: Mapping[str, Any], key: str) -> str:
    rows = sorted(content["shares"], key=lambda row: -abs(row[key] - row["reference"]))
    moved = [row for row in rows if abs(row[key] - row["reference"]) >= 5e-4]
    shown = [f"{_isolated(row['name'])} {row['reference']:z.1%} → {row[key]:z.1%}"
             for row in moved[:_MOST_CHANGES]]  # fmt: skip
    more = len(moved) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _who(content: Mapping[str, Any]) -> str:
    by_verdict = {name: [row["cell"] for row in content["gains"] if row["verdict"] == name]
                  for name in (GAINED, PAID, OPEN)}  # fmt: skip
    parts = [f"{len(cells)} {name}" for name, cells in by_verdict.items()]
    words = f"Of {numbered(len(content['gains']), 'cell')}: {', '.join(parts)}."
    if paid := by_verdict[PAID]:
        names = ", ".join(language_name(cell) for cell in paid[:_MOST_NAMES])
        words += f" Who pays: {names}" + (" and others." if len(paid) > _MOST_NAMES else ".")
    return words


def write_fit_page(
    folder: Path, content: Mapping[str, Any], left_out: pl.DataFrame, ledger: Ledger
) -> Path:
    """Write the page of a fit beside its files; returns its path.

    Args:
        folder: of the result.
        content: of ``fit.json``.
        left_out: of ``left_out.parquet``.
        ledger: what was left out.
    """
    words = (
        f"{numbered(content['num_runs'], 'run')} of {numbered(content['num_mixtures'], 'mixture')}"
        f" of {numbered(len(content['shares']), 'stream')}, the loss on"
        f" {numbered(len(content['gains']), 'kind of text', 'kinds of text')} (less is better)."
        f" Measured from"
        f" {' '.join(map(_isolated, content['reference'].split()))}."
    )
    parts = [
        _shares(content),
        _gains(content),
        *_prices(content),
        _trust(content, left_out),
        _held_out(content),
        ledger_section(ledger.rows()),
    ]
    path = folder / "index.html"
    write_page(path, "A fit of mixtures", lead(words, fit_sentences(content)), parts)
    return path


def _cell_label(name: str) -> Any:
    """A cell that is a language is shown as one."""
    return language_of(name)


def _cell_name(name: str) -> Html:
    return tag("bdi", name) if isinstance(language_of(name), str) else language_cell_of(name)


def _shares(content: Mapping[str, Any]) -> Html:
    is_change = content["verdict"] == "change"
    key = "recommended" if is_change else "considered"
    dots = []
    for row in content["shares"]:
        low, high = 100 * row["lowest"], 100 * row["highest"]
        before, after = 100 * row["reference"], 100 * row[key]
        pair = [Dot(before, low, high, 0, f"{row['name']}: {before:z.1f} % in the reference",
                    hollow=True)]  # fmt: skip
        if content["verdict"] != "reference is best":
            pair.append(Dot(after, after, after, 1, f"{row['name']}: {after:z.1f} % {key}"))
        dots.append((row["name"], pair))
    head = ["stream", "reference", key, "change, points", "allowed"]
    rows = [
        [tag("bdi", row["name"]), percent(row["reference"]), percent(row[key]),
         signed(100 * (row[key] - row["reference"]), 1),
         f"{row['lowest']:z.1%} to {row['highest']:z.1%}"]
        for row in content["shares"]
    ]  # fmt: skip
    note = ("Share of a run's tokens. A ring is the reference, its line what was allowed: unless"
            " bounds were given, what some run tried.")  # fmt: skip
    if not is_change:
        note += " The other dot was considered, and is not recommended."
    chart = dot_plot(dots, "share of the tokens, %", zero=True, line=28)
    return section("The mixture", legend(["reference", key]), chart,
                   table(head, rows, numbers=(1, 2, 3, 4)), note=note)  # fmt: skip


def _gains(content: Mapping[str, Any]) -> Html:
    if content["verdict"] != "change":
        return Html("")
    dots = [
        (_cell_label(row["cell"]),
         [Dot(100 * row["value"], 100 * row["lower"], 100 * row["upper"], 0,
              f"{row['cell']}: {100 * row['value']:+z.2f} %")])
        for row in content["gains"]
    ]  # fmt: skip
    rows = [
        [_cell_name(row["cell"]), f"{row['before']:.4f}", f"{row['after']:.4f}",
         with_interval(signed(100 * row["value"], 2), 100 * row["lower"], 100 * row["upper"], 2),
         verdict_cell(row["verdict"])]
        for row in content["gains"]
    ]  # fmt: skip
    note = (
        "Predicted fall of the loss from the reference to the recommended mixture, in per cent of"
        " it; worst first. The intervals hold for all cells at once (95 %, over resampled"
        f" mixtures, {content['degrees']} degrees of freedom); they do not cover that the mixture"
        " was chosen among many, nor that the law may be of the wrong form. Train it to know."
    )
    chart = dot_plot(dots, "gain, %", zero=True, ends=("← pays", "gains →"))
    head = ["kind of text", "before", "after", "gain, %", ""]
    return section("Who gains, who pays", chart, table(head, rows, numbers=(1, 2, 3)), note=note)


def _prices(content: Mapping[str, Any]) -> list[Html]:
    rows = content["prices"]
    if not rows:
        return []
    streams = list(dict.fromkeys(row["stream"] for row in rows))
    by_cell: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        by_cell.setdefault(row["cell"], {})[row["stream"]] = row
    body = [
        [_cell_name(cell), *(_price(values.get(stream)) for stream in streams)]
        for cell, values in by_cell.items()
    ]
    parts: list[object] = []
    if len(streams) <= _MOST_SERIES:
        dots = [
            (_cell_label(cell),
             [Dot(row["percent"], row["lower"], row["upper"], streams.index(stream),
                  f"{cell}, {stream}: {row['percent']:+z.3f} %")
              for stream, row in values.items()])
            for cell, values in by_cell.items()
        ]  # fmt: skip
        parts = [legend(streams), dot_plot(dots, "rise of the loss per point, %", zero=True,
                                           line=16 + 7 * len(streams))]  # fmt: skip
    head = ["kind of text", *(tag("bdi", stream) for stream in streams)]
    parts.append(table(head, body, numbers=range(1, len(head))))
    note = ("Rise of the loss, in per cent of it, for one percentage point more of a stream at the"
            " reference, all others giving in proportion; below 0 the point helps. Each interval"
            " for itself (95 %).")  # fmt: skip
    return [section("Price of a point", *parts, note=note)]


def _price(row: Mapping[str, Any] | None) -> object:
    if row is None:
        return DASH
    bounds = tag("small", signed_interval(row["lower"], row["upper"], 3))
    return tag("span", signed(row["percent"], 3), " ", bounds)


def _trust(content: Mapping[str, Any], left_out: pl.DataFrame) -> Html:
    has_scales = any(row["largest_scale"] is not None for row in content["laws"])
    has_held_out = bool(content["held_out"])
    head = ["law", "error", "rank correlation", *(["at the largest scale"] if has_scales else []),
            *(["error, held out", "rank, held out"] if has_held_out else []), ""]  # fmt: skip
    rows = [
        [tag("strong", row["law"]) if row["used"] else row["law"], f"{row['left_out']:.2%}",
         _rank(row["left_out_rank"]),
         *([_percent(row["largest_scale"])] if has_scales else []),
         *([_percent(row["held_out"]), _rank(row["held_out_rank"])] if has_held_out else []),
         "used" if row["used"] else ""]
        for row in content["laws"]
    ]  # fmt: skip
    numbers = range(1, len(head) - 1)
    parts = "every mixture" if content["num_folds"] == content["num_mixtures"] else (
        f"{numbered(content['num_folds'], 'part')} of the mixtures")  # fmt: skip
    note = (
        f"What each law says of mixtures that it was not fitted to: {parts} left out in turn, with"
        " all seeds. Error: root mean squared, relative to the loss, mean over cells. Rank: of the"
        " mean over cells."
    )
    if has_scales:
        note += " At the largest scale: fitted to the smaller ones."
    if has_held_out:
        note += " Held out: the runs that were given for it."
    law = content["law"]
    used = left_out.filter(pl.col("law") == law).with_columns(
        level=pl.col("observed").mean().over("cell")
    )
    points = [
        Point(100 * (row["predicted"] / row["level"] - 1),
              100 * (row["observed"] / row["level"] - 1), 0,
              f"{row['run']}, {row['cell']}: {row['observed']:.4f}, predicted"
              f" {row['predicted']:.4f}")
        for row in used.gather_every(max(1, used.height // _MOST_POINTS)).iter_rows(named=True)
    ]  # fmt: skip
    chart = scatter(points, [f"a run and a kind of text, {law} law"],
                    "predicted without its mixture, % off the mean", "observed, %")  # fmt: skip
    matters = (f"Test that shares matter at all, mixtures dealt out anew: p ="
               f" {content['p_value']:.3f}.")  # fmt: skip
    return section("How far to trust it", table(head, rows, numbers=numbers), chart,
                   tag("p", matters), note=note)  # fmt: skip


def _held_out(content: Mapping[str, Any]) -> Html:
    rows: Sequence[Mapping[str, Any]] = [
        row for row in content["held_out"] if row["law"] == content["law"]
    ]
    cells = [
        [_cell_name(row["cell"]) if row["cell"] != "mean" else "mean of all",
         f"{row['relative']:.2%}", _rank(row["rank_correlation"])]
        for row in rows
    ]  # fmt: skip
    note = (f"Of the {content['law']} law. Where the runs are of another size, their level is"
            " another and only ranks compare.")  # fmt: skip
    head = ["kind of text", "error", "rank correlation"]
    return table_section("Held-out runs", head, cells, numbers=(1, 2), note=note)


def _rank(value: float | None) -> str:
    return DASH if value is None else minus(f"{value:z.3f}")


def _percent(value: float | None) -> str:
    return DASH if value is None else f"{value:.2%}"


def _isolated(name: str) -> str:
    """A name that does not turn the numbers beside it around, where it runs from right to left."""
    name, equals, number = name.partition("=")
    is_rtl = any(unicodedata.bidirectional(char) in ("R", "AL") for char in name)
    return (f"\u2068{name}\u2069" if is_rtl else name) + equals + number
