"""Directed tests: do a voter's votes go in the direction that helps some model?

A vote on any pair moves every rating a little, through the models that the two have met. An
omnipresent rigger votes in every battle for the side that helps the target. Each vote is
unremarkable, but their common direction is not.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from polylect.auditing.honest_voter_model import KIND_SCORE, Ballots
from polylect.auditing.voter_tests import VoterTest, no_suspect_result
from polylect.base import generator
from polylect.ranking import FloatArray, IntArray, Ratings

_STAGES = (200, 2000)
_NUM_DRAWS = 20000
_ENOUGH = 10
_BLOCK_DRAWS = 2000
_STEERED_SHARE = 0.5
_NEAR = 5
STATISTICS = ("influence", "sign", "steered")


class _VoteScores(NamedTuple):
    """Scores of a voter's n votes in K directions.

    Attributes:
        chance: (n, 3) honest probability of each kind of vote.
        value: (n, 3, K) what each kind of vote adds to the statistic.
    """

    chance: FloatArray
    value: FloatArray


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
    """Test whether each voter's votes lean in the direction that helps the target, or any model.

    The statistic is the sum over the votes of a score in the direction d of each vote's influence
    on the target, standardized; the largest over all directions counts. Its p-value is the share of
    honest voters on the very same pairs, drawn with the honest probabilities, that reach it. This
    corrects exactly for the number of directions, which overlap so much that Bonferroni would be
    far too strict.

    ``influence``: (y − E y) d, the score statistic of a change of the target's strength.
    ``sign``: (y − E y) sign d. ``steered``: the log-likelihood ratio of a voter who votes in the
    direction of d half of the time, and honestly otherwise; best against riggers who mix.

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
    largest, p_values, suspects = [], [], []
    for rows in votes:
        influence = (potential[:, votes.a[rows]] - potential[:, votes.b[rows]]).T
        scores = _vote_scores(votes.chance[rows], influence, statistic)
        value, p_value, direction = _calibrated(scores, votes.kind[rows], rng, num_draws)
        largest.append(value)
        p_values.append(p_value)
        suspects.append(targets[direction])
    known = "known" if target is not None else "unknown"
    return VoterTest(
        f"directed ({statistic}), target {known}",
        votes.voters,
        votes.num_votes,
        np.array(largest),
        np.array(p_values),
        tuple(suspects),
    )


def surprise_test(votes: Ballots, seed: int = 0, num_draws: int = _NUM_DRAWS) -> VoterTest:
    """Test −2 Σ log of the honest probability of each vote against honest voters on the same pairs.

    The detector of Min et al. 2025 (arXiv 2501.17858). It detects random clicks, but not a rigger
    whose votes are plausible one by one.
    """
    rng = generator(seed, "surprise test")
    statistics, p_values = [], []
    for rows in votes:
        chance = votes.chance[rows]
        scores = _VoteScores(chance, -2.0 * np.log(chance)[:, :, None])
        statistic, p_value, _ = _calibrated(scores, votes.kind[rows], rng, num_draws)
        statistics.append(statistic)
        p_values.append(p_value)
    return no_suspect_result("surprise", votes, np.array(statistics), np.array(p_values))


def _vote_scores(chance: FloatArray, influence: FloatArray, statistic: str) -> _VoteScores:
    """Score of each kind of vote, for the influence (n, K) of a win of side A."""
    if statistic == "steered":
        helps = np.sign(influence)[:, None, :] * np.array([1.0, 0.0, -1.0])[None, :, None] > 0
        ratio = np.where(helps, 1.0 / chance[:, :, None], 0.0)
        # Without influence the vote is no evidence about this target.
        ratio = np.where((influence == 0.0)[:, None, :], 1.0, ratio)
        return _VoteScores(chance, np.log1p(_STEERED_SHARE * (ratio - 1.0)))
    residual = KIND_SCORE[None, :] - (chance @ KIND_SCORE)[:, None]
    weight = influence if statistic == "influence" else np.sign(influence)
    return _VoteScores(chance, residual[:, :, None] * weight[:, None, :])


def _calibrated(
    scores: _VoteScores, kind: IntArray, rng: np.random.Generator, num_draws: int
) -> tuple[float, float, int]:
    """Largest standardized statistic, its p-value, and the direction in which it is reached."""
    num, _, num_directions = scores.value.shape
    mean = np.einsum("no,nok->nk", scores.chance, scores.value)
    square = np.einsum("no,nok->nk", scores.chance, scores.value**2)
    spread = np.sqrt(np.maximum((square - mean**2).sum(0), 1e-300))
    value = ((scores.value - mean[:, None, :]) / spread).reshape(3 * num, num_directions)
    statistics = value[3 * np.arange(num) + kind].sum(0)
    best = int(np.argmax(statistics))
    edges = np.cumsum(scores.chance, axis=1)
    # A draw starts with ties only; its uniform numbers turn some of them into wins and losses.
    all_tied = value[1::3].sum(0)
    change = np.concatenate([value[0::3] - value[1::3], value[2::3] - value[1::3]])
    # Rounding must not decide whether a draw of the very same votes reaches the statistic.
    limit = statistics[best] - all_tied - 1e-9  # (K,)
    num_reached, num_drawn = 0, 0
    for stage in (*_STAGES, num_draws):
        end = min(stage, num_draws)
        while num_drawn < end:
            block = min(_BLOCK_DRAWS, end - num_drawn)
            uniform = rng.random((block, num))
            changed = np.hstack([uniform < edges[:, 0], uniform >= edges[:, 1]])
            reached = (changed.astype(np.float64) @ change >= limit).any(1)
            num_reached += int(reached.sum())
            num_drawn += block
        if num_reached >= _ENOUGH:
            break
    p_value = (1.0 + num_reached) / (1.0 + num_drawn)
    return float(statistics[best]), p_value, best
