"""Operators that are weighted sums: linear, and those whose weights come from angles."""

import itertools
import math
from collections.abc import Sequence

import numpy as np

from polylect.base import Finite, InputError, Share
from polylect.checkpoints import Floats
from polylect.merging.arithmetic.bf16 import packed_sum
from polylect.merging.arithmetic.fma import fused_axpy
from polylect.merging.arithmetic.stack import Stack, thread_buffer
from polylect.merging.operators.cancellation import cancels, check_normalizable
from polylect.merging.operators.operator import (
    ALL_ONES,
    Kernel,
    PerModel,
    block_buffer,
    operator,
)

_PARALLEL = 0.9995  # beyond this cosine, slerp is linear (as in mergekit)
_TINY = 1e-8
_CANCELLED = 1e-6  # of the sum of magnitudes: below that a mean direction is rounding
_BASE = -1
_GRAM_ELEMENTS = 2**15  # of all models at once, in float64


@operator()
def linear(stack: Stack, *, weight: PerModel = ALL_ONES, normalize: bool = True) -> Kernel:
    """The weighted sum, divided by the sum of the weights if ``normalize`` is set.

    Summed from zero in the order of the models, each step a fused multiply-add, then divided once
    by the sum of the weights in the same dtype: the bits of mergekit 0.1.5.
    Source: Wortsman et al. 2022, "Model soups", section 2.

    Args:
        stack: the tensor.
        weight: one for each model; may be negative.
        normalize: divide by the sum of the weights.

    Raises:
        InputError: weights that cancel are to be normalized.
    """
    if normalize:
        check_normalizable(weight)
    shares = np.array(weight, stack.dtype)
    total = stack.dtype.type(0)
    for share in shares:
        total += share
    divisor = total if normalize else stack.dtype.type(1)

    def block(start: int, stop: int) -> Floats:
        merged, values = (block_buffer(role, stack, start, stop) for role in ("merged", "values"))
        merged[...] = 0
        for model, share in enumerate(shares):
            fused_axpy(share, stack.read(model, start, stop, values), merged)
        if divisor != 1:
            merged /= divisor
        return merged

    packed = packed_sum(stack.files, shares, divisor=float(divisor), from_zero=True)
    return Kernel(block, packed=packed)


@operator(base="required", min_models=1, max_models=1)
def slerp(stack: Stack, *, t: Share) -> Kernel:
    """Spherical interpolation from the base (``t`` = 0) to the model (1).

    The angle is that between the two tensors as vectors; norms are not changed. Where they are
    nearly parallel or opposite (cosine beyond 0.9995), linear interpolation. At 0 and 1 the result
    is an input, bit for bit.

    Args:
        stack: the tensor.
        t: where the result lies between the base (0) and the model (1).
    """
    if t in (0, 1):
        return _sum(stack, [t], 1 - t)
    gram = _gram(stack, with_base=True)
    norms = [math.sqrt(gram[model, model]) for model in (0, 1)]
    divisor = math.prod(norm if norm > _TINY else 1.0 for norm in norms)
    cosine = max(-1.0, min(1.0, gram[0, 1] / divisor))
    if abs(cosine) > _PARALLEL:
        return _sum(stack, [t], 1 - t)
    angle = math.acos(cosine)
    sine = math.sin(angle)
    return _sum(stack, [math.sin(t * angle) / sine], math.sin((1 - t) * angle) / sine)


@operator(base="optional", min_models=1)
def multislerp(
    stack: Stack, *, weight: PerModel = ALL_ONES, normalize_weights: bool = True, eta: Finite = 1.0
) -> Kernel:
    """The weighted mean on the sphere, through the tangent space at the mean direction.

    With a base, the mean of the models' differences from it, and the point at ``eta`` from the base
    to that mean: the merge of WARP (Rame et al. 2024, equations 4 and 5) if the models are policies
    and the base is their initialization. Every step stays in the span of the models, so that only
    inner products are computed from the tensors, and the mean is one weighted sum.

    Args:
        stack: the tensor.
        weight: one for each model.
        normalize_weights: divide the weights by their sum first.
        eta: with a base, the fraction of the way from it to the mean.

    Raises:
        InputError: weights that cancel are to be normalized; the directions of more than two
            models cancel.
    """
    shares = np.array(weight, np.float64)
    if normalize_weights:
        if cancels(weight):
            raise InputError(f"multislerp: weights sum to {shares.sum():g}", "change a weight")
        shares = shares / shares.sum()
    if stack.num_models == 1:
        return _sum(stack, [eta if stack.has_base else 1.0], 1 - eta if stack.has_base else None)
    gram = _gram(stack, deltas=stack.has_base)
    norms = np.sqrt(np.diag(gram))
    unit = gram / np.outer(norms + _TINY, norms + _TINY)
    length = math.sqrt(max(0.0, float(shares @ unit @ shares)))
    if length <= _CANCELLED * float(np.abs(shares).sum()):
        if stack.num_models > 2 and norms.max() > _TINY:
            raise InputError(
                f"multislerp: the models' directions cancel in tensor {stack.name!r}",
                "change a weight",
            )
        coefficients = shares
    else:
        mean = shares / length  # coefficients of the unit vectors
        dots = unit @ mean
        tangent = shares - float(shares @ dots) * mean
        angle = math.sqrt(max(0.0, float(tangent @ unit @ tangent))) + _TINY
        spherical = mean * math.cos(angle) + tangent * (math.sin(angle) / angle)
        coefficients = spherical / (norms + _TINY) * float(shares @ norms)
    if not stack.has_base:
        return _sum(stack, coefficients, None)
    return _sum(stack, eta * coefficients, 1 - eta * float(coefficients.sum()))


@operator(base="required", min_models=2)
def model_stock(stack: Stack) -> Kernel:
    """Interpolation from the base to the mean of the models; the more they agree, the farther.

    ``t = N c / (1 + (N - 1) c)``, where ``c`` is the mean cosine between differences from the base.
    Source: Jang et al. 2024, "Model Stock", section 4.2. Per tensor, not per filter.
    """
    gram = _gram(stack, deltas=True)
    norms = np.sqrt(np.diag(gram))
    num = stack.num_models
    pairs = itertools.combinations(range(num), 2)
    cosines = [gram[i, j] / max(norms[i] * norms[j], 1e-6) for i, j in pairs]
    cosine = float(np.clip(cosines, -1, 1).mean())
    divisor = 1 + (num - 1) * cosine
    # Where the updates oppose each other there is no estimate: the result is the base.
    t = num * cosine / divisor if abs(divisor) >= 1e-6 else 0.0
    return _sum(stack, [t / num] * num, 1 - t)


@operator(base="required", max_models=1)
def interpolate(stack: Stack, *, t: Finite) -> Kernel:
    """Linear interpolation from the base (``t`` = 0) to the model (1); beyond 1 it extrapolates.

    WARP's last stage, linear interpolation towards the initialization (Rame et al. 2024, equation
    6), and what Command A does with an expert and its parent.
    """
    return _sum(stack, [t], 1 - t)


@operator(max_models=1)
def passthrough(stack: Stack, *, scale: PerModel = ALL_ONES) -> Kernel:
    """The tensor of the single model, times ``scale``.

    Args:
        stack: the tensor.
        scale: factor of the tensor.
    """
    return _sum(stack, scale, None)


def _sum(stack: Stack, coefficients: Sequence[float] | Floats, base: float | None) -> Kernel:
    """The kernel of a weighted sum of the base (first) and the models; a weight of 0 adds nothing.

    A single weight of 1 gives the bits of the input, negative zeros included.
    """
    terms = [*enumerate(map(float, coefficients))]
    if base is not None:
        terms.insert(0, (_BASE, base))

    def block(start: int, stop: int) -> Floats:
        merged, values = (block_buffer(role, stack, start, stop) for role in ("merged", "values"))
        empty = True
        for model, weight in terms:
            if model == _BASE:
                term = stack.base(start, stop)
            else:
                term = stack.values(model, start, stop, values)
            if weight == 0:
                continue
            if empty:
                np.multiply(term, stack.dtype.type(weight), out=merged)
            else:
                fused_axpy(weight, term, merged)
            empty = False
        if empty:
            merged[...] = 0
        return merged

    files = stack.files
    if files is not None and stack.has_base and base is None:
        files = files[1:]
    packed = packed_sum(files, [weight for _, weight in terms], from_zero=False)
    return Kernel(block, num_buffers=4, packed=packed)


def _gram(stack: Stack, *, with_base: bool = False, deltas: bool = False) -> Floats:
    """Inner products of all models, float64; with the base as the first, or of the differences."""
    num = stack.num_models + with_base

    def block(start: int, stop: int) -> Floats:
        base = stack.base(start, stop) if with_base or deltas else None
        values = block_buffer("values", stack, start, stop)
        wide = thread_buffer("wide", num * (stop - start), np.float64).reshape(num, -1)
        for row in range(num):
            model = row - with_base
            if model < 0:
                wide[row] = base
            elif deltas:
                wide[row] = stack.values(model, start, stop, values)
                wide[row] -= base
            else:
                wide[row] = stack.values(model, start, stop, values)
        gram = np.empty((num, num))
        product = thread_buffer("product", stop - start, np.float64)
        for i in range(num):
            for j in range(i, num):
                np.multiply(wide[i], wide[j], out=product)
                gram[i, j] = gram[j, i] = product.sum()
        return gram

    total = np.zeros((num, num))
    for part in stack.map(block, _GRAM_ELEMENTS):
        total += part
    return total
