"""From text to tokens, by the rules of lm-evaluation-harness 0.4.13."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from polylect.base import InputError, Ledger
from polylect.engine.config import OverLong
from polylect.engine.requests import Likelihood
from polylect.text import Tokenizer

CUT = "cut: context longer than the model"
"""Ledger event of a truncated context."""


_BLOCK = 4096


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A request for the likelihood of a continuation, as tokens.

    Attributes:
        context: ids, int32 [C], at least one.
        continuation: ids, int32 [N], at least one.
        truncated: the context was cut.
    """

    context: np.ndarray
    continuation: np.ndarray
    truncated: bool = False

    def input_ids(self) -> np.ndarray:
        """The model's input: all tokens but the last."""
        return np.concatenate([self.context, self.continuation[:-1]])


def encode_requests(
    tokenizer: Tokenizer,
    requests: Sequence[Likelihood],
    *,
    add_bos: bool,
    max_tokens: int,
    over_long: OverLong,
    ledger: Ledger,
) -> list[TokenRequest]:
    """Tokens of every request, in order.

    Trailing spaces of the context move to the continuation. Context and continuation are encoded
    together, and the context alone; the continuation is what follows the number of tokens of the
    context alone, so that a token across the boundary belongs to the continuation. An empty context
    becomes BOS.

    Args:
        tokenizer: the checkpoint's.
        requests: contexts and continuations.
        add_bos: begin with BOS, unless the text already does.
        max_tokens: maximum input length: context and continuation without the last token.
        over_long: refuse longer requests, or truncate their context on the left.
        ledger: counts truncated contexts.

    Raises:
        InputError: a request is too long, or its continuation is empty or has no token of its own.
    """
    encoded: list[TokenRequest] = []
    contexts: dict[bytes, np.ndarray] = {}
    for start in range(0, len(requests), _BLOCK):
        block = requests[start : start + _BLOCK]
        for request, text in zip(_encode_block(tokenizer, block, add_bos), block, strict=True):
            # The choices of a question share one context array.
            context = contexts.setdefault(request.context.tobytes(), request.context)
            request = TokenRequest(context, request.continuation)
            encoded.append(_fit(request, text, max_tokens, over_long, ledger))
    return encoded


def _encode_block(
    tokenizer: Tokenizer, requests: Sequence[Likelihood], add_bos: bool
) -> Iterator[TokenRequest]:
    for request in requests:
        if not request.continuation:
            raise InputError(
                f"an empty continuation after {_excerpt(request.context)!r}", "give it some text"
            )
    chat = [request.chat for request in requests]
    whole_ids = _encode(
        tokenizer, [request.context + request.continuation for request in requests], chat
    )
    context_ids = _encode(tokenizer, [request.context.rstrip() for request in requests], chat)
    begin = np.array([tokenizer.bos_id], np.int32)
    for request, ids, context in zip(requests, whole_ids, context_ids, strict=True):
        has_bos = len(ids) > 0 and ids[0] == tokenizer.bos_id
        if len(context):
            bos = begin if add_bos and not request.chat and not has_bos else begin[:0]
            before, after = ids[: len(context)], ids[len(context) :]
            encoded = TokenRequest(np.concatenate([bos, before]), after)
        else:
            # Only spaces in the context: score the whole text after BOS.
            encoded = TokenRequest(begin, ids[1:] if has_bos and len(ids) > 1 else ids)
        if not len(encoded.continuation):
            raise InputError(
                f"no token of its own in continuation {request.continuation!r} after"
                f" {_excerpt(request.context)!r}",
                "begin it with a space, or give another choice",
            )
        yield encoded


def _encode(tokenizer: Tokenizer, texts: Sequence[str], chat: Sequence[bool]) -> list[np.ndarray]:
    """Ids of every text, equal texts encoded once; special tokens are recognized in chats only."""
    distinct: dict[tuple[str, bool], int] = {}
    indices = [distinct.setdefault(key, len(distinct)) for key in zip(texts, chat, strict=True)]
    encoded: dict[int, np.ndarray] = {}
    for special in (False, True):
        selected = [(text, i) for (text, flag), i in distinct.items() if flag is special]
        ids = tokenizer.encode([text for text, _ in selected], special=special)
        encoded |= {i: token_ids for (_, i), token_ids in zip(selected, ids, strict=True)}
    return [encoded[i] for i in indices]


def _fit(
    request: TokenRequest, text: Likelihood, max_tokens: int, over_long: OverLong, ledger: Ledger
) -> TokenRequest:
    num = len(request.context) + len(request.continuation) - 1
    if num <= max_tokens:
        return request
    room = max_tokens + 1 - len(request.continuation)
    if over_long == "refuse" or room < 1:
        way = "--over-long cut, or fewer shots" if room >= 1 else "a shorter continuation"
        raise InputError(
            f"{num} tokens, the model takes {max_tokens}: {_excerpt(text.context)!r} with"
            f" {_excerpt(text.continuation)!r}",
            way,
        )
    ledger.count(CUT)
    return TokenRequest(request.context[-room:], request.continuation, truncated=True)


def _excerpt(text: str, length: int = 40) -> str:
    return text if len(text) <= length else f"{text[:length]}…"
