"""Element types against torch's own casts, every 16-bit pattern among them."""

import numpy as np
import pytest
import torch

from polylect.checkpoints import DTYPES, item_size, overflow, to_bytes, to_floats

TORCH = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def raw_of(tensor):
    return tensor.contiguous().view(torch.uint8).reshape(-1).numpy()


def random_floats(num):
    """Every exponent, both signs, subnormals, infinities and NaN: random bit patterns."""
    bits = np.random.default_rng(0).integers(0, 2**32, num, dtype=np.uint32)
    edges = np.array([0, 0x80000000, 1, 0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001, 0xFFFFFFFF])
    half_ways = np.arange(0x3F800000, 0x3F800000 + 2**18, 2**12)
    return np.concatenate([bits, edges, half_ways]).astype(np.uint32).view(np.float32)


def equal(actual, expected):
    return bool(np.all((actual == expected) | (np.isnan(actual) & np.isnan(expected))))


@pytest.mark.parametrize("dtype", ["F16", "BF16"])
def test_every_pattern_of_16_bits_goes_to_floats_and_back(dtype):
    raw = np.arange(2**16, dtype=np.uint16).view(np.uint8)
    values = to_floats(raw, dtype)
    expected = torch.from_numpy(raw.copy()).view(TORCH[dtype]).float().numpy()
    assert values.dtype == np.float32
    assert equal(values, expected)
    back = to_bytes(values, dtype).view(np.uint16)
    numbers = ~np.isnan(values)
    assert np.array_equal(back[numbers], raw.view(np.uint16)[numbers])
    assert np.isnan(to_floats(back.view(np.uint8), dtype)[~numbers]).all()


@pytest.mark.parametrize("dtype", ["F64", "F32", "F16", "BF16"])
def test_floats_are_rounded_as_torch_rounds_them(dtype):
    values = random_floats(200_000)
    rounded = torch.from_numpy(to_bytes(values, dtype)).view(TORCH[dtype])
    expected = torch.from_numpy(values).to(TORCH[dtype])
    assert equal(rounded.double().numpy(), expected.double().numpy())
    signs = torch.signbit(rounded) == torch.signbit(expected)
    assert bool((signs | torch.isnan(expected)).all())


@pytest.mark.parametrize("dtype", sorted(TORCH))
def test_every_dtype_is_read_as_torch_reads_it(dtype):
    raw = np.random.default_rng(1).integers(0, 256, 8 * 4096, dtype=np.uint8)
    raw = raw & 1 if dtype == "BOOL" else raw
    stored = torch.from_numpy(raw).view(TORCH[dtype])
    assert equal(to_floats(raw, dtype), stored.float().numpy())
    assert item_size(dtype) == stored.element_size()


@pytest.mark.parametrize("dtype", ["I64", "I32", "I16", "I8", "U8", "BOOL"])
def test_integers_are_rounded_to_nearest_even(dtype):
    values = np.array([0, 0.5, 1.5, 2.5, 3.49, 100.5], np.float32)
    if dtype not in {"U8", "BOOL"}:
        values = np.concatenate([values, -values])
    expected = torch.from_numpy(values)
    expected = expected != 0 if dtype == "BOOL" else expected.round().to(TORCH[dtype])
    assert np.array_equal(to_bytes(values, dtype), raw_of(expected))


@pytest.mark.parametrize(
    ("dtype", "value"), [("U8", -1), ("U8", 255.6), ("I8", 128), ("I64", 2.0**63), ("I32", np.nan)]
)
def test_a_value_that_fits_no_integer_is_an_assertion(dtype, value):
    with pytest.raises(AssertionError, match=dtype):
        to_bytes(np.array([value], np.float32), dtype)


def test_the_largest_float_below_an_integers_limit_fits():
    values = np.array([np.nextafter(np.float32(2**63), np.float32(0)), -(2.0**63)], np.float32)
    assert to_bytes(values, "I64").view(np.int64).tolist() == [int(values[0]), -(2**63)]


def test_float64_is_rounded_once():
    # Just above half way between two float32: rounding to bf16 first would lose the excess.
    value = np.array([1 + 2.0**-24 + 2.0**-50])
    assert to_bytes(value, "F32").view(np.float32)[0] == np.float32(1 + 2.0**-23)
    above, below = np.array([1 + 2.0**-8 + 2.0**-40]), np.array([1 + 2.0**-8 - 2.0**-40])
    for exact, rounded in ((above, 1 + 2.0**-7), (below, 1.0), (-above, -1 - 2.0**-7)):
        assert to_floats(to_bytes(exact, "BF16"), "BF16").tolist() == [rounded]
    half = np.array([1 + 2.0**-8, 1 + 3 * 2.0**-8, np.inf, np.nan, 3.4e38, -0.0])
    values = to_floats(to_bytes(half, "BF16"), "BF16")
    assert np.array_equal(values, [1, 1 + 2.0**-6, np.inf, np.nan, np.inf, -0.0], equal_nan=True)


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32"])
def test_values_can_be_read_as_float64(dtype):
    values = np.random.default_rng(2).standard_normal(100, dtype=np.float32)
    raw = to_bytes(values, dtype)
    wide = np.empty(100, np.float64)
    assert to_floats(raw, dtype, out=wide) is wide
    assert np.array_equal(wide, to_floats(raw, dtype))


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F32"])
def test_overflow_is_the_first_value_that_becomes_infinite(dtype):
    limit = overflow(dtype)
    kind = np.float64 if dtype == "F32" else np.float32
    below, at = np.nextafter(kind(limit), kind(0)), kind(limit)
    values = to_floats(to_bytes(np.array([below, at, -below, -at]), dtype), dtype)
    assert np.isinf(values).tolist() == [False, True, False, True]


def test_f8_can_only_be_copied_as_bytes():
    raw = np.zeros(4, np.uint8)
    assert [item_size(dtype) for dtype in DTYPES if dtype.startswith("F8")] == [1] * 5
    with pytest.raises(AssertionError, match="raw bytes only"):
        to_floats(raw, "F8_E4M3")
    with pytest.raises(AssertionError, match="raw bytes only"):
        to_bytes(raw.astype(np.float32), "F8_E4M3")


def test_empty_and_strided_arrays_are_converted():
    assert to_floats(np.empty(0, np.uint8), "BF16").shape == (0,)
    assert to_bytes(np.empty(0, np.float32), "BF16").shape == (0,)
    values = np.arange(10, dtype=np.float32)[::2]
    assert np.array_equal(to_floats(to_bytes(values, "BF16"), "BF16"), values)
