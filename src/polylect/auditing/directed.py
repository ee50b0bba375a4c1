"""Directed tests: do a voter's votes go in the direction that helps some model?

A vote on any pair moves every rating a little, through the models that the two have met. An
omnipresent rigger votes in every battle for the side that helps the target. Each vote is
unremarkable, but their common direction is not.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from polylect.auditing.honest_voter_model import Ballots, decisive_votes
from polylect.auditing.voter_habits import (
    draw_decisions,
    draw_own_rankings,
    habit_chances,
    habit_weights,
    model_traits,
)
from polylect.auditing.voter_tests import VoterTest, sequential_p_value
from polylect.base import generator
from polylect.ranking import FloatArray, IntArray, Ratings

_NUM_DRAWS = 20000
_STEERED_SHARES = (0.5, 0.95)
_NEAR = 5
_TELLING = 0.1
"""A p-value above this is left as it is: a second reason why a voter is honest tells no more."""
STATISTICS = ("influence", "sign", "steered")


def target_directions(ratings: Ratings, targets: Sequence[str]) -> tuple[FloatArray, list[str]]:
    """(K, M) potentials whose differences show whom a vote on a pair helps, and the K targets.

    Each target has a potential for its rating and one for its lead over the model one rank above
    it: the two aims of Min et al. 2025 (arXiv 2501.17858). A single target also has one for its
    lead over each model within five ranks, and over the mean of several above it, since the attack
    may have moved it past the model that it aimed at. The potential is v = H⁺ c: a vote for i
    against j moves c' s by (y − p) (v_i − v_j).
    """
    rows, names = [], []
    for name in targets:
        contrasts = [lead_contrast(ratings, name, num) for num in (0, 1)]
        if len(targets) == 1:
            place = ratings.order.index(ratings.position(name))
            rivals = ratings.order[max(0, place - _NEAR) : place + _NEAR + 1]
            identity = np.eye(len(ratings.models))
            contrasts += [identity[ratings.order[place]] - identity[rival] for rival in rivals]
            contrasts += [lead_contrast(ratings, name, num) for num in (3, _NEAR, 2 * _NEAR)]
        # Left out: leads of the best model over those above it, and of a model over itself.
        for number, contrast in enumerate(contrasts):
            if number == 0 or (contrast.any() and abs(contrast.sum()) < 0.5):
                rows.append(contrast)
                names.append(name)
    return np.array(rows) @ ratings.bread, names


def lead_contrast(ratings: Ratings, target: str, num_rivals: int = 0) -> FloatArray:
    """(M,) weights of the target's strength minus the mean of the ``num_rivals`` just above it.

    Raises:
        InputError: the target is not rated.
    """
    place = ratings.order.index(ratings.position(target))
    contrast = np.zeros(len(ratings.models))
    contrast[ratings.order[place]] = 1.0
    rivals = list(ratings.order[max(0, place - num_rivals) : place])
    contrast[rivals] -= 1.0 / max(len(rivals), 1)
    return contrast


def directed_test(
    votes: Ballots,
    ratings: Ratings,
    target: str | None = None,
    statistic: str = "steered",
    seed: int = 0,
    num_draws: int = _NUM_DRAWS,
) -> VoterTest:
    """Test whether each voter's decisive votes lean towards a model more than habits explain.

    The statistic speaks of the direction d of each vote's influence on the target; the largest over
    all directions counts. Its p-value is the share of honest voters on the very same pairs that
    reach it: drawn with the habits that the voter's votes show, and with likings for models
    (``voter_habits``); the habits are estimated anew from every draw. This corrects exactly for
    the number of directions, which overlap so much that Bonferroni would be far too strict. A small
    one is the larger of two: the other is the share of voters that reach it who always follow a
    ranking of their own (``draw_own_rankings``).

    ``influence``: Σ (y − E y) d, the score statistic of a change of the target's strength,
    standardized. ``sign``: the same with sign d. ``steered``: the log of the mean likelihood ratio
    of voters who vote in the direction of d half of the time, or 19 times of 20, and honestly
    otherwise; best against riggers, also those who mix.

    Does not: tell a rigger from a person who likes models more than ``TASTE_SD`` says, or whose
    habit is none of ``HABITS``. A voter without a decisive vote has p = 1.

    Args:
        votes: with honest probabilities.
        ratings: of the same board; they define the directions.
        target: a model; None tests every model and reports the one that fits best.
        statistic: one of ``STATISTICS``.
        seed: of the draws.
        num_draws: largest number of honest voters drawn per voter. Drawing stops early when ten
            have reached the statistic (Besag and Clifford 1991); small p-values stay precise.

    Raises:
        InputError: the target is not rated.
    """
    assert statistic in STATISTICS, statistic
    names = ratings.models if target is None else (target,)
    potential, targets = target_directions(ratings, names)
    rng = generator(seed, "directed test", statistic)
    decisive = decisive_votes(votes)
    chance, traits = habit_chances(decisive, ratings), model_traits(ratings)
    num_voters = len(votes.voters)
    largest, p_values, suspects = np.zeros(num_voters), np.ones(num_voters), [""] * num_voters
    for voter, rows in enumerate(decisive):
        if rows.start == rows.stop:
            continue
        shown = _ShownPairs(decisive.a[rows], decisive.b[rows], chance[rows], traits)
        won = (decisive.kind[rows] == 0).astype(np.float64)
        influence = (potential[:, shown.a] - potential[:, shown.b]).T
        largest[voter], p_values[voter], best = _tested(
            won, shown, influence, statistic, num_draws, rng
        )
        suspects[voter] = targets[best]
    known = "known" if target is not None else "unknown"
    return VoterTest(
        f"directed ({statistic}), target {known}",
        votes.voters,
        decisive.num_votes,
        largest,
        p_values,
        tuple(suspects),
    )


class _ShownPairs(NamedTuple):
    """The pairs of a voter's n decisive votes.

    Attributes:
        a, b: (n,) models on each side.
        chance: (n, C) probability that A wins under each habit.
        traits: (M, T) of the models that rankings of one's own may go by.
    """

    a: IntArray
    b: IntArray
    chance: FloatArray
    traits: FloatArray


def _tested(
    won: FloatArray,
    shown: _ShownPairs,
    influence: FloatArray,
    statistic: str,
    num_draws: int,
    rng: np.random.Generator,
) -> tuple[float, float, int]:
    """A voter's largest statistic, its p-value, and the direction in which it is reached."""
    scores = lean_statistics(won[None], shown.chance, influence, statistic)[0]
    weight = habit_weights(won[None], shown.chance)[0]
    # Rounding must not decide whether a draw of the very same votes reaches the statistic.
    limit = scores.max() - 1e-9

    def count(drawn: FloatArray) -> int:
        lean = lean_statistics(drawn, shown.chance, influence, statistic)
        return int((lean >= limit).any(1).sum())

    def habitual(num: int) -> int:
        return count(draw_decisions(weight, shown.chance, shown.a, shown.b, num, rng))

    def opinionated(num: int) -> int:
        return count(draw_own_rankings(shown.traits, shown.a, shown.b, num, rng))

    num_cells = sum(influence.shape)
    p_value = sequential_p_value(habitual, num_cells, num_draws)
    if p_value <= _TELLING:
        p_value = max(p_value, sequential_p_value(opinionated, num_cells, num_draws))
    return float(scores.max()), p_value, int(np.argmax(scores))


def lean_statistics(
    won: FloatArray, chance: FloatArray, influence: FloatArray, statistic: str
) -> FloatArray:
    """(S, K) the statistic of S sets of votes on the same n pairs, in each of K directions.

    The habits are estimated from each set.

    Args:
        won: (S, n) 1 where side A won, else 0.
        chance: (n, C) probability that A wins under each habit.
        influence: (n, K) of a win of A, in each direction.
        statistic: one of ``STATISTICS``.
    """
    win = habit_weights(won, chance) @ chance.T  # (S, n)
    if statistic != "steered":
        weight = influence if statistic == "influence" else np.sign(influence)
        variance = (win * (1.0 - win)) @ weight**2
        return ((won - win) @ weight) / np.sqrt(np.maximum(variance, 1e-300))
    direction = np.sign(influence)
    # A vote without influence on a target is no evidence about it; nearly every vote has some.
    is_telling = np.abs(direction)
    all_telling = bool(is_telling.all())
    side = 2.0 * won - 1.0
    odds_against = 1.0 / (0.5 + side * (win - 0.5)) - 1.0  # of what was voted
    ratios = []
    for share in _STEERED_SHARES:
        # A vote adds log(1 − share), and a gain if it helps: if A won and d > 0, or B and d < 0.
        against = np.log1p(-share)
        gain = (np.log1p(share * odds_against) - against) / 2.0
        level = gain + against
        both = level.sum(1, keepdims=True) if all_telling else level @ is_telling
        ratios.append(both + (side * gain) @ direction)
    return np.logaddexp(*ratios) - np.log(2.0)
