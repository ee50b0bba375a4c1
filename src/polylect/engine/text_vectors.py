"""Vectors of texts from a checkpoint's hidden states.

Texts with the same number of tokens make a pass together, so that there is no padding: no vector
depends on a padding token, its side or its mask. The passes are a fixed function of all texts of a
call; a pass of which a vector is missing in the cache is computed whole, so that a killed call
gives the same bytes when it is made again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from polylect.base import InputError, Ledger, digest_file, digest_of
from polylect.checkpoints import Checkpoint
from polylect.engine.sentence_folder import Dense
from polylect.engine.vector_cache import VectorCache, vector_keys
from polylect.engine.vector_tokens import TextTokens, VectorTokenizer, fit_tokens

VERSION = 1
"""Raised when vectors change by more than rounding."""
_PASS_TOKENS, _PASS_TEXTS, _BLOCK_TEXTS = 4096, 64, 256


@dataclass(frozen=True)
class BodyVectors:
    """A checkpoint, and how its hidden states become one vector.

    Attributes:
        folder: of the checkpoint.
        layer: number of hidden states as transformers lists them: 0 are the embeddings, -1 what
            the last layer gives.
        pooling: over tokens; several are concatenated. See ``sentence_folder.POOLINGS``.
        own_only: pool the tokens of the text alone: neither special tokens nor the context's.
            Where there are no others, all are pooled.
        dense: layers behind the pooling.
        normalizes: the vector has unit length.
        max_tokens: of a text; None for the model's limit.
        is_lower: texts are lowercased first.
        prompt: stands before every text.
        dtype: of weights and activations; vectors are float32.
        languages: that the encoder knows; empty where that is not said.
    """

    folder: Path
    layer: int = -1
    pooling: tuple[str, ...] = ("mean",)
    own_only: bool = True
    dense: tuple[Dense, ...] = ()
    normalizes: bool = False
    max_tokens: int | None = None
    is_lower: bool = False
    prompt: str = ""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    languages: tuple[str, ...] = field(default=(), compare=False)

    @cached_property
    def digest(self) -> str:
        """Digest of weights, tokenizer and settings.

        Raises:
            InputError: there is no such checkpoint.
        """
        checkpoint = Checkpoint.open(self.folder)
        return digest_of({
            "version": VERSION, "weights": checkpoint.digest, "layer": self.layer,
            "tokenizer": checkpoint.tokenizer_digest, "pooling": self.pooling,
            "own_only": self.own_only, "normalizes": self.normalizes, "prompt": self.prompt,
            "max_tokens": self.max_tokens, "is_lower": self.is_lower, "dtype": self.dtype,
            "dense": [[digest_file(dense.file), dense.activation] for dense in self.dense],
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
        """The vectors of texts, float32 [texts, width]; that of a text without a token is 0.

        Args:
            texts: equal ones with equal contexts have equal vectors.
            contexts: what stands before each text; may be empty.
            languages: tag of each text, for counts; may be empty.
            ledger: counts what was cut, and texts that the encoder does not know.
            cache: folder; None for none.

        Raises:
            InputError: the checkpoint cannot be read, or gives what is not finite.
        """
        checkpoint = Checkpoint.open(self.folder)
        inputs = list(zip(map(self._prepared, texts), contexts, strict=True))
        distinct = dict.fromkeys(inputs)
        order = {pair: i for i, pair in enumerate(distinct)}
        tokenizer = VectorTokenizer.load(self.folder)
        limit, rows = _limits(checkpoint)
        limit = min(x for x in (limit, self.max_tokens, tokenizer.max_tokens) if x is not None)
        tokens = fit_tokens(tokenizer, list(distinct), limit)
        numbers = [order[pair] for pair in inputs]
        tokenizer.count([tokens[i] for i in numbers], languages, self.languages, ledger)
        largest = max((int(each.ids.max()) for each in tokens if len(each.ids)), default=0)
        if largest >= rows:
            raise InputError(
                f"{self.folder}: the tokenizer gives token {largest}, the model has {rows:,}",
                "give the tokenizer that the model was trained with",
            )
        return self._vectors(checkpoint, list(distinct), tokens, cache)[numbers]

    def _prepared(self, text: str) -> str:
        text = self.prompt + (text if self.own_only else text.strip())
        return text.lower() if self.is_lower else text

    def _vectors(
        self,
        checkpoint: Checkpoint,
        distinct: Sequence[tuple[str, str]],
        tokens: Sequence[TextTokens],
        cache: Path | None,
    ) -> np.ndarray:
        """Of every distinct text, float32 [texts, width]."""
        keys = vector_keys(distinct)
        store = VectorCache(cache, self._identity() if cache else "")
        kept = store.read()
        pool: _Pool | None = None
        pending: list[int] = []
        vectors: dict[int, np.ndarray] = {}
        for batch in _passes(keys, tokens):
            if all(keys[i] in kept for i in batch):
                vectors |= {i: kept[keys[i]] for i in batch}
                continue
            pool = pool or _Pool(self, checkpoint)
            computed = pool([tokens[i] for i in batch])
            _check_finite(self.folder, computed, [distinct[i][0] for i in batch])
            vectors |= dict(zip(batch, computed, strict=True))
            pending += batch
            if len(pending) >= _BLOCK_TEXTS:
                _store(store, keys, vectors, pending)
                pending = []
        _store(store, keys, vectors, pending)
        if not vectors:
            pool = pool or _Pool(self, checkpoint)
            return np.zeros((len(tokens), pool.width()), np.float32)
        width = len(next(iter(vectors.values())))
        empty = np.zeros(width, np.float32)
        return np.stack([vectors.get(i, empty) for i in range(len(tokens))])

    def _identity(self) -> str:
        """What the bits of a vector depend on besides its text."""
        import torch
        import transformers

        return digest_of({
            "encoder": self.digest, "threads": torch.get_num_threads(),
            "device": _device().type, "torch": torch.__version__,
            "transformers": transformers.__version__,
        })  # fmt: skip


class _Pool:
    """A loaded body that makes vectors of passes."""

    def __init__(self, how: BodyVectors, checkpoint: Checkpoint) -> None:
        import torch

        from polylect.models import load_body

        self._how = how
        self._device = _device()
        self._body = load_body(checkpoint, getattr(torch, how.dtype)).to(self._device)
        self._dense = [_loaded(dense, self._device) for dense in how.dense]

    def __call__(self, texts: Sequence[TextTokens]) -> np.ndarray:
        """Vectors of texts with the same number of tokens, float32 [texts, width]."""
        import torch
        from torch.nn import functional

        ids = torch.tensor(np.stack([text.ids for text in texts]), dtype=torch.int64)
        masks = np.stack([text.is_own for text in texts])
        if not self._how.own_only:
            masks[:] = True
        masks[~masks.any(axis=1)] = True
        mask = torch.tensor(masks, device=self._device)
        with torch.no_grad():
            hidden = self._hidden(ids.to(self._device)).float()
            vectors = torch.cat([_pooled(hidden, mask, mode) for mode in self._how.pooling], dim=1)
            for weight, bias, activation in self._dense:
                vectors = activation(functional.linear(vectors, weight, bias))
            if self._how.normalizes:
                vectors = functional.normalize(vectors, dim=1)
        return vectors.cpu().numpy()

    def width(self) -> int:
        """Of a vector."""
        token = TextTokens(np.zeros(1, np.int64), np.ones(1, bool), np.zeros(1, bool))
        return self([token]).shape[1]

    def _hidden(self, ids: Any) -> Any:
        layer = self._how.layer
        output = self._body(input_ids=ids, output_hidden_states=layer != -1)
        if layer == -1:
            return output.last_hidden_state
        states = output.hidden_states
        if not -len(states) <= layer < len(states):
            raise InputError(
                f"{self._how.folder}: there is no layer {layer}",
                f"layer={len(states) - 1} is the last, layer=0 the embeddings",
            )
        return states[layer]


def _pooled(hidden: Any, mask: Any, mode: str) -> Any:
    """One vector per text, [texts, hidden], of states [texts, tokens, hidden]."""
    weights = mask[:, :, None].to(hidden.dtype)
    if mode == "cls":
        return hidden[:, 0]
    if mode == "lasttoken":
        return hidden[:, -1]
    if mode == "max":
        return hidden.masked_fill(~mask[:, :, None], -float("inf")).amax(dim=1)
    total, num = (hidden * weights).sum(dim=1), weights.sum(dim=1)
    return total / (num.sqrt() if mode == "mean_sqrt_len_tokens" else num)


def _passes(keys: Sequence[bytes], tokens: Sequence[TextTokens]) -> list[list[int]]:
    """Numbers of texts that make a pass together: as long, and not too many."""
    passes: list[list[int]] = []
    numbers = [i for i, text in enumerate(tokens) if len(text.ids)]
    for i in sorted(numbers, key=lambda i: (len(tokens[i].ids), keys[i])):
        num = len(tokens[i].ids)
        most = min(_PASS_TEXTS, max(1, _PASS_TOKENS // num))
        if passes and len(passes[-1]) < most and len(tokens[passes[-1][0]].ids) == num:
            passes[-1].append(i)
        else:
            passes.append([i])
    return passes


def _store(
    store: VectorCache, keys: Sequence[bytes], vectors: dict[int, np.ndarray], numbers: list[int]
) -> None:
    if numbers:
        store.write([keys[i] for i in numbers], np.stack([vectors[i] for i in numbers]))


def _check_finite(folder: Path, vectors: np.ndarray, texts: Sequence[str]) -> None:
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        raise InputError(
            f"{folder}: hidden states that are not finite, of {texts[bad[0]][:60]!r}",
            "run it in float32, or give another checkpoint",
        )


def _loaded(dense: Dense, device: Any) -> tuple[Any, Any, Any]:
    import torch
    from safetensors.torch import load_file

    tensors = load_file(dense.file)
    weight = tensors.get("linear.weight")
    if weight is None:
        raise InputError(f"{dense.file}: no tensor linear.weight", "save the encoder again")
    bias = tensors.get("linear.bias")
    activation = getattr(torch.nn, dense.activation)()
    return weight.float().to(device), None if bias is None else bias.float().to(device), activation


def _limits(checkpoint: Checkpoint) -> tuple[int | None, int]:
    from polylect.models import body_limits

    return body_limits(checkpoint)


def _device() -> Any:
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
