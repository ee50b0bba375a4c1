"""How few votes swap two neighbors on a board: found by influence, confirmed by a refit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from polylect.auditing._refits import Refits
from polylect.ranking import (
    ELO_PER_NAT,
    OUTCOME_SCORE,
    OUTCOMES,
    FloatArray,
    IntArray,
    PairCounts,
    Ratings,
    fit_bradley_terry,
    identify,
    vote_influence,
)

WAYS = ("remove", "add", "flip")
_MAX_ROUNDS = 40
_MAX_ADDED = 10**9
_SHOWN_CELLS = 8
# Two strengths this close, in log-odds, are equal: refits agree to far less.
_EQUAL = 1e-8


@dataclass(frozen=True, slots=True)
class CellChange:
    """Votes on one pair that are taken away, added or turned.

    Attributes:
        first, second: the pair.
        outcome: the verdict with ``first`` as side A: of the votes that were there, or are added.
        becomes: what a flipped vote turns into; empty otherwise.
        num_votes: how many.
    """

    first: str
    second: str
    outcome: str
    becomes: str
    num_votes: int


@dataclass(frozen=True, slots=True)
class Swap:
    """The fewest votes found whose change swaps two models.

    Attributes:
        better, worse: the two, as they stand.
        gap: rating difference, in Elo points.
        way: ``remove``, ``add`` or ``flip``.
        num_votes: how many; None when no number of this kind does it while all strengths stay
            finite.
        predicted: the number that first-order influence gives.
        share: ``num_votes`` over all votes.
        gap_after: the gap after the refit with ``num_votes`` changed: below zero.
        gap_short: the gap after a refit with one vote less: zero or above.
        cells: which votes, the eight largest groups.
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
    Giordano and Meager 2020; for boards Huang et al. 2025, arXiv 2508.11847); how many is decided
    by exact refits along that order, and the last one is repeated with Newton to the last digit.
    Added votes all go to the one pair and verdict that moves the difference most, among pairs that
    met and the two models themselves.

    Args:
        counts: votes whose strengths are all finite.
        ratings: the Bradley–Terry fit of these counts; made when left out.
        pairs: (better, worse) names instead of all neighbors.
        ways: some of ``WAYS``.

    Returns:
        one per pair and way, best-placed pair first.

    Does not: prove that no smaller set exists. The count is an upper bound of the true minimum; on
    small boards brute force mostly agrees (tests).

    Raises:
        UndecidableError: not every strength is finite.
        InputError: a pair names a model that is not rated.
    """
    assert set(ways) <= set(WAYS), ways
    ratings = ratings or fit_bradley_terry(counts)
    if pairs is None:
        order = ratings.order
        places = [(order[i], order[i + 1]) for i in range(len(order) - 1)]
    else:
        places = [(ratings.position(a), ratings.position(b)) for a, b in pairs]
    if not places:
        return ()
    board = _Board(counts, ratings, np.array(places, np.int64))
    found = {way: board.search(way) for way in ways}
    return tuple(found[way][i] for i in range(len(places)) for way in ways)


@dataclass(eq=False)
class _Path:
    """Votes in the order in which they are taken.

    Attributes:
        cells: (L,) positions in the flattened (P, 4) outcomes.
        capacity: (L,) votes there.
        pull: (L,) change of the gap per vote, above zero for what narrows it.
        becomes: (L,) column that a flipped vote turns into, or −1.
        sign: −1 where votes go away, +1 where they come.
    """

    cells: IntArray
    capacity: FloatArray
    pull: FloatArray
    becomes: IntArray
    sign: int

    def predicted(self, gap: float) -> float:
        """First-order number of votes that closes the gap; infinite when all do not."""
        reach = np.cumsum(self.capacity * self.pull)
        at = int(np.searchsorted(reach, gap))
        if at == len(reach):
            return float("inf")
        before = reach[at - 1] if at else 0.0
        return float(self.capacity[:at].sum() + (gap - before) / self.pull[at])

    def taken(self, num: int) -> Iterator[tuple[int, int, float]]:
        """Cell, column it becomes, and number, for the first ``num`` votes."""
        for cell, becomes, capacity in zip(self.cells, self.becomes, self.capacity, strict=True):
            here = min(float(num), capacity)
            yield int(cell), int(becomes), here
            num -= int(here)
            if num <= 0:
                return

    def changed(self, outcomes: FloatArray, num: int) -> FloatArray:
        """The outcomes (P, 4) after the first ``num`` votes."""
        flat = outcomes.ravel().copy()
        for cell, becomes, here in self.taken(num):
            flat[cell] += self.sign * here
            if becomes >= 0:
                flat[cell - cell % 4 + becomes] += here
        return flat.reshape(-1, 4)


class _Board:
    """A board with room for votes on every pair of neighbors."""

    def __init__(self, counts: PairCounts, ratings: Ratings, places: IntArray) -> None:
        self.places = places
        self.counts = _with_room(counts, places)
        self.ratings = ratings
        self.refits = Refits(self.counts, ratings)
        self.gap = ratings.strength[places[:, 0]] - ratings.strength[places[:, 1]]
        size = counts.num_models
        contrast = np.zeros((len(places), size))
        contrast[np.arange(len(places)), places[:, 0]] = 1.0
        contrast[np.arange(len(places)), places[:, 1]] = -1.0
        self._contrast = contrast
        self._pairs = self.counts.first * size + self.counts.second

    def search(self, way: str) -> list[Swap]:
        """One swap per pair of neighbors."""
        paths = self._paths(way)
        predicted = [path.predicted(gap) for path, gap in zip(paths, self.gap, strict=True)]
        ends = [min(float(path.capacity.sum()), _MAX_ADDED) for path in paths]
        brackets = [
            _Bracket(gap, guess, end)
            for gap, guess, end in zip(self.gap, predicted, ends, strict=True)
        ]
        for _ in range(_MAX_ROUNDS):
            open_ = [i for i, one in enumerate(brackets) if not one.is_done]
            if not open_:
                break
            asked = [brackets[i].proposal() for i in open_]
            changes = [
                paths[i].changed(self.counts.outcomes, num)
                for i, num in zip(open_, asked, strict=True)
            ]
            for i, num, found in zip(open_, asked, self.refits.strengths(changes), strict=True):
                brackets[i].learn(num, found, self._gap_of(i, found))
        return [self._swap(i, way, paths[i], predicted[i], brackets[i]) for i in range(len(paths))]

    def _gap_of(self, i: int, strength: FloatArray | None) -> float | None:
        if strength is None:
            return None
        better, worse = self.places[i]
        return float(strength[better] - strength[worse])

    def _swap(self, i: int, way: str, path: _Path, predicted: float, bracket: "_Bracket") -> Swap:
        better, worse = (self.ratings.models[k] for k in self.places[i])
        gap = float(self.gap[i]) * ELO_PER_NAT
        none = Swap(better, worse, gap, way, None, predicted, None, None, None, ())
        if bracket.high is None or bracket.at_high is None:
            return none
        outcomes = path.changed(self.counts.outcomes, bracket.high)
        if way != "add" and not _is_finite(self.counts, outcomes):
            return none
        exact = self.refits.exact(outcomes, bracket.at_high)
        after = self._gap_of(i, exact)
        if after is None or after >= -_EQUAL:
            return none
        return Swap(
            better=better,
            worse=worse,
            gap=gap,
            way=way,
            num_votes=bracket.high,
            predicted=predicted,
            share=bracket.high / self.counts.num_votes,
            gap_after=after * ELO_PER_NAT,
            gap_short=max(bracket.low_gap, 0.0) * ELO_PER_NAT,
            cells=self._cells(path, bracket.high),
        )

    def _cells(self, path: _Path, num: int) -> tuple[CellChange, ...]:
        names = self.counts.models
        rows = []
        for cell, becomes, here in path.taken(num):
            pair, outcome = divmod(cell, 4)
            rows.append(
                CellChange(
                    names[self.counts.first[pair]],
                    names[self.counts.second[pair]],
                    OUTCOMES[outcome].value,
                    OUTCOMES[becomes].value if becomes >= 0 else "",
                    int(here),
                )
            )
        return tuple(sorted(rows, key=lambda one: -one.num_votes)[:_SHOWN_CELLS])

    def _paths(self, way: str) -> list[_Path]:
        if way == "flip":
            return self._flips()
        influence = vote_influence(self.counts, self.ratings, self._contrast)
        influence = influence.reshape(len(self.places), -1)
        votes = self.counts.outcomes.ravel()
        if way == "remove":
            filled = np.flatnonzero(votes)
            return [_sorted(filled, votes[filled], one[filled], -1) for one in influence]
        # TIE and BOTH_BAD move a difference alike and less than a verdict.
        met = np.repeat(self.counts.totals > 0, 4)
        paths = []
        for (better, worse), one in zip(self.places, -influence, strict=True):
            allowed = met.copy()
            key = min(better, worse) * self.counts.num_models + max(better, worse)
            direct = 4 * int(np.searchsorted(self._pairs, key))
            allowed[direct : direct + 4] = True
            cell = int(np.argmax(np.where(allowed, one, -np.inf)))
            path = _sorted(np.array([cell]), np.array([np.inf]), one[[cell]], 1)
            paths.append(path)
        return paths

    def _flips(self) -> list[_Path]:
        """Turn a verdict into its opposite, or a tie into a verdict, against the better model."""
        votes = self.counts.outcomes
        potential = self._contrast @ self.ratings.bread
        pull = potential[:, self.counts.first] - potential[:, self.counts.second]
        filled = np.flatnonzero(votes.ravel())
        pair, outcome = np.divmod(filled, 4)
        paths = []
        for one in pull:
            # Where the pull is positive a vote for the first model supports the better one.
            becomes = np.where(one[pair] > 0, 1, 0)
            change = np.abs(OUTCOME_SCORE[outcome] - OUTCOME_SCORE[becomes]) * np.abs(one[pair])
            path = _sorted(filled, votes.ravel()[filled], change, -1, becomes)
            paths.append(path)
        return paths


class _Bracket:
    """The whole number at which a falling function passes zero: proposals and what was learned."""

    def __init__(self, gap: float, guess: float, end: float) -> None:
        self.low, self.low_gap = 0, gap
        self.high: int | None = None
        self.high_gap = 0.0
        self.at_high: FloatArray | None = None
        self._end = int(end)
        self._next = int(min(max(np.ceil(guess), 1), self._end)) if end >= 1 else 0
        self._failed = end < 1

    @property
    def is_done(self) -> bool:
        return self._failed or (self.high is not None and self.high - self.low <= 1)

    def proposal(self) -> int:
        return self._next

    def learn(self, num: int, strength: FloatArray | None, gap: float | None) -> None:
        if gap is None or strength is None:
            # The strengths ran away: look at fewer votes, where they may not.
            self._end = num - 1
            self._failed = self._end <= self.low
            self._next = (self.low + self._end + 1) // 2
            return
        if gap < -_EQUAL:
            self.high, self.high_gap, self.at_high = num, gap, strength
        else:
            slope = (self.low_gap - gap) / max(num - self.low, 1)
            self.low, self.low_gap = num, gap
            if self.high is None:
                if num >= self._end:
                    self._failed = True
                    return
                ahead = np.ceil(gap / slope) if slope > 0 else num
                self._next = int(min(num + max(ahead, 1), max(4 * num, 8), self._end))
                return
        self._next = self._between()

    def _between(self) -> int:
        assert self.high is not None
        width = self.high - self.low
        low_gap = max(self.low_gap, 0.0)
        step = int(np.ceil(width * low_gap / (low_gap - self.high_gap)))
        return self.low + min(max(step, 1), max(width - 1, 1))


def _sorted(
    cells: IntArray,
    capacity: FloatArray,
    pull: FloatArray,
    sign: int,
    becomes: IntArray | None = None,
) -> _Path:
    """The cells that narrow the gap, strongest first; equal ones in order of cells."""
    useful = np.flatnonzero(pull > 0)
    order = useful[np.argsort(-pull[useful], kind="stable")]
    turned = np.full(len(cells), -1, np.int64) if becomes is None else becomes
    return _Path(cells[order], capacity[order], pull[order], turned[order], sign)


def _with_room(counts: PairCounts, places: IntArray) -> PairCounts:
    """The same votes, with an empty row for neighbors that never met."""
    size = counts.num_models
    own = counts.first * size + counts.second
    wanted = places.min(1) * size + places.max(1)
    every = np.union1d(own, wanted)
    outcomes = np.zeros((len(every), 4))
    outcomes[np.searchsorted(every, own)] = counts.outcomes
    first, second = np.divmod(every, size)
    return PairCounts(counts.models, first, second, outcomes, counts.ledger)


def _is_finite(counts: PairCounts, outcomes: FloatArray) -> bool:
    kept = outcomes.sum(1) > 0
    found = identify(
        PairCounts(counts.models, counts.first[kept], counts.second[kept], outcomes[kept])
    )
    return found.is_finite and not found.unfought
