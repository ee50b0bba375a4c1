"""The dry run of a lifecycle: tokens per language, updates, memory and time."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import polars as pl

from polylect.mixtures import TokenStore, make_loader, plan
from polylect.rows import Split
from polylect.runs import Artifact, Estimate
from polylect.training import PretrainConfig

if TYPE_CHECKING:
    from polylect.models import BuildConfig

_MEASURED_TOKENS = 4096
_WORKER_MIB = 450  # torch, transformers and the tokens of one process, without a model


def forecast(
    tokens: Artifact,
    build: "BuildConfig",
    trainings: Mapping[str, PretrainConfig],
    num_scored: int,
    bytes_per_language: int,
    num_workers: int,
    *,
    num_seeds: int = 1,
    costs: Mapping[str, float] | None = None,
) -> str:
    """Text for the terminal: tokens per language and training, then updates, memory and time.

    The time is measured: one forward and backward pass of the real model on real tokens.

    Args:
        tokens: the tokenized text.
        build: the model.
        trainings: by name; the first is that of the base, and the others run side by side.
        num_scored: checkpoints that are scored.
        bytes_per_language: held-out text on which each is scored.
        num_workers: processes that run side by side.
        num_seeds: how often all of it is done; the bases of several seeds run side by side too.
        costs: how much longer than a dense model's token that of a training takes, by name.
    """
    costs = costs or {}
    store = TokenStore(tokens.path, Split.TRAIN)
    sizes = store.sizes()
    num_steps = {
        name: make_loader(
            store,
            config.mixture,
            context_tokens=config.context_tokens,
            batch_tokens=config.batch_tokens,
        ).num_steps
        for name, config in trainings.items()
    }
    base, *others = trainings.values()
    work = {
        name: config.mixture.tokens * costs.get(name, 1.0) for name, config in trainings.items()
    }
    base_work, *other_work = work.values()
    parameters, train_rate, score_rate = measure_rates(store, build, base)
    workers = min(num_workers, max(1, len(others)))
    side_by_side = min(num_workers, num_seeds)
    train_tokens = num_seeds * (base_work / side_by_side + sum(other_work) / workers)
    num_languages = len({tag for tag, _ in sizes})
    score_tokens = num_scored * num_languages * bytes_per_language / _bytes_per_token(store)
    score_seconds = num_seeds * score_tokens / score_rate / num_workers
    load_seconds = num_seeds * 8.0 * num_scored / num_workers
    seconds = train_tokens / train_rate + score_seconds + load_seconds + 30
    # Weights, gradients and two moments of AdamW in float32, and one pass's activations.
    model_bytes = 16 * parameters + round((_WORKER_MIB + 0.06 * _MEASURED_TOKENS) * 2**20)
    estimate = Estimate(
        memory={f"{workers} workers": model_bytes * (workers + 1)},
        seconds=seconds,
        memory_note=f"in {workers} workers",
        time_note=f"measured at {train_rate:,.0f} tokens per second and worker",
    )
    return "\n".join([
        *_table(sizes, trainings),
        "",
        "updates: " + ", ".join(f"{name} {num:,}" for name, num in num_steps.items()),
        f"parameters: {parameters:,}",
        *estimate.lines(),
    ])  # fmt: skip


def _table(
    sizes: Mapping[tuple[str, str], int], trainings: Mapping[str, PretrainConfig]
) -> list[str]:
    """A line per language: tokens at hand, and tokens that each training reads."""
    quotas = {name: Counter[str]() for name in trainings}
    for name, config in trainings.items():
        for row in plan(config.mixture, sizes):
            quotas[name][str(row["language"])] += int(str(row["tokens"]))
    at_hand = Counter[str]()
    for (tag, _), num in sizes.items():
        at_hand[tag] += num
    titles = [name.removeprefix("expert-") for name in trainings]
    widths = [max(9, len(title)) for title in titles]

    def line(first: str, total: str, cells: Iterable[str]) -> str:
        columns = (f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
        return f"{first:<10}{total:>11}  " + "  ".join(columns)

    lines = [line("tokens", "at hand", titles)]
    for tag in sorted(at_hand, key=lambda tag: (tag == "code", tag)):
        cells = (f"{quota[tag]:,}" if tag in quota else "" for quota in quotas.values())
        lines.append(line(tag, f"{at_hand[tag]:,}", cells))
    totals = (f"{quota.total():,}" for quota in quotas.values())
    return [*lines, line("all", f"{at_hand.total():,}", totals)]


def _bytes_per_token(store: TokenStore) -> float:
    sums = store.documents.select(pl.col("bytes").sum(), pl.col("tokens").sum()).row(0)
    return sums[0] / max(1, sums[1])


def measure_rates(
    store: TokenStore, build: "BuildConfig", config: PretrainConfig
) -> tuple[int, float, float]:
    """Number of parameters, and tokens per second of training and of scoring, one pass each."""
    import torch

    from polylect.models import (
        build_model,
        forward_hidden,
        head_of,
        scored_positions,
        token_log_probabilities,
        weighted_nll,
    )

    torch.set_num_threads(config.threads)
    tokenizer = store.tokenizer()
    model = build_model(
        build, tokenizer.vocab_size, tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id
    )
    loader = make_loader(
        store,
        config.mixture,
        context_tokens=config.context_tokens,
        batch_tokens=_MEASURED_TOKENS,
    )
    batch = loader.batch(0)
    positions, targets, weights = scored_positions(batch)
    rates = []
    for train in (True, True, False):
        started = time.perf_counter()
        with torch.set_grad_enabled(train):
            hidden = forward_hidden(model, batch)[positions]
            if train:
                weighted_nll(hidden, head_of(model), targets, weights)[0].backward()
            else:
                token_log_probabilities(hidden, head_of(model), targets)
        rates.append(batch.num_tokens / (time.perf_counter() - started))
    return model.num_parameters(), rates[1] * 0.95, rates[2]
