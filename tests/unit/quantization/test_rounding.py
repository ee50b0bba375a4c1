"""Schemes against their definitions, in float64, and against bitsandbytes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from polylect.models import Int8DynamicLinear, OutlierLinear, encode_nf4, pack_int32, scale_levels
from polylect.models.codecs import decode_nf4, unpack_int32
from polylect.quantization import SCHEMES
from polylect.quantization.formats import Stored
from polylect.quantization.rounding import nearest, restored, scales_of


def definition(weight, bits, group):
    """The ten lines: codes and scales of a weight, in float64."""
    top, low, high = {8: (127, -127, 127), 4: (7.5, -8, 7)}[bits]
    wide = weight.numpy().astype(np.float64).reshape(len(weight), -1, group)
    largest = np.abs(wide).max(axis=2).astype(np.float32)
    scale = largest / np.float32(top)
    scale[scale == 0] = 1
    codes = np.clip(np.rint(wide / scale.astype(np.float64)[:, :, None]), low, high)
    return codes.reshape(weight.shape).astype(np.int8), scale


@pytest.mark.parametrize(("bits", "group"), [(8, 96), (4, 96), (4, 32), (8, 24)])
def test_codes_and_scales_are_those_of_the_definition(bits, group):
    torch.manual_seed(0)
    weight = torch.randn(70, 96) * torch.exp(torch.randn(70, 1))
    weight[3] = 0
    scale = scales_of(weight, bits, group)
    codes, expected = definition(weight, bits, group)
    assert np.array_equal(scale.numpy(), expected)
    assert np.array_equal(nearest(weight, scale, bits).numpy(), codes)


def test_a_tie_goes_to_the_even_code_and_is_not_moved_by_float32():
    weight = torch.tensor([[127.0, 0.5, 1.5, 2.5, -0.5, -1.5]])
    assert nearest(weight, torch.tensor([[1.0]]), 8).tolist() == [[127, 0, 2, 2, 0, -2]]
    # 64.5 scales less the last bit: float32 would divide it up to the tie.
    scale = torch.tensor([[0.1]])
    just_under = torch.nextafter(torch.tensor([[6.45]]), torch.tensor([[0.0]]))
    exact = np.rint(just_under.double().numpy() / scale.double().numpy())
    assert nearest(just_under, scale, 8).item() == exact.item()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([4, 8]), st.sampled_from([8, 16, 48]))
def test_no_error_is_larger_than_half_a_step_and_rounding_twice_changes_nothing(seed, bits, group):
    weight = torch.randn(5, 48, generator=torch.Generator().manual_seed(seed))
    scale = scales_of(weight, bits, group)
    back = restored(nearest(weight, scale, bits), scale)
    steps = scale.repeat_interleave(group, dim=1)
    assert ((back - weight).abs() <= 0.5001 * steps).all()
    assert torch.equal(nearest(back, scale, bits), nearest(weight, scale, bits))


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("columns", [64, 88, 30, 1])
def test_packing_comes_back(bits, columns):
    codes = torch.randint(-(2 ** (bits - 1)), 2 ** (bits - 1), (5, columns), dtype=torch.int8)
    words = pack_int32(codes, bits)
    assert words.shape == (5, -(-columns * bits // 32))
    assert torch.equal(unpack_int32(words, bits, columns), codes)


def test_packing_is_that_of_compressed_tensors():
    helpers = pytest.importorskip("compressed_tensors.compressors.pack_quantized.helpers")
    for bits in (4, 8):
        codes = torch.randint(-(2 ** (bits - 1)), 2 ** (bits - 1), (5, 88), dtype=torch.int8)
        assert torch.equal(pack_int32(codes, bits), helpers.pack_to_int32(codes, bits))


def test_nf4_is_that_of_bitsandbytes_bit_for_bit():
    functional = pytest.importorskip("bitsandbytes.functional")
    assert torch.equal(scale_levels(), functional.create_dynamic_map())
    for seed, size in enumerate([(512, 768), (96, 64), (300, 128)]):
        weight = torch.randn(size, generator=torch.Generator().manual_seed(seed)) * 0.02
        weight[:2] = 0
        codes, state = functional.quantize_4bit(
            weight, blocksize=64, quant_type="nf4", compress_statistics=True
        )
        ours = encode_nf4(weight)
        assert torch.equal(codes, ours["codes"])
        assert torch.equal(state.absmax, ours["absmax"])
        assert torch.equal(state.state2.absmax, ours["nested_absmax"])
        assert torch.equal(state.offset, ours["offset"])
        back = decode_nf4(**ours, shape=tuple(weight.shape))
        assert torch.equal(functional.dequantize_4bit(codes, state), back)


def test_nf4_of_gaussian_weights_has_the_known_error():
    weight = torch.randn(2048, 512, generator=torch.Generator().manual_seed(0))
    back = decode_nf4(**encode_nf4(weight), shape=tuple(weight.shape))
    assert float((back - weight).norm() / weight.norm()) == pytest.approx(0.0919, abs=5e-4)


def test_int8_products_are_those_of_the_definition():
    torch.manual_seed(0)
    weight, x = torch.randn(40, 96), torch.randn(7, 96) * 3
    x[2] = 0
    stored = Stored(SCHEMES["w8a8"], weight, 96, torch.float32)
    layer = stored.layer(None)
    assert isinstance(layer, Int8DynamicLinear)
    step = (x.abs().amax(dim=1, keepdim=True) / np.float32(127)).double()
    step[step == 0] = 1
    tokens = torch.round(x.double() / step).clamp(-127, 127)
    expected = (tokens @ stored.codes.double().T) * step * stored.scale.double().T
    assert torch.allclose(layer(x).double(), expected, rtol=1e-6, atol=1e-6)
    # int32 sums do not lose what int8 sums would
    big = Int8DynamicLinear(torch.full((1, 4096), 127, dtype=torch.int8), torch.ones(1, 1), None)
    assert big(torch.ones(1, 4096)).item() == pytest.approx(127 * 4096, rel=1e-6)


def test_outliers_stay_floats_and_no_token_depends_on_another():
    torch.manual_seed(0)
    weight, x = torch.randn(40, 96), torch.randn(7, 96)
    x[1, 5], x[4, 9] = 30.0, -6.0
    stored = Stored(SCHEMES["llm-int8"], weight, 96, torch.float32)
    layer = stored.layer(None)
    assert isinstance(layer, OutlierLinear)
    together, alone = layer(x), torch.cat([layer(one[None]) for one in x])
    assert torch.allclose(together, alone, rtol=1e-6, atol=1e-6)
    exact = x @ layer.restored.T
    error = (together - exact).norm(dim=1) / exact.norm(dim=1)
    assert float(error.max()) < 0.02
    plain = Int8DynamicLinear(stored.codes, layer.scale, None)(x)
    assert (plain - exact)[1].norm() > 3 * (together - exact)[1].norm()


def test_llm_int8_is_that_of_bitsandbytes_for_a_token():
    functional = pytest.importorskip("bitsandbytes.functional")
    torch.manual_seed(0)
    weight, x = torch.randn(40, 96).half().float(), torch.randn(6, 96).half().float()
    x[3, 7] = 9.0
    stored = Stored(SCHEMES["llm-int8"], weight, 96, torch.float32)
    codes, scale, _ = functional.int8_vectorwise_quant(weight.half())
    assert torch.equal(codes, stored.codes)
    assert torch.equal(scale, stored.scale[:, 0])
    for row in x:
        tokens, size, outliers = functional.int8_vectorwise_quant(row[None].half(), threshold=6.0)
        theirs = (
            functional.int8_mixed_scaled_mm
            if hasattr(functional, "int8_mixed_scaled_mm")
            else torch.ops.bitsandbytes.int8_mixed_scaled_mm
        )
        found, _ = theirs(row[None].half(), tokens, codes, size, scale, outliers)
        ours = stored.layer(None)(row[None])
        assert float((found.float() - ours).norm() / ours.norm()) < 2e-3
