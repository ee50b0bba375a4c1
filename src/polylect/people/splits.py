"""A crowd divided into a training and a test part; its kind says what is new in the test part.

Near-duplicates (see ``duplicates``) count as the same response or prompt. Which units are in the
test part depends on their content and the seed alone, not on the order of the rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from types import MappingProxyType

import numpy as np

from polylect.base import InputError, Ledger, check_known, derive_seed, digest_bytes
from polylect.people.crowd import Crowd
from polylect.people.labels import renumbered
from polylect.text import SIMILARITY, duplicate_groups, normalized

SPLIT_KINDS: Mapping[str, str] = MappingProxyType({
    "pair": "by pair: leaks, texts of the test part are in the training part",
    "response": "by response: no text of the test part is in the training part",
    "prompt": "by prompt: no prompt of the test part is in the training part",
    "user": "by user: no user of the test part is in the training part",
})  # fmt: skip
"""What each kind of split keeps apart."""
STRADDLING = "dropped: pair of a response of the test part and another"
"""Ledger event: a split by response cannot use it on either side."""


@dataclass(frozen=True)
class Split:
    """Numbers of the pairs of a training and a test part.

    Attributes:
        kind: a key of ``SPLIT_KINDS``.
        train, test: pairs of the crowd in order, int64.
        num_dropped: pairs in neither.
    """

    kind: str
    train: np.ndarray
    test: np.ndarray
    num_dropped: int = 0

    @property
    def leaks(self) -> bool:
        """Whether texts of the test part are learned from: never quote such a result alone."""
        return self.kind == "pair"

    @property
    def label(self) -> str:
        """What stands beside every result of it."""
        return SPLIT_KINDS[self.kind]


def split_crowd(
    crowd: Crowd,
    kind: str,
    test_share: float = 0.2,
    seed: int = 0,
    ledger: Ledger | None = None,
) -> Split:
    """A training and a test part; what the kind keeps apart is asserted.

    By pair, two texts that were compared are in one part for all users, whichever side each was
    on. By response, texts that were compared with each other stay together where they fall into
    many groups; otherwise pairs between the parts are dropped and counted. By prompt and by user
    nothing is dropped.

    Args:
        crowd: preferences.
        kind: ``pair``, ``response``, ``prompt`` or ``user``.
        test_share: of the pairs' texts, responses, prompts or users that are tested.
        seed: another gives another split.
        ledger: counts the pairs that were dropped.

    Raises:
        InputError: no such kind, a share that is none, or too few units to divide.
    """
    check_known(kind, SPLIT_KINDS, f"no kind of split {kind!r}", "use one of")
    if not 0 < test_share < 1:
        raise InputError(f"the test part is {test_share:g} of the data", "give a share below 1")
    kept_apart, names = units_of(crowd, kind)
    unit = kept_apart
    if kind == "response":
        unit, names = _together(crowd, kept_apart, names)
    in_test = _chosen(names, test_share, kind, seed)
    if unit.ndim == 1:
        is_test = in_test[unit]
        is_train = ~is_test
    else:
        sides = in_test[unit]
        is_test, is_train = sides.all(1), ~sides.any(1)
    split = Split(kind, np.flatnonzero(is_train), np.flatnonzero(is_test),
                  int((~is_train & ~is_test).sum()))  # fmt: skip
    if ledger is not None:
        ledger.count(STRADDLING, split.num_dropped)
    if not len(split.train) or not len(split.test):
        raise InputError(f"a split by {kind} leaves a part empty{_linked(crowd, kind, names)}",
                         "give more data, or another kind")  # fmt: skip
    assert not _shared(kept_apart, split), f"the parts of a split by {kind} share some"
    return split


def _linked(crowd: Crowd, kind: str, groups: list[str]) -> str:
    """Says that near-duplicates are why there are few groups to divide, where they are."""
    if kind not in {"response", "prompt"}:
        return ""
    num = len({text.response if kind == "response" else text.prompt for text in crowd.texts})
    num_near = len(set(units_of(crowd, kind)[0].ravel().tolist()))
    if num_near == num:
        return ""
    return (f": of {num:,} {kind}s, near-duplicates together, {num_near:,} are left, in"
            f" {len(groups):,} groups")  # fmt: skip


def shared_units(crowd: Crowd, split: Split) -> set[str]:
    """The pairs, responses, prompts or users that the kind should keep apart, but are in both."""
    unit, names = units_of(crowd, split.kind)
    return {names[i] for i in _shared(unit, split)}


def _shared(unit: np.ndarray, split: Split) -> set[int]:
    train, test = (set(unit[part].ravel().tolist()) for part in (split.train, split.test))
    return train & test


def units_of(crowd: Crowd, kind: str) -> tuple[np.ndarray, list[str]]:
    """What a kind of split divides: its number in each pair, and a name by its content.

    Returns int64 [pairs], or [pairs, 2] for the two responses of a pair.
    """
    if kind == "user":
        return crowd.user.astype(np.int64), list(crowd.users)
    if kind == "prompt":
        place = _named([text.prompt for text in crowd.texts])
        return place[0][crowd.chosen], place[1]
    if kind == "response":
        number, names = _named([text.response for text in crowd.texts])
        return np.stack([number[crowd.chosen], number[crowd.rejected]], axis=1), names
    forms, names = forms_of(crowd)
    low, high = (side(forms[crowd.chosen], forms[crowd.rejected])
                 for side in (np.minimum, np.maximum))  # fmt: skip
    keys, unit = renumbered(low * len(names) + high, len(names) ** 2)
    ends = (keys // len(names)).tolist(), (keys % len(names)).tolist()
    return unit.astype(np.int64), [
        "\x1e".join(sorted((names[a], names[b]))) for a, b in zip(*ends, strict=True)
    ]


def forms_of(crowd: Crowd) -> tuple[np.ndarray, list[str]]:
    """A number for each text, equal where prompt and response are, normalized; and their names."""
    numbers: dict[str, int] = {}
    forms = [
        numbers.setdefault(
            f"{normalized(text.prompt)}\x1f{normalized(text.response)}", len(numbers)
        )
        for text in crowd.texts
    ]
    return np.array(forms, np.int64), list(numbers)


def _named(texts: list[str]) -> tuple[np.ndarray, list[str]]:
    """Groups of near-duplicates, and the name of each: the least of its texts."""
    group = duplicate_groups(texts, SIMILARITY)
    names: dict[int, str] = {}
    for number, text in zip(group.tolist(), map(normalized, texts), strict=True):
        names[number] = min(names.get(number, text), text)
    return group, [names[i] for i in range(len(names))]


def texts_together(crowd: Crowd) -> tuple[np.ndarray, list[str]]:
    """What a fair part of a crowd's texts keeps together: a group for each text, and its name.

    Near-duplicates are always together; texts of one prompt and those that were compared with each
    other, or else those that were compared alone, where they fall into many groups (as in a split
    by response).

    Args:
        crowd: whose texts are grouped; int64 [texts], -1 for a text that is in no pair.
    """
    sides = np.stack([crowd.chosen, crowd.rejected], axis=1)
    used, places = np.unique(sides, return_inverse=True)
    texts = [crowd.texts[i] for i in used.tolist()]
    number, names = _named([text.response for text in texts])
    compared = number[places.reshape(sides.shape)]
    prompt = _named([text.prompt for text in texts])[0]
    order = np.argsort(prompt, kind="stable")
    is_next = (np.diff(prompt[order]) == 0) & [bool(texts[i].prompt) for i in order[1:].tolist()]
    of_prompt = np.stack([number[order[:-1]][is_next], number[order[1:]][is_next]], axis=1)
    for links in (np.concatenate([compared, of_prompt]), compared):
        group, least = _linked_groups(links, names)
        if np.bincount(group[compared[:, 0]]).max() <= crowd.num_pairs / 3:
            number, names = group[number], least
            break
    groups = np.full(len(crowd.texts), -1, np.int64)
    groups[used] = number
    return groups, names


def _together(crowd: Crowd, unit: np.ndarray, names: list[str]) -> tuple[np.ndarray, list[str]]:
    """Groups of responses that were compared, unless a group has more than a third of the pairs."""
    group, least = _linked_groups(unit, names)
    of_pair = group[unit[:, 0]]
    if np.bincount(of_pair).max() > crowd.num_pairs / 3:
        return unit, names
    return of_pair, least


def linked(links: np.ndarray, num: int) -> np.ndarray:
    """A number per unit, equal for what is linked, int64 [num], from links [links, 2]."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(num, num))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def _linked_groups(links: np.ndarray, names: list[str]) -> tuple[np.ndarray, list[str]]:
    """A number per unit, equal for what is linked, and the least name of each group."""
    group = linked(links, len(names))
    least: dict[int, str] = {}
    for number, name in zip(group.tolist(), names, strict=True):
        least[number] = min(least.get(number, name), name)
    return group, [least[i] for i in range(len(least))]


def _chosen(names: list[str], share: float, kind: str, seed: int) -> np.ndarray:
    """Whether each unit is in the test part: those whose names come first in an order."""
    if len(names) < 2:
        raise InputError(
            f"there is one {kind}: a split by {kind} has nothing to divide",
            "split by another kind: pair, response, prompt or user",
        )
    salt = str(derive_seed(seed, "split", kind)).encode()
    keys = [digest_bytes(salt + name.encode("utf-8", "surrogatepass")) for name in names]
    num = min(max(ceil(share * len(names)), 1), len(names) - 1)
    chosen = np.zeros(len(names), bool)
    chosen[sorted(range(len(names)), key=keys.__getitem__)[:num]] = True
    return chosen
