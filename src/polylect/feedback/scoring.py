"""Rewards of the answers of a pool; a killed run resumes."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from polylect.base import InputError, Ledger, digest_of, write_json
from polylect.engine import Question, Reward, RewardSource
from polylect.feedback.pool_config import ScoreConfig
from polylect.feedback.pool_files import (
    REWARD,
    REWARD_ABOUT,
    by_prompt,
    is_answer,
    read_pool,
    write_rewards,
)
from polylect.rows import AnswerKey, PooledAnswer, RefusedRows
from polylect.runs import FileInput, StepContext

NONE_TO_SCORE = "not scored: no answer"
_JOURNAL = "scores.jsonl"
_BLOCK = 32
_LANGUAGE = "language"


class ScoreInputs(TypedDict):
    """What scoring reads."""

    pool: FileInput
    reward: RewardSource


def run_score(config: ScoreConfig, inputs: ScoreInputs, context: StepContext) -> None:
    """Write ``rewards.parquet`` (language, id, teacher, sample, value) and ``reward.json``.

    The answers to a prompt are scored together, so that a reward model reads the prompt once.

    Raises:
        InputError: there is no such reward, or it can score nothing.
    """
    rows = read_pool(inputs["pool"].path)
    source = inputs["reward"]
    reward = source.open(
        config.template, config.micro_batch_tokens, context.ledger, identifier=config.identifier
    )
    values = scored(reward, rows, context)
    about: dict[str, object] = {
        "name": config.name, "reward": Path(source.name).name,
        "digest": reward_digest(source, config.identifier),
        "identifier": config.identifier if source.name == _LANGUAGE else "",
        "length_controlled": config.length_controlled,
    }  # fmt: skip
    if config.length_controlled:
        values, slopes = without_length(rows, values)
        about["reward_per_doubled_length"] = slopes
    write_rewards(context.out / REWARD, rows, values)
    write_json(context.out / REWARD_ABOUT, about)


def reward_digest(source: RewardSource, identifier: str) -> str:
    """Digest of what decides a reward's numbers; of ``language`` that is the identifier too."""
    return digest_of([source.digest, identifier if source.name == _LANGUAGE else ""])


def scored(
    reward: Reward, rows: Sequence[PooledAnswer], context: StepContext
) -> dict[AnswerKey, float]:
    """Rewards by answer; of what is no answer there is none.

    Args:
        reward: the reward.
        rows: of a pool.
        context: its work folder keeps what is scored, its ledger counts what is not.

    Raises:
        InputError: the reward takes none of the prompts.
    """
    questions: list[list[PooledAnswer]] = []
    refused = RefusedRows(reward.place)
    for (language, id_), answers in by_prompt(rows).items():
        kept = [row for row in answers if is_answer(row)]
        context.ledger.count(NONE_TO_SCORE, len(answers) - len(kept), language)
        if not kept:
            continue
        try:
            reward.check_prompt(kept[0].messages, language)
        except InputError as error:
            refused.add(error, f"prompt {id_!r} ({language})", language)
            continue
        questions.append(kept)
    refused.count(context.ledger, len(questions))
    file = context.work / _JOURNAL
    lines = _whole_lines(file)
    num_done = len(lines)
    values = [value for line in lines for value in line["values"]]
    context.ledger.add(Ledger.from_json([row for line in lines for row in line["ledger"]]))
    with open(file, "a", encoding="utf-8") as journal:
        for start in range(num_done * _BLOCK, len(questions), _BLOCK):
            block, counts = questions[start : start + _BLOCK], Ledger()
            asked = [
                Question(part[0].messages, part[0].language, [row.answer for row in part])
                for part in block
            ]
            block_values = [value for part in reward(asked, counts) for value in part]
            journal.write(json.dumps({"values": block_values, "ledger": counts.to_json()}) + "\n")
            journal.flush()
            values += block_values
            context.ledger.add(counts)
            context.report.update(min(start + _BLOCK, len(questions)), len(questions), "prompts")
    keys = [row.key for part in questions for row in part]
    return dict(zip(keys, values, strict=True))


def _whole_lines(file: Path) -> list[dict[str, Any]]:
    """The finished blocks; a line that a kill cut off is removed."""
    if not file.is_file():
        return []
    whole, _, rest = file.read_text(encoding="utf-8").rpartition("\n")
    if rest:
        file.write_text(f"{whole}\n" if whole else "", encoding="utf-8")
    return [json.loads(line) for line in whole.splitlines() if line]


def without_length(
    rows: Sequence[PooledAnswer], values: Mapping[AnswerKey, float]
) -> tuple[dict[AnswerKey, float], dict[str, float]]:
    """Rewards without what follows from length, and the slope of each language.

    In each language the reward is regressed on the logarithm (base 2) of the number of characters,
    among the answers to one prompt (each prompt has a level of its own). What the slope explains is
    taken out, so that answers of one prompt are compared at its mean length.

    Source: the residual form of length control; Dubois et al. 2024 ("Length-Controlled
    AlpacaEval") use a generalized linear model for win rates.

    Args:
        rows: of a pool.
        values: rewards by answer.
    """
    by_language: dict[str, list[tuple[list[AnswerKey], np.ndarray, np.ndarray]]] = {}
    for (language, _), answers in by_prompt(rows).items():
        kept = [row for row in answers if row.key in values]
        if kept:
            lengths = np.log2([max(len(row.answer), 1) for row in kept])
            rewards = np.array([values[row.key] for row in kept])
            part = ([row.key for row in kept], lengths - lengths.mean(), rewards)
            by_language.setdefault(language, []).append(part)
    controlled: dict[AnswerKey, float] = {}
    slopes: dict[str, float] = {}
    for language, parts in by_language.items():
        spread = sum(float(lengths @ lengths) for _, lengths, _ in parts)
        common = sum(float(lengths @ (r - r.mean())) for _, lengths, r in parts)
        slopes[language] = common / spread if spread > 1e-12 else 0.0
        for keys, lengths, rewards in parts:
            rest = rewards - slopes[language] * lengths
            controlled |= dict(zip(keys, rest.tolist(), strict=True))
    return controlled, slopes
