"""Training on preferences: a pair's prompt is computed once, the reference before the start."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from torch import Tensor

from polylect.base import atomic_file
from polylect.runs import StepContext
from polylect.train import objectives
from polylect.train.config import PreferConfig
from polylect.train.encode import PairTokens, encode_pairs, passes
from polylect.train.examples import Pair, Prompt, read_pairs
from polylect.train.held_out import write_held_out
from polylect.train.order import training_order
from polylect.train.pairs import (
    PLAIN,
    SELF_IMPROVING,
    pack_mismatched,
    pack_pairs,
    sequence_log_probabilities,
)
from polylect.train.pretrain_loop import make_optimiser
from polylect.train.probe import Probe
from polylect.train.session import Session
from polylect.train.start import Start, autocast, open_start
from polylect.train.told import summary

BETA = {"simpo": 2.0}
"""Default of beta where it is not 0.1."""
_REFERENCE, _HELD_OUT = "reference.safetensors", "held-out.safetensors"


def run_prefer(config: PreferConfig, inputs: Mapping[str, Any], context: StepContext) -> None:
    """Align the input model with preferences; writes a checkpoint and ``metrics.jsonl``.

    The loss of an update is the mean over its pairs: it does not depend on how it is cut into
    passes. The reference is the input model itself; its log-probabilities are computed once, before
    the first update, and kept with the saved states.

    Inputs: ``model`` (a checkpoint's folder), ``data`` (a file of preferences) and, where there is
    one, ``held_out`` (another, of which ``scores.parquet`` tells what the trained model makes).

    Raises:
        InputError: a row does not fit.
        PolylectError: the loss is not finite any more.
    """
    one = config.examples
    start = open_start(inputs["model"].path, one, context.ledger)
    rows = read_pairs(inputs["data"].path, one.default_language)
    pairs = _encoded(rows, start, config, context)
    held: list[PairTokens] = []
    if "held_out" in inputs:
        others = read_pairs(inputs["held_out"].path, one.default_language)
        held = _encoded(others, start, config, context)
    order = training_order(
        [pair.language for pair in pairs], one.epochs, one.seed, context.ledger,
        temperature=one.temperature, shares=one.shares,
    )  # fmt: skip
    model = start.load(config.optim, one.seed)
    reference = reference_of(model, pairs, config, context, _REFERENCE)
    beyond = reference_of(model, held, config, context, _HELD_OUT) if held else {}
    optimiser = make_optimiser(model, config.optim)
    num_steps = -(-len(order) // one.examples_per_step)
    session = Session(context, model, optimiser, config.optim, num_steps,
                      save_every=one.save_every, seed=one.seed)  # fmt: skip
    look = Probe(
        start, [Prompt(row.prompt, row.language, row.place) for row in rows], one, num_steps
    )
    for step, row in session.steps():
        look.before(step, model, row)
        mine = order[step * one.examples_per_step : (step + 1) * one.examples_per_step]
        row |= gradients(model, pairs, mine, reference, config)
        row["gradient_norm"] = session.update(step, row["loss"])
        look.after(step, model, row)
    if held:
        write_held_out(context.out, evaluate(model, held, beyond, config), config.objective)
    settings = {
        "objective": config.objective,
        "beta": beta_of(config),
        "learning_rate": config.optim.learning_rate,
        "epochs": one.epochs,
    }
    session.finish(start.checkpoint, start.tokenizer, config.objective, settings)


def _encoded(
    rows: Sequence[Pair], start: Start, config: PreferConfig, context: StepContext
) -> list[PairTokens]:
    refine = config.refine if config.objective == "srpo" else None
    over_long = config.examples.over_long
    return encode_pairs(rows, start.style, start.context_tokens, over_long, context.ledger, refine)


def names_of(config: PreferConfig) -> Sequence[str]:
    """The sequences of a pair that the objective needs."""
    return SELF_IMPROVING if config.objective == "srpo" else PLAIN


def beta_of(config: PreferConfig) -> float:
    """The objective's beta: what was asked for, else its default."""
    return config.beta if config.beta is not None else BETA.get(config.objective, 0.1)


@torch.no_grad()
def reference_of(
    model: Any,
    pairs: Sequence[PairTokens],
    config: PreferConfig,
    context: StepContext,
    name: str,
) -> dict[str, np.ndarray]:
    """The reference's log-probabilities in nats, ``sequences`` [N, S] and, for KTO, ``mismatched``
    [N]; read again where an earlier try computed them.

    Args:
        model: as it is before the first update.
        pairs: all of them.
        config: says which sequences.
        context: of the step.
        name: of the file in which they are kept.
    """  # fmt: skip
    path: Path = context.work / name
    if path.is_file():
        return load_file(path)
    names, done = names_of(config), 0
    found: dict[str, list[np.ndarray]] = {"sequences": []}
    if config.objective == "kto":
        found["mismatched"] = []
    for part in passes(range(len(pairs)), config.examples.tokens_per_pass, _size(pairs)):
        own = [pairs[i] for i in part]
        if config.objective == "simpo":
            values = np.zeros((len(own), len(names)), np.float32)
        else:
            batch = pack_pairs(own, names)
            with autocast(config.examples):
                flat = sequence_log_probabilities(model, batch, len(own) * len(names))
            values = flat.view(len(own), len(names)).cpu().numpy()
        found["sequences"].append(values)
        if config.objective == "kto":
            batch = pack_mismatched(own, [pairs[(i + 1) % len(pairs)] for i in part])
            found["mismatched"].append(
                sequence_log_probabilities(model, batch, len(own)).cpu().numpy()
            )
        done += len(part)
        context.report.update(done, len(pairs), "pairs", "reference")
    whole = {name: np.concatenate(own) for name, own in found.items()}
    with atomic_file(path) as temporary:
        save_file(whole, temporary)
    return whole


def _size(pairs: Sequence[PairTokens]) -> Any:
    return lambda i: pairs[i].num_tokens


def gradients(
    model: Any,
    pairs: Sequence[PairTokens],
    mine: Sequence[int] | np.ndarray,
    reference: Mapping[str, np.ndarray],
    config: PreferConfig,
) -> dict[str, Any]:
    """Add an update's gradients; its mean loss, and what happened, by language.

    Args:
        model: the policy.
        pairs: all of them.
        mine: those of the update.
        reference: of ``reference_of``.
        config: the objective.
    """
    rows: list[dict[str, Any]] = []
    total = 0.0
    for loss, told in _passes(model, pairs, mine, reference, config):
        (loss.sum() / len(mine)).backward()
        total += float(loss.sum().detach())
        rows += told
    counts = {"tokens": sum(pairs[i].num_tokens for i in mine), "examples": len(mine)}
    return counts | summary(rows) | {"loss": total / len(mine)}


@torch.no_grad()
def evaluate(
    model: Any,
    pairs: Sequence[PairTokens],
    reference: Mapping[str, np.ndarray],
    config: PreferConfig,
) -> list[dict[str, Any]]:
    """What the model makes of every pair, in order; nothing is learnt."""
    everything = _passes(model, pairs, range(len(pairs)), reference, config)
    return [row for _, told in everything for row in told]


def _passes(
    model: Any,
    pairs: Sequence[PairTokens],
    mine: Sequence[int] | np.ndarray,
    reference: Mapping[str, np.ndarray],
    config: PreferConfig,
) -> Iterator[tuple[Tensor, list[dict[str, Any]]]]:
    """Losses of the pairs of one pass after another, and what happened to each."""
    names, beta = names_of(config), beta_of(config)
    baseline = _baseline(model, pairs, mine, reference, config)
    for part in passes([int(i) for i in mine], config.examples.tokens_per_pass, _size(pairs)):
        own = [pairs[i] for i in part]
        with autocast(config.examples):
            flat = sequence_log_probabilities(model, pack_pairs(own, names), len(own) * len(names))
        policy = flat.view(len(own), len(names))
        known = torch.from_numpy(reference["sequences"][part]).to(policy)
        loss = pair_losses(config, beta, policy, policy - known, own, baseline)
        yield loss, _told(own, policy.detach(), known, loss.detach(), beta)


@torch.no_grad()
def _baseline(
    model: Any,
    pairs: Sequence[PairTokens],
    mine: Sequence[int] | np.ndarray,
    reference: Mapping[str, np.ndarray],
    config: PreferConfig,
) -> Tensor | None:
    """KTO's, over the whole update."""
    if config.objective != "kto":
        return None
    ratios = []
    for part in passes([int(i) for i in mine], config.examples.tokens_per_pass, _size(pairs)):
        own, others = [pairs[i] for i in part], [pairs[(i + 1) % len(pairs)] for i in part]
        policy = sequence_log_probabilities(model, pack_mismatched(own, others), len(own))
        ratios.append(policy - torch.from_numpy(reference["mismatched"][part]).to(policy))
    return objectives.kto_baseline(torch.cat(ratios))


def pair_losses(
    config: PreferConfig,
    beta: float,
    policy: Tensor,
    ratios: Tensor,
    pairs: Sequence[PairTokens],
    baseline: Tensor | None = None,
) -> Tensor:
    """The objective's loss of every pair [N].

    Args:
        config: says which objective.
        beta: of ``beta_of``.
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
    pairs: Sequence[PairTokens], policy: Tensor, known: Tensor, loss: Tensor, beta: float
) -> list[dict[str, Any]]:
    """What happened to every pair."""
    ratios = (policy - known)[:, :2].double().cpu().tolist()
    return [
        {
            "language": pair.language,
            "loss": value,
            "accuracy": float(chosen > rejected),
            "margin": beta * (chosen - rejected),
            "log_ratio_chosen": chosen,
            "log_ratio_rejected": rejected,
            "chosen_tokens": len(pair.chosen),
            "rejected_tokens": len(pair.rejected),
        }
        for pair, (chosen, rejected), value in zip(pairs, ratios, loss.tolist(), strict=True)
    ]
