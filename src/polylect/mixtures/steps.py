"""Collecting text and training a tokenizer, as steps of a run."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl

from polylect.base import atomic_file
from polylect.mixtures.collect import collect, count_documents
from polylect.mixtures.config import CollectConfig, OverlapConfig, TokenizerConfig
from polylect.mixtures.contamination import overlap
from polylect.mixtures.sources import TextSource
from polylect.rows import Document, Split, read_rows, write_rows
from polylect.runs import StepContext, StepInputs, step
from polylect.text import fertility, train_bpe


@step(version=3, uses_languages=True)
def collect_text(
    config: CollectConfig, inputs: Mapping[str, TextSource], context: StepContext
) -> None:
    """Writes ``SPLIT.parquet`` (documents) for every split, and ``counts.parquet``.

    Inputs: any number of text sources, by any names.
    """
    kept = collect(list(inputs.values()), config, context.ledger, context.report)
    for split, documents in kept.items():
        write_rows(context.out / f"{split}.parquet", Document, documents)
    _write(count_documents(kept), context.out / "counts.parquet")


@step(version=2)
def train_tokenizer(config: TokenizerConfig, inputs: StepInputs, context: StepContext) -> None:
    """Writes the tokenizer, and ``fertility.parquet``, measured on the validation split.

    Inputs: ``corpus`` (from ``collect_text``).
    """
    corpus = inputs["corpus"].path
    texts: dict[str, list[str]] = defaultdict(list)
    for document in _documents(corpus, Split.TRAIN):
        texts[document.language].append(document.text)
    tokenizer = train_bpe(
        texts,
        vocab_size=config.vocab_size,
        temperature=config.temperature,
        max_characters=config.max_characters,
    )
    if tokenizer.vocab_size < config.vocab_size:
        context.ledger.count(
            "fell short: entries of the vocabulary", config.vocab_size - tokenizer.vocab_size
        )
    tokenizer.save(context.out)
    frame = fertility(tokenizer, _documents(corpus, Split.VALIDATION))
    _write(frame, context.out / "fertility.parquet")


@step(version=1)
def check_overlap(config: OverlapConfig, inputs: StepInputs, context: StepContext) -> None:
    """Writes ``overlap.parquet``: how much of the test text occurs in the training text.

    Inputs: ``corpus`` (from ``collect_text``).
    """
    corpus = inputs["corpus"].path
    frame = overlap(
        _documents(corpus, Split.TRAIN),
        _documents(corpus, Split.TEST),
        gram_characters=config.gram_characters,
    )
    _write(frame, context.out / "overlap.parquet")


def _documents(corpus: Path, split: Split) -> Iterator[Document]:
    return read_rows(corpus / f"{split}.parquet", Document)


def _write(frame: pl.DataFrame, path: Path) -> None:
    with atomic_file(path) as temporary:
        frame.write_parquet(temporary, compression="zstd")
