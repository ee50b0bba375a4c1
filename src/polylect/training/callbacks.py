"""Probes during training: which language the model answers in, and how far it went."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from polylect.base import InputError, Ledger
from polylect.engine import Generator, Question, Sampling, TokenPrompt
from polylect.rows import Message, Prompt
from polylect.runs import Silent
from polylect.text import open_identifier
from polylect.training.batch_metrics import batch_means
from polylect.training.config import ExamplesConfig
from polylect.training.encode import micro_batches
from polylect.training.lora import has_adapters, without_adapters
from polylect.training.mesh import Mesh
from polylect.training.modes import evaluating
from polylect.training.packing import pack_groups, sequence_log_probabilities
from polylect.training.policy import Policy
from polylect.training.rewards import in_language
from polylect.training.samples import answer_ids

if TYPE_CHECKING:
    from transformers import PreTrainedModel


_MEMORY = 1 << 30
NOT_PROBED = "not probed: no prompt leaves room for an answer of --probe-tokens"


class ProbeCallback:
    """Has the model answer prompts before the first step and after some others.

    The metrics get ``probe_start`` and ``probe``.
    """

    def __init__(
        self,
        policy: Policy,
        prompts: Sequence[Prompt],
        config: ExamplesConfig,
        num_steps: int,
        mesh: Mesh,
    ) -> None:
        """Choose the prompts.

        Args:
            policy: the checkpoint before training.
            prompts: the first of every language are taken, each once, if they leave room for an
                answer.
            config: how many, and how often.
            num_steps: steps in all.
            mesh: the processes share the prompts.
        """
        self._policy, self._config = policy, config
        self._prompts = _choose_prompts(prompts, policy, config)
        self._mesh = mesh
        self._steps = probe_steps(num_steps, config.probes if self._prompts else 0)

    def count_idle(self, ledger: Ledger) -> None:
        """Count a training that was to be probed where no prompt leaves room for an answer."""
        ledger.count(NOT_PROBED, int(self._config.probes > 0 and not self._prompts))
        if not self._prompts:
            return
        identifier = open_identifier(self._config.identifier)
        for tag in dict.fromkeys(prompt.language for prompt, _ in self._prompts):
            if reason := identifier.cannot_tell(tag):
                ledger.count(f"cannot tell whether answers are in their language: {reason}", 1, tag)

    def before_step(self, step: int, model: "PreTrainedModel", metrics: dict[str, Any]) -> None:
        """Call before step ``step``, counted from 0."""
        if step == 0 and self._steps:
            metrics["probe_start"] = self._probe(model)

    def after_step(self, step: int, model: "PreTrainedModel", metrics: dict[str, Any]) -> None:
        """Call after step ``step``, counted from 0."""
        if step + 1 in self._steps:
            metrics["probe"] = self._probe(model)

    def _probe(self, model: "PreTrainedModel") -> dict[str, Any]:
        numbered = [*enumerate(self._prompts)][self._mesh.rank :: self._mesh.size]
        rows = self._mesh.unsharded(
            model, partial(probe, policy=self._policy, prompts=numbered, config=self._config)
        )
        results = [(number, row) for (number, _), row in zip(numbered, rows, strict=True)]
        return batch_means(self._mesh.gather(results), "answers")


def _choose_prompts(
    prompts: Sequence[Prompt], policy: Policy, config: ExamplesConfig
) -> list[tuple[Prompt, np.ndarray]]:
    room = policy.context_tokens - config.probe_tokens
    chosen: list[tuple[Prompt, np.ndarray]] = []
    seen: dict[str, set[tuple[Message, ...]]] = {}
    for prompt in prompts if config.probes else ():
        of_language = seen.setdefault(prompt.language, set())
        if len(of_language) >= config.probe_prompts or prompt.messages in of_language:
            continue
        try:
            ids = policy.style.prompt(prompt.messages)
        except InputError:
            continue  # its row was left out, and counted there
        if len(ids) <= room:
            of_language.add(prompt.messages)
            chosen.append((prompt, ids))
    return chosen


def probe_steps(num_steps: int, probes: int) -> frozenset[int]:
    """The steps, counted from 1, after which the model is probed.

    Example:
        >>> sorted(probe_steps(10, 3))
        [3, 7, 10]
    """
    probes = min(probes, num_steps)
    return frozenset(round(i * num_steps / probes) for i in range(1, probes + 1))


@torch.no_grad()
def probe(
    model: "PreTrainedModel",
    policy: Policy,
    prompts: Sequence[tuple[int, tuple[Prompt, np.ndarray]]],
    config: ExamplesConfig,
) -> list[dict[str, Any]]:
    """For each prompt's answer: wrong language, KL from the start, length and truncation.

    Sampled at temperature 1, so that the mean log-ratio of the answers to the start is an unbiased
    estimate of the KL divergence in nats per answer. Where the identifier cannot tell the language
    of a prompt (``TextIdentifier.cannot_tell``), it is unknown whether an answer is wrong.
    """
    if not prompts:
        return []
    encoded = [prompt for _, prompt in prompts]
    with evaluating(model):
        generator = Generator(model, policy.tokenizer, _MEMORY)
        sampling = Sampling(max_new_tokens=config.probe_tokens, temperature=1.0, seed=config.seed)
        samples = generator.answer(
            [TokenPrompt(ids, f"probe {i}", row.language) for i, (row, ids) in prompts],
            sampling,
            Silent(),
            Ledger(),
            ends=policy.style.ends(),
        )
        answers = [answer for (answer,) in samples]
        ids = [np.array(answer_ids(answer), np.int32) for answer in answers]
        if has_adapters(model):
            with without_adapters(model):
                before = _log_probabilities(model, encoded, ids, config)
        else:
            before = _log_probabilities(policy.load(), encoded, ids, config)
    identifier = open_identifier(config.identifier)
    questions = [
        Question(row.messages, row.language, [answer.text])
        for (row, _), answer in zip(encoded, answers, strict=True)
    ]
    return [
        {
            "language": row.language,
            "wrong_language": None if is_right is None else float(not is_right),
            "kl": float(answer.log_probabilities.sum() + answer.end_log_probability - reference),
            "answer_tokens": len(tokens),
            "truncated": float(answer.stopped == "length"),
        }
        for (row, _), answer, tokens, (is_right,), reference in zip(
            encoded, answers, ids, in_language(questions, identifier), before, strict=True
        )
    ]


def _log_probabilities(
    model: "PreTrainedModel",
    prompts: Sequence[tuple[Prompt, np.ndarray]],
    answers: Sequence[np.ndarray],
    config: ExamplesConfig,
) -> list[float]:
    """Log-probability of each prompt's answer in nats."""

    def num_tokens(i: int) -> int:
        return len(prompts[i][1]) + len(answers[i])

    values: list[float] = []
    for part in micro_batches(range(len(answers)), config.micro_batch_tokens, num_tokens):
        batch = pack_groups(
            [prompts[i][1] for i in part],
            [[answers[i]] for i in part],
            [prompts[i][0].language for i in part],
        )
        values += sequence_log_probabilities(model, batch, len(part)).double().cpu().tolist()
    return values
