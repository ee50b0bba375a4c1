"""Training on preferences: a pair shares its prompt; the reference is computed before step 1."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from torch import Tensor

from polylect.base import Ledger, atomic_file
from polylect.rows import Preference, Prompt, read_preferences
from polylect.runs import StepContext, StepInputs
from polylect.text import TokenBatch
from polylect.training import objectives
from polylect.training.batch_metrics import answer_lengths, batch_means, pair_metrics
from polylect.training.callbacks import ProbeCallback
from polylect.training.config import PreferenceConfig
from polylect.training.encode import PreferenceTokens, encode_preferences, micro_batches
from polylect.training.held_out import write_held_out
from polylect.training.mesh import Mesh
from polylect.training.modes import count_dropout, evaluating
from polylect.training.packing import (
    PLAIN,
    SELF_IMPROVING,
    pack_mismatched,
    pack_pairs,
    sequence_log_probabilities,
)
from polylect.training.pair_checks import check_scores, count_unused, with_partners
from polylect.training.policy import Policy, autocast, open_policy
from polylect.training.sampler import sample_order
from polylect.training.session import Session, num_batches

if TYPE_CHECKING:
    from transformers import PreTrainedModel


_REFERENCE, _HELD_OUT = "reference.safetensors", "held-out.safetensors"


def run_preference(config: PreferenceConfig, inputs: StepInputs, context: StepContext) -> None:
    """Align the input model with preferences; writes a checkpoint and ``metrics.jsonl``.

    The loss of a step is the mean over its pairs: it does not depend on the micro-batches. The
    reference is the input model itself; its log-probabilities are computed once, before the first
    step, and kept with the saved states. There is no dropout (see ``training.modes``).

    Inputs: ``model`` (a checkpoint's folder), ``data`` (a file of preferences) and optionally
    ``held_out`` (another, whose metrics go to ``scores.parquet``).

    Raises:
        InputError: a row does not fit, KTO has one prompt, or some rows have scores for CoPG.
        PolylectError: the loss is no longer finite.
    """
    data = config.examples
    policy = open_policy(inputs["model"].path, data, context.ledger)
    rows, pairs = load_examples(config, policy, inputs["data"].path, context.ledger)
    held_out: list[PreferenceTokens] = []
    if "held_out" in inputs:
        _, held_out = load_examples(config, policy, inputs["held_out"].path, context.ledger)
    order = sample_order(data, pairs, [pair.num_tokens for pair in pairs], context)
    mesh = Mesh()
    model = policy.load(config.optim, data.seed)
    count_dropout(model, context.ledger)
    mesh.shard(model)
    held_out_reference: dict[str, np.ndarray] = {}
    with evaluating(model):
        reference = reference_of(model, pairs, config, context, _REFERENCE, mesh)
        if held_out:
            held_out_reference = reference_of(model, held_out, config, context, _HELD_OUT, mesh)
    num_steps = num_batches(len(order), data.batch_size)
    session = Session(context, model, config.optim, num_steps,
                      save_every=data.save_every, seed=data.seed, mesh=mesh)  # fmt: skip
    prompts = [Prompt.of(row.messages, row.language, place=row.place) for row in rows]
    probe = ProbeCallback(policy, prompts, data, num_steps, mesh)
    probe.count_idle(context.ledger)
    for step, metrics in session.steps():
        probe.before_step(step, model, metrics)
        indices = order[step * data.batch_size : (step + 1) * data.batch_size]
        metrics |= gradients(model, pairs, indices, reference, config, mesh)
        metrics["gradient_norm"] = session.update(step, metrics["loss"])
        probe.after_step(step, model, metrics)
    if held_out:
        with evaluating(model):
            held_out_rows = evaluate(model, held_out, held_out_reference, config, mesh)
        if mesh.first:
            items = [pair.item for pair in held_out]
            scale = f"objective={config.objective} beta={config.kl_coefficient:g}"
            write_held_out(context.out, items, held_out_rows, config.objective, scale)
    settings = {
        "objective": config.objective,
        "beta": config.kl_coefficient,
        "learning_rate": config.optim.learning_rate,
        "epochs": data.epochs,
    }
    session.finish(policy.checkpoint, policy.tokenizer, config.objective, settings,
                   lambda: policy.load(config.optim, data.seed), policy.style)  # fmt: skip


def load_examples(
    config: PreferenceConfig, policy: Policy, path: Path, ledger: Ledger
) -> tuple[list[Preference], list[PreferenceTokens]]:
    """The preferences of a file, and those that fit as tokens.

    Raises:
        InputError: a row does not fit, KTO has one prompt, or some rows have scores for CoPG.
    """
    rows = read_preferences(path, config.examples.default_language, ledger)
    # A row's margin is for reward models: SimPO's γ is one for all.
    count_unused(rows, ledger, scores=config.objective == "copg")
    refine_prompt = config.self_refine_prompt if config.objective == "srpo" else None
    over_long = config.examples.over_long
    pairs = encode_preferences(
        rows, policy.style, policy.context_tokens, over_long, ledger, refine_prompt
    )
    if config.objective == "kto":
        pairs = with_partners(pairs, policy.context_tokens)
    if config.objective == "copg":
        check_scores(pairs)
    return rows, pairs


def trial_step(
    config: PreferenceConfig,
    policy: Policy,
    model: "PreTrainedModel",
    examples: Sequence[PreferenceTokens],
) -> None:
    """A pass of the reference, then a forward and backward pass, to measure their time."""
    names = names_of(config)
    batch = pack_pairs(examples, names)
    num_sequences = len(examples) * len(names)
    with torch.no_grad():
        reference = sequence_log_probabilities(model, batch, num_sequences)
    values = sequence_log_probabilities(model, batch, num_sequences)
    (values - reference).pow(2).sum().backward()


def names_of(config: PreferenceConfig) -> Sequence[str]:
    """The sequences of a pair that the objective needs."""
    return SELF_IMPROVING if config.objective == "srpo" else PLAIN


@torch.no_grad()
def reference_of(
    model: "PreTrainedModel",
    pairs: Sequence[PreferenceTokens],
    config: PreferenceConfig,
    context: StepContext,
    file_name: str,
    mesh: Mesh,
) -> dict[str, np.ndarray]:
    """The reference's log-probabilities in nats: ``sequences`` [N, S], for KTO ``mismatched`` [N].

    Args:
        model: as it is before the first step.
        pairs: all of them.
        config: says which sequences.
        context: of the run's step; its work folder keeps the numbers for a resume.
        file_name: of the file that keeps them.
        mesh: the processes.
    """
    path: Path = context.work / file_name
    is_kept = path.is_file()
    mesh.barrier()
    if is_kept:
        return load_file(path)
    names, num_done = names_of(config), 0
    parts = micro_batches(range(len(pairs)), config.examples.micro_batch_tokens, _size(pairs))
    computed: list[tuple[int, tuple[np.ndarray, np.ndarray]]] = []
    for number, part, _ in mesh.share(parts):
        batch_pairs = [pairs[i] for i in part]
        values = np.zeros((len(part), len(names)), np.float32)
        if config.objective != "simpo":
            batch = pack_pairs(batch_pairs, names)
            values = _sequences(model, batch, values.size, config, mesh).view(values.shape)
            values = values.cpu().numpy()
        mismatched = np.zeros(len(part), np.float32)
        if config.objective == "kto":
            batch = pack_mismatched(batch_pairs, [pairs[pairs[i].partner] for i in part])
            mismatched = _sequences(model, batch, len(part), config, mesh).cpu().numpy()
        computed.append((number, (values, mismatched)))
        num_done += len(part) * mesh.size
        context.report.update(min(num_done, len(pairs)), len(pairs), "pairs", "reference")
    everything = mesh.gather(computed)
    tensors = {"sequences": np.concatenate([values for values, _ in everything])}
    if config.objective == "kto":
        tensors["mismatched"] = np.concatenate([mismatched for _, mismatched in everything])
    if mesh.first:
        with atomic_file(path) as temporary:
            save_file(tensors, temporary)
    mesh.barrier()
    return tensors


def _sequences(
    model: "PreTrainedModel",
    batch: TokenBatch,
    num_sequences: int,
    config: PreferenceConfig,
    mesh: Mesh,
) -> Tensor:
    with autocast(config.examples):
        return mesh.forward(
            model, partial(sequence_log_probabilities, batch=batch, num_sequences=num_sequences)
        )


def _size(pairs: Sequence[PreferenceTokens]) -> Callable[[int], int]:
    return lambda i: pairs[i].num_tokens


def gradients(
    model: "PreTrainedModel",
    pairs: Sequence[PreferenceTokens],
    indices: Sequence[int] | np.ndarray,
    reference: Mapping[str, np.ndarray],
    config: PreferenceConfig,
    mesh: Mesh | None = None,
) -> dict[str, Any]:
    """Add a step's gradients; returns its mean loss and metrics, also by language.

    Args:
        model: the policy.
        pairs: all of them.
        indices: the step's pairs.
        reference: of ``reference_of``.
        config: the objective.
        mesh: the processes; None is what torchrun says.
    """
    mesh = mesh or Mesh()
    results = []
    for number, loss, weight, rows in _forward(model, pairs, indices, reference, config, mesh):
        mesh.backward(loss.sum() * weight / len(indices))
        results.append((number, (float(loss.sum().detach()), rows)))
    everything = mesh.gather(results)
    total = sum(loss for loss, _ in everything)
    metrics = batch_means([row for _, rows in everything for row in rows])
    counts = {"tokens": sum(pairs[i].num_tokens for i in indices), "examples": len(indices)}
    return counts | metrics | {"loss": total / len(indices)}


@torch.no_grad()
def evaluate(
    model: "PreTrainedModel",
    pairs: Sequence[PreferenceTokens],
    reference: Mapping[str, np.ndarray],
    config: PreferenceConfig,
    mesh: Mesh | None = None,
) -> list[dict[str, Any]]:
    """Metrics of every pair under the model, in order."""
    mesh = mesh or Mesh()
    results = _forward(model, pairs, range(len(pairs)), reference, config, mesh)
    metrics = [(number, rows) for number, _, _, rows in results]
    return [row for rows in mesh.gather(metrics) for row in rows]


def _forward(
    model: "PreTrainedModel",
    pairs: Sequence[PreferenceTokens],
    indices: Sequence[int] | np.ndarray,
    reference: Mapping[str, np.ndarray],
    config: PreferenceConfig,
    mesh: Mesh,
) -> Iterator[tuple[int, Tensor, float, list[dict[str, Any]]]]:
    """This process's micro-batches: number, losses of the pairs, weight, metrics of the pairs."""
    names, beta = names_of(config), config.kl_coefficient
    baseline = _baseline(model, pairs, indices, reference, config, mesh)
    max_tokens = config.examples.micro_batch_tokens
    parts = micro_batches([int(i) for i in indices], max_tokens, _size(pairs))
    for number, part, weight in mesh.share(parts):
        batch_pairs = [pairs[i] for i in part]
        batch = pack_pairs(batch_pairs, names)
        flat = _sequences(model, batch, len(part) * len(names), config, mesh)
        policy = flat.view(len(part), len(names))
        ratios = policy - torch.from_numpy(reference["sequences"][part]).to(policy)
        loss = pair_losses(config, beta, policy, ratios, batch_pairs, baseline)
        metrics = pair_metrics(config.objective, beta, policy, ratios, loss, batch_pairs)
        yield number, loss, weight, metrics


@torch.no_grad()
def _baseline(
    model: "PreTrainedModel",
    pairs: Sequence[PreferenceTokens],
    indices: Sequence[int] | np.ndarray,
    reference: Mapping[str, np.ndarray],
    config: PreferenceConfig,
    mesh: Mesh,
) -> Tensor | None:
    """KTO's baseline over the whole step; None for other objectives."""
    if config.objective != "kto":
        return None
    max_tokens = config.examples.micro_batch_tokens
    parts = micro_batches([int(i) for i in indices], max_tokens, _size(pairs))
    ratios = []
    for number, part, _ in mesh.share(parts):
        batch = pack_mismatched([pairs[i] for i in part], [pairs[pairs[i].partner] for i in part])
        policy = _sequences(model, batch, len(part), config, mesh)
        expected = torch.from_numpy(reference["mismatched"][part]).to(policy)
        ratios.append((number, (policy - expected).cpu()))
    return objectives.kto_baseline(torch.cat(mesh.gather(ratios)))


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
        beta: the KL coefficient.
        policy: log-probabilities of the sequences of ``names_of`` [N, S].
        ratios: the same minus the reference's [N, S].
        pairs: the pairs [N].
        baseline: KTO's baseline.
    """
    chosen, rejected = ratios[:, 0], ratios[:, 1]
    lengths = answer_lengths(pairs).to(policy)
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
            no_scores = (objectives.NO_SCORE, -objectives.NO_SCORE)
            rewards = torch.tensor([pair.scores or no_scores for pair in pairs]).to(policy)
            loss = objectives.copg(ratios, rewards, beta)
        case _:
            raise AssertionError(config.objective)
    return objectives.with_sft(loss, policy[:, 0], lengths[:, 0], config.sft_weight)
