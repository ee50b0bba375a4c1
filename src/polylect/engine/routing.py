"""Where the tokens of documents go in a mixture of experts: counts by block and expert."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import torch

from polylect.base import Ledger
from polylect.models import blocks_of, forward_hidden, watched_routing
from polylect.runs import Reporter
from polylect.text import Segment, Tokenizer, pack_rows, split_document

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SPLIT = "split: document longer than the context"


@dataclass(frozen=True)
class RoutedText:
    """A document whose routing is looked at.

    Attributes:
        text: the document.
        language: its tag.
        domain: the domain that it is of.
        document: its name; equal names are one document.
    """

    text: str
    language: str
    domain: str
    document: str


@torch.no_grad()
def routing_table(
    model: "PreTrainedModel",
    tokenizer: Tokenizer,
    texts: Sequence[RoutedText],
    *,
    context_tokens: int,
    micro_batch_tokens: int = 4096,
    report: Reporter | None = None,
    ledger: Ledger | None = None,
) -> pl.DataFrame:
    """A row per document, block and expert: ``choices`` and the sum of its gates, ``gate``.

    Every token is counted but BOS and EOS. With top-k routing a token makes k choices; an oracle's
    is that of the text's language, with gate 1. A document longer than the context is read in runs
    that do not see each other.

    Args:
        model: a Nexus model in evaluation mode.
        tokenizer: its own.
        texts: the documents.
        context_tokens: longest run.
        micro_batch_tokens: maximum tokens of one pass.
        report: progress, in tokens.
        ledger: counts documents that are split.

    Returns:
        Columns domain, language, document, block, expert (a number), choices, gate, tokens (of the
        document).
    """
    blocks = blocks_of(model)
    num_experts = len(blocks[0].experts)
    segments: list[Segment] = []
    encoded = tokenizer.encode([row.text for row in texts])
    for index, (row, ids) in enumerate(zip(texts, encoded, strict=True)):
        runs = split_document(ids, tokenizer.bos_id, tokenizer.eos_id, context_tokens)
        for number, run in enumerate(runs):
            weight = np.ones(len(run), np.float32)
            weight[0] = 0.0
            if number == len(runs) - 1:
                weight[-1] = 0.0
            segments.append(Segment(run, weight, row.language, item=index))
        if ledger is not None:
            ledger.count(SPLIT, len(runs) - 1, row.language)
    shape = (len(blocks), len(texts), num_experts)
    choices, gates = np.zeros(shape, np.int64), np.zeros(shape)
    tokens = np.zeros(len(texts), np.int64)
    done, total = 0, sum(len(segment.ids) for segment in segments)
    for batch in pack_rows(segments, micro_batch_tokens):
        counted = batch.loss_weight > 0
        item = np.array(batch.items)[batch.segment_of_token()][counted]
        np.add.at(tokens, item, 1)
        with watched_routing(model) as seen:
            forward_hidden(model, batch)
        for block, of_token, chosen in seen:
            np.add.at(gates[block], item, of_token.double().cpu().numpy()[counted])
            for place in chosen.cpu().numpy()[counted].T:
                np.add.at(choices[block].reshape(-1), item * num_experts + place, 1)
        done += batch.num_tokens
        if report is not None:
            report.update(done, total, "tokens")
    index = np.indices(shape).reshape(3, -1)
    names = pl.DataFrame(
        {
            "domain": [row.domain for row in texts],
            "language": [row.language for row in texts],
            "document": [row.document for row in texts],
        }
    )
    return names[index[1].tolist()].with_columns(
        block=pl.Series(index[0]),
        expert=pl.Series(index[2]),
        choices=pl.Series(choices.ravel()),
        gate=pl.Series(gates.ravel()),
        tokens=pl.Series(tokens[index[1]]),
    )
