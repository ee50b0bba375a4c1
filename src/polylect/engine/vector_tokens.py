"""The tokens of a text that becomes a vector: special tokens as the tokenizer adds them, cut."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from polylect.base import InputError, Ledger, whole_text

CUT_TEXT = "cut: text longer than the encoder"
CUT_CONTEXT = "cut: prompt before a text longer than the encoder"
UNKNOWN_TEXT = "unknown to the encoder: half or more of a text's tokens"
UNKNOWN_LANGUAGE = "unknown to the encoder: its card does not name the language"
NO_TOKEN = "empty: text without a token, its vector is 0"
_SHARE = 0.5
_BLOCK = 4096
_NO_LIMIT = 1 << 24
BETWEEN = "\n\n"
"""Between a text and what stands before it."""


@dataclass(frozen=True, slots=True)
class TextTokens:
    """A text as tokens.

    Attributes:
        ids: int64 [tokens], special tokens and context included; may be empty.
        is_own: which of them are the text's, bool [tokens].
        is_context: which of them stand before it, bool [tokens]; the others are special tokens.
        num_unknown: how many of those are the unknown token.
        is_cut: the text was cut at its end.
        is_context_cut: what stands before it was cut at its beginning, or left out.
    """

    ids: np.ndarray
    is_own: np.ndarray
    is_context: np.ndarray
    num_unknown: int = 0
    is_cut: bool = False
    is_context_cut: bool = False


class VectorTokenizer:
    """A checkpoint's tokenizer, which adds its special tokens; texts of such are spelled out."""

    def __init__(self, backend: Any, unknown_id: int | None, max_tokens: int | None) -> None:
        """Wrap a tokenizer; ``load`` and ``load_plain`` read one.

        Args:
            backend: of the package tokenizers.
            unknown_id: of the token for what is unknown.
            max_tokens: that the tokenizer's configuration names.
        """
        backend.no_truncation()
        backend.no_padding()
        backend.encode_special_tokens = True
        self._backend = backend
        self._unknown = unknown_id
        self.max_tokens = max_tokens

    @classmethod
    def load(cls, folder: Path) -> "VectorTokenizer":
        """The tokenizer of a checkpoint, as transformers reads it.

        Raises:
            InputError: there is none, or it cannot be read.
        """
        import transformers

        try:
            loaded: Any = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
            raise InputError(
                f"{folder}: transformers cannot read its tokenizer ({reason})",
                "put its tokenizer.json into the folder",
            ) from None
        backend = getattr(loaded, "backend_tokenizer", None)
        if backend is None:
            raise InputError(
                f"{folder}: a tokenizer of {type(loaded).__name__} cannot be used here",
                "put its tokenizer.json into the folder",
            )
        limit = int(min(loaded.model_max_length or _NO_LIMIT, _NO_LIMIT))
        return cls(backend, loaded.unk_token_id, limit)

    @classmethod
    def load_plain(cls, file: Path, unknown_id: int | None = None) -> "VectorTokenizer":
        """The tokenizer in a ``tokenizer.json``.

        Raises:
            InputError: there is none, or it cannot be read.
        """
        import tokenizers

        if not file.is_file():
            raise InputError(f"{file}: no such file", "give a folder with a tokenizer")
        try:
            backend = tokenizers.Tokenizer.from_file(str(file))
        except Exception as error:  # the Rust side raises bare exceptions
            raise InputError(f"{file}: not a tokenizer ({str(error)[:100]})") from None
        if unknown_id is None:
            unknown = getattr(backend.model, "unk_token", None)
            unknown_id = backend.token_to_id(unknown) if unknown else None
        return cls(backend, unknown_id, None)

    @property
    def unknown_id(self) -> int | None:
        """Id of the token for what is unknown."""
        return self._unknown

    def encode(
        self, inputs: Sequence[tuple[str, str]], *, special: bool = True
    ) -> list[TextTokens]:
        """Texts with their contexts as tokens, not cut."""
        encoded = []
        for start in range(0, len(inputs), _BLOCK):
            block = inputs[start : start + _BLOCK]
            joined = [whole_text(context + BETWEEN + text if context else text)
                      for text, context in block]  # fmt: skip
            encodings = self._backend.encode_batch(joined, add_special_tokens=special)
            for encoding, (_, context) in zip(encodings, block, strict=True):
                ids = np.array(encoding.ids, np.int64)
                is_text = ~np.array(encoding.special_tokens_mask, bool)
                ends = np.array([end for _, end in encoding.offsets], np.int64)
                is_own = is_text & (ends > len(context) + len(BETWEEN)) if context else is_text
                num_unknown = self.num_unknown(ids[is_own])
                encoded.append(TextTokens(ids, is_own, is_text & ~is_own, num_unknown))
        return encoded

    def num_unknown(self, ids: np.ndarray) -> int:
        """How many tokens are the unknown one."""
        return 0 if self._unknown is None else int((ids == self._unknown).sum())

    def count(
        self,
        tokens: Sequence[TextTokens],
        languages: Sequence[str],
        known: Sequence[str],
        ledger: Ledger,
    ) -> None:
        """Count what was cut and what the encoder does not know, by language."""
        primary = {tag.lower().partition("-")[0] for tag in known}
        tags = languages or [""] * len(tokens)
        for text, tag in zip(tokens, tags, strict=True):
            num = int(text.is_own.sum())
            ledger.count(CUT_TEXT, int(text.is_cut), tag)
            ledger.count(CUT_CONTEXT, int(text.is_context_cut), tag)
            ledger.count(UNKNOWN_TEXT, int(num > 0 and text.num_unknown >= _SHARE * num), tag)
            ledger.count(NO_TOKEN, int(not len(text.ids)), tag)
            named = not (primary and tag) or tag.lower().partition("-")[0] in primary
            ledger.count(UNKNOWN_LANGUAGE, int(not named), tag)


def fit_tokens(
    tokenizer: VectorTokenizer,
    inputs: Sequence[tuple[str, str]],
    limit: int,
    *,
    special: bool = True,
) -> list[TextTokens]:
    """Texts with their contexts as at most ``limit`` tokens each.

    What stands before a text is cut first, at its beginning; then the text itself, at its end.
    Special tokens stay.
    """
    fitting = []
    for text in tokenizer.encode(inputs, special=special):
        excess = len(text.ids) - limit
        if excess <= 0:
            fitting.append(text)
            continue
        rest, context = np.flatnonzero(text.is_own), np.flatnonzero(text.is_context)
        from_context = min(excess, len(context))
        from_text = min(excess - from_context, len(rest))
        kept = np.ones(len(text.ids), bool)
        kept[context[:from_context]] = False
        kept[rest[len(rest) - from_text :]] = False
        num_unknown = tokenizer.num_unknown(text.ids[text.is_own & kept])
        fitting.append(TextTokens(
            text.ids[kept], text.is_own[kept], text.is_context[kept], num_unknown,
            from_text > 0, from_context > 0,
        ))  # fmt: skip
    return fitting
