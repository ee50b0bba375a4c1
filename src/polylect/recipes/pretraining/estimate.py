"""What a lifecycle would do: tokens per language, updates, memory and time, before any training."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import polars as pl

from polylect.mixtures import TokenStore, make_loader, plan
from polylect.rows import Split
from polylect.runs import Artifact, duration
from polylect.training import PretrainConfig

if TYPE_CHECKING:
    from polylect.models import BuildConfig

_PROBE_TOKENS = 4096
_WORKER_MIB = 450  # torch, transformers and the tokens of one process, without a model


def forecast(
    tokens: Artifact,
    build: "BuildConfig",
    trainings: Mapping[str, PretrainConfig],
    num_scored: int,
    bytes_per_language: int,
    num_workers: int,
) -> str:
    """The forecast as text: a table of tokens per language and training, then the costs.

    The time is measured: one forward and backward pass of the real model on real tokens.
    """
    store = TokenStore(tokens.path, Split.TRAIN)
    sizes = store.sizes()
    quotas: dict[str, dict[str, int]] = {}
    for name, config in trainings.items():
        for row in plan(config.mixture, sizes):
            one = quotas.setdefault(str(row["language"]), {})
            one[name] = one.get(name, 0) + int(str(row["tokens"]))
    lines = _table(sizes, quotas, list(trainings))
    steps = {
        name: make_loader(
            store,
            config.mixture,
            context_tokens=config.context_tokens,
            batch_tokens=config.batch_tokens,
        ).num_steps
        for name, config in trainings.items()
    }
    lines += ["", "updates: " + ", ".join(f"{name} {num:,}" for name, num in steps.items())]
    parameters, train_rate, score_rate = _probe(store, build, next(iter(trainings.values())))
    first = next(iter(trainings))
    side = sum(one.mixture.tokens for name, one in trainings.items() if name != first)
    workers = min(num_workers, max(1, len(trainings) - 1))
    train_seconds = (trainings[first].mixture.tokens + side / workers) / train_rate
    languages = len({tag for tag, _ in sizes})
    per_token = _bytes_per_token(store)
    scored = num_scored * languages * bytes_per_language / per_token
    score_seconds = scored / score_rate / num_workers + 8.0 * num_scored / num_workers
    # Weights, gradients and two moments of AdamW in float32, and one pass's activations.
    model_mib = 16 * parameters / 2**20 + _WORKER_MIB + 0.06 * _PROBE_TOKENS
    lines += [
        f"parameters: {parameters:,}",
        f"memory: about {model_mib * (workers + 1) / 1024:.1f} GiB in {workers} workers",
        f"time: about {duration(train_seconds + score_seconds + 30)} from here on (measured:"
        f" {train_rate:,.0f} tokens per second and worker)",
    ]
    return "\n".join(lines)


def _table(
    sizes: Mapping[tuple[str, str], int], quotas: Mapping[str, Mapping[str, int]], names: list[str]
) -> list[str]:
    short = [name.removeprefix("expert-") for name in names]
    widths = [max(9, len(name)) for name in short]
    head = f"{'tokens':<10}{'at hand':>11}  " + "  ".join(
        f"{name:>{width}}" for name, width in zip(short, widths, strict=True)
    )
    lines = [head]
    have: dict[str, int] = {}
    for (tag, _), num in sizes.items():
        have[tag] = have.get(tag, 0) + num
    for tag in sorted(have, key=lambda one: (one == "code", one)):
        mine = quotas.get(tag, {})
        cells = [
            f"{mine[name]:>{width},}" if name in mine else f"{'':>{width}}"
            for name, width in zip(names, widths, strict=True)
        ]
        lines.append(f"{tag:<10}{have[tag]:>11,}  " + "  ".join(cells))
    totals = [sum(one.get(name, 0) for one in quotas.values()) for name in names]
    cells = [f"{total:>{width},}" for total, width in zip(totals, widths, strict=True)]
    lines.append(f"{'all':<10}{sum(have.values()):>11,}  " + "  ".join(cells))
    return lines


def _bytes_per_token(store: TokenStore) -> float:
    sums = store.documents.select(pl.col("bytes").sum(), pl.col("tokens").sum()).row(0)
    return sums[0] / max(1, sums[1])


def _probe(
    store: TokenStore, build: "BuildConfig", config: PretrainConfig
) -> tuple[int, float, float]:
    """Parameters, and tokens per second of training and of scoring, measured on one pass each."""
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
        batch_tokens=_PROBE_TOKENS,
    )
    batch = loader.batch(0)
    before, targets, weights = scored_positions(batch)
    rates = []
    for train in (True, True, False):
        started = time.perf_counter()
        with torch.set_grad_enabled(train):
            hidden = forward_hidden(model, batch)[before]
            if train:
                weighted_nll(hidden, head_of(model), targets, weights)[0].backward()
            else:
                token_log_probabilities(hidden, head_of(model), targets)
        rates.append(batch.num_tokens / (time.perf_counter() - started))
    return model.num_parameters(), rates[1] * 0.95, rates[2]
