"""Pretraining a checkpoint further on documents: text, tokens, packed rows."""

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import torch

from polylect.base import InputError, Ledger, write_json
from polylect.checkpoints import Checkpoint
from polylect.mixtures import (
    CollectConfig,
    Mixture,
    Share,
    Stage,
    TextSource,
    TokenStore,
    language_lines,
    make_loader,
    plan,
    read_text,
    write_tokens,
)
from polylect.models import load_model, on_device
from polylect.rows import Split
from polylect.runs import Estimate, StepContext
from polylect.text import Tokenizer
from polylect.training.config import PretrainConfig
from polylect.training.inputs import TextInputs
from polylect.training.mesh import Mesh, processes
from polylect.training.policy import context_limit, device, open_trainable
from polylect.training.pretrain_loop import gradients, train_on
from polylect.training.routers import check_experts_per_token, check_routers
from polylect.training.sampler import MIXTURE, quotas, stage_sizes
from polylect.training.text_config import TextConfig

_DEFAULT_CONTEXT = 2048
_TRIAL_TOKENS = 1024


@dataclass(frozen=True)
class _Prepared:
    parent: Checkpoint
    tokenizer: Tokenizer
    store: TokenStore
    training: PretrainConfig

    def mixture_rows(self) -> list[dict[str, Any]]:
        """Tokens of each language in each stage, before anything is trained."""
        whole = stream_sizes(self.store, self.training.context_tokens)
        return [
            {**row, "stage": int(str(row["stage"])) + 1, "available": there,
             "epochs": round(int(str(row["tokens"])) / there, 4)}
            for row in plan(self.training.mixture, self.store.sizes())
            for there in [whole[str(row["language"]), str(row["source"])]]
        ]  # fmt: skip


def run_pretrain_text(config: TextConfig, inputs: TextInputs, context: StepContext) -> None:
    """Train the input model on documents; writes a checkpoint and ``metrics.jsonl``.

    The loss of a step is the sum over its predicted tokens divided by their number: it does not
    depend on the micro-batches. Dropout is that of the model's config.

    Inputs: ``model`` (a checkpoint's folder) and ``text`` (a ``TextSource``).

    Raises:
        InputError: the text cannot be read, or gives fewer tokens than were asked for.
        PolylectError: the loss is no longer finite.
    """
    folder = context.work / f"tokens-{processes()[0]}"
    ready = _prepare(config, inputs["model"].path, inputs["text"], folder, context.ledger)
    if processes()[0] == 0:
        write_json(context.out / MIXTURE, ready.mixture_rows())
    train_on(ready.store, ready.parent, ready.tokenizer, ready.training, context)


def forecast_text(config: TextConfig, model: Path, text: TextSource, ledger: Ledger) -> list[str]:
    """Lines for the terminal; the text is read and encoded, and one pass is measured.

    Args:
        config: of the training.
        model: a checkpoint's folder.
        text: what is trained on.
        ledger: gets what is dropped.

    Raises:
        InputError: as for ``run_pretrain_text``.
    """
    with tempfile.TemporaryDirectory() as folder:
        ready = _prepare(config, model, text, Path(folder), ledger)
        training, rows = ready.training, ready.mixture_rows()
        loader = make_loader(
            ready.store, training.mixture,
            context_tokens=training.context_tokens, batch_tokens=training.batch_tokens,
        )  # fmt: skip
        seconds = training.mixture.tokens * _seconds_per_token(ready)
    num_parameters = ready.parent.num_parameters
    estimate = Estimate(
        memory={"weights": 4 * num_parameters, "gradients and optimizer": 12 * num_parameters},
        seconds=seconds,
        memory_note=f"and a pass of up to {config.micro_batch_tokens:,} tokens",
    )
    lines = [
        f"pretrain: {num_parameters:,} parameters, {training.mixture.tokens:,} tokens,"
        f" {loader.num_steps:,} update{'s' * (loader.num_steps != 1)} at a peak rate of"
        f" {config.optim.learning_rate:g}"
    ]
    for row in rows:
        where = f"stage {row['stage']}, " if len(config.stages) > 1 else ""
        lines.append(
            f"  {where}{row['language']}: {row['tokens']:,} of {row['available']:,} tokens"
            f" ({row['epochs']:.3g} of its text)"
        )
    return [*lines, f"context: {training.context_tokens:,} tokens", *language_lines(ledger),
            *estimate.lines()]  # fmt: skip


def _prepare(
    config: TextConfig, model: Path, text: TextSource, folder: Path, ledger: Ledger
) -> _Prepared:
    """The checkpoint, the text as tokens in a folder, and what is trained on."""
    torch.set_num_threads(config.threads)
    parent = open_trainable(model)
    tokenizer = Tokenizer.load(model).within(parent.stated_rows)
    limit, why = context_limit(parent)
    context_tokens = config.context_tokens or min(limit, _DEFAULT_CONTEXT)
    if not 2 <= context_tokens <= limit:
        raise InputError(
            f"--context-tokens is {context_tokens}, the model takes 2 to {limit}{why}",
            f"--context-tokens {min(limit, _DEFAULT_CONTEXT)}, or leave it out",
        )
    collecting = CollectConfig(
        languages=config.languages,
        identifier=config.identifier,
        drop_other_language=config.drop_other_language,
    )
    documents = sorted(
        read_text([text], collecting, ledger), key=lambda document: (document.language, document.id)
    )
    if not documents:
        read = ", ".join(f"{num:,} {event}" for event, num in ledger.by_event().items())
        raise InputError(f"{getattr(text, 'path', text.name)}: no text is left ({read})",
                         "give text in a language that is asked for")  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(folder / "tokenizer")
    write_tokens(iter(documents), tokenizer, folder, Split.TRAIN, config.special_tokens, ledger)
    store = TokenStore(folder, Split.TRAIN)
    training = PretrainConfig(
        mixture=mixture_of(config, store.sizes(), stream_sizes(store, context_tokens)),
        optim=config.optim,
        batch_tokens=config.batch_tokens,
        micro_batch_tokens=max(config.micro_batch_tokens, context_tokens),
        context_tokens=context_tokens,
        experts_per_token=config.experts_per_token,
        save_every=config.save_every,
        threads=config.threads,
    )
    return _Prepared(parent, tokenizer, store, training)


def stream_sizes(store: TokenStore, context_tokens: int) -> dict[tuple[str, str], int]:
    """Tokens by language and source as the model reads them: a run begins with BOS, a document ends
    with EOS.

    Args:
        store: of the documents.
        context_tokens: longest run.
    """
    body = pl.col("tokens") + 1
    runs = (body + context_tokens - 2) // (context_tokens - 1)
    frame = store.documents.filter(pl.col("tokens") > 0)
    sums = frame.group_by("language", "source").agg((body + runs).sum().alias("stream"))
    return {(language, source): int(num) for language, source, num in sorted(sums.rows())}


def mixture_of(
    config: TextConfig,
    sizes: Mapping[tuple[str, str], int],
    whole: Mapping[tuple[str, str], int],
) -> Mixture:
    """The stages in tokens: by a temperature, or by shares that are fixed.

    Args:
        config: tokens, stages and epochs.
        sizes: tokens of text by language and source.
        whole: the same as the model reads them, see ``stream_sizes``.

    Raises:
        InputError: a share of which there is no text, or a stage without a token.
    """
    total = config.tokens or sum(whole.values())
    stages = []
    for number, (stage, num) in enumerate(
        zip(config.stages, stage_sizes(config.stages, total), strict=True), start=1
    ):
        parts = quotas(whole, stage.temperature, stage.shares, num, f"stage {number}")
        shares = tuple(
            Share(
                language=cell[0],
                source=cell[1],
                # A mixture counts text: BOS and EOS come on top, for short documents above all.
                weight=(whole[cell] / sizes[cell]) ** (1 / stage.temperature),
                part=parts[cell] / num if stage.shares else None,
                max_epochs=config.max_epochs * whole[cell] / sizes[cell],
            )
            for cell in whole
            if parts[cell]
        )
        stages.append(Stage(tokens=num, shares=shares, temperature=stage.temperature))
    return Mixture(stages=tuple(stages), seed=config.seed)


def _seconds_per_token(ready: _Prepared) -> float:
    """Seconds per token of one pass; the model is thrown away."""
    model = on_device(load_model(ready.parent), device()).train()
    training = ready.training
    check_routers(model, training.optim)
    check_experts_per_token(model, training.experts_per_token)
    loader = make_loader(
        ready.store, training.mixture,
        context_tokens=training.context_tokens, batch_tokens=_TRIAL_TOKENS,
    )  # fmt: skip
    batch = loader.passes(0, training.micro_batch_tokens)
    started = time.perf_counter()
    gradients(model, batch, Mesh(alone=True), training.experts_per_token)
    return (time.perf_counter() - started) / sum(row.num_tokens for row in batch)
