"""What "To Code, or Not To Code" (2408.10914) claims, as comparisons of two runs.

The paper measures accuracies of tasks. Where those are not at hand, or at chance, held-out text
says what it can: bits per byte of text in natural languages stands in for reasoning and knowledge,
those of code from the web for code. Every such line says that it stands in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from polylect.recipes.intervals import Interval, line_of, ratio_interval
from polylect.rows import AT_CHANCE, chance_note

Kind = Literal["reasoning", "knowledge", "code", "generation"]
"""Kinds of evaluation (sections 2.4 and 3)."""

NOT_CHECKABLE = "not checkable here"
MINUS = "\N{MINUS SIGN}"
BITS = "bits_per_byte"
"""The metric of which less is better; of all others more is."""


@dataclass(frozen=True)
class Claim:
    """A claim that one run beats another in a kind of evaluation.

    Attributes:
        question: in words.
        before: the run that is compared with, by variant and cooldown.
        after: the run that the claim is about.
        kind: of evaluation.
        paper: its figure.
        claimed: 1: better; -1: worse; 0: no difference is claimed, or the paper says nothing.
    """

    question: str
    before: str
    after: str
    kind: Kind
    paper: str
    claimed: int = 1


def _claims(
    question: str, before: str, after: str, figures: Mapping[Kind, tuple[str, int]]
) -> list[Claim]:
    return [Claim(question, before, after, kind, paper, claimed)
            for kind, (paper, claimed) in figures.items()]  # fmt: skip


CLAIMS: tuple[Claim, ...] = (
    *_claims("does code in the first half help a model that then reads text?",
             "text-only", "balanced-text",
             {"reasoning": ("+8.2 %", 1), "knowledge": ("+4.2 %", 1), "code": ("12×", 1),
              "generation": ("+6.6 % wins", 1)}),
    *_claims("and a first half of code alone?", "text-only", "code-text",
             {"reasoning": ("+8.8 %", 1), "code": ("4.1 of 0.4 (table)", 1)}),
    *_claims("is balanced text and code a better start than code alone?",
             "code-text", "balanced-text", {"knowledge": ("+21 %", 1)}),
    *_claims("what is left of the headline once everyone has the cooldown?",
             "text-only+cooldown", "balanced-text+cooldown",
             {"reasoning": ("+1.5 % (table)", 1), "knowledge": (f"{MINUS}1.8 % (table)", -1),
              "code": ("5.8 of 4.4 (table)", 1), "generation": ("37.7 of 35.7 % wins", 1)}),
    *_claims("and with a first half of code alone?", "text-only+cooldown", "code-text+cooldown",
             {"reasoning": (f"{MINUS}3.7 % (table)", -1), "code": ("7.5 of 4.4 (table)", 1)}),
    *_claims("a quarter of code, against none?", "code-0", "code-25",
             {"reasoning": ("+3.4 %", 1), "knowledge": (f"{MINUS}3.4 %", -1)}),
    *_claims("half of it?", "code-0", "code-50", {"reasoning": ("flat to 75 %", 0)}),
    *_claims("three quarters?", "code-0", "code-75",
             {"reasoning": ("flat to 75 %", 0), "knowledge": (f"{MINUS}31 %", -1)}),
    *_claims("nothing but code?", "code-0", "code-100",
             {"reasoning": (f"{MINUS}18.3 %", -1), "knowledge": (f"{MINUS}86 %", -1)}),
    *_claims("does code go on improving from a quarter to all?", "code-25", "code-100",
             {"code": ("2.6×", 1)}),
    *_claims("a fifth of the code replaced by markup?", "web-only", "web-markup",
             {"reasoning": ("slightly better", 1), "code": (f"{MINUS}15.7 %", -1)}),
    *_claims("15 % of it by code-adjacent text?", "web-only", "web-adjacent",
             {"reasoning": ("slightly better", 1), "code": (f"{MINUS}9.4 %", -1)}),
    *_claims("a tenth of it by verified synthetic problems?", "web-only", "web-synthetic",
             {"reasoning": ("+9.0 %", 1), "code": ("+44.9 %", 1)}),
    *_claims("synthetic problems in a balanced start?", "balanced-text", "synthetic-text",
             {"reasoning": ("+2 %", 1), "code": ("+35 %", 1)}),
    *_claims("does the cooldown with code help?", "balanced-text", "balanced-text+cooldown",
             {"reasoning": ("+3.6 %", 1), "knowledge": ("+10.1 %", 1), "code": ("+20 %", 1),
              "generation": ("52.3 % wins", 1)}),
    *_claims("and one without code?", "balanced-text", "balanced-text+text-cooldown",
             {"reasoning": ("no", 0), "knowledge": ("+3.1 %", 1), "code": ("no", 0)}),
    *_claims("code in the cooldown, against none in it?",
             "balanced-text+text-cooldown", "balanced-text+cooldown",
             {"generation": ("+4.1 points of wins", 1)}),
)  # fmt: skip


def scale_note(scale: float) -> str:
    """What stands behind a question at another scale than 1."""
    return "" if scale == 1 else f" (x{scale:g})"


def bit_rows(bits: pl.DataFrame, before: str, after: str, streams: Sequence[str]) -> pl.DataFrame:
    """The bits of two runs on the same documents of some streams, for ``ratio_interval``.

    Args:
        bits: columns model, seed, stream, language, group, item, cluster, value, weight, of one
            scale.
        before: below the line.
        after: above it.
        streams: their names.
    """
    keys = ["seed", "stream", "language", "group", "item"]
    product = pl.col("value") * pl.col("weight")
    chosen = bits.filter(pl.col("stream").is_in(list(streams)))
    bottom = chosen.filter(model=before).select(*keys, "cluster", bottom=product)
    top = chosen.filter(model=after).select(*keys, top=product)
    joined = bottom.join(top, on=keys)
    return joined.select("seed", "cluster", "top", "bottom", pl.col("language").alias("group"))


def bits_gain(bits: pl.DataFrame, before: str, after: str, stream: str) -> Interval | None:
    """Fewer bits per byte, in per cent, a mean over languages; None where one was not made."""
    rows = bit_rows(bits, before, after, [stream])
    return ratio_interval(rows).mapped(-100.0, 100.0) if rows.height else None


def task_rows(tasks: pl.DataFrame, before: str, after: str, kind: str) -> pl.DataFrame:
    """The scores of two runs on the same items of all tasks of a kind, for ``ratio_interval``.

    Args:
        tasks: columns model, seed, task, kind, language, metric, item, cluster, value, weight.
        before: below the line.
        after: above it.
        kind: of evaluation.
    """
    keys = ["seed", "task", "metric", "language", "item"]
    chosen = tasks.filter(kind=kind)
    product = pl.col("value") * pl.col("weight")
    bottom = chosen.filter(model=before).select(*keys, "cluster", bottom=product)
    joined = bottom.join(chosen.filter(model=after).select(*keys, top=product), on=keys)
    columns = ["seed", "cluster", "top", "bottom", "task", "metric"]
    return joined.select(*columns, group=_cell())


def task_cells(tasks: pl.DataFrame) -> pl.DataFrame:
    """Every run's score on every task and language, and whether it is at chance.

    Args:
        tasks: see ``task_rows``, with a column chance; of one scale.

    Returns:
        Columns model, task, language, metric, kind, value, lower, upper, chance, at_chance, rank.
        A cell whose interval (over seeds and items) does not lie above chance has no rank. Chance
        is null where guessing has none. In bits per byte the lowest is first.
    """
    rows = []
    keys = ["model", "task", "language", "metric", "kind"]
    for key, part in tasks.group_by(keys, maintain_order=True):
        product = pl.col("value") * pl.col("weight")
        table = part.select("seed", "cluster", group=pl.lit(""), top=product, bottom="weight")
        interval = ratio_interval(table)
        chance = part["chance"].cast(pl.Float64).mean()
        level = chance if isinstance(chance, float) else None
        at_chance = bool(chance_note(interval.lower, interval.upper, level))
        rows.append((*key, interval.mean, *interval.bounds().values(), level, at_chance))
    schema = dict.fromkeys(keys, pl.String) | dict.fromkeys(
        ["value", "lower", "upper", "chance"], pl.Float64
    )
    frame = pl.DataFrame(rows, schema=schema | {"at_chance": pl.Boolean}, orient="row")
    value = pl.when(~pl.col("at_chance")).then(pl.col("value"))
    value = value * pl.when(metric=BITS).then(-1.0).otherwise(1.0)
    rank = value.rank("min", descending=True).over("task", "language", "metric")
    return frame.with_columns(rank=rank.cast(pl.Int64)).sort("task", "language", "metric", "model")


def _cell() -> pl.Expr:
    return pl.concat_str("task", "language", separator=" ")


def answers(
    claim: Claim,
    bits: pl.DataFrame,
    tasks: pl.DataFrame,
    cells: pl.DataFrame,
    streams: Mapping[str, str],
    steps: Sequence[str],
) -> list[dict[str, Any]]:
    """The lines of a claim: by the paper's kind of evaluation, and by held-out text in its place.

    Args:
        claim: what is asked.
        bits: see ``bit_rows``.
        tasks: see ``task_rows``; may be empty.
        cells: see ``task_cells``.
        streams: the stream of text that stands in for ``reasoning`` and ``knowledge``, and the one
            for ``code``.
        steps: that made the scores of both runs.
    """
    head = {
        "question": claim.question, "before": claim.before, "after": claim.after,
        "kind": claim.kind, "paper": claim.paper, "asked_by": "paper", "steps": list(steps),
    }  # fmt: skip
    lines = [head | line for line in _by_tasks(claim, tasks, cells)]
    stream = streams.get("code" if claim.kind == "code" else "text", "")
    interval = None
    if claim.kind != "generation" and stream:
        interval = bits_gain(bits, claim.before, claim.after, stream)
    if interval is not None:
        found = line_of(interval, claim.claimed)
        lines.append(
            head | found | {"measure": f"bits per byte of {stream}", "unit": "% fewer bits",
                            "stands_in": True}
        )  # fmt: skip
    return lines


def _by_tasks(claim: Claim, tasks: pl.DataFrame, cells: pl.DataFrame) -> list[dict[str, Any]]:
    """The answers by accuracies, as the paper's are, and by likelihoods of the right answers."""
    none = {
        "measure": claim.kind, "unit": "", "stands_in": False, "mean": None, "lower": None,
        "upper": None, "seeds": [], "documents": 0, "verdict": NOT_CHECKABLE,
    }  # fmt: skip
    if claim.kind == "generation":
        return [none | {"note": "no judge ranks the answers of models of this size"}]
    rows = task_rows(tasks, claim.before, claim.after, claim.kind) if tasks.height else tasks
    if not rows.height:
        return [none | {"note": "no task of this kind was evaluated (--tasks, --datasets)"}]
    both = cells.filter(pl.col("model").is_in([claim.before, claim.after]))
    ranked = both.filter(~pl.col("at_chance")).select(_cell().unique())["task"].to_list()
    lines = []
    for is_bits in (False, True):
        part = rows.filter((pl.col("metric") == BITS) == is_bits)
        if not part.height:
            continue
        found = none | {"measure": ", ".join(part["task"].unique().sort())}
        # A cell in which both runs are at chance says nothing of either.
        part = part.filter(pl.col("group").is_in(ranked))
        part = part.filter(pl.col("bottom").sum().over("seed", "group").min().over("group") > 0)
        if not part.height:
            note = "both runs are at chance, or have no right answer, in every language"
            lines.append(found | {"verdict": AT_CHANCE, "note": note})
            continue
        sign, unit = (-100.0, "% fewer bits") if is_bits else (100.0, "% better")
        interval = ratio_interval(part).mapped(sign, -sign)
        lines.append(found | line_of(interval, claim.claimed) | {"unit": unit})
    return lines
