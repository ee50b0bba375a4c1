"""The page of a search of merge weights: read from the run folder, linked to what made it."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from polylect.base import LANGUAGES, Ledger, read_json
from polylect.report.charts import Dot, curves, dot_plot, legend
from polylect.report.folder import Folder, minus, signed
from polylect.report.page import Html, join, language_cell, link, section, table, tag, write_page
from polylect.report.search_trade import cost_section, front_section, number, pools_section

_KINDS = {"paid": "worse", "gained": "better", "not separable": "level"}
_BAR = 8.0  # rem of the largest weight


def write_search_page(path: Path, name: str) -> Path:
    """The page's path, after writing it into the run's folder."""
    folder = Folder(path)
    found = read_json(folder.step("search") / "search.json")
    verdicts = read_json(folder.step("verdicts") / "verdicts.json")
    finals = folder.table("verdicts", "finals.parquet")
    groups = folder.table("verdicts", "groups.parquet")
    pair = (verdicts["best_single"], "searched")
    told = next(
        one["sentence"] for one in verdicts["told"] if (one["before"], one["after"]) == pair
    )
    sections = [
        _finals(folder, finals, groups),
        _weights(folder, found, finals),
        _damage(folder, verdicts["best_single"]),
        front_section(folder, found, finals),
        _pruned(folder, found),
        _left_out(folder, found),
        pools_section(folder, found),
        _course(folder, found),
        cost_section(folder, found),
        _counted(folder),
        _made(folder),
    ]
    lead = join(
        [
            tag(
                "p",
                f"{len(found['labels'])} checkpoints merged into one"
                f" ({folder.manifest['config']['method']}), their weights searched on one part of"
                " the data, and every figure of the first tables taken on another that the search"
                " did not see. Every number links to the manifest of the step that made it.",
                class_="lead",
            ),
            tag("ul", tag("li", minus(told)), class_="found"),
        ]
    )
    write_page(path / name, "A searched merge, and who pays for it", lead, sections)
    return path / name


def _finals(folder: Folder, finals: pl.DataFrame, groups: pl.DataFrame) -> Html:
    """Every baseline beside the searched merge, with the paired gain over each."""
    proof, search = folder.proof("verdicts"), folder.proof("search")
    against = {
        (row["before"], row["group"], row["metric"]): row
        for row in groups.filter(pl.col("after") == "searched").iter_rows(named=True)
    }
    metrics = sorted({key[2] for key in against})
    kinds = [one for one in ("searched languages", "held-out languages")
             if any(key[1] == one for key in against)]  # fmt: skip
    columns = [(kind, metric) for kind in kinds for metric in metrics]
    several = len(metrics) > 1
    titles = [f"gain, {kind}{f' ({metric})' if several else ''}" for kind, metric in columns]
    best = finals["test"].max()
    rows, plot = [], []
    for row in finals.iter_rows(named=True):
        name = row["name"]
        shown = tag("strong", name) if name == "searched" else name
        cells = [_gain(against.get((name, *column)), proof) for column in columns]
        test = link(number(row["test"]), proof)
        rows.append(
            [shown, link(number(row["search"]), search),
             tag("span", test, class_="best") if row["test"] == best else test, *cells]
        )  # fmt: skip
        dots = [_dot(against[name, *one], number) for number, one in enumerate(columns)
                if (name, *one) in against]  # fmt: skip
        if dots:
            plot.append((_short(name), [one for one in dots if one is not None]))
    plot = [(name, dots) for name, dots in plot if dots]
    chart = dot_plot(plot, "gain of the searched merge over …", zero=True) if plot else Html("")
    head = ["", "fitness, search part", "fitness, test part", *titles]
    return section(
        "The searched merge against everything simpler",
        legend([f"{kind}{f' ({metric})' if several else ''}" for kind, metric in columns]),
        chart,
        table(head, rows, numbers=range(1, len(head))),
        note="Fitness as it was searched for, more is better. A gain is what the searched merge has"
        " over that row, paired on the same items, in the metric's unit; the interval (95 %) holds"
        " for all groups of the row at once. The search part is flattering to what was searched"
        " on it: judge by the test part.",
    )


def _gain(row: Mapping[str, Any] | None, proof: str) -> Html:
    if row is None or row["gain"] is None:
        return Html("–")
    words = signed(row["gain"], 4)
    span = f"({signed(row['lower'], 4)} to {signed(row['upper'], 4)})"
    return tag("span", link(words, proof), " ", tag("small", span), class_=_KINDS[row["verdict"]])


def _dot(row: Mapping[str, Any], series: int) -> Dot | None:
    if row["gain"] is None:
        return None
    return Dot(
        row["gain"], row["lower"], row["upper"], series, f"{row['group']}: {row['gain']:+.4f}"
    )


def _weights(folder: Folder, found: Mapping[str, Any], finals: pl.DataFrame) -> Html:
    """The weights, beside what each checkpoint scores alone."""
    own = {row["name"]: row for row in finals.iter_rows(named=True)}
    weights = own["searched"]["weights"]
    most = max(abs(one) for one in weights)
    rows = []
    for label, weight in sorted(zip(found["labels"], weights, strict=True), key=lambda o: -o[1]):
        alone = own[f"single:{label}"]
        bar = tag("span", class_="bar", style=f"width:{_BAR * abs(weight) / most:.2f}rem")
        rows.append(
            [label, link(number(weight), folder.proof("search")), bar,
             number(alone["search"]), number(alone["test"])]
        )  # fmt: skip
    small = sum(abs(one) > 0.01 / len(weights) for one in weights)
    rho = found["weights_and_singles"]
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
        note=minus(f"{small} of {len(weights)} weights are above a hundredth of an equal share."
                   f"{words} Whether small weights matter is shown by taking them away, below."),
    )  # fmt: skip


def _damage(folder: Folder, best: str) -> Html:
    """Every language, worst-hurt first."""
    rows = folder.table("verdicts", "languages.parquet").filter(
        (pl.col("before") == best) & (pl.col("after") == "searched")
    )
    held_out = set(_tags(folder, "held_out"))
    lines = []
    for row in rows.iter_rows(named=True):
        known = LANGUAGES.get(row["language"])
        shown = language_cell(known) if known else tag("span", row["language"])
        mark = tag("small", " held out") if row["language"] in held_out else Html("")
        lines.append(
            [tag("span", shown, mark), row["metric"], f"{row['score_before']:.4f}",
             f"{row['score_after']:.4f}", _gain(row, folder.proof("verdicts")),
             tag("span", row["verdict"], class_=_KINDS[row["verdict"]]), f"{row['items']:,}"]
        )  # fmt: skip
    head = ["language", "metric", best, "searched", "gain", "", "items"]
    return section(
        "Who pays: every language, against the best single checkpoint",
        table(head, lines, numbers=(2, 3, 4, 6)),
        note="Test part, worst-hurt first. The best single checkpoint is the one of the search"
        " part. Intervals hold for all languages at once.",
    )


def _tags(folder: Folder, key: str) -> Sequence[str]:
    return read_json(folder.step("verdicts") / "step.json")["config"][key]


def _pruned(folder: Folder, found: Mapping[str, Any]) -> Html:
    """The score after the small weights are gone."""
    whole = found["values"]["searched"]
    proof = folder.proof("search")
    rows = [["all", len(found["labels"]), link(number(whole), proof), ""]]
    rows += [
        [f"below {one['threshold']:g} of an equal share", one["num_left"],
         link(number(one["fitness"]), proof), signed(one["fitness"] - whole, 4)]
        for one in found["pruned"]
    ]  # fmt: skip
    return section(
        "Without the small weights",
        table(["taken away", "left", "fitness", "change"], rows, numbers=(1, 2, 3)),
        note="Search part. A softmax never gives zero: that nearly all checkpoints are used is"
        " shown only if the fitness falls without the small weights.",
    )


def _left_out(folder: Folder, found: Mapping[str, Any]) -> Html:
    """Who collides with whom."""
    if not found["left_out"]:
        return section("Leaving one out", tag("p", "Only one checkpoint has a weight."))
    aspects = list(found["left_out"][0]["aspects"])
    rows = [
        [one["label"], f"{one['weight']:.4f}", _change(one["change"], folder.proof("search")),
         *[_change(one["aspects"][name]) for name in aspects]]
        for one in found["left_out"]
    ]  # fmt: skip
    return section(
        "Leaving one out",
        table(["without", "weight", "fitness", *aspects], rows,
              numbers=range(1, 3 + len(aspects))),
        note="Change when a checkpoint is left out and the others' weights are divided by their"
        " sum; search part. Above zero: the merge is better there without it, it collides.",
    )  # fmt: skip


def _change(value: float | str, target: str = "") -> Html:
    number = float(value)
    kind = "better" if number > 0 else "worse" if number < 0 else "level"
    words = signed(number, 4) if math.isfinite(number) else "–"
    return tag("span", link(words, target) if target else words, class_=kind)


def _course(folder: Folder, found: Mapping[str, Any]) -> Html:
    """Best fitness against evaluations."""
    num = sum(found["stages"].values())
    # Fitness below this marks broken bounds or missing scores: no place on the axis.
    points = [(float(at), float(value)) for at, value in found["curve"] if float(value) > -1e9]
    steps: list[tuple[float, float]] = []
    for at, value in points:
        if steps:
            steps.append((at, steps[-1][1]))
        steps.append((at, value))
    if steps:
        steps.append((float(num), steps[-1][1]))
    rho = found["surrogate"]
    words = ""
    if rho is not None and rho["rho"] is not None:
        words = (
            f"The surrogate's rank correlation with what was evaluated, each candidate left out:"
            f" {rho['rho']:.2f} ({rho['num']} candidates)."
        )
    chart = (
        curves({"best so far": steps}, "evaluated merges", "fitness, search part") if steps else ""
    )
    return section(
        "The search's course",
        chart,
        tag("p", minus(words)),
        tag("p", link("archive.parquet", f"{_place(folder, 'search')}/archive.parquet"),
            ": every weight vector with every score."),
        note=f"{num} merges were evaluated in all, each on the same items. The first ones are the"
        " baselines.",
    )  # fmt: skip


def _counted(folder: Folder) -> Html:
    ledger = Ledger.from_json(folder.manifest["ledger"])
    rows = [[event, where, f"{num:,}"] for event, where, num in ledger.rows()]
    shown = table(["what", "where", "how often"], rows, numbers=(2,)) if rows else ""
    return section("What was counted", shown or tag("p", "Nothing was left out, cut or made."))


def _made(folder: Folder) -> Html:
    rows = [
        [link(label, folder.proof(label)), tag("code", one["digest"][:16])]
        for label, one in folder.manifest["steps"].items()
    ]
    merged = f"{_place(folder, 'merged')}/config.json"
    return section(
        "How it was made",
        tag("p", "The searched merge is a checkpoint: ", link("merged", merged), "."),
        table(["step", "digest"], rows),
        tag("p", link("the run's manifest", "run.json"), ", with the configuration."),
    )


def _place(folder: Folder, label: str) -> str:
    return folder.manifest["steps"][label]["folder"]


def _short(name: str) -> str:
    """A name that fits beside a chart."""
    name = name.removeprefix("single:")
    return name if len(name) <= 20 else f"{name[:19]}…"
