"""Training on preferences: a pair's prompt is computed once, the reference before the start."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from torch import Tensor

from polylect.base import InputError, atomic_file
from polylect.rows import Preference, Prompt, read_preferences
from polylect.runs import StepContext
from polylect.training import objectives
from polylect.training.batch_metrics import summary
from polylect.training.callbacks import Probe
from polylect.training.config import PreferenceConfig
from polylect.training.encode import PreferenceTokens, encode_preferences, micro_batches
from polylect.training.held_out import write_held_out
from polylect.training.mesh import Mesh
from polylect.training.packing import (
    PLAIN,
    SELF_IMPROVING,
    pack_mismatched,
    pack_pairs,
    sequence_log_probabilities,
)
from polylect.training.policy import Policy, autocast, open_policy
from polylect.training.pretrain_loop import make_optimizer
from polylect.training.sampler import order_of
from polylect.training.session import Session

_REFERENCE, _HELD_OUT = "reference.safetensors", "held-out.safetensors"


def run_preference(
    config: PreferenceConfig, inputs: Mapping[str, Any], context: StepContext
) -> None:
    """Align the input model with preferences; writes a checkpoint and ``metrics.jsonl``.

    The loss of an update is the mean over its pairs: it does not depend on how it is cut into
    passes. The reference is the input model itself; its log-probabilities are computed once, before
    the first update, and kept with the saved states.

    Inputs: ``model`` (a checkpoint's folder), ``data`` (a file of preferences) and, where there is
    one, ``held_out`` (another, of which ``scores.parquet`` tells what the trained model makes).

    Raises:
        InputError: a row does not fit, or KTO has one pair.
        PolylectError: the loss is not finite any more.
    """
    one = config.examples
    start = open_policy(inputs["model"].path, one, context.ledger)
    rows = read_preferences(inputs["data"].path, one.default_language)
    pairs = _encoded(rows, start, config, context)
    held: list[PreferenceTokens] = []
    if "held_out" in inputs:
        others = read_preferences(inputs["held_out"].path, one.default_language)
        held = _encoded(others, start, config, context)
    order = order_of(one, pairs, [each.num_tokens for each in pairs], context)
    mesh = Mesh()
    model = start.load(config.optim, one.seed)
    mesh.shard(model)
    reference = reference_of(model, pairs, config, context, _REFERENCE, mesh)
    beyond = reference_of(model, held, config, context, _HELD_OUT, mesh) if held else {}
    optimizer = make_optimizer(model, config.optim)
    num_steps = -(-len(order) // one.batch_size)
    session = Session(context, model, optimizer, config.optim, num_steps,
                      save_every=one.save_every, seed=one.seed, mesh=mesh)  # fmt: skip
    prompts = [Prompt.of(row.messages, row.language, place=row.place) for row in rows]
    look = Probe(start, prompts, one, num_steps, mesh)
    for step, row in session.steps():
        look.before(step, model, row)
        mine = order[step * one.batch_size : (step + 1) * one.batch_size]
        row |= gradients(model, pairs, mine, reference, config, mesh)
        row["gradient_norm"] = session.update(step, row["loss"])
        look.after(step, model, row)
    if held:
        told = evaluate(model, held, beyond, config, mesh)
        if mesh.first:
            write_held_out(context.out, told, config.objective)
    settings = {
        "objective": config.objective,
        "beta": config.kl_coefficient,
        "learning_rate": config.optim.learning_rate,
        "epochs": one.epochs,
    }
    session.finish(start.checkpoint, start.tokenizer, config.objective, settings,
                   lambda: start.load(config.optim, one.seed))  # fmt: skip


def _encoded(
    rows: Sequence[Preference], start: Policy, config: PreferenceConfig, context: StepContext
) -> list[PreferenceTokens]:
    refine = config.self_refine_prompt if config.objective == "srpo" else None
    over_long = config.examples.over_long
    found = encode_preferences(
        rows, start.style, start.context_tokens, over_long, context.ledger, refine
    )
    if config.objective == "kto" and len(found) == 1:
        raise InputError(
            f"{rows[0].place}: one pair, and KTO sets every answer against that of another prompt",
            "give at least two pairs, or choose another objective, e.g. dpo",
        )
    return found


def names_of(config: PreferenceConfig) -> Sequence[str]:
    """The sequences of a pair that the objective needs."""
    return SELF_IMPROVING if config.objective == "srpo" else PLAIN


@torch.no_grad()
def reference_of(
    model: Any,
    pairs: Sequence[PreferenceTokens],
    config: PreferenceConfig,
    context: StepContext,
    name: str,
    mesh: Mesh,
) -> dict[str, np.ndarray]:
    """The reference's log-probabilities in nats, ``sequences`` [N, S] and, for KTO, ``mismatched``
    [N]; read again where an earlier try computed them.

    Args:
        model: as it is before the first update.
        pairs: all of them.
        config: says which sequences.
        context: of the step.
        name: of the file in which they are kept.
        mesh: the processes.
    """  # fmt: skip
    path: Path = context.work / name
    known = path.is_file()
    mesh.barrier()
    if known:
        return load_file(path)
    names, done = names_of(config), 0
    found: list[tuple[int, tuple[np.ndarray, np.ndarray]]] = []
    parts = micro_batches(range(len(pairs)), config.examples.micro_batch_tokens, _size(pairs))
    for number, part, _ in mesh.share(parts):
        own = [pairs[i] for i in part]
        values = np.zeros((len(own), len(names)), np.float32)
        if config.objective != "simpo":
            batch = pack_pairs(own, names)
            values = _sequences(model, batch, values.size, config, mesh).view(values.shape)
            values = values.cpu().numpy()
        mismatched = np.zeros(len(own), np.float32)
        if config.objective == "kto":
            batch = pack_mismatched(own, [pairs[(i + 1) % len(pairs)] for i in part])
            mismatched = _sequences(model, batch, len(own), config, mesh).cpu().numpy()
        found.append((number, (values, mismatched)))
        done += len(part) * mesh.size
        context.report.update(min(done, len(pairs)), len(pairs), "pairs", "reference")
    everything = mesh.gather(found)
    whole = {"sequences": np.concatenate([one for one, _ in everything])}
    if config.objective == "kto":
        whole["mismatched"] = np.concatenate([one for _, one in everything])
    if mesh.first:
        with atomic_file(path) as temporary:
            save_file(whole, temporary)
    mesh.barrier()
    return whole


def _sequences(model: Any, batch: Any, num: int, config: PreferenceConfig, mesh: Mesh) -> Tensor:
    with autocast(config.examples):
        return mesh.forward(
            model, partial(sequence_log_probabilities, batch=batch, num_sequences=num)
        )


def _size(pairs: Sequence[PreferenceTokens]) -> Any:
    return lambda i: pairs[i].num_tokens


def gradients(
    model: Any,
    pairs: Sequence[PreferenceTokens],
    mine: Sequence[int] | np.ndarray,
    reference: Mapping[str, np.ndarray],
    config: PreferenceConfig,
    mesh: Mesh | None = None,
) -> dict[str, Any]:
    """Add an update's gradients; its mean loss, and what happened, by language.

    Args:
        model: the policy.
        pairs: all of them.
        mine: those of the update.
        reference: of ``reference_of``.
        config: the objective.
        mesh: the processes; None is what torchrun says.
    """
    mesh = mesh or Mesh()
    found = []
    for number, loss, real, told in _passes(model, pairs, mine, reference, config, mesh):
        mesh.backward(loss.sum() * real / len(mine))
        found.append((number, (float(loss.sum().detach()), told)))
    everything = mesh.gather(found)
    total = sum(one for one, _ in everything)
    rows = [row for _, told in everything for row in told]
    counts = {"tokens": sum(pairs[i].num_tokens for i in mine), "examples": len(mine)}
    return counts | summary(rows) | {"loss": total / len(mine)}


@torch.no_grad()
def evaluate(
    model: Any,
    pairs: Sequence[PreferenceTokens],
    reference: Mapping[str, np.ndarray],
    config: PreferenceConfig,
    mesh: Mesh | None = None,
) -> list[dict[str, Any]]:
    """What the model makes of every pair, in order; nothing is learned."""
    mesh = mesh or Mesh()
    everything = _passes(model, pairs, range(len(pairs)), reference, config, mesh)
    found = [(number, told) for number, _, _, told in everything]
    return [row for told in mesh.gather(found) for row in told]


def _passes(
    model: Any,
    pairs: Sequence[PreferenceTokens],
    mine: Sequence[int] | np.ndarray,
    reference: Mapping[str, np.ndarray],
    config: PreferenceConfig,
    mesh: Mesh,
) -> Iterator[tuple[int, Tensor, float, list[dict[str, Any]]]]:
    """This process's passes: number, losses of the pairs, whether it counts, what happened."""
    names, beta = names_of(config), config.kl_coefficient
    baseline = _baseline(model, pairs, mine, reference, config, mesh)
    parts = micro_batches([int(i) for i in mine], config.examples.micro_batch_tokens, _size(pairs))
    for number, part, real in mesh.share(parts):
        own = [pairs[i] for i in part]
        batch = pack_pairs(own, names)
        flat = _sequences(model, batch, len(own) * len(names), config, mesh)
        policy = flat.view(len(own), len(names))
        known = torch.from_numpy(reference["sequences"][part]).to(policy)
        loss = pair_losses(config, beta, policy, policy - known, own, baseline)
        yield number, loss, real, _told(own, policy.detach(), known, loss.detach(), beta)


@torch.no_grad()
def _baseline(
    model: Any,
    pairs: Sequence[PreferenceTokens],
    mine: Sequence[int] | np.ndarray,
    reference: Mapping[str, np.ndarray],
    config: PreferenceConfig,
    mesh: Mesh,
) -> Tensor | None:
    """KTO's, over the whole update."""
    if config.objective != "kto":
        return None
    found = []
    parts = micro_batches([int(i) for i in mine], config.examples.micro_batch_tokens, _size(pairs))
    for number, part, _ in mesh.share(parts):
        own, others = [pairs[i] for i in part], [pairs[(i + 1) % len(pairs)] for i in part]
        policy = _sequences(model, pack_mismatched(own, others), len(own), config, mesh)
        known = torch.from_numpy(reference["mismatched"][part]).to(policy)
        found.append((number, (policy - known).cpu()))
    return objectives.kto_baseline(torch.cat(mesh.gather(found)))


def pair_losses(
    config: PreferenceConfig,
    beta: float,
    policy: Tensor,
    ratios: Tensor,
    pairs: Sequence[PreferenceTokens],
    baseline: Tensor | None = None,
) -> Tensor:
    """The objective's loss of every pair [N].

    Args:
        config: says which objective.
        beta: of ``config.kl_coefficient``.
        policy: log-probabilities of the sequences of ``names_of`` [N, S].
        ratios: the same minus the reference's [N, S].
        pairs: what they are of [N].
        baseline: KTO's.
    """
    chosen, rejected = ratios[:, 0], ratios[:, 1]
    lengths = torch.tensor([[len(one.chosen), len(one.rejected)] for one in pairs]).to(policy)
    smoothing = config.label_smoothing
    match config.objective:
        case "dpo":
            loss = objectives.dpo(chosen, rejected, beta, smoothing)
        case "robust-dpo":
            loss = objectives.robust_dpo(chosen, rejected, beta, smoothing)
        case "ipo":
            loss = objectives.ipo(chosen, rejected, beta)
        case "ipo-mean":
            loss = objectives.ipo_mean(chosen, rejected, lengths[:, 0], lengths[:, 1], beta)
        case "simpo":
            loss = objectives.simpo(
                policy[:, 0], policy[:, 1], lengths[:, 0], lengths[:, 1], beta, config.margin
            )
        case "slic":
            loss = objectives.slic(chosen, rejected, beta)
        case "kto":
            assert baseline is not None
            good = torch.ones_like(chosen, dtype=torch.bool)
            loss = objectives.kto(chosen, good, baseline, beta)
            loss = loss + objectives.kto(rejected, ~good, baseline, beta)
        case "srpo":
            _, _, same, worse, better, other = ratios.unbind(dim=1)
            loss = objectives.srpo(
                chosen, rejected, same, worse, better, other, beta, config.alpha, smoothing
            )
        case "copg":
            quarter = (objectives.NO_SCORE, -objectives.NO_SCORE)
            rewards = torch.tensor([one.scores or quarter for one in pairs]).to(policy)
            loss = objectives.copg(ratios, rewards, beta)
    return objectives.with_sft(loss, policy[:, 0], lengths[:, 0], config.sft_weight)


def _told(
    pairs: Sequence[PreferenceTokens], policy: Tensor, known: Tensor, loss: Tensor, beta: float
) -> list[dict[str, Any]]:
    """What happened to every pair."""
    ratios = (policy - known)[:, :2].double().cpu().tolist()
    return [
        {
            "language": pair.language,
            "loss": value,
            # Before the first update both gained nothing: a tie is half right, as for rewards.
            "accuracy": float(chosen > rejected) + 0.5 * float(chosen == rejected),
            "margin": beta * (chosen - rejected),
            "log_ratio_chosen": chosen,
            "log_ratio_rejected": rejected,
            "chosen_tokens": len(pair.chosen),
            "rejected_tokens": len(pair.rejected),
        }
        for pair, (chosen, rejected), value in zip(pairs, ratios, loss.tolist(), strict=True)
    ]
