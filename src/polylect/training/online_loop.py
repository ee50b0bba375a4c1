"""Online training: a round of the model's answers is generated, scored and learned from."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from polylect.base import InputError, Ledger, read_json, write_json
from polylect.engine import Reward
from polylect.rows import Prompt, RefusedRows, as_dicts, read_prompts
from polylect.runs import Reporter, StepContext
from polylect.text import open_identifier
from polylect.training.config import LANGUAGE, OnlineConfig
from polylect.training.encode import encode_prompts
from polylect.training.inputs import OnlineInputs
from polylect.training.lora import has_adapters, without_adapters
from polylect.training.mesh import Mesh
from polylect.training.modes import count_dropout, evaluating
from polylect.training.online_gradients import (
    gradients,
    is_learned,
    not_improved,
    with_reference,
)
from polylect.training.packing import (
    pack_groups,
    sequence_log_probabilities,
)
from polylect.training.policy import Policy, open_policy
from polylect.training.rewards import check_languages, rewardable
from polylect.training.sampler import sample_order
from polylect.training.samples import EQUAL, Group, read_groups, sample_round, write_groups
from polylect.training.session import Session

if TYPE_CHECKING:
    from transformers import PreTrainedModel


SAMPLES = "samples.parquet"


def run_online(config: OnlineConfig, inputs: OnlineInputs, context: StepContext) -> None:
    """Align the input model with a reward; writes a checkpoint, metrics and ``samples.parquet``.

    The loss of a step is the mean over its prompts (of best-of-n, over the trained tokens): it does
    not depend on the micro-batches. A round's answers are kept beside the saved states, so that a
    resumed training neither generates nor scores them again. There is no dropout (see
    ``training.modes``).

    Inputs: ``model`` (a checkpoint's folder), ``data`` (a file with prompts) and ``reward`` (a
    ``RewardSource``).

    Raises:
        InputError: a row does not fit, or there is no such reward.
        PolylectError: the loss is no longer finite.
    """
    data = config.examples
    policy = open_policy(inputs["model"].path, data, context.ledger)
    source = inputs["reward"].name
    reward = inputs["reward"].open(
        data.template, data.micro_batch_tokens, context.ledger, identifier=data.identifier
    )
    prompts = rewardable(
        reward, load_examples(config, policy, inputs["data"].path, context.ledger), context.ledger
    )
    rows, lengths = [row for row, _ in prompts], [len(ids) for _, ids in prompts]
    order = sample_order(data, rows, lengths, context)
    plan = rounds_of(len(order), config.prompts_per_round or len(prompts), data.batch_size)
    gate = config.gate and source != LANGUAGE
    identifier = open_identifier(data.identifier)
    check_languages(identifier, [row.language for row in rows], source, gate=gate)
    mesh = Mesh()
    model = policy.load(config.optim, data.seed)
    count_dropout(model, context.ledger)
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
    # Without the folder that it lies in, which says nothing on another machine.
    named = Path(source).name
    settings = {"objective": config.objective, "beta": config.kl_coefficient, "reward": named,
                "learning_rate": config.optim.learning_rate, "epochs": data.epochs}  # fmt: skip
    session.finish(policy.checkpoint, policy.tokenizer, f"online-{config.objective}", settings,
                   lambda: policy.load(config.optim, data.seed), policy.style)  # fmt: skip


def load_examples(
    config: OnlineConfig, policy: Policy, path: Path, ledger: Ledger
) -> list[tuple[Prompt, np.ndarray]]:
    """The prompts of a file that leave room for an answer, with their tokens.

    Raises:
        InputError: a row does not fit.
    """
    rows = []
    refused = RefusedRows()
    for row in read_prompts(path, config.examples.default_language, ledger=ledger):
        try:
            as_dicts(row.messages)  # answers are learned from and kept beside plain messages
        except InputError as error:
            refused.add(error, row.place, row.language)
            continue
        rows.append(row)
    refused.count(ledger, len(rows))
    return encode_prompts(
        rows,
        policy.style, policy.context_tokens, config.max_new_tokens, config.examples.over_long,
        ledger, config.self_refine_prompt if config.objective == "srpo" else None,
    )  # fmt: skip


def trial_step(
    config: OnlineConfig,
    policy: Policy,
    model: "PreTrainedModel",
    examples: Sequence[tuple[Prompt, np.ndarray]],
) -> None:
    """One forward and backward pass, to measure its time; each prompt serves as its own answer."""
    prompts = [ids for _, ids in examples]
    batch = pack_groups(prompts, [[ids] for ids in prompts], ["und"] * len(prompts))
    sequence_log_probabilities(model, batch, len(prompts)).sum().backward()


def _sample_groups(
    model: "PreTrainedModel",
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
    with evaluating(model):
        groups = sample_round(
            model, policy, prompts, places, number, config, reward, gate, report, counted
        )
        with reference_model(model, policy, config, number) as reference:
            return with_reference(reference, groups, prompts, policy, config, counted)


def _all_rounds(config: OnlineConfig, context: StepContext, rounds: Sequence[int]) -> list[Group]:
    """The groups of all rounds; counts their events and those that nothing was learned from."""
    samples: list[Group] = []
    for number in rounds:
        path = _round_file(context.work, number)
        samples += read_groups(path)
        for event, where, num in Ledger.from_json(read_json(path.with_suffix(".json"))).rows():
            context.ledger.count(event, num, where)
    for group in samples:
        if not is_learned(group, config) and not not_improved(group, config):
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
def reference_model(
    model: "PreTrainedModel", policy: Policy, config: OnlineConfig, number: int
) -> Iterator["PreTrainedModel"]:
    """The reference: the model at the start of the training, or at the start of the round.

    Without adapters the start is loaded again for every round, and released.
    """
    if config.reference == "round" or (number == 0 and not has_adapters(model)):
        yield model
    elif has_adapters(model):
        with without_adapters(model):
            yield model
    else:
        yield policy.load()
