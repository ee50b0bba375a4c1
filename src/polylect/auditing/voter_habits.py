"""Habits of honest voters, estimated from their decisive votes: what a lean is compared with.

Nobody votes exactly like everybody else. Some never press "tie", some take the left answer when
they are tired, some follow the board. None of this is rigging. The null model of the directed tests
is therefore a mixture that each voter's votes weigh: votes like everybody's, votes for a side, and
votes for the higher or lower rated, the better or less known of the two. Random clicks are votes
for either side.

Nor need anybody share the order of the models: who judges by length, by language or by the reverse
of everybody's opinion follows a ranking of his own. Of few models any ranking is near to one that
helps somebody, so that on a small board such voters cannot be told from riggers, and none is named.

Does not: say which single vote was cast out of habit.
"""

import numpy as np

from polylect.auditing.honest_voter_model import Ballots
from polylect.ranking import FloatArray, IntArray, Ratings

HABITS = (
    "like everybody", "side A", "side B", "the higher rated", "the lower rated",
    "the better known", "the less known",
)  # fmt: skip
TASTE_SD = 0.5
"""Standard deviation of an honest voter's liking for a model, in log-odds: 87 Elo points.

It stands for all that a group of voters sees otherwise, such as the models' skill in a language."""
_PRIOR_VOTES = 0.5
_NUM_ROUNDS = 12


def habit_chances(votes: Ballots, ratings: Ratings) -> FloatArray:
    """(N, 7) probability that side A wins each decisive vote, under each of ``HABITS``.

    A tie says nothing about a direction, and how often a voter presses it is a habit. So only
    decisive votes count, and everybody's probabilities are those among decisive votes.

    Args:
        votes: decisive votes only (``decisive_votes``).
        ratings: of the same board: who is rated higher, who is better known (more battles).
    """
    assert not (votes.kind == 1).any(), "ties are no decisions"
    rated = np.sign(ratings.strength[votes.a] - ratings.strength[votes.b])
    known = np.sign(ratings.battles[votes.a] - ratings.battles[votes.b])
    everybody = votes.chance[:, 0] / (votes.chance[:, 0] + votes.chance[:, 2])
    side_a, side_b = np.ones(len(rated)), np.zeros(len(rated))
    follows = [(1 + sign * order) / 2 for order in (rated, known) for sign in (1, -1)]
    return np.column_stack([everybody, side_a, side_b, *follows])


def habit_weights(won: FloatArray, chance: FloatArray) -> FloatArray:
    """(S, C) share of a voter's votes that each habit explains, for S sets of the same n votes.

    Twelve rounds of expectation maximization (Dempster et al. 1977) from equal weights. Half a vote
    like everybody's is added, so that no vote becomes impossible.

    Args:
        won: (S, n) 1 where side A won, else 0.
        chance: (n, C) probability that A wins under each habit.
    """
    num_votes, num_habits = chance.shape
    side, over = 2.0 * won - 1.0, chance - 0.5
    weight = np.full((len(won), num_habits), 1.0 / num_habits)
    for _ in range(_NUM_ROUNDS):
        # Under a habit the vote has the chance 0.5 + side · over, and weights sum to 1.
        ratio = weight @ over.T  # (S, n)
        ratio *= side
        ratio += 0.5
        np.reciprocal(ratio, out=ratio)
        half = 0.5 * ratio.sum(1, keepdims=True)
        ratio *= side
        weight *= np.maximum(half + ratio @ over, 0.0)  # rounding may go below
        weight[:, 0] += _PRIOR_VOTES
        weight /= num_votes + _PRIOR_VOTES
    return weight


def draw_decisions(
    weight: FloatArray,
    chance: FloatArray,
    a: IntArray,
    b: IntArray,
    num_draws: int,
    rng: np.random.Generator,
) -> FloatArray:
    """(S, n) 1 where side A wins, in draws of honest voters with these habits.

    Each draw is another honest person, with likings for the models (``TASTE_SD``).

    Args:
        weight: (C,) of the habits.
        chance: (n, C) probability that A wins under each habit.
        a: (n,) model on side A.
        b: (n,) model on side B.
        num_draws: S.
        rng: of the draws.
    """
    models, place = np.unique(np.concatenate([a, b]), return_inverse=True)
    liking = rng.normal(0.0, TASTE_SD, (num_draws, len(models)))
    lead = liking[:, place[: len(a)]] - liking[:, place[len(a) :]]
    everybody = chance[:, 0] / (chance[:, 0] + (1.0 - chance[:, 0]) * np.exp(-lead))
    win = weight[0] * everybody + chance[:, 1:] @ weight[1:]
    return (rng.random(win.shape) < win).astype(np.float64)


def draw_own_rankings(
    traits: FloatArray, a: IntArray, b: IntArray, num_draws: int, rng: np.random.Generator
) -> FloatArray:
    """(S, n) 1 where side A wins, in draws of voters who always follow a ranking of their own.

    A ranking goes by the models' traits, with weights from a Cauchy distribution, and by chance:
    anything from everybody's order to its reverse.

    Args:
        traits: (M, T) standardized.
        a: (n,) model on side A.
        b: (n,) model on side B.
        num_draws: S.
        rng: of the draws.
    """
    models, place = np.unique(np.concatenate([a, b]), return_inverse=True)
    score = rng.standard_cauchy((num_draws, traits.shape[1])) @ traits[models].T
    score += rng.standard_normal(score.shape)
    return (score[:, place[: len(a)]] > score[:, place[len(a) :]]).astype(np.float64)


def model_traits(ratings: Ratings) -> FloatArray:
    """(M, 2) strength and logarithm of the battles of each model, standardized."""
    columns = np.column_stack([ratings.strength, np.log1p(ratings.battles)])
    centered = columns - columns.mean(0)
    return centered / np.maximum(centered.std(0), 1e-12)
