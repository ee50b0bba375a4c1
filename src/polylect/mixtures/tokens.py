"""Tokenized text on disk: a flat array of ids per split, and a table of documents."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from polylect.base import FORMER_NAMES, InputError, Ledger, check_settings, refuse_pointer
from polylect.rows import Document, Split, read_rows
from polylect.runs import StepContext, StepInputs, step
from polylect.text import SpecialTokens, Tokenizer, count_special

_BATCH_DOCUMENTS = 2048


@dataclass(frozen=True, kw_only=True)
class TokenizeConfig:
    """How text becomes tokens; corpus and tokenizer determine the rest.

    Attributes:
        special_tokens: texts of special tokens in documents: ``spell`` them out, or ``parse`` them
            as the tokens; either way counted.
    """

    special_tokens: Literal["spell", "parse"] = "spell"

    def __post_init__(self) -> None:
        check_settings(self)


@step(version=1)
def tokenize_text(config: TokenizeConfig, inputs: StepInputs, context: StepContext) -> None:
    """Writes ``SPLIT.npy`` and ``SPLIT.documents.parquet`` for every split, and the tokenizer.

    Inputs: ``corpus`` (from ``collect_text``) and ``tokenizer``.
    """
    tokenizer = Tokenizer.load(inputs["tokenizer"].path)
    tokenizer.save(context.out / "tokenizer")
    for number, split in enumerate(Split):
        documents = read_rows(inputs["corpus"].path / f"{split}.parquet", Document)
        write_tokens(
            documents, tokenizer, context.out, split, config.special_tokens, context.ledger
        )
        context.report.update(number + 1, len(Split), "splits")


def write_tokens(
    documents: Iterator[Document],
    tokenizer: Tokenizer,
    out: Path,
    split: Split,
    special_tokens: SpecialTokens = "spell",
    ledger: Ledger | None = None,
) -> None:
    """Write a split; documents keep their order.

    Args:
        documents: of the split.
        tokenizer: theirs.
        out: an existing folder.
        split: its name.
        special_tokens: what becomes of the texts of special tokens.
        ledger: counts documents with such texts.
    """
    counts = Ledger() if ledger is None else ledger
    dtype = np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32
    arrays: list[np.ndarray] = []
    rows: list[tuple[str, str, str, str, str, int, int, int]] = []
    start = 0
    batch: list[Document] = []

    def flush() -> None:
        nonlocal start
        texts = [document.text for document in batch]
        encoded = tokenizer.encode(texts, special=special_tokens == "parse")
        for document, ids in zip(batch, encoded, strict=True):
            num_special = int(tokenizer.has_special(document.text))
            count_special(num_special, special_tokens, counts, document.language)
            arrays.append(ids.astype(dtype))
            num_bytes = len(document.text.encode())
            rows.append((document.id, document.language, document.source, document.parallel,
                         document.license, start, len(ids), num_bytes))  # fmt: skip
            start += len(ids)
        batch.clear()

    for document in documents:
        batch.append(document)
        if len(batch) == _BATCH_DOCUMENTS:
            flush()
    flush()
    np.save(out / f"{split}.npy", np.concatenate([np.empty(0, dtype), *arrays]))
    columns = ["id", "language", "source", "parallel", "license", "start", "tokens", "bytes"]
    types = [pl.String] * 5 + [pl.Int64] * 3
    frame = pl.DataFrame(rows, schema=dict(zip(columns, types, strict=True)), orient="row")
    frame.write_parquet(out / f"{split}.documents.parquet", compression="zstd")


@dataclass(frozen=True)
class TokenStore:
    """Read access to a split of tokenized text; ids are memory-mapped.

    Attributes:
        folder: output of ``tokenize_text``.
        split: the split.
    """

    folder: Path
    split: Split

    @cached_property
    def documents(self) -> pl.DataFrame:
        """One row per document: id, language, source, parallel, license, start, tokens, bytes."""
        path = self.folder / f"{self.split}.documents.parquet"
        if not path.is_file():
            raise InputError(f"{path}: no such file", "tokenize the text first")
        refuse_pointer(path)
        return pl.read_parquet(path).rename(FORMER_NAMES, strict=False)

    @cached_property
    def _ids(self) -> np.ndarray:
        return np.load(self.folder / f"{self.split}.npy", mmap_mode="r", allow_pickle=False)

    def ids(self, start: int, tokens: int) -> np.ndarray:
        """Token ids [tokens] of a document, without BOS and EOS."""
        return np.asarray(self._ids[start : start + tokens])

    def sizes(self) -> dict[tuple[str, str], int]:
        """Number of tokens by (language, source)."""
        frame = self.documents.group_by("language", "source").agg(pl.col("tokens").sum())
        return {(lang, source): int(num) for lang, source, num in sorted(frame.rows())}

    def tokenizer(self) -> Tokenizer:
        """The tokenizer that made the ids."""
        return Tokenizer.load(self.folder / "tokenizer")
