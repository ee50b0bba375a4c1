"""What a training would do, before it starts: parameters, tokens, steps, memory and time."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from polylect.base import Ledger
from polylect.engine import RewardSource
from polylect.runs import Estimate
from polylect.text import open_identifier
from polylect.training import online_loop, preference_loop, reward_loop, sft_loop
from polylect.training.config import OnlineConfig, PreferenceConfig, RewardConfig, SftConfig
from polylect.training.modes import count_dropout
from polylect.training.policy import Policy, open_policy
from polylect.training.rewards import check_languages, rewardable
from polylect.training.sampler import Cell, cell_of, mixture_rows, name_of, training_order
from polylect.training.session import num_batches

Config = SftConfig | PreferenceConfig | RewardConfig | OnlineConfig
_TRIAL_TOKENS = 1024


@dataclass(frozen=True)
class _Examples:
    """The examples of a training.

    Attributes:
        noun: what they are called.
        loop: the module that trains on them.
        values: what the loop learns from.
        cells: language and source of each.
        num_tokens: of each.
    """

    noun: str
    loop: Any
    values: Sequence[Any]
    cells: Sequence[Cell]
    num_tokens: Sequence[int]


def forecast(
    kind: str,
    config: Config,
    model: Path,
    data: Path,
    held_out: Path | None = None,
    reward: RewardSource | None = None,
    counts: Ledger | None = None,
) -> list[str]:
    """Lines for the terminal. Every row is read and encoded: a wrong one is refused here.

    The time is measured on one real pass. Memory is that of weights, gradients and the optimizer's
    two moments, without activations. For ``online`` the time is that of the steps alone: the length
    of the answers is not known.

    Args:
        kind: of training.
        config: its configuration.
        model: a checkpoint's folder.
        data: a file of what is trained on.
        held_out: a file of preferences that are only measured.
        reward: of ``online``.
        counts: gets what is dropped or ignored; without it, this stands in the last lines.

    Raises:
        InputError: a row does not fit, there is no such reward, or the model cannot be trained.
    """
    ledger = Ledger() if counts is None else counts
    policy = open_policy(model, config.examples, ledger)
    examples = _load_examples(config, policy, data, ledger, reward)
    stages, epochs, seed = config.examples.stages, config.examples.epochs, config.examples.seed
    orders = training_order(examples.cells, stages, epochs, seed, ledger)
    order = np.concatenate(orders)
    num_held_out = _num_held_out(config, policy, held_out, ledger)
    tokens = sum(examples.num_tokens[i] for i in order)
    seconds = tokens * _seconds_per_token(config, policy, examples, order, ledger)
    num_steps, rounds = _num_steps(config, len(order), len(examples.values))
    mixture = mixture_rows(orders, examples.cells, examples.num_tokens)
    num_parameters = policy.checkpoint.num_parameters
    has_adapters = config.optim.lora_rank > 0
    adapters = f"adapters of rank {config.optim.lora_rank}, " if has_adapters else ""
    memory = {"weights": 4 * num_parameters}
    if not has_adapters:
        memory["gradients and optimizer"] = 12 * num_parameters
    estimate = Estimate(
        memory=memory,
        seconds=seconds,
        memory_note=f"and a pass of up to {config.examples.micro_batch_tokens:,} tokens",
        time_note="and the time to generate" if isinstance(config, OnlineConfig) else "",
    )
    return [
        f"{getattr(config, 'objective', kind)}: {num_parameters:,} parameters,"
        f" {adapters}{len(order):,} {examples.noun}{rounds}, {tokens:,} tokens,"
        f" {num_steps:,} updates at a peak rate of {config.optim.learning_rate:g}",
        *_mixture_lines(mixture, len(orders), examples.noun),
        *([] if held_out is None else [f"held out: {num_held_out:,} pairs"]),
        f"turns: {policy.style.name}; context: {policy.context_tokens:,} tokens",
        *estimate.lines(),
        *(ledger.lines() if counts is None else ()),
    ]


def _load_examples(
    config: Config, policy: Policy, data: Path, ledger: Ledger, reward: RewardSource | None
) -> _Examples:
    if isinstance(config, OnlineConfig):
        prompts = online_loop.load_examples(config, policy, data, ledger)
        if reward is not None:
            template, size = config.examples.template, config.examples.micro_batch_tokens
            name = config.examples.identifier
            planned = reward.open(template, size, ledger, identifier=name, is_planned=True)
            tags = [row.language for row, _ in prompts]
            check_languages(open_identifier(name), tags, reward.name, gate=config.gate)
            prompts = rewardable(planned, prompts, ledger)
        num_new = config.num_samples * config.max_new_tokens
        cells, lengths = [cell_of(row) for row, _ in prompts], [len(ids) for _, ids in prompts]
        return _Examples(
            "prompts", online_loop, prompts, cells, [length + num_new for length in lengths]
        )
    values: Sequence[Any]
    if isinstance(config, SftConfig):
        noun, loop = "conversations", sft_loop
        _, values = sft_loop.load_examples(config, policy, data, ledger)
    elif isinstance(config, PreferenceConfig):
        noun, loop = "pairs", preference_loop
        _, values = preference_loop.load_examples(config, policy, data, ledger)
    else:
        noun, loop = "pairs", reward_loop
        _, values = reward_loop.load_examples(config, policy, data, ledger)
    cells, lengths = [cell_of(value) for value in values], [value.num_tokens for value in values]
    return _Examples(noun, loop, values, cells, lengths)


def _num_held_out(config: Config, policy: Policy, path: Path | None, ledger: Ledger) -> int:
    """How many held-out preferences would be measured; they are encoded as the training does."""
    if path is None:
        return 0
    if isinstance(config, PreferenceConfig):
        return len(preference_loop.load_examples(config, policy, path, ledger)[1])
    assert isinstance(config, RewardConfig)
    return len(reward_loop.load_examples(config, policy, path, ledger)[1])


def _num_steps(config: Config, num_ordered: int, num_examples: int) -> tuple[int, str]:
    """Steps in all, and a text on the rounds of online training."""
    if not isinstance(config, OnlineConfig):
        return num_batches(num_ordered, config.examples.batch_size), ""
    per_round = config.prompts_per_round or num_examples
    plan = online_loop.rounds_of(num_ordered, per_round, config.examples.batch_size)
    return len(plan), f" in {plan[-1][0] + 1:,} rounds of {config.num_samples} answers"


def _mixture_lines(rows: Sequence[Mapping[str, Any]], num_stages: int, noun: str) -> list[str]:
    """A line for every language and source that gets examples, under its stage."""
    lines = []
    for stage in range(1, num_stages + 1):
        if num_stages > 1:
            lines.append(f"  stage {stage}:")
        indent = "    " if num_stages > 1 else "  "
        lines += [
            f"{indent}{name_of((row['language'], row['source']))}: {row['examples']:,} {noun},"
            f" {row['tokens']:,} tokens"
            for row in rows
            if row["stage"] == stage and row["examples"]
        ]
    return lines


def _seconds_per_token(
    config: Config, policy: Policy, examples: _Examples, order: np.ndarray, ledger: Ledger
) -> float:
    """Seconds per token, measured on the first examples; the model is thrown away."""
    has_dropout = isinstance(config, SftConfig)
    model = policy.load(config.optim, dropout=has_dropout)
    if not has_dropout:
        count_dropout(model, ledger)
    chosen, num_tokens = [], 0
    for i in order:
        chosen.append(examples.values[i])
        num_tokens += examples.num_tokens[i]
        if num_tokens >= _TRIAL_TOKENS:
            break
    if isinstance(config, OnlineConfig):
        # Each prompt is its own answer in the trial.
        num_tokens = sum(2 * len(ids) for _, ids in chosen)
    started = time.perf_counter()
    examples.loop.trial_step(config, policy, model, chosen)
    return (time.perf_counter() - started) / num_tokens
