"""The pages of a quantization study, in the paper's tables, and of a bit search."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from polylect.base import read_json
from polylect.comparison import GAINED, OPEN, PAID
from polylect.report.charts import Dot, curves, dot_plot, legend
from polylect.report.folder import Folder
from polylect.report.formats import (
    DASH,
    VERDICT_CLASSES,
    language_cell_of,
    language_name,
    lead,
    sentence_list,
    signed,
    signed_interval,
    verdict_cell,
)
from polylect.report.metric_judge_human import side_by_side
from polylect.report.page import Html, join, link, section, table, table_section, tag, write_page
from polylect.report.relative_changes import (
    change_cell,
    change_table,
    relative_change,
    verdict_of_change,
)

_DAMAGE = "damage"  # of a comparison with full precision
_LATIN, _REST = "Latin script, Indo-European", "all other languages"


def write_study_page(path: Path, name: str) -> Path:
    """Write the page of ``polylect run study`` into the run's folder; returns its path."""
    folder = Folder(path)
    damage = read_json(folder.step("damage") / "damage.json")
    tables = {kind: folder.table("damage", f"{kind}.parquet")
              for kind in ("cells", "languages", "groups", "gaps")}  # fmt: skip
    metrics = sorted(tables["languages"]["metric"].unique())
    sections = []
    for metric in metrics:
        of_metric = {kind: frame.filter(metric=metric) for kind, frame in tables.items()}
        named = f" — {metric}" if len(metrics) > 1 else ""
        of_damage = {kind: frame.filter(what=_DAMAGE) for kind, frame in of_metric.items()}
        sections += [
            _overview(folder, damage, of_damage, metric, named),
            _gap(of_damage, named),
            _relative(damage, of_damage, named),
            _groups(of_damage, damage, named),
            _worst(of_damage, named),
            _contrasts(of_metric, named),
            _cells(of_damage, named),
        ]
    sections += [
        _divergence(folder, damage),
        side_by_side(damage["preferences"], tables["languages"]),
        _sizes(folder, damage),
        _definitions(damage),
        _reading(),
    ]
    title = "Quantized: who pays in which language"
    write_page(path / name, title, _lead(damage, tables, metrics), sections)
    return path / name


def _lead(
    damage: Mapping[str, Any], tables: Mapping[str, pl.DataFrame], metrics: Sequence[str]
) -> Html:
    groups, languages = tables["groups"], tables["languages"]
    num = sum(pair["what"] == _DAMAGE for pair in damage["told"])
    words = [
        tag("p", f"{num} quantized checkpoints against their own full precision, on the"
            f" same items ({', '.join(metrics)}). Changes are relative, in percent; below 0 is"
            " worse. Every interval holds for all rows of its table at once (95 %).", class_="lead")
    ]  # fmt: skip
    if damage.get("note"):
        words.append(tag("p", tag("strong", str(damage["note"])), class_="lead"))
    sentences = [
        f"{metric}: {_worst_scheme(groups.filter(what=_DAMAGE, metric=metric), languages)}"
        for metric in metrics
    ]
    return join([*words, sentence_list(sentences)])


def _worst_scheme(groups: pl.DataFrame, languages: pl.DataFrame) -> str:
    """The scheme that is hurt most, and its worst-hurt language, by the changes of the tables."""
    changes = [(change[0], row["after"]) for row in groups.filter(kind="all").to_dicts()
               if (change := relative_change(row))]  # fmt: skip
    if not changes:
        return "no change can be given relative to full precision"
    value, label = min(changes)
    metric = groups["metric"][0]
    rows = _by_change(languages.filter(what=_DAMAGE, metric=metric, after=label))
    num = Counter(verdict_of_change(interval) for interval, _ in rows)
    (worst, low, high), row = rows[0]
    span = f", {low:+.2f} to {high:+.2f}" if math.isfinite(high - low) else ""
    return (
        f"hurt most is {label}, {value:+.2f} % over all languages; {num[PAID]} of {len(rows)}"
        f" languages pay, {num[GAINED]} gain; worst is {language_name(row['language'])}"
        f" ({worst:+.2f} %{span})"
    )


def _by_change(languages: pl.DataFrame) -> list[tuple[tuple[float, float, float], dict[str, Any]]]:
    """Relative changes with their rows, worst-hurt first."""
    changes = [(relative_change(row), row) for row in languages.iter_rows(named=True)]
    return sorted(
        ((change, row) for change, row in changes if change),
        key=lambda pair: (round(pair[0][0], 9), pair[1]["language"]),
    )


def _overview(
    folder: Folder,
    damage: Mapping[str, Any],
    tables: Mapping[str, pl.DataFrame],
    metric: str,
    name: str,
) -> Html:
    """Averages of every variant: all languages, Latin-script Indo-European, the rest."""
    proof = folder.proof("damage")
    rows = []
    for variant in damage["variants"]:
        groups = tables["groups"].filter(after=variant["label"])
        halves = {row["group"]: row for row in groups.filter(kind="latin-ie").to_dicts()}
        whole = next(iter(groups.filter(kind="all").to_dicts()), None)
        rows.append(
            [variant["label"], f"{variant['bytes'] / 1e6:.1f}", change_cell(whole, proof),
             change_cell(halves.get(_LATIN), proof), change_cell(halves.get(_REST), proof)]
        )  # fmt: skip
    head = ["scheme", "MB", "all languages", "Latin script, Indo-European", "the rest"]
    return section(
        f"Relative change by scheme{name}",
        table(head, rows, numbers=(1,)),
        note=f"Metric {metric}: the mean of the relative changes of a language's tasks, then over"
        " languages, as the paper averages. The calibration of a scheme follows the dot.",
    )


def _gap(tables: Mapping[str, pl.DataFrame], name: str) -> Html:
    """Both halves of the languages in a chart, scheme by scheme; and the gap between them."""
    plot = []
    halves = tables["groups"].filter(kind="latin-ie")
    for (label,), part in halves.group_by("after", maintain_order=True):
        dots = []
        for row in part.iter_rows(named=True):
            interval = relative_change(row)
            if interval is not None:
                series = int(row["group"] == _REST)
                title = f"{label}, {row['group']}: {interval[0]:+.2f} %"
                dots.append(Dot(*interval, series, title))
        if dots:
            plot.append((str(label), dots))
    if not plot:
        return Html("")
    chart = dot_plot(plot, "relative change, %", zero=True, ends=("← worse", "better →"))
    rows = [[row["after"], _gap_cell(row)] for row in tables["gaps"].iter_rows(named=True)]
    return section(
        f"Latin-script Indo-European against the rest{name}",
        legend([_LATIN, _REST]), chart,
        table(["scheme", "the rest less Latin-script Indo-European, points"], rows),
        note="The paper's gap: the relative change of the rest less that of Latin-script"
        " Indo-European, with its own interval; below 0 the rest is hurt more.",
    )  # fmt: skip


def _gap_cell(row: Mapping[str, Any]) -> Html:
    """The gap of a comparison in points, with its interval, colored."""
    # "–" where full precision is not separable from 0 in some language, or items are too few.
    if row["relative"] is None:
        return Html(DASH)
    span = signed_interval(100 * row["relative_lower"], 100 * row["relative_upper"], 2)
    class_ = VERDICT_CLASSES[row["verdict"]]
    return tag("span", signed(100 * row["relative"], 2), tag("small", f" {span}"), class_=class_)


def _relative(damage: Mapping[str, Any], tables: Mapping[str, pl.DataFrame], name: str) -> Html:
    """The paper's table: a row per scheme, a column per language, worst-hurt language first."""
    languages = tables["languages"]
    changes: dict[str, list[float]] = {}
    for row in languages.iter_rows(named=True):
        change = relative_change(row)
        changes.setdefault(row["language"], []).extend([change[0]] if change else [])
    # What orders the columns is the mean of what stands in them.
    means = {name: sum(values) / len(values) for name, values in changes.items() if values}
    order = sorted(changes, key=lambda name: (round(means.get(name, math.inf), 9), name))
    labels = [variant["label"] for variant in damage["variants"]]
    return section(
        f"Relative change by language{name}",
        change_table(languages, "language", labels, order),
        note="In percent; languages from the worst-hurt to the least, over all schemes. Colored"
        " where the interval, which holds for all languages of a row at once, excludes 0. °: full"
        " precision is near chance.",
    )


def _groups(tables: Mapping[str, pl.DataFrame], damage: Mapping[str, Any], name: str) -> Html:
    """Relative changes by script, and by family."""
    labels = [variant["label"] for variant in damage["variants"]]
    parts = []
    for kind, title in (("script", "Script"), ("family", "Family")):
        groups = tables["groups"].filter(kind=kind)
        sizes = {row["group"]: row["num_languages"] for row in groups.iter_rows(named=True)}
        head = [title, *[f"{group} ({size})" for group, size in sizes.items()]]
        parts.append(change_table(groups, "group", labels, list(sizes), head))
    note = "Relative change in percent; the number of languages in brackets."
    return section(f"Script and family apart{name}", *parts, note=note)


def _worst(tables: Mapping[str, pl.DataFrame], name: str) -> Html:
    """Every scheme's worst-hurt and least-hurt language, with simultaneous intervals."""
    rows = []
    changed = tables["languages"].filter(pl.col("gain").is_not_null())
    for (label,), part in changed.group_by("after", maintain_order=True):
        known = _by_change(part)
        if not known:
            continue
        num = Counter(verdict_of_change(interval) for interval, _ in known)
        worst, best = known[0][1], known[-1][1]
        rows.append(
            [label, language_cell_of(worst["language"]), change_cell(worst),
             language_cell_of(best["language"]), change_cell(best),
             num[PAID], num[OPEN], num[GAINED]]
        )  # fmt: skip
    head = ["scheme", "worst-hurt", "change, %", "least hurt", "change, %", "pay", "open", "gain"]
    return section(f"Worst-hurt language first{name}", table(head, rows, numbers=(5, 6, 7)),
                   note="How many languages pay, are not separable (open), or gain.")  # fmt: skip


def _contrasts(tables: Mapping[str, pl.DataFrame], name: str) -> Html:
    """Schemes that differ in one thing: group-wise, GPTQ, SmoothQuant, calibration."""
    contrasts = tables["groups"].filter(pl.col("what") != _DAMAGE)
    gaps = {(row["before"], row["after"]): _gap_cell(row) for row in tables["gaps"].to_dicts()}
    rows = []
    for key, part in contrasts.group_by("what", "before", "after", maintain_order=True):
        what, before, after = map(str, key)
        groups = {row["group"]: row for row in part.iter_rows(named=True)}
        whole = next(row for row in groups.values() if row["kind"] == "all")
        verdict = verdict_cell(verdict_of_change(relative_change(whole)))
        rows.append([what, f"{after} over {before}", change_cell(whole), verdict,
                     change_cell(groups.get(_LATIN)), change_cell(groups.get(_REST)),
                     gaps.get((before, after), DASH)])  # fmt: skip
    head = ["what", "pair", "all languages", "", "Latin script, Indo-European", "the rest",
            "gap"]  # fmt: skip
    note = "The second scheme against the first, paired; above 0 it is better."
    return table_section(f"One thing changed{name}", head, rows, note=note)


def _cells(tables: Mapping[str, pl.DataFrame], name: str) -> Html:
    """Every task, folded away; nothing where there is only one."""
    if tables["cells"]["task"].n_unique() < 2:
        return Html("")
    parts = []
    for (task,), part in tables["cells"].group_by("task", maintain_order=True):
        labels = part["after"].unique(maintain_order=True).to_list()
        inner = change_table(part, "language", labels, sorted(part["language"].unique()))
        parts.append(tag("details", tag("summary", str(task)), inner))
    return section(f"Task by task{name}", *parts)


def _divergence(folder: Folder, damage: Mapping[str, Any]) -> Html:
    """Divergence of the predictions and error of the last layer, by language."""
    tags = sorted({row["language"] for variant in damage["variants"]
                   for row in variant["damage"]})  # fmt: skip
    if not tags:
        return Html("")
    rows, errors = [], []
    for variant in damage["variants"]:
        label = variant["label"]
        by_tag = {row["language"]: row for row in variant["damage"]}
        proof = folder.proof(f"quantize-{label}")
        rows.append([label, *[_divergence_cell(by_tag.get(tag_), proof) for tag_ in tags]])
        errors.append([label, *[
            f"{math.sqrt(by_tag[tag_]['layer_errors'][-1]):.3f}" if tag_ in by_tag else DASH
            for tag_ in tags
        ]])  # fmt: skip
    numbers = range(1, len(tags) + 1)
    return section(
        "Divergence of the predictions, by language",
        table(["scheme", *tags], rows, numbers=numbers),
        tag("details", tag("summary", "relative error of the last layer's output"),
            table(["scheme", *tags], errors, numbers=numbers)),
        note="KL divergence from full precision, in thousandths of a bit per token, on rows of the"
        " calibration file that were not used for calibration.",
    )  # fmt: skip


def _divergence_cell(row: Mapping[str, Any] | None, proof: str) -> Html:
    return Html(DASH) if row is None else link(f"{1000 * row['divergence_bits']:.2f}", proof)


def _sizes(folder: Folder, damage: Mapping[str, Any]) -> Html:
    """Size of each variant, and CPU seconds to quantize and to score it."""
    rows: list[list[object]] = [
        ["full precision", DASH, DASH, f"{damage['full']['cpu_seconds']:.1f}", DASH]
    ]
    for variant in damage["variants"]:
        proof = folder.proof(f"quantize-{variant['label']}")
        counted = ", ".join(f"{entry['event']} ({entry['count']})"
                            for entry in variant["ledger"][:2])  # fmt: skip
        read_by = " ".join(variant["read_by"])
        rows.append([variant["label"], link(f"{variant['bytes'] / 1e6:.2f}", proof),
                     f"{variant['quantize']['cpu_seconds']:.1f}",
                     f"{variant['score']['cpu_seconds']:.1f}",
                     tag("small", f"{read_by}; {counted}" if counted else read_by)])  # fmt: skip
    return section("Size and cost", table(
        ["scheme", "MB of weights", "CPU s to quantize", "CPU s to score", "read by; counted"],
        rows, numbers=(1, 2, 3),
    ))  # fmt: skip


def _definitions(damage: Mapping[str, Any]) -> Html:
    definitions = {variant["scheme"]: variant["definition"] for variant in damage["variants"]}
    return section("What each scheme is", table(["scheme", ""], definitions.items()))


def _reading() -> Html:
    return section(
        "How to read this",
        tag("p", "Changes are against the same checkpoint in full precision on the same items;"
            " whole documents are resampled, the same in both. For metrics of which less is better"
            " (bits), the sign is reversed, so that below 0 is always worse. “Not separable” does"
            " not mean equal. A model near chance has nothing to lose: its changes say little."
            " Automatic metrics may miss what people see: add judgments to check (--judgments).",
            class_="note"),
    )  # fmt: skip


def write_schemes_page(path: Path, name: str) -> Path:
    """Write the page of ``polylect run schemes`` into the run's folder; returns its path."""
    folder = Folder(path)
    damage = read_json(folder.step("damage") / "damage.json")
    mixed = read_json(folder.step("search") / "mixture.json")
    tables = {kind: folder.table("damage", f"{kind}.parquet").filter(what=_DAMAGE)
              for kind in ("languages", "groups")}  # fmt: skip
    chosen, points = mixed["chosen"], mixed["points"]
    sentence = next(pair["sentence"] for pair in damage["told"] if pair["after"] == "mixed")
    sections = [_front(folder, mixed)]
    for metric in sorted(tables["languages"]["metric"].unique()):
        of_metric = {kind: frame.filter(metric=metric) for kind, frame in tables.items()}
        sections += [
            _overview(folder, damage, of_metric, metric, ""),
            _relative(damage, of_metric, ""),
            _worst(of_metric, ""),
        ]
    opening = lead(
        f"{len(points)} mixtures of {mixed['low']} and {mixed['high']} by layer group were scored."
        f" The smallest whose worst language loses at most {100 * mixed['floor']:g} % takes"
        f" {chosen['bytes'] / 1e6:.2f} MB ({len(chosen['raised'])} of {len(mixed['groups'])} groups"
        " raised). On all items:",
        [sentence],
    )
    sections += [_divergence(folder, damage), _sizes(folder, damage), _reading()]
    title = "Bits by layer group, with a floor under every language"
    write_page(path / name, title, opening, sections)
    return path / name


def _front(folder: Folder, mixed: Mapping[str, Any]) -> Html:
    """Size against the worst language's damage: the front as a curve, every mixture in a table."""
    points = sorted(mixed["points"], key=lambda point: point["bytes"])
    line = [((point["bytes"] - mixed["rest_bytes"]) / 1e3, 100 * point["loss"])
            for point in points if point["front"]]  # fmt: skip
    proof = folder.proof("search")
    rows = []
    for point in points:
        raised = ", ".join(name.split(".layers.")[-1] for name in point["raised"]) or "none"
        mark = "chosen" if point["number"] == mixed["chosen"]["number"] else ""
        size = link(f"{point['bytes'] / 1e6:.3f}", proof)
        rows.append([size, signed(-100 * point["loss"], 2), language_cell_of(point["language"]),
                     "front" if point["front"] else "", mark, raised])  # fmt: skip
    head = ["MB", "worst change, %", "in", "", "", f"groups in {mixed['high']}"]
    floor = 100 * mixed["floor"]
    ends = [(line[0][0], floor), (line[-1][0], floor)]
    chart = curves({"front": line, "floor": ends}, "kB of quantized layers",
                   "worst language's increase, %")  # fmt: skip
    return section("Size against the worst language", chart, table(head, rows, numbers=(0, 1)),
                   note="On the search items. No mixture is both smaller than one on the front and"
                   " easier on the worst language.")  # fmt: skip
