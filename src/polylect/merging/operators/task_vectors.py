"""Operators on differences from a base: sparsified, signs elected, weighted, added to the base.

All of them are ``base + lambda * sum(weight_i * sparse(model_i - base))``. Differences are computed
in float32 (exact except for far-apart values of narrow types), sums in float64, and the result is
rounded once. For parity with mergekit every step is rounded to the dtype that it computes in.
"""

from typing import Annotated

from polylect.base import Finite, Range, Seed
from polylect.merging.arithmetic.stack import Stack
from polylect.merging.operators.operator import ALL_ONES, Fraction, Kernel, PerModel, operator
from polylect.merging.operators.sign_election import merge_deltas
from polylect.merging.operators.sparsity import (
    Rescaling,
    drop_at_random,
    drop_by_rank,
    keep_all,
    largest,
    middle,
)


@operator(base="required")
def task_arithmetic(
    stack: Stack, *, weight: PerModel = ALL_ONES, lambda_: Finite = 1.0, normalize: bool = False
) -> Kernel:
    """The base plus the weighted sum of differences. Source: Ilharco et al. 2023, section 2.

    Args:
        stack: the tensor.
        weight: one for each model.
        lambda_: factor of the sum of differences.
        normalize: divide by the sum of the weights.
    """
    return merge_deltas(stack, keep_all(stack), weight, lambda_, normalize, consensus=False)


@operator(base="required")
def ties(
    stack: Stack,
    *,
    weight: PerModel = ALL_ONES,
    density: Annotated[PerModel, Range(above=0, at_most=1)] = ALL_ONES,
    lambda_: Finite = 1.0,
    normalize: bool = True,
) -> Kernel:
    """Trim, elect the sign of the weighted sum, average the differences that agree with it.

    Trimming keeps every element whose magnitude is at least the ``density * n``-th largest (rounded
    down, at least one): all ties are kept, so that no position in the tensor is favored; the ledger
    counts the excess. A sum of 0 counts as positive.
    Source: Yadav et al. 2023, "TIES-Merging", section 3.

    Args:
        stack: the tensor.
        weight: one for each model.
        density: share of the differences that is kept.
        lambda_: factor of the sum of differences.
        normalize: divide by the sum of the weights.
    """
    return merge_deltas(stack, largest(stack, density), weight, lambda_, normalize, consensus=True)


@operator(base="required", random=True)
def dare_linear(
    stack: Stack,
    *,
    weight: PerModel = ALL_ONES,
    density: Fraction = ALL_ONES,
    lambda_: Finite = 1.0,
    normalize: bool = False,
    rescale: Rescaling = "keep",
    seed: Seed = 0,
) -> Kernel:
    """Drop at random, rescale, sum. Source: Yu et al. 2024, "DARE", section 3.

    Args:
        stack: the tensor.
        weight: one for each model.
        density: probability of keeping an element.
        lambda_: factor of the sum.
        normalize: divide by the sum of the weights.
        rescale: what makes up for the dropped elements: ``keep`` divides by the density (the
            paper), ``l1`` restores the L1 norm (mergekit), ``none`` nothing.
        seed: seed of the draws.
    """
    sparsifier = drop_at_random(stack, density, rescale, seed)
    return merge_deltas(stack, sparsifier, weight, lambda_, normalize, consensus=False)


@operator(base="required", random=True)
def dare_ties(
    stack: Stack,
    *,
    weight: PerModel = ALL_ONES,
    density: Fraction = ALL_ONES,
    lambda_: Finite = 1.0,
    normalize: bool = False,
    rescale: Rescaling = "keep",
    seed: Seed = 0,
) -> Kernel:
    """The draws of ``dare_linear``, then the sign election of ``ties``."""
    sparsifier = drop_at_random(stack, density, rescale, seed)
    return merge_deltas(stack, sparsifier, weight, lambda_, normalize, consensus=True)


@operator(base="required", random=True)
def della(
    stack: Stack,
    *,
    weight: PerModel = ALL_ONES,
    density: Fraction = ALL_ONES,
    epsilon: Annotated[PerModel, Range(0, below=0.5)] = (0.15,),
    lambda_: Finite = 1.0,
    normalize: bool = True,
    rescale: Rescaling = "keep",
    seed: Seed = 0,
) -> Kernel:
    """Draws that favor large magnitudes within a row, then the sign election of ``ties``.

    ``rescale='keep'`` divides each element by its own probability.
    Source: Deep et al. 2024, "DELLA-Merging", section 3.

    Args:
        stack: the tensor.
        weight: one for each model.
        density: probability of keeping an element.
        epsilon: how far the probabilities of a row's smallest and largest element lie from the
            density.
        lambda_: factor of the sum of differences.
        normalize: divide by the sum of the weights.
        rescale: as for ``dare_linear``; ``keep`` divides by each element's own probability.
        seed: seed of the draws.
    """
    sparsifier = drop_by_rank(stack, density, epsilon, rescale, seed)
    return merge_deltas(stack, sparsifier, weight, lambda_, normalize, consensus=True)


@operator(base="required", random=True)
def della_linear(
    stack: Stack,
    *,
    weight: PerModel = ALL_ONES,
    density: Fraction = ALL_ONES,
    epsilon: Annotated[PerModel, Range(0, below=0.5)] = (0.15,),
    lambda_: Finite = 1.0,
    normalize: bool = False,
    rescale: Rescaling = "keep",
    seed: Seed = 0,
) -> Kernel:
    """The draws of ``della``, then the weighted sum."""
    sparsifier = drop_by_rank(stack, density, epsilon, rescale, seed)
    return merge_deltas(stack, sparsifier, weight, lambda_, normalize, consensus=False)


@operator(base="required")
def breadcrumbs(
    stack: Stack,
    *,
    weight: PerModel = ALL_ONES,
    density: Fraction = ALL_ONES,
    gamma: Fraction = (0.01,),
    lambda_: Finite = 1.0,
    normalize: bool = False,
) -> Kernel:
    """Drop the ``gamma`` largest and enough of the smallest to keep ``density``, then sum.

    An element is dropped only if its magnitude is strictly beyond the last one that is kept.
    Source: Davari and Belilovsky 2024, "Model Breadcrumbs", section 3.

    Args:
        stack: the tensor.
        weight: one for each model.
        density: share of the differences that is kept.
        gamma: share of the differences that is dropped for being the largest.
        lambda_: factor of the sum of differences.
        normalize: divide by the sum of the weights.
    """
    sparsifier = middle(stack, density, gamma)
    return merge_deltas(stack, sparsifier, weight, lambda_, normalize, consensus=False)


@operator(base="required")
def breadcrumbs_ties(
    stack: Stack,
    *,
    weight: PerModel = ALL_ONES,
    density: Fraction = ALL_ONES,
    gamma: Fraction = (0.01,),
    lambda_: Finite = 1.0,
    normalize: bool = False,
) -> Kernel:
    """The trimming of ``breadcrumbs``, then the sign election of ``ties``."""
    sparsifier = middle(stack, density, gamma)
    return merge_deltas(stack, sparsifier, weight, lambda_, normalize, consensus=True)
