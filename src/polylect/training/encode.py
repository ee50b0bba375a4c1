"""From conversations and preferences to tokens, with nothing cut: what is too long is refused."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from polylect.base import InputError, Ledger
from polylect.rows import Conversation, Message, Preference, Prompt
from polylect.text import APART, RESPELLED, Style

OverLong = Literal["refuse", "drop"]
DROPPED = "dropped: longer than the context"
E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class ConversationTokens:
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
class PreferenceTokens:
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
        item: names its row, whichever other rows were dropped; see ``item_ids``.
        place: file and line, for errors.
        partner: number of the pair whose chosen answer stands for any other (KTO), or -1.
    """

    prompt: np.ndarray
    chosen: np.ndarray
    rejected: np.ndarray
    refine: tuple[np.ndarray, ...]
    language: str
    scores: tuple[float, float] | None
    margin: float
    source: str = ""
    item: str = ""
    place: str = ""
    partner: int = -1

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


def encode_conversations(
    conversations: Sequence[Conversation],
    style: Style,
    context_tokens: int,
    over_long: OverLong,
    ledger: Ledger,
) -> list[ConversationTokens]:
    """The tokens of every conversation that fits, in order.

    Raises:
        InputError: one does not fit and is to be refused, or none is left.
    """
    encoded = []
    for row in conversations:
        with naming_place(row.place):
            rendered = style.render(row.messages)
        ledger.count(APART, int(rendered.apart), row.language)
        ledger.count(RESPELLED, int(rendered.respelled), row.language)
        tokens = ConversationTokens(rendered.ids, rendered.trained, row.language, row.source)
        if fits(tokens.num_tokens, row.place, row.language, context_tokens, over_long, ledger):
            encoded.append(tokens)
    return not_empty(encoded, len(conversations), context_tokens)


def item_ids(preferences: Sequence[Preference]) -> list[str]:
    """An id for every row of a file, unique within its language.

    It is the row's ``id``; of several rows with one id the later ones are numbered. A row without
    an id has its line. It depends on the file alone: what a training drops moves no other row's.

    Example:
        >>> from polylect.rows import Message, Preference, Verdict
        >>> rows = [Preference(language="de", messages=(Message("user", "a"),), answer_a="b",
        ...                    answer_b="c", verdict=Verdict.A, id=name, place=f"x.jsonl:{line}")
        ...         for line, name in ((1, ""), (2, "q7"), (4, "q7"))]
        >>> item_ids(rows)
        ['1', 'q7', 'q7#2']
    """
    seen: dict[tuple[str, str], int] = {}
    ids = []
    for row in preferences:
        name = row.id or row.place.rpartition(":")[2]
        num = seen[row.language, name] = seen.get((row.language, name), 0) + 1
        ids.append(name if num == 1 else f"{name}#{num}")
    return ids


def encode_preferences(
    preferences: Sequence[Preference],
    style: Style,
    context_tokens: int,
    over_long: OverLong,
    ledger: Ledger,
    refine_prompt: str | None = None,
) -> list[PreferenceTokens]:
    """The tokens of every preference that fits, in order.

    Args:
        preferences: rows in which one answer is preferred.
        style: renders messages.
        context_tokens: longest sequence.
        over_long: refuse a row with a longer sequence, or drop and count it.
        ledger: counts dropped rows.
        refine_prompt: the request to improve an answer, for objectives that need one (SRPO).

    Raises:
        InputError: one does not fit and is to be refused, two answers are equal, or none is left.
    """
    encoded = []
    for row, item in zip(preferences, item_ids(preferences), strict=True):
        with naming_place(row.place):
            prompt = style.prompt(row.messages)
            chosen, rejected = (
                answer_tokens(style, row.messages, text, row.language, ledger)
                for text in (row.chosen, row.rejected)
            )
            check_unequal(chosen, rejected)
            refine = ()
            if refine_prompt is not None:
                refine = tuple(
                    refine_tokens(style, row.messages, text, prompt, ids, refine_prompt)
                    for text, ids in ((row.chosen, chosen), (row.rejected, rejected))
                )
        tokens = PreferenceTokens(
            prompt, chosen, rejected, refine, row.language, row.scores, row.margin, row.source,
            item, row.place,
        )  # fmt: skip
        if fits(tokens.longest, row.place, row.language, context_tokens, over_long, ledger):
            encoded.append(tokens)
    return not_empty(encoded, len(preferences), context_tokens)


def encode_prompts(
    prompts: Sequence[Prompt],
    style: Style,
    context_tokens: int,
    max_new_tokens: int,
    over_long: OverLong,
    ledger: Ledger,
) -> list[tuple[Prompt, np.ndarray]]:
    """Every prompt that leaves room for an answer, with its tokens int32 [P], in order.

    Raises:
        InputError: one does not fit and is to be refused, or none is left.
    """
    room = context_tokens - max_new_tokens
    if room < 1:
        raise InputError(
            f"an answer of {max_new_tokens} tokens leaves no room for a prompt: the context has"
            f" {context_tokens}",
            f"--max-new-tokens {max(1, context_tokens // 2)}",
        )
    encoded = []
    for row in prompts:
        with naming_place(row.place):
            ids = style.prompt(row.messages)
        if fits(len(ids), row.place, row.language, room, over_long, ledger):
            encoded.append((row, ids))
    return not_empty(encoded, len(prompts), room)


def answer_tokens(
    style: Style, messages: Sequence[Message], text: str, language: str, ledger: Ledger
) -> np.ndarray:
    """Tokens of an answer to messages, its end token included, int32 [A].

    Args:
        style: renders messages.
        messages: of the prompt.
        text: the answer.
        language: tag, for the ledger.
        ledger: counts answers that were encoded apart from their prompt.
    """
    rendered = style.render([*messages, Message("assistant", text)])
    ledger.count(APART, int(rendered.apart), language)
    ledger.count(RESPELLED, int(rendered.respelled), language)
    end = int(np.flatnonzero(rendered.trained)[-1]) + 1
    untrained = np.flatnonzero(~rendered.trained[:end])
    return rendered.ids[int(untrained[-1]) + 1 : end]


def refine_tokens(
    style: Style,
    messages: Sequence[Message],
    text: str,
    prompt: np.ndarray,
    answer: np.ndarray,
    refine_prompt: str,
) -> np.ndarray:
    """Tokens of the request to improve an answer, as they follow the answer's end token.

    Args:
        style: renders messages.
        messages: of the prompt.
        text: the answer.
        prompt: tokens of the messages.
        answer: tokens of the answer.
        refine_prompt: the request.

    Raises:
        InputError: the template rewrites earlier turns.
    """
    turns = [*messages, Message("assistant", text), Message("user", refine_prompt)]
    whole, before = style.prompt(turns), np.concatenate([prompt, answer])
    if not np.array_equal(whole[: len(before)], before):
        raise InputError(
            "asked to improve the answer, the prompt does not begin as before",
            "SRPO needs a template that keeps earlier turns as they were",
        )
    return whole[len(before) :]


@contextmanager
def naming_place(place: str) -> Iterator[None]:
    """A context in which errors name the row's file and line."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{place}: {error.message}", error.hint) from None


def check_unequal(chosen: np.ndarray, rejected: np.ndarray) -> None:
    """Refuse two answers that are the same tokens: the template trimmed what told them apart.

    Raises:
        InputError: they are.
    """
    if np.array_equal(chosen, rejected):
        raise InputError(
            "'chosen' and 'rejected' are equal once the chat template has rendered them",
            "remove the row",
        )


def fits(
    length: int, place: str, tag: str, context_tokens: int, over_long: OverLong, ledger: Ledger
) -> bool:
    """Whether a row fits into the context; one that does not is refused, or counted.

    Raises:
        InputError: it does not, and is to be refused.
    """
    if length <= context_tokens:
        return True
    if over_long == "refuse":
        raise InputError(
            f"{place}: {length} tokens, the context has {context_tokens}",
            "--over-long drop counts and leaves such rows out; or raise --context-tokens",
        )
    ledger.count(DROPPED, 1, tag)
    return False


def not_empty(encoded: list[E], num_rows: int, context_tokens: int) -> list[E]:
    """The encoded rows.

    Raises:
        InputError: there is none.
    """
    if not encoded:
        raise InputError(
            f"all {num_rows:,} rows are longer than {context_tokens} tokens",
            "raise --context-tokens",
        )
    return encoded


def micro_batches(
    examples: Iterable[E], max_tokens: int, num_tokens: Callable[[E], int]
) -> list[list[E]]:
    """The examples, in order, as micro-batches of at most ``max_tokens``.

    An example longer than that is a micro-batch of its own.

    Example:
        >>> micro_batches(["a", "bb", "ccccc", "d"], 4, len)
        [['a', 'bb'], ['ccccc'], ['d']]
    """
    batches: list[list[E]] = []
    total = 0
    for example in examples:
        if not batches or total + num_tokens(example) > max_tokens:
            batches.append([])
            total = 0
        batches[-1].append(example)
        total += num_tokens(example)
    return batches
