"""Operators that are weighted sums: linear, and those whose weights follow from angles."""

import math
from collections.abc import Sequence

import numpy as np

from polylect.base import InputError
from polylect.checkpoints import Floats
from polylect.merging.arithmetic.bf16 import weighted_halves
from polylect.merging.arithmetic.fma import add_product
from polylect.merging.arithmetic.stack import Stack, buffer
from polylect.merging.operators.operator import ONE, Kernel, PerModel, operator, scratch

_PARALLEL = 0.9995  # beyond this cosine, the arc is a line (as in mergekit)
_TINY = 1e-8
_GRAM_ELEMENTS = 2**15  # of all models at once, in float64


@operator()
def linear(stack: Stack, *, weight: PerModel = ONE, normalize: bool = True) -> Kernel:
    """The weighted sum, divided by the sum of the weights if ``normalize`` is set.

    Sums go up in the order of the models from zero, each step a fused multiply-add, then one
    division by the sum of the weights in the same type: the bits of mergekit 0.1.5.
    Source: Wortsman et al. 2022, "Model soups", section 2.

    Args:
        stack: the tensor.
        weight: one for each model; may be negative. All the same by default.
        normalize: divide by the sum of the weights.
    """
    shares = np.array(weight, stack.dtype)
    total = stack.dtype.type(0)
    for share in shares:
        total += share
    divisor = total if normalize else stack.dtype.type(1)

    def block(start: int, stop: int) -> Floats:
        merged, values = (scratch(role, stack, start, stop) for role in ("merged", "values"))
        merged[...] = 0
        for model, share in enumerate(shares):
            add_product(share, stack.read(model, start, stop, values), merged)
        if divisor != 1:
            merged /= divisor
        return merged

    packed = weighted_halves(stack.files, shares, divisor=float(divisor), from_zero=True)
    return Kernel(block, packed=packed)


@operator(base="required", min_models=1, max_models=1)
def slerp(stack: Stack, *, t: float) -> Kernel:
    """The point at ``t`` of the arc from the base (0) to the model (1).

    The angle is that between the two tensors as vectors; norms are not touched. Where they are
    nearly parallel or opposite (cosine beyond 0.9995), the point on the line instead. At 0 and 1
    the inputs come back bit for bit.

    Args:
        stack: the tensor.
        t: from 0 to 1.
    """
    if t in (0, 1):
        return _sum(stack, [t], 1 - t)
    gram = _gram(stack, with_base=True)
    sizes = [math.sqrt(gram[one, one]) for one in (0, 1)]
    size = math.prod(one if one > _TINY else 1.0 for one in sizes)
    cosine = max(-1.0, min(1.0, gram[0, 1] / size))
    if abs(cosine) > _PARALLEL:
        return _sum(stack, [t], 1 - t)
    angle = math.acos(cosine)
    sine = math.sin(angle)
    return _sum(stack, [math.sin(t * angle) / sine], math.sin((1 - t) * angle) / sine)


@operator(base="optional", min_models=1)
def multislerp(
    stack: Stack, *, weight: PerModel = ONE, normalize_weights: bool = True, eta: float = 1.0
) -> Kernel:
    """The weighted mean on the sphere: by way of the tangent space at the mean direction.

    With a base, of the models' differences from it, and ``eta`` of the way from the base to that
    mean: the merge of WARP (Rame et al. 2024, equations 4 and 5) when the models are policies and
    the base is what they started from. As every step stays in the span of the models, only inner
    products are taken from the tensors, and the mean is one weighted sum.

    Args:
        stack: the tensor.
        weight: one for each model.
        normalize_weights: divide them by their sum first.
        eta: with a base, how far from it to go.

    Raises:
        InputError: the directions cancel each other (more than two models).
    """
    shares = np.array(weight, np.float64)
    if normalize_weights:
        if abs(shares.sum()) < _TINY:
            raise InputError(f"multislerp: weights sum to {shares.sum():g}", "change a weight")
        shares = shares / shares.sum()
    based = stack.has_base
    if stack.num_models == 1:
        return _sum(stack, [eta if based else 1.0], 1 - eta if based else None)
    gram = _gram(stack, deltas=based)
    norms = np.sqrt(np.diag(gram))
    unit = gram / np.outer(norms + _TINY, norms + _TINY)
    length = math.sqrt(max(0.0, float(shares @ unit @ shares)))
    if length < _TINY:
        if stack.num_models > 2 and norms.max() > _TINY:
            raise InputError(
                f"multislerp: the models' directions cancel in tensor {stack.name!r}",
                "change a weight",
            )
        coefficients = shares
    else:
        mean = shares / length  # in terms of the unit vectors
        dots = unit @ mean
        tangent = shares - float(shares @ dots) * mean
        size = math.sqrt(max(0.0, float(tangent @ unit @ tangent))) + _TINY
        spherical = mean * math.cos(size) + tangent * (math.sin(size) / size)
        coefficients = spherical / (norms + _TINY) * float(shares @ norms)
    if not based:
        return _sum(stack, coefficients, None)
    return _sum(stack, eta * coefficients, 1 - eta * float(coefficients.sum()))


@operator(base="required", min_models=2)
def model_stock(stack: Stack) -> Kernel:
    """Between the base and the mean of the models, as far as the models agree.

    ``t = N c / (1 + (N - 1) c)`` of the way, ``c`` the mean cosine between differences from the
    base. Source: Jang et al. 2024, "Model Stock", section 4.2. Per tensor, not per filter.
    """
    gram = _gram(stack, deltas=True)
    norms = np.sqrt(np.diag(gram))
    num = stack.num_models
    pairs = [(one, other) for one in range(num) for other in range(one + 1, num)]
    cosines = [gram[pair] / max(norms[pair[0]] * norms[pair[1]], 1e-6) for pair in pairs]
    cosine = float(np.clip(cosines, -1, 1).mean())
    divisor = 1 + (num - 1) * cosine
    # Where the updates oppose each other there is no estimate: the base stays.
    t = num * cosine / divisor if abs(divisor) >= 1e-6 else 0.0
    return _sum(stack, [t / num] * num, 1 - t)


@operator(base="required", max_models=1)
def interpolate(stack: Stack, *, t: float) -> Kernel:
    """The point at ``t`` of the line from the base (0) to the model (1).

    WARP's last stage, linear interpolation towards the initialization (Rame et al. 2024, equation
    6), and what Command A does with an expert and its parent; ``t`` beyond 1 extrapolates.
    """
    return _sum(stack, [t], 1 - t)


@operator(max_models=1)
def passthrough(stack: Stack, *, scale: float = 1.0) -> Kernel:
    """The one model's tensor, times ``scale``."""
    return _sum(stack, [scale], None)


def _sum(stack: Stack, coefficients: Sequence[float] | Floats, base: float | None) -> Kernel:
    """The kernel of a weighted sum of the base (first) and the models; a weight of 0 adds nothing.

    A lone weight of 1 gives the bits that were read, negative zeros too.
    """
    weighted = [(number, float(one)) for number, one in enumerate(coefficients)]

    def block(start: int, stop: int) -> Floats:
        merged, values = (scratch(role, stack, start, stop) for role in ("merged", "values"))
        parts = [(-1, base), *weighted] if base is not None else weighted
        empty = True
        for model, share in parts:
            found = (
                stack.base(start, stop) if model < 0 else stack.values(model, start, stop, values)
            )
            if share == 0:
                continue
            if empty:
                np.multiply(found, stack.dtype.type(share), out=merged)
            else:
                add_product(share, found, merged)
            empty = False
        if empty:
            merged[...] = 0
        return merged

    files = stack.files
    if files is not None and stack.has_base and base is None:
        files = files[1:]
    shares = [*([] if base is None else [base]), *coefficients]
    packed = weighted_halves(files, shares, from_zero=False)
    return Kernel(block, num_buffers=4, packed=packed)


def _gram(stack: Stack, *, with_base: bool = False, deltas: bool = False) -> np.ndarray:
    """Inner products between all models, in float64; with the base as the first, or less it."""
    num = stack.num_models + with_base

    def block(start: int, stop: int) -> np.ndarray:
        base = stack.base(start, stop) if with_base or deltas else None
        values = scratch("values", stack, start, stop)
        wide = buffer("wide", num * (stop - start), np.float64).reshape(num, -1)
        for row in range(num):
            model = row - with_base
            if model < 0:
                wide[row] = base
            elif deltas:
                wide[row] = stack.values(model, start, stop, values)
                wide[row] -= base
            else:
                wide[row] = stack.values(model, start, stop, values)
        found = np.empty((num, num))
        product = buffer("product", stop - start, np.float64)
        for one in range(num):
            for other in range(one, num):
                np.multiply(wide[one], wide[other], out=product)
                found[one, other] = found[other, one] = product.sum()
        return found

    total = np.zeros((num, num))
    for part in stack.map(block, _GRAM_ELEMENTS):
        total += part
    return total
