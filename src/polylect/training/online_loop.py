"""Training on the model's own answers: a round is generated and scored, then learned from."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polylect.base import Ledger, read_json, write_json
from polylect.rows import Message, Prompt, read_prompts
from polylect.runs import Reporter, StepContext
from polylect.text import Style
from polylect.training import objectives
from polylect.training.batch_metrics import summary
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
from polylect.training.pretrain_loop import make_optimizer
from polylect.training.rewards import LANGUAGE, Reward, open_reward
from polylect.training.sampler import order_of
from polylect.training.samples import EQUAL, Group, read_groups, sample_round, write_groups
from polylect.training.session import Session

SAMPLES = "samples.parquet"
_GROUPS = ("rloo", "copg")
"""Objectives of all answers to a prompt; the others are of the best and the worst."""


def run_online(config: OnlineConfig, inputs: Mapping[str, Any], context: StepContext) -> None:
    """Align the input model with a reward; writes a checkpoint, metrics and ``samples.parquet``.

    The loss of an update is the mean over its prompts (of best-of-n, over the tokens learned from):
    it does not depend on how it is cut into passes. The answers of a round are kept beside the
    saved states, so that resuming neither generates nor scores them again.

    Inputs: ``model`` (a checkpoint's folder), ``data`` (a file with prompts) and ``reward`` (with a
    ``source`` as for ``open_reward``).

    Raises:
        InputError: a row does not fit, or there is no such reward.
        PolylectError: the loss is not finite any more.
    """
    one = config.examples
    start = open_policy(inputs["model"].path, one, context.ledger)
    prompts = encode_prompts(
        read_prompts(inputs["data"].path, one.default_language),
        start.style, start.context_tokens, config.max_new_tokens, one.over_long, context.ledger,
    )  # fmt: skip
    asked = [prompt for prompt, _ in prompts]
    order = order_of(one, asked, [len(ids) for _, ids in prompts], context)
    plan = rounds_of(len(order), config.prompts_per_round or len(prompts), one.batch_size)
    source = inputs["reward"].source
    reward = open_reward(source, one.template, one.micro_batch_tokens, context.ledger)
    gate = config.gate and source != LANGUAGE
    mesh = Mesh()
    model = start.load(config.optim, one.seed)
    mesh.shard(model)
    optimizer = make_optimizer(model, config.optim)
    session = Session(context, model, optimizer, config.optim, len(plan),
                      save_every=one.save_every, seed=one.seed, mesh=mesh)  # fmt: skip
    held: tuple[int, list[Group]] | None = None
    for step, row in session.steps():
        number, (begin, end), mine = plan[step]
        if held is None or held[0] != number:
            path = _round_file(context.work, number)
            known = path.is_file()
            mesh.barrier()
            if not known:
                places = [*enumerate(order[begin:end].tolist())][mesh.rank :: mesh.size]
                counted = Ledger()
                own = mesh.apart(model, partial(
                    _round, start=start, prompts=prompts, places=places, number=number,
                    config=config, reward=reward, gate=gate, report=context.report,
                    counted=counted,
                ))  # fmt: skip
                groups = mesh.gather([(at, one) for (at, _), one in zip(places, own, strict=True)])
                counts = mesh.gather([(mesh.rank, counted.to_json())])
                if mesh.first:
                    write_json(path.with_suffix(".json"), [row for own in counts for row in own])
                    write_groups(path, groups)
                mesh.barrier()
            held = (number, read_groups(path))
        groups = held[1][mine[0] - begin : mine[1] - begin]
        row["round"] = number
        row |= gradients(model, groups, prompts, start, config, mesh)
        row["gradient_norm"] = session.update(step, row["loss"])
    everything: list[Group] = []
    for number in sorted({number for number, _, _ in plan}):
        path = _round_file(context.work, number)
        everything += read_groups(path)
        for event, where, num in Ledger.from_json(read_json(path.with_suffix(".json"))).rows():
            context.ledger.count(event, num, where)
    for group in everything:
        if not learned_from(group, config):
            context.ledger.count(EQUAL, 1, group.language)
    if mesh.first:
        write_groups(context.out / SAMPLES, everything)
    settings = {"objective": config.objective, "beta": config.kl_coefficient, "reward": source,
                "learning_rate": config.optim.learning_rate, "epochs": one.epochs}  # fmt: skip
    session.finish(start.checkpoint, start.tokenizer, f"online-{config.objective}", settings,
                   lambda: start.load(config.optim, one.seed))  # fmt: skip


def _round(
    model: Any,
    start: Policy,
    prompts: Sequence[tuple[Prompt, np.ndarray]],
    places: Sequence[tuple[int, int]],
    number: int,
    config: OnlineConfig,
    reward: Reward,
    gate: bool,
    report: Reporter,
    counted: Ledger,
) -> list[Group]:
    """A process's part of a round, with the reference's numbers."""
    if not places:
        return []
    groups = sample_round(
        model, start, prompts, places, number, config, reward, gate, report, counted
    )
    with reference_model(model, start, config, number) as reference:
        return with_reference(reference, groups, prompts, start, config)


def _round_file(work: Path, number: int) -> Path:
    return work / f"round-{number:05d}.parquet"


def rounds_of(
    num_prompts: int, per_round: int, per_step: int
) -> list[tuple[int, tuple[int, int], tuple[int, int]]]:
    """For every update: its round, the round's range of places, and its own range.

    An update never reaches into the next round.
    """
    found = []
    for number, begin in enumerate(range(0, num_prompts, per_round)):
        end = min(begin + per_round, num_prompts)
        found += [
            (number, (begin, end), (at, min(at + per_step, end)))
            for at in range(begin, end, per_step)
        ]
    return found


@contextmanager
def reference_model(model: Any, start: Policy, config: OnlineConfig, number: int) -> Iterator[Any]:
    """What answers are compared with: the start, or the model as it is at the start of a round.

    Without adapters the start is read again for every round, and let go of.
    """
    if config.reference == "round" or (number == 0 and not has_adapters(model)):
        yield model
    elif has_adapters(model):
        with without_adapters(model):
            yield model
    else:
        yield start.load().eval()


@torch.no_grad()
def with_reference(
    reference: Any,
    groups: Sequence[Group],
    prompts: Sequence[tuple[Prompt, np.ndarray]],
    start: Policy,
    config: OnlineConfig,
) -> list[Group]:
    """The groups with the reference's log-probabilities of what the objective learns from."""
    found: list[Group] = []
    for part in micro_batches(groups, config.examples.micro_batch_tokens, _size(prompts)):
        improved: list[list[float]] = [[] for _ in part]
        with autocast(config.examples):
            values = _of_answers(reference, part, prompts).double().cpu().tolist()
            if config.objective == "srpo":
                pairs = [pair_of(one, prompts, start, config) for one in part]
                more = _of_pairs(reference, pairs, SELF_IMPROVING)[:, 2:]
                improved = more.double().cpu().tolist()
        found += [
            replace(group, reference=tuple(row), improved=tuple(more))
            for group, row, more in zip(part, values, improved, strict=True)
        ]
    return found


def _of_answers(
    model: Any,
    groups: Sequence[Group],
    prompts: Sequence[tuple[Prompt, np.ndarray]],
    *,
    best_only: bool = False,
) -> Tensor:
    """Log-probabilities of all answers [groups, answers], or of the best one [groups, 1]."""
    which = [[one.best_and_worst[0]] if best_only else [*range(len(one.ids))] for one in groups]
    batch = pack_groups(
        [prompts[one.prompt][1] for one in groups],
        [[one.tokens(i) for i in own] for one, own in zip(groups, which, strict=True)],
        [one.language for one in groups],
    )
    num = len(which[0])
    return sequence_log_probabilities(model, batch, num * len(groups)).view(-1, num)


def _of_pairs(model: Any, pairs: Sequence[PreferenceTokens], names: Sequence[str]) -> Tensor:
    """Log-probabilities of pairs' sequences [pairs, names]."""
    flat = sequence_log_probabilities(model, pack_pairs(pairs, names), len(pairs) * len(names))
    return flat.view(len(pairs), len(names))


def _size(prompts: Sequence[tuple[Prompt, np.ndarray]]) -> Any:
    return lambda group: len(prompts[group.prompt][1]) + sum(map(len, group.ids))


def pair_of(
    group: Group,
    prompts: Sequence[tuple[Prompt, np.ndarray]],
    start: Policy,
    config: OnlineConfig,
) -> PreferenceTokens:
    """The best and the worst answer to a prompt."""
    prompt, ids = prompts[group.prompt]
    best, worst = group.best_and_worst
    asks = ()
    if config.objective == "srpo":
        asks = tuple(
            _refine_tokens(start.style, prompt.messages, ids, group.answers[i] or " ", config)
            for i in (best, worst)
        )
    scores = (group.rewards[best], group.rewards[worst])
    return PreferenceTokens(
        ids, group.tokens(best), group.tokens(worst), asks, group.language, scores, 0
    )


def _refine_tokens(
    style: Style,
    messages: Sequence[Message],
    prompt: np.ndarray,
    text: str,
    config: OnlineConfig,
) -> np.ndarray:
    """Tokens of the request to improve an answer; see ``refine_tokens``."""
    answer = answer_tokens(style, messages, text, "", Ledger())
    return refine_tokens(style, messages, text, prompt, answer, config.self_refine_prompt)


def learned_from(group: Group, config: OnlineConfig) -> bool:
    """Whether a prompt's answers teach anything: rewards that differ; for best-of-n, a best one."""
    if config.objective == "best-of-n":
        return group.contrast or (len(group.rewards) == 1 and group.right[0])
    return group.contrast


def gradients(
    model: Any,
    groups: Sequence[Group],
    prompts: Sequence[tuple[Prompt, np.ndarray]],
    start: Policy,
    config: OnlineConfig,
    mesh: Mesh | None = None,
) -> dict[str, Any]:
    """Add an update's gradients; its mean loss, and what happened, by language.

    Args:
        model: the policy.
        groups: of the update, with the reference's numbers.
        prompts: all of them, with their tokens.
        start: how turns are written.
        config: the objective.
        mesh: the processes; None is what torchrun says.
    """
    mesh = mesh or Mesh()
    beta = config.kl_coefficient
    losses = dict.fromkeys(range(len(groups)), 0.0)
    used = [i for i, group in enumerate(groups) if learned_from(group, config)]
    num_tokens = sum(len(groups[i].ids[groups[i].best_and_worst[0]]) for i in used)
    size = _size(prompts)
    found: list[tuple[int, list[tuple[int, float]]]] = []
    parts = micro_batches(used, config.examples.micro_batch_tokens, lambda i: size(groups[i]))
    for number, part, real in mesh.share(parts):
        own = [groups[i] for i in part]
        pairs: list[PreferenceTokens] = []
        with autocast(config.examples):
            if config.objective in (*_GROUPS, "best-of-n"):
                best_only = config.objective == "best-of-n"
                function = partial(_of_answers, groups=own, prompts=prompts, best_only=best_only)
            else:
                names = SELF_IMPROVING if config.objective == "srpo" else PLAIN
                pairs = [pair_of(one, prompts, start, config) for one in own]
                function = partial(_of_pairs, pairs=pairs, names=names)
            policy = mesh.forward(model, function)
        known = policy.detach()  # best-of-n compares with nothing
        if config.objective != "best-of-n":
            own_reference = [one.reference if config.objective in _GROUPS
                             else one.reference_of_pair for one in own]  # fmt: skip
            known = torch.tensor(own_reference).to(policy)
        if config.objective == "best-of-n":
            loss = -policy[:, 0]
            scale = 1.0 / num_tokens
        else:
            loss = _losses(config, beta, policy, policy - known, own, pairs)
            scale = 1.0 / len(groups)
        mesh.backward(loss.sum() * (scale * real))
        values = [value * scale * len(groups) for value in loss.tolist()]
        found.append((number, [*zip(part, values, strict=True)]))
    losses |= dict(one for own in mesh.gather(found) for one in own)
    told = summary([_told(group, losses[i]) for i, group in enumerate(groups)], "prompts")
    return {"tokens": sum(map(size, groups)), "examples": len(groups)} | told


def _losses(
    config: OnlineConfig,
    beta: float,
    policy: Tensor,
    ratios: Tensor,
    groups: Sequence[Group],
    pairs: Sequence[PreferenceTokens],
) -> Tensor:
    rewards = torch.tensor([one.rewards for one in groups]).to(policy)
    if config.objective == "copg":
        return objectives.copg(ratios, rewards, beta)
    if config.objective == "rloo":
        return objectives.rloo(policy, ratios, rewards, beta)
    assert config.objective != "best-of-n"
    as_pairs = PreferenceConfig(
        objective=config.objective, beta=beta, alpha=config.alpha, sft_weight=config.sft_weight
    )
    return pair_losses(as_pairs, beta, policy, ratios, pairs)


def _told(group: Group, loss: float) -> dict[str, Any]:
    best, worst = group.best_and_worst
    return {
        "language": group.language,
        "loss": loss,
        "reward": float(np.mean(group.rewards)),
        "best_reward": group.rewards[best],
        "margin": group.rewards[best] - group.rewards[worst],
        "wrong_language": 1.0 - float(np.mean(group.right)),
        "answer_tokens": float(np.mean([len(one) for one in group.ids])),
        "truncated": float(np.mean([one == "length" for one in group.stopped])),
        "contrast": float(group.contrast),
        # Of the model that generated the answers: an estimate without bias at temperature 1.
        "kl": float(np.mean(np.subtract(group.policy, group.reference))),
    }
