"""Votes in the order in which they are removed, added or flipped to swap two models."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from polylect.ranking import (
    OUTCOME_SCORE,
    FloatArray,
    IntArray,
    PairCounts,
    Ratings,
    vote_influence,
)


@dataclass(eq=False)
class VotePath:
    """Cells of votes that narrow the gap between two models, strongest influence first.

    Attributes:
        cells: (L,) positions in the flattened (P, 4) outcomes.
        capacity: (L,) votes that can be changed there.
        influence: (L,) first-order decrease of the gap per vote, above zero.
        becomes: (L,) outcome that a flipped vote turns into, or −1.
        sign: −1 if votes are removed from the cells, +1 if they are added.
    """

    cells: IntArray
    capacity: FloatArray
    influence: FloatArray
    becomes: IntArray
    sign: int

    def predicted(self, gap: float) -> float:
        """First-order number of votes that closes the gap; infinite if all of them do not."""
        reach = np.cumsum(self.capacity * self.influence)
        at = int(np.searchsorted(reach, gap))
        if at == len(reach):
            return float("inf")
        before = reach[at - 1] if at else 0.0
        return float(self.capacity[:at].sum() + (gap - before) / self.influence[at])

    def first_votes(self, num: int) -> Iterator[tuple[int, int, float]]:
        """Cell, outcome it becomes, and number of votes, for the first ``num`` votes."""
        for cell, becomes, capacity in zip(self.cells, self.becomes, self.capacity, strict=True):
            taken = min(float(num), capacity)
            yield int(cell), int(becomes), taken
            num -= int(taken)
            if num <= 0:
                return

    def changed(self, outcomes: FloatArray, num: int) -> FloatArray:
        """The outcomes (P, 4) after the first ``num`` votes are changed."""
        flat = outcomes.ravel().copy()
        for cell, becomes, taken in self.first_votes(num):
            flat[cell] += self.sign * taken
            if becomes >= 0:
                flat[cell - cell % 4 + becomes] += taken
        return flat.reshape(-1, 4)


def vote_paths(
    counts: PairCounts, ratings: Ratings, neighbors: IntArray, way: str
) -> list[VotePath]:
    """For each pair of neighbors the path of one way.

    Args:
        counts: the votes, with a (perhaps empty) row for every pair of neighbors.
        ratings: their fit.
        neighbors: (N, 2) positions of the better and the worse model.
        way: ``remove``, ``add`` or ``flip``.
    """
    contrast = np.zeros((len(neighbors), counts.num_models))
    contrast[np.arange(len(neighbors)), neighbors[:, 0]] = 1.0
    contrast[np.arange(len(neighbors)), neighbors[:, 1]] = -1.0
    if way == "flip":
        return _flips(counts, contrast @ ratings.bread)
    influences = vote_influence(counts, ratings, contrast).reshape(len(neighbors), -1)
    if way == "remove":
        votes = counts.outcomes.ravel()
        filled = np.flatnonzero(votes)
        return [_sorted_path(filled, votes[filled], row[filled], -1) for row in influences]
    return _additions(counts, neighbors, -influences)


def _additions(counts: PairCounts, neighbors: IntArray, influences: FloatArray) -> list[VotePath]:
    """All added votes go to one cell: of a pair that met, or of the two neighbors."""
    met = np.repeat(counts.totals > 0, 4)
    pair_keys = counts.first * counts.num_models + counts.second
    paths = []
    for (better, worse), influence in zip(neighbors, influences, strict=True):
        allowed = met.copy()
        key = min(better, worse) * counts.num_models + max(better, worse)
        direct = 4 * int(np.searchsorted(pair_keys, key))
        allowed[direct : direct + 4] = True
        cell = int(np.argmax(np.where(allowed, influence, -np.inf)))
        paths.append(_sorted_path(np.array([cell]), np.array([np.inf]), influence[[cell]], 1))
    return paths


def _flips(counts: PairCounts, potential: FloatArray) -> list[VotePath]:
    """Turn a verdict into its opposite, or a tie into a verdict, against the better model."""
    differences = potential[:, counts.first] - potential[:, counts.second]
    votes = counts.outcomes.ravel()
    filled = np.flatnonzero(votes)
    pair, outcome = np.divmod(filled, 4)
    paths = []
    for difference in differences:
        # Where the difference is positive a vote for the first model supports the better one.
        becomes = np.where(difference[pair] > 0, 1, 0)
        score_change = np.abs(OUTCOME_SCORE[outcome] - OUTCOME_SCORE[becomes])
        influence = score_change * np.abs(difference[pair])
        paths.append(_sorted_path(filled, votes[filled], influence, -1, becomes))
    return paths


def _sorted_path(
    cells: IntArray,
    capacity: FloatArray,
    influence: FloatArray,
    sign: int,
    becomes: IntArray | None = None,
) -> VotePath:
    """The cells that narrow the gap, strongest first; equal ones in order of cells."""
    useful = np.flatnonzero(influence > 0)
    order = useful[np.argsort(-influence[useful], kind="stable")]
    outcomes = np.full(len(cells), -1, np.int64) if becomes is None else becomes
    return VotePath(cells[order], capacity[order], influence[order], outcomes[order], sign)
