"""From text to tokens, by the rules of lm-evaluation-harness 0.4.13."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from polylect.base import InputError, Ledger
from polylect.engine.config import OverLong
from polylect.engine.requests import Likelihood
from polylect.text import Tokenizer

CUT = "cut: context longer than the model"
"""What the ledger counts when a context was shortened."""


_BLOCK = 4096


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """How likely are some tokens after others?

    Attributes:
        context: ids, int32 [C], at least one.
        continuation: ids, int32 [N], at least one.
        truncated: the context was cut.
    """

    context: np.ndarray
    continuation: np.ndarray
    truncated: bool = False

    def input_ids(self) -> np.ndarray:
        """What the model reads: all but the last token."""
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

    Spaces at the end of the context move to the front of the continuation. Context and
    continuation are encoded together, the context once more alone, and what follows as many tokens
    as that has is the continuation: a token that spans the border counts as the continuation's.
    An empty context is BOS.

    Args:
        tokenizer: the checkpoint's.
        requests: what is asked.
        add_bos: begin the text with BOS, unless it spells it already.
        max_tokens: longest input; an input is context and continuation without the last token.
        over_long: refuse longer ones, or cut their context from the left.
        ledger: counts what was cut.

    Raises:
        InputError: a request is too long, or its continuation is empty or has no token of its own.
    """
    found: list[TokenRequest] = []
    shared: dict[bytes, np.ndarray] = {}
    for start in range(0, len(requests), _BLOCK):
        block = requests[start : start + _BLOCK]
        for request, one in zip(_encode_block(tokenizer, block, add_bos), block, strict=True):
            # The choices of a question have one context: it is held once.
            context = shared.setdefault(request.context.tobytes(), request.context)
            held = TokenRequest(context, request.continuation)
            found.append(_fit(held, one, max_tokens, over_long, ledger))
    return found


def _encode_block(
    tokenizer: Tokenizer, requests: Sequence[Likelihood], add_bos: bool
) -> Iterator[TokenRequest]:
    for one in requests:
        if not one.continuation:
            raise InputError(
                f"an empty continuation after {_excerpt(one.context)!r}", "give it some text"
            )
    chat = [one.chat for one in requests]
    whole_ids = _encode(tokenizer, [one.context + one.continuation for one in requests], chat)
    context_ids = _encode(tokenizer, [one.context.rstrip() for one in requests], chat)
    begin = np.array([tokenizer.bos_id], np.int32)
    for one, whole, context in zip(requests, whole_ids, context_ids, strict=True):
        spelled = len(whole) > 0 and whole[0] == tokenizer.bos_id
        if len(context):
            bos = begin if add_bos and not one.chat and not spelled else begin[:0]
            before, after = whole[: len(context)], whole[len(context) :]
            request = TokenRequest(np.concatenate([bos, before]), after)
        else:
            # Nothing but spaces before: the model is asked for the whole text after BOS.
            request = TokenRequest(begin, whole[1:] if spelled and len(whole) > 1 else whole)
        if not len(request.continuation):
            raise InputError(
                f"no token of its own in continuation {one.continuation!r} after"
                f" {_excerpt(one.context)!r}",
                "begin it with a space, or give another choice",
            )
        yield request


def _encode(tokenizer: Tokenizer, texts: Sequence[str], chat: Sequence[bool]) -> list[np.ndarray]:
    """Ids of every text; in a chat's, special tokens are read as such. Equal texts once."""
    distinct: dict[tuple[str, bool], int] = {}
    where = [distinct.setdefault(key, len(distinct)) for key in zip(texts, chat, strict=True)]
    encoded: dict[int, np.ndarray] = {}
    for special in (False, True):
        mine = [(text, i) for (text, flag), i in distinct.items() if flag is special]
        ids = tokenizer.encode([text for text, _ in mine], special=special)
        encoded |= {i: one for (_, i), one in zip(mine, ids, strict=True)}
    return [encoded[i] for i in where]


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
