"""The page of a sweep over mixtures: its plan as a picture, curves, fronts, prices, who paid."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from polylect.base import read_json
from polylect.comparison import GAINED, PAID
from polylect.report.folder import Folder
from polylect.report.formats import (
    CLAIM_CLASSES,
    DASH,
    VERDICT_CLASSES,
    language_cell_of,
    language_name,
    percent,
    signed,
    verdict_cell,
)
from polylect.report.lifecycle import ledger, manifests
from polylect.report.mixture_charts import bits_chart, curve_section, front_chart, plan_chart
from polylect.report.page import Html, join, link, section, table, table_section, tag, write_page

_MOST_PAYERS = 5


def write_mixtures_page(path: Path, name: str, title: str, words: str) -> Path:
    """Write the page of a finished sweep into its folder; returns its path.

    Args:
        path: the run's folder.
        name: of the file.
        title: of the page.
        words: what was asked, in a sentence or two.
    """
    folder = Folder(path)
    found = read_json(folder.step("findings") / "findings.json")
    lead = join(
        [
            tag("p", words, class_="lead"),
            *[tag("p", tag("strong", line), class_="lead") for line in summary(found)],
            tag("p", seeds_note(found), class_="note"),
        ]
    )
    sections = [
        plan_section(folder),
        claims(folder, found),
        curve_section(folder),
        bits_section(folder),
        front_section(folder),
        price_section(folder),
        payers(folder),
        tasks_section(folder),
        read_section(folder, found),
        ledger(folder),
        manifests(folder),
    ]
    write_page(path / name, title, lead, sections)
    return path / name


def summary(found: Mapping[str, Any]) -> list[str]:
    """The findings in sentences."""
    words = []
    papers = [line for line in found["lines"] if line["paper"] and line["mean"] is not None]
    if papers:
        verdicts = [line["verdict"] for line in papers]
        counts = ", ".join(f"{num} {said}" for said in dict.fromkeys(verdicts)
                           if (num := verdicts.count(said)))  # fmt: skip
        stand_ins = sum(line["stands_in"] for line in papers)
        note = (f" {stand_ins} of the answers are bits of held-out text in place of the paper's"
                " tasks." if stand_ins else "")  # fmt: skip
        words.append(f"Of {len(papers)} figures of the paper: {counts}.{note}")
    tokens = found["tokens"]
    if tokens["trained"] < tokens["apart"]:
        words.append(
            f"Beginnings that runs share were trained once: {tokens['trained']:,} tokens in place"
            f" of {tokens['apart']:,}."
        )
    return words


def seeds_note(found: Mapping[str, Any]) -> str:
    """How many seeds, and what the intervals respect."""
    seeds = found["seeds"]
    scale = " At this scale the figures show directions, not what a large model would do."
    if len(seeds) == 1:
        return (f"One seed ({seeds[0]}): intervals are over documents alone, and do not say what"
                f" another seed would give.{scale}")  # fmt: skip
    listed = ", ".join(map(str, seeds))
    return f"{len(seeds)} seeds ({listed}). Intervals respect seeds and documents (95 %).{scale}"


def plan_section(folder: Folder) -> Html:
    """Every variant as a bar of its stages."""
    frame = folder.table("findings", "ledger.parquet")
    return section(
        "The plan",
        plan_chart(frame),
        note="A bar is a run, its parts are streams, and a gap begins a new stage (initial,"
        " continued, cooldown). Behind it: tokens that the model reads, of the first seed.",
    )


def claims(folder: Folder, found: Mapping[str, Any]) -> Html:
    """What was asked, and the answers."""
    proof = folder.proof("findings")
    answered: dict[tuple[object, ...], list[dict[str, Any]]] = {}
    for line in found["lines"]:
        if line["mean"] is not None:
            key = (line["question"], line["before"], line["after"], line["measure"])
            answered.setdefault(key, []).append(line)
    rows = [_claim_row(folder, lines, proof) for lines in answered.values()]
    unanswered: dict[str, list[str]] = {}
    for line in found["lines"]:
        if line["mean"] is None:
            unanswered.setdefault(f"{line['verdict']}: {line['note']}", []).append(
                f"{line['after']} against {line['before']}, {line['kind']} ({line['paper']})"
            )
    missing = [tag("details", tag("summary", f"{reason} ({len(lines)})"),
                   tag("ul", *[tag("li", line) for line in lines]))
               for reason, lines in unanswered.items()]  # fmt: skip
    of_paper = any(line["paper"] for line in found["lines"])
    head = ["runs", "question", "here, %", "seeds", "beside the paper" if of_paper else "verdict"]
    paper = (" Held-out text stands in for the paper's tasks where none was evaluated; then only"
             " the direction can be compared, if that.") if of_paper else ""  # fmt: skip
    return section(
        "What was asked",
        table(head, rows, numbers=(2,)) if rows else Html(""),
        *missing,
        note="A gain is fewer bits per byte, in per cent, a mean over the stream's languages, or a"
        f" better score. Each interval holds for itself.{paper}",
    )


def _claim_row(folder: Folder, lines: Sequence[Mapping[str, Any]], proof: str) -> list[object]:
    """One comparison in one measure; it may answer several figures of the paper."""
    line = lines[0]
    value = link(signed(line["mean"], 2), proof)
    if line["lower"] is not None:
        bounds = f"({signed(line['lower'], 2)} to {signed(line['upper'], 2)})"
        class_ = CLAIM_CLASSES.get(line["verdict"]) if len(lines) == 1 else None
        value = tag("span", value, " ", tag("small", bounds), class_=class_)
    # The later half of the steps are those of the run that the question is about.
    steps = line["steps"][len(line["steps"]) // 2 :]
    proofs = [*map(folder.proof, steps), *[""] * len(line["seeds"])]
    seeds = join(
        [
            link(signed(number, 2), target) if target else signed(number, 2)
            for number, target in zip(line["seeds"], proofs, strict=False)
        ],
        ", ",
    )
    pair = f"{line['before']} → {line['after']}"
    measure = tag("div", tag("small", line["measure"]))
    verdicts = join([tag("div", _verdict(one)) for one in lines])
    return [pair, join([line["question"], measure]), value, seeds, verdicts]


def _verdict(line: Mapping[str, Any]) -> Html:
    said = tag("span", line["verdict"], class_=CLAIM_CLASSES.get(line["verdict"]))
    if not line["paper"]:
        return said
    what = f"{line['kind']} " if line["stands_in"] else ""
    return join([said, tag("small", f" {what}{line['paper']}")])


def bits_section(folder: Folder) -> Html:
    """Bits per byte of every run on every stream, and by language."""
    frame = folder.table("findings", "bits.parquet")
    proof = folder.proof("findings")
    streams = list(dict.fromkeys(frame["stream"]))
    parts = [bits_chart(frame)]
    for (scale,), of_scale in frame.group_by(["scale"], maintain_order=True):
        cells = {(row["model"], row["stream"], row["language"]): row
                 for row in of_scale.iter_rows(named=True)}  # fmt: skip
        models = list(dict.fromkeys(of_scale["model"]))
        for stream in streams:
            tags = sorted({tag for _, name, tag in cells if name == stream} - {""})
            head = ["language", *models]
            rows = [
                [language_cell_of(language), *[_bits_cell(cells.get((model, stream, language)),
                                                          proof) for model in models]]
                for language in tags
            ]  # fmt: skip
            title = f"{stream}" + (f", scale {scale:g}" if scale != 1 else "")
            parts.append(tag("details", tag("summary", f"every run on {title}"),
                             table(head, rows, numbers=range(1, len(head)))))  # fmt: skip
    return section(
        "Bits per byte of held-out text",
        *parts,
        note="Less is better. A stream of several languages is the mean over them, each counted"
        " alike.",
    )


def _bits_cell(row: Mapping[str, Any] | None, proof: str) -> Html:
    if row is None:
        return Html(DASH)
    first = link(f"{row['bits']:.3f}", proof)
    if row["lower"] is None:
        return first
    return join([first, " ", tag("small", f"({row['lower']:.3f} to {row['upper']:.3f})")])


def front_section(folder: Folder) -> Html:
    """Code against language: the runs that no other beats on both."""
    path = folder.step("findings") / "pareto.parquet"
    if not path.is_file():
        return Html("")
    frame = pl.read_parquet(path)
    front = frame.filter("on_front").group_by("model", "scale", maintain_order=True).agg(
        pl.len().alias("seeds")
    )  # fmt: skip
    seeds = frame["seed"].n_unique()
    many = frame["scale"].n_unique() > 1
    listed = ", ".join(
        row["model"] + (f" (x{row['scale']:g})" if many else "") + f" {row['seeds']} of {seeds}"
        for row in front.iter_rows(named=True)
    )
    return section(
        "Code against language",
        front_chart(frame),
        tag("p", f"On the front in how many seeds: {listed}.", class_="note"),
        note="Bits per byte of held-out code, and of text (a mean over its languages); left and"
        " down is better. Filled in the last color: no other run of the same scale and seed is as"
        " good on both and better on one.",
    )


def price_section(folder: Folder) -> Html:
    """What each language pays for a per cent of code."""
    path = folder.step("findings") / "price.parquet"
    if not path.is_file():
        return Html("")
    frame = pl.read_parquet(path)
    if not frame.height:
        return Html("")
    proof = folder.proof("findings")
    parts = []
    for (scale, before, after), rows in frame.group_by(
        ["scale", "before", "after"], maintain_order=True
    ):
        body = [
            [language_cell_of(row["language"]), _price_cell(row, proof)]
            for row in rows.sort("price", descending=True, nulls_last=True).iter_rows(named=True)
        ]
        words = f"{before} → {after}" + (f", scale {scale:g}" if scale != 1 else "")
        worst = rows.sort("price", descending=True, nulls_last=True)["language"][0]
        most = tag("small", f" most: {language_name(worst)}")
        parts.append(tag("details", tag("summary", words, most),
                         table(["language", "price"], body, numbers=(1,))))  # fmt: skip
    return section(
        "What a language pays for code",
        *parts,
        note="Per cent more bits of the language for each per cent fewer bits of code; below 0 the"
        " language gains as well. Intervals are over seeds; only pairs in which code gained have a"
        " price.",
    )


def _price_cell(row: Mapping[str, Any], proof: str) -> Html:
    if row["price"] is None:
        return Html(DASH)
    first = link(signed(row["price"], 2), proof)
    if row["lower"] is None:
        return first
    class_ = ""
    if row["lower"] > 0:
        class_ = VERDICT_CLASSES[PAID]
    elif row["upper"] < 0:
        class_ = VERDICT_CLASSES[GAINED]
    bounds = f"({signed(row['lower'], 2)} to {signed(row['upper'], 2)})"
    return tag("span", first, " ", tag("small", bounds), class_=class_ or None)


def payers(folder: Folder) -> Html:
    """Who gained and who paid, by pair, worst first."""
    findings = folder.step("findings")
    name = next(name for name in ("breadth.parquet", "changes.parquet")
                if (findings / name).is_file())  # fmt: skip
    frame = pl.read_parquet(findings / name).sort(
        "scale", "before", "after", "gain", maintain_order=True
    )
    is_breadth = "family" in frame.columns
    proof = folder.proof("findings")
    head = ["language", "relatives that joined" if is_breadth else "stream", "gain, %",
            "documents", ""]  # fmt: skip
    parts = []
    for (scale, before, after), rows in frame.group_by(
        ["scale", "before", "after"], maintain_order=True
    ):
        counts = {said: rows.filter(verdict=said) for said in (GAINED, PAID)}
        body = [
            [language_cell_of(row["language"]),
             _relatives(row) if is_breadth else row["stream"], _gain_cell(row, proof),
             row["documents"], verdict_cell(row["verdict"])]
            for row in rows.iter_rows(named=True)
        ]  # fmt: skip
        words = f"{before} → {after}" + (f", scale {scale:g}" if scale != 1 else "")
        said = f" {counts[GAINED].height} gained, {counts[PAID].height} paid of {rows.height}"
        worst = ", ".join(
            dict.fromkeys(map(language_name, counts[PAID]["language"][:_MOST_PAYERS]))
        )
        note = tag("small", said + (f"; most: {worst}" if worst else ""))
        parts.append(tag("details", tag("summary", words, note), table(head, body, numbers=(2, 3))))
    return section(
        "Who gained and who paid",
        *parts,
        note="Fewer bits per byte, in per cent of those before. The intervals of a pair hold for"
        " all its languages at once (95 %), so the worst-hurt one may be singled out.",
    )


def _relatives(row: Mapping[str, Any]) -> str:
    """The languages of the same family or script that joined."""
    named = dict.fromkeys([*row["family"].split(), *row["script"].split()])
    return ", ".join(map(language_name, named)) or DASH


def _gain_cell(row: Mapping[str, Any], proof: str) -> Html:
    first = link(signed(row["gain"], 2), proof)
    if row["lower"] is None:
        return join([first, " ", tag("small", f"({DASH})")])
    bounds = f"({signed(row['lower'], 2)} to {signed(row['upper'], 2)})"
    return tag("span", first, " ", tag("small", bounds), class_=VERDICT_CLASSES[row["verdict"]])


def tasks_section(folder: Folder) -> Html:
    """Scores of tasks, and what is at chance."""
    path = folder.step("findings") / "tasks.parquet"
    if not path.is_file():
        return Html("")
    proof = folder.proof("findings")
    frame = pl.read_parquet(path)
    rows = [
        [row["task"], row["metric"], language_cell_of(row["language"]), row["model"],
         link(percent(row["value"]) if row["chance"] is not None else f"{row['value']:.3f}", proof),
         percent(row["chance"]),
         "at chance" if row["at_chance"] else row["rank"]]
        for row in frame.iter_rows(named=True)
    ]  # fmt: skip
    num = int(frame["at_chance"].sum())
    head = ["task", "metric", "language", "run", "score", "chance", "rank"]
    return section(
        "Tasks",
        tag("p", f"{num} of {frame.height} cells are at chance."),
        tag("details", tag("summary", f"all {frame.height}"),
            table(head, rows, numbers=(4, 5))),
        note="A cell whose interval does not lie above chance is at chance, and is not ranked.",
    )  # fmt: skip


def read_section(folder: Folder, found: Mapping[str, Any]) -> Html:
    """Whether what was read is what was planned, and what was not measured."""
    counted = found["ledger"]
    frame = folder.table("findings", "ledger.parquet")
    rows: Sequence[Sequence[object]] = [
        [row["stream"], language_cell_of(row["language"]), row["source"], f"{row['tokens']:,}",
         f"{row['read']:,}"]
        for row in frame.group_by("stream", "language", "source", maintain_order=True)
        .agg(pl.col("tokens").sum(), pl.col("read").sum())
        .iter_rows(named=True)
    ]  # fmt: skip
    words = (
        f"{counted['read']:,} tokens were read of {counted['planned']:,} planned, over"
        f" {counted['runs']} runs; a stream of a stage is at most {counted['most_apart']} tokens"
        " apart."
    )
    missing = [tag("li", what) for what in found["not_measured"]]
    head = ["stream", "language", "source", "planned", "read"]
    return join(
        [
            table_section("What was read", head, rows, numbers=(3, 4), note=words),
            section("Not measured", tag("ul", *missing)) if missing else Html(""),
        ]
    )
