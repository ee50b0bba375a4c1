"""Training of a reward model: one number per answer, higher for the preferred one."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from polylect.base import Ledger
from polylect.models import reward_model
from polylect.rows import Preference, read_preferences
from polylect.runs import StepContext, StepInputs
from polylect.training import objectives
from polylect.training.batch_metrics import batch_means
from polylect.training.config import RewardConfig
from polylect.training.encode import PreferenceTokens, micro_batches
from polylect.training.held_out import write_held_out
from polylect.training.lora import add_adapters
from polylect.training.mesh import Mesh
from polylect.training.modes import count_dropout, evaluating, turn_off_dropout
from polylect.training.packing import PLAIN, pack_pairs, sequence_rewards
from polylect.training.pair_checks import count_margins, count_unused
from polylect.training.policy import Policy, autocast, open_policy
from polylect.training.reading import READING, encode_rewarded
from polylect.training.sampler import sample_order
from polylect.training.session import Session, num_batches

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def run_reward(config: RewardConfig, inputs: StepInputs, context: StepContext) -> None:
    """Train a reward model on the input model's body; writes a checkpoint and ``metrics.jsonl``.

    The loss of a step is the mean over its pairs. A row's ``margin`` is subtracted from the
    difference of the rewards. Rewards are read as ``training.reading`` says. There is no dropout
    (see ``training.modes``).

    Inputs: ``model`` (a checkpoint's folder), ``data`` (a file of preferences) and optionally
    ``held_out`` (another, whose metrics go to ``scores.parquet``).

    Raises:
        InputError: a row does not fit, or the architecture cannot be a reward model.
        PolylectError: the loss is no longer finite.
    """
    data = config.examples
    policy = open_policy(inputs["model"].path, data, context.ledger)
    _, pairs = load_examples(config, policy, inputs["data"].path, context.ledger)
    order = sample_order(data, pairs, [pair.num_tokens for pair in pairs], context)
    mesh = Mesh()
    model = _load(policy, config)
    count_dropout(model, context.ledger)
    mesh.shard(model)
    session = Session(context, model, config.optim, num_batches(len(order), data.batch_size),
                      save_every=data.save_every, seed=data.seed, mesh=mesh)  # fmt: skip
    held_out: list[PreferenceTokens] = []
    if "held_out" in inputs:
        _, held_out = load_examples(config, policy, inputs["held_out"].path, context.ledger)
    for step, metrics in session.steps():
        indices = order[step * data.batch_size : (step + 1) * data.batch_size]
        metrics |= gradients(model, [pairs[i] for i in indices], config, mesh)
        metrics["gradient_norm"] = session.update(step, metrics["loss"])
    if held_out:
        with evaluating(model):
            rows = evaluate(model, held_out, config, mesh)
        if mesh.first:
            items = [pair.item for pair in held_out]
            write_held_out(context.out, items, rows, "reward", "objective=reward")
    settings = {"learning_rate": config.optim.learning_rate, "epochs": data.epochs,
                "reward_centering": config.reward_centering, "reading": READING}  # fmt: skip
    session.finish(policy.checkpoint, policy.tokenizer.with_pad(), "reward", settings,
                   lambda: _load(policy, config), policy.style)  # fmt: skip


def _load(policy: Policy, config: RewardConfig) -> "PreTrainedModel":
    model = reward_model(policy.load(), policy.tokenizer.pad_id)
    if config.optim.lora_rank:
        add_adapters(model, config.optim, config.examples.seed)
    turn_off_dropout(model, recompute=policy.recompute)
    return model


def load_examples(
    config: RewardConfig, policy: Policy, path: Path, ledger: Ledger
) -> tuple[list[Preference], list[PreferenceTokens]]:
    """The preferences of a file, and those that fit as tokens.

    Raises:
        InputError: a row does not fit.
    """
    rows = read_preferences(path, config.examples.default_language, ledger)
    pairs = encode_rewarded(
        rows, policy.style, policy.context_tokens, config.examples.over_long, ledger,
        policy.tokenizer.pad_id,
    )  # fmt: skip
    count_margins(pairs, ledger)
    count_unused(rows, ledger, margins=True)
    return rows, pairs


def trial_step(
    config: RewardConfig,
    policy: Policy,
    model: "PreTrainedModel",
    examples: Sequence[PreferenceTokens],
) -> None:
    """One forward and backward pass, to measure its time."""
    gradients(reward_model(model, policy.tokenizer.pad_id), examples, config, Mesh(alone=True))


def gradients(
    model: "PreTrainedModel",
    pairs: Sequence[PreferenceTokens],
    config: RewardConfig,
    mesh: Mesh | None = None,
) -> dict[str, Any]:
    """Add a step's gradients; returns its mean loss and metrics, also by language."""
    mesh = mesh or Mesh()
    metrics = []
    for number, loss, weight, rows in _forward(model, pairs, config, mesh):
        mesh.backward(loss.sum() * weight / len(pairs))
        metrics.append((number, rows))
    everything = [row for rows in mesh.gather(metrics) for row in rows]
    counts = {"tokens": sum(pair.num_tokens for pair in pairs), "examples": len(pairs)}
    return counts | batch_means(everything)


@torch.no_grad()
def evaluate(
    model: "PreTrainedModel",
    pairs: Sequence[PreferenceTokens],
    config: RewardConfig,
    mesh: Mesh | None = None,
) -> list[dict[str, Any]]:
    """Metrics of every pair under the model, in order."""
    mesh = mesh or Mesh()
    metrics = [(number, rows) for number, _, _, rows in _forward(model, pairs, config, mesh)]
    return [row for rows in mesh.gather(metrics) for row in rows]


def _forward(
    model: "PreTrainedModel", pairs: Sequence[PreferenceTokens], config: RewardConfig, mesh: Mesh
) -> Iterator[tuple[int, torch.Tensor, float, list[dict[str, Any]]]]:
    """This process's micro-batches: number, losses of the pairs, weight, metrics of the pairs."""
    parts = micro_batches(pairs, config.examples.micro_batch_tokens, lambda pair: pair.num_tokens)
    for number, part, weight in mesh.share(parts):
        function = partial(
            sequence_rewards, batch=pack_pairs(part, PLAIN), num_sequences=2 * len(part)
        )
        with autocast(config.examples):
            rewards = mesh.forward(model, function).float().view(-1, 2)
        chosen, rejected = rewards.unbind(dim=1)
        margins = torch.tensor([pair.margin for pair in part]).to(rewards)
        loss = objectives.bradley_terry(chosen, rejected, margins, config.reward_centering)
        values = rewards.detach().double().tolist()
        rows = [
            {
                "language": pair.language,
                "loss": pair_loss,
                "accuracy": float(better > worse) + 0.5 * float(better == worse),
                "margin": better - worse,
                "reward_chosen": better,
                "reward_rejected": worse,
                "chosen_tokens": len(pair.chosen),
                "rejected_tokens": len(pair.rejected),
            }
            for pair, pair_loss, (better, worse) in zip(part, loss.tolist(), values, strict=True)
        ]
        yield number, loss, weight, rows
