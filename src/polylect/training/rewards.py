"""What answers are worth: a reward model, a user's function, or whether the language is right."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from polylect.base import LANGUAGES, InputError, Ledger
from polylect.checkpoints import Checkpoint
from polylect.models import load_reward_model
from polylect.rows import Message, as_dicts
from polylect.runs import load_file
from polylect.text import Style, Tokenizer, has_template, identify_all, style_or_plain
from polylect.training.encode import micro_batches
from polylect.training.packing import pack_groups, sequence_rewards

LANGUAGE = "language"
"""The reward that is 1 for an answer in its prompt's language and 0 for any other."""

WRONG = "scored last: answer in another language than its prompt"
CUT = "cut: answer too long for the reward model"


@dataclass(frozen=True)
class Question:
    """A prompt and its answers.

    Attributes:
        messages: the prompt's turns.
        language: its tag.
        answers: texts.
    """

    messages: Sequence[Message]
    language: str
    answers: Sequence[str]


class Reward(Protocol):
    """Something that says what answers are worth."""

    def __call__(self, questions: Sequence[Question], ledger: Ledger) -> list[list[float]]:
        """Rewards [questions][answers]; the more, the better."""
        ...


def open_reward(source: str, template: str, micro_batch_tokens: int, ledger: Ledger) -> Reward:
    """The reward that a user named.

    Args:
        source: a folder of a reward model, ``FILE.py:function``, or ``language``.
        template: how a reward model without a chat template of its own reads turns.
        micro_batch_tokens: most tokens of one pass of a reward model.
        ledger: counts a reward model that reads plain turns for want of a template.

    Raises:
        InputError: there is none.
    """
    if source == LANGUAGE:
        return _language_reward
    file, colon, name = source.rpartition(":")
    if colon and file.endswith(".py"):
        return _FunctionReward(_function(Path(file), name), source)
    path = Path(source)
    if not path.is_dir():
        raise InputError(
            f"--reward {source}: no such folder",
            f"a folder of polylect train reward, FILE.py:function, or {LANGUAGE}",
        )
    checkpoint = Checkpoint.open(path)
    tokenizer = Tokenizer.load(path)
    own = "own" if has_template(path) else template
    style = style_or_plain(path, tokenizer, own, ledger, "reward model")
    return _ModelReward(load_reward_model(checkpoint), style, micro_batch_tokens)


def in_language(questions: Sequence[Question]) -> list[list[bool]]:
    """Whether every answer is in its prompt's language, as far as our identification says.

    A prompt in a language outside the 23 has no wrong answers.
    """
    flat = [text for one in questions for text in one.answers]
    found = iter([one.tag if one else "" for one, _ in identify_all(flat, LANGUAGES.values())])
    return [
        [next(found) == one.language or one.language not in LANGUAGES for _ in one.answers]
        for one in questions
    ]


def gated(
    rewards: Sequence[Sequence[float]],
    right: Sequence[Sequence[bool]],
    questions: Sequence[Question],
    ledger: Ledger,
) -> list[list[float]]:
    """Rewards in which an answer in another language is worth 1 less than the worst of the others.

    Where all answers to a prompt are in another language, all are worth the same: nothing can be
    learned from them.
    """
    found = []
    for own, fine, one in zip(rewards, right, questions, strict=True):
        ledger.count(WRONG, len(fine) - sum(fine), one.language)
        worst = min((r for r, ok in zip(own, fine, strict=True) if ok), default=0.0)
        found.append([r if ok else worst - 1.0 for r, ok in zip(own, fine, strict=True)])
    return found


def _language_reward(questions: Sequence[Question], ledger: Ledger) -> list[list[float]]:
    return [[float(one) for one in row] for row in in_language(questions)]


@dataclass(frozen=True)
class _FunctionReward:
    function: Callable[..., Any]
    place: str

    def __call__(self, questions: Sequence[Question], ledger: Ledger) -> list[list[float]]:
        return [[self._number(one, text) for text in one.answers] for one in questions]

    def _number(self, one: Question, text: str) -> float:
        value = self.function(as_dicts(one.messages), text, one.language)
        if isinstance(value, bool | int | float | np.number) and np.isfinite(value):
            return float(value)
        raise InputError(
            f"--reward {self.place}: gave {value!r} for an answer in {one.language}",
            "return a finite number",
        )


def _function(file: Path, name: str) -> Callable[..., Any]:
    function = getattr(load_file(file), name, None)
    if not callable(function):
        raise InputError(f"{file}: no function {name!r}", "give FILE.py:function")
    try:
        inspect.signature(function).bind([], "", "en")
    except TypeError as error:
        raise InputError(
            f"{file}: {name} cannot be called ({error})",
            f"def {name}(messages, answer, language) -> float",
        ) from None
    return function


@dataclass(frozen=True)
class _ModelReward:
    model: Any
    style: Style
    micro_batch_tokens: int

    @torch.no_grad()
    def __call__(self, questions: Sequence[Question], ledger: Ledger) -> list[list[float]]:
        prompts = [self.style.prompt(one.messages) for one in questions]
        answers = [[self._answer(one, text) for text in one.answers] for one in questions]
        limit = (
            getattr(self.model.config.get_text_config(), "max_position_embeddings", 0) or 1 << 30
        )
        for number, one in enumerate(questions):
            room = limit - len(prompts[number])
            if room < 1:
                raise InputError(
                    f"a prompt in {one.language} has {len(prompts[number])} tokens, the reward"
                    f" model takes {limit}",
                    "choose a reward model with a longer context",
                )
            for i, ids in enumerate(answers[number]):
                ledger.count(CUT, int(len(ids) > room), one.language)
                answers[number][i] = ids[:room]
        found: list[list[float]] = []

        def size(i: int) -> int:
            return len(prompts[i]) + sum(map(len, answers[i]))

        for part in micro_batches(range(len(questions)), self.micro_batch_tokens, size):
            batch = pack_groups([prompts[i] for i in part], [answers[i] for i in part],
                                [questions[i].language for i in part])  # fmt: skip
            total = sum(len(answers[i]) for i in part)
            values = iter(sequence_rewards(self.model, batch, total).double().tolist())
            found += [[next(values) for _ in answers[i]] for i in part]
        return found

    def _answer(self, one: Question, text: str) -> np.ndarray:
        """Tokens up to the end of the answer; an empty one is its end alone."""
        said = self.style.render([*one.messages, Message("assistant", text or " ")])
        end = int(np.flatnonzero(said.trained)[-1]) + 1
        gaps = np.flatnonzero(~said.trained[:end])
        return said.ids[int(gaps[-1]) + 1 : end]
