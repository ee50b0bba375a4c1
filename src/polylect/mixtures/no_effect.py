"""Whether shares say anything about losses: an exact test that deals mixtures out anew.

Runs of one mixture are one unit: they share its text, so that their losses are alike beyond what
its shares explain, and dealing out single runs would take that likeness for proof. Mixtures are
exchangeable only with mixtures that were run at the same scales with the same seeds, as a seed may
be a good one everywhere. A seed that only one mixture has says nothing of that kind: any other such
seed may take its place.
"""

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from polylect.base import generator
from polylect.mixtures.law_forms import Floats, Numbers

NUM_PERMUTATIONS = 999


@dataclass(frozen=True)
class NoEffect:
    """The test of the null that losses do not depend on shares.

    Attributes:
        p_value: share of the ways to deal mixtures out under which shares explain as much.
        lowest: the smallest p-value that this many mixtures can give.
    """

    p_value: float
    lowest: float


def shares_matter(
    shares: Floats,
    losses: Floats,
    mixtures: Numbers,
    scales: Sequence[float],
    seeds: Sequence[int],
    *,
    num_permutations: int = NUM_PERMUTATIONS,
    seed: int = 0,
) -> NoEffect:
    """p-value of no effect of shares on losses, of all cells together.

    The statistic is the sum over cells of the variance that a linear law explains, after every
    seed's and scale's own level. Exact where mixtures of equal seeds and scales are exchangeable;
    all ways are gone through where there are no more than ``num_permutations``.

    Args:
        shares: [runs, streams].
        losses: [runs, cells].
        mixtures: number of the mixture of every run [runs], from 0.
        scales: of the runs.
        seeds: of the runs.
        num_permutations: of the mixtures.
        seed: of the permutations.
    """
    rows, groups = _exchangeable(mixtures, scales, seeds)
    own_seeds = _shared_seeds(mixtures, seeds)
    nuisance = _basis(np.concatenate(
        [np.ones((len(shares), 1)), _indicators(scales), _indicators(own_seeds)], axis=1
    ))  # fmt: skip
    basis = _basis(shares - nuisance @ (nuisance.T @ shares))
    rest = losses - nuisance @ (nuisance.T @ losses)
    total = (rest**2).sum(axis=0)
    rest = rest / np.sqrt(np.where(total > 0, total, 1.0))

    def explained(order: Sequence[int]) -> float:
        dealt = np.empty(len(shares), dtype=np.int64)
        for mixture, other in enumerate(order):
            dealt[rows[mixture]] = rows[other]
        return float(((basis.T @ rest[dealt]) ** 2).sum())

    actual = explained(range(len(rows))) * (1 - 1e-12)
    ways = math.prod(math.factorial(len(group)) for group in groups)
    if ways <= num_permutations + 1:
        values = [explained(order) for order in _all_orders(groups, len(rows))]
        return NoEffect(sum(value >= actual for value in values) / ways, 1 / ways)
    random = generator(seed, "deal mixtures")
    as_much = 0
    for _ in range(num_permutations):
        order = np.arange(len(rows))
        for group in groups:
            order[group] = random.permutation(group)
        as_much += explained(order.tolist()) >= actual
    return NoEffect((1 + as_much) / (1 + num_permutations), 1 / (1 + num_permutations))


def _exchangeable(
    mixtures: Numbers, scales: Sequence[float], seeds: Sequence[int]
) -> tuple[list[Numbers], list[list[int]]]:
    """Rows of every mixture, ordered alike, and mixtures that may change places."""
    named = _shared_seeds(mixtures, seeds)
    keys = list(zip(scales, named, strict=True))
    rows: list[Numbers] = []
    groups: dict[tuple, list[int]] = defaultdict(list)
    for mixture in range(int(mixtures.max()) + 1):
        own = sorted(np.flatnonzero(mixtures == mixture).tolist(), key=lambda row: (keys[row], row))
        rows.append(np.array(own, dtype=np.int64))
        groups[tuple(keys[row] for row in own)].append(mixture)
    return rows, list(groups.values())


def _shared_seeds(mixtures: Numbers, seeds: Sequence[int]) -> list[int]:
    """Seeds, with one number for all that only one mixture has."""
    owners = Counter(seed for seed, _ in set(zip(seeds, mixtures.tolist(), strict=True)))
    alone = min(seeds) - 1
    return [seed if owners[seed] > 1 else alone for seed in seeds]


def _all_orders(groups: Sequence[Sequence[int]], num: int) -> Iterator[list[int]]:
    for dealt in itertools.product(*(itertools.permutations(group) for group in groups)):
        order = list(range(num))
        for group, places in zip(groups, dealt, strict=True):
            for mixture, other in zip(group, places, strict=True):
                order[mixture] = other
        yield order


def _indicators(values: Sequence[float]) -> Floats:
    return (np.array(values)[:, None] == np.unique(values)[None]).astype(float)


def _basis(columns: Floats) -> Floats:
    """Orthonormal columns of the same span."""
    left, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    return left[:, sizes > 1e-8 * max(1.0, float(sizes.max(initial=0.0)))]
