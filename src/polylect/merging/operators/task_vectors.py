"""Operators on differences from a base: what is kept of each, which sign wins, how much is added.

All of them are ``base + lambda * mix(weight_i * sparse(model_i - base))``. Differences are taken in
float32 (exact for all but far-apart values of narrow types), sums in float64, and the result is
rounded once. In the parity mode every step is rounded to the type mergekit computes in.
"""

from polylect.merging.arithmetic.stack import Stack
from polylect.merging.operators.operator import ONE, Kernel, PerModel, operator
from polylect.merging.operators.sign_election import mix
from polylect.merging.operators.sparsity import dropped, everything, middle, ranked, trimmed


@operator(base="required")
def task_arithmetic(
    stack: Stack, *, weight: PerModel = ONE, lambda_: float = 1.0, normalize: bool = False
) -> Kernel:
    """The base plus the weighted sum of differences. Source: Ilharco et al. 2023, section 2."""
    return mix(stack, everything(stack), weight, lambda_, normalize, consensus=False)


@operator(base="required")
def ties(
    stack: Stack,
    *,
    weight: PerModel = ONE,
    density: PerModel = ONE,
    lambda_: float = 1.0,
    normalize: bool = True,
) -> Kernel:
    """Trim, elect the sign of the weighted sum, average what agrees with it.

    Trimming keeps every element whose magnitude is at least that of the ``density * n``-th largest
    (rounded down, one at the least): of equal magnitudes all are kept, so no place in the tensor is
    favored; how many more that is goes to the ledger. A sum of 0 counts as positive.
    Source: Yadav et al. 2023, "TIES-Merging", section 3.
    """
    return mix(stack, trimmed(stack, density), weight, lambda_, normalize, consensus=True)


@operator(base="required", random=True)
def dare_linear(
    stack: Stack,
    *,
    weight: PerModel = ONE,
    density: PerModel = ONE,
    lambda_: float = 1.0,
    normalize: bool = False,
    rescale: str = "keep",
    seed: int = 0,
) -> Kernel:
    """Drop at random, rescale, add up. Source: Yu et al. 2024, "DARE", section 3.

    Args:
        stack: the tensor.
        weight: one for each model.
        density: probability of keeping an element.
        lambda_: factor of the sum.
        normalize: divide by the sum of the weights.
        rescale: ``keep`` divides by the density (the paper), ``l1`` restores the sum of magnitudes
            (mergekit), ``none`` does neither.
        seed: of the draws.
    """
    sparse = dropped(stack, density, rescale, seed)
    return mix(stack, sparse, weight, lambda_, normalize, consensus=False)


@operator(base="required", random=True)
def dare_ties(
    stack: Stack,
    *,
    weight: PerModel = ONE,
    density: PerModel = ONE,
    lambda_: float = 1.0,
    normalize: bool = False,
    rescale: str = "keep",
    seed: int = 0,
) -> Kernel:
    """``dare_linear``'s draws, then the sign election of ``ties``."""
    sparse = dropped(stack, density, rescale, seed)
    return mix(stack, sparse, weight, lambda_, normalize, consensus=True)


@operator(base="required", random=True)
def della(
    stack: Stack,
    *,
    weight: PerModel = ONE,
    density: PerModel = ONE,
    epsilon: PerModel = (0.15,),
    lambda_: float = 1.0,
    normalize: bool = True,
    rescale: str = "keep",
    seed: int = 0,
) -> Kernel:
    """Draws that favor large magnitudes within a row, then the sign election of ``ties``.

    ``rescale='keep'`` divides each element by its own probability.
    Source: Deep et al. 2024, "DELLA-Merging", section 3.
    """
    sparse = ranked(stack, density, epsilon, rescale, seed)
    return mix(stack, sparse, weight, lambda_, normalize, consensus=True)


@operator(base="required", random=True)
def della_linear(
    stack: Stack,
    *,
    weight: PerModel = ONE,
    density: PerModel = ONE,
    epsilon: PerModel = (0.15,),
    lambda_: float = 1.0,
    normalize: bool = False,
    rescale: str = "keep",
    seed: int = 0,
) -> Kernel:
    """``della``'s draws, then the weighted sum."""
    sparse = ranked(stack, density, epsilon, rescale, seed)
    return mix(stack, sparse, weight, lambda_, normalize, consensus=False)


@operator(base="required")
def breadcrumbs(
    stack: Stack,
    *,
    weight: PerModel = ONE,
    density: PerModel = ONE,
    gamma: PerModel = (0.01,),
    lambda_: float = 1.0,
    normalize: bool = False,
) -> Kernel:
    """Drop the ``gamma`` largest and enough of the smallest to keep ``density``, then add up.

    An element goes only if its magnitude is strictly beyond the last that stays.
    Source: Davari and Belilovsky 2024, "Model Breadcrumbs", section 3.
    """
    sparse = middle(stack, density, gamma)
    return mix(stack, sparse, weight, lambda_, normalize, consensus=False)


@operator(base="required")
def breadcrumbs_ties(
    stack: Stack,
    *,
    weight: PerModel = ONE,
    density: PerModel = ONE,
    gamma: PerModel = (0.01,),
    lambda_: float = 1.0,
    normalize: bool = False,
) -> Kernel:
    """``breadcrumbs``' trimming, then the sign election of ``ties``."""
    sparse = middle(stack, density, gamma)
    return mix(stack, sparse, weight, lambda_, normalize, consensus=True)
