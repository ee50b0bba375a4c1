"""Answers to prompts: shared beginnings computed once, continuations side by side, no padding.

What a sample is depends on its own tokens alone, bit for bit, whatever else is generated beside it:

- A prompt is computed in pieces of 64 tokens counted from its start, each a pass of its own that
  continues what is kept. Prompts that begin with the same pieces share them.
- A step of the continuations is one row of fixed width, in which a continuation attends to its own
  keys. That a row's numbers do not depend on its place and its neighbors is tried on the model
  itself before the first step; where they do, the width is 1.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from polylect.base import InputError, Ledger, digest_of
from polylect.engine.sampling import Sampling, choose, log_probability
from polylect.models import (
    DecodeCache,
    Prefix,
    head_of,
    is_packed,
    keep_prefix,
    plain_hidden,
    step_hidden,
)
from polylect.runs import Reporter
from polylect.text import Tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel


WIDTH = 16
"""Continuations of one step."""

PIECE = 64
"""Tokens of a prompt that one pass computes."""

LENGTH = "truncated: answer reached max_new_tokens"
EMPTY = "empty: answer without a character"
ALONE = "fallback: every token by a pass over all before it"
NARROW = "fallback: continuations one at a time, rows depend on their neighbors"

Stopped = Literal["end", "stop", "length"]

OnAnswer = Callable[[int, int, "Answer"], None]
"""Told number of the prompt, number of the sample, and the answer, as soon as it is finished."""


@dataclass(frozen=True, slots=True)
class TokenPrompt:
    """What is to be continued.

    Attributes:
        ids: its tokens, int32 [P], at least one.
        key: what names the request to the random numbers; empty is a digest of the tokens, so
            that equal prompts get equal samples.
        where: language tag or source, for the ledger.
    """

    ids: np.ndarray
    key: str = ""
    where: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer.

    Attributes:
        text: without the stop text and what follows it; special tokens inside are spelled out.
        ids: all generated tokens, int32 [N]; the end token is not among them.
        log_probabilities: of each in nats under the model, float64 [N].
        stopped: by the model's ``end`` token, a ``stop`` text, or its ``length``.
        end_log_probability: of the end token in nats; 0 where there is none.
        end_id: the end token; -1 where there is none.
    """

    text: str
    ids: np.ndarray
    log_probabilities: np.ndarray
    stopped: Stopped
    end_log_probability: float = 0.0
    end_id: int = -1


@dataclass(slots=True)
class _Growing:
    """An answer that is not finished."""

    prompt: int
    sample: int
    ids: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)


class Generator:
    """A loaded model that answers prompts."""

    def __init__(self, model: "PreTrainedModel", tokenizer: Tokenizer, memory_bytes: int) -> None:
        """Wrap a model.

        Args:
            model: loaded by ``load_model``.
            tokenizer: its own.
            memory_bytes: bound on the keys and values of the continuations.
        """
        self._model, self._tokenizer, self._memory = model, tokenizer, memory_bytes
        self._head = head_of(model)
        self._own_ends = self._ends = _ends(model, tokenizer)
        self._width = 0
        self.computed = 0
        """Tokens that were computed, prompts included."""
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
            prompts: any; their order changes nothing.
            sampling: how.
            report: told the finished answers.
            ledger: counts answers that were truncated or are empty, and fallbacks.
            ends: further tokens that end an answer.
            on_answer: told every answer as soon as it is finished, in no order to rely on.

        Raises:
            InputError: a prompt without a token, or not one continuation fits the memory bound.
        """
        for number, one in enumerate(prompts):
            if not len(one.ids):
                raise InputError(f"prompt {number} has no token", "give it some text")
        found: list[list[Answer | None]] = [[None] * sampling.num_samples for _ in prompts]
        order = sorted(range(len(prompts)), key=lambda i: prompts[i].ids.tolist())
        keys = [one.key or digest_of(one.ids.tolist()) for one in prompts]
        total = len(prompts) * sampling.num_samples
        done = 0
        self._ends = self._own_ends | frozenset(ends)

        def grow(one: _Growing, logits: np.ndarray) -> bool:
            """Add a token; whether the answer goes on."""
            nonlocal done
            finished = self._grow(one, logits, prompts[one.prompt], keys[one.prompt], sampling)
            if finished is None:
                return True
            found[one.prompt][one.sample] = finished
            done += 1
            where = prompts[one.prompt].where
            ledger.count(LENGTH, int(finished.stopped == "length"), where)
            ledger.count(EMPTY, int(not finished.text.strip()), where)
            if on_answer is not None:
                on_answer(one.prompt, one.sample, finished)
            report.update(done, total, "answers")
            return False

        if is_packed(self._model):
            self._side_by_side(prompts, order, sampling, grow, ledger)
        else:
            ledger.count(ALONE, total, type(self._model).__name__)
            for prompt in order:
                for sample in range(sampling.num_samples):
                    one, going = _Growing(prompt, sample), True
                    while going:
                        ids = np.concatenate([prompts[prompt].ids, np.array(one.ids, np.int64)])
                        hidden = plain_hidden(self._model, ids.astype(np.int64))
                        self.computed += len(ids)
                        going = grow(one, self._logits(hidden[-1:])[0])
        return [[one for one in row if one is not None] for row in found]

    def _side_by_side(
        self,
        prompts: Sequence[TokenPrompt],
        order: list[int],
        sampling: Sampling,
        grow: Any,
        ledger: Ledger,
    ) -> None:
        width = self._independent_width()
        if width == 1:
            ledger.count(NARROW, len(prompts) * sampling.num_samples, type(self._model).__name__)
        longest = max((len(one.ids) for one in prompts), default=0) + sampling.max_new_tokens
        places = min(width, self._places(longest))
        lanes = DecodeCache(width)
        growing: dict[int, _Growing] = {}
        waiting = [(p, s) for p in order for s in range(sampling.num_samples)][::-1]
        last: tuple[int, Prefix, np.ndarray] | None = None
        while waiting or growing:
            while waiting and len(growing) < places:
                prompt, sample = waiting.pop()
                if last is None or last[0] != prompt:
                    last = (prompt, *self._read(prompts[prompt].ids))
                one = _Growing(prompt, sample)
                if grow(one, last[2]):
                    lane = next(i for i in range(width) if i not in growing)
                    lanes.admit(lane, last[1].keys, last[1].values, sampling.max_new_tokens)
                    growing[lane] = one
            if not growing:
                continue
            ids = np.zeros(width, np.int64)
            for lane, one in growing.items():
                ids[lane] = one.ids[-1]
            logits = self._logits(step_hidden(self._model, ids, lanes))
            self.computed += len(growing)
            for lane, one in list(growing.items()):
                if not grow(one, logits[lane]):
                    lanes.free(lane)
                    del growing[lane]
        self._pieces = None

    def _grow(
        self,
        one: _Growing,
        logits: np.ndarray,
        prompt: TokenPrompt,
        key: str,
        sampling: Sampling,
    ) -> Answer | None:
        """Add a token; the answer where it is finished now."""
        if not np.isfinite(logits).all():
            raise InputError("the model's logits are not finite", "try --dtype float32")
        token = choose(logits, sampling, key, one.sample, len(one.ids))
        value = log_probability(logits, token)
        if token in self._ends:
            return self._finish(one, prompt, "end", value, end_id=token)
        one.ids.append(token)
        one.values.append(value)
        if sampling.stop:
            text = self._text(prompt, one)
            at = min((i for s in sampling.stop if (i := text.find(s)) >= 0), default=-1)
            if at >= 0:
                return self._finish(one, prompt, "stop", 0.0, text[:at])
        if len(one.ids) == sampling.max_new_tokens:
            return self._finish(one, prompt, "length")
        return None

    def _finish(
        self,
        one: _Growing,
        prompt: TokenPrompt,
        stopped: Stopped,
        end: float = 0.0,
        text: str | None = None,
        end_id: int = -1,
    ) -> Answer:
        return Answer(
            self._text(prompt, one) if text is None else text,
            np.array(one.ids, np.int32),
            np.array(one.values, np.float64),
            stopped,
            end,
            end_id,
        )

    def _text(self, prompt: TokenPrompt, one: _Growing) -> str:
        """What was generated, as it reads after the prompt: a leading space is kept."""
        before = prompt.ids[-8:].tolist()
        start, whole = self._tokenizer.decode(before), self._tokenizer.decode(before + one.ids)
        return whole[len(start) :] if whole.startswith(start) else self._tokenizer.decode(one.ids)

    def _read(self, ids: np.ndarray) -> tuple[Prefix, np.ndarray]:
        """A prompt's keys and values, and the logits after it; a function of its tokens alone."""
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

    def _places(self, longest: int) -> int:
        """Continuations whose keys and values fit the memory bound."""
        config = self._model.config.get_text_config()
        heads = getattr(config, "num_attention_heads", 1)
        dim = getattr(config, "head_dim", None) or config.hidden_size // heads
        width = (getattr(config, "num_key_value_heads", None) or heads) * dim
        size = self._head.weight.element_size()
        each = 2 * longest * width * config.num_hidden_layers * size
        # Two prompts are held besides the continuations: the last one, and the one being read.
        room = self._memory // each - 2
        if room < 1:
            need = -(-3 * each // (1 << 20))
            raise InputError(
                f"an answer of {longest} tokens with its prompt does not fit into"
                f" {self._memory >> 20} MiB",
                f"--memory-mib {need}",
            )
        return int(room)

    def _independent_width(self) -> int:
        """``WIDTH`` where a row's numbers are the same at every place beside any others; else 1.

        Tried once for all models of one structure: it is a property of the kernels. A router of
        experts picks by the weights, and is tried for every model.
        """
        if not self._width:
            key = _structure(self._model)
            width = _WIDTHS.get(key) if key else None
            self._width = width or self._try_width()
            if key:
                _WIDTHS[key] = self._width
        return self._width

    def _try_width(self) -> int:
        random = np.random.default_rng(0)
        vocabulary = self._head.weight.shape[0]
        runs = [random.integers(0, vocabulary, 3 + i) for i in range(WIDTH)]
        kept = [keep_prefix(self._model, run)[1] for run in runs]

        def two_steps(turn: int, used: int) -> dict[int, bytes]:
            lanes = DecodeCache(WIDTH)
            place = {i: (i + turn) % WIDTH for i in range(used)}
            for i, lane in place.items():
                lanes.admit(lane, kept[i].keys, kept[i].values, 2)
            found = dict.fromkeys(place, b"")
            for _ in range(2):
                ids = np.zeros(WIDTH, np.int64)
                for i, lane in place.items():
                    ids[lane] = runs[i][0]
                logits = self._logits(step_hidden(self._model, ids, lanes))
                found = {i: found[i] + logits[lane].tobytes() for i, lane in place.items()}
            return found

        whole = two_steps(0, WIDTH)
        same = all(
            two_steps(turn, used).items() <= whole.items()
            for turn in range(WIDTH)
            for used in ((1, WIDTH) if turn % 5 else (1, 7, WIDTH))
        )
        return WIDTH if same else 1


_WIDTHS: dict[str, int] = {}


def _structure(model: Any) -> str:
    """A digest of all but the weights that decides which kernels run; "" with a router."""
    config = model.config.to_dict()
    if any("expert" in name and value for name, value in config.items()):
        return ""
    config.pop("_name_or_path", None)
    tensors = [
        (name, str(tensor.dtype), tensor.device.type, list(tensor.shape))
        for name, tensor in model.state_dict(keep_vars=True).items()
        if isinstance(tensor, torch.Tensor)
    ]
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    return digest_of([kind, torch.get_num_threads(), repr(config), tensors])


def _shared_pieces(held: Prefix | None, ids: np.ndarray) -> Prefix | None:
    """The whole pieces with which both begin; at least one token of ``ids`` stays to compute."""
    if held is None:
        return None
    num = min(held.num_tokens, len(ids) - 1)
    differ = np.flatnonzero(held.ids[:num] != ids[:num])
    num = (int(differ[0]) if len(differ) else num) // PIECE * PIECE
    if not num:
        return None
    return Prefix(
        held.ids[:num],
        {i: one[:, :, :num] for i, one in held.keys.items()},
        {i: one[:, :, :num] for i, one in held.values.items()},
    )


def _ends(model: "PreTrainedModel", tokenizer: Tokenizer) -> frozenset[int]:
    """The tokens that end an answer: the tokenizer's, and those of the generation settings."""
    named = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    more = named if isinstance(named, list | tuple) else [] if named is None else [named]
    return frozenset([tokenizer.eos_id, *map(int, more)])
