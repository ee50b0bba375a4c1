"""Tests of every voter against the direction in which votes would help some model.

A vote on any pair moves every rating a little, through the models that the two have met. An
omnipresent rigger votes in every battle for the side that helps the target; each vote is
unremarkable, their common direction is not.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from polylect.auditing.honest_voter_model import SCORE, Ballots
from polylect.auditing.voters import VoterTest
from polylect.base import generator
from polylect.ranking import FloatArray, Ratings

_STAGES = (200, 2000)
_NUM_DRAWS = 20000
_ENOUGH = 10
_BLOCK_DRAWS = 2000
_STEERED_SHARE = 0.5
_NEAR = 5
STATISTICS = ("influence", "sign", "steered")


class _Local(NamedTuple):
    """One voter's votes: chances (n, 3), what each kind of vote adds (n, 3, K)."""

    chance: FloatArray
    value: FloatArray


def target_directions(ratings: Ratings, targets: Sequence[str]) -> tuple[FloatArray, list[str]]:
    """(K, M) potentials whose differences say whom a vote on a pair helps, and the K targets.

    For each target: for its rating, and for its lead over the model one rank above it, the two
    aims of Min et al. 2025 (arXiv 2501.17858). For a single target also its lead over each model
    within five ranks, and over the mean of several above it: the attack may have moved it past the
    model that it aimed at. The potential is H⁺ c: a vote for i against j moves c' s by
    (y − p) (v_i − v_j).
    """
    rows, names = [], []
    for name in targets:
        contrasts = [lead_contrast(ratings, name, num) for num in (0, 1)]
        if len(targets) == 1:
            place = ratings.order.index(ratings.position(name))
            near = ratings.order[max(0, place - _NEAR) : place + _NEAR + 1]
            contrasts += [_unit(ratings, name, rival) for rival in near]
            contrasts += [lead_contrast(ratings, name, num) for num in (3, _NEAR, 2 * _NEAR)]
        # The best model has nobody above it, and nobody leads over itself: those are left out.
        for number, contrast in enumerate(contrasts):
            if number == 0 or (contrast.any() and abs(contrast.sum()) < 0.5):
                rows.append(contrast)
                names.append(name)
    return np.array(rows) @ ratings.bread, names


def _unit(ratings: Ratings, target: str, rival: int) -> FloatArray:
    contrast = np.zeros(len(ratings.models))
    contrast[ratings.position(target)] += 1.0
    contrast[rival] -= 1.0
    return contrast


def lead_contrast(ratings: Ratings, target: str, num_rivals: int = 0) -> FloatArray:
    """(M,) weights of the target's strength, less the mean of the models just above it.

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
    """Whether a voter's votes lean in the direction that helps the target, or any model.

    Σ over the votes of a score in the direction d of each vote's pull on the target, standardized,
    the largest over the directions; its p-value is the share of honest voters on the very same
    pairs, drawn with the honest chances, that reach it. That corrects exactly for the number of
    directions, which mostly repeat each other, where Bonferroni would charge for each.

    ``influence``: (y − E y) d, the score statistic of a change of the target's strength.
    ``sign``: (y − E y) sign d. ``steered``: the log-likelihood ratio of a voter who half of the
    time votes in the direction of d, and else honestly; best against riggers who mix.

    Args:
        votes: with honest chances.
        ratings: of the same board; gives the directions.
        target: a model; None tries every model, and reports the one that fits best.
        statistic: one of ``STATISTICS``.
        seed: of the draws.
        num_draws: honest voters drawn per voter at most; fewer where ten soon reach the statistic
            (Besag and Clifford 1991), so that the p-value is finest where it is smallest.

    Raises:
        InputError: the target is not rated.
    """
    assert statistic in STATISTICS, statistic
    names = ratings.models if target is None else (target,)
    potential, owners = target_directions(ratings, names)
    rng = generator(seed, "directed test", statistic)
    found, p_value, suspect = [], [], []
    for rows in votes:
        pull = (potential[:, votes.a[rows]] - potential[:, votes.b[rows]]).T
        local = _local(votes.chance[rows], pull, statistic)
        best, p, at = _calibrated(local, votes.kind[rows], rng, num_draws)
        found.append(best)
        p_value.append(p)
        suspect.append(owners[at])
    kind = "known" if target is not None else "unknown"
    return VoterTest(
        f"directed ({statistic}), target {kind}",
        votes.voters,
        votes.num_votes,
        np.array(found),
        np.array(p_value),
        tuple(suspect),
    )


def surprise_test(votes: Ballots, seed: int = 0, num_draws: int = _NUM_DRAWS) -> VoterTest:
    """−2 Σ log of the honest chance of each vote, against honest voters on the same pairs.

    The detector of Min et al. 2025 (arXiv 2501.17858). It sees who votes at random and is blind to
    a rigger who votes as others might.
    """
    rng = generator(seed, "surprise test")
    found, p_value = [], []
    for rows in votes:
        chance = votes.chance[rows]
        local = _Local(chance, -2.0 * np.log(chance)[:, :, None])
        best, p, _ = _calibrated(local, votes.kind[rows], rng, num_draws)
        found.append(best)
        p_value.append(p)
    return VoterTest(
        "surprise",
        votes.voters,
        votes.num_votes,
        np.array(found),
        np.array(p_value),
        ("",) * len(votes.voters),
    )


def _local(chance: FloatArray, pull: FloatArray, statistic: str) -> _Local:
    """What each kind of vote adds to the statistic, for pulls (n, K)."""
    if statistic == "steered":
        wins = np.sign(pull)[:, None, :] * np.array([1.0, 0.0, -1.0])[None, :, None] > 0
        ratio = np.where(wins, 1.0 / chance[:, :, None], 0.0)
        # No pull: the vote says nothing about this target.
        ratio = np.where((pull == 0.0)[:, None, :], 1.0, ratio)
        return _Local(chance, np.log1p(_STEERED_SHARE * (ratio - 1.0)))
    residual = SCORE[None, :] - (chance @ SCORE)[:, None]
    weight = pull if statistic == "influence" else np.sign(pull)
    return _Local(chance, residual[:, :, None] * weight[:, None, :])


def _calibrated(
    local: _Local, kind: np.ndarray, rng: np.random.Generator, num_draws: int
) -> tuple[float, float, int]:
    """Largest standardized statistic, its p-value, and which direction it is."""
    num, _, num_directions = local.value.shape
    mean = np.einsum("no,nok->nk", local.chance, local.value)
    square = np.einsum("no,nok->nk", local.chance, local.value**2)
    spread = np.sqrt(np.maximum((square - mean**2).sum(0), 1e-300))
    value = ((local.value - mean[:, None, :]) / spread).reshape(3 * num, num_directions)
    seen = 3 * np.arange(num) + kind
    each = value[seen].sum(0)
    at = int(np.argmax(each))
    edges = np.cumsum(local.chance, axis=1)
    # A draw is a tie everywhere, and a win or a loss where its uniform number says so.
    tied = value[1::3].sum(0)
    turned = np.concatenate([value[0::3] - value[1::3], value[2::3] - value[1::3]])
    # Rounding must not decide whether a draw of the very same votes reaches what was seen.
    limit = each[at] - tied - 1e-9  # (K,)
    reached, drawn = 0, 0
    for stage in (*_STAGES, num_draws):
        wanted = min(stage, num_draws)
        while drawn < wanted:
            block = min(_BLOCK_DRAWS, wanted - drawn)
            uniform = rng.random((block, num))
            kinds = np.hstack([uniform < edges[:, 0], uniform >= edges[:, 1]])
            reached += int((kinds.astype(np.float64) @ turned >= limit).any(1).sum())
            drawn += block
        if reached >= _ENOUGH:
            break
    return float(each[at]), (1.0 + reached) / (1.0 + drawn), at
