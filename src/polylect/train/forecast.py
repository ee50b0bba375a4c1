"""What a training would do, said before it starts: parameters, tokens, updates, memory, time."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from polylect.base import Ledger
from polylect.runs.progress import duration
from polylect.train import prefer_loop, sft_loop
from polylect.train.config import PreferConfig, SftConfig
from polylect.train.encode import encode_chats, encode_pairs
from polylect.train.examples import read_chats, read_pairs
from polylect.train.order import training_order
from polylect.train.start import open_start

_TRIED_TOKENS = 1024


def forecast(kind: str, config: SftConfig | PreferConfig, model: Path, data: Path) -> list[str]:
    """Lines for the terminal; every row is read and encoded, so that a wrong one is refused here.

    Time is measured on one real pass; memory is the weights, gradients and two slots of the
    optimiser, and what the pass needs is not in it.

    Raises:
        InputError: a row does not fit, or the model cannot be trained.
    """
    one, ledger = config.examples, Ledger()
    start = open_start(model, one, ledger)
    if isinstance(config, PreferConfig):
        pairs = read_pairs(data, one.default_language)
        refine = config.refine if config.objective == "srpo" else None
        examples: Sequence[Any] = encode_pairs(
            pairs, start.style, start.context_tokens, one.over_long, ledger, refine
        )
        noun = "pairs"
    else:
        chats = read_chats(data, one.default_language)
        examples = encode_chats(chats, start.style, start.context_tokens, one.over_long, ledger)
        noun = "conversations"
    order = training_order(
        [example.language for example in examples], one.epochs, one.seed, ledger,
        temperature=one.temperature, shares=one.shares,
    )  # fmt: skip
    num_parameters = start.checkpoint.num_parameters
    tokens = sum(examples[i].num_tokens for i in order)
    num_steps = -(-len(order) // one.examples_per_step)
    seconds = _seconds_per_token(config, start, [examples[i] for i in order])
    named = config.objective if isinstance(config, PreferConfig) else "sft"
    by_language: dict[str, tuple[int, int]] = {}
    for i in order:
        num, own = by_language.get(examples[i].language, (0, 0))
        by_language[examples[i].language] = (num + 1, own + examples[i].num_tokens)
    return [
        f"{named}: {num_parameters:,} parameters, {len(order):,} {noun}, {tokens:,} tokens,"
        f" {num_steps:,} updates at a peak rate of {config.optim.learning_rate:g}",
        *[f"  {tag}: {num:,} {noun}, {own:,} tokens"
          for tag, (num, own) in sorted(by_language.items())],
        f"turns: {start.style.name}; context: {start.context_tokens:,} tokens",
        f"memory: about {16 * num_parameters / (1 << 20):,.0f} MiB of weights, gradients and"
        f" optimiser, and a pass of up to {one.tokens_per_pass:,} tokens",
        f"time: about {duration(seconds * tokens)}",
        *[f"{num:,} {event}" + (f" ({where})" if where else "")
          for event, where, num in ledger.rows()],
    ]  # fmt: skip


def _seconds_per_token(config: Any, start: Any, examples: Sequence[Any]) -> float:
    """CPU seconds of a token, measured on the first examples; the model is thrown away."""
    model = start.load()
    chosen, total = [], 0
    for example in examples:
        chosen.append(example)
        total += example.num_tokens
        if total >= _TRIED_TOKENS:
            break
    began = time.perf_counter()
    if isinstance(config, PreferConfig):
        names = prefer_loop.names_of(config)
        batch = prefer_loop.pack_pairs(chosen, names)
        with torch.no_grad():
            known = prefer_loop.sequence_log_probabilities(model, batch, len(chosen) * len(names))
        found = prefer_loop.sequence_log_probabilities(model, batch, len(known))
        (found - known).pow(2).sum().backward()
    else:
        sft_loop.gradients(model, chosen, config.examples.tokens_per_pass)
    return (time.perf_counter() - began) / total
