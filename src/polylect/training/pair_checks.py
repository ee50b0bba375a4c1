"""What an objective needs of all pairs together."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from polylect.base import InputError, Ledger
from polylect.rows import IGNORED_COLUMN, Preference
from polylect.training.encode import PreferenceTokens

NO_MARGIN = "taken as 0: no margin stated, as other rows do"


def check_scores(pairs: Sequence[PreferenceTokens]) -> None:
    """Refuse rows without scores beside rows with them: CoPG's ±¼ is on no common scale with them.

    Raises:
        InputError: some rows have scores and others have none; names the first without.
    """
    without = [pair for pair in pairs if pair.scores is None]
    if without and len(without) < len(pairs):
        raise InputError(
            f"{without[0].place}: no scores, which {len(pairs) - len(without):,} of"
            f" {len(pairs):,} rows have",
            "give chosen_score and rejected_score in all rows, or in none",
        )


def count_margins(pairs: Sequence[PreferenceTokens], ledger: Ledger) -> None:
    """Count the rows that state no margin beside rows that do."""
    if any(pair.margin for pair in pairs):
        for pair in pairs:
            ledger.count(NO_MARGIN, int(not pair.margin), pair.language)


def count_unused(
    rows: Sequence[Preference], ledger: Ledger, *, margins: bool = False, scores: bool = False
) -> None:
    """Count the rows whose stated margin or scores the objective does not use.

    Args:
        rows: as they were read.
        ledger: counts them as ignored columns.
        margins: the objective uses margins.
        scores: the objective uses scores.
    """
    for row in rows:
        ledger.count(IGNORED_COLUMN, int(not margins and row.margin != 0), "margin")
        if not scores and row.scores is not None:
            for name in ("chosen_score", "rejected_score"):
                ledger.count(IGNORED_COLUMN, 1, name)


def with_partners(pairs: Sequence[PreferenceTokens], context_tokens: int) -> list[PreferenceTokens]:
    """The pairs, each with a partner for KTO's baseline: the next pair with another prompt.

    The partner's chosen answer must fit behind the pair's prompt.

    Args:
        pairs: all of them.
        context_tokens: longest sequence.

    Raises:
        InputError: a pair has no partner; names its row.
    """
    return [replace(pair, partner=_partner(pairs, i, context_tokens))
            for i, pair in enumerate(pairs)]  # fmt: skip


def _partner(pairs: Sequence[PreferenceTokens], number: int, context_tokens: int) -> int:
    pair = pairs[number]
    for step in range(1, len(pairs)):
        i = (number + step) % len(pairs)
        is_other = not np.array_equal(pairs[i].prompt, pair.prompt)
        if is_other and len(pair.prompt) + len(pairs[i].chosen) <= context_tokens:
            return i
    raise InputError(
        f"{pair.place}: KTO sets every answer against that of another prompt, and of"
        f" {len(pairs):,} pairs none has one that fits",
        "give pairs of at least two prompts, or choose another objective, e.g. dpo",
    )
