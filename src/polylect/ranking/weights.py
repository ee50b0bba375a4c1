"""Inverse-propensity weights: the board as if every pair had met equally often."""

from polylect.ranking.counts import FloatArray, PairCounts


def pair_weights(counts: PairCounts, floor: float = 50.0) -> FloatArray:
    """(P,) weights 1 / max(votes of the pair, floor), scaled so that the weighted total is kept.

    Their target is the uniform distribution over the pairs that met (Chiang et al. 2024, eq. 7,
    with the share of votes in place of the known sampling probability; the floor of 50 is
    arena-rank's). Where Bradley–Terry holds they only cost precision. Where it does not, they
    choose the mixture of opponents that a rating refers to.

    Does not: fill in pairs that never met.
    """
    weights = 1.0 / counts.totals.clip(min=floor)
    return weights * (counts.num_votes / float(weights @ counts.totals))
