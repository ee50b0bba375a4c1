"""Simulated attacks on a board, on top of its real counts, and how well a test repairs them."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from polylect.auditing.directed import directed_test, lead_contrast
from polylect.auditing.honest_voter_model import Ballots, ballots, honest_votes
from polylect.auditing.simulated_habits import Habits, ShownBattles, habitual_outcomes
from polylect.auditing.voter_tests import VoterTest
from polylect.base import Count, CountOrZero, Share, check_known, check_settings, generator
from polylect.ranking import (
    ELO_PER_NAT,
    IntArray,
    PairCounts,
    Ratings,
    VoteTable,
    fit_bradley_terry,
    fit_davidson,
)

KINDS = ("omnipresent", "target-only", "random")
_NUM_DRAWS = 1999


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """An attack by accounts that push a model.

    Attributes:
        target: the model to push.
        kind: ``omnipresent`` votes in every battle for the side that helps the target through the
            ratings; ``target-only`` votes for the target when it recognizes it, and honestly
            elsewhere; ``random`` votes at random.
        rivals: number of models above the target whose mean it is to gain on; 0: its rating itself.
        num_accounts: number of riggers.
        votes_per_account: votes of each rigger.
        honest_share: share of a rigger's votes that are honest, at random positions.
        recognized: probability that a rigger recognizes the target (``target-only``).
    """

    target: str
    kind: str = "omnipresent"
    rivals: CountOrZero = 0
    num_accounts: Count = 1000
    votes_per_account: Count = 20
    honest_share: Share = 0.0
    recognized: Share = 0.95

    def __post_init__(self) -> None:
        check_settings(self)
        check_known(self.kind, KINDS, f"unknown attack {self.kind!r}", "use one of")


@dataclass(frozen=True, eq=False, slots=True)
class AttackResult:
    """Effect of an attack on a board, and of removing the voters that a test flags.

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
        """Whether the cleaned rating lies in the honest interval."""
        return self.honest_lower <= self.cleaned_rating <= self.honest_upper


class SimulatedArena:
    """Draws votes of simulated accounts from the real counts of a board.

    Pairs are drawn with their share of the real votes, honest verdicts with their share of the
    votes on the pair.
    """

    def __init__(self, counts: PairCounts) -> None:
        self.counts = counts
        self.fit = fit_bradley_terry(counts)
        self._pair_cdf = np.cumsum(counts.totals) / counts.num_votes
        self._outcome_cdf = np.cumsum(counts.outcomes / counts.totals[:, None], axis=1)

    def honest_table(
        self, num_voters: int, votes_each: int, seed: int, habits: Habits | None = None
    ) -> VoteTable:
        """Votes of honest accounts ``h0``, ``h1``, …, all of them with the same habits, if any."""
        rng = generator(seed, "honest accounts")
        pair = self._draw_pairs(rng, num_voters * votes_each)
        outcome = self._draw_honest(rng, pair)
        table = self._table(rng, pair, outcome, num_voters, votes_each, "h")
        if habits is None:
            return table
        swapped = (table.a != self.counts.first[pair])[:, None]
        chance = self.counts.outcomes[pair] / self.counts.totals[pair, None]
        shown = ShownBattles(
            a=table.a,
            b=table.b,
            chance=np.where(swapped, chance[:, [1, 0, 2, 3]], chance),
            voter=table.codes["voter"],
            progress=np.tile(np.linspace(0.0, 1.0, votes_each), num_voters),
            strength=self.fit.strength,
            battles=self.fit.battles,
        )
        return replace(table, outcome=habitual_outcomes(habits, shown, rng).astype(np.int8))

    def attack_table(self, attack: Attack, seed: int) -> VoteTable:
        """Votes of the attack's accounts ``r0``, ``r1``, …

        Raises:
            InputError: the target is not rated.
        """
        rng = generator(seed, "riggers", attack.kind)
        pair = self._draw_pairs(rng, attack.num_accounts * attack.votes_per_account)
        outcome = self._draw_honest(rng, pair)
        is_rigged = rng.random(len(pair)) >= attack.honest_share
        rigged, can_rig = self._rigged_outcomes(attack, pair, rng)
        outcome = np.where(is_rigged & can_rig, rigged, outcome)
        return self._table(rng, pair, outcome, attack.num_accounts, attack.votes_per_account, "r")

    def _rigged_outcomes(
        self, attack: Attack, pair: IntArray, rng: np.random.Generator
    ) -> tuple[IntArray, npt.NDArray[np.bool_]]:
        """Outcome that the attack votes for on each pair, and on which pairs it can."""
        if attack.kind == "random":
            return rng.integers(0, 3, len(pair)), np.ones(len(pair), bool)
        target = self.fit.position(attack.target)
        first, second = self.counts.first[pair], self.counts.second[pair]
        if attack.kind == "target-only":
            recognized = (first == target) | (second == target)
            recognized &= rng.random(len(pair)) < attack.recognized
            return np.where(first == target, 0, 1), recognized
        potential = lead_contrast(self.fit, attack.target, attack.rivals) @ self.fit.bread
        return np.where(potential[first] > potential[second], 0, 1), np.ones(len(pair), bool)

    def _draw_pairs(self, rng: np.random.Generator, num: int) -> IntArray:
        pairs = np.searchsorted(self._pair_cdf, rng.random(num))
        return np.minimum(pairs, len(self._pair_cdf) - 1)

    def _draw_honest(self, rng: np.random.Generator, pair: IntArray) -> IntArray:
        return (rng.random(len(pair))[:, None] > self._outcome_cdf[pair][:, :3]).sum(1)

    def _table(
        self,
        rng: np.random.Generator,
        pair: IntArray,
        outcome: IntArray,
        num_voters: int,
        votes_each: int,
        letter: str,
    ) -> VoteTable:
        """The votes as rows, with sides shown in random order."""
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


def concatenate_voters(first: VoteTable, second: VoteTable) -> VoteTable:
    """The votes of two tables of the same models, as votes of different voters."""
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
class RiggedBoard:
    """A board under attack, as its operator sees it, and who the riggers are.

    Attributes:
        votes: ballots of the simulated accounts.
        fit: Bradley–Terry ratings of all votes, including those of the riggers.
        is_rigger: (V,) which voters are riggers; unknown to the operator.
        table: votes of the simulated accounts.
        base: the real counts.
    """

    votes: Ballots
    fit: Ratings
    is_rigger: npt.NDArray[np.bool_]
    table: VoteTable
    base: PairCounts


def rig_board(
    arena: SimulatedArena,
    attack: Attack,
    num_honest: int,
    seed: int,
    habits: Habits | None = None,
) -> RiggedBoard:
    """The board after honest accounts and riggers have voted on top of the real counts.

    Everything that a test sees (ratings, directions, honest probabilities) is computed from all
    votes, including those of the riggers, since the operator does not know who they are.
    """
    honest = arena.honest_table(num_honest, attack.votes_per_account, seed, habits)
    table = concatenate_voters(honest, arena.attack_table(attack, seed))
    counts = arena.counts.merged(table.counts())
    fit = fit_bradley_terry(counts, start=arena.fit.strength, check=False)
    votes = ballots(table, honest_votes(counts, fit_davidson(counts)))
    is_rigger = np.array([name.startswith("r") for name in votes.voters])
    return RiggedBoard(votes, fit, is_rigger, table, arena.counts)


def simulate_attack(
    arena: SimulatedArena,
    attack: Attack,
    test: Callable[[RiggedBoard], VoterTest],
    num_honest: int = 1000,
    level: float = 0.01,
    seed: int = 0,
) -> AttackResult:
    """Simulate an attack: detection, false flags, and the target's rating after cleaning.

    Args:
        arena: draws the votes.
        attack: what the riggers do.
        test: tests every voter of the board.
        num_honest: honest accounts besides the riggers, with as many votes each.
        level: of the test.
        seed: of all votes.
    """
    board = rig_board(arena, attack, num_honest, seed)
    flagged = test(board).flagged(level)
    code = {name: i for i, name in enumerate(board.table.labels["voter"])}
    voter_codes = np.array([code[name] for name in board.votes.voters])

    def refit_without(voters: npt.NDArray[np.bool_]) -> Ratings:
        dropped = np.isin(board.table.codes["voter"], voter_codes[voters])
        counts = board.base.merged(board.table.counts(~dropped))
        return fit_bradley_terry(counts, start=arena.fit.strength, check=False)

    honest, cleaned = refit_without(board.is_rigger), refit_without(flagged)
    lower, upper = honest.bounds
    target = board.fit.position(attack.target)
    return AttackResult(
        found=float(flagged[board.is_rigger].mean()) if board.is_rigger.any() else 0.0,
        false_flags=float(flagged[~board.is_rigger].mean()) if num_honest else 0.0,
        honest_rating=float(honest.elo[target]),
        honest_lower=float(lower[target]),
        honest_upper=float(upper[target]),
        rigged_rating=float(board.fit.elo[target]),
        cleaned_rating=float(cleaned.elo[target]),
        honest_rank=honest.order.index(target) + 1,
        rigged_rank=board.fit.order.index(target) + 1,
        cleaned_rank=cleaned.order.index(target) + 1,
    )


def simulate_attacks(
    counts: PairCounts,
    attack: Attack,
    *,
    target_known: bool = True,
    num_honest: int = 1000,
    level: float = 0.01,
    num_worlds: int = 5,
    seed: int = 0,
) -> tuple[AttackResult, ...]:
    """Simulate an attack several times against the directed test.

    Args:
        counts: real votes whose strengths are all finite.
        attack: what the riggers do.
        target_known: whether the test knows the target.
        num_honest: honest accounts besides the riggers, with as many votes each.
        level: of the test.
        num_worlds: number of simulations.
        seed: of the first simulation; the others count up.

    Raises:
        InputError: the target is not rated.
    """
    arena = SimulatedArena(counts)
    arena.fit.position(attack.target)
    target = attack.target if target_known else None

    def test(board: RiggedBoard) -> VoterTest:
        return directed_test(board.votes, board.fit, target, num_draws=_NUM_DRAWS)

    return tuple(
        simulate_attack(arena, attack, test, num_honest, level, seed + world)
        for world in range(num_worlds)
    )


def rank_gain(arena: SimulatedArena, attack: Attack, seed: int = 0) -> tuple[int, int, float]:
    """Rank of the target before and after an attack, and its gain in Elo points."""
    counts = arena.counts.merged(arena.attack_table(attack, seed).counts())
    fit = fit_bradley_terry(counts, start=arena.fit.strength, check=False)
    target = fit.position(attack.target)
    gain = (fit.strength - arena.fit.strength) * ELO_PER_NAT
    before = arena.fit.order.index(target) + 1
    return before, fit.order.index(target) + 1, float(gain[target])
