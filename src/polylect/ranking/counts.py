"""Counts by pair and outcome: the data of a paired-comparison model without covariates."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from polylect.base import InputError, Ledger, did_you_mean, digest_of
from polylect.rows import Verdict

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

OUTCOMES = (Verdict.A, Verdict.B, Verdict.TIE, Verdict.BOTH_BAD)
"""Outcomes in the order of the columns. INVALID is not one of them: the ledger counts it."""

OUTCOME_SCORE = np.array([1.0, 0.0, 0.5, 0.5])
"""Score of the first model under each outcome: a tie and a BOTH_BAD each count half."""


def sum_by(index: npt.NDArray, values: FloatArray | None, size: int) -> FloatArray:
    """(size,) sum of the values at each index; without values, how often the index occurs.

    >>> import numpy as np
    >>> sum_by(np.array([0, 2, 2]), np.array([1.0, 2.0, 3.0]), 4)
    array([1., 0., 5., 0.])
    """
    return np.bincount(index, values, size).astype(np.float64, copy=False)


def model_position(index: Mapping[str, int], model: str) -> int:
    """Position of a model in an index.

    Raises:
        InputError: it is not in the index; names the nearest.
    """
    if model not in index:
        raise InputError(
            f"no model {model!r} among {len(index)}",
            did_you_mean(model, index) or "check the name",
        )
    return index[model]


@dataclass(frozen=True, eq=False)
class PairCounts:
    """Votes by unordered pair and outcome.

    Attributes:
        models: names, in order; each once. A model may have no votes.
        first, second: (P,) indices into ``models``; ``first < second``, pairs in order, each once.
        outcomes: (P, 4) number of votes: first won, second won, TIE, BOTH_BAD. Never all zero.
        ledger: votes that were dropped while reading.

    Does not: keep which model was shown on which side, who voted, or when; see ``VoteTable``.

    >>> counts = PairCounts.from_cells(["x", "y"], a=[0, 1], b=[1, 0], outcome=[0, 2], count=[5, 2])
    >>> counts.outcomes.tolist(), counts.first_score.tolist()
    ([[5.0, 0.0, 2.0, 0.0]], [6.0])
    """

    models: tuple[str, ...]
    first: IntArray
    second: IntArray
    outcomes: FloatArray
    ledger: Ledger = field(default_factory=Ledger)

    def __post_init__(self) -> None:
        assert self.outcomes.shape == (len(self.first), 4), self.outcomes.shape
        assert np.all(self.first < self.second), "pairs are (smaller index, larger index)"

    @classmethod
    def from_cells(
        cls,
        models: Sequence[str],
        a: npt.ArrayLike,
        b: npt.ArrayLike,
        outcome: npt.ArrayLike,
        count: npt.ArrayLike | None = None,
        ledger: Ledger | None = None,
    ) -> "PairCounts":
        """Counts from votes or cells in any order, either side first; models come out sorted.

        Args:
            models: distinct names.
            a: (N,) indices into ``models``.
            b: (N,) the other side.
            outcome: (N,) 0 to 3: A won, B won, TIE, BOTH_BAD.
            count: (N,) votes per cell. Default: one each.
            ledger: for the result.
        """
        order = sorted(range(len(models)), key=models.__getitem__)
        place = np.empty(len(models), np.int64)
        place[order] = np.arange(len(models))
        left, right = place[np.asarray(a, np.int64)], place[np.asarray(b, np.int64)]
        assert np.all(left != right), "a model does not battle itself"
        column = np.asarray(outcome, np.int64)
        swapped = left > right
        # With sides swapped, a win becomes a loss.
        column = np.where(swapped & (column < 2), 1 - column, column)
        key = np.minimum(left, right) * len(models) + np.maximum(left, right)
        pairs, row = np.unique(key, return_inverse=True)
        weight = None if count is None else np.asarray(count, np.float64)
        cells = np.bincount(row * 4 + column, weight, minlength=4 * len(pairs)).reshape(-1, 4)
        kept = cells.sum(1) > 0
        names = tuple(models[i] for i in order)
        first, second = np.divmod(pairs[kept], max(len(models), 1))
        return cls(names, first, second, cells[kept].astype(np.float64), ledger or Ledger())

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Position of each model."""
        return {name: i for i, name in enumerate(self.models)}

    @property
    def num_models(self) -> int:
        """Number of models, including those without votes."""
        return len(self.models)

    @cached_property
    def num_votes(self) -> float:
        """All votes with a valid verdict."""
        return float(self.outcomes.sum())

    @cached_property
    def totals(self) -> FloatArray:
        """(P,) votes of each pair."""
        return self.outcomes.sum(1)

    @cached_property
    def first_score(self) -> FloatArray:
        """(P,) wins of the first model, ties and BOTH_BAD half."""
        return self.outcomes @ OUTCOME_SCORE

    @cached_property
    def second_score(self) -> FloatArray:
        """(P,) wins of the second model, ties and BOTH_BAD half."""
        return self.outcomes @ (1.0 - OUTCOME_SCORE)

    @cached_property
    def battles(self) -> FloatArray:
        """(M,) valid votes in which each model took part."""
        return self.node_sum(self.totals)

    def shares(self) -> dict[str, float]:
        """Share of decisive, tied and both-bad votes; all zero when there are no votes."""
        total = self.num_votes or 1.0
        decisive, tie, bad = self.outcomes[:, :2].sum(), *self.outcomes[:, 2:].sum(0)
        return {
            "decisive": float(decisive / total),
            "tie": float(tie / total),
            "both_bad": float(bad / total),
        }

    def node_sum(self, per_pair: FloatArray) -> FloatArray:
        """(M,) sum of a (P,) quantity over the pairs that a model is in."""
        size = self.num_models
        return sum_by(self.first, per_pair, size) + sum_by(self.second, per_pair, size)

    def node_difference(self, per_pair: FloatArray) -> FloatArray:
        """(M,) sum of a (P,) quantity, added for the first model and subtracted for the second."""
        size = self.num_models
        return sum_by(self.first, per_pair, size) - sum_by(self.second, per_pair, size)

    def position(self, model: str) -> int:
        """Index of a model.

        Raises:
            InputError: there is no such model; names the nearest.
        """
        return model_position(self.index, model)

    def merged(self, other: "PairCounts") -> "PairCounts":
        """The votes of both, with the union of models and the sum of ledgers."""
        names = sorted({*self.models, *other.models})
        index = {name: i for i, name in enumerate(names)}
        parts = (self, other)
        places = [np.array([index[name] for name in part.models], np.int64) for part in parts]
        firsts = [place[part.first] for part, place in zip(parts, places, strict=True)]
        seconds = [place[part.second] for part, place in zip(parts, places, strict=True)]
        a, b = np.repeat(np.concatenate(firsts), 4), np.repeat(np.concatenate(seconds), 4)
        count = np.concatenate([self.outcomes.ravel(), other.outcomes.ravel()])
        outcome = np.tile(np.arange(4), len(a) // 4)
        return PairCounts.from_cells(names, a, b, outcome, count, self.ledger + other.ledger)

    def restricted(self, models: Iterable[str]) -> "PairCounts":
        """The votes between the given models only; the ledger does not count the other votes."""
        keep = sorted({self.position(name) for name in models})
        place = np.full(self.num_models, -1, np.int64)
        place[keep] = np.arange(len(keep))
        inside = (place[self.first] >= 0) & (place[self.second] >= 0)
        return PairCounts(
            tuple(self.models[i] for i in keep),
            place[self.first[inside]],
            place[self.second[inside]],
            self.outcomes[inside],
            self.ledger,
        )

    def drop_unfought(self) -> "PairCounts":
        """The same votes without the models that have none."""
        return self.restricted(
            name for name, num in zip(self.models, self.battles, strict=True) if num
        )

    def with_outcomes(self, outcomes: FloatArray) -> "PairCounts":
        """The same pairs with other counts, for resampling; a pair may have no votes left."""
        return PairCounts(self.models, self.first, self.second, outcomes, self.ledger)

    @cached_property
    def digest(self) -> str:
        """Digest of models, pairs and counts."""
        return digest_of(
            [self.models, self.first.tolist(), self.second.tolist(), self.outcomes.tolist()]
        )


def laplacian(counts: PairCounts, per_pair: FloatArray) -> FloatArray:
    """(M, M) sum over pairs of ``per_pair · (e_i − e_j)(e_i − e_j)'``."""
    size = counts.num_models
    matrix = np.zeros((size, size))
    matrix[counts.first, counts.second] = -per_pair
    matrix[counts.second, counts.first] = -per_pair
    matrix[np.arange(size), np.arange(size)] = counts.node_sum(per_pair)
    return matrix
