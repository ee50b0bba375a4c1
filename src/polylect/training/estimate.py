"""What a training would do, said before it starts: parameters, tokens, updates, memory, time."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from polylect.base import Ledger
from polylect.rows import read_conversations, read_preferences, read_prompts
from polylect.runs import duration
from polylect.training import preference_loop, reward_loop, sft_loop
from polylect.training.config import OnlineConfig, PreferenceConfig, RewardConfig, SftConfig
from polylect.training.encode import encode_conversations, encode_preferences, encode_prompts
from polylect.training.mesh import Mesh
from polylect.training.online_loop import rounds_of
from polylect.training.packing import pack_groups, sequence_log_probabilities
from polylect.training.policy import Policy, open_policy
from polylect.training.sampler import Cell, RenderedChat, mixture_rows, name_of, training_order

Config = SftConfig | PreferenceConfig | RewardConfig | OnlineConfig
_TRIED_TOKENS = 1024


def forecast(kind: str, config: Config, model: Path, data: Path) -> list[str]:
    """Lines for the terminal; every row is read and encoded, so that a wrong one is refused here.

    Time is measured on one real pass; memory is the weights, gradients and two slots of the
    optimizer, and what the pass needs is not in it. Of ``online``, the time is that of updates: how
    long answers will be is not known.

    Raises:
        InputError: a row does not fit, or the model cannot be trained.
    """
    one, ledger = config.examples, Ledger()
    start = open_policy(model, one, ledger)
    examples, noun = _examples(config, start, data, ledger)
    cells, counts = [cell for cell, _, _ in examples], [num for _, num, _ in examples]
    orders = training_order(cells, one.stages, one.epochs, one.seed, ledger)
    order = np.concatenate(orders)
    num_parameters = start.checkpoint.num_parameters
    tokens = sum(counts[i] for i in order)
    num_steps = -(-len(order) // one.batch_size)
    more = ""
    if isinstance(config, OnlineConfig):
        plan = rounds_of(len(order), config.prompts_per_round or len(examples), one.batch_size)
        num_steps = len(plan)
        more = f" in {plan[-1][0] + 1:,} rounds of {config.num_samples} answers"
    seconds = _seconds_per_token(config, start, [examples[i] for i in order])
    named = getattr(config, "objective", kind)
    trained = f"adapters of rank {config.optim.lora_rank}, " if config.optim.lora_rank else ""
    factor = 4 if config.optim.lora_rank else 16
    return [
        f"{named}: {num_parameters:,} parameters, {trained}{len(order):,} {noun}{more},"
        f" {tokens:,} tokens, {num_steps:,} updates at a peak rate of"
        f" {config.optim.learning_rate:g}",
        *_mixture(mixture_rows(orders, cells, counts), len(orders), noun),
        f"turns: {start.style.name}; context: {start.context_tokens:,} tokens",
        f"memory: about {factor * num_parameters / (1 << 20):,.0f} MiB of weights"
        + ("" if config.optim.lora_rank else ", gradients and optimizer")
        + f", and a pass of up to {one.micro_batch_tokens:,} tokens",
        f"time: about {duration(seconds * tokens)}"
        + (", and what generating takes" if isinstance(config, OnlineConfig) else ""),
        *[f"{num:,} {event}" + (f" ({where})" if where else "")
          for event, where, num in ledger.rows()],
    ]  # fmt: skip


def _mixture(rows: Sequence[Mapping[str, Any]], num_stages: int, noun: str) -> list[str]:
    """A line for every language and source that gets something, under its stage."""
    lines = []
    for stage in range(1, num_stages + 1):
        if num_stages > 1:
            lines.append(f"  stage {stage}:")
        lines += [
            f"  {'  ' * (num_stages > 1)}{name_of((row['language'], row['source']))}:"
            f" {row['examples']:,} {noun}, {row['tokens']:,} tokens"
            for row in rows if row["stage"] == stage and row["examples"]
        ]  # fmt: skip
    return lines


def _examples(
    config: Config, start: Policy, data: Path, ledger: Ledger
) -> tuple[list[tuple[Cell, int, Any]], str]:
    """Language and source, tokens and content of every example, and what they are called."""
    one = config.examples
    if isinstance(config, OnlineConfig):
        rows = read_prompts(data, one.default_language)
        found = encode_prompts(
            rows, start.style, start.context_tokens, config.max_new_tokens, one.over_long, ledger
        )
        more = config.num_samples * config.max_new_tokens
        return [(_cell(prompt), len(ids) + more, ids) for prompt, ids in found], "prompts"
    if isinstance(config, SftConfig):
        chats = read_conversations(data, one.default_language)
        chosen = encode_conversations(
            chats, start.style, start.context_tokens, one.over_long, ledger
        )
        return [(_cell(chat), chat.num_tokens, chat) for chat in chosen], "conversations"
    asks = ""
    if isinstance(config, PreferenceConfig) and config.objective == "srpo":
        asks = config.self_refine_prompt
    pairs = encode_preferences(
        read_preferences(data, one.default_language), start.style, start.context_tokens,
        one.over_long, ledger, asks or None,
    )  # fmt: skip
    return [(_cell(pair), pair.num_tokens, pair) for pair in pairs], "pairs"


def _cell(one: RenderedChat) -> Cell:
    return one.language, one.source


def _seconds_per_token(
    config: Config, start: Policy, examples: Sequence[tuple[Cell, int, Any]]
) -> float:
    """Seconds of a token, measured on the first examples; the model is thrown away."""
    model = start.load(config.optim)
    chosen, total = [], 0
    for _, num, example in examples:
        chosen.append(example)
        total += num
        if total >= _TRIED_TOKENS:
            break
    began = time.perf_counter()
    if isinstance(config, SftConfig):
        sft_loop.gradients(model, chosen, config.examples, Mesh(alone=True))
    elif isinstance(config, RewardConfig):
        made = reward_loop.reward_model(model, start.tokenizer.pad_id)
        reward_loop.gradients(made, chosen, config, Mesh(alone=True))
    elif isinstance(config, PreferenceConfig):
        names = preference_loop.names_of(config)
        batch = preference_loop.pack_pairs(chosen, names)
        with torch.no_grad():
            known = preference_loop.sequence_log_probabilities(
                model, batch, len(chosen) * len(names)
            )
        found = preference_loop.sequence_log_probabilities(model, batch, len(known))
        (found - known).pow(2).sum().backward()
    else:
        # The prompt itself stands for an answer.
        answers = [[ids] for ids in chosen]
        total = sum(2 * len(ids) for ids in chosen)
        batch = pack_groups(chosen, answers, ["und"] * len(chosen))
        sequence_log_probabilities(model, batch, len(chosen)).sum().backward()
    return (time.perf_counter() - began) / total
