"""From conversations and preferences to tokens, with nothing cut: what is too long is refused."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from polylect.base import InputError, Ledger
from polylect.rows import Chat, ChatPrompt, Pair
from polylect.text import Message, Style

OverLong = Literal["refuse", "drop"]
DROPPED = "dropped: longer than the context"
APART = "encoded apart: a token would span prompt and answer"
E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class ChatTokens:
    """A conversation: ids int32 [T], and which of them are learned from, bool [T]."""

    ids: np.ndarray
    trained: np.ndarray
    language: str
    source: str = ""

    @property
    def num_tokens(self) -> int:
        """Its length."""
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class PairTokens:
    """Two answers to a prompt.

    Attributes:
        prompt: int32 [P], at least one.
        chosen: int32, the end token included.
        rejected: as chosen.
        refine: what asks for an improvement after each answer, (chosen's, rejected's); empty where
            no objective needs it.
        language: tag.
        scores: of chosen and rejected.
        margin: of the preference.
        source: where it is from, for mixtures.
    """

    prompt: np.ndarray
    chosen: np.ndarray
    rejected: np.ndarray
    refine: tuple[np.ndarray, ...]
    language: str
    scores: tuple[float, float] | None
    margin: float
    source: str = ""

    @property
    def num_tokens(self) -> int:
        """Tokens that a pass computes for it, shared ones once."""
        plain = len(self.prompt) + len(self.chosen) + len(self.rejected)
        if not self.refine:
            return plain
        return plain + 2 * (len(self.chosen) + len(self.rejected)) + sum(map(len, self.refine))

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        answer = max(len(self.chosen), len(self.rejected))
        if not self.refine:
            return len(self.prompt) + answer
        return len(self.prompt) + 2 * answer + max(map(len, self.refine))


def encode_chats(
    chats: Sequence[Chat], style: Style, context_tokens: int, over_long: OverLong, ledger: Ledger
) -> list[ChatTokens]:
    """The tokens of every conversation that fits, in order.

    Raises:
        InputError: one does not fit and is to be refused, or nothing is left.
    """
    found = []
    for chat in chats:
        said = style.render(chat.messages)
        ledger.count(APART, int(said.apart), chat.language)
        one = ChatTokens(said.ids, said.trained, chat.language, chat.source)
        if _fits(one.num_tokens, chat.place, chat.language, context_tokens, over_long, ledger):
            found.append(one)
    return _left(found, chats, context_tokens)


def encode_pairs(
    pairs: Sequence[Pair],
    style: Style,
    context_tokens: int,
    over_long: OverLong,
    ledger: Ledger,
    refine: str | None = None,
) -> list[PairTokens]:
    """The tokens of every preference that fits, in order.

    Args:
        pairs: any.
        style: how turns are written.
        context_tokens: longest sequence.
        over_long: refuse longer ones, or drop and count them.
        ledger: counts them.
        refine: what asks for an improvement, where the objective needs it.

    Raises:
        InputError: one does not fit and is to be refused, or nothing is left.
    """
    found = []
    for pair in pairs:
        prompt = style.prompt(pair.prompt)
        chosen = _answer(style, pair, pair.chosen, ledger)
        rejected = _answer(style, pair, pair.rejected, ledger)
        asks = ()
        if refine is not None:
            asks = (
                _ask(style, pair, pair.chosen, prompt, chosen, refine),
                _ask(style, pair, pair.rejected, prompt, rejected, refine),
            )
        one = PairTokens(
            prompt, chosen, rejected, asks, pair.language, pair.scores, pair.margin, pair.source
        )
        if _fits(one.longest, pair.place, pair.language, context_tokens, over_long, ledger):
            found.append(one)
    return _left(found, pairs, context_tokens)


def encode_prompts(
    prompts: Sequence[ChatPrompt],
    style: Style,
    context_tokens: int,
    max_new_tokens: int,
    over_long: OverLong,
    ledger: Ledger,
) -> list[tuple[ChatPrompt, np.ndarray]]:
    """Every prompt that leaves room for an answer, with its tokens int32 [P], in order.

    Raises:
        InputError: one does not fit and is to be refused, or nothing is left.
    """
    room = context_tokens - max_new_tokens
    if room < 1:
        raise InputError(
            f"an answer of {max_new_tokens} tokens leaves no room for a prompt: the context has"
            f" {context_tokens}",
            f"--max-new-tokens {max(1, context_tokens // 2)}",
        )
    found = []
    for one in prompts:
        ids = style.prompt(one.messages)
        if _fits(len(ids), one.place, one.language, room, over_long, ledger):
            found.append((one, ids))
    return _left(found, prompts, room)


def ask_after(style: Style, prompt: Sequence[Message], answer: str, refine: str) -> np.ndarray:
    """Tokens that ask for an improvement of an answer, as they follow its end token.

    Raises:
        InputError: the template rewrites earlier turns.
    """
    before = style.prompt(prompt)
    pair = Pair(tuple(prompt), answer, "", "", "the prompt of a sample")
    ids = _answer(style, pair, answer, Ledger())
    return _ask(style, pair, answer, before, ids, refine)


def _answer(style: Style, pair: Pair, text: str, ledger: Ledger) -> np.ndarray:
    """Tokens of an answer, up to its end token: the last run of what an assistant said."""
    said = style.render([*pair.prompt, {"role": "assistant", "content": text}])
    ledger.count(APART, int(said.apart), pair.language)
    mine = np.flatnonzero(said.trained)
    end = int(mine[-1]) + 1
    gaps = np.flatnonzero(~said.trained[:end])
    return said.ids[int(gaps[-1]) + 1 : end]


def _ask(
    style: Style, pair: Pair, text: str, prompt: np.ndarray, answer: np.ndarray, refine: str
) -> np.ndarray:
    """What stands between an answer and its improvement."""
    turns: list[Message] = [
        *pair.prompt,
        {"role": "assistant", "content": text},
        {"role": "user", "content": refine},
    ]
    whole, before = style.prompt(turns), np.concatenate([prompt, answer])
    if not np.array_equal(whole[: len(before)], before):
        raise InputError(
            f"{pair.place}: asked to improve the answer, the prompt does not begin as before",
            "SRPO needs a template that keeps earlier turns as they were",
        )
    return whole[len(before) :]


def _fits(
    length: int, place: str, tag: str, context_tokens: int, over_long: OverLong, ledger: Ledger
) -> bool:
    if length <= context_tokens:
        return True
    if over_long == "refuse":
        raise InputError(
            f"{place}: {length} tokens, the context has {context_tokens}",
            "--over-long drop counts and leaves such rows out; or raise --context-tokens",
        )
    ledger.count(DROPPED, 1, tag)
    return False


def _left(found: list[E], given: Sequence[object], context_tokens: int) -> list[E]:
    if not found:
        raise InputError(
            f"all {len(given):,} rows are longer than {context_tokens} tokens",
            "raise --context-tokens",
        )
    return found


def passes(
    examples: Sequence[E], micro_batch_tokens: int, size: Callable[[E], int]
) -> list[list[E]]:
    """The examples of an update, in order, as micro-batches of at most ``micro_batch_tokens``.

    An example longer than that is a pass of its own.
    """
    found: list[list[E]] = []
    total = 0
    for one in examples:
        if not found or total + size(one) > micro_batch_tokens:
            found.append([])
            total = 0
        found[-1].append(one)
        total += size(one)
    return found
