"""The fewest votes that swap two neighbors on a board: found by influence, confirmed by refits."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from polylect.auditing._integer_root import EQUAL, IntegerRoot
from polylect.auditing._refits import Refits
from polylect.auditing._vote_paths import VotePath, vote_paths
from polylect.ranking import (
    ELO_PER_NAT,
    OUTCOMES,
    FloatArray,
    IntArray,
    PairCounts,
    Ratings,
    all_finite,
    fit_bradley_terry,
)

WAYS = ("remove", "add", "flip")
_MAX_ROUNDS = 40
_MAX_ADDED = 10**9
_SHOWN_CELLS = 8


@dataclass(frozen=True, slots=True)
class CellChange:
    """Votes on a pair that are removed, added or flipped.

    Attributes:
        first, second: the pair.
        outcome: verdict of the votes before they change, or of added votes, with ``first`` as side
            A.
        becomes: verdict of flipped votes after the change; empty for other changes.
        num_votes: number of votes.
    """

    first: str
    second: str
    outcome: str
    becomes: str
    num_votes: int


@dataclass(frozen=True, slots=True)
class Swap:
    """The smallest number of votes found whose change swaps two models.

    Attributes:
        better, worse: the two models, in today's order.
        gap: rating difference, in Elo points.
        way: ``remove``, ``add`` or ``flip``.
        num_votes: number of votes; None if no number of them swaps the two while all strengths
            stay finite.
        predicted: the number predicted by first-order influence.
        share: ``num_votes`` over all votes.
        gap_after: gap after a refit with ``num_votes`` changed: below zero.
        gap_short: gap after a refit with one vote less: zero or above.
        cells: which votes; the eight largest groups.
    """

    better: str
    worse: str
    gap: float
    way: str
    num_votes: int | None
    predicted: float
    share: float | None
    gap_after: float | None
    gap_short: float | None
    cells: tuple[CellChange, ...]


def fragility(
    counts: PairCounts,
    ratings: Ratings | None = None,
    pairs: Sequence[tuple[str, str]] | None = None,
    ways: Sequence[str] = WAYS,
) -> tuple[Swap, ...]:
    """For each pair of neighbors the fewest votes whose removal, addition or flip swaps them.

    Votes are taken in the order of their first-order influence on the difference (Broderick,
    Giordano and Meager 2020; for boards Huang et al. 2025, arXiv 2508.11847). Refits along that
    order decide how many are needed; the last refit is repeated with Newton to the last digit.
    Added votes all go to the one pair and verdict that moves the difference most, among the pairs
    that met and the two models themselves.

    Args:
        counts: votes whose strengths are all finite.
        ratings: the Bradley–Terry fit of these counts; fitted if left out.
        pairs: names (better, worse). Default: all neighbors on the board.
        ways: some of ``WAYS``.

    Returns:
        One swap per pair and way, best-placed pair first.

    Does not: prove that no smaller set exists. The number is an upper bound of the true minimum; on
    small boards it mostly agrees with brute force (tests).

    Raises:
        UndecidableError: not every strength is finite.
        InputError: a pair names a model that is not rated.
    """
    assert set(ways) <= set(WAYS), ways
    ratings = ratings or fit_bradley_terry(counts)
    if pairs is None:
        order = ratings.order
        neighbors = list(pairwise(order))
    else:
        neighbors = [(ratings.position(a), ratings.position(b)) for a, b in pairs]
    if not neighbors:
        return ()
    board = _Board(counts, ratings, np.array(neighbors, np.int64))
    swaps = {way: board.search(way) for way in ways}
    return tuple(swaps[way][i] for i in range(len(neighbors)) for way in ways)


class _Board:
    """A board with room for votes on every pair of neighbors."""

    def __init__(self, counts: PairCounts, ratings: Ratings, neighbors: IntArray) -> None:
        self.neighbors = neighbors
        self.counts = _with_neighbors(counts, neighbors)
        self.ratings = ratings
        self.refits = Refits(self.counts, ratings)
        self.gaps = ratings.strength[neighbors[:, 0]] - ratings.strength[neighbors[:, 1]]

    def search(self, way: str) -> list[Swap]:
        """One swap per pair of neighbors; the refits of all pairs are computed together."""
        paths = vote_paths(self.counts, self.ratings, self.neighbors, way)
        predicted = [path.predicted(gap) for path, gap in zip(paths, self.gaps, strict=True)]
        ends = [min(float(path.capacity.sum()), _MAX_ADDED) for path in paths]
        roots = [
            IntegerRoot(gap, guess, end)
            for gap, guess, end in zip(self.gaps, predicted, ends, strict=True)
        ]
        for _ in range(_MAX_ROUNDS):
            active = [i for i, root in enumerate(roots) if not root.is_done]
            if not active:
                break
            nums = [roots[i].proposal for i in active]
            changes = [
                paths[i].changed(self.counts.outcomes, num)
                for i, num in zip(active, nums, strict=True)
            ]
            refits = self.refits.strengths(changes)
            for i, num, strength in zip(active, nums, refits, strict=True):
                roots[i].update(num, strength, self._gap(i, strength))
        return [self._swap(i, way, paths[i], predicted[i], roots[i]) for i in range(len(paths))]

    def _gap(self, i: int, strength: FloatArray | None) -> float | None:
        if strength is None:
            return None
        better, worse = self.neighbors[i]
        return float(strength[better] - strength[worse])

    def _swap(self, i: int, way: str, path: VotePath, predicted: float, root: IntegerRoot) -> Swap:
        better, worse = (self.ratings.models[k] for k in self.neighbors[i])
        gap = float(self.gaps[i]) * ELO_PER_NAT
        impossible = Swap(better, worse, gap, way, None, predicted, None, None, None, ())
        if root.high is None or root.strength_at_high is None:
            return impossible
        outcomes = path.changed(self.counts.outcomes, root.high)
        if way != "add" and not all_finite(self.counts.with_outcomes(outcomes)):
            return impossible
        gap_after = self._gap(i, self.refits.newton(outcomes, root.strength_at_high))
        if gap_after is None or gap_after >= -EQUAL:
            return impossible
        return Swap(
            better=better,
            worse=worse,
            gap=gap,
            way=way,
            num_votes=root.high,
            predicted=predicted,
            share=root.high / self.counts.num_votes,
            gap_after=gap_after * ELO_PER_NAT,
            gap_short=max(root.low_gap, 0.0) * ELO_PER_NAT,
            cells=self._cells(path, root.high),
        )

    def _cells(self, path: VotePath, num: int) -> tuple[CellChange, ...]:
        names = self.counts.models
        changes = []
        for cell, becomes, num_votes in path.first_votes(num):
            pair, outcome = divmod(cell, 4)
            changes.append(
                CellChange(
                    names[self.counts.first[pair]],
                    names[self.counts.second[pair]],
                    OUTCOMES[outcome].value,
                    OUTCOMES[becomes].value if becomes >= 0 else "",
                    int(num_votes),
                )
            )
        return tuple(sorted(changes, key=lambda change: -change.num_votes)[:_SHOWN_CELLS])


def _with_neighbors(counts: PairCounts, neighbors: IntArray) -> PairCounts:
    """The same votes, with an empty row for neighbors that never met."""
    size = counts.num_models
    keys = counts.first * size + counts.second
    all_keys = np.union1d(keys, neighbors.min(1) * size + neighbors.max(1))
    outcomes = np.zeros((len(all_keys), 4))
    outcomes[np.searchsorted(all_keys, keys)] = counts.outcomes
    first, second = np.divmod(all_keys, size)
    return PairCounts(counts.models, first, second, outcomes, counts.ledger)
