"""Fine-tuning on conversations: packed rows, loss on what the assistant said and nothing else."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from polylect.rows import Conversation, Prompt, read_conversations
from polylect.runs import StepContext
from polylect.text import Segment, TokenBatch, pack
from polylect.training.callbacks import Probe
from polylect.training.config import ExamplesConfig, SftConfig
from polylect.training.encode import ConversationTokens, encode_conversations, micro_batches
from polylect.training.mesh import Mesh
from polylect.training.policy import autocast, open_policy
from polylect.training.pretrain_loop import add_by_language, losses_of, make_optimizer, nll_of
from polylect.training.sampler import order_of
from polylect.training.session import Session


def run_sft(config: SftConfig, inputs: Mapping[str, Any], context: StepContext) -> None:
    """Fine-tune the input model; writes a checkpoint and ``metrics.jsonl``.

    The loss of an update is the sum over what is learned from, divided by its number of tokens: it
    does not depend on how the update is cut into passes.

    Inputs: ``model`` (a checkpoint's folder) and ``data`` (a file of conversations).

    Raises:
        InputError: a row does not fit.
        PolylectError: the loss is not finite any more.
    """
    one = config.examples
    start = open_policy(inputs["model"].path, one, context.ledger)
    rows = read_conversations(inputs["data"].path, one.default_language)
    chats = encode_conversations(
        rows,
        start.style,
        start.context_tokens,
        one.over_long,
        context.ledger,
    )
    order = order_of(one, chats, [each.num_tokens for each in chats], context)
    mesh = Mesh()
    model = start.load(config.optim, one.seed)
    mesh.shard(model)
    optimizer = make_optimizer(model, config.optim)
    num_steps = -(-len(order) // one.batch_size)
    session = Session(context, model, optimizer, config.optim, num_steps,
                      save_every=one.save_every, seed=one.seed, mesh=mesh)  # fmt: skip
    look = Probe(start, [first_turn(chat) for chat in rows], one, num_steps, mesh)
    for step, row in session.steps():
        look.before(step, model, row)
        mine = order[step * one.batch_size : (step + 1) * one.batch_size]
        update = [chats[i] for i in mine]
        row |= gradients(model, update, one, mesh)
        row["gradient_norm"] = session.update(step, row["loss"])
        look.after(step, model, row)
    settings = {"learning_rate": config.optim.learning_rate, "epochs": one.epochs}
    session.finish(start.checkpoint, start.tokenizer, "sft", settings,
                   lambda: start.load(config.optim, one.seed))  # fmt: skip


def first_turn(chat: Conversation) -> Prompt:
    """A conversation up to its first answer."""
    at = next(i for i, message in enumerate(chat.messages) if message.role == "assistant")
    return Prompt.of(chat.messages[:at], chat.language, place=chat.place)


def gradients(
    model: Any,
    chats: Sequence[ConversationTokens],
    config: ExamplesConfig,
    mesh: Mesh | None = None,
) -> dict[str, Any]:
    """Add an update's gradients; its loss per token, tokens, and both by language (nats)."""
    mesh = mesh or Mesh()
    num_trained = sum(int(chat.trained[1:].sum()) for chat in chats)
    assert num_trained, "an update without a trained token"
    found: list[tuple[int, tuple[float, dict[str, tuple[float, int]]]]] = []
    parts = micro_batches(chats, config.micro_batch_tokens, lambda chat: chat.num_tokens)
    for number, part, real in mesh.share(parts):
        row = pack_chats(part)
        with autocast(config):
            loss, nll = mesh.forward(model, partial(nll_of, row=row))
        mesh.backward(loss * real / num_trained)
        by_language: dict[str, tuple[float, int]] = {}
        add_by_language(by_language, row, nll)
        found.append((number, (loss.item(), by_language)))
    loss_per_token, told = losses_of(mesh.gather(found), num_trained)
    return {
        "loss": loss_per_token,
        "tokens": sum(chat.num_tokens for chat in chats),
        "trained_tokens": num_trained,
        "examples": len(chats),
        "by_language": told,
    }


def pack_chats(chats: Sequence[ConversationTokens]) -> TokenBatch:
    """Conversations as one row."""
    segments = []
    for chat in chats:
        weight = chat.trained.astype(np.float32)
        weight[0] = 0.0  # nothing stands before it
        segments.append(Segment(chat.ids, weight, chat.language))
    return pack(segments)
