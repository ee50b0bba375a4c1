"""What trainings on instruction mixtures found; the recipe's page is drawn from these files.

``runs.parquet``     the table of runs that ``polylect mixture fit`` reads: shares (of
                     conversations), and bits per byte as ``loss:STREAM/LANGUAGE``
``bits.parquet``     bits per byte of every mixture by stream and language (``tables.bits_table``)
``changes.parquet``  who gained and who paid, by pair (``tables.change_table``)
``ledger.parquet``   model, seed, stage, kind, stream, language, examples, tokens, available
``findings.json``    ``lines`` (as in ``findings.py``), ``seeds``, ``examples``
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from polylect.base import Count, Seed, Share, check_settings, read_json, write_json
from polylect.mixtures import RUNS_FILE, write_run_table
from polylect.recipes.intervals import line_of
from polylect.recipes.mixtures.claims import bits_gain
from polylect.recipes.mixtures.instruction_plans import BASELINE
from polylect.recipes.mixtures.tables import bits_table, change_table, of_runs
from polylect.rows import ScoreTable
from polylect.runs import StepContext, StepInputs, step

START = "start"
"""The model before training, beside the mixtures."""


@dataclass(frozen=True, kw_only=True)
class WeighConfig:
    """What the trainings were.

    Attributes:
        shares: of the streams, by mixture.
        seeds: of the trainings; inputs are ``train MIXTURE-seedN`` and ``bits MIXTURE-seedN``.
        examples: conversations of each.
    """

    shares: Mapping[str, Mapping[str, Share]]
    seeds: tuple[Seed, ...]
    examples: Count

    def __post_init__(self) -> None:
        check_settings(self)


@step(version=2, uses_languages=True)
def weigh(config: WeighConfig, inputs: StepInputs, context: StepContext) -> None:
    """Writes what the module's docstring names.

    Every mixture is compared with the first (the streams by their sizes where mixtures are the
    recipe's own) and with the model before training; intervals are over seeds and documents.

    Inputs: ``bits start``; ``train NAME`` and ``bits NAME`` of every training.
    """
    bits = weighed_bits(config, inputs)
    bits_table(bits).write_parquet(context.out / "bits.parquet")
    pairs = [*weight_pairs(config.shares), *((START, name) for name in config.shares)]
    change_table(bits, pairs).write_parquet(context.out / "changes.parquet")
    ledger = pl.concat(
        [
            _ledger(mixture, seed, inputs[f"train {mixture}-seed{seed}"].path)
            for mixture in config.shares
            for seed in config.seeds
        ]
    )
    ledger.write_parquet(context.out / "ledger.parquet")
    write_run_table(_runs(config, bits, ledger), context.out / RUNS_FILE)
    streams = list(next(iter(config.shares.values())))
    lines = [
        _line(bits, before, after, stream, config.seeds)
        for before, after in pairs
        for stream in streams
    ]
    findings = {"lines": lines, "seeds": list(config.seeds), "examples": config.examples}
    write_json(context.out / "findings.json", findings)


def baseline(shares: Mapping[str, object]) -> str:
    """The mixture that the others are compared with."""
    return BASELINE if BASELINE in shares else next(iter(shares))


def weight_pairs(shares: Mapping[str, object]) -> list[tuple[str, str]]:
    """The baseline against every other mixture."""
    first = baseline(shares)
    return [(first, name) for name in shares if name != first]


def weighed_bits(config: WeighConfig, inputs: StepInputs) -> pl.DataFrame:
    """Bits per byte of every held-out answer, as ``tables.bits_frame``; the start of every seed.

    Args:
        config: mixtures and seeds.
        inputs: as for ``weigh``.
    """
    keys = ["language", "group", "item", "cluster", "value", "weight"]
    parts = []
    for model in (START, *config.shares):
        for seed in config.seeds:
            name = START if model == START else f"{model}-seed{seed}"
            frame = ScoreTable.read(inputs[f"bits {name}"].path / "scores.parquet").frame
            marks = {"run": f"{model}-seed{seed}", "model": model, "variant": model, "cooldown": ""}
            parts.append(
                frame.select(keys).with_columns(
                    *[pl.lit(value).alias(column) for column, value in marks.items()],
                    scale=pl.lit(1.0), seed=pl.lit(seed, pl.Int64), stream=pl.col("group"),
                    is_code=pl.lit(False),
                )
            )  # fmt: skip
    return pl.concat(parts)


def _ledger(mixture: str, seed: int, folder: Path) -> pl.DataFrame:
    """Conversations that a training learned from; its own count must say the same."""
    rows = read_json(folder / "mixture.json")
    with (folder / "metrics.jsonl").open(encoding="utf-8") as file:
        counted = sum(json.loads(line)["examples"] for line in file)
    assert counted == sum(row["examples"] for row in rows), folder
    frame = pl.DataFrame(rows).rename({"source": "stream"})
    return frame.with_columns(
        model=pl.lit(mixture), scale=pl.lit(1.0), seed=pl.lit(seed, pl.Int64),
        kind=pl.lit("instructions"),
    )  # fmt: skip


def _runs(config: WeighConfig, bits: pl.DataFrame, ledger: pl.DataFrame) -> pl.DataFrame:
    cell = pl.concat_str(pl.lit("loss:"), "stream", pl.lit("/"), "language")
    losses = of_runs(bits).with_columns(cell=cell)
    tokens = {(model, seed): num for model, seed, num in
              ledger.group_by("model", "seed").agg(pl.col("tokens").sum()).rows()}  # fmt: skip
    rows = []
    for mixture, shares in config.shares.items():
        for seed in config.seeds:
            of_run = losses.filter(run=f"{mixture}-seed{seed}")
            rows.append(
                {"run": f"{mixture}-seed{seed}", "variant": mixture, "seed": seed,
                 "tokens": tokens[mixture, seed]}
                | {f"share:{name}": share for name, share in shares.items()}
                | dict(of_run.select("cell", "bits").sort("cell").rows())
            )  # fmt: skip
    return pl.DataFrame(rows)


def _line(
    bits: pl.DataFrame, before: str, after: str, stream: str, seeds: tuple[int, ...]
) -> dict[str, Any]:
    """What a mixture does to a stream, a mean over its languages."""
    names = [START if before == START else f"{before}-seed{seed}" for seed in seeds]
    trained = [f"{after}-seed{seed}" for seed in seeds]
    interval = bits_gain(bits, before, after, stream)
    assert interval is not None, f"no held-out answer of {stream}"
    asked = "what does training do?" if before == START else "other weights?"
    return {
        "question": asked, "before": before, "after": after, "kind": stream, "paper": "",
        "asked_by": "recipe", "measure": f"bits per byte of answers, {stream}",
        "unit": "% fewer bits", "stands_in": False, "scale": 1.0,
        "steps": [f"bits-{name}" for name in (*names, *trained)], **line_of(interval, 0),
    }  # fmt: skip
