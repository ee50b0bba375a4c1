"""From conversations and preferences to tokens, with nothing cut.

What is too long is refused, or dropped and counted, as the settings say. A row that the chat
template cannot write leaves only itself out (``rows.RefusedRows``).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from polylect.base import InputError, Ledger
from polylect.rows import Conversation, Message, Preference, Prompt, RefusedRows
from polylect.text import (
    ALTERED,
    APART,
    RESPELLED,
    LearnedTurns,
    RenderedAnswer,
    RenderedChat,
    Style,
    count_special,
    spells_special,
    up_to_learned,
)
from polylect.training.improvement import RefineContext, refine_context, refine_request

OverLong = Literal["refuse", "drop"]
REWRITTEN = "not learned: an earlier turn that the template does not keep as the model says it"
SPOKEN = "learned as the model says it: the template does not keep the last turn as it is"
UNREAD = "left out: what follows the last turn that is learned"
REPEATED = "odd: both answers begin with the prompt, as if the model should repeat it"
ANEW = "rendered anew: the template writes an answer otherwise once it is to be improved"
DROPPED = "dropped: longer than the context"
_LONG = 8
"""Characters of a prompt from which on it is no chance that both answers begin with it."""
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
        refine: what stands before an improvement of each answer, (chosen's, rejected's); empty
            where no objective needs it.
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
    refine: tuple[RefineContext, ...]
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
        answers = len(self.chosen) + len(self.rejected)
        contexts = sum(len(context.ids) + answers for context in self.refine)
        return len(self.prompt) + answers + contexts

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        answers = (len(self.chosen), len(self.rejected))
        before = [len(self.prompt)]
        before += [
            context.length(len(self.prompt), num)
            for context, num in zip(self.refine, answers, strict=False)
        ]
        return max(before) + max(answers)


def encode_conversations(
    conversations: Sequence[Conversation],
    style: Style,
    context_tokens: int,
    over_long: OverLong,
    ledger: Ledger,
    turns: LearnedTurns = "all",
) -> list[ConversationTokens]:
    """The tokens of every conversation that fits, in order.

    Args:
        conversations: rows.
        style: renders messages.
        context_tokens: longest sequence.
        over_long: refuse a longer row, or drop and count it.
        ledger: counts dropped rows, and turns that are not learned.
        turns: which turns are learned.

    Raises:
        InputError: one does not fit and is to be refused, or none is left.
    """
    encoded = []
    refused = RefusedRows(style.place)
    for row in conversations:
        try:
            rendered = style.render(row.messages, turns)
        except InputError as error:
            refused.add(error, row.place, row.language)
            continue
        count_apart(rendered, row.language, ledger)
        count_spelled(style, row.messages, row.language, ledger)
        ledger.count(REWRITTEN, rendered.rewritten, row.language)
        read = up_to_learned(row.messages, turns)
        ledger.count(UNREAD, int(len(read) < len(row.messages)), row.language)
        if len(read) > 2:  # an answer to an earlier one
            ledger.count(ALTERED, style.num_altered(read[:-1]), row.language)
        ledger.count(SPOKEN, int(rendered.spoken), row.language)
        tokens = ConversationTokens(rendered.ids, rendered.trained, row.language, row.source)
        if fits(tokens.num_tokens, row.place, row.language, context_tokens, over_long, ledger):
            encoded.append(tokens)
    refused.count(ledger, len(encoded))
    return not_empty(encoded, len(conversations), context_tokens)


def count_apart(rendered: RenderedChat | RenderedAnswer, language: str, ledger: Ledger) -> None:
    """Count what was encoded apart."""
    ledger.count(APART, int(rendered.apart), language)
    ledger.count(RESPELLED, int(rendered.respelled), language)


def count_spelled(style: Style, messages: Sequence[Message], language: str, ledger: Ledger) -> None:
    """Count a row whose messages spell a special token."""
    num = int(spells_special(style.tokenizer, messages))
    count_special(num, style.special_tokens, ledger, language)


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
        InputError: one does not fit and is to be refused, or none is left.
    """
    encoded = []
    refused = RefusedRows(style.place)
    for row, item in zip(preferences, item_ids(preferences), strict=True):
        try:
            tokens = _pair_tokens(row, item, style, refine_prompt, ledger)
        except InputError as error:
            refused.add(error, row.place, row.language)
            continue
        if fits(tokens.longest, row.place, row.language, context_tokens, over_long, ledger):
            encoded.append(tokens)
    refused.count(ledger, len(encoded))
    return not_empty(encoded, len(preferences), context_tokens)


def _pair_tokens(
    row: Preference, item: str, style: Style, refine_prompt: str | None, ledger: Ledger
) -> PreferenceTokens:
    request = [] if refine_prompt is None else refine_request(refine_prompt)
    texts = (row.chosen, row.rejected)
    said = [Message("assistant", text) for text in texts]
    answers = [style.answer(row.messages, text, request) for text in texts]
    chosen, rejected = answers
    check_unequal(chosen.answer, rejected.answer)
    refine: tuple[RefineContext, ...] = ()
    if refine_prompt is not None:
        refine = tuple(
            refine_context(style, row.messages, text, answer, refine_prompt)
            for text, answer in zip(texts, answers, strict=True)
        )
    count_spelled(style, [*row.messages, *said], row.language, ledger)
    ledger.count(ALTERED, style.num_altered(row.messages), row.language)
    asked = row.messages[-1].content.strip()
    repeats = [len(asked) >= _LONG and asked in text[: 2 * len(asked)] for text in texts]
    ledger.count(REPEATED, int(all(repeats)), row.language)
    for answer in answers:
        count_apart(answer, row.language, ledger)
        ledger.count(ANEW, int(answer.following is None), row.language)
    return PreferenceTokens(
        chosen.prompt, chosen.answer, rejected.answer, refine, row.language, row.scores,
        row.margin, row.source, item, row.place,
    )  # fmt: skip


def encode_prompts(
    prompts: Sequence[Prompt],
    style: Style,
    context_tokens: int,
    max_new_tokens: int,
    over_long: OverLong,
    ledger: Ledger,
    refine_prompt: str | None = None,
) -> list[tuple[Prompt, np.ndarray]]:
    """Every prompt that leaves room for an answer, with its tokens int32 [P], in order.

    Args:
        prompts: rows.
        style: renders messages.
        context_tokens: longest sequence.
        max_new_tokens: longest answer.
        over_long: refuse a longer row, or drop and count it.
        ledger: counts dropped rows.
        refine_prompt: leave room for an answer, this request, and an improved answer (SRPO).

    Raises:
        InputError: one does not fit and is to be refused, or none is left.
    """
    if context_tokens <= max_new_tokens:
        raise InputError(
            f"an answer of {max_new_tokens} tokens leaves no room for a prompt: the context has"
            f" {context_tokens}",
            f"--max-new-tokens {max(1, context_tokens // 2)}",
        )
    beside = " with an answer"
    if refine_prompt is not None:
        beside += ", the request to improve it and the improved answer"
    encoded = []
    refused = RefusedRows(style.place)
    for row in prompts:
        try:
            ids = style.prompt(row.messages)
            needed = len(ids)
            if refine_prompt is not None:
                needed = _num_to_improve(style, row.messages, refine_prompt) + max_new_tokens
        except InputError as error:
            refused.add(error, row.place, row.language)
            continue
        count_spelled(style, row.messages, row.language, ledger)
        ledger.count(ALTERED, style.num_altered(row.messages), row.language)
        total = needed + max_new_tokens
        if fits(total, row.place, row.language, context_tokens, over_long, ledger, beside):
            encoded.append((row, ids))
    refused.count(ledger, len(encoded))
    return not_empty(encoded, len(prompts), context_tokens, beside)


def _num_to_improve(style: Style, messages: Sequence[Message], refine_prompt: str) -> int:
    """Tokens before an improved answer, but for the answer that it improves."""
    stub = "a"
    rendered = style.answer(messages, stub, refine_request(refine_prompt))
    context = refine_context(style, messages, stub, rendered, refine_prompt)
    return context.length(len(rendered.prompt), len(rendered.answer))


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
    length: int,
    place: str,
    tag: str,
    context_tokens: int,
    over_long: OverLong,
    ledger: Ledger,
    beside: str = "",
) -> bool:
    """Whether a row fits into the context; one that does not is refused, or counted.

    Args:
        length: its tokens.
        place: its file and line.
        tag: its language.
        context_tokens: longest sequence.
        over_long: refuse it, or drop and count it.
        ledger: counts it.
        beside: what else the tokens include, for the error.

    Raises:
        InputError: it does not, and is to be refused.
    """
    if length <= context_tokens:
        return True
    if over_long == "refuse":
        raise InputError(
            f"{place}: {length} tokens{beside}, the context has {context_tokens}",
            "--over-long drop counts and leaves such rows out; or raise --context-tokens",
        )
    ledger.count(DROPPED, 1, tag)
    return False


def not_empty(encoded: list[E], num_rows: int, context_tokens: int, beside: str = "") -> list[E]:
    """The encoded rows.

    Raises:
        InputError: there is none.
    """
    if not encoded:
        raise InputError(
            f"all {num_rows:,} rows{beside} are longer than {context_tokens} tokens",
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
