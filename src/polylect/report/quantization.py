"""The page of a quantization study: the paper's tables, with paired intervals, worst-hurt first."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from polylect.base import read_json
from polylect.report.charts import Dot, curves, dot_plot, legend
from polylect.report.folder import Folder, cell_of, minus, signed
from polylect.report.metric_judge_human import side_by_side
from polylect.report.page import Html, join, link, section, table, tag, write_page

_KINDS = {"paid": "worse", "gained": "better", "not separable": "level"}
_LATIN, _REST = "Latin script, Indo-European", "all other languages"
_SHARES = ("acc", "exact_match")


def write_study_page(path: Path, name: str) -> Path:
    """The page's path, after writing it into the run's folder."""
    folder = Folder(path)
    found = read_json(folder.step("damage") / "damage.json")
    frames = {one: folder.table("damage", f"{one}.parquet")
              for one in ("cells", "languages", "groups", "gaps")}  # fmt: skip
    metrics = sorted(frames["languages"]["metric"].unique())
    sections = []
    for metric in metrics:
        own = {key: one.filter(pl.col("metric") == metric) for key, one in frames.items()}
        several = f" — {metric}" if len(metrics) > 1 else ""
        sections += [
            _overview(folder, found, own, metric, several),
            _gap(own["groups"], own["gaps"], several),
            _relative(folder, found, own, several),
            _groups(own["groups"], found, several),
            _worst(own["languages"], metric, several),
            _contrasts(own["groups"], own["gaps"], several),
            _cells(own["cells"], metric, several),
        ]
    sections += [
        _divergence(folder, found),
        side_by_side(found, frames["languages"]),
        _sizes(folder, found),
        _definitions(found),
        _reading(),
    ]
    words = _lead(found, frames["groups"], metrics)
    write_page(path / name, "Quantized: who pays in which language", words, sections)
    return path / name


def _lead(found: Mapping[str, Any], groups: pl.DataFrame, metrics: Sequence[str]) -> Html:
    damage = [one for one in found["told"] if one["what"] == "damage"]
    paid = groups.filter((pl.col("what") == "damage") & (pl.col("kind") == "all"))
    words = [
        tag("p", f"{len(damage)} quantized checkpoints against their own full precision, on the"
            f" same items ({', '.join(metrics)}). Changes are relative, in percent, below 0 is"
            " worse; every interval holds for all rows of its table at once (95 %).", class_="lead")
    ]  # fmt: skip
    worst = paid.sort("gain")[:1].iter_rows(named=True)
    listed = []
    for row in worst:
        one = next(one for one in damage if one["after"] == row["after"])
        listed.append(tag("li", f"Hurt most, {row['after']}: ", minus(one["sentence"])))
    if found.get("note"):
        words.append(tag("p", tag("strong", str(found["note"])), class_="lead"))
    return join([*words, tag("ul", *listed, class_="found")])


def change(row: Mapping[str, Any]) -> tuple[float, float, float] | None:
    """Relative change in percent with its bounds, turned so that below 0 is worse."""
    if row["relative"] is None or row["gain"] is None:
        return None
    value = 100 * row["relative"]
    # Relative is of the metric; gain says which way is better.
    flip = -1.0 if value * row["gain"] < 0 else 1.0
    if "relative_lower" in row and row["relative_lower"] is not None:
        ends = sorted(flip * 100 * row[key] for key in ("relative_lower", "relative_upper"))
    elif row["gain"]:
        scale = abs(value / row["gain"])
        ends = [scale * row["lower"], scale * row["upper"]]
    else:
        ends = [-math.inf, math.inf]
    return flip * value, ends[0], ends[1]


def verdict_of(found: tuple[float, float, float] | None) -> str:
    """What the interval of a relative change says: paid, gained, or not separable."""
    if found is None:
        return "not separable"
    return "paid" if found[2] < 0 else "gained" if found[1] > 0 else "not separable"


def shown(row: Mapping[str, Any] | None, target: str = "", *, bounds: bool = True) -> Html:
    """The relative change, with its interval, colored by the verdict."""
    found = change(row) if row is not None else None
    if row is None or found is None:
        return Html("–")
    value = signed(found[0], 2)
    first = link(value, target) if target else Html(value)
    span = f" ({signed(found[1], 2)} to {signed(found[2], 2)})" if bounds else ""
    near = "°" if row.get("near_chance") else ""
    return tag("span", first, near, tag("small", span), class_=_KINDS[verdict_of(found)])


def _overview(
    folder: Folder,
    found: Mapping[str, Any],
    own: Mapping[str, pl.DataFrame],
    metric: str,
    name: str,
) -> Html:
    """Averages of every variant: all languages, Latin-script Indo-European, the rest."""
    proof = folder.proof("damage")
    damage = own["groups"].filter(pl.col("what") == "damage")
    rows = []
    for one in found["variants"]:
        mine = {(r["kind"], r["group"]): r for r in
                damage.filter(pl.col("after") == one["label"]).iter_rows(named=True)}  # fmt: skip
        whole = next((r for key, r in mine.items() if key[0] == "all"), None)
        rows.append(
            [one["label"], f"{one['bytes'] / 1e6:.1f}", shown(whole, proof),
             shown(mine.get(("latin-ie", _LATIN)), proof),
             shown(mine.get(("latin-ie", _REST)), proof)]
        )  # fmt: skip
    head = ["scheme", "MB", "all languages", "Latin script, Indo-European", "the rest"]
    return section(
        f"Relative change by scheme{name}",
        table(head, rows, numbers=(1,)),
        note=f"Metric {metric}: the mean of the relative changes of a language's tasks, then over"
        " languages, as the paper averages. A calibrated scheme has its calibration after the dot.",
    )


def _gap(groups: pl.DataFrame, gaps: pl.DataFrame, name: str) -> Html:
    """A chart: both halves of the languages, scheme by scheme; and how far they are apart."""
    plot = []
    damage = groups.filter((pl.col("what") == "damage") & (pl.col("kind") == "latin-ie"))
    for label, part in damage.group_by("after", maintain_order=True):
        dots = []
        for row in part.iter_rows(named=True):
            one = change(row)
            if one is not None:
                series = int(row["group"] == _REST)
                dots.append(Dot(*one, series, f"{label[0]}, {row['group']}: {one[0]:+.2f} %"))
        if dots:
            plot.append((str(label[0]), dots))
    if not plot:
        return Html("")
    chart = dot_plot(plot, "relative change, %", zero=True, ends=("← worse", "better →"))
    rows = [[one["after"], _apart(one)] for one in
            gaps.filter(pl.col("what") == "damage").iter_rows(named=True)]  # fmt: skip
    return section(
        f"Latin-script Indo-European against the rest{name}",
        legend([_LATIN, _REST]), chart,
        table(["scheme", "the rest less Latin-script Indo-European, points"], rows),
        note="The paper's gap: the relative change of the rest less that of the others, with an"
        " interval of its own; below 0 the rest is hurt more.",
    )  # fmt: skip


def _apart(row: Mapping[str, Any]) -> Html:
    """The gap of a comparison in points, with its interval, colored."""
    value, *ends = (100 * row[key] for key in ("relative", "relative_lower", "relative_upper"))
    span = f" ({signed(ends[0], 2)} to {signed(ends[1], 2)})"
    return tag("span", signed(value, 2), tag("small", span), class_=_KINDS[row["verdict"]])


def _relative(
    folder: Folder, found: Mapping[str, Any], own: Mapping[str, pl.DataFrame], name: str
) -> Html:
    """The paper's table: a row per scheme, a column per language, worst-hurt language first."""
    damage = own["languages"].filter(pl.col("what") == "damage")
    means = damage.group_by("language").agg(pl.col("gain").mean()).sort("gain", "language")
    tags = means["language"].to_list()
    by = {(r["after"], r["language"]): r for r in damage.iter_rows(named=True)}
    rows = [
        [one["label"], *[shown(by.get((one["label"], tag_)), bounds=False) for tag_ in tags]]
        for one in found["variants"]
    ]
    return section(
        f"Relative change by language{name}",
        table(["scheme", *tags], rows, numbers=range(1, len(tags) + 1)),
        note="In percent; languages from the worst-hurt to the least, over all schemes. Colored"
        " where the interval, which holds for all languages of a row at once, excludes 0. ° full"
        " precision is near chance there.",
    )


def _groups(groups: pl.DataFrame, found: Mapping[str, Any], name: str) -> Html:
    """Script and family apart."""
    parts = []
    for kind, title in (("script", "Script"), ("family", "Family")):
        own = groups.filter((pl.col("what") == "damage") & (pl.col("kind") == kind))
        names = own["group"].unique(maintain_order=True).to_list()
        sizes = {r["group"]: r["num_languages"] for r in own.iter_rows(named=True)}
        by = {(r["after"], r["group"]): r for r in own.iter_rows(named=True)}
        rows = [[one["label"], *[shown(by.get((one["label"], g)), bounds=False) for g in names]]
                for one in found["variants"]]  # fmt: skip
        head = [title, *[f"{g} ({sizes[g]})" for g in names]]
        parts.append(table(head, rows, numbers=range(1, len(head))))
    note = "Relative change in percent; the number of languages in brackets."
    return section(f"Script and family apart{name}", *parts, note=note)


def _worst(languages: pl.DataFrame, metric: str, name: str) -> Html:
    """Every scheme's worst-hurt and least-hurt language, with simultaneous intervals."""
    rows = []
    damage = languages.filter((pl.col("what") == "damage") & pl.col("gain").is_not_null())
    for label, part in damage.group_by("after", maintain_order=True):
        found = [(change(row), row) for row in part.iter_rows(named=True)]
        known = sorted(((one, row) for one, row in found if one), key=lambda one: one[0][0])
        if not known:
            continue
        num = {kind: sum(verdict_of(one) == kind for one, _ in known) for kind in _KINDS}
        worst, best = known[0][1], known[-1][1]
        rows.append(
            [label[0], cell_of(worst["language"]), shown(worst), cell_of(best["language"]),
             shown(best), num["paid"], num["not separable"], num["gained"]]
        )  # fmt: skip
    head = ["scheme", "worst-hurt", "change, %", "least hurt", "change, %", "pay", "open", "gain"]
    return section(f"Worst-hurt language first{name}", table(head, rows, numbers=(5, 6, 7)),
                   note="How many languages pay, cannot be told apart, or gain.")  # fmt: skip


def _contrasts(groups: pl.DataFrame, gaps: pl.DataFrame, name: str) -> Html:
    """Schemes that differ in one thing: group-wise, GPTQ, SmoothQuant, calibration."""
    own = groups.filter(pl.col("what") != "damage")
    apart = {(r["before"], r["after"]): _apart(r) for r in gaps.iter_rows(named=True)}
    rows = []
    for key, part in own.group_by("what", "before", "after", maintain_order=True):
        by = {r["group"]: r for r in part.iter_rows(named=True)}
        whole = next(r for r in by.values() if r["kind"] == "all")
        said = verdict_of(change(whole))
        verdict = tag("span", said, class_=_KINDS[said])
        rows.append([key[0], f"{key[2]} over {key[1]}", shown(whole), verdict,
                     shown(by.get(_LATIN)), shown(by.get(_REST)),
                     apart.get((key[1], key[2]), "–")])  # fmt: skip
    if not rows:
        return Html("")
    head = ["what", "pair", "all languages", "", "Latin script, Indo-European", "the rest",
            "gap"]  # fmt: skip
    note = "The second scheme against the first, paired; above 0 it is better."
    return section(f"One thing changed{name}", table(head, rows), note=note)


def _cells(cells: pl.DataFrame, metric: str, name: str) -> Html:
    """Every task, folded away."""
    parts = []
    damage = cells.filter(pl.col("what") == "damage")
    if damage["task"].n_unique() < 2:
        return Html("")
    for task, part in damage.group_by("task", maintain_order=True):
        tags = sorted(part["language"].unique())
        by = {(r["after"], r["language"]): r for r in part.iter_rows(named=True)}
        labels = part["after"].unique(maintain_order=True).to_list()
        rows = [[one, *[shown(by.get((one, t)), bounds=False) for t in tags]] for one in labels]
        inner = table(["scheme", *tags], rows, numbers=range(1, len(tags) + 1))
        parts.append(tag("details", tag("summary", str(task[0])), inner))
    return section(f"Task by task{name}", *parts)


def _divergence(folder: Folder, found: Mapping[str, Any]) -> Html:
    """Bits per token by which predictions diverge, and the last layer's error, by language."""
    tags = sorted({one["language"] for v in found["variants"] for one in v["damage"]})
    if not tags:
        return Html("")
    rows = []
    for one in found["variants"]:
        by = {row["language"]: row for row in one["damage"]}
        proof = folder.proof(f"quantize-{one['label']}")
        rows.append([one["label"], *[_kl(by.get(t), proof) for t in tags]])
    errors = []
    for one in found["variants"]:
        by = {row["language"]: row for row in one["damage"]}
        errors.append([one["label"], *[
            f"{math.sqrt(by[t]['layer_errors'][-1]):.3f}" if t in by else "–" for t in tags
        ]])  # fmt: skip
    numbers = range(1, len(tags) + 1)
    return section(
        "Divergence of the predictions, by language",
        table(["scheme", *tags], rows, numbers=numbers),
        tag("details", tag("summary", "relative error of the last layer's output"),
            table(["scheme", *tags], errors, numbers=numbers)),
        note="Kullback–Leibler divergence from full precision, thousandths of a bit per token, on"
        " text of the calibration file that did not calibrate.",
    )  # fmt: skip


def _kl(row: Mapping[str, Any] | None, proof: str) -> Html:
    return Html("–") if row is None else link(f"{1000 * row['divergence_bits']:.2f}", proof)


def _sizes(folder: Folder, found: Mapping[str, Any]) -> Html:
    """What each variant weighs, and what it took to make and to score."""
    rows = [["full precision", "–", "–", f"{found['full']['cpu_seconds']:.1f}", "–"]]
    for one in found["variants"]:
        proof = folder.proof(f"quantize-{one['label']}")
        counted = ", ".join(f"{e['event']} ({e['count']})" for e in one["ledger"][:2])
        rows.append([one["label"], link(f"{one['bytes'] / 1e6:.2f}", proof),
                     f"{one['quantize']['cpu_seconds']:.1f}", f"{one['score']['cpu_seconds']:.1f}",
                     tag("small", f"{' '.join(one['read_by'])}; {counted}" if counted
                         else " ".join(one["read_by"]))])  # fmt: skip
    return section("Size and cost", table(
        ["scheme", "MB of weights", "CPU s to quantize", "CPU s to score", "read by; counted"],
        rows, numbers=(1, 2, 3),
    ))  # fmt: skip


def _definitions(found: Mapping[str, Any]) -> Html:
    told = {one["scheme"]: one["definition"] for one in found["variants"]}
    return section("What each scheme is", table(["scheme", ""], [[k, v] for k, v in told.items()]))


def _reading() -> Html:
    return section(
        "How to read this",
        tag("p", "Changes are against the same checkpoint in full precision on the same items;"
            " whole documents are resampled, the same in both. Where metrics count errors (bits),"
            " the sign is turned, so that below 0 is always worse. “Not separable” does not mean"
            " equal. A model near chance has nothing to lose: its changes say little. Automatic"
            " metrics may hide what people see: import judgments to look (--judgments).",
            class_="note"),
    )  # fmt: skip


def write_schemes_page(path: Path, name: str) -> Path:
    """The page's path, after writing that of a search over schemes into the run's folder."""
    folder = Folder(path)
    found = read_json(folder.step("damage") / "damage.json")
    mixed = read_json(folder.step("search") / "mixture.json")
    frames = {one: folder.table("damage", f"{one}.parquet")
              for one in ("cells", "languages", "groups")}  # fmt: skip
    chosen, points = mixed["chosen"], mixed["points"]
    told = next(one["sentence"] for one in found["told"] if one["after"] == "mixed")
    sections = [_front(folder, mixed)]
    for metric in sorted(frames["languages"]["metric"].unique()):
        own = {key: one.filter(pl.col("metric") == metric) for key, one in frames.items()}
        sections += [
            _overview(folder, found, own, metric, ""),
            _relative(folder, found, own, ""),
            _worst(own["languages"], metric, ""),
        ]
    lead = join(
        [
            tag("p", f"{len(points)} mixtures of {mixed['low']} and {mixed['high']} by layer group;"
                f" the smallest whose worst language loses at most {100 * mixed['floor']:g} % has"
                f" {chosen['bytes'] / 1e6:.2f} MB ({len(chosen['raised'])} of"
                f" {len(mixed['groups'])} groups raised). On all items:", class_="lead"),
            tag("ul", tag("li", minus(told)), class_="found"),
        ]
    )  # fmt: skip
    sections += [_divergence(folder, found), _sizes(folder, found), _reading()]
    write_page(
        path / name, "Bits by layer group, with a floor under every language", lead, sections
    )
    return path / name


def _front(folder: Folder, mixed: Mapping[str, Any]) -> Html:
    """Size against the worst language's damage: the front as a curve, every mixture in a table."""
    points = sorted(mixed["points"], key=lambda one: one["bytes"])
    line = [((one["bytes"] - mixed["rest_bytes"]) / 1e3, 100 * one["loss"])
            for one in points if one["front"]]  # fmt: skip
    proof = folder.proof("search")
    rows = []
    for one in points:
        raised = ", ".join(name.split(".layers.")[-1] for name in one["raised"]) or "none"
        mark = "chosen" if one["number"] == mixed["chosen"]["number"] else ""
        size = link(f"{one['bytes'] / 1e6:.3f}", proof)
        rows.append([size, signed(-100 * one["loss"], 2), cell_of(one["language"]),
                     "front" if one["front"] else "", mark, raised])  # fmt: skip
    head = ["MB", "worst change, %", "in", "", "", f"groups in {mixed['high']}"]
    floor = 100 * mixed["floor"]
    ends = [(line[0][0], floor), (line[-1][0], floor)]
    chart = curves({"front": line, "floor": ends}, "kB of quantized layers",
                   "worst language's increase, %")  # fmt: skip
    return section("Size against the worst language", chart, table(head, rows, numbers=(0, 1)),
                   note="On the search's items. No mixture beside the front is smaller and spares"
                   " the worst language more.")  # fmt: skip
