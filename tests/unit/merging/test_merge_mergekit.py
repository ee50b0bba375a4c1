"""Against mergekit 0.1.5 itself: golden outputs that it made of the same arrays."""

import base64
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from polylect.checkpoints import to_bytes, to_floats
from polylect.merging import OPERATORS

GOLDEN = Path(__file__).parents[2] / "golden" / "mergekit_merges.json"
CASES = json.loads(GOLDEN.read_text())["cases"]


@pytest.fixture(scope="module")
def arrays():
    spec = importlib.util.spec_from_file_location("made", GOLDEN.with_suffix(".py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.arrays


def merge_case(case, arrays):
    """Stored bytes of our merge, of mergekit's, and the inputs as they were stored."""
    weight = case.get("weight")
    num = 1 if case["method"] == "slerp" else len(weight or [1, 1, 1])
    dtype = case["dtype"]
    base, *models = [
        to_floats(to_bytes(array.reshape(-1), dtype), dtype).reshape(array.shape)
        for array in arrays(num, case["seed"])
    ]
    options = dict(case["options"])
    if weight is not None:
        options["weight"] = weight
    based = case["method"] not in {"linear", "multislerp"}
    merged = OPERATORS[case["method"]](
        *models, base=base if based else None, parity=dtype if based else None, **options
    )
    expected = np.frombuffer(base64.b64decode(case["merged"]), np.uint8)
    return to_bytes(merged.reshape(-1), dtype), expected, base, models


def of(*methods):
    cases = [case for case in CASES if case["method"] in methods]
    assert cases
    return pytest.mark.parametrize(
        "case", cases, ids=[f"{case['name']} {case['dtype']}" for case in cases]
    )


@of("linear")
def test_linear_equals_mergekit_bit_for_bit(case, arrays):
    actual, expected, _, _ = merge_case(case, arrays)
    assert np.array_equal(actual, expected)


@of("task_arithmetic")
def test_task_arithmetic_with_parity_equals_mergekit_bit_for_bit(case, arrays):
    actual, expected, _, _ = merge_case(case, arrays)
    assert np.array_equal(actual, expected)


@of("ties", "breadcrumbs", "breadcrumbs_ties")
def test_trimming_with_parity_differs_from_mergekit_only_at_ties(case, arrays):
    actual, expected, base, models = merge_case(case, arrays)
    width = {"BF16": 2, "F16": 2, "F32": 4}[case["dtype"]]
    differs = (actual.reshape(-1, width) != expected.reshape(-1, width)).any(axis=1)
    density, gamma = case["options"].get("density", 1.0), case["options"].get("gamma", 0.0)
    if density == 1:
        assert not differs.any()
        return
    at_tie = np.zeros(base.size, bool)
    for model in models:
        size = np.abs(to_floats(to_bytes((model - base).reshape(-1), case["dtype"]), case["dtype"]))
        ranked = np.sort(size)
        num = size.size
        num_kept = int(density * num)
        below = max(0, num - num_kept - int(gamma * num))
        for rank in (below - 1, below, below + num_kept - 1, below + num_kept):
            if 0 <= rank < num and np.count_nonzero(size == ranked[rank]) > 1:
                at_tie |= size == ranked[rank]
    assert not (differs & ~at_tie).any()
    assert differs.mean() < 0.15


@of("slerp", "multislerp", "model_stock", "sce")
def test_other_methods_equal_mergekit_within_float32_rounding(case, arrays):
    actual, expected, _, _ = merge_case(case, arrays)
    dtype = case["dtype"]
    merged, other = to_floats(actual, dtype), to_floats(expected, dtype)
    step = {"BF16": 2.0**-7, "F16": 2.0**-10, "F32": 2.0**-19}[dtype]
    assert np.all(np.abs(merged - other) <= step * np.maximum(np.abs(other), 1e-3))
