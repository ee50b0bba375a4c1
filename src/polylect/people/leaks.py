"""What a test part shares with what was learned from, whichever split made it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polylect.base import InputError
from polylect.people.crowd import Crowd
from polylect.people.splits import Split, forms_of, shared_units
from polylect.text import SIMILARITY, near_duplicates, normalized

SAME_PAIR, SWAPPED_PAIR = "same pair", "same pair with sides swapped"
SAME_TEXT, NEAR_TEXT = "same text", "near-duplicate text"
NEIGHBOR = "text among the user's neighbors"
_ALLOWED = {
    "pair": {SAME_TEXT, NEAR_TEXT, NEIGHBOR},
    "response": set(),
    "prompt": {SAME_TEXT, NEAR_TEXT, NEIGHBOR},
    "user": {SAME_PAIR, SWAPPED_PAIR, SAME_TEXT, NEAR_TEXT},
}
"""What parts may share: new users may be asked about known texts, new prompts answered alike."""


@dataclass(frozen=True)
class Leak:
    """Something of a test pair that is in the training part.

    Attributes:
        kind: what it is.
        train, test: numbers of the pairs in the crowd.
        similarity: of the texts; 1 where they are equal.
    """

    kind: str
    train: int
    test: int
    similarity: float = 1.0


def find_leaks(
    crowd: Crowd,
    train: np.ndarray | Sequence[int],
    test: np.ndarray | Sequence[int],
    similarity: float = SIMILARITY,
) -> list[Leak]:
    """What a test part shares with a training part; at most one leak of a kind per test pair.

    ``same pair``: both responses of a test pair were compared under its prompt, by anybody; with
    the sides swapped where the other was chosen. ``same text``: a response, whatever its prompt,
    case and punctuation. ``near-duplicate text``: see ``duplicates``. ``text among the user's
    neighbors``: a response of a test pair, or a near-duplicate, that the same user labeled in the
    training part, where retrieval over the user's pairs would meet it.

    Args:
        crowd: preferences.
        train: numbers of pairs.
        test: likewise.
        similarity: the least of near-duplicates.
    """
    train, test = np.asarray(train, np.int64), np.asarray(test, np.int64)
    forms: dict[str, int] = {}
    form = np.array(
        [forms.setdefault(normalized(t.response), len(forms)) for t in crowd.texts], np.int64
    )
    chosen, rejected = form[crowd.chosen], form[crowd.rejected]
    whole, _ = forms_of(crowd)
    sides = (whole[crowd.chosen], whole[crowd.rejected])
    by_pair = {(int(sides[0][i]), int(sides[1][i])): int(i) for i in train[::-1]}
    by_text: dict[int, int] = {}
    by_user: dict[tuple[int, int], int] = {}
    for i in train.tolist():
        for text in (int(chosen[i]), int(rejected[i])):
            by_text.setdefault(text, i)
            by_user.setdefault((int(crowd.user[i]), text), i)
    near: dict[int, list[tuple[int, float]]] = {}
    for a, b, how in near_duplicates(list(forms), similarity):
        near.setdefault(a, []).append((b, how))
        near.setdefault(b, []).append((a, how))
    leaks: list[Leak] = []
    for i in test.tolist():
        a, b, user = int(chosen[i]), int(rejected[i]), int(crowd.user[i])
        pair = int(sides[0][i]), int(sides[1][i])
        matches = {SAME_PAIR: by_pair.get(pair), SWAPPED_PAIR: by_pair.get(pair[::-1]),
                   SAME_TEXT: by_text.get(a, by_text.get(b))}  # fmt: skip
        leaks += [Leak(kind, at, i) for kind, at in matches.items() if at is not None]
        others = [(text, 1.0) for text in (a, b)]
        likes = [link for text in (a, b) for link in near.get(text, ())]
        leaks += _first(NEAR_TEXT, i, [(by_text.get(text), how) for text, how in likes])
        met = [(by_user.get((user, text)), how) for text, how in others + likes]
        leaks += _first(NEIGHBOR, i, met)
    return leaks


def _first(kind: str, test: int, places: list[tuple[int | None, float]]) -> list[Leak]:
    return [Leak(kind, at, test, how) for at, how in places if at is not None][:1]


def check_split(crowd: Crowd, split: Split) -> None:
    """Refuse a split whose parts share what its kind keeps apart.

    Raises:
        InputError: names the first leak, with the places of its pairs where they are known.
    """
    shared = sorted(shared_units(crowd, split))
    if shared and split.kind != "pair":
        raise InputError(
            f"{len(shared):,} of the test part are in the training part: a split by {split.kind}"
            " keeps them apart",
            f"make the parts with split_crowd(crowd, {split.kind!r})",
        )
    allowed = _ALLOWED[split.kind]
    leaks = [leak for leak in find_leaks(crowd, split.train, split.test)
             if leak.kind not in allowed]  # fmt: skip
    if leaks:
        leak = leaks[0]
        where = [crowd.places[i] if crowd.places else f"pair {i}" for i in (leak.test, leak.train)]
        raise InputError(
            f"{where[0]}: {leak.kind} as in the training part ({where[1]}), and {len(leaks) - 1:,}"
            " more leaks",
            "make the parts with a split by response, prompt or user",
        )
