"""Order statistics of the best of N: the exact gain from selection, split into luck and quality.

"The Leaderboard Illusion" and LMArena's answer to it give two different numbers: the best of N
*different* checkpoints is really better, the best of N *identical* ones is only luckier. Both come
from order statistics; the √(2 ln N) of the paper's appendix is an asymptotic bound.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from polylect.ranking._logistic import expit
from polylect.ranking.counts import FloatArray
from polylect.ranking.ratings import ELO_PER_NAT

_NUM_NODES = 1201
_REACH = 12.0


@dataclass(frozen=True, slots=True)
class Gain:
    """Expected excess of the best of N scores over the mean score, in Elo points.

    Attributes:
        total: of the shown score over the variants' mean true score.
        noise: the part by which the shown score exceeds the winner's own true score.
        real: the part by which the winner is truly better than the mean of the variants.
    """

    total: float
    noise: float
    real: float


def expected_gain(num_variants: int, noise_sd: float, spread: float = 0.0) -> Gain:
    """Expected gain of showing the best of N variants.

    True scores are independent normal with standard deviation ``spread``, measured scores add
    independent normal noise. The best measured score exceeds the mean by √(noise² + spread²) times
    the expected maximum of N standard normals, which noise and truth share as their variances.

    >>> gain = expected_gain(10, noise_sd=5.2, spread=25.0)
    >>> round(gain.total, 1), round(gain.noise, 1), round(gain.real, 1)
    (39.3, 1.6, 37.7)

    Args:
        num_variants: N, 1 or more.
        noise_sd: standard error of each score, in Elo; see ``variant_noise``.
        spread: standard deviation of the true scores, in Elo; 0 for N identical checkpoints.
    """
    total_sd = float(np.hypot(noise_sd, spread))
    if total_sd == 0.0:
        return Gain(0.0, 0.0, 0.0)
    total = total_sd * expected_maximum(num_variants)
    noise = total * (noise_sd / total_sd) ** 2
    return Gain(total, noise, total - noise)


@lru_cache
def expected_maximum(num: int) -> float:
    """Expected maximum of ``num`` independent standard normals, exact to 1e-12.

    The integral of x · N φ(x) Φ(x)^(N−1) (David and Nagaraja 2003, "Order Statistics").

    >>> round(expected_maximum(2), 6)  # 1 / sqrt(pi)
    0.56419
    """
    nodes, weights = maximum_rule(num)
    return float(weights @ nodes)


@lru_cache
def maximum_rule(num: int) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights (sum 1) of a quadrature over the maximum of ``num`` standard normals."""
    from scipy.special import log_ndtr

    assert num >= 1, num
    # Equal steps: the trapezoidal rule is exact for a density that vanishes at both ends.
    nodes = np.linspace(-_REACH, _REACH, _NUM_NODES)
    log_density = np.log(num) - 0.5 * nodes**2 - 0.5 * np.log(2 * np.pi)
    density = np.exp(log_density + (num - 1) * log_ndtr(nodes))
    return nodes, density / density.sum()


def tie_probability(win: FloatArray, shares: FloatArray, tie_share: float) -> FloatArray:
    """Probability of a tie against each opponent, largest between equals, with a given mean.

    κ · 2 min(p, 1 − p), which keeps the expected score p. κ, at most 1, makes the mean over the
    opponents ``tie_share``.

    Args:
        win: (K,) expected score against each opponent.
        shares: (K,) their shares of the battles; sum 1.
        tie_share: mean share of ties.
    """
    shape = 2.0 * np.minimum(win, 1.0 - win)
    return shape * min(1.0, tie_share / float(shares @ shape))


def variant_noise(
    strength: float,
    opponents: FloatArray,
    shares: FloatArray,
    num_votes: float,
    tie_share: float = 0.0,
) -> float:
    """Standard error, in Elo points, of a variant's score after a number of votes.

    The sandwich for one strength against opponents whose strengths are known: √(Σ n_j Var y_j) /
    Σ n_j p_j (1 − p_j), with Var y = p(1 − p) − P(tie)/4.

    Args:
        strength: of the variant, in log-odds on the opponents' scale.
        opponents: their strengths.
        shares: their shares of the variant's battles; sum 1.
        num_votes: total number of votes.
        tie_share: share of ties (and both-bad) among its votes.

    Does not: include the uncertainty of the opponents, which is common to all variants.
    """
    win = expit(strength - opponents)
    information = float(shares @ (win * (1.0 - win)))
    spread = win * (1.0 - win) - tie_probability(win, shares, tie_share) / 4.0
    return float(np.sqrt(shares @ spread / num_votes)) / information * ELO_PER_NAT
