"""Rewards of answers by a reward model or by language identification; the language gate."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from polylect.base import InputError, Ledger
from polylect.checkpoints import Checkpoint
from polylect.engine import Question, Reward
from polylect.models import load_reward_model, reward_skeleton
from polylect.rows import Message, Prompt, RefusedRows
from polylect.text import (
    Style,
    TextIdentifier,
    TokenBatch,
    Tokenizer,
    has_template,
    is_same,
    open_identifier,
    style_or_plain,
)
from polylect.training.config import LANGUAGE
from polylect.training.encode import micro_batches
from polylect.training.packing import last_hidden, pack_groups, sequence_rewards
from polylect.training.reading import READING, read_sequences, share_prefix

WRONG = "scored last: answer in another language than its prompt"
UNTOLD = "not gated: the language of an answer cannot be told"
CUT = "cut: answer too long for the reward model"
EARLIER = "read at another token than it was trained at: a reward model of an earlier version"


def language_reward(identifier: str) -> Reward:
    """The reward that is 1 for an answer in its prompt's language and 0 for any other.

    Raises:
        InputError: there is no such identifier.
    """
    return _LanguageReward(open_identifier(identifier))


def model_reward(
    path: Path, template: str, micro_batch_tokens: int, ledger: Ledger, *, is_planned: bool = False
) -> Reward:
    """The reward of a reward model.

    Args:
        path: its folder.
        template: chat template for one that has none.
        micro_batch_tokens: most tokens of a forward pass.
        ledger: counts a model that falls back to plain turns, or that an earlier version trained.
        is_planned: no weights are loaded.

    Raises:
        InputError: the folder holds no reward model.
    """
    checkpoint = Checkpoint.open(path)
    tokenizer = Tokenizer.load(path).within(checkpoint.stated_rows)
    style = style_or_plain(
        path, tokenizer, "own" if has_template(path) else template, ledger, "reward model"
    )
    lineage = checkpoint.lineage
    if lineage is not None and lineage.method == "reward":
        ledger.count(EARLIER, int(lineage.settings.get("reading") != READING))
    model = (reward_skeleton if is_planned else load_reward_model)(checkpoint)
    return ModelReward(model, style, micro_batch_tokens)


def rewardable(
    reward: Reward, prompts: Sequence[tuple[Prompt, np.ndarray]], ledger: Ledger
) -> list[tuple[Prompt, np.ndarray]]:
    """The prompts, with their tokens, to whose answers a reward can be given.

    A reward model may have less room than the policy, or a template that refuses a prompt (one
    without a role for the system), and a function takes plain messages alone; such a prompt is left
    out and counted.

    Raises:
        InputError: none is left.
    """
    kept = []
    refused = RefusedRows(reward.place)
    for prompt, ids in prompts:
        try:
            reward.check_prompt(prompt.messages, prompt.language)
        except InputError as error:
            refused.add(error, prompt.place, prompt.language)
            continue
        kept.append((prompt, ids))
    refused.count(ledger, len(kept))
    return kept


def check_languages(
    identifier: TextIdentifier, tags: Iterable[str], source: str, *, gate: bool
) -> None:
    """Refuse prompts whose language a reward or the gate needs and the identifier cannot tell.

    The reward ``language`` needs every language. The gate needs one that can be told: answers
    in the others pass, and are counted as such.

    Raises:
        InputError: names the reason, and what to do.
    """
    if source == LANGUAGE:
        identifier.check_can_tell(tags, f"--reward {LANGUAGE}")
    elif gate and all(map(identifier.cannot_tell, tags := dict.fromkeys(tags))):
        identifier.check_can_tell(tags, "the language gate (--no-gate leaves it out)")


def in_language(
    questions: Sequence[Question], identifier: TextIdentifier
) -> list[list[bool | None]]:
    """Whether every answer seems to be in its prompt's language; None where it cannot be told."""
    texts = [text for question in questions for text in question.answers]
    guesses = iter(identifier.guess(texts))
    result: list[list[bool | None]] = []
    for question in questions:
        is_told = not identifier.cannot_tell(question.language)
        flags = [is_same(next(guesses).tag, question.language) for _ in question.answers]
        result.append([flag if is_told else None for flag in flags])
    return result


def gated(
    rewards: Sequence[Sequence[float]],
    right: Sequence[Sequence[bool | None]],
    questions: Sequence[Question],
    ledger: Ledger,
) -> list[list[float]]:
    """Rewards in which an answer in another language gets 1 less than the worst of the others.

    An answer of which the language cannot be told keeps its reward, and is counted.
    If all answers to a prompt are in another language, they get equal rewards: nothing is learned.
    """
    result = []
    for values, flags, question in zip(rewards, right, questions, strict=True):
        ledger.count(WRONG, sum(flag is False for flag in flags), question.language)
        ledger.count(UNTOLD, sum(flag is None for flag in flags), question.language)
        pairs = [*zip(values, flags, strict=True)]
        worst = min((value for value, flag in pairs if flag is not False), default=0.0)
        result.append([worst - 1.0 if flag is False else value for value, flag in pairs])
    return result


@dataclass(frozen=True)
class _LanguageReward:
    """1 for an answer in its prompt's language, 0 for any other."""

    identifier: TextIdentifier
    place: str = ""

    def check_prompt(self, messages: Sequence[Message], language: str) -> None:
        """Refuse nothing; see ``Reward``."""

    def __call__(self, questions: Sequence[Question], ledger: Ledger) -> list[list[float]]:
        self.identifier.check_can_tell(
            [question.language for question in questions], f"--reward {LANGUAGE}"
        )
        return [
            [float(bool(flag)) for flag in flags]
            for flags in in_language(questions, self.identifier)
        ]


@dataclass(frozen=True)
class ModelReward:
    """A reward model's score of every answer."""

    model: Any
    style: Style
    micro_batch_tokens: int

    @property
    def place(self) -> str:
        """The template's file; see ``Reward``."""
        return self.style.place

    def check_prompt(self, messages: Sequence[Message], language: str) -> None:
        """Refuse a prompt that leaves no room, or that the template refuses; see ``Reward``."""
        self.check_room(messages, language)
        self.style.whole([*messages, Message("assistant", "a")])

    def __call__(self, questions: Sequence[Question], ledger: Ledger) -> list[list[float]]:
        """Rewards [questions][answers]; see ``Reward``."""
        return self._read(questions, ledger, sequence_rewards)

    def states(self, questions: Sequence[Question], ledger: Ledger) -> list[list[list[float]]]:
        """Hidden states that the rewards are read from, [questions][answers][hidden]."""
        return self._read(questions, ledger, last_hidden)

    @torch.no_grad()
    def _read(
        self,
        questions: Sequence[Question],
        ledger: Ledger,
        read: Callable[[Any, TokenBatch, int], torch.Tensor],
    ) -> list[list[Any]]:
        parted = [share_prefix(self._encode(question, ledger)) for question in questions]

        def num_tokens(i: int) -> int:
            prefix, rest = parted[i]
            return len(prefix) + sum(map(len, rest))

        rewards: list[list[Any]] = []
        for part in micro_batches(range(len(questions)), self.micro_batch_tokens, num_tokens):
            batch = pack_groups(
                [parted[i][0] for i in part],
                [parted[i][1] for i in part],
                [questions[i].language for i in part],
            )
            num_answers = sum(len(parted[i][1]) for i in part)
            values = iter(read(self.model, batch, num_answers).double().tolist())
            rewards += [[next(values) for _ in parted[i][1]] for i in part]
        return rewards

    def check_room(self, messages: Sequence[Message], language: str) -> int:
        """The reward model's context in tokens, which a prompt must not fill.

        Raises:
            InputError: the prompt leaves no room.
        """
        config = self.model.config.get_text_config()
        limit = getattr(config, "max_position_embeddings", 0) or 1 << 30
        num_prompt = len(self.style.prompt(messages))
        if num_prompt >= limit:
            raise InputError(
                f"a prompt in {language} has {num_prompt} tokens, the reward model takes {limit}",
                "choose a reward model with a longer context",
            )
        return int(limit)

    def _encode(self, question: Question, ledger: Ledger) -> list[np.ndarray]:
        """Tokens of the conversation with each answer, cut to the reward model's context.

        Raises:
            InputError: the prompt leaves no room.
        """
        limit = self.check_room(question.messages, question.language)
        pad_id = self.model.config.get_text_config().pad_token_id
        sequences = read_sequences(
            self.style, question.messages, question.answers, pad_id, question.language, ledger,
        )  # fmt: skip
        ledger.count(CUT, sum(len(ids) > limit for ids in sequences), question.language)
        return [ids[:limit] for ids in sequences]
