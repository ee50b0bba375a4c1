"""One method on one division of a crowd: held-out pairs, users left out, general sets.

Nothing here compares methods; a trial knows its method by the protocol alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from polylect.base import InputError, Ledger, generator
from polylect.people.crowd import Crowd, Seen
from polylect.people.facets import ALL_PAIRS
from polylect.people.methods.model import VectorMethod
from polylect.people.protocol import Method, Model
from polylect.people.splits import SPLIT_KINDS, split_crowd

NUMBERS = (0, 10, 30, 100, 300, ALL_PAIRS)
"""Pairs of a left-out user that are learned from."""
MOST_LEFT_OUT = 20
_NOT_ADAPTED = "left out of the adaptation: user without a pair to learn from, or to be tested on"


@dataclass(frozen=True)
class Parts:
    """A crowd divided for a trial; what the kind of split keeps apart is asserted.

    Attributes:
        kind: of the split, a key of ``SPLIT_KINDS``.
        train, test: numbers of pairs; by user, the test pairs are those of users left out.
        left_out: users whose adaptation is measured: their pairs of ``learn`` are learned from
            one user at a time, by a model that never saw them; their pairs of ``test`` are held
            out.
        learn: numbers of pairs of the users left out.
    """

    kind: str
    train: np.ndarray
    test: np.ndarray
    left_out: np.ndarray
    learn: np.ndarray

    @property
    def label(self) -> str:
        """What stands beside every result of it."""
        return SPLIT_KINDS[self.kind]


def divide(
    crowd: Crowd,
    kind: str,
    seed: int = 0,
    *,
    test_share: float = 0.2,
    left_out_share: float = 0.25,
    ledger: Ledger | None = None,
) -> Parts:
    """A training part, a test part, and users to be left out.

    By pair, response or prompt, both parts have all users, and the adaptation is measured with a
    second model that a share of the users, at most ``MOST_LEFT_OUT``, is left out of. By user,
    nothing but the users left out is tested, on responses that nobody labeled in the other part.

    Args:
        crowd: preferences.
        kind: of the split.
        seed: decides the parts.
        test_share: of the pairs, responses or prompts.
        left_out_share: of the users; 0 for none, and no adaptation.
        ledger: counts what is in neither part.

    Raises:
        InputError: the crowd cannot be divided so.
    """
    if kind == "user":
        users = split_crowd(crowd, "user", left_out_share, seed, ledger)
        texts = split_crowd(crowd, "response", test_share, seed, ledger)
        train, test, learn = (
            np.intersect1d(a, b)
            for a, b in ((texts.train, users.train), (texts.test, users.test),
                         (texts.train, users.test))
        )  # fmt: skip
        left_out = np.unique(crowd.user[users.test])
        if not len(train) or not len(test):
            raise InputError("a split by user leaves a part empty", "give more data, or --split "
                             "response")  # fmt: skip
        assert not set(crowd.user[train].tolist()) & set(crowd.user[test].tolist())
    else:
        split = split_crowd(crowd, kind, test_share, seed, ledger)
        train, test = split.train, split.test
        both = np.intersect1d(crowd.user[train], crowd.user[test])
        num = min(max(round(left_out_share * len(both)), 1), MOST_LEFT_OUT, len(both) - 1)
        num = num if left_out_share else 0
        drawn = generator(seed, "people", "left out").permutation(both)[: max(num, 0)]
        left_out = np.sort(drawn)
        learn = train[np.isin(crowd.user[train], left_out)]
    able = np.intersect1d(np.unique(crowd.user[learn]), np.unique(crowd.user[test]))
    if ledger is not None:
        ledger.count(_NOT_ADAPTED, len(np.setdiff1d(left_out, able)))
    return Parts(kind, train, test, np.intersect1d(left_out, able), learn)


@dataclass(frozen=True)
class Trial:
    """What came of a method on the parts of a crowd.

    Attributes:
        pair: numbers of the held-out pairs, int64 [rows].
        right: 1 where the method ranks the pair as its user does, 0.5 at equal scores, else 0.
        user: the users left out, int64 [left out].
        accuracy: of each, by ``NUMBERS``; NaN where the user has fewer pairs [left out, numbers].
        available: pairs that each has to learn from [left out].
        general: for each user of the crowd and each pair of the general sets, as ``right``; NaN
            for users whom the model does not know [users, general pairs].
    """

    pair: np.ndarray
    right: np.ndarray
    user: np.ndarray
    accuracy: np.ndarray
    available: np.ndarray
    general: np.ndarray


def run_trial(
    crowd: Crowd,
    seen: Seen,
    method: Method | VectorMethod,
    parts: Parts,
    seed: int = 0,
    numbers: Sequence[int] = NUMBERS,
    general: tuple[Seen, np.ndarray, np.ndarray] | None = None,
) -> Trial:
    """Fit a method to the training part and ask it about the rest.

    Args:
        crowd: preferences.
        seen: its texts.
        method: how to learn.
        parts: of the crowd.
        seed: of the fits, and of the pairs that a user left out begins with.
        numbers: of pairs that a user left out is adapted with.
        general: texts of general sets as they are seen, and the chosen and rejected text of each
            pair.
    """
    known = parts.train[~np.isin(crowd.user[parts.train], parts.left_out)]
    accuracy = np.full((len(parts.left_out), len(numbers)), np.nan)
    available = np.zeros(len(parts.left_out), np.int64)
    tested: dict[int, np.ndarray] = {}
    model: Model | None = None
    if len(parts.left_out):
        model = method.fit(crowd.take(known), seen, seed)
        for row, user in enumerate(parts.left_out.tolist()):
            name = crowd.users[user]
            learn = parts.learn[crowd.user[parts.learn] == user]
            test = parts.test[crowd.user[parts.test] == user]
            order = generator(seed, "people", "adaptation", name).permutation(learn)
            available[row] = len(learn)
            right = np.full(len(test), 0.5)
            for column, num in enumerate(numbers):
                if num < ALL_PAIRS and num > len(learn):
                    continue
                part = crowd.take(np.sort(order[:num]))
                right = ranks(model.adapt(name, part, seen), crowd, seen, test)
                accuracy[row, column] = right.mean()
            tested[user] = right
    if parts.kind != "user":
        model = method.fit(crowd.take(parts.train), seen, seed)
        right = ranks(model, crowd, seen, parts.test)
    else:
        right = np.zeros(len(parts.test))
        for user, values in tested.items():
            right[crowd.user[parts.test] == user] = values
    shape = (len(crowd.users), 0 if general is None else len(general[1]))
    on_general = np.full(shape, np.nan)
    if general is not None and model is not None:
        for user in np.unique(crowd.user[parts.train]).tolist():
            if parts.kind != "user" or user not in tested:
                scores = model.score(crowd.users[user], general[0])
                on_general[user] = rank_right(scores[general[1]], scores[general[2]])
    keep = np.isin(crowd.user[parts.test], list(tested)) if parts.kind == "user" else slice(None)
    return Trial(parts.test[keep], right[keep], parts.left_out, accuracy, available, on_general)


def ranks(model: Model, crowd: Crowd, seen: Seen, pairs: np.ndarray) -> np.ndarray:
    """Whether a model ranks pairs as their users do; see ``Trial.right`` [pairs]."""
    right = np.zeros(len(pairs))
    users = crowd.user[pairs]
    for user in np.unique(users).tolist():
        here = users == user
        chosen, rejected = crowd.chosen[pairs[here]], crowd.rejected[pairs[here]]
        texts, places = np.unique(np.concatenate([chosen, rejected]), return_inverse=True)
        part = replace(seen, texts=tuple(seen.texts[i] for i in texts.tolist()),
                       vectors=seen.vectors[texts])  # fmt: skip
        scores = model.score(crowd.users[user], part)
        right[here] = rank_right(scores[places[: len(chosen)]], scores[places[len(chosen) :]])
    return right


def rank_right(chosen: np.ndarray, rejected: np.ndarray) -> np.ndarray:
    """1 where the chosen text has the higher score, 0.5 at equal scores, else 0."""
    return np.where(chosen > rejected, 1.0, np.where(chosen < rejected, 0.0, 0.5))
