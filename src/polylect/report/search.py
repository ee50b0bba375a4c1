"""The page of a merge search, read from the run folder; every number links to what made it."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from polylect.base import Ledger, read_json
from polylect.report.charts import Dot, curves, dot_plot, legend
from polylect.report.folder import Folder
from polylect.report.formats import (
    DASH,
    VERDICT_CLASSES,
    language_cell_of,
    lead,
    ledger_section,
    minus,
    signed,
    verdict_cell,
    with_interval,
)
from polylect.report.page import Html, link, section, table, tag, write_page
from polylect.report.search_trade import (
    BROKEN,
    SINGLE,
    cost_section,
    fitness_cell,
    front_section,
    pools_section,
)
from polylect.runs import MANIFEST

_BAR = 8.0  # width of the largest weight, in rem


def write_search_page(path: Path, name: str) -> Path:
    """Write the page into the run's folder; returns its path."""
    folder = Folder(path)
    search = read_json(folder.step("search") / "search.json")
    verdicts = read_json(folder.step("verdicts") / "verdicts.json")
    finals = folder.table("verdicts", "finals.parquet")
    groups = folder.table("verdicts", "groups.parquet")
    pair = (verdicts["best_single"], "searched")
    sentence = next(verdict["sentence"] for verdict in verdicts["told"]
                    if (verdict["before"], verdict["after"]) == pair)  # fmt: skip
    sections = [
        _finals(folder, finals, groups),
        _weights(folder, search, finals),
        _damage(folder, verdicts["best_single"]),
        front_section(folder, search, finals),
        _pruned(folder, search),
        _left_out(folder, search),
        pools_section(folder, search),
        _course(folder, search),
        cost_section(folder, search),
        ledger_section(
            Ledger.from_json(folder.manifest["ledger"]).rows(),
            "What was counted",
            empty="Nothing was left out or truncated.",
        ),
        _made(folder),
    ]
    opening = lead(
        f"{len(search['labels'])} checkpoints merged into one"
        f" ({folder.manifest['config']['method']}), with weights searched on one part of the data;"
        " the first tables are from another part that the search did not see. Every number links to"
        " the manifest of the step that made it.",
        [sentence],
    )
    write_page(path / name, "A searched merge, and who pays for it", opening, sections)
    return path / name


def _finals(folder: Folder, finals: pl.DataFrame, groups: pl.DataFrame) -> Html:
    """The searched merge and every baseline, with the paired gain over each."""
    proof, search = folder.proof("verdicts"), folder.proof("search")
    against = {
        (row["before"], row["group"], row["metric"]): row
        for row in groups.filter(pl.col("after") == "searched").iter_rows(named=True)
    }
    metrics = sorted({key[2] for key in against})
    kinds = [kind for kind in ("searched languages", "held-out languages")
             if any(group == kind for _, group, _ in against)]  # fmt: skip
    columns = [(kind, metric) for kind in kinds for metric in metrics]
    titles = [f"{kind} ({metric})" if len(metrics) > 1 else kind for kind, metric in columns]
    best = finals["test"].max()
    rows, plot = [], []
    for row in finals.iter_rows(named=True):
        name = row["name"]
        shown = tag("strong", name) if name == "searched" else name
        cells = [_gain(against.get((name, *column)), proof) for column in columns]
        test = link(fitness_cell(row["test"]), proof)
        rows.append(
            [shown, link(fitness_cell(row["search"]), search),
             tag("span", test, class_="best") if row["test"] == best else test, *cells]
        )  # fmt: skip
        gains = [(series, against.get((name, *column))) for series, column in enumerate(columns)]
        dots = [_dot(gain, series) for series, gain in gains if gain and gain["change"] is not None]
        if dots:
            plot.append((_short(name), dots))
    chart = dot_plot(plot, "gain of the searched merge over …", zero=True) if plot else ""
    head = ["", "fitness, search part", "fitness, test part", *[f"gain, {one}" for one in titles]]
    return section(
        "The searched merge against everything simpler",
        legend(titles),
        chart,
        table(head, rows, numbers=range(1, len(head))),
        note="Fitness as it was maximized; more is better. A gain is the searched merge's over the"
        " row, paired on the same items, in per cent of the row's bits or in points of a"
        " share; its interval (95 %) holds for all"
        " groups of the row at once. The search part flatters what was searched on it: judge by"
        " the test part.",
    )


def _gain(row: Mapping[str, Any] | None, proof: str) -> Html:
    if row is None or row["change"] is None:
        return Html(DASH)
    factor, digits = _scale(row)
    gain = link(signed(factor * row["change"], digits), proof)
    bounds = factor * row["change_lower"], factor * row["change_upper"]
    return with_interval(gain, *bounds, digits, VERDICT_CLASSES[row["verdict"]])


def _scale(row: Mapping[str, Any]) -> tuple[float, int]:
    """Factor and decimals of a change."""
    return (100.0, 2) if row["unit"] in {"points", "%"} else (1.0, 4)


def _dot(row: Mapping[str, Any], series: int) -> Dot:
    factor, digits = _scale(row)
    change, lower, upper = (factor * row[key] for key in ("change", "change_lower", "change_upper"))
    return Dot(change, lower, upper, series, f"{row['group']}: {change:+.{digits}f} {row['unit']}")


def _weights(folder: Folder, search: Mapping[str, Any], finals: pl.DataFrame) -> Html:
    """The weights, beside the fitness of each checkpoint alone."""
    by_name = {row["name"]: row for row in finals.iter_rows(named=True)}
    weights = by_name["searched"]["weights"]
    most = max(abs(weight) for weight in weights)
    rows = []
    labeled = zip(search["labels"], weights, strict=True)
    for label, weight in sorted(labeled, key=lambda pair: -pair[1]):
        alone = by_name[SINGLE + label]
        bar = tag("span", class_="bar", style=f"width:{_BAR * abs(weight) / most:.2f}rem")
        rows.append(
            [label, link(fitness_cell(weight), folder.proof("search")), bar,
             fitness_cell(alone["search"]), fitness_cell(alone["test"])]
        )  # fmt: skip
    num_large = sum(abs(weight) > 0.01 / len(weights) for weight in weights)
    rho = search["weights_and_singles"]
    words = (
        " Spearman's rank correlation of weight and single fitness (search part):"
        f" {rho['rho']:+.2f} (p = {rho['p']:.2g}, {rho['num']} checkpoints)."
        if rho["rho"] is not None
        else ""
    )
    return section(
        "Weights",
        table(["checkpoint", "weight", "", "alone, search part", "alone, test part"], rows,
              numbers=(1, 3, 4)),
        note=minus(f"{num_large} of {len(weights)} weights are above a hundredth of an equal share."
                   f"{words} Whether small weights matter is shown below, by removing them."),
    )  # fmt: skip


def _damage(folder: Folder, best: str) -> Html:
    """Every language, worst-hurt first."""
    rows = folder.table("verdicts", "languages.parquet").filter(
        (pl.col("before") == best) & (pl.col("after") == "searched")
    )
    manifest = read_json(folder.step("verdicts") / MANIFEST)
    held_out = set(manifest["config"]["held_out"])
    lines = []
    for row in rows.iter_rows(named=True):
        shown = language_cell_of(row["language"])
        mark = tag("small", " held out") if row["language"] in held_out else Html("")
        lines.append(
            [tag("span", shown, mark), row["metric"], f"{row['score_before']:.4f}",
             f"{row['score_after']:.4f}", _gain(row, folder.proof("verdicts")),
             verdict_cell(row["verdict"]), f"{row['items']:,}"]
        )  # fmt: skip
    head = ["language", "metric", best, "searched", "gain", "", "items"]
    return section(
        "Who pays: every language, against the best single checkpoint",
        table(head, lines, numbers=(2, 3, 4, 6)),
        note="Test part, worst-hurt first. A gain is above 0, in per cent of the bits or in points"
        " of a share. The best single checkpoint is the one of the search part."
        " Intervals hold for all languages at once.",
    )


def _pruned(folder: Folder, search: Mapping[str, Any]) -> Html:
    """The fitness without the small weights."""
    whole = search["values"]["searched"]
    proof = folder.proof("search")
    rows = [["all", len(search["labels"]), link(fitness_cell(whole), proof), ""]]
    rows += [
        [f"below {step['threshold']:g} of an equal share", step["num_left"],
         link(fitness_cell(step["fitness"]), proof), signed(step["fitness"] - whole, 4)]
        for step in search["pruned"]
    ]  # fmt: skip
    return section(
        "Without the small weights",
        table(["removed", "left", "fitness", "change"], rows, numbers=(1, 2, 3)),
        note="Search part. A softmax never gives zero: only if the fitness falls without the small"
        " weights are nearly all checkpoints really used.",
    )


def _left_out(folder: Folder, search: Mapping[str, Any]) -> Html:
    """The change in fitness and aspects without each checkpoint."""
    if not search["left_out"]:
        return section("Leaving one out", tag("p", "Only one checkpoint has a weight."))
    aspects = list(search["left_out"][0]["aspects"])
    rows = [
        [without["label"], f"{without['weight']:.4f}",
         _change(without["change"], folder.proof("search")),
         *[_change(without["aspects"][name]) for name in aspects]]
        for without in search["left_out"]
    ]  # fmt: skip
    return section(
        "Leaving one out",
        table(["without", "weight", "fitness", *aspects], rows,
              numbers=range(1, 3 + len(aspects))),
        note="Change when a checkpoint is left out and the other weights are normalized;"
        " search part. Above zero: the merge is better there without it.",
    )  # fmt: skip


def _change(value: float | str, target: str = "") -> Html:
    change = float(value)
    kind = "better" if change > 0 else "worse" if change < 0 else "level"
    words = signed(change, 4) if math.isfinite(change) else DASH
    return tag("span", link(words, target) if target else words, class_=kind)


def _course(folder: Folder, search: Mapping[str, Any]) -> Html:
    """Best fitness against evaluations."""
    num = sum(search["stages"].values())
    # Broken bounds and missing scores have no place on the axis.
    points = [(float(at), float(value)) for at, value in search["curve"] if float(value) > -BROKEN]
    steps: list[tuple[float, float]] = []
    for at, value in points:
        if steps:
            steps.append((at, steps[-1][1]))
        steps.append((at, value))
    if steps:
        steps.append((float(num), steps[-1][1]))
    rho = search["surrogate"]
    words = ""
    if rho is not None and rho["rho"] is not None:
        words = (
            f"Rank correlation of the surrogate with the evaluations, leaving out each candidate:"
            f" {rho['rho']:.2f} ({rho['num']} candidates)."
        )
    chart = (
        curves({"best so far": steps}, "evaluated merges", "fitness, search part") if steps else ""
    )
    return section(
        "Course of the search",
        chart,
        tag("p", minus(words)),
        tag("p", link("archive.parquet", f"{folder.relative('search')}/archive.parquet"),
            ": every weight vector with all its scores."),
        note=f"{num} merges were evaluated in total, all on the same items; the first are the"
        " baselines.",
    )  # fmt: skip


def _made(folder: Folder) -> Html:
    rows = [
        [link(label, folder.proof(label)), tag("code", entry["digest"][:16])]
        for label, entry in folder.manifest["steps"].items()
    ]
    merged = f"{folder.relative('merged')}/config.json"
    return section(
        "How it was made",
        tag("p", "The searched merge is a checkpoint: ", link("merged", merged), "."),
        table(["step", "digest"], rows),
        tag("p", link("the run's manifest", "run.json"), ", with the configuration."),
    )


def _short(name: str) -> str:
    """A name short enough for a chart."""
    name = name.removeprefix(SINGLE)
    return name if len(name) <= 20 else f"{name[:19]}…"
