"""GPTQ, AWQ and SmoothQuant against what they promise."""

import pytest
import torch

from polylect.quantization.gptq import gptq, inverse_factor
from polylect.quantization.hessian import add_moments, proxy_loss, whole
from polylect.quantization.rounding import nearest, restored, scales_of
from polylect.quantization.scaling import Moments, awq_scale, smooth_scale


def inputs(num, width, seed=0):
    """Correlated inputs, some much larger than others."""
    random = torch.Generator().manual_seed(seed)
    mixed = torch.randn(num, width, generator=random) @ torch.randn(width, width, generator=random)
    return mixed * torch.exp(torch.randn(width, generator=random))


def moments_of(x):
    total = torch.zeros(x.shape[1], x.shape[1])
    add_moments(total, x)
    return whole(total)


def test_moments_are_those_of_the_definition_beyond_one_block():
    x = inputs(200, 700)
    assert torch.allclose(moments_of(x), x.T @ x, rtol=1e-4, atol=1e-2)
    error = torch.randn(5, 700)
    expected = (x @ error.T).square().sum(dim=0)
    assert torch.allclose(proxy_loss(error, moments_of(x)), expected, rtol=1e-3)


def reference(weight, scale, moments, damping=0.01):
    """GPTQ without blocks, in float64: after each column the rest is solved again exactly."""
    w, h = weight.double().clone(), moments.double().clone()
    h.diagonal().add_(damping * h.diagonal().mean())
    order = torch.argsort(moments.diagonal(), descending=True, stable=True).tolist()
    steps = scale.double().repeat_interleave(weight.shape[1] // scale.shape[1], dim=1)
    codes = torch.zeros_like(w)
    for place, column in enumerate(order):
        rest = order[place:]
        inverse = torch.linalg.inv(h[rest][:, rest])
        codes[:, column] = (w[:, column] / steps[:, column]).round().clamp(-8, 7)
        error = (w[:, column] - codes[:, column] * steps[:, column]) / inverse[0, 0]
        w[:, rest] -= error[:, None] * inverse[0][None]
    return codes


@pytest.mark.parametrize("group", [24, 8])
def test_gptq_is_the_optimal_update_column_by_column(group):
    torch.manual_seed(0)
    weight, moments = torch.randn(30, 24), moments_of(inputs(400, 24))
    scale = scales_of(weight, 4, group)
    found = gptq(weight, scale, moments, 4)
    slow = reference(weight, scale, moments)
    plain = nearest(weight, scale, 4).double()

    def loss(codes):
        steps = scale.double().repeat_interleave(24 // scale.shape[1], dim=1)
        return proxy_loss(weight.double() - codes.double() * steps, moments.double())

    best = torch.minimum(loss(slow), loss(plain))
    assert torch.allclose(loss(found.codes), best, rtol=1e-4)
    assert (found.codes.double() == slow).float().mean() > 0.9


@pytest.mark.parametrize("width", [16, 130, 300])
def test_gptq_is_never_above_round_to_nearest_on_any_output(width):
    torch.manual_seed(width)
    weight, moments = torch.randn(40, width), moments_of(inputs(60, width))
    scale = scales_of(weight, 4, width)
    found = gptq(weight, scale, moments, 4)
    own = proxy_loss(weight - restored(found.codes, scale), moments)
    plain = proxy_loss(weight - restored(nearest(weight, scale, 4), scale), moments)
    assert (own <= plain * (1 + 1e-6)).all()
    assert torch.allclose(own, found.loss, rtol=1e-4)
    assert own.sum() < 0.9 * plain.sum()


def test_inputs_that_never_occur_are_rounded_to_nearest():
    torch.manual_seed(0)
    x = inputs(100, 32)
    x[:, [3, 20]] = 0
    weight = torch.randn(10, 32)
    scale = scales_of(weight, 4, 32)
    found = gptq(weight, scale, moments_of(x), 4)
    assert torch.equal(found.codes[:, [3, 20]], nearest(weight, scale, 4)[:, [3, 20]])


@pytest.mark.parametrize("size", [5, 64, 65, 200])
def test_the_factor_is_that_of_the_inverse_in_order(size):
    x = inputs(3 * size, size).double()
    moments, order = x.T @ x, torch.randperm(size)
    factor, times = inverse_factor(moments, order, 0.01)
    damped = moments + 0.01 * moments.diagonal().mean() * torch.eye(size)
    expected = torch.linalg.cholesky(torch.linalg.inv(damped[order][:, order]), upper=True)
    assert times == 0
    assert torch.allclose(factor, expected, rtol=1e-7, atol=1e-9)


def test_moments_of_too_few_tokens_are_damped_until_they_invert():
    moments = moments_of(torch.randn(2, 64) * 1e3)
    factor, _ = inverse_factor(moments, torch.arange(len(moments)), 1e-9)
    assert torch.isfinite(factor).all()


def test_awq_is_never_above_round_to_nearest_and_helps_with_uneven_inputs():
    torch.manual_seed(0)
    weight, x = torch.randn(50, 64), inputs(500, 64)
    moments = Moments(x.abs().amax(0), x.abs().sum(0), len(x), moments_of(x))
    scale, exponent, loss, plain = awq_scale(weight, moments, 64, torch.float32)
    assert loss <= plain
    assert exponent > 0
    steps = scales_of(weight * scale, 4, 64)
    back = restored(nearest(weight * scale, steps, 4), steps) / scale
    assert float(proxy_loss(weight - back, moments.products).sum()) == pytest.approx(loss, rel=1e-3)


def test_smoothing_moves_what_the_strength_says():
    largest, weight = torch.tensor([16.0, 1.0, 0.0]), torch.tensor([[4.0, -1.0, 2.0]])
    half = smooth_scale(largest, weight, 0.5)
    assert half.tolist() == pytest.approx([2.0, 1.0, 1.0])  # an input that is 0 stays
    assert smooth_scale(largest, weight, 1.0).tolist() == pytest.approx([16.0, 1.0, 1.0])
