"""Attacks on a board, replayed on its real counts: who votes how, and what comes of it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polylect.auditing.directed import lead_contrast
from polylect.auditing.honest_voter_model import Ballots, HonestVotes, ballots, honest_votes
from polylect.auditing.voters import VoterTest
from polylect.base import InputError, generator
from polylect.ranking import (
    ELO_PER_NAT,
    FloatArray,
    IntArray,
    PairCounts,
    Ratings,
    VoteTable,
    fit_bradley_terry,
    fit_davidson,
)

KINDS = ("omnipresent", "target-only", "random")
_OUTCOME = np.array([0, 2, 1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """A number of accounts that push one model.

    Attributes:
        target: the model.
        kind: ``omnipresent`` votes in every battle for the side that helps the target through the
            ratings; ``target-only`` votes for the target where it recognizes it, and honestly
            elsewhere; ``random`` clicks.
        rivals: help the target against the mean of this many models above it; 0: help its rating.
        num_accounts: riggers.
        votes_per_account: votes of each.
        honest_share: share of a rigger's votes that are honest, spread at random.
        recognized: chance that the rigger knows the target when it is shown (``target-only``).
    """

    target: str
    kind: str = "omnipresent"
    rivals: int = 0
    num_accounts: int = 1000
    votes_per_account: int = 20
    honest_share: float = 0.0
    recognized: float = 0.95

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"unknown attack {self.kind!r}", f"use one of {', '.join(KINDS)}")
        assert 0.0 <= self.honest_share <= 1.0, self.honest_share
        assert 0.0 <= self.recognized <= 1.0, self.recognized


@dataclass(frozen=True, eq=False, slots=True)
class Replay:
    """What an attack did to a board and what a test made of it.

    Attributes:
        found: share of riggers that were flagged.
        false_flags: share of honest voters that were flagged.
        honest_rating, honest_lower, honest_upper: the target's centered rating in Elo without the
            riggers, and its 95 % interval.
        rigged_rating: with all votes.
        cleaned_rating: without the flagged voters' votes.
        honest_rank, rigged_rank, cleaned_rank: the target's rank.
    """

    found: float
    false_flags: float
    honest_rating: float
    honest_lower: float
    honest_upper: float
    rigged_rating: float
    cleaned_rating: float
    honest_rank: int
    rigged_rank: int
    cleaned_rank: int

    @property
    def is_repaired(self) -> bool:
        """The cleaned rating lies in the honest interval."""
        return self.honest_lower <= self.cleaned_rating <= self.honest_upper


class Arena:
    """Real counts as a place where accounts can vote.

    Pairs come up with their share of the real votes, honest verdicts with the pair's own shares.
    """

    def __init__(self, counts: PairCounts) -> None:
        self.counts = counts
        self.fit = fit_bradley_terry(counts)
        self.ties = fit_davidson(counts)
        self.honest = honest_votes(counts, self.ties)
        self._edges = np.cumsum(counts.totals) / counts.num_votes
        shares = counts.outcomes / counts.totals[:, None]
        self._verdicts = np.cumsum(shares, axis=1)

    def honest_table(self, num_voters: int, votes_each: int, seed: int) -> VoteTable:
        """Votes of honest accounts ``h0``, ``h1``, …"""
        rng = generator(seed, "honest accounts")
        pair = self._pairs(rng, num_voters * votes_each)
        outcome = self._honest(rng, pair)
        return self._table(rng, pair, outcome, num_voters, votes_each, "h")

    def attack_table(self, attack: Attack, seed: int) -> VoteTable:
        """Votes of the attack's accounts ``r0``, ``r1``, …

        Raises:
            InputError: the target is not rated.
        """
        rng = generator(seed, "riggers", attack.kind)
        pair = self._pairs(rng, attack.num_accounts * attack.votes_per_account)
        outcome = self._honest(rng, pair)
        steered = rng.random(len(pair)) >= attack.honest_share
        wanted, known = self._wanted(attack, pair, rng)
        outcome = np.where(steered & known, wanted, outcome)
        return self._table(rng, pair, outcome, attack.num_accounts, attack.votes_per_account, "r")

    def _wanted(
        self, attack: Attack, pair: IntArray, rng: np.random.Generator
    ) -> tuple[IntArray, npt.NDArray[np.bool_]]:
        """Outcome that the attack casts on each pair, and where it does."""
        if attack.kind == "random":
            return rng.integers(0, 3, len(pair)), np.ones(len(pair), bool)
        target = self.fit.position(attack.target)
        first, second = self.counts.first[pair], self.counts.second[pair]
        if attack.kind == "target-only":
            known = (first == target) | (second == target)
            known &= rng.random(len(pair)) < attack.recognized
            return np.where(first == target, 0, 1), known
        row = lead_contrast(self.fit, attack.target, attack.rivals) @ self.fit.bread
        return np.where(row[first] > row[second], 0, 1), np.ones(len(pair), bool)

    def _pairs(self, rng: np.random.Generator, num: int) -> IntArray:
        return np.minimum(np.searchsorted(self._edges, rng.random(num)), len(self._edges) - 1)

    def _honest(self, rng: np.random.Generator, pair: IntArray) -> IntArray:
        return (rng.random(len(pair))[:, None] > self._verdicts[pair][:, :3]).sum(1)

    def _table(
        self,
        rng: np.random.Generator,
        pair: IntArray,
        outcome: IntArray,
        num_voters: int,
        votes_each: int,
        letter: str,
    ) -> VoteTable:
        a, b = self.counts.first[pair], self.counts.second[pair]
        swapped = rng.random(len(pair)) < 0.5
        outcome = np.where(swapped & (outcome < 2), 1 - outcome, outcome)
        return VoteTable(
            models=self.counts.models,
            a=np.where(swapped, b, a).astype(np.int32),
            b=np.where(swapped, a, b).astype(np.int32),
            outcome=outcome.astype(np.int8),
            count=np.ones(len(pair)),
            codes={"voter": np.repeat(np.arange(num_voters, dtype=np.int32), votes_each)},
            labels={"voter": tuple(f"{letter}{i}" for i in range(num_voters))},
        )


def joined(first: VoteTable, second: VoteTable) -> VoteTable:
    """Two tables of the same models, their voters kept apart."""
    assert first.models == second.models, "tables of other models"
    shift = len(first.labels["voter"])
    codes = np.concatenate([first.codes["voter"], second.codes["voter"] + shift]).astype(np.int32)
    return VoteTable(
        models=first.models,
        a=np.concatenate([first.a, second.a]),
        b=np.concatenate([first.b, second.b]),
        outcome=np.concatenate([first.outcome, second.outcome]),
        count=np.concatenate([first.count, second.count]),
        codes={"voter": codes},
        labels={"voter": (*first.labels["voter"], *second.labels["voter"])},
    )


@dataclass(frozen=True, eq=False, slots=True)
class Scene:
    """A board under attack, as its operator sees it, and the truth beside it.

    Attributes:
        votes: ballots of the accounts that voted.
        fit: Bradley–Terry ratings of all votes, the riggers' included.
        is_rigger: (V,) the truth.
        table: the accounts' votes.
        base: the counts before them.
    """

    votes: Ballots
    fit: Ratings
    is_rigger: npt.NDArray[np.bool_]
    table: VoteTable
    base: PairCounts


def stage(arena: Arena, attack: Attack, num_honest: int, seed: int) -> Scene:
    """The board after honest accounts and riggers have voted on top of the real counts.

    Everything that a test gets to see (ratings, directions, honest chances) is made from all
    votes, the riggers' too: the operator does not know who they are.
    """
    honest = arena.honest_table(num_honest, attack.votes_per_account, seed)
    table = joined(honest, arena.attack_table(attack, seed))
    counts = arena.counts.merged(table.counts())
    fit = fit_bradley_terry(counts, start=arena.fit.strength, check=False)
    model: HonestVotes = honest_votes(counts, fit_davidson(counts))
    votes = ballots(table, model)
    is_rigger = np.array([name.startswith("r") for name in votes.voters])
    return Scene(votes, fit, is_rigger, table, arena.counts)


def replay(
    arena: Arena,
    attack: Attack,
    test: Callable[[Scene], VoterTest],
    num_honest: int = 1000,
    level: float = 0.01,
    seed: int = 0,
) -> Replay:
    """One replay of an attack: detection, false flags, and the target's rating after cleaning.

    Args:
        arena: the board.
        attack: who attacks.
        test: of the scene's voters.
        num_honest: honest accounts beside the riggers, with as many votes each.
        level: of the test.
        seed: of all votes.
    """
    scene = stage(arena, attack, num_honest, seed)
    flagged = test(scene).flagged(level)
    target = scene.fit.position(attack.target)
    place = {name: i for i, name in enumerate(scene.table.labels["voter"])}
    names = np.array([place[name] for name in scene.votes.voters])
    dropped = np.isin(scene.table.codes["voter"], names[flagged])
    rigging = np.isin(scene.table.codes["voter"], names[scene.is_rigger])
    honest = _refit(scene, ~rigging, arena.fit.strength)
    cleaned = _refit(scene, ~dropped, arena.fit.strength)
    lower, upper = honest.bounds
    return Replay(
        found=float(flagged[scene.is_rigger].mean()) if scene.is_rigger.any() else 0.0,
        false_flags=float(flagged[~scene.is_rigger].mean()) if num_honest else 0.0,
        honest_rating=float(honest.elo[target]),
        honest_lower=float(lower[target]),
        honest_upper=float(upper[target]),
        rigged_rating=float(scene.fit.elo[target]),
        cleaned_rating=float(cleaned.elo[target]),
        honest_rank=honest.order.index(target) + 1,
        rigged_rank=scene.fit.order.index(target) + 1,
        cleaned_rank=cleaned.order.index(target) + 1,
    )


def rank_gain(arena: Arena, attack: Attack, seed: int = 0) -> tuple[int, int, float]:
    """Rank of the target before and after an attack alone, and its gain in Elo points."""
    counts = arena.counts.merged(arena.attack_table(attack, seed).counts())
    fit = fit_bradley_terry(counts, start=arena.fit.strength, check=False)
    target = fit.position(attack.target)
    gain: FloatArray = (fit.strength - arena.fit.strength) * ELO_PER_NAT
    before = arena.fit.order.index(target) + 1
    return before, fit.order.index(target) + 1, float(gain[target])


def _refit(scene: Scene, keep: npt.NDArray[np.bool_], start: FloatArray) -> Ratings:
    counts = scene.base.merged(scene.table.counts(keep))
    return fit_bradley_terry(counts, start=start, check=False)
