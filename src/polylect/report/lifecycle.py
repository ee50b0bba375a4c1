"""The page of a lifecycle, read from the run folder; every number links to what made it."""

import json
from pathlib import Path
from typing import Any

import polars as pl

from polylect.base import Ledger, read_json
from polylect.comparison import GAINED, PAID
from polylect.report.charts import Dot, color, curves, dot_plot, legend
from polylect.report.folder import Folder, metrics, smooth
from polylect.report.formats import (
    DASH,
    VERDICT_CLASSES,
    language_cell_of,
    language_name,
    linked,
    sentence_list,
    signed,
    verdict_cell,
    with_interval,
)
from polylect.report.page import Html, join, link, section, table, tag, write_page
from polylect.report.relative_changes import relative_change, verdict_of_change
from polylect.report.seeming import seeming_section


def write_lifecycle_page(path: Path, name: str) -> Path:
    """Write the page into the run's folder; returns its path."""
    folder = Folder(path)
    sections = [
        experts(folder),
        merges(folder),
        bits(folder),
        training(folder),
        tokens(folder),
        seeming_section(_counted(folder, "text")),
        ledger(folder),
        manifests(folder),
    ]
    config = folder.manifest["config"]
    lead = join(
        [
            tag(
                "p",
                "A small model for many languages, trained and measured step by step on this"
                " machine: a base, an expert for each cluster of languages, merges of the experts,"
                " and rivals trained on as many tokens. Scores are bits per byte of held-out text;"
                " less is better. Every number links to the manifest of the step that made it.",
                class_="lead",
            ),
            tag("p", tag("strong", summary(folder)), class_="lead"),
            tag(
                "p",
                f"{config['num_parameters']:,} parameters at most, seed {config['seed']}."
                " At this scale the figures show the method, not what a large model would do.",
                class_="note",
            ),
        ]
    )
    write_page(path / name, "Who pays for it: a model for many languages", lead, sections)
    return path / name


def summary(folder: Folder) -> str:
    """The findings in two sentences: who gained from the experts and merges, and who paid."""
    rows = folder.table("findings", "groups.parquet").filter(
        (pl.col("before") == "rival") & pl.col("after").str.starts_with("expert-")
    )
    own_languages = rows.filter(pl.col("group") == "own")
    others = rows.filter(pl.col("group") == "others")
    better = own_languages.filter(pl.col("relative_upper") < 0).height
    costs = others.filter(pl.col("relative_lower") > 0).height
    pairs = folder.table("findings", "comparisons.parquet").filter(
        (pl.col("before") == "rival-total") & pl.col("after").str.starts_with("merge-")
    )
    merged = []
    for name in pairs["after"].unique(maintain_order=True):
        verdicts = pairs.filter(pl.col("after") == name)["verdict"].to_list()
        paid, gained = verdicts.count(PAID), verdicts.count(GAINED)
        merged.append(f"{name}: {paid} of {len(verdicts)} paid, {gained} gained")
    return (
        f"{better} of {own_languages.height} experts beat the rival of equal tokens on their own"
        f" languages, and {costs} of {others.height} made the other clusters pay for it. Against"
        f" one model trained on as many tokens in total — {'; '.join(merged)}."
    )


def change(row: dict[str, Any], target: str) -> Html:
    """A relative gain with its interval, colored by whether it is separable from 0."""
    gain = relative_change(row)
    if gain is None:
        return Html(DASH)
    value, low, high = gain
    words = link(signed(value, 1) + " %", target)
    return with_interval(words, low, high, 1, VERDICT_CLASSES[verdict_of_change(gain)])


def experts(folder: Folder) -> Html:
    """Does each expert beat the rival of equal tokens on its own languages, and at whose cost?"""
    groups = folder.table("findings", "groups.parquet")
    of_experts = groups.filter(
        (pl.col("before") == "rival") & pl.col("after").str.starts_with("expert-")
    )
    proof = folder.proof("findings")
    names = ["own", "anchors", "others", "code"]
    rows, plot = [], []
    for label in of_experts["after"].unique(maintain_order=True):
        part = {row["group"]: row for row in of_experts.filter(after=label).to_dicts()}
        shown = [change(part[name], proof) if name in part else DASH for name in names]
        rows.append([link(label, folder.proof(label)), *shown])
        dots = [
            Dot(*gain, i, f"{label}, {name}: {gain[0]:+.2f} %")
            for i, name in enumerate(names)
            if name in part and (gain := relative_change(part[name])) is not None
        ]
        plot.append((label.removeprefix("expert-"), dots))
    titles = ["its own languages", "anchors", "the other clusters", "code"]
    answers = [finding["answer"] for finding in folder.findings
               if finding["before"] == "rival" and finding["answer"]]  # fmt: skip
    return section(
        "Experts against the rival of equal tokens",
        sentence_list(answers),
        legend(titles),
        dot_plot(
            plot,
            "gain over the rival, % of its bits per byte",
            zero=True,
            ends=("← worse", "better →"),
        ),
        table(["expert", *titles], rows, numbers=range(1, 5)),
        note="Each expert continues the base on its own languages and the anchors. The rival"
        " continues the same base for as many tokens on the full mixture. A gain is fewer bits,"
        " above 0. Means over languages, each counting equally; in brackets the 95 % interval over"
        " documents, which holds for all groups of a comparison at once.",
    )


def merges(folder: Folder) -> Html:
    """The merges against the base continued for as many tokens in total."""
    comparisons = folder.table("findings", "comparisons.parquet")
    proof = folder.proof("findings")
    names = [name for name in comparisons["after"].unique(maintain_order=True) if "merge" in name]
    sentences = [
        finding["sentence"]
        for finding in folder.findings
        if finding["after"] in names and finding["before"] in {"rival-total", "rival"}
    ]
    parts = [sentence_list(sentences)]
    for name in names:
        pair = comparisons.filter((pl.col("before") == "rival-total") & (pl.col("after") == name))
        parts += [
            tag("h3", f"{name} against rival-total, worst-hurt language first"),
            paid_table(pair, proof),
        ]
    return section(
        "Merges against the rival of as many tokens in total",
        *parts,
        note="A gain is fewer bits per byte, in per cent of the rival's. Together, the merged"
        " experts were trained on as many tokens as rival-total was on the full mixture."
        " Intervals hold for all languages at once (95 %), so the worst-hurt one may be"
        " singled out.",
    )


def paid_table(pair: pl.DataFrame, proof: str) -> Html:
    """Languages of one comparison, worst-hurt first."""
    rows = [
        [
            language_cell_of(row["language"]),
            link(f"{row['score_before']:.3f}", proof),
            link(f"{row['score_after']:.3f}", proof),
            change(row, proof),
            row["items"],
            verdict_cell(row["verdict"]),
        ]
        for row in pair.iter_rows(named=True)
    ]  # fmt: skip
    head = ["language", "before", "after", "gain", "documents", ""]
    return table(head, rows, numbers=range(1, 5))


def bits(folder: Folder) -> Html:
    """Bits per byte of every checkpoint in every language, with intervals."""
    frame = folder.table("findings", "bits.parquet")
    rank = {"base": 0, "rival": 1, "rival-total": 2}
    names = sorted(
        frame["checkpoint"].unique(),
        key=lambda name: (rank.get(name, 4 if "merge" in name else 3), name),
    )
    cells = {(row["language"], row["checkpoint"]): row for row in frame.iter_rows(named=True)}
    labels = sorted(frame["language"].unique(), key=lambda label: (label == "code", label))
    rows = []
    for label in labels:
        best = min(cells[label, name]["value"] for name in names)
        row: list[object] = [language_cell_of(label)]
        for name in names:
            cell = cells[label, name]
            span = f"{name}, {label}: {cell['lower']:.3f} to {cell['upper']:.3f}"
            shown = link(f"{cell['value']:.3f}", folder.proof(f"test-{name}"), span)
            row.append(tag("td", shown, class_="n best" if cell["value"] == best else "n"))
        rows.append(row)
    charted = [name for name in names if name in {"base", "rival-total"} or "merge" in name]
    plot = [
        (
            language_name(label),
            [
                Dot(
                    cells[label, name]["value"], cells[label, name]["lower"],
                    cells[label, name]["upper"], i,
                    f"{name}, {label}: {cells[label, name]['value']:.3f}",
                )
                for i, name in enumerate(charted)
            ],
        )
        for label in labels
    ]  # fmt: skip
    heads = [link(name.removeprefix("expert-"), folder.proof(name), name) for name in names]
    return section(
        "Bits per byte by checkpoint and language",
        legend(charted),
        dot_plot(plot, "bits per byte on held-out documents (left is better)"),
        table(["language", *heads], rows, numbers=range(1, len(names) + 1)),
        note="All bits over all bytes of the held-out documents, with the 95 % interval over"
        " documents (in the table: hover, or follow the link). The best of each language is bold."
        " A byte carries less in a script of three bytes per character: compare along a row, not"
        " down a column.",
    )


def training(folder: Folder) -> Html:
    """Loss of every training over its tokens; that of the base by language too."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for label in folder.trainings:
        rows = metrics(folder.metrics_path(label))
        lines[label] = smooth([(row["seen"], row["loss"]) for row in rows])
    base = metrics(folder.metrics_path("base"))
    others = {label: line for label, line in lines.items() if label != "base"}
    # Only linked: the page itself is the same for every run of the same configuration.
    times = [link(label, folder.costs(label)) for label in folder.trainings]
    return section(
        "Training",
        tag("h3", "base"),
        curves({"base": lines["base"]}, "tokens", "loss, nats per token"),
        tag("h3", "experts and rivals, continuing the base"),
        curves(others, "tokens", "loss, nats per token"),
        tag("details", tag("summary", "the base's loss by language"), last_losses(folder, base)),
        tag("p", "Time that each took on this machine: ", join(times, " · "), class_="note"),
        note="Mean loss over the tokens of an update, smoothed over 25 updates. Each training has a"
        " mixture of its own, so the curves of experts cannot be compared with each other.",
    )


def last_losses(folder: Folder, rows: list[dict[str, Any]]) -> Html:
    """Loss by language over the last tenth of a training."""
    sums: dict[str, tuple[float, int]] = {}
    for row in rows[-max(1, len(rows) // 10) :]:
        for label, part in row["by_language"].items():
            nats, num = sums.get(label, (0.0, 0))
            sums[label] = (nats + part["loss"] * part["tokens"], num + part["tokens"])
    proof = folder.proof("base")
    lines = [
        [language_cell_of(label), link(f"{nats / num:.3f}", proof), f"{num:,}"]
        for label, (nats, num) in sorted(sums.items())
    ]
    return table(["language", "nats per token", "tokens"], lines, numbers=(1, 2))


def tokens(folder: Folder) -> Html:
    """Text and tokens by language: available, trained on by the base, and bytes per token."""
    counts = folder.table("text", "counts.parquet")
    proof, text = folder.proof("tokens"), folder.proof("text")
    documents = folder.table("tokens", "train.documents.parquet")
    sizes = documents.group_by("language").agg(pl.col("tokens").sum(), pl.col("bytes").sum())
    at_hand = {row["language"]: row for row in sizes.iter_rows(named=True)}
    seen: dict[str, int] = {}
    for row in metrics(folder.metrics_path("base")):
        for label, part in row["by_language"].items():
            seen[label] = seen.get(label, 0) + part["tokens"]
    characters = dict(
        counts.group_by("language").agg(pl.col("characters").sum()).sort("language").rows()
    )
    most = max(seen.values())
    shared = {row["language"]: row for row in
              folder.table("overlap", "overlap.parquet").iter_rows(named=True)}  # fmt: skip
    costs = {row["language"]: row for row in
             folder.table("tokenizer", "fertility.parquet").iter_rows(named=True)}  # fmt: skip
    rows = []
    for label in sorted(characters, key=lambda label: (label == "code", label)):
        have, had = at_hand[label], seen.get(label, 0)
        bar = tag("i", class_="bar", style=f"width:{8 * had / most:.2f}rem;background:{color(0)}")
        rows.append(
            [
                language_cell_of(label),
                link(f"{characters[label]:,}", text),
                link(f"{have['tokens']:,}", proof),
                link(f"{have['bytes'] / have['tokens']:.2f}", proof),
                linked(costs.get(label, {}).get("ratio_to_english"), folder.proof("tokenizer")),
                linked(shared.get(label, {}).get("gram_share"), folder.proof("overlap"),
                       as_percent=True),
                link(f"{had:,}", folder.proof("base")),
                bar,
            ]
        )  # fmt: skip
    head = ["language", "characters kept", "training tokens", "bytes per token",
            "tokens relative to English", "test text seen", "base trained on", ""]  # fmt: skip
    return section(
        "Text and tokens per language",
        table(head, rows, numbers=range(1, 7)),
        note="Characters of all splits; tokens of the training split; tokens for the same content"
        " relative to English; share of the test text's 40-character sequences that occur in the"
        " training text. The mixture's temperature flattens the languages' shares of the base.",
    )


def ledger(folder: Folder) -> Html:
    """Everything that was dropped, truncated, split or repeated, by step."""
    rows = []
    for label in folder.manifest["steps"]:
        for event, num in _counted(folder, label).by_event().items():
            rows.append([link(label, folder.proof(label)), event, f"{num:,}"])
    return section(
        "Ledger",
        table(["step", "what", "how often"], rows, numbers=(2,)) if rows else tag("p", "Empty."),
        note="Everything that was dropped, truncated, split, repeated or fell back.",
    )


def _counted(folder: Folder, label: str) -> Ledger:
    return Ledger.from_json(read_json(folder.path / folder.proof(label))["ledger"])


def manifests(folder: Folder) -> Html:
    """The run's settings, and its steps with their manifests."""
    manifest = folder.manifest
    steps = [
        [link(label, folder.proof(label)), tag("code", entry["digest"][:12])]
        for label, entry in manifest["steps"].items()
    ]
    config = [[key, tag("code", json.dumps(value))] for key, value in manifest["config"].items()]
    versions = " · ".join(f"{name} {version}" for name, version in manifest["packages"].items())
    return section(
        "Manifests",
        tag("p", link("run.json", "run.json"), f" · polylect {manifest['polylect']} · {versions}"),
        tag("details", tag("summary", "settings"), table(["setting", "value"], config)),
        tag("details", tag("summary", "steps"), table(["step", "digest of its output"], steps)),
    )
