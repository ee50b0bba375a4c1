"""Parts of the page of a merge search: trade-offs, size of the pool, cost."""

import math
from collections.abc import Mapping
from typing import Any

import polars as pl

from polylect.base import decode
from polylect.report.charts import Point, scatter
from polylect.report.folder import Folder
from polylect.report.formats import DASH, signed
from polylect.report.page import Html, join, link, section, table, tag
from polylect.search import Archive, AspectsConfig, aspects_of

SINGLE = "single:"
"""Begins the names of single checkpoints in ``search.json``."""

BROKEN = 1e9
"""A fitness at least this far from 0 marks a missing score or a broken bound."""


def fitness_cell(value: float) -> str:
    """Four digits; a dash where a score is missing or a bound is broken."""
    if not math.isfinite(value) or abs(value) >= BROKEN:
        return DASH
    return f"{value:.4f}".replace("-", "\u2212")


def front_section(folder: Folder, search: Mapping[str, Any], finals: pl.DataFrame) -> Html:
    """Trade-offs: the named merges in every aspect, and the volumes below the front."""
    aspects = [aspect["aspect"] for aspect in finals["aspects"][0]]
    columns = {name: [value[i]["value"] for value in finals["aspects"]]
               for i, name in enumerate(aspects)}  # fmt: skip
    most = {name: max(values) for name, values in columns.items()}
    proof = folder.proof("verdicts")
    rows = []
    for row in finals.iter_rows(named=True):
        cells = [
            tag("span", link(fitness_cell(aspect["value"]), proof),
                class_="best" if aspect["value"] == most[aspect["aspect"]] else None)
            for aspect in row["aspects"]
        ]  # fmt: skip
        rows.append([row["name"], *cells])
    volume = search["volume"]
    words = "Hypervolume is not computed for this number of aspects."
    if volume is not None:
        words = (
            f"Hypervolume (search part, above the worst single checkpoint in each aspect): singles"
            f" {volume['singles']:.4g}, with the baselines {volume['baselines']:.4g}, with all"
            f" candidates {volume['all']:.4g}."
        )
    stages = ", ".join(f"{name} {num}" for name, num in search["stages"].items())
    return section(
        "Trade-offs",
        _front_chart(folder, search, finals),
        table(["", *aspects], rows, numbers=range(1, len(aspects) + 1)),
        tag(
            "p", f"On the Pareto front: {len(search['front'])} of the evaluated merges ({stages})."
        ),
        tag("p", words),
        note="Aspects on the test part, with the sign such that more is better (bits are negative)."
        " The knee is the merge of the front whose worst aspect, on the range of the front, is"
        " best.",
    )


def _front_chart(folder: Folder, search: Mapping[str, Any], finals: pl.DataFrame) -> Html:
    """The archive in the two aspects in which the single checkpoints differ most."""
    archive = Archive.read(folder.step("search") / "archive.parquet")
    aspects = decode(AspectsConfig, search["aspects"], "search.json")
    rows = [aspects_of(entry.scores, aspects) for entry in archive.entries]
    names = [aspect["aspect"] for aspect in finals["aspects"][0]]
    if len(names) < 2:
        return Html("")
    singles = [rows[search["named"][SINGLE + label]] for label in search["labels"]]
    spread = {name: max(row[name] for row in singles) - min(row[name] for row in singles)
              for name in names}  # fmt: skip
    across, up = sorted(names, key=lambda name: (-spread[name], names.index(name)))[:2]
    front = set(search["front"])
    series = {
        "evaluated": [n for n in range(len(rows)) if n not in front],
        "on the front": sorted(front),
        "single checkpoints": [search["named"][SINGLE + label] for label in search["labels"]],
        "named merges": [n for name, n in search["named"].items()
                         if not name.startswith((SINGLE, "searched"))],
        "searched": [search["named"]["searched"]],
    }  # fmt: skip
    by_number: dict[int, str] = {}
    for name, number in search["named"].items():
        by_number.setdefault(number, name)
    points = [
        Point(rows[n][across], rows[n][up], index, by_number.get(n, f"merge {n}"))
        for index, numbers in enumerate(series.values())
        for n in numbers
        if math.isfinite(rows[n][across] + rows[n][up])
    ]
    if not points:
        return Html("")
    chart = scatter(points, list(series), f"{across}, more is better", f"{up}, more is better")
    return join([chart, tag("p", tag("small", f"Search part. Of {len(names)} aspects, the two in"
                " which the single checkpoints differ most."))])  # fmt: skip


def pools_section(folder: Folder, search: Mapping[str, Any]) -> Html:
    """Whether more checkpoints help, at an equal number of evaluations."""
    proof = folder.proof("search")
    if not search["pools"]:
        words = "The search was not repeated on parts of the pool."
        return section("Would fewer checkpoints do?", tag("p", words))
    rows, by_size = [], {}
    for pool in search["pools"]:
        by_size.setdefault(len(pool["members"]), []).append(pool)
    whole = search["whole_pool"]
    values = search["values"]
    best = max(values[SINGLE + label] for label in search["labels"])
    for size, pools in by_size.items():
        means = {key: sum(pool[key] for pool in pools) / len(pools)
                 for key in ("single", "uniform", "fitness")}  # fmt: skip
        spread = ", ".join(fitness_cell(pool["fitness"]) for pool in pools)
        members = "; ".join(" ".join(pool["members"]) for pool in pools)
        rows.append(
            [tag("span", f"{size}", title=members), len(pools),
             *[fitness_cell(means[key]) for key in ("single", "uniform")],
             link(fitness_cell(means["fitness"]), proof), spread,
             signed(means["fitness"] - whole, 4)]
        )  # fmt: skip
    cells = [fitness_cell(best), fitness_cell(values["uniform"]), link(fitness_cell(whole), proof)]
    rows.append([f"{len(search['labels'])} (all)", 1, *cells, "", ""])
    head = ["checkpoints", "draws", "best single", "uniform", "searched", "every draw", "to all"]
    return section(
        "Would fewer checkpoints do?",
        table(head, rows, numbers=(1, 2, 3, 4, 5, 6)),
        note="Search part; means over the draws. Every part of the pool, and the whole pool in the"
        " last row, had the same number of evaluations, so that a larger pool has no larger budget."
        " Within a draw the larger part contains the smaller one.",
    )


def cost_section(folder: Folder, search: Mapping[str, Any]) -> Html:
    """What the search cost: merges by stage; seconds, read from volatile.json."""
    stages = search["stages"]
    rows = [[name, f"{num:,}"] for name, num in stages.items()]
    rows.append([tag("strong", "all"), f"{sum(stages.values()):,}"])
    costs = [(label, folder.costs(label)) for label in ("search", "finals", "merged", "verdicts")]
    frames = [
        tag("figure", tag("figcaption", link(label, file)),
            tag("iframe", src=file, title=f"seconds of {label}", class_="seconds"))
        for label, file in costs if (folder.path / file).is_file()
    ]  # fmt: skip
    return section(
        "What it cost",
        table(["stage", "merges scored"], rows, numbers=(1,)),
        tag("div", *frames, class_="frames"),
        note="Seconds of every step, from its volatile.json: they are not part of this page, so"
        " that the same search gives the same page. evaluation_seconds is the wall time of scoring"
        " all merges in all attempts.",
    )
