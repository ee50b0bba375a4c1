"""Bits per byte of a model on held-out text, per document and language."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import torch

from polylect.base import Ledger, derive_seed, digest_of
from polylect.checkpoints import Checkpoint
from polylect.evals.config import BitsConfig
from polylect.mixtures import TokenStore
from polylect.models import (
    check_tokenizer,
    forward_hidden,
    head_of,
    load_model,
    scored_positions,
    token_log_probabilities,
)
from polylect.rows import ScoreTable
from polylect.runs import Reporter, Silent
from polylect.text import Segment, Tokenizer, pack_rows, split_document

if TYPE_CHECKING:
    from transformers import PreTrainedModel


TASK = "bits-per-byte@1"


def bits_per_byte(
    checkpoint: Checkpoint,
    store: TokenStore,
    config: BitsConfig,
    report: Reporter,
    ledger: Ledger,
    languages: Sequence[str] = (),
    *,
    by_source: bool = False,
) -> ScoreTable:
    """A row per document: its bits per byte as value, its bytes as weight.

    Every token of the text is predicted, the first from BOS; EOS is not counted. A document longer
    than the context is scored in runs that do not see each other, which the ledger counts.

    Args:
        checkpoint: with the store's tokenizer.
        store: the text.
        config: which documents, and how.
        report: progress, in tokens.
        ledger: what is dropped or split.
        languages: tags; empty for all.
        by_source: as many bytes of every source of a language.

    Raises:
        InputError: the model has another tokenizer than the store, or cannot be loaded.
    """
    torch.set_num_threads(config.threads)
    check_tokenizer(checkpoint, store.tokenizer())
    model = load_model(checkpoint, ledger=ledger)
    return bits_of_model(model, store, config, report, ledger, languages, by_source=by_source)


def bits_of_model(
    model: "PreTrainedModel",
    store: TokenStore,
    config: BitsConfig,
    report: Reporter,
    ledger: Ledger,
    languages: Sequence[str] = (),
    *,
    by_source: bool = False,
) -> ScoreTable:
    """``bits_per_byte`` of a loaded model that has the store's tokenizer.

    Args:
        model: from ``load_model``.
        store: the text.
        config: which documents, and how.
        report: progress, in tokens.
        ledger: counts documents that were split.
        languages: tags to score; empty is all.
        by_source: see ``choose_documents``.
    """
    chosen, segments = scored_segments(store, config, ledger, languages, by_source=by_source)
    nats = nats_of_segments(model, segments, len(chosen), config.micro_batch_tokens, report)
    return bits_table(config, store, chosen, nats)


def bits_table(
    config: BitsConfig, store: TokenStore, chosen: pl.DataFrame, nats: np.ndarray
) -> ScoreTable:
    """The scores of documents whose negative log-likelihoods are known.

    Args:
        config: names the checkpoint.
        store: the text.
        chosen: the documents; see ``scored_segments``.
        nats: negative log-likelihood of each, in nats.
    """
    documents = chosen.select("language", "cluster", "bytes", group="source", item="id")
    settings = _settings(config.context_tokens, store.tokenizer())
    return _table(config.name, documents, nats, settings)


def bits_of_texts(
    model: "PreTrainedModel",
    tokenizer: Tokenizer,
    documents: pl.DataFrame,
    name: str,
    *,
    context_tokens: int,
    micro_batch_tokens: int = 4096,
    report: Reporter | None = None,
    ledger: Ledger | None = None,
) -> ScoreTable:
    """``bits_of_model`` of texts as they are, without a store.

    Args:
        model: from ``load_model``.
        tokenizer: its own.
        documents: columns text, language, group, item, cluster.
        name: what the checkpoint is called in the table.
        context_tokens: longest run of tokens.
        micro_batch_tokens: tokens of one forward pass; bounds the memory.
        report: progress, in tokens.
        ledger: counts documents that were split.
    """
    texts = documents["text"].to_list()
    rows = zip(tokenizer.encode(texts), documents["language"], strict=True)
    segments = [
        segment
        for index, (ids, tag) in enumerate(rows)
        for segment in _segments(ids, tokenizer, context_tokens, tag, index, ledger)
    ]
    nats = nats_of_segments(model, segments, len(texts), micro_batch_tokens, report or Silent())
    sized = documents.with_columns(bytes=pl.Series([len(text.encode()) for text in texts]))
    return _table(name, sized, nats, _settings(context_tokens, tokenizer))


def nats_of_segments(
    model: "PreTrainedModel",
    segments: Sequence[Segment],
    num_documents: int,
    micro_batch_tokens: int,
    report: Reporter,
) -> np.ndarray:
    """Negative log-likelihood, in nats, of the weighted tokens of every document [documents].

    Args:
        model: from ``load_model``.
        segments: their item is the number of the document.
        num_documents: in all.
        micro_batch_tokens: tokens of one forward pass; bounds the memory.
        report: progress, in tokens.
    """
    nats = np.zeros(num_documents)
    head = head_of(model)
    done, total = 0, sum(len(segment.ids) for segment in segments)
    with torch.no_grad():
        for batch in pack_rows(segments, micro_batch_tokens):
            before, targets, weights = scored_positions(batch)
            hidden = forward_hidden(model, batch)[before]
            log_probabilities, _ = token_log_probabilities(hidden, head, targets)
            item = np.array(batch.items)[batch.segment_of_token()[batch.loss_weight > 0]]
            nats -= np.bincount(
                item, log_probabilities.double().numpy() * weights.numpy(), len(nats)
            )
            done += batch.num_tokens
            report.update(done, total, "tokens")
    return nats


def _settings(context_tokens: int, tokenizer: Tokenizer) -> str:
    """Digest of what decides the numbers beside model and text."""
    return digest_of({"task": TASK, "context": context_tokens, "tokenizer": tokenizer.digest})


def _table(name: str, documents: pl.DataFrame, nats: np.ndarray, settings: str) -> ScoreTable:
    """A row per document, of its columns language, group, item, cluster and bytes."""
    num_bytes = documents["bytes"].to_numpy()
    frame = pl.DataFrame(
        {
            "checkpoint": name,
            "task": TASK,
            "language": documents["language"],
            "group": documents["group"],
            "item": documents["item"],
            "cluster": documents["cluster"],
            "metric": "bits_per_byte",
            "value": nats / math.log(2) / num_bytes,
            "weight": num_bytes.astype(float),
            "chance": None,
            "settings": settings,
            "truncated": False,
            "invalid": False,
        },
        schema_overrides={"chance": pl.Float64()},
    )
    return ScoreTable(frame)


def scored_segments(
    store: TokenStore,
    config: BitsConfig,
    ledger: Ledger,
    languages: Sequence[str] = (),
    *,
    by_source: bool = False,
) -> tuple[pl.DataFrame, list[Segment]]:
    """The documents that ``bits_of_model`` scores, and their segments."""
    tokenizer = store.tokenizer()
    documents = store.documents
    if languages:
        documents = documents.filter(pl.col("language").is_in(list(languages)))
    chosen = choose_documents(documents, config.bytes_per_language, by_source=by_source)
    segments: list[Segment] = []
    for index, row in enumerate(chosen.iter_rows(named=True)):
        ids = store.ids(row["start"], row["tokens"])
        segments += _segments(ids, tokenizer, config.context_tokens, row["language"], index, ledger)
    return chosen, segments


def _segments(
    ids: np.ndarray,
    tokenizer: Tokenizer,
    context_tokens: int,
    language: str,
    index: int,
    ledger: Ledger | None,
) -> list[Segment]:
    """The runs of one document; every token is predicted but BOS and EOS."""
    runs = split_document(ids, tokenizer.bos_id, tokenizer.eos_id, context_tokens)
    segments = []
    for number, run in enumerate(runs):
        weight = np.ones(len(run), np.float32)
        weight[0] = 0.0
        if number == len(runs) - 1:
            weight[-1] = 0.0
        segments.append(Segment(run, weight, language, item=index))
    if ledger is not None:
        ledger.count("split: document longer than the context", len(runs) - 1, language)
    return segments


def choose_documents(
    documents: pl.DataFrame, bytes_per_language: int, *, by_source: bool = False
) -> pl.DataFrame:
    """The documents to score: for each language, in one shuffled order of parallel keys.

    The order is the same for all languages and any set of them, so that they share documents as
    far as they have them; a language stops with the document that reaches its bytes. Of a key with
    several documents (the pieces of one program) one is taken, then one of the next: an interval
    needs several keys. ``by_source`` gives every source of a language as many bytes. A column
    ``cluster`` is added: the parallel key, or the id where there is none.
    """
    key = pl.when(pl.col("parallel") == "").then(pl.col("id")).otherwise(pl.col("parallel"))
    ranked = documents.filter(pl.col("tokens") > 0).with_columns(cluster=key)
    ranked = ranked.with_columns(rank=_drawn("cluster"), piece=_drawn("id"))
    cell = ["language", "source"] if by_source else ["language"]
    ranked = ranked.sort(*cell, "rank", "cluster", "piece", "id")
    ranked = ranked.with_columns(turn=pl.int_range(pl.len()).over(*cell, "cluster"))
    ranked = ranked.sort(*cell, "turn", "rank", "id")
    before = pl.col("bytes").cum_sum().over(cell) - pl.col("bytes")
    return ranked.filter(before < bytes_per_language).drop("rank", "piece", "turn")


def _drawn(column: str) -> pl.Expr:
    """A number that depends on the text in a column and nothing else."""
    return pl.col(column).map_elements(
        lambda text: derive_seed(0, "choose", text), return_dtype=pl.Int64
    )
