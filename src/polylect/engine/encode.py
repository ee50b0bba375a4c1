"""From text to tokens: what is conditioned on, and what is scored."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from polylect.base import InputError, Ledger
from polylect.engine.config import BorderRule, OverLong
from polylect.engine.requests import Likelihood
from polylect.text import (
    APART,
    RESPELLED,
    CutText,
    SpecialTokens,
    Tokenizer,
    count_special,
    cut_at_borders,
    cut_like_lm_eval,
)

CUT = "cut: context longer than the model"
"""Ledger event of a truncated context."""
IN_WINDOWS = "split: continuation longer than the model"
"""Ledger event of a continuation that is scored in windows."""

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

    def windows(self, max_tokens: int) -> "list[TokenRequest]":
        """Itself; of a continuation longer than the model, parts that fit, in order.

        Every token of the continuation is in one part. The first part has at least one token of the
        context, every other as many tokens before it as half of ``max_tokens``, or more.

        Args:
            max_tokens: maximum input length of a part.
        """
        if len(self.context) + len(self.continuation) - 1 <= max_tokens:
            return [self]
        tokens = np.concatenate([self.context, self.continuation])
        num_new = max(1, max_tokens // 2)
        parts, start = [], len(self.context)
        while start < len(tokens):
            num_before = min(start, max_tokens if parts else max_tokens + 1 - num_new)
            end = start + (num_new if parts else max_tokens + 1 - num_before)
            end = min(end, len(tokens))
            begin = start - min(num_before, max_tokens + 1 - (end - start))
            parts.append(TokenRequest(tokens[begin:start], tokens[start:end], truncated=True))
            start = end
        return parts


def encode_requests(
    tokenizer: Tokenizer,
    requests: Sequence[Likelihood],
    *,
    add_bos: bool,
    max_tokens: int,
    over_long: OverLong,
    ledger: Ledger,
    border: BorderRule = "context",
    special_tokens: SpecialTokens = "spell",
) -> list[TokenRequest]:
    """Tokens of every request, in order.

    Trailing spaces of a context that is no chat move to the continuation, and an empty context
    becomes BOS, as in lm-evaluation-harness 0.4.13. Where a token would span context and
    continuation, the two are encoded apart (``text.cut_at_borders``): every choice of a question is
    conditioned on the same tokens, those of the context alone, and no character is lost or
    repeated. The harness scores, after the context's own tokens, those of both together but for as
    many, so that a part of the choice may be in neither, and moves the spaces of chats, too:
    ``border="lm-eval"``. A choice that has no token left then stops the harness, too: it asserts
    that there is one.

    Args:
        tokenizer: the checkpoint's.
        requests: contexts and continuations.
        add_bos: begin with BOS, unless the text already does.
        max_tokens: maximum input length: context and continuation without the last token.
        over_long: refuse longer requests, or truncate their context on the left; a continuation
            that is itself too long stays whole, for ``TokenRequest.windows``.
        ledger: counts truncated contexts, continuations that are too long, and requests that were
            encoded apart.
        border: rule for a token that spans context and continuation.
        special_tokens: of texts that are no chat, and of continuations; the special tokens of a
            rendered chat are always read, but for those that are marked.

    Raises:
        InputError: a request is too long, or its continuation is empty or has no token of its own;
            the message names the item of the request.
    """
    encoded: list[TokenRequest] = []
    contexts: dict[bytes, np.ndarray] = {}
    for start in range(0, len(requests), _BLOCK):
        block = requests[start : start + _BLOCK]
        for request, text in zip(
            _encode_block(tokenizer, block, add_bos, border, special_tokens, ledger),
            block,
            strict=True,
        ):
            # The choices of a question share one context array.
            context = contexts.setdefault(request.context.tobytes(), request.context)
            request = TokenRequest(context, request.continuation)
            encoded.append(_fit(request, text, max_tokens, over_long, ledger))
    return encoded


def _encode_block(
    tokenizer: Tokenizer,
    requests: Sequence[Likelihood],
    add_bos: bool,
    border: BorderRule,
    special_tokens: SpecialTokens,
    ledger: Ledger,
) -> Iterator[TokenRequest]:
    for request in requests:
        if not request.continuation:
            raise InputError(
                f"{_place(request)}an empty continuation after {_excerpt(request.context)!r}",
                "give it some text",
            )
    begin = np.array([tokenizer.bos_id], np.int32)
    cuts = _cut_all(tokenizer, requests, border, special_tokens == "parse")
    for request, cut in zip(requests, cuts, strict=True):
        # Of a chat, whoever rendered it has counted the context.
        texts = [request.continuation] if request.chat else [request.context + request.continuation]
        count_special(int(tokenizer.has_special(*texts)), special_tokens, ledger)
        context, continuation = cut.pieces
        first = context if len(context) else continuation
        has_bos = len(first) > 0 and first[0] == tokenizer.bos_id
        if len(context):
            bos = begin if add_bos and not request.chat and not has_bos else begin[:0]
            encoded = TokenRequest(np.concatenate([bos, context]), continuation)
        else:
            # Only spaces in the context: score the whole text after BOS.
            skipped = int(has_bos and len(continuation) > 1)
            encoded = TokenRequest(begin, continuation[skipped:])
        if not len(encoded.continuation):
            raise InputError(
                f"{_place(request)}no token of its own in continuation {request.continuation!r}"
                f" after {_excerpt(request.context)!r}",
                "begin it with a space, give another choice"
                + (", or --border context" if border == "lm-eval" else ""),
            )
        ledger.count(APART, int(cut.apart))
        ledger.count(RESPELLED, int(cut.respelled))
        yield encoded


def _cut_all(
    tokenizer: Tokenizer, requests: Sequence[Likelihood], border: BorderRule, parses: bool
) -> list[CutText]:
    """Context and continuation of every request.

    Special tokens are recognized in the contexts of chats; elsewhere only if ``parses``.
    """
    pieces = [_with_spaces_moved(request, border) for request in requests]
    if not parses:
        pieces = [
            (context, tokenizer.with_marks(text) if request.chat else text)
            for request, (context, text) in zip(requests, pieces, strict=True)
        ]
    cuts: dict[int, CutText] = {}
    for chat in (False, True):
        chosen = [i for i, request in enumerate(requests) if request.chat is chat]
        texts = [pieces[i] for i in chosen]
        if border == "context":
            cut_texts = cut_at_borders(tokenizer, texts, special=chat or parses)
        else:
            distinct = list(dict.fromkeys(part for a, b in texts for part in (a, a + b)))
            ids = dict(
                zip(distinct, tokenizer.encode(distinct, special=chat or parses), strict=True)
            )
            cut_texts = [cut_like_lm_eval(ids[a + b], ids[a]) for a, b in texts]
        cuts |= dict(zip(chosen, cut_texts, strict=True))
    return [cuts[i] for i in range(len(requests))]


def _with_spaces_moved(request: Likelihood, border: BorderRule) -> tuple[str, str]:
    """Context and continuation; spaces before a word belong to the word's token.

    A chat keeps them: the model answers after them.
    """
    if request.chat and border == "context":
        return request.context, request.continuation
    context = request.context.rstrip()
    return context, request.context[len(context) :] + request.continuation


def _place(request: Likelihood) -> str:
    return f"{request.where}: " if request.where else ""


def _fit(
    request: TokenRequest, text: Likelihood, max_tokens: int, over_long: OverLong, ledger: Ledger
) -> TokenRequest:
    num = len(request.context) + len(request.continuation) - 1
    if num <= max_tokens:
        return request
    if over_long == "refuse":
        raise InputError(
            f"{_place(text)}{num} tokens, the model takes {max_tokens}: {_excerpt(text.context)!r}"
            f" with {_excerpt(text.continuation)!r}",
            "--over-long cut, or fewer shots",
        )
    room = max_tokens + 1 - len(request.continuation)
    ledger.count(CUT if room >= 1 else IN_WINDOWS)
    context = request.context[-room:] if room >= 1 else request.context
    return TokenRequest(context, request.continuation, truncated=True)


def _excerpt(text: str, length: int = 40) -> str:
    return text if len(text) <= length else f"{text[:length]}…"
