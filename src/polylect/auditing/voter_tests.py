"""Published per-voter tests: the arena's p-values and FastChat's martingale."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polylect.auditing.honest_voter_model import Ballots
from polylect.base import generator
from polylect.ranking import FloatArray, IntArray

NAMING_RATE = 0.01
"""False discovery rate at which voters are named.

The tails of the p-values of voters who click at random are up to five times too heavy; at 1 % at
most one in ten of the named is honest all the same (benchmarks/voter_habits.py)."""
_NUM_LOOKS = 5
_MAX_VOTES = 100
_MIN_VOTES = 5
_STAGES = (50, 200, 2000)
_ENOUGH = 10
_BLOCK_DRAWS = 2000
_BLOCK_CELLS = 4_000_000


@dataclass(frozen=True, eq=False, slots=True)
class VoterTest:
    """A test of every voter.

    Attributes:
        name: of the test.
        voters: (V,) names.
        num_votes: (V,) votes that were tested.
        statistic: (V,) as the test defines it; larger is more suspicious.
        p_value: (V,) at most ``level`` for at most this share of honest voters.
        suspect: (V,) the model that the votes favor most; empty if the test names none.
    """

    name: str
    voters: tuple[str, ...]
    num_votes: IntArray
    statistic: FloatArray
    p_value: FloatArray
    suspect: tuple[str, ...]

    def flagged(self, level: float = 0.01) -> npt.NDArray[np.bool_]:
        """(V,) voters with a p-value of at most ``level``, the expected share of false flags."""
        return self.p_value <= level

    def discovered(self, rate: float = NAMING_RATE) -> npt.NDArray[np.bool_]:
        """(V,) voters flagged at a false discovery rate of at most ``rate``.

        Source: Benjamini and Hochberg 1995.
        """
        order = np.argsort(self.p_value, kind="stable")
        limits = rate * np.arange(1, len(order) + 1) / max(len(order), 1)
        passed = np.flatnonzero(self.p_value[order] <= limits)
        flagged = np.zeros(len(order), bool)
        if len(passed):
            flagged[order[: passed[-1] + 1]] = True
        return flagged


def arena_test(votes: Ballots, seed: int = 0) -> VoterTest:
    """The arena's own test (Chiang et al. 2024, "Chatbot Arena", section 5.3).

    p_i is the share of the pair's votes, with this one added to those of others, that are at least
    as good for side A. −2 Σ log p_i is compared with χ² at five random lengths from 1 to 100, each
    at a fifth of the level. Lengths beyond the voter's last vote stay unused.

    Does not: test both directions, or what the votes have in common.
    """
    from scipy.special import chdtrc

    rng = generator(seed, "arena test")
    better = np.cumsum(votes.history, axis=1)[np.arange(len(votes.kind)), votes.kind]
    share = (1.0 + better) / (1.0 + votes.history.sum(1))
    fisher = -2.0 * np.log(share)
    statistic, p_value = np.zeros(len(votes.voters)), np.ones(len(votes.voters))
    for i, rows in enumerate(votes):
        total = np.cumsum(fisher[rows])
        looks = rng.choice(_MAX_VOTES, _NUM_LOOKS, replace=False) + 1
        looks = looks[looks <= len(total)]
        if not len(looks):
            continue
        tails = chdtrc(2.0 * looks, total[looks - 1])
        p_value[i] = min(1.0, _NUM_LOOKS * float(tails.min()))
        statistic[i] = float(total[looks[np.argmin(tails)] - 1])
    return no_suspect_result("arena p-values", votes, statistic, p_value)


def martingale_test(votes: Ballots, *, ties: str = "skip") -> VoterTest:
    """FastChat's sequential test: the largest Π 1/(2 p) over both directions and 5 to 100 votes.

    p is the share of the pair's decisive votes that are at most (at least) as good. For a decisive
    vote the factor has mean at most one, so that the product passes 1/α with probability at most α
    (Ville); two directions cost a factor of two. The published form (``elo_analysis.py``,
    ``outlier_detect``) also multiplies for ties, with mean (1 − t) (w + 1)/2 + t/(2 l). On lopsided
    pairs this is above one, and the guarantee is lost.

    Args:
        votes: of each voter, in order.
        ties: ``skip``, or ``published``.
    """
    assert ties in {"skip", "published"}, ties
    wins, losses = votes.history[:, 0], votes.history[:, 2]
    # The vote itself counts among those of the pair, as in the published form.
    wins, losses = wins + (votes.kind == 0), losses + (votes.kind == 2)
    decisive = np.maximum(wins + losses, 1.0)
    win, lose = np.maximum(wins, 0.5) / decisive, np.maximum(losses, 0.5) / decisive
    up = np.select([votes.kind == 0, votes.kind == 1], [1.0, lose], lose)
    down = np.select([votes.kind == 2, votes.kind == 1], [1.0, win], win)
    flip = votes.a > votes.b
    # Directions follow the order of names in the pair, so that they mean the same in every vote.
    up, down = np.where(flip, down, up), np.where(flip, up, down)
    statistic = np.ones(len(votes.voters))
    for i, rows in enumerate(votes):
        chosen = np.arange(rows.start, rows.stop)
        if ties == "skip":
            chosen = chosen[votes.kind[chosen] != 1]
        if len(chosen) < _MIN_VOTES:
            continue
        chosen = chosen[:_MAX_VOTES]
        paths = [np.cumsum(-np.log(2.0 * side[chosen])) for side in (up, down)]
        statistic[i] = float(np.exp(min(max(path.max() for path in paths), 700.0)))
    p_value = np.minimum(1.0, 2.0 / np.maximum(statistic, 1.0))
    return no_suspect_result(f"martingale, ties {ties}", votes, statistic, p_value)


def surprise_test(votes: Ballots, seed: int = 0, num_draws: int = 20000) -> VoterTest:
    """Test −2 Σ log of the honest probability of each vote against honest voters on the same pairs.

    The detector of Min et al. 2025 (arXiv 2501.17858). It detects random clicks, but not a rigger
    whose votes are plausible one by one.

    Does not: allow for habits. It takes a voter who never ties, or who likes a side, for a rigger;
    ``audit`` does not use it.
    """
    rng = generator(seed, "surprise test")
    statistic, p_value = np.zeros(len(votes.voters)), np.ones(len(votes.voters))
    for i, rows in enumerate(votes):
        cost = -2.0 * np.log(votes.chance[rows])  # (n, 3)
        statistic[i] = float(cost[np.arange(len(cost)), votes.kind[rows]].sum())
        p_value[i] = _surprise_p_value(statistic[i], votes.chance[rows], num_draws, rng)
    return no_suspect_result("surprise", votes, statistic, p_value)


def _surprise_p_value(
    statistic: float, chance: FloatArray, num_draws: int, rng: np.random.Generator
) -> float:
    """Share of honest voters on the same pairs that are at least as surprising."""
    cost, edges = -2.0 * np.log(chance), np.cumsum(chance, axis=1)
    place = np.arange(len(cost))

    def reached(num: int) -> int:
        uniform = rng.random((num, len(cost)))
        kind = (uniform >= edges[:, 0]).astype(int) + (uniform >= edges[:, 1])
        # Rounding must not decide whether a draw of the very same votes reaches the statistic.
        return int((cost[place, kind].sum(1) >= statistic - 1e-9).sum())

    return sequential_p_value(reached, len(cost), num_draws)


def sequential_p_value(reached: Callable[[int], int], num_cells: int, num_draws: int) -> float:
    """Share of draws that reach a statistic, with the observed one among them.

    Drawing stops early when ten have reached it (Besag and Clifford 1991), after 50, 200 or 2,000.

    Args:
        reached: how many of a number of fresh draws reach it.
        num_cells: of one draw; bounds the draws that are held at once.
        num_draws: most draws.
    """
    num_reached, num_drawn = 0, 0
    most = max(1, min(_BLOCK_DRAWS, _BLOCK_CELLS // num_cells))
    for stage in (*_STAGES, num_draws):
        end = min(stage, num_draws)
        while num_drawn < end:
            block = min(most, end - num_drawn)
            num_reached += reached(block)
            num_drawn += block
        if num_reached >= _ENOUGH:
            break
    return (1.0 + num_reached) / (1.0 + num_drawn)


def no_suspect_result(
    name: str, votes: Ballots, statistic: FloatArray, p_value: FloatArray
) -> VoterTest:
    """The result of a test that names no suspect."""
    suspects = ("",) * len(votes.voters)
    return VoterTest(name, votes.voters, votes.num_votes, statistic, p_value, suspects)
