"""Pretraining: a language-model loop over packed rows."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from polylect.base import write_json
from polylect.checkpoints import Checkpoint
from polylect.mixtures import TokenStore, make_loader
from polylect.models import (
    check_tokenizer,
    forward_hidden,
    head_of,
    load_model,
    on_device,
    scored_positions,
    weighted_nll,
)
from polylect.rows import Split
from polylect.runs import StepContext, StepInputs
from polylect.text import TokenBatch, Tokenizer
from polylect.training.balance import balanced
from polylect.training.config import PretrainConfig
from polylect.training.freezing import freeze
from polylect.training.mesh import Mesh
from polylect.training.policy import device
from polylect.training.routers import check_experts_per_token, check_routers
from polylect.training.session import Session

if TYPE_CHECKING:
    from transformers import PreTrainedModel

READ = "read.json"
"""What a training read: tokens, predicted tokens, runs and documents of a language and source."""


def run_pretrain(config: PretrainConfig, inputs: StepInputs, context: StepContext) -> None:
    """Train the input model on a mixture; writes a checkpoint, ``metrics.jsonl``, ``read.json``.

    The loss of a step is the sum over its predicted tokens divided by their number: it does not
    depend on the micro-batches. Resumed ≡ uninterrupted, byte for byte, at an equal
    number of threads.

    Inputs: ``tokens`` (from ``tokenize_text``) and ``model`` (a checkpoint's folder).

    Raises:
        PolylectError: the loss is no longer finite.
    """
    torch.set_num_threads(config.threads)
    store = TokenStore(inputs["tokens"].path, Split.TRAIN)
    parent = Checkpoint.open(inputs["model"].path)
    check_tokenizer(parent, store.tokenizer())
    train_on(store, parent, store.tokenizer(), config, context)


def train_on(
    store: TokenStore,
    parent: Checkpoint,
    tokenizer: Tokenizer,
    config: PretrainConfig,
    context: StepContext,
) -> None:
    """Train a checkpoint on tokens; writes a checkpoint, ``metrics.jsonl`` and ``read.json``.

    Args:
        store: the tokens.
        parent: the checkpoint.
        tokenizer: its tokenizer, which is written beside the weights.
        config: mixture, optimizer and batches.
        context: of the run's step.

    Raises:
        PolylectError: the loss is no longer finite.
    """
    parent.beside.count_left(context.ledger)
    loader = make_loader(
        store,
        config.mixture,
        context_tokens=config.context_tokens,
        batch_tokens=config.batch_tokens,
        first_stage=config.first_stage,
    )
    assert not config.optim.lora_rank, "pretraining has no adapters"
    mesh = Mesh()
    model = on_device(load_model(parent), device()).train()
    check_routers(model, config.optim)
    check_experts_per_token(model, config.experts_per_token)
    freeze(model, config.optim.freeze)
    mesh.shard(model)
    session = Session(
        context, model, config.optim, loader.num_steps, save_every=config.save_every,
        seed=config.mixture.seed, mesh=mesh,
    )  # fmt: skip
    for step, metrics in session.steps():
        passes = loader.passes(step, config.micro_batch_tokens)
        metrics |= gradients(model, passes, mesh, config.experts_per_token)
        metrics["gradient_norm"] = session.update(step, metrics["loss"])
    for event, where, num in loader.ledger.rows():
        context.ledger.count(event, num, where)
    if mesh.first:
        write_json(context.out / READ, loader.read().to_dicts())
    settings = {
        "tokens": sum(stage.tokens for stage in config.mixture.stages[config.first_stage :]),
        "learning_rate": config.optim.learning_rate,
        "text_licenses": sorted(store.documents["license"].unique().to_list()),
    }
    session.finish(parent, tokenizer, "pretrain", settings, lambda: load_model(parent))


def gradients(
    model: "PreTrainedModel",
    rows: Sequence[TokenBatch],
    mesh: Mesh | None = None,
    experts_per_token: int = 0,
) -> dict[str, Any]:
    """Add a step's gradients; returns its loss per token, tokens, and both by language (nats)."""
    mesh = mesh or Mesh()
    num_predicted = sum(int((row.loss_weight > 0).sum()) for row in rows)
    losses: list[tuple[int, tuple[float, dict[str, tuple[float, int]]]]] = []
    with balanced(model, rows, mesh, experts_per_token) as balance:
        for number, row, weight in mesh.share(rows):
            balance.begin(weight)
            loss, nll = mesh.forward(model, partial(nll_of, row=row))
            mesh.backward(loss * weight / num_predicted)
            balance.end(number)
            by_language: dict[str, tuple[float, int]] = {}
            add_by_language(by_language, row, nll)
            losses.append((number, (loss.item(), by_language)))
    loss_per_token, language_losses = losses_of(mesh.gather(losses), num_predicted)
    return balance.metrics(mesh) | {
        "loss": loss_per_token,
        "tokens": sum(row.num_tokens for row in rows),
        "by_language": language_losses,
    }


def nll_of(model: "PreTrainedModel", row: TokenBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """A packed row's weighted sum of negative log-probabilities, and each token's."""
    before, targets, weights = scored_positions(row)
    hidden = forward_hidden(model, row)
    device = hidden.device
    return weighted_nll(
        hidden[before.to(device)], head_of(model), targets.to(device), weights.to(device)
    )


def losses_of(
    parts: Sequence[tuple[float, Mapping[str, tuple[float, int]]]], num_tokens: int
) -> tuple[float, dict[str, Any]]:
    """Loss per token of a step's micro-batches, and loss and tokens by language."""
    total, sums = 0.0, {}
    for loss, part_sums in parts:
        total += loss
        for tag, (nats, num) in part_sums.items():
            total_nats, total_num = sums.get(tag, (0.0, 0))
            sums[tag] = (total_nats + nats, total_num + num)
    by_language = {
        tag: {"loss": nats / num, "tokens": num} for tag, (nats, num) in sorted(sums.items())
    }
    return total / num_tokens, by_language


def add_by_language(sums: dict[str, tuple[float, int]], row: Any, nll: torch.Tensor) -> None:
    """Add the nats and the number of predicted tokens of every language to ``sums``."""
    segment = row.segment_of_token()[row.loss_weight > 0]
    names = np.array(row.languages)[segment]
    values = nll.double().cpu().numpy()
    for tag in np.unique(names):
        selected = names == tag
        nats, num = sums.get(str(tag), (0.0, 0))
        sums[str(tag)] = (nats + float(values[selected].sum()), num + int(selected.sum()))
