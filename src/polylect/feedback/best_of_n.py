"""Looking at a model's answers, and making preferences of scored samples."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from polylect.base import InputError, Ledger, atomic_file
from polylect.engine import Generator, Sampling, TokenPrompt
from polylect.feedback.config import AnswersConfig, RankedConfig
from polylect.rows import ScoreTable, read_prompts
from polylect.runs import StepContext
from polylect.training import (
    ExamplesConfig,
    Group,
    Question,
    encode_prompts,
    in_language,
    open_policy,
    open_reward,
    read_groups,
)

ANSWERS, SCORES, PAIRS = "answers.parquet", "scores.parquet", "pairs.jsonl"
LOW = "left out: prompt of low mean reward"
EQUAL = "left out: the best and the worst answer are equal, empty, or worth the same"
_MIB = 1 << 20


def run_answers(config: AnswersConfig, inputs: Mapping[str, Any], context: StepContext) -> None:
    """Answers to prompts, with their reward and whether they are in the prompt's language.

    Writes ``answers.parquet`` and ``scores.parquet``, of which ``polylect compare`` reads two:
    metrics ``reward``, ``right_language`` and ``answer_tokens``.

    Inputs: ``model``, ``data`` (prompts) and ``reward``.

    Raises:
        InputError: a prompt does not fit, or there is no such reward.
    """
    examples = ExamplesConfig(
        template=config.template, threads=config.threads, default_language=config.default_language
    )
    start = open_policy(inputs["model"].path, examples, context.ledger)
    rows = read_prompts(inputs["data"].path, config.default_language)
    prompts = encode_prompts(
        rows, start.style, start.context_tokens, config.max_new_tokens, "drop", context.ledger
    )
    generator = Generator(start.load().eval(), start.tokenizer, config.memory_mib * _MIB)
    sampling = Sampling(
        max_new_tokens=config.max_new_tokens,
        temperature=config.sampling_temperature,
        seed=config.seed,
    )
    asked = [TokenPrompt(ids, f"prompt {i}", one.language) for i, (one, ids) in enumerate(prompts)]
    found = generator.answer(
        asked, sampling, context.report, context.ledger, ends=start.style.ends()
    )
    questions = [
        Question(one.messages, one.language, [own[0].text])
        for (one, _), own in zip(prompts, found, strict=True)
    ]
    reward = open_reward(
        inputs["reward"].source, config.template, examples.micro_batch_tokens, context.ledger
    )
    rewards, right = reward(questions, context.ledger), in_language(questions)
    told = [
        {
            "item": one.place.rpartition(":")[2],
            "language": one.language,
            "prompt": one.messages[-1].content,
            "answer": own[0].text,
            "stopped": own[0].stopped,
            "answer_tokens": float(len(own[0].ids)),
            "reward": value[0],
            "right_language": float(fine[0]),
        }
        for (one, _), own, value, fine in zip(prompts, found, rewards, right, strict=True)
    ]
    with atomic_file(context.out / ANSWERS) as temporary:
        pl.DataFrame(told).write_parquet(temporary)
    table = ScoreTable.from_rows(
        [
            {
                "checkpoint": config.name,
                "task": "answers",
                "item": row["item"],
                "language": row["language"],
                "metric": name,
                "value": row[name],
            }
            for row in told
            for name in ("reward", "right_language", "answer_tokens")
        ]
    )
    table.write(context.out / SCORES)


def run_ranked(config: RankedConfig, inputs: Mapping[str, Any], context: StepContext) -> None:
    """``pairs.jsonl``: to every prompt the best answer over the worst.

    Prompts of low mean reward are left out language by language, or a language whose rewards are
    low would lose all of its prompts.

    Raises:
        InputError: no pair is left.
    """
    groups = read_groups(inputs["samples"].path / "samples.parquet")
    lines = [
        json.dumps(
            {
                "prompt": [{"role": role, "content": text} for role, text in group.turns],
                "chosen": group.answers[best],
                "rejected": group.answers[worst],
                "language": group.language,
                "chosen_score": group.rewards[best],
                "rejected_score": group.rewards[worst],
            },
            ensure_ascii=False,
        )
        for group in kept_groups(groups, config.drop, context.ledger)
        for best, worst in [group.best_and_worst]
    ]
    if not lines:
        raise InputError(
            "no prompt has two unequal answers of unequal reward: nothing to prefer",
            "more prompts, more answers to each, or another reward",
        )
    (context.out / PAIRS).write_text("\n".join([*lines, ""]), encoding="utf-8")


def kept_groups(groups: Sequence[Group], drop: float, ledger: Ledger) -> list[Group]:
    """Groups with two unequal answers, without each language's share of lowest mean reward."""
    kept = set()
    for tag in sorted({group.language for group in groups}):
        mine = [i for i, group in enumerate(groups) if group.language == tag]
        order = sorted(mine, key=lambda i: (float(np.mean(groups[i].rewards)), i))
        low = int(drop * len(mine))
        ledger.count(LOW, low, tag)
        kept |= set(order[low:])
    found = []
    for i, group in enumerate(groups):
        if i not in kept:
            continue
        best, worst = group.best_and_worst
        texts = (group.answers[best].strip(), group.answers[worst].strip())
        if not group.contrast or texts[0] == texts[1] or not all(texts):
            ledger.count(EQUAL, 1, group.language)
            continue
        found.append(group)
    return found
