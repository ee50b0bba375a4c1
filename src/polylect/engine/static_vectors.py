"""Vectors of texts as means of a table's rows, which no context changes; no torch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from polylect.base import InputError, Ledger, digest_file, digest_of, read_json, refuse_pointer
from polylect.engine.sentence_folder import STATIC
from polylect.engine.vector_tokens import VectorTokenizer, fit_tokens

_TOKENIZER = "tokenizer.json"


@dataclass(frozen=True)
class StaticVectors:
    """A table with a row for each token.

    Attributes:
        folder: with ``model.safetensors`` and ``tokenizer.json``.
        drops_unknown: unknown tokens are left out (model2vec).
        normalizes: the vector has unit length.
        max_tokens: of a text; None for any number.
        languages: that the encoder knows; empty where that is not said.
    """

    folder: Path
    drops_unknown: bool = False
    normalizes: bool = False
    max_tokens: int | None = None
    languages: tuple[str, ...] = field(default=(), compare=False)

    @cached_property
    def digest(self) -> str:
        """Digest of table, tokenizer and settings.

        Raises:
            InputError: a file is missing.
        """
        files = [self.folder / STATIC, self.folder / _TOKENIZER]
        for file in files:
            if not file.is_file():
                raise InputError(f"{file}: no such file", "give the whole folder of the encoder")
            refuse_pointer(file)
        return digest_of({
            "static": [digest_file(file) for file in files], "normalizes": self.normalizes,
            "drops_unknown": self.drops_unknown, "max_tokens": self.max_tokens,
        })  # fmt: skip

    @property
    def content(self) -> str:
        """As ``digest``."""
        return self.digest

    def of(
        self,
        texts: Sequence[str],
        contexts: Sequence[str],
        languages: Sequence[str],
        ledger: Ledger,
        cache: Path | None,
    ) -> np.ndarray:
        """The vectors of texts, float32 [texts, width]; see ``BodyVectors.of``."""
        table, weights, rows = self._table
        unknown = _unknown(self.folder / _TOKENIZER)
        tokenizer = VectorTokenizer.load_plain(self.folder / _TOKENIZER, unknown)
        inputs = [(text, "") for text in texts]
        tokens = fit_tokens(tokenizer, inputs, self.max_tokens or 1 << 30, special=False)
        tokenizer.count(tokens, languages, self.languages, ledger)
        vectors = np.zeros((len(texts), table.shape[1]), np.float32)
        for vector, text in zip(vectors, tokens, strict=True):
            ids = text.ids[text.ids != tokenizer.unknown_id] if self.drops_unknown else text.ids
            if not len(ids):
                continue
            if int(ids.max()) >= len(rows):
                raise InputError(
                    f"{self.folder}: the tokenizer gives token {int(ids.max())}, the table has"
                    f" {len(rows):,}",
                    "give the encoder's own tokenizer",
                )
            mean = (table[rows[ids]] * weights[ids][:, None]).mean(axis=0, dtype=np.float64)
            length = np.linalg.norm(mean) + 1e-32 if self.normalizes else 1.0
            vector[:] = mean / length
        return vectors

    @cached_property
    def _table(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows of numbers [rows, width]; weight and row of each token [tokens]."""
        from safetensors.numpy import load_file

        tensors: dict[str, Any] = load_file(self.folder / STATIC)
        table = next((tensors[name] for name in ("embedding.weight", "embeddings")
                      if name in tensors), None)  # fmt: skip
        if table is None or table.ndim != 2:
            raise InputError(
                f"{self.folder / STATIC}: no table of embeddings", f"it has {', '.join(tensors)}"
            )
        if not np.isfinite(table).all():
            raise InputError(f"{self.folder / STATIC}: a number is not finite", "fetch it again")
        rows = tensors.get("mapping", np.arange(len(table))).astype(np.int64)
        weights = tensors.get("weights", np.ones(len(rows))).astype(np.float64)
        return table.astype(np.float32), weights, rows


def _unknown(file: Path) -> int | None:
    """The unknown token's id where the tokenizer gives it as a number (Unigram)."""
    if not file.is_file():
        return None
    model = read_json(file).get("model") or {}
    return model.get("unk_id")
