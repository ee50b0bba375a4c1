"""Online training: a round of the model's answers is generated, scored and learned from."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polylect.base import Ledger, read_json, write_json
from polylect.engine import Reward
from polylect.rows import Prompt, read_prompts
from polylect.runs import Reporter, StepContext
from polylect.training import objectives
from polylect.training.batch_metrics import batch_means
from polylect.training.config import OnlineConfig, PreferenceConfig
from polylect.training.encode import (
    PreferenceTokens,
    answer_tokens,
    encode_prompts,
    micro_batches,
    refine_tokens,
)
from polylect.training.lora import has_adapters, without_adapters
from polylect.training.mesh import Mesh
from polylect.training.packing import (
    PLAIN,
    SELF_IMPROVING,
    pack_groups,
    pack_pairs,
    sequence_log_probabilities,
)
from polylect.training.policy import Policy, autocast, open_policy
from polylect.training.preference_loop import pair_losses
from polylect.training.rewards import LANGUAGE, open_reward
from polylect.training.sampler import sample_order
from polylect.training.samples import EQUAL, Group, read_groups, sample_round, write_groups
from polylect.training.session import Session

SAMPLES = "samples.parquet"
_ALL_ANSWERS = ("rloo", "copg")
"""Objectives that learn from all answers to a prompt."""


def run_online(config: OnlineConfig, inputs: Mapping[str, Any], context: StepContext) -> None:
    """Align the input model with a reward; writes a checkpoint, metrics and ``samples.parquet``.

    The loss of a step is the mean over its prompts (of best-of-n, over the trained tokens): it does
    not depend on the micro-batches. A round's answers are kept beside the saved states, so that a
    resumed training neither generates nor scores them again.

    Inputs: ``model`` (a checkpoint's folder), ``data`` (a file with prompts) and ``reward`` (with a
    ``source`` as for ``open_reward``).

    Raises:
        InputError: a row does not fit, or there is no such reward.
        PolylectError: the loss is no longer finite.
    """
    data = config.examples
    policy = open_policy(inputs["model"].path, data, context.ledger)
    prompts = load_examples(config, policy, inputs["data"].path, context.ledger)
    rows, lengths = [row for row, _ in prompts], [len(ids) for _, ids in prompts]
    order = sample_order(data, rows, lengths, context)
    plan = rounds_of(len(order), config.prompts_per_round or len(prompts), data.batch_size)
    source = inputs["reward"].source
    reward = open_reward(source, data.template, data.micro_batch_tokens, context.ledger)
    gate = config.gate and source != LANGUAGE
    mesh = Mesh()
    model = policy.load(config.optim, data.seed)
    mesh.shard(model)
    session = Session(context, model, config.optim, len(plan),
                      save_every=data.save_every, seed=data.seed, mesh=mesh)  # fmt: skip
    current: int | None = None
    groups: list[Group] = []
    for step, metrics in session.steps():
        number, (begin, end), (first, last) = plan[step]
        if current != number:
            path = _round_file(context.work, number)
            is_kept = path.is_file()
            mesh.barrier()
            if not is_kept:
                places = [*enumerate(order[begin:end].tolist())][mesh.rank :: mesh.size]
                counted = Ledger()
                sampled = mesh.unsharded(model, partial(
                    _sample_groups, policy=policy, prompts=prompts, places=places, number=number,
                    config=config, reward=reward, gate=gate, report=context.report,
                    counted=counted,
                ))  # fmt: skip
                numbered = [(place, group)
                            for (place, _), group in zip(places, sampled, strict=True)]  # fmt: skip
                everything = mesh.gather(numbered)
                counts = mesh.gather([(mesh.rank, counted.to_json())])
                if mesh.first:
                    events = [event for of_process in counts for event in of_process]
                    write_json(path.with_suffix(".json"), events)
                    write_groups(path, everything)
                mesh.barrier()
            current, groups = number, read_groups(path)
        metrics["round"] = number
        batch = groups[first - begin : last - begin]
        metrics |= gradients(model, batch, prompts, policy, config, mesh)
        metrics["gradient_norm"] = session.update(step, metrics["loss"])
    samples = _all_rounds(config, context, sorted({number for number, _, _ in plan}))
    if mesh.first:
        write_groups(context.out / SAMPLES, samples)
    settings = {"objective": config.objective, "beta": config.kl_coefficient, "reward": source,
                "learning_rate": config.optim.learning_rate, "epochs": data.epochs}  # fmt: skip
    session.finish(policy.checkpoint, policy.tokenizer, f"online-{config.objective}", settings,
                   lambda: policy.load(config.optim, data.seed))  # fmt: skip


def load_examples(
    config: OnlineConfig, policy: Policy, path: Path, ledger: Ledger
) -> list[tuple[Prompt, np.ndarray]]:
    """The prompts of a file that leave room for an answer, with their tokens.

    Raises:
        InputError: a row does not fit.
    """
    return encode_prompts(
        read_prompts(path, config.examples.default_language),
        policy.style, policy.context_tokens, config.max_new_tokens, config.examples.over_long,
        ledger,
    )  # fmt: skip


def trial_step(
    config: OnlineConfig, policy: Policy, model: Any, examples: Sequence[tuple[Prompt, np.ndarray]]
) -> None:
    """One forward and backward pass, to measure its time; each prompt serves as its own answer."""
    prompts = [ids for _, ids in examples]
    batch = pack_groups(prompts, [[ids] for ids in prompts], ["und"] * len(prompts))
    sequence_log_probabilities(model, batch, len(prompts)).sum().backward()


def _sample_groups(
    model: Any,
    policy: Policy,
    prompts: Sequence[tuple[Prompt, np.ndarray]],
    places: Sequence[tuple[int, int]],
    number: int,
    config: OnlineConfig,
    reward: Reward,
    gate: bool,
    report: Reporter,
    counted: Ledger,
) -> list[Group]:
    """This process's groups of a round, with the reference's log-probabilities."""
    if not places:
        return []
    groups = sample_round(
        model, policy, prompts, places, number, config, reward, gate, report, counted
    )
    with reference_model(model, policy, config, number) as reference:
        return with_reference(reference, groups, prompts, policy, config)


def _all_rounds(config: OnlineConfig, context: StepContext, rounds: Sequence[int]) -> list[Group]:
    """The groups of all rounds; counts their events and those that nothing was learned from."""
    samples: list[Group] = []
    for number in rounds:
        path = _round_file(context.work, number)
        samples += read_groups(path)
        for event, where, num in Ledger.from_json(read_json(path.with_suffix(".json"))).rows():
            context.ledger.count(event, num, where)
    for group in samples:
        if not is_learned(group, config):
            context.ledger.count(EQUAL, 1, group.language)
    return samples


def _round_file(work: Path, number: int) -> Path:
    return work / f"round-{number:05d}.parquet"


def rounds_of(
    num_prompts: int, per_round: int, batch_size: int
) -> list[tuple[int, tuple[int, int], tuple[int, int]]]:
    """For every step: its round, the round's range of prompts, and the step's own range.

    A step never reaches into the next round.

    Example:
        >>> rounds_of(5, 3, 2)
        [(0, (0, 3), (0, 2)), (0, (0, 3), (2, 3)), (1, (3, 5), (3, 5))]
    """
    steps = []
    for number, begin in enumerate(range(0, num_prompts, per_round)):
        end = min(begin + per_round, num_prompts)
        steps += [
            (number, (begin, end), (first, min(first + batch_size, end)))
            for first in range(begin, end, batch_size)
        ]
    return steps


@contextmanager
def reference_model(model: Any, policy: Policy, config: OnlineConfig, number: int) -> Iterator[Any]:
    """The reference: the model at the start of the training, or at the start of the round.

    Without adapters the start is loaded again for every round, and released.
    """
    if config.reference == "round" or (number == 0 and not has_adapters(model)):
        yield model
    elif has_adapters(model):
        with without_adapters(model):
            yield model
    else:
        yield policy.load().eval()


@torch.no_grad()
def with_reference(
    reference: Any,
    groups: Sequence[Group],
    prompts: Sequence[tuple[Prompt, np.ndarray]],
    policy: Policy,
    config: OnlineConfig,
) -> list[Group]:
    """The groups with the reference's log-probabilities of what the objective learns from."""
    result: list[Group] = []
    for part in micro_batches(groups, config.examples.micro_batch_tokens, _size(prompts)):
        improved: list[list[float]] = [[] for _ in part]
        with autocast(config.examples):
            values = _answer_log_probabilities(reference, part, prompts).double().cpu().tolist()
            if config.objective == "srpo":
                pairs = [pair_of(group, prompts, policy, config) for group in part]
                sequences = _pair_log_probabilities(reference, pairs, SELF_IMPROVING)
                improved = sequences[:, 2:].double().cpu().tolist()
        result += [
            replace(group, reference=tuple(of_answers), improved=tuple(of_improved))
            for group, of_answers, of_improved in zip(part, values, improved, strict=True)
        ]
    return result


def _answer_log_probabilities(
    model: Any,
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
    model: Any, pairs: Sequence[PreferenceTokens], names: Sequence[str]
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
    refine: tuple[np.ndarray, ...] = ()
    if config.objective == "srpo":
        texts = [group.answers[i] or " " for i in (best, worst)]
        refine = tuple(
            refine_tokens(
                policy.style, row.messages, text, prompt,
                answer_tokens(policy.style, row.messages, text, row.language, Ledger()),
                config.self_refine_prompt,
            )
            for text in texts
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

    Their rewards must differ; for best-of-n a single answer in the right language will do.
    """
    if config.objective == "best-of-n":
        return group.contrast or (len(group.rewards) == 1 and group.right[0])
    return group.contrast


def gradients(
    model: Any,
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
    model: Any,
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


def _metrics(group: Group, loss: float) -> dict[str, Any]:
    best, worst = group.best_and_worst
    return {
        "language": group.language,
        "loss": loss,
        "reward": float(np.mean(group.rewards)),
        "best_reward": group.rewards[best],
        "margin": group.rewards[best] - group.rewards[worst],
        "wrong_language": 1.0 - float(np.mean(group.right)),
        "answer_tokens": float(np.mean([len(ids) for ids in group.ids])),
        "truncated": float(np.mean([reason == "length" for reason in group.stopped])),
        "contrast": float(group.contrast),
        # Under the model that generated the answers: an unbiased estimate at temperature 1.
        "kl": float(np.mean(np.subtract(group.policy, group.reference))),
    }
