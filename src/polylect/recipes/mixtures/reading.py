"""What the trainings read, beside what the plan said: equal to one sequence, in every run."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from polylect.base import read_json
from polylect.recipes.mixtures.run_steps import RunSteps
from polylect.runs import Artifact


def read_against_plan(
    ledger: pl.DataFrame, runs: Sequence[RunSteps], inputs: Mapping[str, Artifact]
) -> pl.DataFrame:
    """The plan's ledger with columns step, model, and read: tokens that the training read.

    A text that two streams of a stage share is read once: what was read of it is split as the plan
    splits it.

    Args:
        ledger: see ``plan_ledger``.
        runs: with the steps that trained them.
        inputs: ``train LABEL`` of every training.
    """
    read: dict[tuple[str, str, str], int] = {}
    for label in dict.fromkeys(label for run in runs for label in run.steps):
        folder = inputs[f"train {label}"].path
        rows = read_json(folder / "read.json")
        _check_metrics(rows, (folder / "metrics.jsonl").read_text(encoding="utf-8"))
        for row in rows:
            read[label, row["language"], row["source"]] = row["tokens"]
    steps = [
        {"run": run.name, "stage": number, "step": label, "model": run.model}
        for run in runs
        for number, label in enumerate(run.steps, start=1)
    ]
    trained = ledger.join(pl.DataFrame(steps), on=["run", "stage"], how="inner",
                          maintain_order="left")  # fmt: skip
    cell = ["step", "language", "source"]
    whole = pl.DataFrame(
        [(*key, num) for key, num in read.items()],
        schema=dict.fromkeys(cell, pl.String) | {"whole": pl.Int64},
        orient="row",
    )
    planned = pl.col("tokens").sum().over("run", *cell)
    part = pl.when(planned > 0).then(pl.col("tokens") / planned).otherwise(0.0)
    return (
        trained.join(whole, on=cell, how="left", maintain_order="left")
        .with_columns(read=(pl.col("whole").fill_null(0) * part).round().cast(pl.Int64))
        .drop("whole")
    )


def _check_metrics(rows: Sequence[Mapping[str, Any]], metrics: str) -> None:
    """The loop's own count, step by step, is that of the loader: a programmer's mistake if not."""
    counted, predicted = 0, 0
    for line in metrics.splitlines():
        row = json.loads(line)
        counted += row["tokens"]
        predicted += sum(part["tokens"] for part in row["by_language"].values())
    assert counted == sum(row["tokens"] for row in rows)
    assert predicted == sum(row["predicted"] for row in rows)


def ledger_line(ledger: pl.DataFrame, sequence: int) -> dict[str, Any]:
    """Whether every run read what the plan said.

    Args:
        ledger: see ``read_against_plan``.
        sequence: tokens of one.
    """
    apart = (pl.col("read") - pl.col("tokens")).abs()
    most = int(ledger.select(apart.max()).item() or 0)
    return {
        "runs": ledger["run"].n_unique(),
        "planned": int(ledger["tokens"].sum()),
        "read": int(ledger["read"].sum()),
        "most_apart": most,
        "sequence": sequence,
        "equal_to_one_sequence": most <= sequence,
    }
