"""Training of a reward model: one number for an answer, so that the preferred one gets more."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch

from polylect.models import reward_model
from polylect.rows import read_preferences
from polylect.runs import StepContext
from polylect.training import objectives
from polylect.training.batch_metrics import summary
from polylect.training.config import RewardConfig
from polylect.training.encode import PreferenceTokens, encode_preferences, micro_batches
from polylect.training.held_out import write_held_out
from polylect.training.lora import add_adapters
from polylect.training.mesh import Mesh
from polylect.training.packing import PLAIN, pack_pairs, sequence_rewards
from polylect.training.policy import Policy, autocast, open_policy
from polylect.training.pretrain_loop import make_optimizer
from polylect.training.sampler import order_of
from polylect.training.session import Session


def run_reward(config: RewardConfig, inputs: Mapping[str, Any], context: StepContext) -> None:
    """Train a reward model on the input model's body; writes a checkpoint and ``metrics.jsonl``.

    The loss of an update is the mean over its pairs. A file's ``margin`` is subtracted from the
    difference of the rewards.

    Inputs: ``model`` (a checkpoint's folder), ``data`` (a file of preferences) and, where there is
    one, ``held_out`` (another, of which ``scores.parquet`` tells what the trained model makes).

    Raises:
        InputError: a row does not fit, or the architecture cannot be a reward model.
        PolylectError: the loss is not finite any more.
    """
    one = config.examples
    start = open_policy(inputs["model"].path, one, context.ledger)
    pairs = encode_preferences(
        read_preferences(inputs["data"].path, one.default_language),
        start.style, start.context_tokens, one.over_long, context.ledger,
    )  # fmt: skip
    order = order_of(one, pairs, [each.num_tokens for each in pairs], context)
    mesh = Mesh()
    model = _load(start, config)
    mesh.shard(model)
    optimizer = make_optimizer(model, config.optim)
    num_steps = -(-len(order) // one.batch_size)
    session = Session(context, model, optimizer, config.optim, num_steps,
                      save_every=one.save_every, seed=one.seed, mesh=mesh)  # fmt: skip
    held: list[PreferenceTokens] = []
    if "held_out" in inputs:
        others = read_preferences(inputs["held_out"].path, one.default_language)
        held = encode_preferences(
            others, start.style, start.context_tokens, one.over_long, context.ledger
        )
    for step, row in session.steps():
        mine = order[step * one.batch_size : (step + 1) * one.batch_size]
        row |= gradients(model, [pairs[i] for i in mine], config, mesh)
        row["gradient_norm"] = session.update(step, row["loss"])
    if held:
        told = evaluate(model, held, config, mesh)
        if mesh.first:
            write_held_out(context.out, told, "reward")
    settings = {"learning_rate": config.optim.learning_rate, "epochs": one.epochs,
                "reward_centering": config.reward_centering}  # fmt: skip
    session.finish(start.checkpoint, start.tokenizer, "reward", settings,
                   lambda: _load(start, config))  # fmt: skip


def _load(start: Policy, config: RewardConfig) -> Any:
    model = reward_model(start.load(), start.tokenizer.pad_id).train()
    if config.optim.lora_rank:
        add_adapters(model, config.optim, config.examples.seed)
    return model


def gradients(
    model: Any, pairs: Sequence[PreferenceTokens], config: RewardConfig, mesh: Mesh | None = None
) -> dict[str, Any]:
    """Add an update's gradients; its mean loss, and what happened, by language."""
    mesh = mesh or Mesh()
    found = []
    for number, loss, real, told in _passes(model, pairs, config, mesh):
        mesh.backward(loss.sum() * real / len(pairs))
        found.append((number, told))
    rows = [row for told in mesh.gather(found) for row in told]
    counts = {"tokens": sum(pair.num_tokens for pair in pairs), "examples": len(pairs)}
    return counts | summary(rows)


@torch.no_grad()
def evaluate(
    model: Any, pairs: Sequence[PreferenceTokens], config: RewardConfig, mesh: Mesh | None = None
) -> list[dict[str, Any]]:
    """What the model makes of every pair, in order; nothing is learned."""
    mesh = mesh or Mesh()
    found = [(number, told) for number, _, _, told in _passes(model, pairs, config, mesh)]
    return [row for told in mesh.gather(found) for row in told]


def _passes(
    model: Any, pairs: Sequence[PreferenceTokens], config: RewardConfig, mesh: Mesh
) -> Iterator[tuple[int, torch.Tensor, float, list[dict[str, Any]]]]:
    """This process's passes: number, losses of the pairs, whether it counts, what happened."""
    parts = micro_batches(pairs, config.examples.micro_batch_tokens, lambda pair: pair.num_tokens)
    for number, part, real in mesh.share(parts):
        work = partial(sequence_rewards, batch=pack_pairs(part, PLAIN), num_sequences=2 * len(part))
        with autocast(config.examples):
            rewards = mesh.forward(model, work).float().view(-1, 2)
        chosen, rejected = rewards.unbind(dim=1)
        margins = torch.tensor([pair.margin for pair in part]).to(rewards)
        loss = objectives.bradley_terry(chosen, rejected, margins, config.reward_centering)
        values = rewards.detach().double().tolist()
        told = [
            {
                "language": pair.language,
                "loss": value,
                "accuracy": float(more > less) + 0.5 * float(more == less),
                "margin": more - less,
                "reward_chosen": more,
                "reward_rejected": less,
                "chosen_tokens": len(pair.chosen),
                "rejected_tokens": len(pair.rejected),
            }
            for pair, value, (more, less) in zip(part, loss.tolist(), values, strict=True)
        ]
        yield number, loss, real, told
