"""Routing a pool: the answers that are used, and what each router gains over one teacher."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np
import polars as pl

from polylect.base import InputError, Ledger, write_json
from polylect.feedback.pool_config import RouteConfig
from polylect.feedback.pool_files import PoolRewards, read_pool, read_rewards
from polylect.feedback.pooling import CHOICES
from polylect.feedback.route_figures import gain_rows, matrix_rows
from polylect.feedback.routers import (
    Trained,
    calibration_part,
    generated_rows,
    known_routers,
    preferences_of,
    routed_rows,
    train_routers,
)
from polylect.feedback.usable_answers import RouterTable, router_table
from polylect.rows import Conversation, PooledAnswer, Prompt, read_prompts, write_rows
from polylect.runs import FileInput, StepContext

ROUTED, CONVERSATIONS, ROUTE = "routed.parquet", "conversations.jsonl", "route.json"
GAINS, MATRIX = "gains.parquet", "matrix.parquet"
OVERALL = "all"
UNJUDGED = "not compared: answer without a judging reward"


class RouteInputs(TypedDict):
    """What routing reads; ``prompts`` are new ones, whose answers do not exist yet."""

    pool: FileInput
    reward: FileInput
    judged_by: FileInput
    prompts: NotRequired[FileInput]


def run_route(config: RouteConfig, inputs: RouteInputs, context: StepContext) -> None:
    """Write the routed answers, the choices, and what every router gains.

    ``routed.parquet`` (``PooledAnswer``) and ``conversations.jsonl`` for fine-tuning;
    ``choices.parquet`` (language, id, teacher, part), which ``polylect feedback pool --choices``
    reads; ``gains.parquet``, ``matrix.parquet`` and ``route.json``.

    Raises:
        InputError: the router needs a calibration part, or one reward would judge itself.
    """
    rows = read_pool(inputs["pool"].path)
    reward, judge = read_rewards(inputs["reward"].path), read_rewards(inputs["judged_by"].path)
    check_judge(reward, judge, config)
    ledger = context.ledger
    table = router_table(rows, reward.values, judge.values, config.gate, ledger)
    ledger.count(UNJUDGED, int(np.isnan(table.judged).sum()))
    calibration = calibration_part(table.prompts, config.calibration, config.seed)
    if config.by not in known_routers(calibration):
        raise InputError(f"--by {config.by} without a calibration part", "--calibration-share 0.2")
    prompts = [table.rows[table.rows_of(i)[0]].asked for i in range(len(table.prompts))]
    texts = [prompt.prompt for prompt in prompts]
    trained = None
    if calibration.any():
        trained = train_routers(table, calibration, texts, config, ledger)
    used = {
        router: routed_rows(router, table, trained, prompts, config,
                            ledger if router == config.by else Ledger())
        for router in known_routers(calibration)
    }  # fmt: skip
    write_routed(context.out, table, used[config.by])
    choices = _choices(table, used[config.by], calibration)
    if "prompts" in inputs:
        choices += _new_choices(inputs["prompts"], config, trained, table.teachers, ledger)
    pl.DataFrame(choices).write_parquet(context.out / CHOICES)
    evaluated = ~calibration
    generated = {router: generated_rows(router, table, rows) for router, rows in used.items()}
    gains = gain_rows(table, used, generated, evaluated)
    pl.DataFrame(gains, infer_schema_length=None).write_parquet(context.out / GAINS)
    matrix = matrix_rows(table, evaluated, used[config.by])
    pl.DataFrame(matrix, infer_schema_length=None).write_parquet(context.out / MATRIX)
    write_json(context.out / ROUTE, {
        "by": config.by, "reward": reward.name, "judged_by": judge.name, "gate": config.gate,
        "same_judge": reward.digest == judge.digest, "teachers": list(table.teachers),
        "prompts": len(table.prompts), "calibration": int(calibration.sum()),
        "evaluated": int(evaluated.sum()), "unit": table.costs[0],
        "calibration_cost": _calibration_cost(table, calibration),
        "best": None if trained is None else table.teachers[trained.overall[0]],
        "fixed": {} if trained is None else {
            tag: table.teachers[order[0]] for tag, order in trained.by_language.items()},
    })  # fmt: skip


def check_judge(reward: PoolRewards, judge: PoolRewards, config: RouteConfig) -> None:
    """Refuse a reward that judges its own choices, unless that is said.

    Raises:
        InputError: names the reward.
    """
    if reward.digest == judge.digest and not config.same_judge:
        raise InputError(
            f"{reward.name} routes and {judge.name} judges, which is the same reward: gains would"
            " be its own opinion",
            "score another and give --judged-by NAME, or --same-judge",
        )


def write_routed(out: Path, table: RouterTable, used: Sequence[np.ndarray]) -> None:
    """Write the routed answers, as rows and as conversations."""
    routed = [table.rows[row] for rows in used for row in rows]
    write_rows(out / ROUTED, PooledAnswer, routed)
    write_rows(out / CONVERSATIONS, Conversation, [row.conversation for row in routed])


def _choices(
    table: RouterTable, used: Sequence[np.ndarray], calibration: np.ndarray
) -> list[dict[str, object]]:
    parts = np.where(calibration, "calibration", "evaluation")
    return [
        {"language": table.prompts[i][0], "id": table.prompts[i][1],
         "teacher": table.rows[row].teacher, "part": str(parts[i])}
        for i, rows in enumerate(used) for row in rows
    ]  # fmt: skip


def _new_choices(
    file: FileInput, config: RouteConfig, trained: Trained | None, teachers: Sequence[str],
    ledger: Ledger,
) -> list[dict[str, object]]:  # fmt: skip
    """The chosen teacher of prompts that nobody answered yet.

    Raises:
        InputError: the router looks at answers.
    """
    if config.by in ("reward", "all"):
        raise InputError(
            f"--by {config.by} looks at every teacher's answer: it cannot choose before",
            "--by best, fixed, learned or random",
        )
    prompts: list[Prompt] = read_prompts(file.path, require_ids=True, ledger=ledger)
    orders = preferences_of(config.by, trained, prompts, len(teachers), config, ledger)
    return [
        {"language": prompt.language, "id": prompt.id, "teacher": teachers[order[0]], "part": "new"}
        for prompt, order in zip(prompts, orders, strict=True)
    ]


def _calibration_cost(table: RouterTable, calibration: np.ndarray) -> float:
    """What all answers of the calibration part cost, which three routers need once."""
    return float(table.costs[1][calibration[table.prompt]].sum())


def route_settings(config: RouteConfig) -> Mapping[str, object]:
    """The settings that a page shows."""
    return {
        "calibration": config.calibration, "temperature": config.temperature,
        "penalty": config.penalty, "encoder": config.encoder, "seed": config.seed,
        "gate": config.gate,
    }  # fmt: skip
