"""Ratings of single texts become preferences, by a stated rule.

Two texts that a user rated under one prompt, in one language, make a pair where the ratings differ
by at least ``min_difference``; equal ratings never do. A text that a user rated again belongs to
the next occasion: the n-th ratings are compared with each other, so that repeated pairs stay
repeated. All pairs are taken, or at most ``max_pairs`` a user: those that come first in an order of
pairs that content and seed decide and that is the same for all users, so that users who rated the
same texts keep the same pairs. Of more than ``MOST_CANDIDATES`` pairs of a user, only those between
texts that are near each other in an order of texts, decided likewise, are considered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from polylect.base import InputError, Ledger, derive_seed, digest_bytes
from polylect.people.crowd import Crowd, Text
from polylect.rows import (
    IGNORED_COLUMN,
    Message,
    columns_of,
    language_cell,
    name_cell,
    number_cell,
    read_dicts,
    text_cell,
)

_COLUMNS = ("user", "annotator", "prompt", "text", "rating", "language", "id", "source")
MOST_CANDIDATES = 2_000_000
"""Pairs of a user's texts beyond these are not looked at."""
CLOSE = "not compared: two ratings of a user are closer than the least difference"
"""Ledger event: two texts of a user make no pair."""
CUT = "cut: pairs of ratings beyond the most of a user"
"""Ledger event: a pair that ``max_pairs`` left out."""
NO_RATING = "dropped: row without a rating"
"""Ledger event: somebody was asked and gave none."""
UNPAIRED = "dropped: rating that makes no pair"
"""Ledger event: a rating that is in no pair."""


@dataclass(frozen=True)
class Rating:
    """How much a user likes a text.

    Attributes:
        user: name.
        text: the text beside its prompt.
        rating: a finite number on any scale; higher is better.
        place: file and line.
    """

    user: str
    text: Text
    rating: float
    place: str = ""


def read_ratings(
    path: Path, default_language: str = "", ledger: Ledger | None = None
) -> list[Rating]:
    """The ratings of a file.

    A row has ``user`` (or ``annotator``), ``text``, ``rating``, ``language``, and may have
    ``prompt``: text.

    Args:
        path: JSON lines or Parquet.
        default_language: of rows that name none.
        ledger: counts the columns that are not read, and rows without a rating, which are dropped.

    Raises:
        InputError: a cell is missing or wrong; names file and line.
    """
    read = [_rating(row, place, default_language, ledger) for place, row in read_dicts(path)]
    rows = [row for row in read if row is not None]
    if not rows:
        problem = "no row with a rating in it" if read else "no row in it"
        raise InputError(f"{path}: {problem}", "a row has user, text, rating and language")
    if ledger is not None:
        ledger.count(NO_RATING, len(read) - len(rows))
    return rows


def _rating(
    row: Mapping[str, Any], place: str, default_language: str, ledger: Ledger | None
) -> Rating | None:
    if ledger is not None:
        for name in row.keys() - set(_COLUMNS):
            ledger.count(IGNORED_COLUMN, int(row[name] is not None), name)
    user = name_cell(row, "user", place) or name_cell(row, "annotator", place)
    if not user:
        raise InputError(f"{place}: 'user' is missing", columns_of(row))
    text, rating = text_cell(row, "text", place), number_cell(row, "rating", place)
    if not text.strip():
        problem = "missing" if row.get("text") is None else "empty"
        raise InputError(f"{place}: 'text' is {problem}", columns_of(row))
    if rating is None:
        return None
    prompt = text_cell(row, "prompt", place)
    messages = (Message("user", prompt),) if prompt.strip() else ()
    return Rating(user, Text(messages, text, language_cell(row, place, default_language)),
                  rating, place)  # fmt: skip


def crowd_of_ratings(
    ratings: Sequence[Rating],
    *,
    min_difference: float = 0.0,
    max_pairs: int | None = None,
    seed: int = 0,
    ledger: Ledger | None = None,
) -> Crowd:
    """The preferences that ratings imply; see the module for the rule.

    Users are sorted by name; texts are in the order in which they first appear. Pairs are sorted
    by user.

    Args:
        ratings: of any users and texts.
        min_difference: the least difference of two ratings that is a preference.
        max_pairs: the most pairs of a user; None takes all.
        seed: decides which pairs are taken.
        ledger: counts the pairs that were not, and the ratings in none.

    Raises:
        InputError: a setting is out of range, or no pair is left.
    """
    if not min_difference >= 0:
        raise InputError(f"the least difference is {min_difference:g}", "give 0 or more")
    if max_pairs is not None and max_pairs < 1:
        raise InputError(f"the most pairs of a user are {max_pairs}", "give 1 or more")
    names = sorted({row.user for row in ratings})
    numbers = {name: i for i, name in enumerate(names)}
    texts: dict[Text, int] = {}
    prompts: dict[tuple[tuple[Message, ...], str], int] = {}
    user = np.array([numbers[row.user] for row in ratings], np.int32)
    text = np.array([texts.setdefault(row.text, len(texts)) for row in ratings], np.int32)
    of_text = np.array(
        [prompts.setdefault((each.messages, each.language), len(prompts)) for each in texts],
        np.int32,
    )
    value = np.array([row.rating for row in ratings], float)
    keys = np.array([_text_key(each) for each in texts], np.uint64)
    table = _by_group(user, text, of_text, value)
    parts = [
        _pairs_of_user(rows, table, keys, min_difference, max_pairs, seed) for rows in table.users
    ]
    chosen = np.concatenate([part.chosen for part in parts] or [np.empty(0, np.int32)])
    rejected = np.concatenate([part.rejected for part in parts] or [np.empty(0, np.int32)])
    if ledger is not None:
        ledger.count(CLOSE, sum(part.num_close for part in parts))
        ledger.count(CUT, sum(part.num_cut for part in parts))
        ledger.count(UNPAIRED, sum(part.num_alone for part in parts))
    if not len(chosen):
        raise InputError(
            f"no user rated two texts of one prompt {_apart(min_difference)}",
            "give ratings of the same users on more texts, or a smaller least difference",
        )
    sizes = [len(part.chosen) for part in parts]
    whose = np.repeat(np.arange(len(names), dtype=np.int32), sizes)
    return Crowd(tuple(names), tuple(texts), of_text, whose, chosen, rejected)


def _apart(min_difference: float) -> str:
    return f"at least {min_difference:g} apart" if min_difference else "differently"


@dataclass(frozen=True)
class _Table:
    """Ratings sorted by user and group (prompt and occasion); ``users`` are slices of them."""

    text: np.ndarray
    group: np.ndarray
    value: np.ndarray
    users: list[slice]


def _by_group(user: np.ndarray, text: np.ndarray, of_text: np.ndarray, value: np.ndarray) -> _Table:
    """Ratings by user, prompt and occasion: how often the user has rated the text before."""
    by_text = np.lexsort((text, user))  # stable: equal ones stay in the file's order
    is_new = np.ones(len(by_text), bool)
    is_new[1:] = (np.diff(user[by_text]) != 0) | (np.diff(text[by_text]) != 0)
    first = np.flatnonzero(is_new)
    occasion = np.arange(len(by_text)) - np.repeat(first, np.diff(np.r_[first, len(by_text)]))
    prompt = of_text[text[by_text]].astype(np.int64)
    by_group = np.lexsort((prompt, occasion, user[by_text]))
    order = by_text[by_group]
    group = (occasion * (int(of_text.max(initial=0)) + 1) + prompt)[by_group]
    user_sorted = user[order]
    ends = np.searchsorted(user_sorted, np.arange(user_sorted.max(initial=-1) + 2))
    slices = [slice(int(a), int(b)) for a, b in pairwise(ends)]
    return _Table(text[order], group, value[order], slices)


@dataclass(frozen=True)
class _Pairs:
    """The pairs of a user, and what was left out."""

    chosen: np.ndarray
    rejected: np.ndarray
    num_close: int
    num_cut: int
    num_alone: int


def _pairs_of_user(
    rows: slice, table: _Table, keys: np.ndarray, least: float, most: int | None, seed: int
) -> _Pairs:
    text, group, value = table.text[rows], table.group[rows], table.value[rows]
    if len(text) * (len(text) - 1) // 2 <= MOST_CANDIDATES:
        first, second = _within_groups(group)
    else:
        first, second = _near(group, _mixed(keys[text] + np.uint64(derive_seed(seed, "texts"))))
    difference = value[first] - value[second]
    # 0.3 is at least 0.2 above 0.1, and no more than 0.1 + 0.2, whatever binary digits say.
    noise = 1e-9 * np.maximum(1.0, np.maximum(np.abs(value[first]), np.abs(value[second])))
    apart = (np.abs(difference) > noise) & (np.abs(difference) >= least - noise)
    num_close = int(len(apart) - apart.sum())
    first, second, difference = first[apart], second[apart], difference[apart]
    is_paired = np.zeros(len(text), bool)
    is_paired[first] = is_paired[second] = True
    num_pairs = len(first)
    kept = np.arange(num_pairs)
    if most is not None and most < num_pairs:
        order = pair_keys(keys[text[first]], keys[text[second]], seed)
        kept = np.argsort(order, kind="stable")[:most]
    swap = difference[kept] < 0
    a, b = text[first[kept]], text[second[kept]]
    return _Pairs(np.where(swap, b, a), np.where(swap, a, b), num_close,
                  num_pairs - len(kept), int((~is_paired).sum()))  # fmt: skip


def _near(group: np.ndarray, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions of two entries of a group that are near each other in the order of their keys."""
    order = np.lexsort((keys, group))
    ordered = group[order]
    firsts, seconds = [], []
    for distance in range(1, MOST_CANDIDATES // len(group) + 1):
        same = np.flatnonzero(ordered[:-distance] == ordered[distance:])
        firsts.append(order[same])
        seconds.append(order[same + distance])
    return np.concatenate(firsts), np.concatenate(seconds)


def _within_groups(group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions of every two entries of the same group; the groups are sorted."""
    if group[0] == group[-1]:
        return _every_two(len(group))
    starts = np.flatnonzero(np.r_[True, np.diff(group) != 0])
    sizes = np.diff(np.r_[starts, len(group)])
    firsts, seconds = [], []
    for size in np.unique(sizes[sizes > 1]):
        a, b = _every_two(int(size))
        begin = starts[sizes == size][:, None]
        firsts.append((begin + a).ravel())
        seconds.append((begin + b).ravel())
    none = [np.empty(0, np.int64)]
    return np.concatenate(firsts or none), np.concatenate(seconds or none)


@lru_cache(16)
def _every_two(num: int) -> tuple[np.ndarray, np.ndarray]:
    return np.triu_indices(num, 1)


def _text_key(text: Text) -> int:
    parts = [text.language, text.prompt, text.response]
    return int(digest_bytes("\x1f".join(parts).encode("utf-8", "surrogatepass"))[:16], 16)


def pair_keys(a: np.ndarray, b: np.ndarray, seed: int) -> np.ndarray:
    """A number by which pairs are ordered, uint64; equal for both orders of two texts.

    Args:
        a: uint64 keys of texts, from their content.
        b: of the texts that they are compared with.
        seed: another gives another order.
    """
    start = np.uint64(derive_seed(seed, "pairs"))
    return _mixed(_mixed(np.minimum(a, b) + start) ^ np.maximum(a, b))


def _mixed(x: np.ndarray) -> np.ndarray:
    """SplitMix64 (Steele, Lea, Flood 2014), a bijection whose output looks random."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
