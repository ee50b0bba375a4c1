"""Asking a local language model which of two texts somebody prefers; knows no crowd.

The model reads examples of the person's choices and a question, and the log-probabilities of the
letters A and B say what it expects. Every question is asked in both orders and averaged, so that a
letter that the model likes by itself cancels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from polylect.base import InputError, Ledger
from polylect.people.crowd import Text
from polylect.rows import Message

if TYPE_CHECKING:
    from polylect.engine import Engine
    from polylect.text import Style

DROPPED = "left out: examples that do not fit into the model's context"
CUT = "cut: question longer than the model"
_LETTERS = ("A", "B")
_LEAD = "Preferred:"
_TASK = "A person compared texts. Say which text the same person prefers: A or B."


@dataclass(frozen=True)
class Comparison:
    """Two texts and which of them was chosen.

    Attributes:
        first, second: the texts; the prompt is that of the first.
        chosen: 0 or 1; None where it is asked.
    """

    first: Text
    second: Text
    chosen: int | None = None

    def swapped(self) -> "Comparison":
        """The same with its sides exchanged."""
        chosen = None if self.chosen is None else 1 - self.chosen
        return Comparison(self.second, self.first, chosen)

    def render(self) -> str:
        """As the model reads it."""
        prompt = f"Prompt: {self.first.prompt}\n" if self.first.messages else ""
        answer = "" if self.chosen is None else f"\n{_LEAD} {_LETTERS[self.chosen]}"
        return f"{prompt}A: {self.first.response}\nB: {self.second.response}{answer}"


@dataclass(frozen=True)
class Asked:
    """A question with examples, the most telling last.

    Attributes:
        examples: of the person's choices.
        question: two texts.
    """

    examples: tuple[Comparison, ...]
    question: Comparison

    def swapped(self) -> "Asked":
        """The question's sides exchanged; the examples as they are."""
        return Asked(self.examples, self.question.swapped())

    def render(self, num_examples: int) -> str:
        """As the model reads it, with the last examples alone."""
        kept = self.examples[len(self.examples) - num_examples :]
        return "\n\n".join([_TASK, *(each.render() for each in kept), self.question.render()])


def log_odds(
    asked: Sequence[Asked], checkpoint: Path, template: str, digest: str, ledger: Ledger
) -> np.ndarray:
    """Log-odds of the first text of every question over the second, float64 [questions].

    The mean over both orders: swapped sides give the negative.

    Args:
        asked: the questions.
        checkpoint: folder of a language model.
        template: chat template: ``own`` (plain turns where there is none), ``plain``, ``aya``, or a
            Jinja file.
        digest: that the checkpoint must have; empty for any.
        ledger: counts examples that were left out, and questions that were cut on the left.

    Raises:
        InputError: the checkpoint cannot be used, or is another one.
    """
    from polylect.engine import TokenRequest
    from polylect.runs import Silent
    from polylect.text import cut_at_borders

    engine, style = _opened(checkpoint, template, digest, _num_threads())
    cuts = cut_at_borders(engine.tokenizer, [[_LEAD, f" {letter}"] for letter in _LETTERS])
    lead, letters = cuts[0].pieces[0], [cut.pieces[1] for cut in cuts]
    limit = engine.max_tokens - max(map(len, letters)) + 1
    requests = []
    for each in asked:
        for question in (each, each.swapped()):
            context = _fitting(question, style, lead, limit, ledger)
            requests += [TokenRequest(context, letter) for letter in letters]
    scores = engine.answer(engine.prepare_tokens(requests), Silent()).log_likelihood
    first, second = scores.reshape(len(asked), 2, 2).transpose(1, 0, 2)
    return ((first[:, 0] - first[:, 1]) + (second[:, 1] - second[:, 0])) / 2.0


def _fitting(
    asked: Asked, style: "Style", lead: np.ndarray, limit: int, ledger: Ledger
) -> np.ndarray:
    """Tokens of a question with as many of its examples as there is room for, int32."""
    for num in range(len(asked.examples), -1, -1):
        ids = np.concatenate([style.prompt([Message("user", asked.render(num))]), lead])
        if len(ids) <= limit:
            break
    ledger.count(DROPPED, len(asked.examples) - num)
    ledger.count(CUT, int(len(ids) > limit))
    return ids[-limit:].astype(np.int32)


def _num_threads() -> int:
    import torch

    return torch.get_num_threads()


@lru_cache(1)
def _opened(checkpoint: Path, template: str, digest: str, threads: int) -> "tuple[Engine, Style]":
    """The engine of a checkpoint, kept for the next question."""
    from polylect.checkpoints import Checkpoint
    from polylect.engine import Engine, EngineConfig
    from polylect.text import style_or_plain

    handle = Checkpoint.open(checkpoint)
    if digest and handle.digest != digest:
        raise InputError(
            f"{checkpoint}: not the language model that the personal model was fitted with",
            "fit the personal model again",
        )
    engine = Engine.open(handle, EngineConfig(threads=threads))
    return engine, style_or_plain(checkpoint, engine.tokenizer, template, Ledger())
