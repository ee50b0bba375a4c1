"""The page of a lifecycle: all of it is read from the run folder, and links to what made it."""

import json
from pathlib import Path
from typing import Any

import polars as pl

from polylect.base import Ledger, read_json
from polylect.report.charts import Dot, color, curves, dot_plot, legend
from polylect.report.folder import (
    Folder,
    cell_of,
    language_of,
    metrics,
    minus,
    number,
    signed,
    smooth,
)
from polylect.report.page import Html, join, link, section, table, tag, write_page
from polylect.runs import MANIFEST, VOLATILE


def write_lifecycle_page(path: Path, name: str) -> Path:
    """The page's path, after writing it into the run's folder."""
    folder = Folder(path)
    sections = [
        experts(folder),
        merges(folder),
        bits(folder),
        training(folder),
        tokens(folder),
        ledger(folder),
        manifests(folder),
    ]
    config = folder.manifest["config"]
    lead = join(
        [
            tag(
                "p",
                "A small model for many languages, made and measured step by step on this machine:"
                " a base, one expert for each cluster of languages, their merges, and the rivals"
                " that saw as many tokens. Held-out text, bits per byte: less is better. Every"
                " number links to the manifest of the step that made it.",
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
    own = rows.filter(pl.col("group") == "own")
    others = rows.filter(pl.col("group") == "others")
    better = own.filter(pl.col("relative_upper") < 0).height
    costs = others.filter(pl.col("relative_lower") > 0).height
    pairs = folder.table("findings", "comparisons.parquet").filter(
        (pl.col("before") == "rival-total") & pl.col("after").str.starts_with("merge-")
    )
    merged = []
    for name in pairs["after"].unique(maintain_order=True):
        found = pairs.filter(pl.col("after") == name)
        paid = found.filter(pl.col("verdict") == "paid").height
        gained = found.filter(pl.col("verdict") == "gained").height
        merged.append(f"{name}: {paid} of {found.height} paid, {gained} gained")
    return (
        f"{better} of {own.height} experts beat the rival of equal tokens on their own languages,"
        f" and {costs} of {others.height} made the other clusters pay for it. Against one model"
        f" trained on as many tokens in all — {'; '.join(merged)}."
    )


def change(row: dict[str, Any], target: str) -> Html:
    """A relative change with its interval, colored by whether it is separable from none."""
    if row["relative"] is None:
        return Html("–")
    low, high = 100 * row["relative_lower"], 100 * row["relative_upper"]
    kind = "better" if high < 0 else "worse" if low > 0 else "level"
    words = signed(100 * row["relative"], 1) + " %"
    span = f"{signed(low, 1)} to {signed(high, 1)}"
    return tag("span", link(words, target), " ", tag("small", f"({span})"), class_=kind)


def experts(folder: Folder) -> Html:
    """Does each expert beat the rival of equal tokens on its own languages, and at whose cost?"""
    groups = folder.table("findings", "groups.parquet")
    own = groups.filter((pl.col("before") == "rival") & pl.col("after").str.starts_with("expert-"))
    proof = folder.proof("findings")
    names = ["own", "anchors", "others", "code"]
    rows, plot = [], []
    for label in own["after"].unique(maintain_order=True):
        part = {r["group"]: r for r in own.filter(pl.col("after") == label).iter_rows(named=True)}
        shown = [change(part[n], proof) if n in part else Html("–") for n in names]
        rows.append([link(label, folder.proof(label)), *shown])
        dots = [
            Dot(
                100 * part[n]["relative"], 100 * part[n]["relative_lower"],
                100 * part[n]["relative_upper"], i,
                f"{label}, {n}: {100 * part[n]['relative']:+.2f} %",
            )
            for i, n in enumerate(names)
            if n in part and part[n]["relative"] is not None
        ]  # fmt: skip
        plot.append((label.removeprefix("expert-"), dots))
    titles = ["its own languages", "anchors", "the other clusters", "code"]
    told = [one["answer"] for one in folder.findings if one["before"] == "rival" and one["answer"]]
    return section(
        "Experts against the rival of equal tokens",
        tag("ul", *[tag("li", minus(one)) for one in told], class_="found"),
        legend(titles),
        dot_plot(plot, "change in bits per byte against the rival, % (left is better)", zero=True),
        table(["expert", *titles], rows, numbers=range(1, 5)),
        note="Each expert continued the base on its own languages and the anchors. The rival"
        " continued the same base for as many tokens on the full mixture. Means over languages,"
        " each counting alike; in brackets the 95 % interval over documents, for all groups of a"
        " comparison at once.",
    )


def merges(folder: Folder) -> Html:
    """Where the merges stand: against the base continued for as many tokens in all."""
    comparisons = folder.table("findings", "comparisons.parquet")
    proof = folder.proof("findings")
    names = [one for one in comparisons["after"].unique(maintain_order=True) if "merge" in one]
    told = [
        one["sentence"]
        for one in folder.findings
        if one["after"] in names and one["before"] in {"rival-total", "rival"}
    ]
    parts: list[Html] = [tag("ul", *[tag("li", minus(one)) for one in told], class_="found")]
    for name in names:
        pair = comparisons.filter((pl.col("before") == "rival-total") & (pl.col("after") == name))
        parts += [
            tag("h3", f"{name} against rival-total, worst-hurt language first"),
            paid_table(pair, proof),
        ]
    return section(
        "Merges against the rival of as many tokens in all",
        *parts,
        note="The merge's experts saw, together, as many tokens as rival-total saw on the full"
        " mixture. Intervals hold for all languages at once (95 %), so the worst-hurt one may be"
        " picked out.",
    )


def paid_table(pair: pl.DataFrame, proof: str) -> Html:
    """Languages of one comparison, worst-hurt first."""
    kinds = {"paid": "worse", "gained": "better", "not separable": "level"}
    rows = [
        [
            cell_of(row["language"]),
            link(f"{row['score_before']:.3f}", proof),
            link(f"{row['score_after']:.3f}", proof),
            tag(
                "span",
                signed(row["difference"], 3) + " ",
                tag("small", f"({signed(-row['upper'], 3)} to {signed(-row['lower'], 3)})"),
                class_=kinds[row["verdict"]],
            ),
            signed(100 * row["relative"], 1) + " %",
            row["items"],
            tag("span", row["verdict"], class_=kinds[row["verdict"]]),
        ]
        for row in pair.iter_rows(named=True)
    ]
    head = ["language", "before", "after", "difference, bits per byte", "relative", "documents", ""]
    return table(head, rows, numbers=range(1, 6))


def bits(folder: Folder) -> Html:
    """Bits per byte of every checkpoint in every language, with intervals."""
    frame = folder.table("findings", "bits.parquet")
    rank = {"base": 0, "rival": 1, "rival-total": 2}
    names = sorted(
        frame["checkpoint"].unique(), key=lambda n: (rank.get(n, 4 if "merge" in n else 3), n)
    )
    cells = {(row["language"], row["checkpoint"]): row for row in frame.iter_rows(named=True)}
    tags = sorted(frame["language"].unique(), key=lambda t: (t == "code", t))
    rows = []
    for one in tags:
        best = min(cells[one, name]["value"] for name in names)
        row: list[object] = [cell_of(one)]
        for name in names:
            cell = cells[one, name]
            span = f"{name}, {one}: {cell['lower']:.3f} to {cell['upper']:.3f}"
            shown = link(f"{cell['value']:.3f}", folder.proof(f"test-{name}"), span)
            row.append(tag("td", shown, class_="n best" if cell["value"] == best else "n"))
        rows.append(row)
    shown = [n for n in names if n in {"base", "rival-total"} or "merge" in n]
    plot = [
        (
            language_of(one).name,
            [
                Dot(
                    cells[one, n]["value"], cells[one, n]["lower"], cells[one, n]["upper"], i,
                    f"{n}, {one}: {cells[one, n]['value']:.3f}",
                )
                for i, n in enumerate(shown)
            ],
        )
        for one in tags
    ]  # fmt: skip
    heads = [link(n.removeprefix("expert-"), folder.proof(n), n) for n in names]
    return section(
        "Bits per byte by checkpoint and language",
        legend(shown),
        dot_plot(plot, "bits per byte on held-out documents (left is better)"),
        table(["language", *heads], rows, numbers=range(1, len(names) + 1)),
        note="All bits over all bytes of the held-out documents, with the 95 % interval over"
        " documents (in the table: hover, or follow the link). The best of each language is bold."
        " A byte says less in a script that needs three bytes a character: compare along a row,"
        " not down a column.",
    )


def training(folder: Folder) -> Html:
    """Loss of every training, over its tokens, and by language for the base."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for label in folder.trainings:
        rows = metrics(folder.metrics_path(label))
        lines[label] = smooth([(row["seen"], row["loss"]) for row in rows])
    base = metrics(folder.metrics_path("base"))
    after = {k: v for k, v in lines.items() if k != "base"}
    # Only linked: the page itself holds nothing that another run of the same would not.
    times = [link(one, folder.proof(one).replace(MANIFEST, VOLATILE)) for one in folder.trainings]
    return section(
        "Training",
        tag("h3", "base"),
        curves({"base": lines["base"]}, "tokens", "loss, nats per token"),
        tag("h3", "experts and rivals, from the base on"),
        curves(after, "tokens", "loss, nats per token"),
        tag("details", tag("summary", "the base's loss by language"), last_losses(folder, base)),
        tag("p", "How long each took on this machine: ", join(times, " · "), class_="note"),
        note="Mean loss of the update's tokens, smoothed over 25 updates. Each training reads its"
        " own mixture, so the curves of experts cannot be compared with each other.",
    )


def last_losses(folder: Folder, rows: list[dict[str, Any]]) -> Html:
    """Loss by language over the last tenth of a training."""
    sums: dict[str, tuple[float, int]] = {}
    for row in rows[-max(1, len(rows) // 10) :]:
        for label, one in row["by_language"].items():
            nats, num = sums.get(label, (0.0, 0))
            sums[label] = (nats + one["loss"] * one["tokens"], num + one["tokens"])
    proof = folder.proof("base")
    lines = [
        [cell_of(label), link(f"{nats / num:.3f}", proof), f"{num:,}"]
        for label, (nats, num) in sorted(sums.items())
    ]
    return table(["language", "nats per token", "tokens"], lines, numbers=(1, 2))


def tokens(folder: Folder) -> Html:
    """Text and tokens of every language: what there was, what the base saw, what a token holds."""
    counts = folder.table("text", "counts.parquet")
    proof, text = folder.proof("tokens"), folder.proof("text")
    documents = folder.table("tokens", "train.documents.parquet")
    sizes = documents.group_by("language").agg(pl.col("tokens").sum(), pl.col("bytes").sum())
    at_hand = {row["language"]: row for row in sizes.iter_rows(named=True)}
    seen: dict[str, int] = {}
    for row in metrics(folder.metrics_path("base")):
        for label, one in row["by_language"].items():
            seen[label] = seen.get(label, 0) + one["tokens"]
    characters = dict(
        counts.group_by("language").agg(pl.col("characters").sum()).sort("language").rows()
    )
    most = max(seen.values())
    shared = {row["language"]: row for row in
              folder.table("overlap", "overlap.parquet").iter_rows(named=True)}  # fmt: skip
    costs = {row["language"]: row for row in
             folder.table("tokenizer", "fertility.parquet").iter_rows(named=True)}  # fmt: skip
    rows = []
    for label in sorted(characters, key=lambda t: (t == "code", t)):
        have, had = at_hand[label], seen.get(label, 0)
        bar = tag("i", class_="bar", style=f"width:{8 * had / most:.2f}rem;background:{color(0)}")
        rows.append(
            [
                cell_of(label),
                link(f"{characters[label]:,}", text),
                link(f"{have['tokens']:,}", proof),
                link(f"{have['bytes'] / have['tokens']:.2f}", proof),
                number(costs.get(label, {}).get("ratio_to_english"), folder.proof("tokenizer")),
                number(
                    shared.get(label, {}).get("gram_share"), folder.proof("overlap"), percent=True
                ),
                link(f"{had:,}", folder.proof("base")),
                bar,
            ]
        )
    head = ["language", "characters kept", "tokens to train on", "bytes per token",
            "tokens to English", "test text seen", "predicted by the base", ""]  # fmt: skip
    return section(
        "Text and tokens per language",
        table(head, rows, numbers=range(1, 7)),
        note="Characters over all splits; tokens of the training split; tokens for the same content"
        " in English; share of the test text's runs of 40 characters that occur in the training"
        " text. The base's share of each language is flattened by the mixture's temperature.",
    )


def ledger(folder: Folder) -> Html:
    """Everything that was dropped, cut, split or repeated, by step."""
    rows = []
    for label in folder.manifest["steps"]:
        counted = Ledger.from_json(read_json(folder.path / folder.proof(label))["ledger"])
        for event, num in counted.by_event().items():
            rows.append([link(label, folder.proof(label)), event, f"{num:,}"])
    return section(
        "Ledger",
        table(["step", "what", "how often"], rows, numbers=(2,)) if rows else tag("p", "Empty."),
        note="Nothing is silent: what was dropped, cut, split, repeated or fell back.",
    )


def manifests(folder: Folder) -> Html:
    """The run: its settings and steps, each with its manifest."""
    manifest = folder.manifest
    steps = [
        [link(label, folder.proof(label)), tag("code", one["digest"][:12])]
        for label, one in manifest["steps"].items()
    ]
    config = [[key, tag("code", json.dumps(value))] for key, value in manifest["config"].items()]
    versions = " · ".join(f"{name} {number}" for name, number in manifest["packages"].items())
    return section(
        "Manifests",
        tag("p", link("run.json", "run.json"), f" · polylect {manifest['polylect']} · {versions}"),
        tag("details", tag("summary", "settings"), table(["setting", "value"], config)),
        tag("details", tag("summary", "steps"), table(["step", "digest of its output"], steps)),
    )
