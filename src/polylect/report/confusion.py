"""The page of language confusion: models side by side, then each language by every identifier."""

import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from polylect.base import Ledger, write_json
from polylect.base import language as language_of
from polylect.evals import ALL, Confusion
from polylect.report.charts import Dot, dot_plot, legend
from polylect.report.page import Html, language_cell, section, table, tag, write_page
from polylect.stats import Proportion, mean_proportion, wilson_interval


def write_confusion(out: Path, found: Sequence[Confusion], summaries: Sequence[str]) -> Path:
    """Write a score table per model, ``confusion.json`` and the page; the page's path."""
    for one in found:
        one.scores.write(out / f"{file_name(one.model)}.parquet")
    write_json(out / "confusion.json", [_to_json(one) for one in found])
    names = list(found[0].rates)
    lead = tag(
        "p",
        "Does a model answer in the language that it was asked for? A line pass rate is the share"
        " of answers all of whose lines are in it; a word pass rate the share of those, in"
        " languages of another script, without an English word. Rates are averaged as the Language"
        " Confusion Benchmark does: over sources, then over languages, each counting alike.",
        class_="lead",
    )
    parts = [_models(found, names)]
    parts += [_languages(one, names) for one in found]
    parts += [_agreement(found), _skipped(found)]
    rows = list(zip(names, summaries, strict=True))
    parts.append(section("Who says which language it is", table(["identifier", "how"], rows)))
    write_page(out / "index.html", "Language confusion", lead, parts)
    return out / "index.html"


def confusion_summary(found: Sequence[Confusion]) -> str:
    """A line per model and identifier for the terminal."""
    width = max(len(one.model) for one in found)
    lines = [
        f"{'model':<{width}}  {'identifier':<12}{'line pass':>10}{'word pass':>10}{'skipped':>9}"
    ]
    for one in found:
        skipped = one.ledger.total()
        for name, rates in one.rates.items():
            own = rates[ALL, ALL]
            lines.append(
                f"{one.model:<{width}}  {name:<12}{_percent(own.line_pass):>10}"
                f"{_percent(own.word_pass):>10}{skipped:>9,}"
            )
    return "\n".join(lines) + "\n"


def intervals(found: Confusion, metric: str) -> dict[str, Proportion]:
    """By language: the mean over sources of a pass rate, with a 95 % interval over prompts."""
    frame = found.scores.frame.filter((pl.col("metric") == metric) & ~pl.col("invalid"))
    groups = (
        frame.with_columns(source=pl.col("group").str.split("/").list.last())
        .group_by("language", "source", maintain_order=True)
        .agg(pl.col("value").mean(), pl.col("cluster").n_unique())
    )
    parts: dict[str, list[Proportion]] = {}
    for language, _, value, num in groups.iter_rows():
        parts.setdefault(language, []).append(wilson_interval(value, num))
    return {language: mean_proportion(own) for language, own in parts.items()}


def _models(found: Sequence[Confusion], names: Sequence[str]) -> Html:
    rates = [f"{kind} pass, {one}" for kind in ("line", "word") for one in names]
    head = ["model", *rates, "skipped"]
    rows = []
    for one in sorted(found, key=lambda one: -one.rates[names[0]][ALL, ALL].line_pass):
        alls = [one.rates[name][ALL, ALL] for name in names]
        row = [_percent(own.line_pass) for own in alls] + [_percent(own.word_pass) for own in alls]
        rows.append([one.model, *row, f"{one.ledger.total():,}"])
    return section(
        "Models",
        table(head, rows, numbers=range(1, len(head))),
        note="An answer without a line of five words is skipped, as the benchmark does it: a model"
        " that says nothing loses nothing. How many were is in the last column.",
    )


def _languages(one: Confusion, names: Sequence[str]) -> Html:
    spans = {name: intervals(one, f"line_pass[{name}]") for name in names}
    tags = [
        language for source, language in one.rates[names[0]] if source == ALL and language != ALL
    ]
    order = sorted(tags, key=lambda language: one.rates[names[0]][ALL, language].line_pass)
    chart, rows = [], []
    for language in order:
        dots, cells = [], []
        for series, name in enumerate(names):
            rates = one.rates[name][ALL, language]
            share = spans[name].get(language)
            if share is None:
                cells += ["–", "–", "–"]
                continue
            words = f"{name}: {share.value:.1%}"
            dots.append(Dot(100 * share.value, 100 * share.lower, 100 * share.upper, series, words))
            cells += [f"{share.value:.1%}", f"{share.lower:.1%} to {share.upper:.1%}"]
            cells.append(_percent(rates.word_pass))
        if dots:
            chart.append((language_of(language), dots))
        rows.append([language_cell(language_of(language)), *cells])
    head = ["language"]
    for name in names:
        head += [f"line pass, {name}", "95 %", "word pass"]
    return section(
        one.model,
        tag("figure", legend(list(names)), dot_plot(chart, "line pass rate, per cent"))
        if chart
        else "",
        table(head, rows, numbers=range(1, len(head))),
        note=f"{one.num_lines:,} lines. Most confused first; intervals are Wilson's, over prompts.",
    )


def _agreement(found: Sequence[Confusion]) -> Html:
    pairs = list(found[0].agreement)
    if not pairs:
        return Html("")
    rows = [[one.model, *[f"{one.agreement[pair]:.1%}" for pair in pairs]] for one in found]
    head = ["model", *[" and ".join(pair) for pair in pairs]]
    return section(
        "How far the identifiers agree",
        table(head, rows, numbers=range(1, len(head))),
        note="Share of lines to which both give the same label.",
    )


def _skipped(found: Sequence[Confusion]) -> Html:
    total = Ledger()
    for one in found:
        total = total + one.ledger
    rows = [[event, where, f"{num:,}"] for event, where, num in total.rows()]
    if not rows:
        return Html("")
    return section("Counted", table(["what", "where", "how often"], rows, numbers=[2]))


def _to_json(one: Confusion) -> dict[str, object]:
    return {
        "model": one.model,
        "num_lines": one.num_lines,
        "rates": {
            name: {"/".join(key): rates for key, rates in own.items()}
            for name, own in one.rates.items()
        },
        "agreement": {"/".join(pair): value for pair, value in one.agreement.items()},
        "ledger": one.ledger.to_json(),
    }


def file_name(model: str) -> str:
    """A model's name as that of a file."""
    return re.sub(r"[^\w.-]+", "_", model).strip("._") or "model"


def _percent(value: float | None) -> Html | str:
    return "–" if value is None else f"{value:.1%}"


__all__ = ["confusion_summary", "file_name", "intervals", "write_confusion"]
