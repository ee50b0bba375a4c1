"""The honest voter model: probability of each verdict on each pair, from everybody's votes."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from polylect.base import InputError, Ledger
from polylect.ranking import FloatArray, IntArray, PairCounts, Ratings, VoteTable, fit_davidson

KIND_SCORE = np.array([1.0, 0.5, 0.0])
"""Score of side A for the three kinds of vote: it won, tied (or both are bad), lost."""
OUTCOME_KIND = np.array([0, 2, 1, 1])
"""Kind of the outcomes A, B, TIE, BOTH_BAD."""
PRIOR_VOTES = 20.0
_LEAST_VOTES = 1e-3
_MAX_BALLOTS = 50_000_000


@dataclass(frozen=True, eq=False, slots=True)
class HonestVotes:
    """How everybody votes on each pair of models.

    Attributes:
        models: names.
        history: (M, M, 3) votes that the row's model, as side A, won, tied or lost; symmetric under
            swapping sides.
        model: (M, M, 3) probabilities of the same under the fitted model with ties.
    """

    models: tuple[str, ...]
    history: FloatArray
    model: FloatArray

    def chance(self, a: IntArray, b: IntArray, without: FloatArray | None = None) -> FloatArray:
        """(N, 3) probabilities of the three kinds of vote on each pair.

        The history of the pair, with the fitted model as ``PRIOR_VOTES`` further votes to smooth
        pairs that seldom met.

        Args:
            a: (N,) side A.
            b: (N,) side B.
            without: (N, 3) votes to leave out of the history: those of the tested voter.
        """
        votes = self.history[a, b] if without is None else self.history[a, b] - without
        # No vote is impossible, not even a tie on a board that never had one.
        votes = votes + PRIOR_VOTES * self.model[a, b] + _LEAST_VOTES
        return votes / votes.sum(1, keepdims=True)


def honest_votes(counts: PairCounts, ratings: Ratings | None = None) -> HonestVotes:
    """The honest model of a board.

    Args:
        counts: all votes.
        ratings: a Davidson fit of the counts (``ranking.fit_davidson``); fitted if left out.

    Raises:
        UndecidableError: strengths are not finite.
    """
    ratings = ratings or fit_davidson(counts)
    size = counts.num_models
    history = np.zeros((size, size, 3))
    wins, losses = counts.outcomes[:, 0], counts.outcomes[:, 1]
    ties = counts.outcomes[:, 2] + counts.outcomes[:, 3]
    history[counts.first, counts.second] = np.column_stack([wins, ties, losses])
    history[counts.second, counts.first] = np.column_stack([losses, ties, wins])
    gap = (ratings.strength[:, None] - ratings.strength[None, :]) / 2.0
    level = {param.name: param.value for param in ratings.parameters}.get("tie", -np.inf)
    logits = np.stack([gap, np.full_like(gap, level), -gap], axis=2)
    weight = np.exp(logits - np.abs(gap)[:, :, None])
    return HonestVotes(counts.models, history, weight / weight.sum(2, keepdims=True))


@dataclass(frozen=True, eq=False)
class Ballots:
    """Votes in order of voter, each with the probabilities of an honest vote on the same pair.

    Attributes:
        voters: (V,) names.
        start: (V + 1,) position of each voter's first vote; votes of a voter are in file order.
        a, b: (N,) the sides as they were shown.
        kind: (N,) 0 A won, 1 tie, 2 A lost.
        chance: (N, 3) honest probabilities, estimated without the voter's own votes.
        history: (N, 3) votes of the others on the same pair, seen from side A.
        ledger: votes that are not tested.
    """

    voters: tuple[str, ...]
    start: IntArray
    a: IntArray
    b: IntArray
    kind: IntArray
    chance: FloatArray
    history: FloatArray
    ledger: Ledger = field(default_factory=Ledger)

    def __iter__(self) -> Iterator[slice]:
        """Slices of the votes, voter by voter."""
        for low, high in zip(self.start[:-1], self.start[1:], strict=True):
            yield slice(int(low), int(high))

    @property
    def num_votes(self) -> IntArray:
        """(V,) votes per voter."""
        return np.diff(self.start)


def ballots(table: VoteTable, honest: HonestVotes, by: str = "voter") -> Ballots:
    """The votes of each voter, with the probabilities of honest votes on the same pairs.

    Args:
        table: votes with a coded column ``by``; a row with ``count`` n is n votes.
        honest: model of a board that contains these votes; each voter's own votes are subtracted.
        by: column of the voters: ``voter``, or ``account`` made by ``pool_voters``.

    Raises:
        InputError: no row names a voter, or the rows stand for more votes than fit in memory.
    """
    codes = table.codes[by]
    place = {name: i for i, name in enumerate(honest.models)}
    known = np.array([place.get(name, -1) for name in table.models], np.int64)
    a, b = known[table.a], known[table.b]
    ledger = Ledger()
    named, rated = codes >= 0, (a >= 0) & (b >= 0)
    ledger.count(f"not tested: no {by}", int(table.count[~named].sum()))
    ledger.count("not tested: model without a rating", int(table.count[named & ~rated].sum()))
    rows = np.flatnonzero(named & rated)
    if not len(rows):
        raise InputError(f"no vote names a {by}", f"add a column {by!r} to the votes")
    if table.count[rows].sum() > _MAX_BALLOTS:
        raise InputError(
            f"{table.count[rows].sum():,.0f} votes with a {by} do not fit in memory",
            f"take fewer than {_MAX_BALLOTS:,}",
        )
    rows = np.repeat(rows, table.count[rows].astype(np.int64))
    rows = rows[np.argsort(codes[rows], kind="stable")]
    a, b, voter = a[rows], b[rows], codes[rows].astype(np.int64)
    kind = OUTCOME_KIND[table.outcome[rows]]
    same_voter = _votes_of_same_voter(a, b, kind, voter, len(honest.models))
    values, start = np.unique(voter, return_index=True)
    return Ballots(
        voters=tuple(table.labels[by][code] for code in values),
        start=np.append(start, len(rows)).astype(np.int64),
        a=a,
        b=b,
        kind=kind,
        chance=honest.chance(a, b, same_voter),
        history=honest.history[a, b] - same_voter,
        ledger=ledger,
    )


def decisive_votes(votes: Ballots) -> Ballots:
    """The votes that are no tie, of the same voters; a voter may have none left."""
    is_decisive = votes.kind != 1
    return replace(
        votes,
        start=np.append(0, np.cumsum(is_decisive))[votes.start],
        a=votes.a[is_decisive],
        b=votes.b[is_decisive],
        kind=votes.kind[is_decisive],
        chance=votes.chance[is_decisive],
        history=votes.history[is_decisive],
    )


def _votes_of_same_voter(
    a: IntArray, b: IntArray, kind: IntArray, voter: IntArray, size: int
) -> FloatArray:
    """(N, 3) votes that the same voter cast on the same pair, seen from side A."""
    low, high = np.minimum(a, b), np.maximum(a, b)
    _, group = np.unique((voter * size + low) * size + high, return_inverse=True)
    kind_of_low = np.where(a < b, kind, 2 - kind)
    cells = np.bincount(group * 3 + kind_of_low, minlength=3 * (group.max(initial=-1) + 1))
    votes = cells.reshape(-1, 3)[group].astype(np.float64)
    return np.where((a < b)[:, None], votes, votes[:, ::-1])


def pool_voters(
    table: VoteTable, cluster: npt.NDArray[np.integer], names: tuple[str, ...], below: int
) -> VoteTable:
    """The table with a coded column ``account``: voters of few votes are pooled by cluster.

    A botnet whose accounts vote a few times each cannot be detected account by account. What the
    accounts share (an address range, an hour of registration, a browser) makes them one voter.

    Args:
        table: votes with a coded column ``voter``.
        cluster: (N,) code of each row's cluster, −1 for none.
        names: the clusters that the codes stand for.
        below: voters with fewer votes than this are pooled.

    Does not: find the clusters.
    """
    voter = table.codes["voter"].astype(np.int64)
    num_votes = np.bincount(voter[voter >= 0], table.count[voter >= 0], len(table.labels["voter"]))
    few = (voter >= 0) & (num_votes[voter] < below) & (cluster >= 0)
    account = np.where(few, len(num_votes) + cluster, voter).astype(np.int32)
    labels = (*table.labels["voter"], *(f"cluster {name}" for name in names))
    return replace(
        table, codes={**table.codes, "account": account}, labels={**table.labels, "account": labels}
    )
