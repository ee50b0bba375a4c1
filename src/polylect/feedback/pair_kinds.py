"""Which answers to a prompt are compared, by the kind of pair."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from polylect.base import InputError
from polylect.feedback.pool_config import PairsConfig
from polylect.feedback.usable_answers import in_its_language
from polylect.rows import AnswerKey, PooledAnswer

ORDERED = ("post-edit", "language-verified")
"""Kinds whose sides are ordered by what they are, not by a reward."""


@dataclass(frozen=True)
class Candidates:
    """Answers to one prompt that may be compared.

    Attributes:
        rows: answers.
        rewards: that order them.
        scored: whether these are rewards; else they only say which is preferred.
    """

    rows: tuple[PooledAnswer, ...]
    rewards: tuple[float, ...]
    scored: bool


def candidates_of(
    answers: Sequence[PooledAnswer], rewards: Mapping[AnswerKey, float], config: PairsConfig
) -> list[Candidates]:
    """The answers to one prompt that may be compared; several sets for ``homogeneous``.

    Args:
        answers: to one prompt, none of them empty.
        rewards: by answer, behind the gate; empty where there is no reward.
        config: kind, and the teachers of either side.

    Raises:
        InputError: the kind needs a reward, and there is none.
    """
    kind = config.kind
    if not rewards and kind in ("best-worst", "margin", "homogeneous"):
        raise InputError(f"--kind {kind} needs a reward", "--reward NAME (polylect feedback score)")
    if rewards:
        answers = [row for row in answers if row.key in rewards]
    if kind == "homogeneous":
        return _of_each_teacher(answers, rewards, config)
    if kind in ("best-worst", "margin"):
        return _several(answers, rewards)
    if kind == "native-translated":
        if config.gate:
            answers = [row for row in answers if in_its_language(row) is not False]
        first = _only(answers, "native", config.strong)
        second = _only(answers, "translated", config.weak)
        return _two_sides(first, second, rewards, is_ordered=not rewards, lowest=True)
    if kind == "post-edit":
        first, second = _only(answers, "post-edited"), _only(answers, "translated")
        if first and first[0].source_text:
            second = [row for row in second if row.source_text in ("", first[0].source_text)]
        return _two_sides(first[:1], second[:1], rewards, is_ordered=True, lowest=True)
    assert kind == "language-verified", kind
    first = [row for row in answers if in_its_language(row) is True]
    second = [row for row in answers if in_its_language(row) is False]
    return _two_sides(first, second, rewards, is_ordered=True, lowest=False)


def _only(answers: Sequence[PooledAnswer], origin: str, teacher: str = "") -> list[PooledAnswer]:
    return [
        row for row in answers
        if row.answer_origin == origin and (not teacher or row.teacher == teacher)
    ]  # fmt: skip


def _several(rows: Sequence[PooledAnswer], rewards: Mapping[AnswerKey, float]) -> list[Candidates]:
    if len(rows) < 2:
        return []
    return [Candidates(tuple(rows), tuple(rewards[row.key] for row in rows), True)]


def _of_each_teacher(
    answers: Sequence[PooledAnswer], rewards: Mapping[AnswerKey, float], config: PairsConfig
) -> list[Candidates]:
    """Sets of one teacher's answers, none of them translated: the control of the contrast."""
    sets = []
    for teacher in sorted({row.teacher for row in answers}):
        own = [row for row in answers if row.teacher == teacher]
        if config.strong in ("", teacher):
            sets += _several([row for row in own if row.answer_origin != "translated"], rewards)
    return sets


def _two_sides(
    first: Sequence[PooledAnswer], second: Sequence[PooledAnswer],
    rewards: Mapping[AnswerKey, float], *, is_ordered: bool, lowest: bool,
) -> list[Candidates]:  # fmt: skip
    """The best of one side against one of the other; the side orders them, or the reward does.

    Args:
        first: the side that is preferred where sides order.
        second: the other side.
        rewards: by answer; may be empty.
        is_ordered: whether the first side is preferred whatever the rewards are.
        lowest: the other side's answer is its worst; else its best, which is hardest to reject.
    """
    if not first or not second:
        return []

    def value(row: PooledAnswer) -> float:
        return rewards.get(row.key, 0.0)

    best = max(first, key=value)
    other = min(second, key=value) if lowest else max(second, key=value)
    if is_ordered:
        return [Candidates((best, other), (1.0, 0.0), False)]
    return [Candidates((best, other), (value(best), value(other)), True)]
