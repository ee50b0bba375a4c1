"""Top-k ensemble of dense experts, weighted by their posterior (Branch-Train-Merge, section 4).

    p(x_t | x_<t) = Σ_j p(j | x_<t) · p_j(x_t | x_<t),   p(j | x_<t) ∝ Π_{i<t} p_j(x_i | x_<i)

The prior over experts is uniform, the evidence is the document's own prefix, and only the k most
probable experts count, their weights made to sum to 1. Every expert runs on every token, so that
this is a yardstick, not a model to serve.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from polylect.base import Count, InputError, Ledger, check_settings
from polylect.checkpoints import Checkpoint
from polylect.evals import BitsConfig
from polylect.mixtures import TokenStore
from polylect.runs import StepContext, StepInputs, step

if TYPE_CHECKING:
    from polylect.text import Segment

EXPERT = "expert "
"""Begins the names of the inputs that are experts."""


@dataclass(frozen=True, kw_only=True)
class EnsembleConfig:
    """Scoring of an ensemble.

    Attributes:
        bits: which documents, and how.
        top_k: experts that count for a token.
    """

    bits: BitsConfig
    top_k: Count = 2

    def __post_init__(self) -> None:
        check_settings(self)


def ensemble_log_probabilities(log_probabilities: np.ndarray, top_k: int) -> np.ndarray:
    """Log-probability of every token of a document under the ensemble, nats, float64 [tokens].

    Args:
        log_probabilities: of the document's tokens in order, by each expert [experts, tokens].
        top_k: experts that count for a token; of equally probable ones the earlier.

    Source: Li et al., "Branch-Train-Merge" (2208.03306), section 4.

    >>> halves = np.log([[0.5, 0.5], [0.25, 0.5]])
    >>> np.exp(ensemble_log_probabilities(halves, 2)).round(4).tolist()
    [0.375, 0.5]
    """
    each = np.asarray(log_probabilities, np.float64)
    evidence = np.zeros_like(each)
    np.cumsum(each[:, :-1], axis=1, out=evidence[:, 1:])
    order = np.argsort(-evidence, axis=0, kind="stable")[:top_k]
    kept = np.take_along_axis(evidence, order, axis=0)
    weights = kept - np.logaddexp.reduce(kept, axis=0)
    return np.logaddexp.reduce(weights + np.take_along_axis(each, order, axis=0), axis=0)


@step(version=1)
def score_ensemble(config: EnsembleConfig, inputs: StepInputs, context: StepContext) -> None:
    """Writes ``scores.parquet``, as ``evals.score_bits`` does; inputs ``tokens``, ``expert NAME``.

    A document longer than the context is read in runs that do not see each other; the evidence for
    an expert is that of the whole document so far.

    Raises:
        InputError: an expert has another tokenizer than the text.
    """
    import torch

    from polylect.evals import bits_table, scored_segments
    from polylect.models import check_tokenizer, load_model

    bits = config.bits
    torch.set_num_threads(bits.threads)
    store = TokenStore(inputs["tokens"].path, bits.split)
    experts = [artifact.path for name, artifact in inputs.items() if name.startswith(EXPERT)]
    if config.top_k > len(experts):
        raise InputError(
            f"--ensemble-experts {config.top_k}: there are {len(experts)} experts",
            f"--ensemble-experts {len(experts)}",
        )
    chosen, segments = scored_segments(store, bits, context.ledger)
    each = []
    for number, path in enumerate(experts):
        checkpoint = Checkpoint.open(path)
        check_tokenizer(checkpoint, store.tokenizer())
        model = load_model(checkpoint, ledger=Ledger())
        each.append(token_scores(model, segments, bits.micro_batch_tokens))
        context.report.update(number + 1, len(experts), "experts")
    scores = np.stack(each)
    item = np.concatenate(
        [np.full(int((segment.loss_weight > 0).sum()), segment.item) for segment in segments]
    )
    nats = np.zeros(len(chosen))
    ends = np.searchsorted(item, np.arange(len(chosen) + 1))  # segments lie in document order
    for number, (first, last) in enumerate(pairwise(ends)):
        nats[number] = -ensemble_log_probabilities(scores[:, first:last], config.top_k).sum()
    bits_table(bits, store, chosen, nats).write(context.out / "scores.parquet")


def token_scores(model: object, segments: "list[Segment]", micro_batch_tokens: int) -> np.ndarray:
    """Log-probability of every scored token, nats, float64 [tokens], in the segments' order.

    Args:
        model: from ``load_model``.
        segments: runs of text.
        micro_batch_tokens: tokens of one forward pass.
    """
    import torch

    from polylect.models import (
        forward_hidden,
        head_of,
        scored_positions,
        token_log_probabilities,
    )
    from polylect.text import pack_rows

    head = head_of(model)  # pyrefly: ignore
    parts = []
    with torch.no_grad():
        for batch in pack_rows(segments, micro_batch_tokens):
            before, targets, _ = scored_positions(batch)
            hidden = forward_hidden(model, batch)[before]  # pyrefly: ignore
            parts.append(token_log_probabilities(hidden, head, targets)[0].double().numpy())
    return np.concatenate(parts)
