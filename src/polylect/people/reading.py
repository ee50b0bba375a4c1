"""A crowd from a file of preferences or of ratings."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from polylect.base import InputError, Ledger, count_look_alikes
from polylect.people.crowd import Crowd, Text, crowd_of
from polylect.people.ratings import crowd_of_ratings, read_ratings
from polylect.rows import (
    Message,
    columns_of,
    language_cell,
    read_dicts,
    read_preferences,
    text_cell,
)

FEW_PAIRS = "a user with one pair"
"""Ledger event: little can be learned of somebody."""


def read_crowd(
    path: Path,
    default_language: str = "",
    ledger: Ledger | None = None,
    *,
    min_difference: float = 0.0,
    max_pairs: int | None = None,
    seed: int = 0,
) -> Crowd:
    """The preferences of a file whose rows are preferences or ratings.

    Rows of preferences have ``user`` (or ``annotator``), ``prompt`` or none, ``chosen``,
    ``rejected`` and ``language``; rows of ratings have ``user``, ``prompt`` or none, ``text``,
    ``rating`` and ``language``. The first row decides which.

    Args:
        path: JSON lines or Parquet.
        default_language: of rows that name none.
        ledger: counts what was left out, and users with a single pair; names users whose names
            look alike, who are kept apart.
        min_difference: of two ratings that are a preference; see ``ratings``.
        max_pairs: of a user, made of ratings; None takes all.
        seed: decides which pairs of ratings are taken.

    Raises:
        InputError: a row does not fit; names file and line, the value and what is expected.
    """
    if _has_ratings(path):
        ratings = read_ratings(path, default_language, ledger)
        crowd = crowd_of_ratings(ratings, min_difference=min_difference, max_pairs=max_pairs,
                                 seed=seed, ledger=ledger)  # fmt: skip
    else:
        rows = read_preferences(path, default_language, ledger, needs_prompt=False)
        crowd = crowd_of([row if row.user else replace(row, user=row.annotator) for row in rows])
    if ledger is not None:
        pairs = np.bincount(crowd.user, minlength=len(crowd.users))
        ledger.count(FEW_PAIRS, int((pairs == 1).sum()))
        count_look_alikes(ledger, "users", crowd.users)
    return crowd


def _has_ratings(path: Path) -> bool:
    """Whether a file's rows are ratings.

    Raises:
        InputError: its first row is neither a rating nor a preference.
    """
    for place, row in islice(read_dicts(path), 1):
        if "rating" in row or "chosen" in row:
            return "rating" in row
        raise InputError(
            f"{place}: neither a preference nor a rating",
            "a row has user, chosen and rejected, or user, text and rating",
        )
    return False


def read_texts(
    path: Path, default_language: str = "", ledger: Ledger | None = None
) -> tuple[list[Text], bool]:
    """The texts of a file, to be scored, and whether they are pairs, chosen before rejected.

    Rows are preferences (``prompt`` or none, ``chosen``, ``rejected``), or have ``text`` and may
    have ``prompt``; each has ``language``.

    Args:
        path: JSON lines or Parquet.
        default_language: of rows that name none.
        ledger: counts what was left out.

    Raises:
        InputError: a row does not fit; names file and line.
    """
    first = next(read_dicts(path), None)
    if first is not None and "chosen" in first[1]:
        rows = read_preferences(path, default_language, ledger, needs_prompt=False)
        return [Text(row.messages, answer, row.language) for row in rows
                for answer in (row.chosen, row.rejected)], True  # fmt: skip
    texts = []
    for place, row in read_dicts(path):
        response = text_cell(row, "text", place)
        if not response.strip():
            raise InputError(f"{place}: 'text' is missing or empty", columns_of(row))
        prompt = text_cell(row, "prompt", place)
        messages = (Message("user", prompt),) if prompt.strip() else ()
        texts.append(Text(messages, response, language_cell(row, place, default_language)))
    if not texts:
        raise InputError(f"{path}: no row in it", "a row has text and language")
    return texts, False
