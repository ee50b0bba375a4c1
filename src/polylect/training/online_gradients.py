"""What a step of online training learns: losses, gradients and metrics of groups of answers."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from polylect.base import InputError, Ledger
from polylect.rows import Prompt
from polylect.training import objectives
from polylect.training.batch_metrics import batch_means
from polylect.training.config import OnlineConfig, PreferenceConfig
from polylect.training.encode import PreferenceTokens, micro_batches
from polylect.training.improvement import RefineContext, sampled_context
from polylect.training.mesh import Mesh
from polylect.training.packing import (
    PLAIN,
    SELF_IMPROVING,
    pack_groups,
    pack_pairs,
    sequence_log_probabilities,
)
from polylect.training.policy import Policy, autocast
from polylect.training.preference_loop import pair_losses
from polylect.training.samples import Group

if TYPE_CHECKING:
    from transformers import PreTrainedModel


_ALL_ANSWERS = ("rloo", "copg")
"""Objectives that learn from all answers to a prompt."""
NOT_IMPROVED = "not learned from: the request to improve the answer cannot follow it"
NO_ROOM = "not learned from: no room in the context for the improved answer"


@torch.no_grad()
def with_reference(
    reference: "PreTrainedModel",
    groups: Sequence[Group],
    prompts: Sequence[tuple[Prompt, np.ndarray]],
    policy: Policy,
    config: OnlineConfig,
    ledger: Ledger | None = None,
) -> list[Group]:
    """The groups with the reference's log-probabilities of what the objective learns from.

    Args:
        reference: the model.
        groups: as they were sampled.
        prompts: all of them, with their tokens.
        policy: renders messages.
        config: the objective.
        ledger: counts groups whose answers cannot be improved (SRPO); they are not learned from.
    """
    result: list[Group] = []
    for part in micro_batches(groups, config.examples.micro_batch_tokens, _size(prompts)):
        improved: dict[int, list[float]] = {}
        with autocast(config.examples):
            values = _answer_log_probabilities(reference, part, prompts).double().cpu().tolist()
            pairs = _improvable(
                part, prompts, policy, config, Ledger() if ledger is None else ledger
            )
            if pairs:
                sequences = _pair_log_probabilities(reference, [*pairs.values()], SELF_IMPROVING)
                improved = dict(zip(pairs, sequences[:, 2:].double().cpu().tolist(), strict=True))
        result += [
            replace(group, reference=tuple(of_answers), improved=tuple(improved.get(number, ())))
            for number, (group, of_answers) in enumerate(zip(part, values, strict=True))
        ]
    return result


def _improvable(
    groups: Sequence[Group],
    prompts: Sequence[tuple[Prompt, np.ndarray]],
    policy: Policy,
    config: OnlineConfig,
    ledger: Ledger,
) -> dict[int, PreferenceTokens]:
    """SRPO's pairs by the number of their group; those of which none can be made are counted."""
    pairs: dict[int, PreferenceTokens] = {}
    for number, group in enumerate(groups if config.objective == "srpo" else ()):
        try:
            pair = pair_of(group, prompts, policy, config)
        except InputError:
            ledger.count(NOT_IMPROVED, 1, group.language)
            continue
        if pair.longest > policy.context_tokens:
            ledger.count(NO_ROOM, 1, group.language)
            continue
        pairs[number] = pair
    return pairs


def _answer_log_probabilities(
    model: "PreTrainedModel",
    groups: Sequence[Group],
    prompts: Sequence[tuple[Prompt, np.ndarray]],
    *,
    best_only: bool = False,
) -> Tensor:
    """Log-probabilities of all answers [groups, answers], or of the best one [groups, 1]."""
    chosen = [
        [group.best_and_worst[0]] if best_only else [*range(len(group.ids))] for group in groups
    ]
    batch = pack_groups(
        [prompts[group.prompt][1] for group in groups],
        [[group.tokens(i) for i in indices] for group, indices in zip(groups, chosen, strict=True)],
        [group.language for group in groups],
    )
    num_answers = len(chosen[0])
    values = sequence_log_probabilities(model, batch, num_answers * len(groups))
    return values.view(-1, num_answers)


def _pair_log_probabilities(
    model: "PreTrainedModel", pairs: Sequence[PreferenceTokens], names: Sequence[str]
) -> Tensor:
    """Log-probabilities of pairs' sequences [pairs, names]."""
    flat = sequence_log_probabilities(model, pack_pairs(pairs, names), len(pairs) * len(names))
    return flat.view(len(pairs), len(names))


def _size(prompts: Sequence[tuple[Prompt, np.ndarray]]) -> Callable[[Group], int]:
    return lambda group: len(prompts[group.prompt][1]) + sum(map(len, group.ids))


def pair_of(
    group: Group,
    prompts: Sequence[tuple[Prompt, np.ndarray]],
    policy: Policy,
    config: OnlineConfig,
) -> PreferenceTokens:
    """The best and the worst answer to a prompt as a preference."""
    row, prompt = prompts[group.prompt]
    best, worst = group.best_and_worst
    refine: tuple[RefineContext, ...] = ()
    if config.objective == "srpo":
        refine = tuple(
            sampled_context(
                policy.style, row.messages, group.answers[i], prompt, group.tokens(i),
                config.self_refine_prompt, is_ended=group.stopped[i] == "end",
            )
            for i in (best, worst)
        )  # fmt: skip
    return PreferenceTokens(
        prompt=prompt,
        chosen=group.tokens(best),
        rejected=group.tokens(worst),
        refine=refine,
        language=group.language,
        scores=(group.rewards[best], group.rewards[worst]),
        margin=0,
    )


def is_learned(group: Group, config: OnlineConfig) -> bool:
    """Whether the objective learns from a prompt's answers.

    Their rewards must differ; for best-of-n a single answer in the right language will do, and a
    pair must be of two answers: a reward may give one text two numbers.
    """
    if config.objective == "best-of-n":
        return group.contrast or (len(group.rewards) == 1 and group.right[0] is not False)
    if config.objective in _ALL_ANSWERS:
        return group.contrast
    if not_improved(group, config):
        return False
    best, worst = group.best_and_worst
    return group.contrast and group.answers[best].strip() != group.answers[worst].strip()


def not_improved(group: Group, config: OnlineConfig) -> bool:
    """Whether SRPO has no improved answers for a group; they are counted as it is sampled."""
    return config.objective == "srpo" and bool(group.reference) and not group.improved


def gradients(
    model: "PreTrainedModel",
    groups: Sequence[Group],
    prompts: Sequence[tuple[Prompt, np.ndarray]],
    policy: Policy,
    config: OnlineConfig,
    mesh: Mesh | None = None,
) -> dict[str, Any]:
    """Add a step's gradients; returns its mean loss and metrics, also by language.

    Args:
        model: what is trained.
        groups: the step's, with the reference's log-probabilities.
        prompts: all of them, with their tokens.
        policy: renders messages.
        config: the objective.
        mesh: the processes; None is what torchrun says.
    """
    mesh = mesh or Mesh()
    losses = dict.fromkeys(range(len(groups)), 0.0)
    used = [i for i, group in enumerate(groups) if is_learned(group, config)]
    scale = 1.0 / len(groups)
    if config.objective == "best-of-n":
        num_tokens = sum(len(groups[i].ids[groups[i].best_and_worst[0]]) for i in used)
        scale = 1.0 / num_tokens if num_tokens else 0.0
    size = _size(prompts)
    max_tokens = config.examples.micro_batch_tokens
    computed: list[tuple[int, list[tuple[int, float]]]] = []
    for number, part, weight in mesh.share(
        micro_batches(used, max_tokens, lambda i: size(groups[i]))
    ):
        loss = _forward(model, [groups[i] for i in part], prompts, policy, config, mesh)
        mesh.backward(loss.sum() * (scale * weight))
        values = [value * scale * len(groups) for value in loss.tolist()]
        computed.append((number, [*zip(part, values, strict=True)]))
    losses |= dict(pair for pairs in mesh.gather(computed) for pair in pairs)
    metrics = batch_means([_metrics(group, losses[i]) for i, group in enumerate(groups)], "prompts")
    return {"tokens": sum(map(size, groups)), "examples": len(groups)} | metrics


def _forward(
    model: "PreTrainedModel",
    groups: Sequence[Group],
    prompts: Sequence[tuple[Prompt, np.ndarray]],
    policy: Policy,
    config: OnlineConfig,
    mesh: Mesh,
) -> Tensor:
    """The objective's loss of every group [N]."""
    uses_all = config.objective in _ALL_ANSWERS
    pairs: list[PreferenceTokens] = []
    with autocast(config.examples):
        if uses_all or config.objective == "best-of-n":
            function = partial(
                _answer_log_probabilities, groups=groups, prompts=prompts, best_only=not uses_all
            )
        else:
            pairs = [pair_of(group, prompts, policy, config) for group in groups]
            names = SELF_IMPROVING if config.objective == "srpo" else PLAIN
            function = partial(_pair_log_probabilities, pairs=pairs, names=names)
        values = mesh.forward(model, function)
    if config.objective == "best-of-n":
        return -values[:, 0]
    reference = torch.tensor(
        [group.reference if uses_all else group.reference_of_pair for group in groups]
    ).to(values)
    ratios, beta = values - reference, config.kl_coefficient
    rewards = torch.tensor([group.rewards for group in groups]).to(values)
    if config.objective == "copg":
        return objectives.copg(ratios, rewards, beta)
    if config.objective == "rloo":
        return objectives.rloo(values, ratios, rewards, beta)
    preference_config = PreferenceConfig(
        objective=config.objective, beta=beta, alpha=config.alpha, sft_weight=config.sft_weight
    )
    return pair_losses(preference_config, beta, values, ratios, pairs)


def _share_wrong(group: Group) -> float | None:
    """Share of answers in another language; None where it cannot be told."""
    told = [flag for flag in group.right if flag is not None]
    return 1.0 - float(np.mean(told)) if told else None


def _metrics(group: Group, loss: float) -> dict[str, Any]:
    best, worst = group.best_and_worst
    return {
        "language": group.language,
        "loss": loss,
        "reward": float(np.mean(group.rewards)),
        "best_reward": group.rewards[best],
        "margin": group.rewards[best] - group.rewards[worst],
        "wrong_language": _share_wrong(group),
        "answer_tokens": float(np.mean([len(ids) for ids in group.ids])),
        "truncated": float(np.mean([reason == "length" for reason in group.stopped])),
        "contrast": float(group.contrast),
        # Under the model that generated the answers: an unbiased estimate at temperature 1.
        "kl": float(np.mean(np.subtract(group.policy, group.reference))),
    }
