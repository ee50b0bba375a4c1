"""What the methods on frozen vectors share: the model, and how a user enters and leaves it.

A model holds arrays that were learned of all (``shared``, among them the crowd's head) and arrays
of each user alone (``personal``). Whoever is added or leaves changes only the second kind, so that
the others' scores keep their bits. Nothing here knows how a method learns.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from polylect.base import InputError, Ledger, Positive, check_settings
from polylect.people.crowd import Crowd, Seen
from polylect.people.methods.heads import fit_head
from polylect.people.methods.pairs import (
    CrowdPairs,
    Pairs,
    check_vectors,
    crowd_pairs,
    own_pairs,
)

Arrays = Mapping[str, np.ndarray]

CROWD = "crowd"
"""The shared array that scores whoever is not known: a head, float64 [width]."""


@dataclass(frozen=True)
class VectorModel:
    """What a method on frozen vectors has learned; see ``protocol.Model``.

    Attributes:
        method: with its settings.
        users: those it knows.
        shared: learned of all; see ``CROWD``.
        personal: of each user, arrays with a leading axis; empty for a user without pairs, who
            gets the scores of the crowd.
        ledger: counts what methods that read texts cut or leave out; those on vectors count
            nothing. Models made of this one count there, too.
    """

    method: "VectorMethod"
    users: tuple[str, ...]
    shared: Arrays
    personal: tuple[Arrays, ...]
    ledger: Ledger = field(default_factory=Ledger, compare=False)

    def score(self, user: str, seen: Seen) -> np.ndarray:
        """How much a user likes each text, float64 [texts]: log-odds where two are compared.

        A user whom it does not know gets the scores of the crowd.

        Raises:
            InputError: vectors of another width than those that it was fitted with.
        """
        check_vectors(seen.vectors, len(self.shared[CROWD]))
        vectors = np.asarray(seen.vectors, np.float64)
        if user not in self.users or not self.personal[self.users.index(user)]:
            return vectors @ self.shared[CROWD]
        return self.method.score(self.shared, self.personal[self.users.index(user)], vectors)

    def adapt(self, user: str, crowd: Crowd, seen: Seen) -> "VectorModel":
        """The model with one user added, or learned anew; the others' scores stay as they are.

        Args:
            user: name.
            crowd: the user's own pairs; whose they are in it does not matter. May be empty.
            seen: its texts.

        Raises:
            InputError: vectors of another width, or the same text on both sides of a pair.
        """
        pairs = own_pairs(crowd, seen, len(self.shared[CROWD]))
        others = self.without(user)
        learned: Arrays = self.method.learn(others, pairs) if len(pairs) else {}
        at = self.users.index(user) if user in self.users else len(others.users)
        return replace(
            others,
            users=(*others.users[:at], user, *others.users[at:]),
            personal=(*others.personal[:at], learned, *others.personal[at:]),
        )

    def without(self, user: str) -> "VectorModel":
        """The model without what belongs to one user alone; the others' scores stay.

        Does not unlearn what the shared arrays, the crowd's head among them, took from the user's
        pairs.
        """
        kept = [i for i, name in enumerate(self.users) if name != user]
        return replace(
            self,
            users=tuple(self.users[i] for i in kept),
            personal=tuple(self.personal[i] for i in kept),
        )

    def arrays(self) -> Arrays:
        """All that it has learned: ``shared.NAME``, ``personal.NAME`` and ``rows.NAME``.

        A user's arrays lie one after the other along the first axis; ``rows`` says how many rows
        are whose.
        """
        arrays = {f"shared.{name}": array for name, array in self.shared.items()}
        for name in self.method.personal_names:
            parts = [arrays[name] for arrays in self.personal if arrays]
            rows = [len(arrays[name]) if arrays else 0 for arrays in self.personal]
            arrays[f"personal.{name}"] = np.concatenate(parts) if parts else np.zeros((0, 1))
            arrays[f"rows.{name}"] = np.array(rows, np.int64)
        return arrays


@dataclass(frozen=True)
class VectorMethod:
    """A method on frozen vectors: what each of them says, and what all of them do.

    Attributes:
        prior_sd: standard deviation, in log-odds, that the scores of the training texts have under
            a head's normal prior: N(0, prior_sd² / v) on each weight, v the mean squared distance
            of the texts from their mean. So no result depends on the scale of the vectors. As
            scikit-learn writes it, C = prior_sd² / v.
    """

    name: ClassVar[str]
    personal_names: ClassVar[tuple[str, ...]]
    uses_torch: ClassVar[bool] = False

    prior_sd: Positive = 2.0

    def __post_init__(self) -> None:
        check_settings(self)

    def fit(self, crowd: Crowd, seen: Seen, seed: int = 0) -> VectorModel:
        """What can be learned of a crowd.

        Args:
            crowd: the training part; users without a pair are unknown to the model.
            seen: its texts; their vectors are read.
            seed: decides every draw.

        Raises:
            InputError: no pairs, no vectors, or vectors that cannot be learned from.
        """
        pairs = crowd_pairs(crowd, seen)
        precision = pairs.spread / self.prior_sd**2
        shared = {
            CROWD: fit_head(pairs, precision).weight,
            "precision": np.array([precision]),
        }
        return self.learn_all(pairs, shared, seed)

    def load(self, users: tuple[str, ...], arrays: Arrays) -> VectorModel:
        """The model of ``VectorModel.arrays``.

        Raises:
            InputError: arrays of another method, or of other users.
        """
        shared = {
            name.removeprefix("shared."): array
            for name, array in arrays.items()
            if name.startswith("shared.")
        }
        personal: list[dict[str, np.ndarray]] = [{} for _ in users]
        for name in self.personal_names:
            rows = arrays.get(f"rows.{name}")
            if rows is None or len(rows) != len(users) or CROWD not in shared:
                raise InputError(f"not the arrays of {self.name}", "give a folder from people fit")
            ends = np.cumsum(rows)
            for i, end in enumerate(ends):
                if rows[i]:
                    personal[i][name] = arrays[f"personal.{name}"][end - rows[i] : end]
        return VectorModel(self, users, shared, tuple(personal))

    def learn_all(self, pairs: CrowdPairs, shared: Arrays, seed: int) -> VectorModel:
        """The model of a crowd.

        Args:
            pairs: of the crowd.
            shared: the crowd's head, and ``precision`` of the prior of a head.
            seed: decides every draw.
        """
        raise NotImplementedError

    def with_users(self, shared: Arrays, pairs: CrowdPairs) -> VectorModel:
        """A model of what was learned of all, with each user of a crowd learned by ``learn``."""
        model = VectorModel(self, (), shared, ())
        learned = tuple(self.learn(model, pairs.of(i)) for i in range(len(pairs.users)))
        return VectorModel(self, pairs.users, shared, learned)

    def learn(self, model: VectorModel, pairs: Pairs) -> Arrays:
        """The arrays of a user whom the model does not hold, from one pair or more."""
        raise NotImplementedError

    def score(self, shared: Arrays, personal: Arrays, vectors: np.ndarray) -> np.ndarray:
        """Scores of a user who has pairs, float64 [texts]; vectors are float64 [texts, width]."""
        raise NotImplementedError


@dataclass(frozen=True)
class LinearMethod(VectorMethod):
    """A method whose users each have a linear head, in ``head`` [1, width]."""

    personal_names: ClassVar[tuple[str, ...]] = ("head",)

    def score(self, shared: Arrays, personal: Arrays, vectors: np.ndarray) -> np.ndarray:
        """The head's scores."""
        return vectors @ personal["head"][0]


def pairs_as_arrays(pairs: Pairs) -> Arrays:
    """A user's pairs as they are, for methods that read them when they score."""
    return {
        "vectors": pairs.vectors.astype(np.float32),
        "pairs": np.stack([pairs.chosen, pairs.rejected], axis=1).astype(np.int32),
    }


def precision_of(shared: Arrays) -> float:
    """Precision of the prior of a head."""
    return float(shared["precision"][0])
