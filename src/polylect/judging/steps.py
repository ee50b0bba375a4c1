"""Judging as a step of a run."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from polylect.base import InputError, Ledger, read_json, write_json
from polylect.base import language as language_of
from polylect.engine import Server
from polylect.judging.config import JudgeConfig
from polylect.judging.pairs import Answers, Pair, of_languages, pairs_of, read_answers
from polylect.judging.pairwise import judge_pairs
from polylect.judging.protocols import find_preset
from polylect.judging.verdict_outcomes import outcomes
from polylect.rows import Judgment, ScoreTable, write_rows
from polylect.runs import VOLATILE, StepContext, step

JUDGMENTS, SCORES, JUDGING = "judgments.parquet", "scores.parquet", "judging.json"


@step(version=1)
def judge(config: JudgeConfig, inputs: Mapping[str, Any], context: StepContext) -> None:
    """Writes ``judgments.parquet``, ``scores.parquet`` and ``judging.json``.

    Inputs: ``a`` and ``b`` (answers of ``generate``), and ``judge-0``, ``judge-1`` … (folders or
    servers).
    """
    preset = find_preset(config.preset.partition("@")[0])
    sides, pairs = chosen_pairs(config, inputs["a"].path, inputs["b"].path, context.ledger)
    names = names_of(sides)
    rows: list[Judgment] = []
    own_answers = []
    spent: dict[str, Any] = {}
    for number, name in enumerate(config.judges):
        model = inputs[f"judge-{number}"]
        work = context.work / f"judge-{number}"
        work.mkdir(exist_ok=True)
        place = model if isinstance(model, Server) else model.path
        rows += judge_pairs(
            pairs, names, preset, name, place, config, work, context.report, context.ledger
        )
        if (work / VOLATILE).is_file():
            spent[name] = read_json(work / VOLATILE)
        for side, called in zip(sides, names, strict=True):
            if name in {side.model, called} or (side.digest and side.digest == model.digest):
                own_answers.append({"judge": name, "model": called})
    write_json(context.work / VOLATILE, {"judges": spent})
    write_rows(context.out / JUDGMENTS, Judgment, rows)
    score_table(outcomes(rows), names, preset.label).write(context.out / SCORES)
    write_json(
        context.out / JUDGING,
        {"models": names, "preset": preset.label, "source": preset.source, "weight": preset.weight,
         "self_judged": own_answers},
    )  # fmt: skip


def chosen_pairs(
    config: JudgeConfig, a: Any, b: Any, ledger: Ledger
) -> tuple[tuple[Answers, Answers], list[Pair]]:
    """Both sides, and the pairs that are to be judged.

    Raises:
        InputError: a side cannot be read, or nothing is shared.
    """
    if config.limit is not None and config.limit < 1:
        raise InputError(f"--limit is {config.limit}", "give 1 or more")
    sides = read_answers(a), read_answers(b)
    tags = [language_of(one, "--languages").tag for one in config.languages]
    return sides, of_languages(pairs_of(*sides, ledger), tags, config.limit)


def names_of(sides: tuple[Answers, Answers]) -> tuple[str, str]:
    """What the models are called; equal names get a mark."""
    a, b = sides[0].model, sides[1].model
    return (a, b) if a != b else (f"{a} (A)", f"{b} (B)")


def score_table(found: pl.DataFrame, names: tuple[str, str], preset: str) -> ScoreTable:
    """A row per judge and pair: what the second model won against the first, for ``compare``.

    Two models that were judged against the same baseline are compared by two such tables.
    """
    return ScoreTable.from_rows(
        [
            {
                "checkpoint": names[1],
                "task": f"against_{names[0]}_by_{preset}",
                "language": row["language"],
                "group": row["category"],
                "item": f"{row['id']}#{row['sample']}" if row["sample"] else row["id"],
                "cluster": row["id"],
                "metric": f"win_rate[{row['judge']}]",
                "value": 0.5 if row["value"] is None else row["value"],
                "chance": 0.5,
                "settings": f"baseline={names[0]} preset={preset}",
                "invalid": row["value"] is None,
            }
            for row in found.iter_rows(named=True)
        ]
    )
