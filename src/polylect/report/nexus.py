"""The page of the recipe ``nexus``; every number links to the manifest of what made it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from polylect.base import read_json, write_text
from polylect.report.charts import Dot, dot_plot, legend
from polylect.report.folder import Folder
from polylect.report.formats import (
    CLAIM_CLASSES,
    DASH,
    VERDICT_CLASSES,
    language_cell_of,
    signed,
    verdict_cell,
)
from polylect.report.lifecycle import ledger, manifests
from polylect.report.page import Html, join, link, section, table, tag, write_page


def write_nexus_page(path: Path, name: str) -> Path:
    """Write the page into the run's folder; returns its path."""
    folder = Folder(path)
    found = read_json(folder.step("findings") / "findings.json")
    sections = [
        claims(folder, found),
        routing(folder, found),
        routing_by_expert(folder, found),
        payers(folder, found),
        bits(folder),
        sizes(folder, found),
        ledger(folder),
        manifests(folder),
    ]
    lead = join(
        [
            tag(
                "p",
                "Dense experts, each trained on a domain of its own, in one mixture of experts"
                " whose router reads what each was trained on; one more expert appended later."
                " Scores are bits per byte of held-out text; less is better. Every number links to"
                " the manifest of the step that made it.",
                class_="lead",
            ),
            *[tag("p", tag("strong", words), class_="lead") for words in summary(found)],
            tag("p", seeds_note(found), class_="note"),
        ]
    )
    write_page(path / name, "Experts in one model, and one more", lead, sections)
    return path / name


def write_nexus_summary(path: Path, name: str) -> Path:
    """Write the findings as lines for a terminal into the run's folder; returns its path."""
    found = read_json(Folder(path).step("findings") / "findings.json")
    lines = [*summary(found), ""]
    for line in found["lines"]:
        value = f"{figure(line, line['mean'])} {line['unit']}"
        if line["lower"] is not None:
            bounds = (figure(line, line[end]) for end in ("lower", "upper"))
            value += f" ({' to '.join(bounds)})"
        paper = f"; paper: {line['paper']}" if line["paper"] else ""
        where = f", {line['text']} domains" if line["text"] else ""
        lines.append(
            f"{line['after']} against {line['before']}{where}: {value}: {line['verdict']}{paper}"
        )
    note = next((line["note"] for line in found["lines"] if line["note"]), "")
    write_text(path / name, "\n".join([*lines, *([note] if note else [])]) + "\n")
    return path / name


def figure(line: Mapping[str, Any], value: float) -> str:
    """A figure of a line: gains are signed, shares are not."""
    return f"{value:.1f}" if line["before"] == "chance" else signed(value, 1)


def seeds_note(found: Mapping[str, Any]) -> str:
    """How many seeds, and what the intervals respect."""
    seeds = found["seeds"]
    if len(seeds) == 1:
        return (
            f"One seed ({seeds[0]}): intervals are over documents alone, and do not say what"
            " another seed would give. At this scale the figures show the method, not what a large"
            " model would do."
        )
    return (
        f"{len(seeds)} seeds ({', '.join(map(str, seeds))}), each with a base, experts and mixtures"
        " of its own. Intervals respect seeds and documents (95 %). At this scale the figures show"
        " the method, not what a large model would do."
    )


def summary(found: Mapping[str, Any]) -> list[str]:
    """The findings in sentences."""
    words = []
    targets = found["targets"]
    if targets:
        after = targets["own_share_extended"]
        own = ", ".join(
            f"{name} {100 * share:.0f} % → {100 * after[name]:.0f} %"
            for name, share in targets["own_share"].items()
        )
        untuned = targets["appended_share_untuned"]
        was = "" if untuned is None else f"{100 * untuned:.0f} % → "
        words.append(
            f"Share of each domain's tokens that the Nexus router sends to the domain's own expert,"
            f" before and after another was appended and tuned: {own}. Of the appended domain,"
            f" before and after tuning on one token in"
            f" {targets['upcycle_tokens_over_extend_tokens']:.4g}:"
            f" {was}{100 * targets['appended_share']:.0f} %."
        )
    papers = [line for line in found["lines"] if line["asked_by"] == "paper"]
    counts = {said: sum(line["verdict"] == said for line in papers)
              for said in ("same direction", "not separable", "opposite")}  # fmt: skip
    listed = ", ".join(f"{num} {said}" for said, num in counts.items())
    words.append(f"Of {len(papers)} claims of the paper: {listed}.")
    return words


def step_label(found: Mapping[str, Any], label: str, number: int) -> str:
    """The label of a step of one of the seeds."""
    seed = found["seeds"][number]
    return label if number == 0 else f"{label}-seed{seed}"


def value_cell(line: Mapping[str, Any], proof: str) -> Html:
    """A mean with its interval, colored by its verdict."""
    first = link(figure(line, line["mean"]), proof)
    if line["lower"] is None:
        return join([first, " ", tag("small", f"({DASH})")])
    class_ = CLAIM_CLASSES.get(line["verdict"], VERDICT_CLASSES.get(line["verdict"], ""))
    bounds = " to ".join(figure(line, line[end]) for end in ("lower", "upper"))
    return tag("span", first, " ", tag("small", f"({bounds})"), class_=class_)


def claims(folder: Folder, found: Mapping[str, Any]) -> Html:
    """The paper's claims and its reviewers' questions, and the answers of this run."""
    proof = folder.proof("findings")
    parts = []
    for who, title in (("paper", "What the paper claims"), ("reviewers", "What reviewers asked")):
        rows = []
        for line in found["lines"]:
            if line["asked_by"] != who:
                continue
            seeds = [
                link(
                    figure(line, value),
                    folder.proof(step_label(found, line["steps"][-1], number)),
                )
                for number, value in enumerate(line["seeds"])
            ]
            rows.append(
                [line["question"], value_cell(line, proof), join(seeds, ", "), line["verdict"],
                 line["paper"] or DASH]
            )  # fmt: skip
        head = ["question", "here", "seeds", "", "paper"]
        parts += [tag("h3", title), table(head, rows, numbers=(1,))] if rows else []
    return section(
        "The paper's lines",
        *parts,
        note="A gain is fewer bits per byte, in per cent of the other model's; a share is of"
        " tokens, in per cent, against chance. Gains are means over the"
        " languages of the domains that were upcycled (previous) or of the appended one. Each"
        " interval holds for itself. The paper's figures are scores of tasks at 470 million and 2.8"
        " billion parameters, without seeds or intervals; only directions can be compared.",
    )


def routing(folder: Folder, found: Mapping[str, Any]) -> Html:
    """Own-domain share of every mixture."""
    rows = found["routing"]
    if not rows:
        return Html("")
    models = list(dict.fromkeys(row["model"] for row in rows))
    domains = list(dict.fromkeys(row["domain"] for row in rows))
    cells = {(row["domain"], row["model"]): row for row in rows}
    shown = [name for name in models if not name.startswith("append-")]
    plot = [
        (domain, [
            Dot(100 * row["share"], 100 * _or(row["lower"], row["share"]),
                100 * _or(row["upper"], row["share"]), i,
                f"{name}, {domain}: {100 * row['share']:.1f} %")
            for i, name in enumerate(shown) if (row := cells.get((domain, name)))
        ])
        for domain in domains
    ]  # fmt: skip
    lines = []
    for name in models:
        proof = folder.proof(f"route-{name}")
        line: list[object] = [link(name, folder.proof(name))]
        for domain in domains:
            row = cells.get((domain, name))
            line.append(DASH if row is None else _share_cell(row, proof))
        lines.append(line)
    return section(
        "Where the domains go",
        legend(shown),
        dot_plot(plot, "tokens that reach the domain's own expert, %"),
        table(["mixture", *domains], lines, numbers=range(1, len(domains) + 1)),
        tag("p", _unused(found), class_="note"),
        note="Share of a domain's tokens, over all blocks, whose first choice is the domain's own"
        " expert. append-… is the mixture just after the expert was appended, not tuned yet. The"
        " oracle, which is told the domain, is at 100 % and not shown.",
    )


def _or(value: float | None, other: float) -> float:
    return other if value is None else value


def _share_cell(row: Mapping[str, Any], proof: str) -> Html:
    first = link(f"{100 * row['share']:.1f}", proof)
    if row["lower"] is None:
        return first
    bounds = f"({100 * row['lower']:.1f} to {100 * row['upper']:.1f})"
    return join([first, " ", tag("small", bounds)])


def _unused(found: Mapping[str, Any]) -> str:
    rows = found["unused"]
    if not rows:
        return "No expert of any mixture gets less than 1 % of the choices."
    listed = "; ".join(f"{row['expert']} of {row['model']} (seed {row['seed']})" for row in rows)
    return f"Experts that get less than 1 % of the choices: {listed}."


def routing_by_expert(folder: Folder, found: Mapping[str, Any]) -> Html:
    """The share of every expert in every language, before and after appending."""
    if not found["routing"]:
        return Html("")
    frame = folder.table("findings", "routing.parquet")
    parts = []
    for name in ("nexus", "nexus-extended"):
        of_model = frame.filter(model=name)
        if not of_model.height:
            continue
        experts = found["models"][name]["experts"]
        sums = of_model.group_by("domain", "language", "expert_name").agg(pl.col("choices").sum())
        share = pl.col("choices") / pl.col("choices").sum().over("domain", "language")
        values = {(row["language"], row["expert_name"]): row["share"]
                  for row in sums.with_columns(share=share).iter_rows(named=True)}  # fmt: skip
        proof = folder.proof(f"route-{name}")
        labels = of_model.select("domain", "language").unique().sort("domain", "language")
        rows = [
            [language_cell_of(tag_), domain,
             *[link(f"{100 * values.get((tag_, expert), 0.0):.1f}", proof) for expert in experts]]
            for domain, tag_ in labels.iter_rows()
        ]  # fmt: skip
        numbers = range(2, 2 + len(experts))
        parts += [tag("h3", name), table(["language", "domain", *experts], rows, numbers=numbers)]
        blocks = of_model.filter(pl.col("domain") == pl.col("expert_name"))
        total = of_model.group_by("domain", "block").agg(all=pl.col("choices").sum())
        own = blocks.group_by("domain", "block").agg(own=pl.col("choices").sum())
        both = own.join(total, on=["domain", "block"]).sort("domain", "block")
        by_block = {(row["domain"], row["block"]): row["own"] / row["all"]
                    for row in both.iter_rows(named=True)}  # fmt: skip
        names = list(dict.fromkeys(domain for domain, _ in by_block))
        numbers_of = sorted({block for _, block in by_block})
        lines = [
            [domain, *[link(f"{100 * by_block[domain, b]:.0f}", proof) for b in numbers_of]]
            for domain in names
        ]
        head = ["own share, % by block", *map(str, numbers_of)]
        parts.append(table(head, lines, numbers=range(1, 1 + len(numbers_of))))
    return section(
        "Routing by language and block",
        *parts,
        note="Share of a language's tokens whose first choice is an expert, in per cent, over all"
        " blocks and seeds.",
    )


def payers(folder: Folder, found: Mapping[str, Any]) -> Html:
    """Who gained and who paid, by language, for every pair."""
    frame = folder.table("findings", "languages.parquet")
    proof = folder.proof("findings")
    sentences = {(row["before"], row["after"]): row["sentence"] for row in found["sentences"]}
    parts = []
    for before, after in frame.select("before", "after").unique(maintain_order=True).iter_rows():
        rows = [
            [
                language_cell_of(row["language"]),
                link(f"{row['score_before']:.3f}", proof),
                link(f"{row['score_after']:.3f}", proof),
                value_cell(row | {"mean": row["gain"]}, proof),
                row["documents"],
                verdict_cell(row["verdict"]),
            ]
            for row in frame.filter(before=before, after=after).iter_rows(named=True)
        ]
        head = ["language", "before", "after", "gain, %", "documents", ""]
        parts += [
            tag("h3", f"{after} against {before}, worst-hurt language first"),
            tag("p", sentences.get((before, after), ""), class_="note"),
            table(head, rows, numbers=range(1, 5)),
        ]
    return section(
        "Who gained and who paid",
        *parts,
        note="Bits per byte, and the gain in per cent. Intervals hold for all languages of a pair"
        " at once and respect seeds and documents; the sentence above a table is over documents,"
        " each with its mean over seeds.",
    )


def bits(folder: Folder) -> Html:
    """Bits per byte of every model in every language."""
    frame = folder.table("findings", "bits.parquet")
    names = [name.removeprefix("test-") for name in folder.manifest["steps"]
             if name.startswith("test-")]  # fmt: skip
    names = [name for name in names if name in set(frame["checkpoint"])]
    cells = {(row["language"], row["checkpoint"]): row["value"]
             for row in frame.iter_rows(named=True)}  # fmt: skip
    labels = sorted(frame["language"].unique(), key=lambda label: (label == "code", label))
    rows = []
    for name in names:
        row: list[object] = [name]
        for label in labels:
            value = cells.get((label, name))
            best = min(cells[key] for key in cells if key[0] == label)
            shown = DASH if value is None else link(f"{value:.3f}", folder.proof(f"test-{name}"))
            row.append(tag("td", shown, class_="n best" if value == best else "n"))
        rows.append(row)
    heads = [language_cell_of(label) for label in labels]
    return section(
        "Bits per byte by model and language",
        table(["model", *heads], rows, numbers=range(1, len(labels) + 1)),
        note="All bits over all bytes of the held-out documents, each with its mean over seeds. The"
        " best of a language is bold. A byte carries less in a script of three bytes per character:"
        " compare down a column, not along a row.",
    )


def sizes(folder: Folder, found: Mapping[str, Any]) -> Html:
    """Parameters of the mixtures, and what they took."""
    rows: list[Sequence[object]] = []
    for name, model in found["models"].items():
        if name.startswith("append-"):
            continue
        proof = folder.proof(f"route-{name}")
        rows.append(
            [link(name, folder.proof(name)), ", ".join(model["experts"]),
             link(f"{model['active']:,}", proof), link(f"{model['total']:,}", proof),
             link("time and memory", folder.costs(name))]
        )  # fmt: skip
    head = ["mixture", "experts", "active parameters", "all parameters", "its training"]
    return section("Sizes", table(head, rows, numbers=(2, 3))) if rows else Html("")
