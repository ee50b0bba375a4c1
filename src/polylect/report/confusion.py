"""The page of language confusion: models side by side, then languages by every identifier."""

import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from polylect.base import Ledger, write_json
from polylect.evals import OVERALL, SKIPPED, Confusion
from polylect.report.charts import Dot, dot_plot, legend
from polylect.report.formats import DASH, language_cell_of, language_of, ledger_section, percent
from polylect.report.page import Html, section, table, table_section, tag, write_page
from polylect.stats import Proportion, mean_proportion, share_interval

CANNOT_TELL = "cannot tell"
"""Stands for a rate of which an identifier cannot tell; the ledger has the reason."""


def write_confusion(out: Path, confusions: Sequence[Confusion], summaries: Sequence[str]) -> Path:
    """Write a score table per model, ``confusion.json`` and the page; returns the page's path."""
    for confusion in confusions:
        confusion.scores.write(out / f"{file_name(confusion.model)}.parquet")
    write_json(out / "confusion.json", [_to_json(confusion) for confusion in confusions])
    names = list(confusions[0].rates)
    lead = (
        "Does a model answer in the language it was asked for? Line pass rate: the share of"
        " answers whose lines are all in that language. Word pass rate, for languages not in Latin"
        " script: the share of those without an English word. Rates are averaged as in the Language"
        " Confusion Benchmark: over sources, then over languages, each counting equally."
    )
    parts = [_models(confusions, names)]
    parts += [_languages(confusion, names) for confusion in confusions]
    parts += [_agreement(confusions), ledger_section(_ledger(confusions).rows())]
    rows = list(zip(names, summaries, strict=True))
    parts.append(section("Who says which language it is", table(["identifier", "how"], rows)))
    write_page(out / "index.html", "Language confusion", lead, parts)
    return out / "index.html"


def intervals(confusion: Confusion, metric: str) -> dict[str, Proportion]:
    """By language: the mean over sources of a pass rate, with a 95 % interval over prompts."""
    frame = confusion.scores.frame.filter((pl.col("metric") == metric) & ~pl.col("invalid"))
    by_source = frame.with_columns(source=pl.col("group").str.split("/").list.last())
    parts: dict[str, list[Proportion]] = {}
    for row in share_interval(by_source, ["language", "source"], pl.col("value")).to_dicts():
        share = Proportion(row["mean"], row["lower"], row["upper"])
        parts.setdefault(row["language"], []).append(share)
    return {language: mean_proportion(shares) for language, shares in parts.items()}


def _models(confusions: Sequence[Confusion], names: Sequence[str]) -> Html:
    rates = [f"{kind} pass, {name}" for kind in ("line", "word") for name in names]
    head = ["model", *rates, "skipped"]
    rows = []
    for confusion in sorted(confusions, key=lambda confusion: -_passed(confusion, names[0])):
        overall = [confusion.rates[name].get((OVERALL, OVERALL)) for name in names]
        is_empty = [
            rates and not _num_answers(confusion, name)
            for rates, name in zip(overall, names, strict=True)
        ]
        cells = [percent(rates.line_pass) if rates else CANNOT_TELL for rates in overall]
        cells += [percent(rates.word_pass) if rates else CANNOT_TELL for rates in overall]
        cells = [DASH if empty else cell for empty, cell in zip(2 * is_empty, cells, strict=True)]
        rows.append([confusion.model, *cells, f"{confusion.ledger.total(SKIPPED):,}"])
    return section(
        "Models",
        table(head, rows, numbers=range(1, len(head))),
        note="An answer without a line of five words is skipped, as in the benchmark: a model that"
        " says nothing loses nothing. The last column counts them.",
    )


def _num_answers(confusion: Confusion, name: str) -> int:
    """The answers that an identifier checked."""
    return sum(rates.num_answers for rates in confusion.rates[name].values())


def _passed(confusion: Confusion, name: str) -> float:
    """The overall rate by an identifier; below all others where it cannot tell."""
    overall = confusion.rates[name].get((OVERALL, OVERALL))
    return overall.line_pass if overall else -1.0


def _languages(confusion: Confusion, names: Sequence[str]) -> Html:
    spans = {name: intervals(confusion, f"line_pass[{name}]") for name in names}
    told = {
        label: rates.line_pass
        for name in reversed(names)
        for (source, label), rates in confusion.rates[name].items()
        if source == OVERALL and label != OVERALL
    }
    untold = {tag for reasons in confusion.untold.values() for tag in reasons} - told.keys()
    order = [*sorted(told, key=lambda label: told[label]), *sorted(untold)]
    chart, rows = [], []
    for language in order:
        dots, cells = [], []
        for series, name in enumerate(names):
            rates = confusion.rates[name].get((OVERALL, language))
            share = spans[name].get(language)
            if reason := confusion.untold.get(name, {}).get(language):
                cells += [tag("span", CANNOT_TELL, title=reason), DASH, DASH]
                continue
            if share is None or rates is None:
                cells += [DASH, DASH, DASH]
                continue
            words = f"{name}: {share.value:.1%}"
            dots.append(Dot(100 * share.value, 100 * share.lower, 100 * share.upper, series, words))
            cells += [f"{share.value:.1%}", f"{share.lower:.1%} to {share.upper:.1%}"]
            cells.append(percent(rates.word_pass))
        if dots:
            chart.append((language_of(language), dots))
        rows.append([language_cell_of(language), *cells])
    head = ["language"]
    for name in names:
        head += [f"line pass, {name}", "95 %", "word pass"]
    return section(
        confusion.model,
        tag("figure", legend(list(names)), dot_plot(chart, "line pass rate, %")) if chart else "",
        table(head, rows, numbers=range(1, len(head))),
        note=f"{confusion.num_lines:,} lines. Most confused first; Wilson intervals over prompts.",
    )


def _agreement(confusions: Sequence[Confusion]) -> Html:
    pairs = list(confusions[0].agreement)
    rows = [
        [confusion.model, *[_agreed(confusion, pair) for pair in pairs]]
        for confusion in confusions if pairs
    ]  # fmt: skip
    head = ["model", *[" and ".join(pair) for pair in pairs]]
    return table_section(
        "Agreement of the identifiers",
        head,
        rows,
        numbers=range(1, len(head)),
        note="Share of lines that both identify as the same language.",
    )


def _agreed(confusion: Confusion, pair: tuple[str, str]) -> str:
    return percent(confusion.agreement[pair]) if confusion.num_lines else DASH


def _ledger(confusions: Sequence[Confusion]) -> Ledger:
    return sum((confusion.ledger for confusion in confusions), Ledger())


def _to_json(confusion: Confusion) -> dict[str, object]:
    return {
        "model": confusion.model,
        "num_lines": confusion.num_lines,
        "rates": {
            name: {"/".join(key): rates for key, rates in by_source.items()}
            for name, by_source in confusion.rates.items()
        },
        "agreement": {"/".join(pair): value for pair, value in confusion.agreement.items()},
        "ledger": confusion.ledger.to_json(),
        "cannot_tell": confusion.untold,
    }


def file_name(model: str) -> str:
    """A model's name as a file name."""
    return re.sub(r"[^\w.-]+", "_", model).strip("._") or "model"
