"""A local checkpoint that scores and generates; every shared prefix is computed once."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from polylect.base import InputError, Ledger, digest_of, read_json
from polylect.checkpoints import DTYPE_OF_TORCH_NAME, GENERATION_CONFIG, Checkpoint, item_size
from polylect.engine.cache import PassCache
from polylect.engine.config import EngineConfig, Sampling
from polylect.engine.encode import CUT, TokenRequest, encode_requests
from polylect.engine.generator import Answer, Generator, OnAnswer, TokenPrompt
from polylect.engine.kept_size import KeptSize, kept_size, setting
from polylect.engine.limits import max_input_tokens, room_for_prompt
from polylect.engine.plan import Pass, Plan, Prepared, plan_passes
from polylect.engine.requests import Likelihood, Scores
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
    unscaled_tokens,
)
from polylect.runs import Reporter
from polylect.text import Segment, Tokenizer, pack, path_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel


VERSION = 2
"""Raised when results change by more than rounding."""

UNSHARED = "fell back: requests share no prefix, positions depend on the length"
"""Ledger event: requests of a model with LongRoPE, one of them longer than its unscaled tokens."""

_MIB = 1 << 20
_LEAST_TOKENS = 64


@dataclass(slots=True)
class Work:
    """Work counters of an engine; they do not influence results.

    Attributes:
        passes: computed forward passes.
        cached_passes: passes answered by the cache.
        tokens: computed tokens.
        scored: tokens with a computed log-probability.
        cached: tokens with a log-probability from the cache.
    """

    passes: int = 0
    cached_passes: int = 0
    tokens: int = 0
    scored: int = 0
    cached: int = 0


class Engine:
    """A loaded checkpoint with its tokenizer and cache."""

    def __init__(
        self,
        model: "PreTrainedModel",
        tokenizer: Tokenizer,
        config: EngineConfig,
        cache: PassCache | None = None,
    ) -> None:
        """Wrap a loaded model; ``open`` loads one."""
        self.tokenizer = tokenizer
        self.config = config
        self.work = Work()
        self._model = model
        self._cache = cache
        self._generator: Generator | None = None
        self.max_tokens = max_input_tokens(config, _model_limit(model))

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
            config: of the engine; sets torch's threads for this process.
            cache: folder of the response cache; None for no cache.
            ledger: counts a fallback to separate passes.

        Raises:
            InputError: the model, its tokenizer or its generation settings cannot be loaded.
        """
        torch.set_num_threads(config.threads)
        tokenizer = Tokenizer.load(checkpoint.path).within(checkpoint.stated_rows)
        settings = checkpoint.path / GENERATION_CONFIG
        if settings.is_file():
            read_json(settings)  # transformers passes over a broken one, and its end tokens
        kept = None
        if cache is not None:
            identity = {"weights": checkpoint.digest, **_identity(config)}
            kept = PassCache(cache, digest_of(identity))
        model = load_model(checkpoint, dtype=getattr(torch, config.dtype), ledger=ledger)
        return cls(on_device(model, _device(config)), tokenizer, config, kept)

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that may change a score by more than rounding; equal for comparable runs."""
        config = self.config
        # Only where it is not the default: rows of earlier runs stay comparable.
        parses = {"special_tokens": "parse"} if config.special_tokens == "parse" else {}
        return parses | {
            "engine": VERSION,
            "dtype": config.dtype,
            "max_tokens": config.max_tokens,
            "over_long": config.over_long,
            "add_bos": config.add_bos,
            "border": config.border,
        }

    def score(self, requests: Sequence[Likelihood], report: Reporter, ledger: Ledger) -> Scores:
        """Log-likelihood of every request's continuation, by the rules of ``encode_requests``.

        The scores do not depend on the order of requests, and a killed run that resumes with its
        cache gives the same bytes.

        Raises:
            InputError: a request is too long or has no token to score, or the memory limit is too
                small for the longest one.
        """
        return self.answer(self.prepare(requests, ledger), report)

    def prepare(self, requests: Sequence[Likelihood], ledger: Ledger) -> Prepared:
        """The requests as tokens, with the passes that will score them.

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
            border=self.config.border,
            special_tokens=self.config.special_tokens,
        )
        parts = [request.windows(self.max_tokens) for request in encoded]
        prepared = self.prepare_tokens([part for windows in parts for part in windows], ledger)
        return prepared.joined([len(windows) for windows in parts])

    def prepare_tokens(
        self, requests: Sequence[TokenRequest], ledger: Ledger | None = None
    ) -> Prepared:
        """As ``prepare``, for requests that are tokens already.

        Raises:
            InputError: the memory limit is too small for the longest request.
        """
        lengths = [len(request.context) + len(request.continuation) - 1 for request in requests]
        longest = max(lengths, default=1)
        # Where positions depend on a sequence's length, one that is longer shares nothing.
        limit = unscaled_tokens(self._model.config.get_text_config())
        shares = limit is None or longest <= limit
        if ledger is not None and not shares:
            ledger.count(UNSHARED, len(requests), f"more than {limit} tokens")
        plan = plan_passes(requests, self.micro_batch_tokens(longest), shares=shares)
        return Prepared(
            plan, np.array([request.truncated for request in requests], bool), sum(lengths)
        )

    def answer(self, prepared: Prepared, report: Reporter) -> Scores:
        """The scores of prepared requests."""
        answers = self._run(prepared.plan, report)
        slots = prepared.plan.slots
        return Scores(
            log_likelihood=np.array([answers[indices, 0].sum() for indices in slots], np.float64),
            num_tokens=np.array([len(indices) for indices in slots], np.int64),
            greedy=np.array([bool(answers[indices, 1].all()) for indices in slots], bool),
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
            prompts: their order does not change the answers.
            sampling: temperature, filters and stop strings.
            report: receives the number of finished answers.
            ledger: counts truncated prompts, truncated and empty answers, and fallbacks.
            ends: end tokens besides the model's own.
            on_answer: called with every finished answer.

        Raises:
            InputError: a prompt leaves no room for its answer, or the memory limit is too small.
        """
        fitting = self.fit(prompts, sampling, ledger)
        if self._generator is None:
            self._generator = Generator(self._model, self.tokenizer, self.config.memory_mib * _MIB)
        before = self._generator.computed
        answers = self._generator.answer(
            fitting, sampling, report, ledger, ends=ends, on_answer=on_answer
        )
        self.work.tokens += self._generator.computed - before
        return answers

    def fit(
        self, prompts: Sequence[TokenPrompt], sampling: Sampling, ledger: Ledger
    ) -> list[TokenPrompt]:
        """The prompts; those without room for an answer are truncated on the left and counted.

        Raises:
            InputError: a prompt leaves no room, and ``over_long`` is ``refuse``.
        """
        fitting = []
        for number, prompt in enumerate(prompts):
            name = prompt.key or str(number)
            room = room_for_prompt(
                name, len(prompt.ids), sampling.max_new_tokens, self.max_tokens, self.config
            )
            if room is not None:
                ledger.count(CUT, 1, prompt.where)
                prompt = TokenPrompt(prompt.ids[-room:], prompt.key, prompt.where)
            fitting.append(prompt)
        return fitting

    def micro_batch_tokens(self, longest: int) -> int:
        """Maximum tokens per pass under the memory limit.

        Counts the keys and values of the longest request, the logits of one chunk, and the largest
        activations of a layer for every token of the pass; estimated from the model's shape, not
        measured.

        Args:
            longest: tokens of the longest request.

        Raises:
            InputError: fewer than 64 tokens fit.
        """
        config = self._model.config.get_text_config()
        size = item_size(DTYPE_OF_TORCH_NAME[self.config.dtype])
        hidden = config.hidden_size
        inner = setting(config, "intermediate_size") or 4 * hidden
        kept = self._kept
        query = kept.widest_head * (setting(config, "num_attention_heads") or 1)
        bytes_per_token = (6 * hidden + 3 * inner + 3 * query + 2 * kept.widest_layer) * size
        # Logits are computed in the weights' type and converted to float32.
        logits = held_logits(config.vocab_size) * (4 + size % 4)
        fixed = logits + longest * (kept.all_layers + 2 * kept.widest_layer) * size
        room = (self.config.memory_mib * _MIB - fixed) // bytes_per_token
        if room < _LEAST_TOKENS:
            need = -(-(fixed + _LEAST_TOKENS * bytes_per_token) // _MIB)
            raise InputError(
                f"a request of {longest} tokens does not fit into {self.config.memory_mib} MiB",
                f"--memory-mib {need}",
            )
        return int(room)

    @cached_property
    def _kept(self) -> KeptSize:
        return kept_size(self._model)

    def _run(self, plan: Plan, report: Reporter) -> np.ndarray:
        """Results of all passes, float64 [slots, 2]: log-probability, and 1 if greedy."""
        answers: list[np.ndarray] = []
        prefixes: dict[int, Prefix] = {}
        done, total = 0, plan.num_tokens
        for forward_pass in plan.passes:
            needed = set(path_of(plan.nodes, forward_pass.kept))
            prefixes = {node: prefix for node, prefix in prefixes.items() if node in needed}
            key = self._cache.key(plan, forward_pass) if self._cache else ""
            pass_answers = self._cache.read(key, len(forward_pass.rows)) if self._cache else None
            if pass_answers is None:
                pass_answers = self._answer(plan, forward_pass, prefixes)
                self.work.passes += 1
                self.work.scored += len(pass_answers)
                if self._cache:
                    self._cache.write(key, pass_answers)
            else:
                self.work.cached_passes += 1
                self.work.cached += len(pass_answers)
            answers.append(pass_answers)
            done += sum(plan.nodes[node].num_tokens for node in forward_pass.nodes)
            report.update(done, total, "tokens")
        return np.concatenate(answers) if answers else np.empty((0, 2))

    @torch.no_grad()
    def _answer(self, plan: Plan, forward_pass: Pass, prefixes: dict[int, Prefix]) -> np.ndarray:
        prefix = self._prefix(plan, forward_pass.kept, prefixes)
        if forward_pass.keeps:
            node = forward_pass.nodes[0]
            hidden, prefixes[node] = keep_prefix(self._model, plan.ids(node), prefix)
            self.work.tokens += len(hidden)
        elif len(forward_pass.rows):
            hidden = self._hidden(plan, forward_pass, prefix)
        else:
            return np.empty((0, 2))
        rows, inverse = np.unique(forward_pass.rows, return_inverse=True)
        device = hidden.device
        value, best = token_log_probabilities(
            hidden[torch.from_numpy(rows).to(device)],
            head_of(self._model),
            torch.from_numpy(forward_pass.targets).to(device),
            torch.from_numpy(inverse).to(device),
        )
        return np.stack([value.double().cpu().numpy(), best.double().cpu().numpy()], axis=1)

    def _hidden(self, plan: Plan, forward_pass: Pass, prefix: Prefix | None) -> torch.Tensor:
        index = {node: i for i, node in enumerate(forward_pass.nodes)}
        segments = []
        for node in forward_pass.nodes:
            ids = plan.ids(node)
            parent = index.get(plan.nodes[node].parent, -1)
            segments.append(Segment(ids, np.zeros(len(ids), np.float32), "und", parent))
        batch = pack(segments)
        self.work.tokens += batch.num_tokens
        return forward_hidden(self._model, batch, prefix)

    def _prefix(self, plan: Plan, node: int, prefixes: dict[int, Prefix]) -> Prefix | None:
        """The prefix up to a node; recomputed if only its results were in the cache."""
        if node < 0:
            return None
        if node not in prefixes:
            before = self._prefix(plan, plan.nodes[node].parent, prefixes)
            hidden, prefixes[node] = keep_prefix(self._model, plan.ids(node), before)
            self.work.tokens += len(hidden)
        return prefixes[node]

    @property
    def packed(self) -> bool:
        """Whether prefixes are shared; otherwise every request has a pass of its own."""
        return is_packed(self._model)


def _model_limit(model: "PreTrainedModel") -> int | None:
    """The model's maximum input length; None if unknown."""
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return int(limit) if limit and limit > 0 else None


def _identity(config: EngineConfig) -> dict[str, Any]:
    """What the bits of a result depend on besides weights and tokens."""
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
    if config.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: there is no CUDA device here", "leave out --device")
    return torch.device(config.device)
