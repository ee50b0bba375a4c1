"""The page of a mixture of experts: who its tokens go to, what it weighs, who gained and who paid.

Drawn from what ``polylect experts report`` stored: ``report.json`` and ``routing.parquet``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from polylect.base import Ledger, read_json
from polylect.experts import shares
from polylect.report.charts import Dot, dot_plot, legend
from polylect.report.formats import (
    DASH,
    interval,
    language_cell_of,
    language_of,
    ledger_section,
    percent,
    sentence_list,
    settings_table,
    signed,
    verdict_cell,
)
from polylect.report.heatmaps import heat_map, small_map
from polylect.report.page import Html, join, link, section, table, table_section, tag, write_page
from polylect.report.relative_changes import change_cell, relative_change

REPORT, ROUTING = "report.json", "routing.parquet"
_LANGUAGES = 40
_ORACLE = (
    "The router is the oracle: tokens go to the expert of their text's language by construction, so"
    " that the shares say nothing of what was learned."
)


def write_experts_page(folder: Path, name: str = "index.html") -> Path:
    """Write the page of a report beside its files; returns its path.

    Args:
        folder: with ``report.json`` and ``routing.parquet``.
        name: of the file.
    """
    content = read_json(folder / REPORT)
    routing = pl.read_parquet(folder / ROUTING)
    mixture = (
        f"{content['router']} router over {len(content['experts'])} experts,"
        f" {content['top_k']} per token, in {content['num_blocks']} blocks."
    )
    lead = join([
        tag("p", tag("strong", content["model"]), ": ", mixture, class_="lead"),
        *([tag("p", _ORACLE, class_="alert")] if content["router"] == "oracle" else []),
        sentence_list(report_sentences(content)),
    ])  # fmt: skip
    parts = [
        _by_domain(content, routing),
        _own(content),
        _by_language(content, routing),
        _by_block(content, routing),
        *_verdicts(content),
        _geometry(content),
        _weights(content),
        _training(content),
        _texts(content),
        ledger_section(Ledger.from_json(content["ledger"]).rows()),
        section("How it was made", settings_table(content["settings"])),
    ]
    write_page(folder / name, "A mixture of experts: where tokens go", lead, parts)
    return folder / name


def report_sentences(content: Mapping[str, Any]) -> list[str]:
    """What a report found, in sentences; ``content`` is that of ``report.json``."""
    sentences = []
    if content["router"] == "oracle":
        sentences.append("The router is the oracle: shares are by construction.")
    elif own := sorted(content["own"], key=lambda row: -row["share"]):
        even = 1 / len(content["experts"])
        most = [row for row in own if row["lower"] > even]
        least = [row["domain"] for row in own if row["upper"] < even]
        avoided = f", and below it in {len(least)}: {', '.join(least)}" if least else ""
        sentences.append(
            f"Own expert: {', '.join(map(_own_words, own))}; the interval lies above an even share"
            f" of {even:.1%} in {len(most)} of {len(own)} domains{avoided}."
        )
    unused = [row["expert"] for row in content["use"] if not row["used"]]
    if unused:
        sentences.append(f"Used by nobody (below 1 % of all choices): {', '.join(unused)}.")
    else:
        sentences.append("Every expert has at least 1 % of all choices.")
    size = content["sizes"]
    sentences.append(
        f"{_count(size['active'])} parameters are active of {_count(size['total'])} in all."
    )
    sentences += [pair["sentence"] for pair in content["comparisons"]]
    return sentences


def _own_words(row: Mapping[str, Any]) -> str:
    return f"{row['domain']} {row['share']:.1%} ({row['lower']:.1%} to {row['upper']:.1%})"


def _count(value: float) -> str:
    """A number of parameters, short."""
    for unit, name in ((1e9, "billion"), (1e6, "million")):
        if value >= unit:
            return f"{value / unit:.2f} {name}"
    return f"{value:,.0f}"


def _places(content: Mapping[str, Any]) -> dict[str, int]:
    """Number of each expert."""
    return {name: number for number, name in enumerate(content["experts"])}


def _owner(content: Mapping[str, Any]) -> dict[str, int | None]:
    """The number of the own expert of each domain."""
    places = _places(content)
    return {row["name"]: places.get(row["expert"]) for row in content["domains"]}


def _domain_label(content: Mapping[str, Any], name: str) -> Any:
    """A domain that is a language (of one file for all) is shown as one."""
    domain = next(row for row in content["domains"] if row["name"] == name)
    return language_of(name) if domain["languages"] == [name] else name


def _domain_cell(content: Mapping[str, Any], name: str) -> Html:
    """A domain in a table."""
    is_language = not isinstance(_domain_label(content, name), str)
    return language_cell_of(name) if is_language else tag("bdi", name)


def _values(part: pl.DataFrame, content: Mapping[str, Any]) -> list[float | None]:
    """Shares of all experts, in order."""
    known = dict(zip(part["expert"], part["share"], strict=True))
    return [known.get(number) for number in range(len(content["experts"]))]


def _by_domain(content: Mapping[str, Any], routing: pl.DataFrame) -> Html:
    names, owner = [row["name"] for row in content["domains"]], _owner(content)
    of_domain = shares(routing, ["domain"])
    of_all = shares(routing, ())
    rows = [
        (_domain_label(content, name), _values(of_domain.filter(pl.col("domain") == name), content))
        for name in names
    ]
    rows.append(("all text", _values(of_all, content)))
    marked = [*(owner[name] for name in names), None]
    title = f"Who the tokens of each domain go to: {content['router']} router"
    note = ("Share of each expert in the choices of a domain's tokens, in per cent, mean over"
            " blocks; a row adds up to 100. A frame marks the domain's own expert.")  # fmt: skip
    if content["top_k"] > 1:
        note += (f" A token makes {content['top_k']} choices, so that no expert can have more than"
                 f" {1 / content['top_k']:.0%}.")  # fmt: skip
    chart = heat_map(rows, content["experts"], title, marked=marked)
    unused = [row["expert"] for row in content["use"] if not row["used"]]
    below = tag("p", f"Used by nobody: {', '.join(unused)}." if unused
                else "Nobody is idle: every expert has at least 1 % of all choices.")  # fmt: skip
    return section(title, chart, below, note=note)


def _own(content: Mapping[str, Any]) -> Html:
    if not content["own"]:
        return Html("")
    texts = {row["name"]: row for row in content["domains"]}
    rows = [
        [_domain_cell(content, row["domain"]), tag("bdi", row["expert"]), percent(row["share"]),
         interval(row["lower"], row["upper"], ".1%", DASH), f"{row['clusters']:,}",
         f"{texts[row['domain']]['tokens']:,}"]
        for row in content["own"]
    ]  # fmt: skip
    dots = [
        (_domain_label(content, row["domain"]),
         [Dot(100 * row["share"], 100 * row["lower"], 100 * row["upper"], 0,
              f"{row['domain']}: {row['share']:.1%}")])
        for row in content["own"]
    ]  # fmt: skip
    head = ["domain", "own expert", "share", "95 %", "documents", "tokens"]
    note = "Share of the own expert in all choices."
    if content["router"] == "oracle":
        note += " By construction: the oracle knows the text's language."
    else:
        note += (" The interval is a score interval over documents (translations of one are one),"
                 " each for itself: it holds for the text that they were drawn from.")  # fmt: skip
    note += f" An even share is {1 / len(content['experts']):.1%}."
    return section("Own expert", dot_plot(dots, "share of the own expert, %", zero=True),
                   table(head, rows, numbers=(2, 3, 4, 5)), note=note)  # fmt: skip


def _by_language(content: Mapping[str, Any], routing: pl.DataFrame) -> Html:
    tags = sorted(routing["language"].unique())
    by_language = content["domains"] and all(
        row["languages"] == [row["name"]] for row in content["domains"]
    )
    if by_language:
        return Html("")  # the domains are the languages
    of_language = shares(routing, ["language"])
    rows = [(language_of(tag_), _values(of_language.filter(pl.col("language") == tag_), content))
            for tag_ in tags]  # fmt: skip
    title = "By language"
    maps = [heat_map(rows[:_LANGUAGES], content["experts"], title)]
    if len(rows) > _LANGUAGES:
        summary = tag("summary", f"the other {len(rows) - _LANGUAGES}")
        maps.append(tag("details", summary, heat_map(rows[_LANGUAGES:], content["experts"], title)))
    return section(title, *maps, note="Share of each expert in the choices of a language's tokens,"
                   " in per cent, over all its domains.")  # fmt: skip


def _by_block(content: Mapping[str, Any], routing: pl.DataFrame) -> Html:
    owner = _owner(content)
    of_block = shares(routing, ["domain", "block"])
    num = content["num_blocks"]
    figures, rows = [], []
    for domain in content["domains"]:
        name = domain["name"]
        part = of_block.filter(pl.col("domain") == name)
        values = [
            [value or 0.0 for value in _values(part.filter(pl.col("block") == block), content)]
            for block in range(num)
        ]
        own = owner[name]
        small = small_map(values, content["experts"], f"{name} by block", own)
        figures.append(tag("figure", small, tag("figcaption", _domain_cell(content, name))))
        if own is not None:
            at = [row[own] for row in values]
            low, high = min(range(num), key=at.__getitem__), max(range(num), key=at.__getitem__)
            rows.append([_domain_cell(content, name), percent(at[0]), percent(at[-1]),
                         f"{at[low]:.1%} in {low}", f"{at[high]:.1%} in {high}"])  # fmt: skip
    head = ["own share", "first block", "last block", "least", "most"]
    note = (
        "Each picture is a domain: a row per block from the first down, a column per expert in"
        " the order of the first map, the own expert framed. Blocks are numbered from 0."
    )
    below = table(head, rows, numbers=(1, 2, 3, 4)) if rows else Html("")
    return section("Block by block", tag("div", *figures, class_="frames"), below, note=note)


def _verdicts(content: Mapping[str, Any]) -> list[Html]:
    pairs = content["comparisons"]
    if not pairs:
        return []
    names = [pair["before"] for pair in pairs]
    by_language: dict[str, list[Dot]] = {}
    for series, pair in enumerate(pairs):
        for row in pair["languages"]:
            if (change := _change(row)) is not None:
                title = f"{row['language']}, against {pair['before']}: {change[0]:+.2f} %"
                by_language.setdefault(row["language"], []).append(Dot(*change, series, title))
    order = sorted(by_language, key=lambda label: min(dot.value for dot in by_language[label]))
    chart = Html("")
    if order:
        chart = dot_plot([(language_of(label), by_language[label]) for label in order],
                         "gain in bits per byte, %", zero=True, ends=("← worse", "better →"),
                         line=22 + 5 * len(pairs))  # fmt: skip
    parts = [section(
        "Who gained, who paid", legend([f"against {name}" for name in names]), chart,
        note="Bits per byte of every document, the mixture against each other model, in per cent of"
        " the other's; above 0 the mixture is better. Paired by document; the intervals of one"
        " comparison hold for all its languages at once (95 %).",
    )]  # fmt: skip
    for pair in pairs:
        rows = [
            [language_cell_of(row["language"]), f"{row['before']:.3f}", f"{row['after']:.3f}",
             change_cell(_bounded(row)), verdict_cell(row["verdict"]), f"{row['items']:,}"]
            for row in pair["languages"]
        ]  # fmt: skip
        head = ["language", pair["before"], content["model"], "gain, %", "", "documents"]
        page = link("all of this comparison", f"{pair['folder']}/index.html")
        parts.append(section(f"Against {pair['before']}", table(head, rows, numbers=(1, 2, 3, 5)),
                             tag("p", page), note="Bits per byte; worst-hurt first."))  # fmt: skip
    return parts


def _bounded(row: Mapping[str, Any]) -> dict[str, Any]:
    """A stored row, whose infinite bounds are null."""
    ends = {"change_lower": -float("inf"), "change_upper": float("inf")}
    return {**row, **{key: end for key, end in ends.items() if row.get(key) is None}}


def _change(row: Mapping[str, Any]) -> tuple[float, float, float] | None:
    return relative_change(_bounded(row))


def _geometry(content: Mapping[str, Any]) -> Html:
    geometry, names = content["geometry"], content["experts"]
    if geometry is None or len(names) < 2:
        return Html("")
    maps = []
    for key, words in (
        ("before", "Domain vectors, before projection"),
        ("after", f"Rows of the router, mean over {geometry['num_blocks']} blocks"),
    ):
        if geometry[key] is not None:
            rows = list(zip(names, geometry[key], strict=True))
            mean = f"Mean over pairs {signed(geometry[f'mean_{key}'], 2)}."
            maps.append(tag("figure", tag("figcaption", f"{words}. {mean}"),
                            heat_map(rows, names, words, digits=2, factor=1.0)))  # fmt: skip
    rows = [
        [tag("bdi", row["expert"]), tag("bdi", row["before"]), tag("bdi", row["after"]),
         "kept" if row["kept"] else "changed", f"{row['blocks']} of {geometry['num_blocks']}"]
        for row in geometry["neighbors"]
    ]  # fmt: skip
    head = ["expert", "nearest before", "nearest after", "", "blocks that keep it"]
    below = table(head, rows, numbers=(4,)) if len(names) > 2 and rows else Html("")
    note = "Cosines between experts; below 0 in the other color."
    if geometry["before"] is None:
        note += " A linear router has rows of its own, and no domain vectors before them."
    return section("How the domains lie", *maps, below, note=note)


def _weights(content: Mapping[str, Any]) -> Html:
    size = content["sizes"]
    num, top_k = len(content["experts"]), content["top_k"]
    idle = {part: value // num * (num - top_k) if part == "routed experts" else 0
            for part, value in size["parts"].items()}  # fmt: skip
    rows = [
        [part, f"{value:,}", f"{value - idle[part]:,}"]
        for part, value in sorted(size["parts"].items(), key=lambda pair: -pair[1])
    ]
    rows.append([tag("strong", "all"), f"{size['total']:,}", f"{size['active']:,}"])
    by_type: dict[str, int] = {}
    for row in size["bytes"]:
        by_type[row["dtype"]] = by_type.get(row["dtype"], 0) + row["bytes"]
    in_bytes = [[dtype, f"{num:,}"] for dtype, num in sorted(by_type.items())]
    in_bytes.append([tag("strong", "all"), f"{sum(by_type.values()):,}"])
    note = (
        "Active: what one token meets, which is all but the n − k routed experts that it does not"
        " choose; the table of embeddings is counted whole, a tied head once, the fixed domain"
        " vectors not at all. A nexus router's rows are computed once for all tokens, its"
        " projections are counted all the same. Bytes: of the tensors on disk, domain vectors"
        " included."
    )
    speed = tag("p", "How many tokens a second this machine read: ",
                link("volatile.json", "volatile.json"), ".")  # fmt: skip
    return section(
        "What it weighs",
        table(["part", "parameters", "active"], rows, numbers=(1, 2)),
        table(["element type", "bytes"], in_bytes, numbers=(1,)),
        speed,
        note=note,
    )


def _training(content: Mapping[str, Any]) -> Html:
    rows = [
        [name, cost["method"] or "unknown", ", ".join(cost["parents"]) or DASH,
         "unknown" if cost["tokens"] is None else f"{cost['tokens']:,}"]
        for name, cost in sorted(content["training"].items(),
                                 key=lambda pair: (pair[0] != content["model"], pair[0]))
    ]  # fmt: skip
    note = ("Of the last step alone, as the folder says it (metrics.jsonl or lineage); what the"
            " parents cost is in their own folders.")  # fmt: skip
    return table_section("What it cost", ["model", "made by", "from", "tokens trained on"], rows,
                         numbers=(3,), note=note)  # fmt: skip


def _texts(content: Mapping[str, Any]) -> Html:
    rows = [
        [_domain_cell(content, row["name"]), tag("bdi", row["expert"] or DASH),
         f"{row['num_texts']:,}",
         f"{row['num_documents']:,}", f"{row['tokens']:,}",
         join([language_cell_of(label) for label in row["languages"][:12]], ", "), row["source"]]
        for row in content["domains"]
    ]  # fmt: skip
    head = ["domain", "own expert", "texts", "of", "tokens", "languages", "source"]
    return table_section(
        "The text",
        head,
        rows,
        numbers=(2, 3, 4),
        note="Which texts were drawn depends on the seed and on what they say.",
    )
