"""Supervised fine-tuning on conversations: packed rows, loss on the assistant's text alone."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from polylect.base import Ledger
from polylect.rows import Conversation, Prompt, read_conversations
from polylect.runs import StepContext, StepInputs
from polylect.text import Segment, TokenBatch, pack
from polylect.training.balance import balanced
from polylect.training.callbacks import ProbeCallback
from polylect.training.config import ExamplesConfig, SftConfig
from polylect.training.encode import ConversationTokens, encode_conversations, micro_batches
from polylect.training.mesh import Mesh
from polylect.training.policy import Policy, autocast, open_policy
from polylect.training.pretrain_loop import add_by_language, losses_of, nll_of
from polylect.training.sampler import sample_order
from polylect.training.session import Session, num_batches

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def run_sft(config: SftConfig, inputs: StepInputs, context: StepContext) -> None:
    """Fine-tune the input model; writes a checkpoint and ``metrics.jsonl``.

    The loss of a step is the sum over its trained tokens divided by their number: it does not
    depend on the micro-batches.

    Dropout is that of the model's config, as in transformers.

    Inputs: ``model`` (a checkpoint's folder) and ``data`` (a file of conversations).

    Raises:
        InputError: a row does not fit.
        PolylectError: the loss is no longer finite.
    """
    data = config.examples
    policy = open_policy(inputs["model"].path, data, context.ledger)
    rows, conversations = load_examples(config, policy, inputs["data"].path, context.ledger)
    lengths = [conversation.num_tokens for conversation in conversations]
    order = sample_order(data, conversations, lengths, context)
    mesh = Mesh()
    model = policy.load(config.optim, data.seed, dropout=True)
    mesh.shard(model)
    num_steps = num_batches(len(order), data.batch_size)
    session = Session(context, model, config.optim, num_steps,
                      save_every=data.save_every, seed=data.seed, mesh=mesh)  # fmt: skip
    prompts = [prompt for row in rows if (prompt := first_turn(row)) is not None]
    probe = ProbeCallback(policy, prompts, data, num_steps, mesh)
    probe.count_idle(context.ledger)
    for step, metrics in session.steps():
        probe.before_step(step, model, metrics)
        indices = order[step * data.batch_size : (step + 1) * data.batch_size]
        metrics |= gradients(model, [conversations[i] for i in indices], data, mesh)
        metrics["gradient_norm"] = session.update(step, metrics["loss"])
        probe.after_step(step, model, metrics)
    settings = {"learning_rate": config.optim.learning_rate, "epochs": data.epochs}
    session.finish(policy.checkpoint, policy.tokenizer, "sft", settings,
                   lambda: policy.load(config.optim, data.seed), policy.style)  # fmt: skip


def load_examples(
    config: SftConfig, policy: Policy, path: Path, ledger: Ledger
) -> tuple[list[Conversation], list[ConversationTokens]]:
    """The conversations of a file, and those that fit as tokens.

    Raises:
        InputError: a row does not fit.
    """
    rows = read_conversations(path, config.examples.default_language, ledger)
    return rows, encode_conversations(
        rows, policy.style, policy.context_tokens, config.examples.over_long, ledger,
        config.examples.turns,
    )  # fmt: skip


def trial_step(
    config: SftConfig,
    policy: Policy,
    model: "PreTrainedModel",
    examples: Sequence[ConversationTokens],
) -> None:
    """One forward and backward pass, to measure its time."""
    gradients(model, examples, config.examples, Mesh(alone=True))


def first_turn(conversation: Conversation) -> Prompt | None:
    """A conversation up to the first answer to a user; None without one."""
    messages = conversation.messages
    asked = next((i for i, message in enumerate(messages) if message.role == "user"), len(messages))
    answers = (i for i in range(asked, len(messages)) if messages[i].role == "assistant")
    end = next(answers, 0)
    if not end:
        return None
    return Prompt.of(messages[:end], conversation.language, place=conversation.place)


def gradients(
    model: "PreTrainedModel",
    conversations: Sequence[ConversationTokens],
    config: ExamplesConfig,
    mesh: Mesh | None = None,
) -> dict[str, Any]:
    """Add a step's gradients; returns its loss per token, tokens, and both by language (nats)."""
    mesh = mesh or Mesh()
    num_trained = sum(int(example.trained[1:].sum()) for example in conversations)
    assert num_trained, "a step without a trained token"
    losses: list[tuple[int, tuple[float, dict[str, tuple[float, int]]]]] = []
    parts = micro_batches(
        conversations, config.micro_batch_tokens, lambda example: example.num_tokens
    )
    rows = [pack_conversations(part) for part in parts]
    with autocast(config), balanced(model, rows, mesh) as balance:
        for number, row, weight in mesh.share(rows):
            balance.begin(weight)
            loss, nll = mesh.forward(model, partial(nll_of, row=row))
            with torch.autocast(loss.device.type, enabled=False):
                mesh.backward(loss * weight / num_trained)
            balance.end(number)
            by_language: dict[str, tuple[float, int]] = {}
            add_by_language(by_language, row, nll)
            losses.append((number, (loss.item(), by_language)))
    loss_per_token, language_losses = losses_of(mesh.gather(losses), num_trained)
    return balance.metrics(mesh) | {
        "loss": loss_per_token,
        "tokens": sum(example.num_tokens for example in conversations),
        "trained_tokens": num_trained,
        "examples": len(conversations),
        "by_language": language_losses,
    }


def pack_conversations(conversations: Sequence[ConversationTokens]) -> TokenBatch:
    """Pack conversations into one row, without sharing."""
    segments = []
    for conversation in conversations:
        weight = conversation.trained.astype(np.float32)
        weight[0] = 0.0  # nothing stands before it
        segments.append(Segment(conversation.ids, weight, conversation.language))
    return pack(segments)
