"""What the runs of a plan found; the page of the recipes is drawn from these files.

``runs.parquet``     the table of runs (``mixtures/run_table.py``): shares by stream and stage,
                     bits per byte as ``loss:STREAM`` of code, ``loss:STREAM/LANGUAGE`` of text
``bits.parquet``     model (variant and cooldown), variant, cooldown, scale, stream, language
                     (empty: the mean over its languages), bits, lower, upper (over seeds and
                     documents), seeds, documents
``changes.parquet``  before, after, scale, stream, language, gain (% fewer bits), lower, upper,
                     verdict (gained, paid, not separable; over all languages at once), documents
``pareto.parquet``   model, variant, cooldown, scale, seed, code_bits, text_bits, on_front
``price.parquet``    before, after, scale, language, price (% more bits of the language per % fewer
                     bits of code; below 0: it gains), lower, upper (over seeds), seeds
``tasks.parquet``    see ``claims.task_cells``, and scale; only where tasks were evaluated
``ledger.parquet``   run, stage, stream, language, source, tokens (planned), read
``findings.json``    ``lines`` (question, before, after, kind, measure, unit, mean, lower, upper,
                     seeds, documents, paper, verdict, stands_in, note, asked_by, scale, steps),
                     ``ledger``, ``tokens``, ``streams``, ``seeds``, ``not_measured``
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from polylect.base import Count, check_settings, write_json
from polylect.mixtures import RUNS_FILE, write_run_table
from polylect.recipes.mixtures.claims import CLAIMS, Claim, answers, scale_note, task_cells
from polylect.recipes.mixtures.reading import ledger_line, read_against_plan
from polylect.recipes.mixtures.run_steps import RunSteps
from polylect.recipes.mixtures.tables import (
    bits_frame,
    bits_table,
    change_table,
    pareto_table,
    price_table,
    run_table,
    task_frame,
)
from polylect.runs import Artifact, StepContext, step


@dataclass(frozen=True, kw_only=True)
class MixtureFindingsConfig:
    """What is compared.

    Attributes:
        runs: all of them.
        text: the stream of text in natural languages.
        code: the stream of code; empty without one.
        task_kinds: kind of evaluation of every task, by its name.
        task_metrics: its first metric, likewise.
        context_tokens: longest sequence of the trainings.
    """

    runs: tuple[RunSteps, ...]
    text: str
    code: str = ""
    task_kinds: Mapping[str, str]
    task_metrics: Mapping[str, str]
    context_tokens: Count = 256

    def __post_init__(self) -> None:
        check_settings(self)


@step(version=1)
def find_mixtures(
    config: MixtureFindingsConfig, inputs: Mapping[str, Artifact], context: StepContext
) -> None:
    """Writes what the module's docstring names.

    Inputs: ``plan`` (from ``write_plan``); ``train LABEL`` of every training, ``bits LABEL`` of
    every one that ends a run, and ``tasks LABEL`` where tasks were evaluated.
    """
    plan = inputs["plan"].path
    cells = pl.read_parquet(plan / "cells.parquet")
    ledger = read_against_plan(pl.read_parquet(plan / "ledger.parquet"), config.runs, inputs)
    ledger.write_parquet(context.out / "ledger.parquet")
    bits = bits_frame(config.runs, cells, inputs)
    table = bits_table(bits)
    table.write_parquet(context.out / "bits.parquet")
    write_run_table(run_table(config.runs, cells, ledger, bits, inputs), context.out / RUNS_FILE)
    pairs = compared_pairs(config.runs)
    change_table(bits, pairs).write_parquet(context.out / "changes.parquet")
    if config.code:
        pareto_table(bits, config.text, config.code).write_parquet(context.out / "pareto.parquet")
        price_table(bits, pairs, config.text, config.code).write_parquet(
            context.out / "price.parquet"
        )
    tasks = task_frame(config.runs, config.task_kinds, config.task_metrics, inputs)
    lines: list[dict[str, Any]] = []
    chance: list[pl.DataFrame] = []
    for scale in sorted({run.scale for run in config.runs}):
        of_tasks = tasks.filter(scale=scale) if tasks.height else tasks
        scored = task_cells(of_tasks) if of_tasks.height else pl.DataFrame()
        chance.append(scored.with_columns(scale=pl.lit(scale)))
        lines += _lines(config, scale, bits.filter(scale=scale), of_tasks, scored)
    if tasks.height:
        pl.concat(chance).write_parquet(context.out / "tasks.parquet")
    write_json(
        context.out / "findings.json",
        {
            "lines": lines,
            "ledger": ledger_line(ledger, config.context_tokens),
            "tokens": token_counts(ledger),
            "streams": {
                str(name): sorted(part["language"].unique())
                for (name,), part in cells.group_by("stream", maintain_order=True)
            },
            "seeds": sorted({run.seed for run in config.runs}),
            "not_measured": not_measured(config.task_kinds, cells, bits),
        },
    )


def compared_pairs(runs: Sequence[RunSteps]) -> list[tuple[str, str]]:
    """The pairs of the claims that were trained; without any, the first run against every other."""
    models = list(dict.fromkeys(run.model for run in runs))
    of_claims = dict.fromkeys((claim.before, claim.after) for claim in CLAIMS)
    pairs = [pair for pair in of_claims if set(pair) <= set(models)]
    return pairs or [(models[0], other) for other in models[1:]]


def _lines(
    config: MixtureFindingsConfig,
    scale: float,
    bits: pl.DataFrame,
    tasks: pl.DataFrame,
    scored: pl.DataFrame,
) -> list[dict[str, Any]]:
    """The answers at one scale, of the paper's claims or of the plan's own pairs."""
    labels: dict[str, list[str]] = {}
    for run in config.runs:
        if run.scale == scale:
            labels.setdefault(run.model, []).append(f"bits-{run.steps[-1]}")
    pairs = compared_pairs(config.runs)
    claims = [claim for claim in CLAIMS if (claim.before, claim.after) in pairs]
    if not claims:
        kinds = ("reasoning", "code") if config.code else ("reasoning",)
        claims = [
            Claim(f"{before} or {after}?", before, after, kind, "", 0)
            for before, after in pairs
            for kind in kinds
        ]
    streams = {"text": config.text} | ({"code": config.code} if config.code else {})
    return [
        line | {"scale": scale, "question": line["question"] + scale_note(scale)}
        for claim in claims
        if claim.before in labels and claim.after in labels
        for line in answers(claim, bits, tasks, scored, streams,
                            [*labels[claim.before], *labels[claim.after]])
    ]  # fmt: skip


def token_counts(ledger: pl.DataFrame) -> dict[str, int]:
    """Tokens that were trained on, and those of the runs one by one.

    Args:
        ledger: see ``read_against_plan``.
    """
    once = ledger.unique(["step", "stream", "language", "source"])
    return {"trained": int(once["tokens"].sum()), "apart": int(ledger["tokens"].sum())}


def not_measured(
    task_kinds: Mapping[str, str], cells: pl.DataFrame, bits: pl.DataFrame
) -> list[str]:
    """What nobody can read off these runs, in words."""
    names = {"reasoning": "natural-language reasoning", "knowledge": "world knowledge",
             "code": "programs", "generation": "free generation"}  # fmt: skip
    missing = [f"{words}: no task was given (--tasks, --datasets)"
               for kind, words in names.items() if kind not in task_kinds.values()]  # fmt: skip
    return [*missing, *unscored(cells, bits)]


def unscored(cells: pl.DataFrame, bits: pl.DataFrame) -> list[str]:
    """Streams and languages of which no text was held out, in words."""
    scored = set(bits.select("stream", "language").unique().rows())
    left = sorted(set(cells.select("stream", "language").rows()) - scored)
    return [f"{stream} in {language}: no held-out text" for stream, language in left]
