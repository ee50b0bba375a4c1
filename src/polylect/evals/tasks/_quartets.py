"""Four choices of which each is the right one once: a chance level that no prior moves.

The right texts of a task are put into groups of four of one kind and much the same length. All
items of a group have the same four choices, so that a model that does not look at the context picks
the same text four times and is right once: its accuracy is 1/4 whatever it prefers, short texts,
frequent words or the first of a tie. The few items that no group has room for have the nearest
texts of others.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence

from polylect.base import InputError, generator

NUM_CHOICES = 4
_WINDOW = 64
"""How many texts of neighboring length a group is looked for among, before one may be farther."""

Differs = Callable[[int, int], bool]
"""Whether two texts, by their numbers, may be choices of one item."""


def plain_text(text: str) -> str:
    """What two texts are compared by: compatible characters, no case, no spaces around.

    >>> plain_text(" １９９９ "), plain_text("Straße") == plain_text("STRASSE")
    ('1999', True)
    """
    return unicodedata.normalize("NFKC", text).casefold().strip()


def kind_of(text: str) -> int:
    """0 for a text without digits, 1 for four digits alone (a year, most likely), 2 for others.

    Digits of any script: dates and amounts are no choices for names, nor are amounts for years.

    >>> kind_of("Zürich"), kind_of("१९९९"), kind_of("120 m"), kind_of("308")
    (0, 1, 2, 2)
    """
    if not any(unicodedata.category(char).startswith("N") for char in text):
        return 0
    return 1 if re.fullmatch(r"\d{4}", text.strip()) else 2


def contains_none(texts: Sequence[str]) -> Differs:
    """A rule by which two texts are choices of one item if neither contains the other."""
    bare = [plain_text(text) for text in texts]
    return lambda first, second: bare[first] not in bare[second] and bare[second] not in bare[first]


def quartets(
    texts: Sequence[str], places: Sequence[int], apart: int, differs: Differs, name: str
) -> list[tuple[tuple[int, ...], int]]:
    """The four texts of every item, by their numbers, and the index of the right one.

    Args:
        texts: the right text of every item.
        places: where each item comes from, a number; the items of a group are of places at least
            ``apart`` from each other where there are enough.
        apart: 1 or more; see ``places``.
        differs: whether two texts may be choices of one item; symmetric.
        name: of the task and language, for the seed of the order and for errors.

    Raises:
        InputError: an item has no three texts of others that may stand beside its own.
    """
    kinds = [kind_of(text) for text in texts]
    order = sorted(
        range(len(texts)),
        key=lambda number: (kinds[number], len(plain_text(texts[number])), texts[number], number),
    )

    def alike(first: int, second: int) -> bool:
        return kinds[first] == kinds[second] and differs(first, second)

    def far(first: int, second: int) -> bool:
        return alike(first, second) and abs(places[first] - places[second]) >= apart

    groups, left = _groups(order, far)
    again, left = _groups(left, alike)
    plan = {}
    for group in groups + again:
        random = generator(0, name, min(group))
        choices = tuple(random.permutation(sorted(group)).tolist())
        plan |= {number: (choices, index) for index, number in enumerate(choices)}
    for number in left:
        for rule in (far, alike, differs):
            if others := _nearest(number, order, rule):
                break
        else:
            raise InputError(
                f"{name}: item {number + 1} has no three texts of others that differ from its own",
                f"give data with at least {NUM_CHOICES} different answers",
            )
        index = int(generator(0, name, number).integers(NUM_CHOICES))
        plan[number] = ((*others[:index], number, *others[index:]), index)
    return [plan[number] for number in range(len(texts))]


def _groups(order: Sequence[int], differs: Differs) -> tuple[list[list[int]], list[int]]:
    """Groups of four that stand close together in the order, and the numbers that are left."""
    groups, left, waiting = [], [], list(order)
    while waiting:
        group = _with_others(waiting[0], waiting[1:_WINDOW], differs)
        if len(group) < NUM_CHOICES:
            left.append(waiting.pop(0))
            continue
        groups.append(group)
        waiting = [number for number in waiting if number not in group]
    return groups, left


def _nearest(number: int, order: Sequence[int], differs: Differs) -> list[int]:
    """The three nearest in the order that may stand beside a number; empty if there are fewer."""
    place = order.index(number)
    near = sorted(
        (index for index in range(len(order)) if index != place),
        key=lambda index: (abs(index - place), index),
    )
    group = _with_others(number, [order[index] for index in near], differs)
    return group[1:] if len(group) == NUM_CHOICES else []


def _with_others(number: int, others: Sequence[int], differs: Differs) -> list[int]:
    """A number and the first of the others, up to four in all, of which every two differ."""
    group = [number]
    for other in others:
        if all(differs(member, other) for member in group):
            group.append(other)
            if len(group) == NUM_CHOICES:
                break
    return group
