"""A model's answers with their rewards, and preferences from scored samples."""

import json
from collections.abc import Sequence

import numpy as np
import polars as pl

from polylect.base import InputError, Ledger, atomic_file
from polylect.engine import Generator, Question, Sampling, TokenPrompt
from polylect.feedback.config import AnswersConfig, RankedConfig
from polylect.rows import ScoreTable, read_prompts
from polylect.runs import StepContext, StepInputs
from polylect.text import open_identifier
from polylect.training import (
    ExamplesConfig,
    Group,
    OnlineInputs,
    check_languages,
    encode_prompts,
    in_language,
    open_policy,
    read_groups,
    rewardable,
)

ANSWERS, SCORES, PAIRS = "answers.parquet", "scores.parquet", "pairs.jsonl"
LOW = "left out: prompt of low mean reward"
EQUAL = "left out: the best and the worst answer are equal, empty, or worth the same"
_METRICS = ("reward", "right_language", "answer_tokens")
_MIB = 1 << 20


def run_answers(config: AnswersConfig, inputs: OnlineInputs, context: StepContext) -> None:
    """Answer prompts; score the answers and whether they are in the prompt's language.

    Writes ``answers.parquet`` and ``scores.parquet`` (metrics ``reward``, ``right_language`` and
    ``answer_tokens``), which ``polylect compare`` reads.

    Inputs: ``model``, ``data`` (prompts) and ``reward``.

    Raises:
        InputError: a prompt does not fit, or there is no such reward.
    """
    examples = ExamplesConfig(
        template=config.template,
        special_tokens=config.special_tokens,
        threads=config.threads,
        default_language=config.default_language,
    )
    policy = open_policy(inputs["model"].path, examples, context.ledger, is_trained=False)
    prompts = encode_prompts(
        read_prompts(inputs["data"].path, config.default_language, ledger=context.ledger),
        policy.style, policy.context_tokens, config.max_new_tokens, "drop", context.ledger,
    )  # fmt: skip
    source, identifier = inputs["reward"], open_identifier(config.identifier)
    reward = source.open(
        config.template,
        examples.micro_batch_tokens,
        context.ledger,
        identifier=config.identifier,
    )
    check_languages(identifier, [row.language for row, _ in prompts], source.name, gate=False)
    prompts = rewardable(reward, prompts, context.ledger)
    generator = Generator(policy.load(), policy.tokenizer, config.memory_mib * _MIB)
    sampling = Sampling(
        max_new_tokens=config.max_new_tokens,
        temperature=config.sampling_temperature,
        seed=config.seed,
    )
    samples = generator.answer(
        [TokenPrompt(ids, f"prompt {i}", row.language) for i, (row, ids) in enumerate(prompts)],
        sampling,
        context.report,
        context.ledger,
        ends=policy.style.ends(),
    )
    answers = [answer for (answer,) in samples]
    questions = [
        Question(row.messages, row.language, [answer.text])
        for (row, _), answer in zip(prompts, answers, strict=True)
    ]
    rewards, right = reward(questions, context.ledger), in_language(questions, identifier)
    rows = [
        {
            "item": row.place.rpartition(":")[2],
            "language": row.language,
            "prompt": row.messages[-1].content,
            "answer": answer.text,
            "stopped": answer.stopped,
            "answer_tokens": float(len(answer.ids)),
            "reward": value,
            "right_language": None if is_right is None else float(is_right),
        }
        for (row, _), answer, (value,), (is_right,) in zip(
            prompts, answers, rewards, right, strict=True
        )
    ]
    with atomic_file(context.out / ANSWERS) as temporary:
        pl.DataFrame(rows).write_parquet(temporary)
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
            for row in rows
            for name in _METRICS
            if row[name] is not None
        ]
    )
    table.write(context.out / SCORES)


def run_ranked(config: RankedConfig, inputs: StepInputs, context: StepContext) -> None:
    """Write ``pairs.jsonl``: for every prompt the best answer is preferred over the worst.

    Prompts of low mean reward are left out by language: a language with low rewards would otherwise
    lose all of its prompts.

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
    """Groups with two unequal answers, without the share of lowest mean reward in each language."""
    high = set()
    for tag in sorted({group.language for group in groups}):
        indices = [i for i, group in enumerate(groups) if group.language == tag]
        order = sorted(indices, key=lambda i: (float(np.mean(groups[i].rewards)), i))
        num_low = int(drop * len(indices))
        ledger.count(LOW, num_low, tag)
        high |= set(order[num_low:])
    kept = []
    for i, group in enumerate(groups):
        if i not in high:
            continue
        best, worst = group.best_and_worst
        texts = (group.answers[best].strip(), group.answers[worst].strip())
        if not group.contrast or texts[0] == texts[1] or not all(texts):
            ledger.count(EQUAL, 1, group.language)
            continue
        kept.append(group)
    return kept
