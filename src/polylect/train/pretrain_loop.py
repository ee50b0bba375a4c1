"""The language-model loop: one packed row after another, read from top to bottom."""

import json
import math
import os
import shutil
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from polylect.base import PolylectError, derive_seed, write_json
from polylect.checkpoints import Checkpoint, Lineage, Parent
from polylect.mixtures import Loader, TokenStore, make_loader
from polylect.models import (
    check_tokenizer,
    forward_hidden,
    head_of,
    load_model,
    save_model,
    scored_positions,
    weighted_nll,
)
from polylect.rows import Split
from polylect.runs import VOLATILE, StepContext
from polylect.train.config import OptimConfig, PretrainConfig
from polylect.train.schedule import learning_rate
from polylect.train.state import Position, load_state, save_state


def run_pretrain(config: PretrainConfig, inputs: Mapping[str, Any], context: StepContext) -> None:
    """Train the input model on the mixture; writes a checkpoint and ``metrics.jsonl``.

    The loss of an update is the sum over its predicted tokens, divided by their number: it does not
    depend on how the update is cut into passes. Resumed ≡ uninterrupted, byte for byte, at an equal
    number of threads.

    Inputs: ``tokens`` (from ``tokenise_text``) and ``model`` (a checkpoint's folder).

    Raises:
        PolylectError: the loss is not finite any more.
    """
    torch.set_num_threads(config.threads)
    store = TokenStore(inputs["tokens"].path, Split.TRAIN)
    loader = make_loader(
        store,
        config.mixture,
        context_tokens=config.context_tokens,
        tokens_per_step=config.tokens_per_step,
    )
    parent = Checkpoint.open(inputs["model"].path)
    check_tokenizer(parent, store.tokenizer())
    model = load_model(parent)
    model.train()
    optimiser = make_optimiser(model, config.optim)
    position = load_state(context.work, model, optimiser) or Position(0, 0, 0.0)

    num_steps = loader.num_steps
    metrics = context.work / "metrics.jsonl"
    started = time.monotonic()
    with open(metrics, "ab") as log:
        log.truncate(position.metrics_bytes)
        for step in range(position.step, num_steps):
            torch.manual_seed(derive_seed(config.mixture.seed, "dropout", step))
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(config.optim, step, num_steps)
            row = update(model, optimiser, loader, step, config)
            row = {"step": step + 1, "learning_rate": optimiser.param_groups[0]["lr"]} | row
            log.write(json.dumps(row).encode() + b"\n")
            done = (step + 1) / num_steps * config.mixture.tokens
            context.report.update(done, config.mixture.tokens, "tokens", f"loss {row['loss']:.3f}")
            if (step + 1) % config.save_every == 0 and step + 1 < num_steps:
                log.flush()
                os.fsync(log.fileno())
                seconds = position.seconds + time.monotonic() - started
                save_state(context.work, model, optimiser, Position(step + 1, log.tell(), seconds))

    # A copy: whoever is killed from here on needs it again.
    shutil.copyfile(metrics, context.out / "metrics.jsonl")
    seconds = position.seconds + time.monotonic() - started
    rate = round(config.mixture.tokens / max(seconds, 1e-9))
    spent = {"training_seconds": round(seconds, 3), "tokens_per_second": rate}
    write_json(context.work / VOLATILE, spent)
    for event, where, num in loader.ledger.rows():
        context.ledger.count(event, num, where)
    lineage = Lineage(
        method="pretrain",
        settings={
            "tokens": config.mixture.tokens,
            "learning_rate": config.optim.learning_rate,
            "text_licences": sorted(store.documents["licence"].unique().to_list()),
        },
        parents=(Parent(label="init", digest=parent.digest, licence=parent.licence),),
        licence=parent.licence,
    )
    model.eval()
    save_model(model, store.tokenizer(), context.out, lineage)


def make_optimiser(model: torch.nn.Module, config: OptimConfig) -> torch.optim.AdamW:
    """AdamW; weight decay on matrices, none on norms, biases and the embedding."""
    embedding = {id(p) for p in model.get_input_embeddings().parameters()}  # pyrefly: ignore
    trained = [p for p in model.parameters() if p.requires_grad]
    decayed = [p for p in trained if p.ndim >= 2 and id(p) not in embedding]
    plain = [p for p in trained if p.ndim < 2 or id(p) in embedding]
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    groups = [one for one in groups if one["params"]]
    return torch.optim.AdamW(
        groups, lr=config.learning_rate, betas=(config.beta1, config.beta2), fused=True
    )


def update(
    model: Any,
    optimiser: torch.optim.Optimizer,
    loader: Loader,
    step: int,
    config: PretrainConfig,
) -> dict[str, Any]:
    """Update ``step``, from 0: loss, gradient norm, tokens, and loss by language (nats/token).

    Raises:
        PolylectError: the loss or the gradient is not finite.
    """
    rows = loader.passes(step, config.tokens_per_pass)
    num_predicted = sum(int((row.loss_weight > 0).sum()) for row in rows)
    head = head_of(model)
    total, by_language = 0.0, {}
    for row in rows:
        before, targets, weights = scored_positions(row)
        hidden = forward_hidden(model, row)[before]
        loss, nll = weighted_nll(hidden, head, targets, weights)
        (loss / num_predicted).backward()
        total += loss.item()
        add_by_language(by_language, row, nll)
    norm = torch.nn.utils.clip_grad_norm_(
        model.parameters(), config.optim.clip if config.optim.clip > 0 else float("inf")
    )
    for name, value in (("loss", total), ("norm of the gradient", norm.item())):
        if not math.isfinite(value):
            lower = config.optim.learning_rate / 3
            raise PolylectError(
                f"the {name} became {value} after {step} updates",
                f"lower the learning rate, e.g. --learning-rate {lower:.1g}",
            )
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return {
        "loss": total / num_predicted,
        "gradient_norm": norm.item(),
        "tokens": sum(row.num_tokens for row in rows),
        "by_language": {
            tag: {"loss": nats / num, "tokens": num}
            for tag, (nats, num) in sorted(by_language.items())
        },
    }


def add_by_language(sums: dict[str, tuple[float, int]], row: Any, nll: torch.Tensor) -> None:
    """Add the nats and the number of predicted tokens of every language to ``sums``."""
    segment = row.segment_of_token()[row.loss_weight > 0]
    names = np.array(row.languages)[segment]
    values = nll.double().numpy()
    for tag in np.unique(names):
        mine = names == tag
        nats, num = sums.get(str(tag), (0.0, 0))
        sums[str(tag)] = (nats + float(values[mine].sum()), num + int(mine.sum()))
