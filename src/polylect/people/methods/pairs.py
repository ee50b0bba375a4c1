"""The pairs of a crowd, or of one user, as arrays of frozen vectors; knows no method."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from polylect.base import InputError
from polylect.people.crowd import Crowd, Seen


@dataclass(frozen=True)
class Pairs:
    """Which vector is preferred to which.

    Attributes:
        vectors: float64 [texts, width], of the texts that are compared, each once.
        chosen, rejected: int64 [pairs], numbers of texts.
    """

    vectors: np.ndarray
    chosen: np.ndarray
    rejected: np.ndarray

    def __len__(self) -> int:
        return len(self.chosen)

    @property
    def width(self) -> int:
        """Of a vector."""
        return self.vectors.shape[1]

    def differences(self) -> np.ndarray:
        """Chosen minus rejected, float64 [pairs, width]."""
        return self.vectors[self.chosen] - self.vectors[self.rejected]


@dataclass(frozen=True)
class CrowdPairs(Pairs):
    """The pairs of many users, sorted by user.

    Attributes:
        users: their names; each has a pair.
        user: int64 [pairs], ascending.
        crowd: that they are of, for what the vectors do not say of the texts.
    """

    users: tuple[str, ...]
    user: np.ndarray
    crowd: Crowd | None = None

    @cached_property
    def spread(self) -> float:
        """Mean squared distance of the texts from their mean."""
        return float(np.square(self.vectors - self.vectors.mean(axis=0)).sum(axis=1).mean())

    def of(self, user: int) -> Pairs:
        """A user's pairs, with the vectors of the user's texts alone."""
        start, stop = np.searchsorted(self.user, [user, user + 1])
        return _only_used(self.vectors, self.chosen[start:stop], self.rejected[start:stop])


def crowd_pairs(crowd: Crowd, seen: Seen) -> CrowdPairs:
    """The pairs of all users who have one.

    Raises:
        InputError: no pair, no vectors, vectors of other texts or of equal value, one that is not
            finite, or the same text on both sides of a pair.
    """
    if not crowd.num_pairs:
        raise InputError("there is no preference to learn from", "give a training part with pairs")
    used = own_pairs(crowd, seen)
    numbers, user = np.unique(crowd.user, return_inverse=True)
    order = np.argsort(user, kind="stable")
    names = tuple(crowd.users[i] for i in numbers)
    pairs = CrowdPairs(used.vectors, used.chosen[order], used.rejected[order], names, user[order],
                       crowd)  # fmt: skip
    if not pairs.spread > 0:
        raise InputError("all texts have the same vector", "see them with another encoder")
    return pairs


def own_pairs(crowd: Crowd, seen: Seen, width: int | None = None) -> Pairs:
    """The pairs of a crowd, whose they are left out; there may be none.

    Args:
        crowd: the pairs.
        seen: its texts.
        width: that the vectors must have; None for any.

    Raises:
        InputError: see ``crowd_pairs``; or vectors of another width.
    """
    if len(seen.vectors) != len(crowd.texts):
        raise InputError(
            f"{len(seen.vectors)} vectors for {len(crowd.texts)} texts", "see the same texts"
        )
    check_vectors(seen.vectors, width)
    same = np.flatnonzero(crowd.chosen == crowd.rejected)
    if len(same):
        place = crowd.places[same[0]] if crowd.places else f"pair {same[0] + 1}"
        raise InputError(f"{place}: the same text on both sides", "remove the row")
    pairs = _only_used(seen.vectors, crowd.chosen, crowd.rejected)
    if not np.isfinite(pairs.vectors).all():
        raise InputError("a vector holds a number that is not finite", "see the texts anew")
    return pairs


def check_vectors(vectors: np.ndarray, width: int | None = None) -> None:
    """Refuse what is not a table of vectors of a width.

    Raises:
        InputError: there are none, or they have another width.
    """
    if vectors.ndim != 2 or not vectors.shape[1]:
        raise InputError("the texts have no vectors", "see them with an encoder")
    if width is not None and vectors.shape[1] != width:
        raise InputError(
            f"vectors of width {vectors.shape[1]}, the model was fitted with {width}",
            "see the texts with the encoder that the model was fitted with",
        )


def _only_used(vectors: np.ndarray, chosen: np.ndarray, rejected: np.ndarray) -> Pairs:
    texts, numbers = np.unique(np.concatenate([chosen, rejected]), return_inverse=True)
    return Pairs(
        np.asarray(vectors[texts.astype(np.int64)], np.float64),
        numbers[: len(chosen)].astype(np.int64), numbers[len(chosen) :].astype(np.int64),
    )  # fmt: skip
