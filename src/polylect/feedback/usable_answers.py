"""A pool as arrays: what each answer is worth to a router and to a judge."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from polylect.base import InputError, Ledger, generator
from polylect.engine import Question
from polylect.feedback.pool_files import PromptKey, by_prompt, is_answer, teachers_of
from polylect.rows import AnswerKey, PooledAnswer
from polylect.text import is_same

UNUSABLE = "not routed: answer without a reward, or none at all"
LOST = "not routed: prompt without an answer that has a reward"


@dataclass(frozen=True)
class RouterTable:
    """The usable answers of a pool.

    Attributes:
        prompts: language and id of each, in order.
        rows: one answer to each prompt, teacher and sample; those without a reward are left out.
        teachers: names, sorted.
        prompt: index of each row's prompt [rows].
        teacher: index of each row's teacher [rows].
        reward: of each row, behind the language gate if there is one [rows].
        judged: by the other reward; NaN where there is none [rows].
        right: 1 in its prompt's language, 0 in another, NaN where it cannot be told [rows].
    """

    prompts: tuple[PromptKey, ...]
    rows: tuple[PooledAnswer, ...]
    teachers: tuple[str, ...]
    prompt: np.ndarray
    teacher: np.ndarray
    reward: np.ndarray
    judged: np.ndarray
    right: np.ndarray

    @cached_property
    def languages(self) -> np.ndarray:
        """Tag of each prompt's language [prompts]."""
        return np.array([language for language, _ in self.prompts], object)

    @cached_property
    def first(self) -> np.ndarray:
        """Row of each teacher's first answer to each prompt; −1 for none [prompts, teachers]."""
        first = np.full((len(self.prompts), len(self.teachers)), -1, np.int64)
        for i in range(len(self.rows) - 1, -1, -1):
            first[self.prompt[i], self.teacher[i]] = i
        return first

    @cached_property
    def best(self) -> np.ndarray:
        """Row of the highest reward of each prompt; among equal ones it is drawn [prompts]."""
        draws = generator(0, "ties").permutation(len(self.rows))
        order = np.lexsort((draws, -self.reward, self.prompt))
        return order[np.searchsorted(self.prompt[order], np.arange(len(self.prompts)))]

    def rows_of(self, prompt: int) -> np.ndarray:
        """The rows of a prompt."""
        low, high = np.searchsorted(self.prompt, [prompt, prompt + 1])
        return np.arange(low, high)

    def means(self, values: np.ndarray) -> np.ndarray:
        """Mean of a teacher's answers to a prompt; NaN for none [prompts, teachers]."""
        shape = (len(self.prompts), len(self.teachers))
        sums, counts = np.zeros(shape), np.zeros(shape)
        known = ~np.isnan(values)
        np.add.at(sums, (self.prompt[known], self.teacher[known]), values[known])
        np.add.at(counts, (self.prompt[known], self.teacher[known]), 1)
        return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)

    @cached_property
    def costs(self) -> tuple[str, np.ndarray]:
        """What an answer costs to generate: tokens where all are counted, else characters."""
        tokens = [row.num_tokens for row in self.rows]
        if all(num is not None for num in tokens):
            return "tokens", np.array(tokens, np.float64)
        return "characters", np.array([len(row.answer) for row in self.rows], np.float64)


def router_table(
    rows: Sequence[PooledAnswer],
    rewards: Mapping[AnswerKey, float],
    judged: Mapping[AnswerKey, float],
    gate: bool,
    ledger: Ledger,
) -> RouterTable:
    """The answers that have a reward, as arrays.

    Args:
        rows: of a pool.
        rewards: by answer, for the routers.
        judged: by answer, for the comparison.
        gate: an answer in another language gets 1 less than the worst of the others.
        ledger: counts what has no reward, and what the gate does.

    Raises:
        InputError: no answer has a reward.
    """
    from polylect.training import gated

    kept: list[PooledAnswer] = []
    prompts: list[PromptKey] = []
    numbers: list[int] = []
    reward: list[float] = []
    for key, answers in by_prompt(rows).items():
        usable = [row for row in answers if is_answer(row) and row.key in rewards]
        ledger.count(UNUSABLE, len(answers) - len(usable), key[0])
        if not usable:
            ledger.count(LOST, 1, key[0])
            continue
        values = [rewards[row.key] for row in usable]
        if gate:
            texts = [row.answer for row in usable]
            question = Question(usable[0].messages, key[0], texts)
            flags = [in_its_language(row) for row in usable]
            (values,) = gated([values], [flags], [question], ledger)
        numbers += [len(prompts)] * len(usable)
        prompts.append(key)
        kept += usable
        reward += values
    if not kept:
        raise InputError("no answer of the pool has a reward", "polylect feedback score POOL")
    teachers = teachers_of(kept)
    index = {name: i for i, name in enumerate(teachers)}
    flags = [in_its_language(row) for row in kept]
    return RouterTable(
        tuple(prompts), tuple(kept), tuple(teachers),
        np.array(numbers, np.int64), np.array([index[row.teacher] for row in kept], np.int64),
        np.array(reward, np.float64),
        np.array([judged.get(row.key, np.nan) for row in kept], np.float64),
        np.array([np.nan if flag is None else float(flag) for flag in flags], np.float64),
    )  # fmt: skip


def in_its_language(row: PooledAnswer) -> bool | None:
    """Whether an answer seems to be in its prompt's language; None where it cannot be told."""
    return is_same(row.identified, row.language) if row.identified else None
