"""A local checkpoint that answers likelihood requests, with every shared prefix computed once."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from polylect.base import InputError, Ledger, digest_of
from polylect.checkpoints import DTYPE_OF_TORCH_NAME, Checkpoint, item_size
from polylect.engine.cache import PassCache
from polylect.engine.config import EngineConfig
from polylect.engine.encode import CUT, TokenRequest, encode_requests
from polylect.engine.generator import Answer, Generator, OnAnswer, TokenPrompt
from polylect.engine.plan import Pass, Plan, Prepared, plan_passes
from polylect.engine.requests import Likelihood, Scores
from polylect.engine.sampling import Sampling
from polylect.models import (
    Prefix,
    forward_hidden,
    head_of,
    held_logits,
    is_packed,
    keep_prefix,
    load_model,
    on_device,
    token_log_probabilities,
)
from polylect.runs import Reporter
from polylect.text import Segment, Tokenizer, pack, path_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel


VERSION = 1
"""Raised when the numbers that the engine gives change by more than rounding."""

_MIB = 1 << 20
_LEAST_TOKENS = 64


@dataclass(slots=True)
class Work:
    """What an engine did so far; of no influence on any result.

    Attributes:
        passes: forward passes that were answered by computing.
        cached_passes: those that the cache answered.
        tokens: tokens that were computed.
        scored: tokens whose log-probability was computed.
        cached: those that the cache answered.
    """

    passes: int = 0
    cached_passes: int = 0
    tokens: int = 0
    scored: int = 0
    cached: int = 0


class Engine:
    """A checkpoint, loaded, with its tokenizer and its cache."""

    def __init__(
        self,
        model: "PreTrainedModel",
        tokenizer: Tokenizer,
        config: EngineConfig,
        cache: PassCache | None = None,
    ) -> None:
        """Wrap what is loaded already; ``open`` is the usual way."""
        self.tokenizer = tokenizer
        self.config = config
        self.work = Work()
        self._model = model
        self._cache = cache
        self._generator: Generator | None = None
        own = _model_limit(model)
        if config.max_tokens is not None and own is not None and config.max_tokens > own:
            raise InputError(
                f"max_tokens is {config.max_tokens}, the model takes {own}",
                f"--max-tokens {own}, or leave it out",
            )
        self.max_tokens = config.max_tokens or own or 1 << 30

    @classmethod
    def open(
        cls,
        checkpoint: Checkpoint,
        config: EngineConfig,
        cache: Path | None = None,
        ledger: Ledger | None = None,
    ) -> "Engine":
        """The engine of a checkpoint.

        Args:
            checkpoint: with its tokenizer.
            config: how it is run; sets torch's threads for this process.
            cache: folder of the response cache; None keeps nothing.
            ledger: counts an architecture that falls back to separate passes.

        Raises:
            InputError: the model or its tokenizer cannot be loaded.
        """
        torch.set_num_threads(config.threads)
        tokenizer = Tokenizer.load(checkpoint.path)
        kept = None
        if cache is not None:
            identity = {"weights": checkpoint.digest, **_identity(config)}
            kept = PassCache(cache, digest_of(identity))
        model = load_model(checkpoint, dtype=getattr(torch, config.dtype), ledger=ledger)
        return cls(on_device(model, _device(config)), tokenizer, config, kept)

    @property
    def settings(self) -> dict[str, Any]:
        """What of the engine may move a score by more than rounding; equal for comparable runs."""
        one = self.config
        return {
            "engine": VERSION,
            "dtype": one.dtype,
            "max_tokens": one.max_tokens,
            "over_long": one.over_long,
            "add_bos": one.add_bos,
        }

    def score(self, requests: Sequence[Likelihood], report: Reporter, ledger: Ledger) -> Scores:
        """Log-likelihood of every request's continuation, by the rules of ``encode_requests``.

        The scores do not depend on the order of requests, and a run that was killed and runs again
        with its cache gives the same bytes.

        Raises:
            InputError: a request is too long or has no token to score, or the memory bound is too
                small for the longest one.
        """
        return self.answer(self.prepare(requests, ledger), report)

    def prepare(self, requests: Sequence[Likelihood], ledger: Ledger) -> Prepared:
        """The requests as tokens, and the passes that will answer them.

        Raises:
            InputError: as ``score``.
        """
        add_bos = self.tokenizer.adds_bos if self.config.add_bos is None else self.config.add_bos
        encoded = encode_requests(
            self.tokenizer,
            requests,
            add_bos=add_bos,
            max_tokens=self.max_tokens,
            over_long=self.config.over_long,
            ledger=ledger,
        )
        return self.prepare_tokens(encoded)

    def prepare_tokens(self, requests: Sequence[TokenRequest]) -> Prepared:
        """As ``prepare``, of requests that are tokens already.

        Raises:
            InputError: the memory bound is too small for the longest request.
        """
        lengths = [len(one.context) + len(one.continuation) - 1 for one in requests]
        plan = plan_passes(requests, self.micro_batch_tokens(max(lengths, default=1)))
        return Prepared(plan, np.array([one.truncated for one in requests], bool), sum(lengths))

    def answer(self, prepared: Prepared, report: Reporter) -> Scores:
        """The scores of what was prepared."""
        answers = self._run(prepared.plan, report)
        slots = prepared.plan.slots
        return Scores(
            log_likelihood=np.array([answers[one, 0].sum() for one in slots], np.float64),
            num_tokens=np.array([len(one) for one in slots], np.int64),
            greedy=np.array([bool(answers[one, 1].all()) for one in slots], bool),
            truncated=prepared.truncated,
        )

    def generate(
        self,
        prompts: Sequence[TokenPrompt],
        sampling: Sampling,
        report: Reporter,
        ledger: Ledger,
        *,
        ends: Collection[int] = (),
        on_answer: OnAnswer | None = None,
    ) -> list[list[Answer]]:
        """The answers [prompts][samples], by the rules of ``engine.generate``.

        Args:
            prompts: any; their order changes nothing.
            sampling: how.
            report: told the finished answers.
            ledger: counts cut prompts, truncated and empty answers, and fallbacks.
            ends: tokens that end an answer besides the model's own.
            on_answer: told every answer as soon as it is finished.

        Raises:
            InputError: a prompt leaves no room for its answer, or the memory bound is too small.
        """
        fitting = self.fit(prompts, sampling, ledger)
        if self._generator is None:
            self._generator = Generator(self._model, self.tokenizer, self.config.memory_mib * _MIB)
        before = self._generator.computed
        found = self._generator.answer(
            fitting, sampling, report, ledger, ends=ends, on_answer=on_answer
        )
        self.work.tokens += self._generator.computed - before
        return found

    def fit(
        self, prompts: Sequence[TokenPrompt], sampling: Sampling, ledger: Ledger
    ) -> list[TokenPrompt]:
        """The prompts, those that leave no room for their answer cut from the left and counted.

        Raises:
            InputError: one leaves no room, and this is to be refused.
        """
        room = self.max_tokens - sampling.max_new_tokens
        fitting = []
        for number, one in enumerate(prompts):
            if len(one.ids) > room:
                if self.config.over_long == "refuse" or room < 1:
                    raise InputError(
                        f"prompt {number} has {len(one.ids)} tokens; with"
                        f" {sampling.max_new_tokens} new ones the model takes {self.max_tokens}",
                        "--over-long cut, or a smaller --max-new-tokens",
                    )
                ledger.count(CUT, 1, one.where)
                one = TokenPrompt(one.ids[-room:], one.key, one.where)
            fitting.append(one)
        return fitting

    def micro_batch_tokens(self, longest: int) -> int:
        """Most tokens of one pass under the memory bound.

        The bound holds the keys and values of the longest request, the logits of one chunk, and
        the largest activations of a layer for every token of the pass; estimated from the model's
        shape, not measured.

        Args:
            longest: tokens of the longest request.

        Raises:
            InputError: not even 64 tokens fit.
        """
        config = self._model.config.get_text_config()
        size = item_size(DTYPE_OF_TORCH_NAME[self.config.dtype])
        hidden = config.hidden_size
        heads = getattr(config, "num_attention_heads", 1)
        width = getattr(config, "head_dim", None) or hidden // heads
        key_width = (getattr(config, "num_key_value_heads", None) or heads) * width
        inner = getattr(config, "intermediate_size", None) or 4 * hidden
        kept = 2 * key_width * config.num_hidden_layers * size
        each = (6 * hidden + 3 * inner + 3 * heads * width + 4 * key_width) * size
        # Logits are computed in the weights' type and turned into float32.
        logits = held_logits(config.vocab_size) * (4 + size % 4)
        fixed = logits + longest * (kept + 4 * key_width * size)
        room = (self.config.memory_mib * _MIB - fixed) // each
        if room < _LEAST_TOKENS:
            need = -(-(fixed + _LEAST_TOKENS * each) // _MIB)
            raise InputError(
                f"a request of {longest} tokens does not fit into {self.config.memory_mib} MiB",
                f"--memory-mib {need}",
            )
        return int(room)

    def _run(self, plan: Plan, report: Reporter) -> np.ndarray:
        """Answers float64 [slots, 2] of all passes: log-probability, and 1 where it is greedy."""
        answers: list[np.ndarray] = []
        held: dict[int, Prefix] = {}
        done, total = 0, plan.num_tokens
        for one in plan.passes:
            needed = set(path_of(plan.nodes, one.kept))
            held = {node: prefix for node, prefix in held.items() if node in needed}
            key = self._cache.key(plan, one) if self._cache else ""
            found = self._cache.read(key, len(one.rows)) if self._cache else None
            if found is None:
                found = self._answer(plan, one, held)
                self.work.passes += 1
                self.work.scored += len(found)
                if self._cache:
                    self._cache.write(key, found)
            else:
                self.work.cached_passes += 1
                self.work.cached += len(found)
            answers.append(found)
            done += sum(plan.nodes[node].num_tokens for node in one.nodes)
            report.update(done, total, "tokens")
        return np.concatenate(answers) if answers else np.empty((0, 2))

    @torch.no_grad()
    def _answer(self, plan: Plan, one: Pass, held: dict[int, Prefix]) -> np.ndarray:
        prefix = self._prefix(plan, one.kept, held)
        if one.keeps:
            node = one.nodes[0]
            hidden, held[node] = keep_prefix(self._model, plan.ids(node), prefix)
            self.work.tokens += len(hidden)
        elif len(one.rows):
            hidden = self._hidden(plan, one, prefix)
        else:
            return np.empty((0, 2))
        rows, place = np.unique(one.rows, return_inverse=True)
        device = hidden.device
        value, best = token_log_probabilities(
            hidden[torch.from_numpy(rows).to(device)],
            head_of(self._model),
            torch.from_numpy(one.targets).to(device),
            torch.from_numpy(place).to(device),
        )
        return np.stack([value.double().cpu().numpy(), best.double().cpu().numpy()], axis=1)

    def _hidden(self, plan: Plan, one: Pass, prefix: Prefix | None) -> torch.Tensor:
        place = {node: i for i, node in enumerate(one.nodes)}
        segments = []
        for node in one.nodes:
            ids = plan.ids(node)
            parent = place.get(plan.nodes[node].parent, -1)
            segments.append(Segment(ids, np.zeros(len(ids), np.float32), "und", parent))
        batch = pack(segments)
        self.work.tokens += batch.num_tokens
        return forward_hidden(self._model, batch, prefix)

    def _prefix(self, plan: Plan, node: int, held: dict[int, Prefix]) -> Prefix | None:
        """What was kept up to a node; computed again where only its answers were in the cache."""
        if node < 0:
            return None
        if node not in held:
            before = self._prefix(plan, plan.nodes[node].parent, held)
            hidden, held[node] = keep_prefix(self._model, plan.ids(node), before)
            self.work.tokens += len(hidden)
        return held[node]

    @property
    def packed(self) -> bool:
        """Whether prefixes are shared; else every request is a pass of its own."""
        return is_packed(self._model)


def _model_limit(model: "PreTrainedModel") -> int | None:
    """The longest input that the model was made for."""
    found = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return int(found) if found and found > 0 else None


def _identity(config: EngineConfig) -> dict[str, Any]:
    """What the bits of an answer depend on besides weights and tokens."""
    import transformers

    return {
        "engine": VERSION,
        "dtype": config.dtype,
        "threads": config.threads,
        "device": _device(config).type,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def _device(config: EngineConfig) -> torch.device:
    if config.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(config.device)
