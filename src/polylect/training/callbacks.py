"""Looking at a model on its way: which language it answers in, and how far it went."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from polylect.base import Ledger
from polylect.engine import Generator, Sampling, TokenPrompt
from polylect.rows import Message, Prompt
from polylect.runs import Silent
from polylect.training.batch_metrics import summary
from polylect.training.config import ExamplesConfig
from polylect.training.encode import micro_batches
from polylect.training.lora import has_adapters, without_adapters
from polylect.training.mesh import Mesh
from polylect.training.packing import pack_groups, sequence_log_probabilities
from polylect.training.policy import Policy
from polylect.training.rewards import Question, in_language
from polylect.training.samples import answer_ids

_MEMORY = 1 << 30


class Probe:
    """Looks at a model before the first update, and after some: rows ``probe_start``, ``probe``."""

    def __init__(
        self,
        start: Policy,
        prompts: Sequence[Prompt],
        config: ExamplesConfig,
        num_steps: int,
        mesh: Mesh,
    ) -> None:
        """Choose the prompts.

        Args:
            start: the checkpoint before training.
            prompts: of which the first of every language are taken, each once, where they leave
                room for an answer.
            config: how many, and how often.
            num_steps: updates in all.
            mesh: the processes share the prompts.
        """
        self._start, self._config = start, config
        self._prompts = _chosen(prompts, start, config)
        self._mesh = mesh
        self._at = probe_steps(num_steps, config.probes if self._prompts else 0)

    def before(self, step: int, model: Any, row: dict[str, Any]) -> None:
        """Before update ``step``, counted from 0."""
        if step == 0 and self._at:
            row["probe_start"] = self._look(model)

    def after(self, step: int, model: Any, row: dict[str, Any]) -> None:
        """After update ``step``, counted from 0."""
        if step + 1 in self._at:
            row["probe"] = self._look(model)

    def _look(self, model: Any) -> dict[str, Any]:
        mine = [*enumerate(self._prompts)][self._mesh.rank :: self._mesh.size]
        rows = self._mesh.apart(
            model, partial(probe, start=self._start, prompts=mine, config=self._config)
        )
        found = [(at, row) for (at, _), row in zip(mine, rows, strict=True)]
        return summary(self._mesh.gather(found), "answers")


def _chosen(
    prompts: Sequence[Prompt], start: Policy, config: ExamplesConfig
) -> list[tuple[Prompt, np.ndarray]]:
    room = start.context_tokens - config.probe_tokens
    found: list[tuple[Prompt, np.ndarray]] = []
    taken: dict[str, set[tuple[Message, ...]]] = {}
    for one in prompts if config.probes else ():
        said = taken.setdefault(one.language, set())
        text = one.messages
        if len(said) >= config.probe_prompts or text in said:
            continue
        ids = start.style.prompt(one.messages)
        if len(ids) <= room:
            said.add(text)
            found.append((one, ids))
    return found


def probe_steps(num_steps: int, probes: int) -> frozenset[int]:
    """After which updates (counted from 1) the model is looked at."""
    return frozenset(round(i * num_steps / probes) for i in range(1, probes + 1))


@torch.no_grad()
def probe(
    model: Any,
    start: Policy,
    prompts: Sequence[tuple[int, tuple[Prompt, np.ndarray]]],
    config: ExamplesConfig,
) -> list[dict[str, Any]]:
    """Of each prompt's answer: another language, KL from the start, length and truncation.

    Sampled at temperature 1, so that the mean log-ratio of the answers to the start is an unbiased
    estimate of the KL divergence in nats per answer. Of an answer in a language outside the 23 we
    cannot say which it is: it counts as right.
    """
    if not prompts:
        return []
    numbers, prompts_of = [i for i, _ in prompts], [one for _, one in prompts]
    training = model.training
    model.eval()
    generator = Generator(model, start.tokenizer, _MEMORY)
    asked = [TokenPrompt(ids, f"probe {i}", one.language)
             for i, (one, ids) in zip(numbers, prompts_of, strict=True)]  # fmt: skip
    sampling = Sampling(max_new_tokens=config.probe_tokens, temperature=1.0, seed=config.seed)
    answers = [
        own[0]
        for own in generator.answer(asked, sampling, Silent(), Ledger(), ends=start.style.ends())
    ]
    questions = [
        Question(one.messages, one.language, [answer.text])
        for (one, _), answer in zip(prompts_of, answers, strict=True)
    ]
    ids = [np.array(answer_ids(one), np.int32) for one in answers]
    if has_adapters(model):
        with without_adapters(model):
            known = _log_probabilities(model, prompts_of, ids, config)
    else:
        known = _log_probabilities(start.load().eval(), prompts_of, ids, config)
    model.train(training)
    return [
        {
            "language": one.language,
            "wrong_language": float(not right[0]),
            "kl": float(answer.log_probabilities.sum() + answer.end_log_probability - before),
            "answer_tokens": len(own),
            "truncated": float(answer.stopped == "length"),
        }
        for (one, _), answer, own, right, before in zip(
            prompts_of, answers, ids, in_language(questions), known, strict=True
        )
    ]


def _log_probabilities(
    model: Any,
    prompts: Sequence[tuple[Prompt, np.ndarray]],
    ids: Sequence[np.ndarray],
    config: ExamplesConfig,
) -> list[float]:
    def size(i: int) -> int:
        return len(prompts[i][1]) + len(ids[i])

    found: list[float] = []
    for part in micro_batches(range(len(ids)), config.micro_batch_tokens, size):
        batch = pack_groups([prompts[i][1] for i in part], [[ids[i]] for i in part],
                            [prompts[i][0].language for i in part])  # fmt: skip
        found += sequence_log_probabilities(model, batch, len(part)).double().cpu().tolist()
    return found
