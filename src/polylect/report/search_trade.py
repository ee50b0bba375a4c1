"""Parts of a search's page: what is traded, whether more checkpoints help, what it cost."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from polylect.base import decode
from polylect.report.charts import Point, scatter
from polylect.report.folder import Folder, signed
from polylect.report.page import Html, join, link, section, table, tag
from polylect.runs import MANIFEST, VOLATILE
from polylect.search import Archive, AspectsConfig, aspects_of

_SINGLE = "single:"


def number(value: float) -> str:
    """Four digits; a dash where a score is missing or a bound is broken."""
    if not math.isfinite(value) or abs(value) >= 1e9:
        return "–"  # a score is missing, or a bound is broken
    return f"{value:.4f}".replace("-", "\u2212")


def front_section(folder: Folder, found: Mapping[str, Any], finals: pl.DataFrame) -> Html:
    """Trade-offs: the named merges in every aspect, and the volumes below the front."""
    aspects = [one["aspect"] for one in finals["aspects"][0]]
    columns = {name: [value[i]["value"] for value in finals["aspects"]]
               for i, name in enumerate(aspects)}  # fmt: skip
    most = {name: max(values) for name, values in columns.items()}
    proof = folder.proof("verdicts")
    rows = []
    for row in finals.iter_rows(named=True):
        cells = [
            tag("span", link(number(one["value"]), proof),
                class_="best" if one["value"] == most[one["aspect"]] else None)
            for one in row["aspects"]
        ]  # fmt: skip
        rows.append([row["name"], *cells])
    volume = found["volume"]
    words = "Hypervolume is not computed for this number of aspects."
    if volume is not None:
        words = (
            f"Hypervolume (search part, above the worst single checkpoint in each aspect): singles"
            f" {volume['singles']:.4g}, with the baselines {volume['baselines']:.4g}, with all"
            f" candidates {volume['all']:.4g}."
        )
    stages = ", ".join(f"{name} {num}" for name, num in found["stages"].items())
    return section(
        "Trade-offs",
        _front_chart(folder, found, finals),
        table(["", *aspects], rows, numbers=range(1, len(aspects) + 1)),
        tag("p", f"On the Pareto front: {len(found['front'])} of the evaluated merges ({stages})."),
        tag("p", words),
        note="Aspects on the test part, turned so that more is better (bits carry a minus). The"
        " knee is the merge of the front whose worst aspect, on the front's range, is best.",
    )


def _front_chart(folder: Folder, found: Mapping[str, Any], finals: pl.DataFrame) -> Html:
    """The archive in two aspects: those in which the single checkpoints differ most."""
    archive = Archive.read(folder.step("search") / "archive.parquet")
    aspects = decode(AspectsConfig, found["aspects"], "search.json")
    rows = [aspects_of(one.scores, aspects) for one in archive.entries]
    names = [one["aspect"] for one in finals["aspects"][0]]
    if len(names) < 2:
        return Html("")
    alone = [rows[found["named"][_SINGLE + label]] for label in found["labels"]]
    spread = {name: max(one[name] for one in alone) - min(one[name] for one in alone)
              for name in names}  # fmt: skip
    across, up = sorted(names, key=lambda name: (-spread[name], names.index(name)))[:2]
    front = set(found["front"])
    series = {
        "evaluated": [n for n in range(len(rows)) if n not in front],
        "on the front": sorted(front),
        "single checkpoints": [found["named"][_SINGLE + label] for label in found["labels"]],
        "named merges": [n for name, n in found["named"].items()
                         if not name.startswith((_SINGLE, "searched"))],
        "searched": [found["named"]["searched"]],
    }  # fmt: skip
    by_number: dict[int, str] = {}
    for name, number_ in found["named"].items():
        by_number.setdefault(number_, name)
    points = [
        Point(rows[n][across], rows[n][up], index, by_number.get(n, f"merge {n}"))
        for index, own in enumerate(series.values())
        for n in own
        if math.isfinite(rows[n][across] + rows[n][up])
    ]
    if not points:
        return Html("")
    chart = scatter(points, list(series), f"{across}, more is better", f"{up}, more is better")
    return join([chart, tag("p", tag("small", f"Search part. Of {len(names)} aspects, the two in"
                " which the single checkpoints differ most."))])  # fmt: skip


def pools_section(folder: Folder, found: Mapping[str, Any]) -> Html:
    """Whether more checkpoints help, at equal evaluations."""
    proof = folder.proof("search")
    if not found["pools"]:
        words = "The search was not repeated on parts of the pool."
        return section("Would fewer checkpoints do?", tag("p", words))
    rows, by_size = [], {}
    for one in found["pools"]:
        by_size.setdefault(len(one["members"]), []).append(one)
    whole = found["whole_pool"]
    values = found["values"]
    best = max(values[_SINGLE + label] for label in found["labels"])
    for size, own in by_size.items():
        means = {
            key: sum(one[key] for one in own) / len(own) for key in ("single", "uniform", "fitness")
        }
        spread = ", ".join(number(one["fitness"]) for one in own)
        members = "; ".join(" ".join(one["members"]) for one in own)
        rows.append(
            [tag("span", f"{size}", title=members), len(own),
             *[number(means[key]) for key in ("single", "uniform")],
             link(number(means["fitness"]), proof), spread, signed(means["fitness"] - whole, 4)]
        )  # fmt: skip
    rows.append([f"{len(found['labels'])} (all)", 1, number(best), number(values["uniform"]),
                 link(number(whole), proof), "", ""])  # fmt: skip
    head = ["checkpoints", "draws", "best single", "uniform", "searched", "every draw", "to all"]
    return section(
        "Would fewer checkpoints do?",
        table(head, rows, numbers=(1, 2, 3, 4, 5, 6)),
        note="Search part; means over the draws. Every part of the pool was searched with as many"
        " evaluations as the last row took of the whole search, so that a larger pool has no larger"
        " budget. Within a draw the larger part holds the smaller one.",
    )


def cost_section(folder: Folder, found: Mapping[str, Any]) -> Html:
    """What the search cost: merges by stage; seconds from the file of what cannot repeat."""
    stages = found["stages"]
    rows = [[name, f"{num:,}"] for name, num in stages.items()]
    rows.append([tag("strong", "all"), f"{sum(stages.values()):,}"])
    made = {label: folder.proof(label).replace(MANIFEST, VOLATILE)
            for label in ("search", "finals", "merged", "verdicts")}  # fmt: skip
    there = {label: place for label, place in made.items() if Path(folder.path / place).is_file()}
    frames = [
        tag("figure", tag("figcaption", link(label, place)),
            tag("iframe", src=place, title=f"seconds of {label}", class_="seconds"))
        for label, place in there.items()
    ]  # fmt: skip
    return section(
        "What it cost",
        table(["stage", "merges scored"], rows, numbers=(1,)),
        tag("div", *frames, class_="frames"),
        note="Seconds of every step, read from its volatile.json: they are no part of this page, so"
        " that the same search gives the same page. evaluation_seconds is the wall time of scoring"
        " all merges in all tries.",
    )
