"""At which token a reward is read: the last one of the whole rendered conversation.

This is where transformers' ``…ForSequenceClassification`` reads, given ``apply_chat_template`` of
the conversation: the last token that is not the padding token, after whatever a template writes
behind the end of the turn (a line end, mostly). Training, scoring and any other reader of the saved
model read there.
"""

from collections.abc import Sequence

import numpy as np

from polylect.base import InputError, Ledger
from polylect.rows import Message, Preference, RefusedRows
from polylect.text import Style
from polylect.training.encode import (
    OverLong,
    PreferenceTokens,
    check_unequal,
    count_spelled,
    fits,
    item_ids,
    not_empty,
)

READING = "last token of the whole conversation"
"""In a reward model's lineage; earlier ones were trained to be read at the end of the turn."""
BEFORE_END = "read before the end token: it is the padding token too"


def read_sequences(
    style: Style,
    messages: Sequence[Message],
    answers: Sequence[str],
    pad_id: int | None,
    language: str,
    ledger: Ledger,
) -> list[np.ndarray]:
    """Tokens of the conversation with each answer, int32; a reward is read at the last of them.

    Args:
        style: renders messages.
        messages: of the prompt.
        answers: texts.
        pad_id: what transformers takes for padding; at the end it is left out.
        language: tag, for the ledger.
        ledger: counts answers whose end token is left out as padding.

    Raises:
        InputError: the template cannot be used.
    """
    sequences = []
    for text in answers:
        ids = style.whole([*messages, Message("assistant", text)])
        others = np.arange(len(ids)) if pad_id is None else np.flatnonzero(ids != pad_id)
        num = int(others[-1]) + 1 if len(others) else 1
        ledger.count(BEFORE_END, int(num < len(ids)), language)
        sequences.append(ids[:num])
    return sequences


def share_prefix(sequences: Sequence[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """The tokens that all sequences begin with, and what follows in each; nothing is empty.

    Example:
        >>> prefix, rest = share_prefix([np.array([1, 2, 3]), np.array([1, 2, 4, 5])])
        >>> prefix.tolist(), [ids.tolist() for ids in rest]
        ([1, 2], [[3], [4, 5]])

    Args:
        sequences: at least one, each of two tokens or more; all begin with the same token.
    """
    most = min(map(len, sequences)) - 1
    stacked = np.stack([ids[:most] for ids in sequences])
    differs = np.flatnonzero((stacked != stacked[0]).any(axis=0))
    num = int(differs[0]) if len(differs) else most
    if not num:
        raise InputError(
            "the chat template begins the conversation differently for two answers",
            "a reward needs a template that renders the prompt before the answer",
        )
    return sequences[0][:num], [ids[num:] for ids in sequences]


def encode_rewarded(
    preferences: Sequence[Preference],
    style: Style,
    context_tokens: int,
    over_long: OverLong,
    ledger: Ledger,
    pad_id: int,
) -> list[PreferenceTokens]:
    """The tokens of every preference that fits, in order, as ``read_sequences`` gives them.

    ``prompt`` is what both sequences begin with, ``chosen`` and ``rejected`` are the rest.

    Args:
        preferences: rows in which one answer is preferred.
        style: renders messages.
        context_tokens: longest sequence.
        over_long: refuse a row with a longer sequence, or drop and count it.
        ledger: counts dropped rows, and what ``read_sequences`` does.
        pad_id: as for ``read_sequences``.

    Raises:
        InputError: one does not fit and is to be refused, two answers are equal, or none is left.
    """
    encoded = []
    refused = RefusedRows(style.place)
    for row, item in zip(preferences, item_ids(preferences), strict=True):
        try:
            said = [Message("assistant", text) for text in (row.chosen, row.rejected)]
            sequences = read_sequences(
                style, row.messages, (row.chosen, row.rejected), pad_id, row.language, ledger
            )
            count_spelled(style, [*row.messages, *said], row.language, ledger)
            check_unequal(*sequences)
            prompt, (chosen, rejected) = share_prefix(sequences)
        except InputError as error:
            refused.add(error, row.place, row.language)
            continue
        tokens = PreferenceTokens(
            prompt, chosen, rejected, (), row.language, row.scores, row.margin, row.source, item,
            row.place,
        )  # fmt: skip
        if fits(tokens.longest, row.place, row.language, context_tokens, over_long, ledger):
            encoded.append(tokens)
    refused.count(ledger, len(encoded))
    return not_empty(encoded, len(preferences), context_tokens)
