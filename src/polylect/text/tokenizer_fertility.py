"""Fertility: how many tokens a tokenizer needs in each language for the same content."""

from collections.abc import Iterable, Sequence

import polars as pl

from polylect.rows import Document
from polylect.text.tokenizer import Tokenizer
from polylect.text.words import split_words

_BATCH_DOCUMENTS = 2048
_COLUMNS = {
    "language": pl.String, "source": pl.String, "id": pl.String, "parallel": pl.String,
    "lines": pl.Int64, "characters": pl.Int64, "bytes": pl.Int64, "words": pl.Int64,
    "tokens": pl.Int64,
}  # fmt: skip


def fertility(tokenizer: Tokenizer, documents: Iterable[Document]) -> pl.DataFrame:
    """A row per language, sorted by tag.

    Columns: language, documents, characters, bytes, tokens, tokens_per_character, tokens_per_byte,
    bytes_per_token, tokens_per_word (words of ``split_words``; null without any),
    parallel_documents, and ratio_to_english: the language's tokens over those of English on
    parallel documents, null without any. A pair is weighted by its share of lines, and
    left out below half, so that a partly translated document does not look cheap.
    """
    frame = _measure(tokenizer, documents)
    summed = frame.group_by("language").agg(
        documents=pl.len(),
        **{name: pl.col(name).sum() for name in ("characters", "bytes", "words", "tokens")},
    )
    tokens = pl.col("tokens")
    return (
        summed.with_columns(
            tokens_per_character=tokens / pl.col("characters"),
            tokens_per_byte=tokens / pl.col("bytes"),
            bytes_per_token=pl.col("bytes") / tokens,
            tokens_per_word=pl.when(pl.col("words") > 0).then(tokens / pl.col("words")),
        )
        .drop("words")
        .join(_to_english(frame), on="language", how="left")
        .with_columns(pl.col("parallel_documents").fill_null(0))
        .sort("language")
    )


def _measure(tokenizer: Tokenizer, documents: Iterable[Document]) -> pl.DataFrame:
    """A row of sizes per document."""
    rows: list[tuple[object, ...]] = []
    batch: list[Document] = []
    for document in documents:
        batch.append(document)
        if len(batch) == _BATCH_DOCUMENTS:
            rows += _rows(tokenizer, batch)
            batch = []
    rows += _rows(tokenizer, batch)
    return pl.DataFrame(rows, schema=_COLUMNS, orient="row")


def _rows(tokenizer: Tokenizer, documents: Sequence[Document]) -> list[tuple[object, ...]]:
    encoded = tokenizer.encode([document.text for document in documents])
    return [
        (row.language, row.source, row.id, row.parallel, row.text.count("\n") + 1, len(row.text),
         len(row.text.encode()), len(split_words(row.text)), len(ids))
        for row, ids in zip(documents, encoded, strict=True)
    ]  # fmt: skip


def _to_english(frame: pl.DataFrame) -> pl.DataFrame:
    """Ratio and number of pairs by language; the first of several versions of a document counts."""
    parallel = frame.filter(pl.col("parallel") != "").sort("language", "source", "id")
    english = parallel.filter(pl.col("language") == "en").unique(
        ["parallel"], keep="first", maintain_order=True
    )
    share = pl.col("lines") / pl.col("english_lines")
    pairs = (
        parallel.join(
            english.select("parallel", english_lines="lines", english_tokens="tokens"),
            on="parallel",
        )
        .filter(share.is_between(0.5, 2.0))
        .unique(["language", "parallel"], keep="first", maintain_order=True)
    )
    return pairs.group_by("language").agg(
        parallel_documents=pl.len(),
        ratio_to_english=pl.col("tokens").sum() / (share * pl.col("english_tokens")).sum(),
    )
