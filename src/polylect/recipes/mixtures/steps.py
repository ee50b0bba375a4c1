"""Steps of the recipes on mixtures: the ledger of their plans, and scores by stream."""

from dataclasses import dataclass

import polars as pl

from polylect.base import check_settings
from polylect.checkpoints import Checkpoint
from polylect.evals import BitsConfig
from polylect.mixtures import Plan, TokenStore, plan_ledger, stream_cells
from polylect.rows import Split
from polylect.runs import StepContext, StepInputs, step


@dataclass(frozen=True, kw_only=True)
class PlanConfig:
    """The plans of a run."""

    plans: tuple[Plan, ...]

    def __post_init__(self) -> None:
        check_settings(self)


@step(version=1)
def write_plan(config: PlanConfig, inputs: StepInputs, context: StepContext) -> None:
    """Writes ``ledger.parquet`` (see ``plan_ledger``) and ``cells.parquet``, before any training.

    The second has a row per stream, language and source. Input: ``tokens``.
    """
    sizes = TokenStore(inputs["tokens"].path, Split.TRAIN).sizes()
    ledger = pl.concat(plan_ledger(plan, sizes) for plan in config.plans)
    ledger.write_parquet(context.out / "ledger.parquet")
    cells = {
        (name, *cell): plan.streams[name].is_added
        for plan in config.plans
        for name in plan.streams
        for cell in stream_cells(plan, name, sizes)
    }
    rows = [(*cell, is_code) for cell, is_code in cells.items()]
    frame = pl.DataFrame(rows, schema=["stream", "language", "source", "is_code"], orient="row")
    frame.write_parquet(context.out / "cells.parquet")


@dataclass(frozen=True, kw_only=True)
class StreamBitsConfig:
    """Bits per byte on held-out text of every source of every language."""

    bits: BitsConfig

    def __post_init__(self) -> None:
        check_settings(self)


@step(version=1)
def score_streams(config: StreamBitsConfig, inputs: StepInputs, context: StepContext) -> None:
    """As ``evals.score_bits``, with as many bytes of every source; inputs ``model``, ``tokens``."""
    from polylect.evals import bits_per_byte

    store = TokenStore(inputs["tokens"].path, config.bits.split)
    checkpoint = Checkpoint.open(inputs["model"].path)
    table = bits_per_byte(
        checkpoint, store, config.bits, context.report, context.ledger, by_source=True
    )
    table.write(context.out / "scores.parquet")
