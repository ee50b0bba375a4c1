"""Generation: shared prompt prefixes computed once, samples decoded in parallel, no padding.

A sample depends on its own tokens alone, bit for bit, whatever is generated beside it:

- A prompt is computed in pieces of 64 tokens from its start, each in a pass that continues the
  cached prefix. Prompts that begin with the same pieces share them.
- A row of the head without a token (of a padded vocabulary) is never chosen.
- A decoding step is one row of fixed width, in which each sample attends to its own keys. Before
  the first step, the model itself is tested for numbers that depend on the position in the row or
  on its neighbors; where they do, the width is 1.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from polylect.base import InputError, Ledger, digest_of
from polylect.engine.config import Sampling
from polylect.engine.decoding import Decoding, decoding_of
from polylect.engine.kept_size import KeptSize
from polylect.engine.sampling import EMPTY, LENGTH, choose, log_probability
from polylect.models import (
    DecodeCache,
    Prefix,
    head_of,
    is_packed,
    keep_prefix,
    plain_hidden,
    step_hidden,
    unscaled_tokens,
)
from polylect.runs import Reporter
from polylect.text import Tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel


PIECE = 64
"""Prompt tokens per pass."""

ALONE = "fell back: no cache, the whole prefix is computed for every token"
SCALED = f"{ALONE}, positions depend on the length"
NO_TOKEN = "not chosen: the most likely row of the head has no token"
NARROW = "fell back: continuations one at a time, rows depend on their neighbors"

Stopped = Literal["end", "stop", "length"]

OnAnswer = Callable[[int, int, "Answer"], None]
"""Called with the prompt's index, the sample's index and the answer as soon as it is finished."""


@dataclass(frozen=True, slots=True)
class TokenPrompt:
    """A prompt as tokens.

    Attributes:
        ids: int32 [P], at least one.
        key: seeds the prompt's random numbers; empty: a digest of the tokens, so that equal prompts
            get equal samples.
        where: language tag or source, for the ledger.
    """

    ids: np.ndarray
    key: str = ""
    where: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer.

    Attributes:
        text: up to the stop string, without it; special tokens are spelled out.
        ids: all generated tokens without the end token, int32 [N].
        log_probabilities: of each token under the model, in nats, float64 [N].
        stopped: by an ``end`` token, a ``stop`` string, or the maximum ``length``.
        end_log_probability: of the end token, in nats; 0 without one.
        end_id: the end token; -1 without one.
    """

    text: str
    ids: np.ndarray
    log_probabilities: np.ndarray
    stopped: Stopped
    end_log_probability: float = 0.0
    end_id: int = -1


@dataclass(slots=True)
class _Growing:
    """An unfinished answer."""

    prompt: int
    sample: int
    ids: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)


class Generator:
    """Answers prompts with a loaded model."""

    def __init__(self, model: "PreTrainedModel", tokenizer: Tokenizer, memory_bytes: int) -> None:
        """Wrap a model.

        Args:
            model: loaded by ``load_model``.
            tokenizer: its own.
            memory_bytes: limit of the keys and values of the samples.
        """
        self._model, self._tokenizer, self._memory = model, tokenizer, memory_bytes
        self._head = head_of(model)
        self._without_token = np.ones(self._head.weight.shape[0], bool)
        ids = tokenizer.ids
        self._without_token[ids[ids < len(self._without_token)]] = False
        self._is_padded = bool(self._without_token.any())
        self._limit = unscaled_tokens(model.config.get_text_config())
        self._num_passed_over = 0
        self._own_ends = self._ends = _ends(model, tokenizer)
        self._decoding: Decoding | None = None
        self.computed = 0
        """Number of computed tokens, including prompts."""
        self._pieces: Prefix | None = None

    @torch.no_grad()
    def answer(
        self,
        prompts: Sequence[TokenPrompt],
        sampling: Sampling,
        report: Reporter,
        ledger: Ledger,
        *,
        ends: Collection[int] = (),
        on_answer: OnAnswer | None = None,
    ) -> list[list[Answer]]:
        """The answers [prompts][samples].

        Args:
            prompts: their order does not change the answers.
            sampling: temperature, filters and stop strings.
            report: receives the number of finished answers.
            ledger: counts truncated and empty answers, and fallbacks.
            ends: further end tokens.
            on_answer: called with every finished answer, in no particular order.

        Raises:
            InputError: an empty prompt, or the memory limit is too small for one sample.
        """
        for number, prompt in enumerate(prompts):
            if not len(prompt.ids):
                raise InputError(f"prompt {number} has no token", "give it some text")
        answers: list[list[Answer | None]] = [[None] * sampling.num_samples for _ in prompts]
        order = sorted(range(len(prompts)), key=lambda i: prompts[i].ids.tolist())
        keys = [prompt.key or digest_of(prompt.ids.tolist()) for prompt in prompts]
        total = len(prompts) * sampling.num_samples
        done = 0
        self._ends = self._own_ends | frozenset(ends)

        def grow(growing: _Growing, logits: np.ndarray) -> bool:
            """Append a token; whether the answer continues."""
            nonlocal done
            finished = self._grow(
                growing, logits, prompts[growing.prompt], keys[growing.prompt], sampling
            )
            if finished is None:
                return True
            answers[growing.prompt][growing.sample] = finished
            done += 1
            where = prompts[growing.prompt].where
            ledger.count(LENGTH, int(finished.stopped == "length"), where)
            ledger.count(EMPTY, int(not finished.text.strip()), where)
            if on_answer is not None:
                on_answer(growing.prompt, growing.sample, finished)
            report.update(done, total, "answers")
            return False

        longest = max((len(prompt.ids) for prompt in prompts), default=0) + sampling.max_new_tokens
        scaled = self._limit is not None and longest > self._limit
        self._num_passed_over = 0
        if is_packed(self._model) and not scaled:
            self._side_by_side(prompts, order, sampling, grow, ledger)
        else:
            ledger.count(SCALED if scaled else ALONE, total, type(self._model).__name__)
            for number in order:
                for sample in range(sampling.num_samples):
                    growing, going = _Growing(number, sample), True
                    while going:
                        generated = np.array(growing.ids, np.int64)
                        ids = np.concatenate([prompts[number].ids, generated])
                        hidden = plain_hidden(self._model, ids.astype(np.int64))
                        self.computed += len(ids)
                        going = grow(growing, self._logits(hidden[-1:])[0])
        ledger.count(NO_TOKEN, self._num_passed_over, type(self._model).__name__)
        return [[answer for answer in row if answer is not None] for row in answers]

    def _side_by_side(
        self,
        prompts: Sequence[TokenPrompt],
        order: list[int],
        sampling: Sampling,
        grow: Any,
        ledger: Ledger,
    ) -> None:
        if self._decoding is None:
            self._decoding = decoding_of(self._model, self._logits)
        width = self._decoding.width
        if width == 1:
            ledger.count(NARROW, len(prompts) * sampling.num_samples, type(self._model).__name__)
        longest = max((len(prompt.ids) for prompt in prompts), default=0) + sampling.max_new_tokens
        capacity = min(width, self._places(longest, self._decoding.kept))
        lanes = DecodeCache(width)
        growing: dict[int, _Growing] = {}
        waiting = [(p, s) for p in order for s in range(sampling.num_samples)][::-1]
        last: tuple[int, Prefix, np.ndarray] | None = None
        while waiting or growing:
            while waiting and len(growing) < capacity:
                prompt, sample = waiting.pop()
                if last is None or last[0] != prompt:
                    last = (prompt, *self._read(prompts[prompt].ids))
                answer = _Growing(prompt, sample)
                if grow(answer, last[2]):
                    lane = next(i for i in range(width) if i not in growing)
                    lanes.admit(lane, last[1].keys, last[1].values, sampling.max_new_tokens)
                    growing[lane] = answer
            if not growing:
                continue
            ids = np.zeros(width, np.int64)
            for lane, answer in growing.items():
                ids[lane] = answer.ids[-1]
            logits = self._logits(step_hidden(self._model, ids, lanes))
            self.computed += len(growing)
            for lane, answer in list(growing.items()):
                if not grow(answer, logits[lane]):
                    lanes.free(lane)
                    del growing[lane]
        self._pieces = None

    def _grow(
        self,
        growing: _Growing,
        logits: np.ndarray,
        prompt: TokenPrompt,
        key: str,
        sampling: Sampling,
    ) -> Answer | None:
        """Append a token; the answer if it is finished."""
        if not np.isfinite(logits).all():
            raise InputError("the model's logits are not finite", "try --dtype float32")
        allowed = logits
        if self._is_padded:
            self._num_passed_over += int(self._without_token[logits.argmax()])
            allowed = np.where(self._without_token, -np.inf, logits)
        token = choose(allowed, sampling, key, growing.sample, len(growing.ids))
        value = log_probability(logits, token)
        if token in self._ends:
            return self._finish(growing, prompt, "end", value, end_id=token)
        growing.ids.append(token)
        growing.values.append(value)
        if sampling.stop:
            text = self._text(prompt, growing)
            at = min((i for s in sampling.stop if (i := text.find(s)) >= 0), default=-1)
            if at >= 0:
                return self._finish(growing, prompt, "stop", 0.0, text[:at])
        if len(growing.ids) == sampling.max_new_tokens:
            return self._finish(growing, prompt, "length")
        return None

    def _finish(
        self,
        growing: _Growing,
        prompt: TokenPrompt,
        stopped: Stopped,
        end: float = 0.0,
        text: str | None = None,
        end_id: int = -1,
    ) -> Answer:
        return Answer(
            self._text(prompt, growing) if text is None else text,
            np.array(growing.ids, np.int32),
            np.array(growing.values, np.float64),
            stopped,
            end,
            end_id,
        )

    def _text(self, prompt: TokenPrompt, growing: _Growing) -> str:
        """The generated text as it reads after the prompt, with a leading space."""
        before = prompt.ids[-8:].tolist()
        start, full = self._tokenizer.decode(before), self._tokenizer.decode(before + growing.ids)
        return full[len(start) :] if full.startswith(start) else self._tokenizer.decode(growing.ids)

    def _read(self, ids: np.ndarray) -> tuple[Prefix, np.ndarray]:
        """The keys and values of a prompt, and the logits after it; depends on its tokens alone."""
        prefix = _shared_pieces(self._pieces, ids)
        at = prefix.num_tokens if prefix else 0
        hidden = None
        while at < len(ids):
            hidden, prefix = keep_prefix(self._model, ids[at : at + PIECE], prefix)
            self.computed += len(hidden)
            at = prefix.num_tokens
        assert prefix is not None
        assert hidden is not None
        self._pieces = prefix
        return prefix, self._logits(hidden[-1:])[0]

    @torch.no_grad()
    def _logits(self, hidden: torch.Tensor) -> np.ndarray:
        return self._head.logits(hidden).float().cpu().numpy()

    def _places(self, longest: int, kept: KeptSize) -> int:
        """Number of samples whose keys and values fit the memory limit."""
        bytes_each = longest * kept.all_layers * self._head.weight.element_size()
        # Two prompts are in memory besides the samples: the last one and the one being read.
        room = self._memory // bytes_each - 2
        if room < 1:
            need = -(-3 * bytes_each // (1 << 20))
            raise InputError(
                f"an answer of {longest} tokens with its prompt does not fit into"
                f" {self._memory >> 20} MiB",
                f"--memory-mib {need}",
            )
        return int(room)


def _shared_pieces(earlier: Prefix | None, ids: np.ndarray) -> Prefix | None:
    """The complete pieces that both begin with; leaves at least one token of ``ids`` to compute."""
    if earlier is None:
        return None
    num = min(earlier.num_tokens, len(ids) - 1)
    differ = np.flatnonzero(earlier.ids[:num] != ids[:num])
    num = (int(differ[0]) if len(differ) else num) // PIECE * PIECE
    if not num:
        return None
    return Prefix(
        earlier.ids[:num],
        {i: values[:, :, :num] for i, values in earlier.keys.items()},
        {i: values[:, :, :num] for i, values in earlier.values.items()},
    )


def _ends(model: "PreTrainedModel", tokenizer: Tokenizer) -> frozenset[int]:
    """The end tokens of the tokenizer and of the generation settings."""
    named = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    named_ids = named if isinstance(named, list | tuple) else [] if named is None else [named]
    return frozenset([tokenizer.eos_id, *map(int, named_ids)])
