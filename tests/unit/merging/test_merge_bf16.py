"""The short way for BF16: the bits of the ordinary one, and nothing where that has to speak."""

import itertools

import numpy as np
import pytest

from polylect.checkpoints import TensorInfo, to_bytes
from polylect.merging import operator_named
from polylect.merging.arithmetic.stack import from_tensors

NUM, CUTS = 1003, (0, 2, 500, 501, 900, 1003)
CASES = {
    "linear": ({"weight": (0.5, 0.3, -0.7)}, None),
    "linear, not divided": ({"weight": (0.5, 0.3, 0.2), "normalize": False}, None),
    "linear, a weight of zero": ({"weight": (0.0, 0.3, 0.2)}, None),
    "slerp": ({"t": 0.3}, 0),
    "slerp, at an end": ({"t": 1.0}, 0),
    "interpolate": ({"t": 1.5}, 0),
    "multislerp": ({"weight": (0.5, 0.3, 0.2)}, None),
    "multislerp, based": ({"weight": (0.5, 0.3), "eta": 0.4}, 0),
    "model_stock": ({}, 0),
    "passthrough": ({}, None),
}


def kernel(root, name, change=lambda values, number: None):
    """A kernel of three BF16 tensors in raw files, one for each; fewer where it takes fewer."""
    options, base = CASES[name]
    method = operator_named(name.split(",")[0])
    num = min(3, (method.max_models or 9) + (base is not None))
    infos = []
    for number in range(num):
        random = np.random.default_rng([7, number])
        values = random.standard_normal(NUM).astype(np.float32)
        values[::97] = -0.0
        values[5::89] *= np.float32(1e-38)
        change(values, number)
        path = root / f"{number}.raw"
        path.write_bytes(to_bytes(values, "BF16").tobytes())
        infos.append((f"m{number}", TensorInfo("w", "BF16", (NUM,), path, 0, 2 * NUM)))
    first = infos[0] if base is not None else None
    stack = from_tensors("w", infos[first is not None :], base=first)
    return method.kernel(stack, options)


@pytest.mark.parametrize("name", CASES)
def test_packed_sums_have_the_bytes_of_the_general_path(tmp_path, name):
    merged = kernel(tmp_path, name)
    assert merged.packed is not None
    num_packed = 0
    for start, stop in [*itertools.pairwise(CUTS), (0, 1000), (3, 103)]:
        raw = merged.packed(start, stop)
        if (stop - start) % 2:
            assert raw is None
            continue
        num_packed += 1
        actual = raw.tobytes()
        assert actual == to_bytes(merged.block(start, stop), "BF16").tobytes(), (start, stop)
    assert num_packed >= 4


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["linear", "linear, a weight of zero", "passthrough"])
def test_blocks_with_nan_or_infinity_are_left_to_the_general_path(tmp_path, name, value):
    def change(values, number):
        if number == 0:
            values[700] = value

    merged = kernel(tmp_path, name, change)
    assert merged.packed(600, 800) is None
    assert merged.packed(0, 600) is not None


def test_a_sum_that_overflows_bf16_is_left_to_the_general_path(tmp_path):
    def change(values, number):
        values[10] = 3e38

    merged = kernel(tmp_path, "linear, not divided", change)
    assert merged.packed(0, 100) is not None  # 3e38 still fits
    huge = kernel(tmp_path, "interpolate", lambda v, n: v.__setitem__(10, 3e38 * (2 * n - 1)))
    assert huge.packed(0, 100) is None


def test_other_dtypes_and_arrays_have_no_packed_sum(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(bytes(4 * NUM))
    info = TensorInfo("w", "F32", (NUM,), path, 0, 4 * NUM)
    method = operator_named("linear")
    assert method.kernel(from_tensors("w", [("a", info), ("b", info)]), {}).packed is None
