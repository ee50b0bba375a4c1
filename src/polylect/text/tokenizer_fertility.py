"""Fertility: what a tokenizer charges each language for the same content."""

from collections.abc import Iterable, Sequence

import polars as pl

from polylect.base import LANGUAGES
from polylect.rows import Document
from polylect.text.tokenizer import Tokenizer

_UNSPACED = frozenset({"Hans", "Hant", "Jpan"})
_BATCH_DOCUMENTS = 2048
_COLUMNS = {
    "language": pl.String, "source": pl.String, "id": pl.String, "parallel": pl.String,
    "lines": pl.Int64, "characters": pl.Int64, "bytes": pl.Int64, "words": pl.Int64,
    "tokens": pl.Int64,
}  # fmt: skip


def fertility(tokenizer: Tokenizer, documents: Iterable[Document]) -> pl.DataFrame:
    """A row per language, sorted by tag.

    Columns: language, documents, characters, bytes, tokens, tokens_per_character, tokens_per_byte,
    bytes_per_token, tokens_per_word (words end at white space; null for Chinese and Japanese, which
    do not write any), parallel_documents, and ratio_to_english: the language's tokens over those of
    English on parallel documents, null without any. A pair counts when both have as many lines, so
    that a document of which only a part is translated does not look cheap.
    """
    frame = _measure(tokenizer, documents)
    summed = frame.group_by("language").agg(
        documents=pl.len(),
        **{name: pl.col(name).sum() for name in ("characters", "bytes", "words", "tokens")},
    )
    tokens = pl.col("tokens")
    unspaced = [tag for tag, one in LANGUAGES.items() if one.script in _UNSPACED]
    spaced = pl.when(~pl.col("language").is_in(unspaced)).then(tokens / pl.col("words"))
    return (
        summed.with_columns(
            tokens_per_character=tokens / pl.col("characters"),
            tokens_per_byte=tokens / pl.col("bytes"),
            bytes_per_token=pl.col("bytes") / tokens,
            tokens_per_word=spaced,
        )
        .drop("words")
        .join(_to_english(frame), on="language", how="left")
        .with_columns(pl.col("parallel_documents").fill_null(0))
        .sort("language")
    )


def costly_languages(
    frame: pl.DataFrame, *, factor: float = 2.0, min_documents: int = 5
) -> list[str]:
    """Tags whose ratio to English is over ``factor`` times the median language's, dearest first.

    Args:
        frame: what ``fertility`` gave.
        factor: how much dearer than the median.
        min_documents: languages with fewer parallel documents are not judged.
    """
    known = frame.filter(pl.col("parallel_documents") >= min_documents)
    limit = factor * pl.col("ratio_to_english").median()
    dear = known.filter(pl.col("ratio_to_english") > limit)
    return dear.sort("ratio_to_english", "language", descending=[True, False])["language"].to_list()


def _measure(tokenizer: Tokenizer, documents: Iterable[Document]) -> pl.DataFrame:
    """A row per document with its sizes."""
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
    encoded = tokenizer.encode([one.text for one in documents])
    return [
        (one.language, one.source, one.id, one.parallel, one.text.count("\n") + 1, len(one.text),
         len(one.text.encode()), len(one.text.split()), len(ids))
        for one, ids in zip(documents, encoded, strict=True)
    ]  # fmt: skip


def _to_english(frame: pl.DataFrame) -> pl.DataFrame:
    """Ratio and number of pairs by language; of several versions of a document the first counts."""
    parallel = frame.filter(pl.col("parallel") != "").sort("language", "source", "id")
    english = parallel.filter(pl.col("language") == "en").unique(
        ["parallel"], keep="first", maintain_order=True
    )
    part = pl.col("lines") / pl.col("english_lines")
    pairs = (
        parallel.join(
            english.select("parallel", english_lines="lines", english_tokens="tokens"),
            on="parallel",
        )
        .filter(part.is_between(0.5, 2.0))
        .unique(["language", "parallel"], keep="first", maintain_order=True)
    )
    return pairs.group_by("language").agg(
        parallel_documents=pl.len(),
        ratio_to_english=pl.col("tokens").sum() / (part * pl.col("english_tokens")).sum(),
    )
