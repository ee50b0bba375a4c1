"""Intervals beyond the plain sandwich: clustered votes, and the bootstrap."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from polylect.base import UndecidableError, generator
from polylect.ranking._logistic import expit
from polylect.ranking.bradley_terry import fit_strengths
from polylect.ranking.components import all_finite
from polylect.ranking.config import check_resamples
from polylect.ranking.counts import (
    OUTCOME_SCORE,
    FloatArray,
    IntArray,
    PairCounts,
    laplacian,
    sum_by,
)
from polylect.ranking.few_votes import few_votes_variance
from polylect.ranking.ratings import ELO_PER_NAT, Ratings
from polylect.ranking.votes import VoteTable

_SAFE_SCORE = 40.0
_MAX_LOST_SHARE = 0.05
_BLOCK_ROWS = 1 << 19
_ALL = slice(None)

_Draw = Callable[[np.random.Generator], FloatArray]
"""Draws the outcomes (P, 4) of a resample."""


def cluster_sandwich(counts: PairCounts, table: VoteTable, column: str, fit: Ratings) -> Ratings:
    """The ratings with a covariance clustered by voter or prompt.

    The meat is the sum over clusters of the outer product of the cluster's summed scores (Liang and
    Zeger 1986), times ``few_clusters_factor``. A row without a value in the column is a cluster of
    its own, and the votes that its ``count`` stands for are independent.

    Args:
        counts: what ``fit`` was fitted to, unweighted.
        table: the same votes; rows with a model that ``counts`` does not have are left out.
        column: a coded column of the table.
        fit: the strengths and the bread.

    Raises:
        UndecidableError: there is only one cluster.
    """
    from scipy.sparse import coo_array

    size = counts.num_models
    single, squared = np.zeros(len(counts.first)), np.zeros(len(counts.first))
    meat, sizes, num_alone = np.zeros((size, size)), [np.empty(0)], 0.0
    codes = table.codes[column]
    order = np.argsort(codes, kind="stable").astype(np.int32)
    for rows in _whole_clusters(codes, order):
        pair, outcome, keep = _pairs_and_outcomes(counts, table, rows)
        first, second = counts.first[pair], counts.second[pair]
        score = OUTCOME_SCORE[outcome] - expit(fit.strength[first] - fit.strength[second])
        count, code = table.count[rows][keep], codes[rows][keep]
        alone = code < 0
        squared += sum_by(pair, count * score**2, len(squared))
        single += sum_by(pair[alone], (count * score**2)[alone], len(single))
        values, cluster = np.unique(code[~alone], return_inverse=True)
        shape, value = (len(values), size), (count * score)[~alone]
        sums = coo_array((value, (cluster, first[~alone])), shape=shape).tocsr()
        sums = sums - coo_array((value, (cluster, second[~alone])), shape=shape).tocsr()
        meat += (sums.T @ sums).toarray()
        sizes.append(sum_by(cluster, count[~alone], len(values)))
        num_alone += float(count[alone].sum())
    gap = fit.strength[counts.first] - fit.strength[counts.second]
    curvature = counts.totals * expit(gap) * expit(-gap)
    meat += laplacian(counts, single + few_votes_variance(counts, curvature, squared))
    cluster_sizes = np.concatenate(sizes)
    num_clusters = len(cluster_sizes) + num_alone
    if num_clusters < 2:
        raise UndecidableError(
            f"all votes have the same {column}: no variance between clusters to estimate",
            "use the plain sandwich (no --cluster)",
        )
    factor = few_clusters_factor(cluster_sizes, num_alone, fit.level)
    covariance = fit.bread @ meat @ fit.bread * factor
    return replace(
        fit,
        covariance=(covariance + covariance.T) / 2.0,
        interval=f"sandwich clustered by {column}, {num_clusters:.0f} clusters",
    )


def few_clusters_factor(sizes: FloatArray, num_alone: float, level: float) -> float:
    """What a variance between clusters is multiplied by, since it is uncertain itself.

    C / (C − 1) times (t / z)², the squared ratio of Student's quantile to the normal one. The
    degrees of freedom are one less than the effective number of clusters, n² / Σ n_c² of the
    clusters' votes n_c: Carter, Schnepel and Steigerwald (2017) where all are equally informative.

    Args:
        sizes: (C,) votes of each cluster.
        num_alone: votes that are clusters of their own.
        level: of the intervals.

    >>> round(few_clusters_factor(np.full(5, 40.0), 0.0, 0.95), 2)
    2.51
    """
    from scipy.stats import norm, t

    num = len(sizes) + num_alone
    freedom = (sizes.sum() + num_alone) ** 2 / ((sizes**2).sum() + num_alone) - 1.0
    tail = (1.0 + level) / 2.0
    return num / (num - 1.0) * float(t.ppf(tail, max(freedom, 1.0)) / norm.ppf(tail)) ** 2


def bootstrap(
    counts: PairCounts,
    fit: Ratings,
    num_resamples: int,
    seed: int,
    table: VoteTable | None = None,
    cluster: str = "",
    weights: FloatArray | None = None,
    prior_sd: float | None = None,
) -> Ratings:
    """The ratings with percentile intervals from refits to resampled votes.

    Without a table single votes are resampled (a multinomial over the cells of the counts); with a
    table whole clusters are, such as all votes of a voter, and the refits are spread out by the
    root of ``few_clusters_factor``. ``covariance`` is unchanged. Resampling
    a few votes shows too little of what others might have been, and of ties alone nothing: every
    refit is shifted by a draw of what ``few_votes_variance`` adds to the sandwich.

    Args:
        counts: what ``fit`` was fitted to.
        fit: where each refit starts.
        num_resamples: ``config.MIN_RESAMPLES`` or more.
        seed: of the resampling.
        table: the same votes as rows.
        cluster: a coded column of the table.
        weights: as in the fit.
        prior_sd: as in the fit.

    Raises:
        InputError: fewer than ``config.MIN_RESAMPLES``.
        UndecidableError: over 5 % of the resamples have no finite solution, because some model
            won or lost all its resampled votes. Fewer are drawn again; ``interval`` says how many.
    """
    check_resamples(num_resamples)
    rng = generator(seed, "bootstrap", cluster)
    ridge = 0.0 if prior_sd is None else (ELO_PER_NAT / prior_sd) ** 2
    draw = _by_cluster(counts, table, cluster) if table is not None else _by_vote(counts)
    is_finite = _finiteness_test(counts)
    samples = np.empty((num_resamples, counts.num_models))
    num_lost = 0
    for i in range(num_resamples):
        while True:
            resampled = counts.with_outcomes(draw(rng))
            if ridge or is_finite(resampled):
                break
            num_lost += 1
            if num_lost > max(_MAX_LOST_SHARE * num_resamples, 1):
                raise UndecidableError(
                    f"in {num_lost} of {i + num_lost} resamples somebody won or lost every vote",
                    "use the sandwich interval (no --bootstrap), or leave out models of few votes",
                )
        samples[i] = fit_strengths(resampled, fit.strength, weights, ridge)
    if table is not None:
        pair_rows = _pairs_and_outcomes(counts, table)[2]
        codes, count = table.codes[cluster][pair_rows], table.count[pair_rows]
        sizes = sum_by(codes[codes >= 0], count[codes >= 0], len(table.labels[cluster]))
        factor = few_clusters_factor(sizes[sizes > 0], count[codes < 0].sum().item(), fit.level)
        samples = fit.strength + np.sqrt(factor) * (samples - fit.strength)
    samples += _few_votes_noise(counts, fit, weights, ridge, num_resamples, seed)
    interval = f"bootstrap by {cluster or 'vote'}, {num_resamples} resamples"
    if num_lost:
        interval += f", {num_lost} without a solution drawn again"
    return replace(fit, samples=samples, interval=interval)


def _few_votes_noise(
    counts: PairCounts,
    fit: Ratings,
    weights: FloatArray | None,
    ridge: float,
    num_resamples: int,
    seed: int,
) -> FloatArray:
    """(B, M) draws of the strengths' error by one more decisive vote of each model of few votes."""
    nothing = np.zeros((num_resamples, counts.num_models))
    if ridge:
        return nothing  # a prior says what few votes do not
    variance = few_votes_of_fit(counts, fit.strength)
    if weights is not None:
        variance = weights**2 * variance
    if not variance.any():
        return nothing
    rng = generator(seed, "bootstrap", "few votes")
    scores = rng.standard_normal((num_resamples, len(variance))) * np.sqrt(variance)
    return (fit.bread[:, counts.first] - fit.bread[:, counts.second]).dot(scores.T).T


def few_votes_of_fit(counts: PairCounts, strength: FloatArray) -> FloatArray:
    """(P,) ``few_votes_variance`` at the strengths."""
    gap = strength[counts.first] - strength[counts.second]
    win, lose = expit(gap), expit(-gap)
    halves = counts.outcomes[:, 2] + counts.outcomes[:, 3]
    squared = counts.outcomes[:, 0] * lose**2 + counts.outcomes[:, 1] * win**2
    squared += halves * ((lose - win) / 2.0) ** 2
    return few_votes_variance(counts, counts.totals * win * lose, squared)


def _by_vote(counts: PairCounts) -> _Draw:
    cells = counts.outcomes.ravel()
    filled = np.flatnonzero(cells)
    share = cells[filled] / cells.sum()
    total = round(float(cells.sum()))

    def draw(rng: np.random.Generator) -> FloatArray:
        outcomes = np.zeros(len(cells))
        outcomes[filled] = rng.multinomial(total, share)
        return outcomes.reshape(-1, 4)

    return draw


def _by_cluster(counts: PairCounts, table: VoteTable, column: str) -> _Draw:
    from scipy.sparse import coo_array

    pair, outcome, keep = _pairs_and_outcomes(counts, table)
    code = table.codes[column][keep].astype(np.int64)
    alone = np.flatnonzero(code < 0)
    code[alone] = code.max(initial=-1) + 1 + np.arange(len(alone))
    values, cluster = np.unique(code, return_inverse=True)
    shape = (4 * len(counts.first), len(values))
    votes = coo_array((table.count[keep], (pair * 4 + outcome, cluster)), shape=shape).tocsr()

    def draw(rng: np.random.Generator) -> FloatArray:
        chosen = np.bincount(rng.integers(0, len(values), len(values)), minlength=len(values))
        return (votes @ chosen.astype(np.float64)).reshape(-1, 4)

    return draw


def _finiteness_test(counts: PairCounts) -> Callable[[PairCounts], bool]:
    """A test whether a resample has finite strengths; fast if pairs with many votes link all."""
    heavy = np.flatnonzero(np.minimum(counts.first_score, counts.second_score) >= _SAFE_SCORE)
    backbone = PairCounts(
        counts.models, counts.first[heavy], counts.second[heavy], counts.outcomes[heavy]
    )
    has_backbone = all_finite(backbone)

    def is_finite(resampled: PairCounts) -> bool:
        if has_backbone:
            low = np.minimum(resampled.first_score[heavy], resampled.second_score[heavy])
            if low.min() > 0:
                return True
        return all_finite(resampled)

    return is_finite


def _whole_clusters(
    codes: npt.NDArray[np.int32], order: npt.NDArray[np.int32]
) -> Iterator[npt.NDArray[np.int32]]:
    """Blocks of rows, none of which splits a cluster."""
    start = 0
    while start < len(order):
        stop = min(start + _BLOCK_ROWS, len(order))
        if stop < len(order):
            last = codes[order[stop - 1]]
            stop = int(np.searchsorted(codes, last, side="right", sorter=order))
        yield order[start:stop]
        start = stop


def _pairs_and_outcomes(
    counts: PairCounts, table: VoteTable, rows: npt.NDArray[np.int32] | slice = _ALL
) -> tuple[IntArray, IntArray, npt.NDArray[np.bool_]]:
    """Pair and outcome, as in the counts, of the rows whose models are in the counts.

    Third comes which of the rows these are.
    """
    place = np.array([counts.index.get(name, -1) for name in table.models], np.int64)
    a, b = place[table.a[rows]], place[table.b[rows]]
    keep = (a >= 0) & (b >= 0)
    a, b, outcome = a[keep], b[keep], table.outcome[rows][keep].astype(np.int64)
    swapped = (a > b) & (outcome < 2)
    outcome = np.where(swapped, 1 - outcome, outcome)
    size = counts.num_models
    key = np.minimum(a, b) * size + np.maximum(a, b)
    pair = np.searchsorted(counts.first * size + counts.second, key)
    return pair, outcome, keep
