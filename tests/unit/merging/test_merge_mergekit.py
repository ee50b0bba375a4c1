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


def ours(case, arrays):
    """Stored bytes of our merge, of mergekit's, and the inputs as they were stored."""
    weight = case.get("weight")
    num = 1 if case["method"] == "slerp" else len(weight or [1, 1, 1])
    dtype = case["dtype"]
    base, *models = [
        to_floats(to_bytes(one.reshape(-1), dtype), dtype).reshape(one.shape)
        for one in arrays(num, case["seed"])
    ]
    options = dict(case["options"])
    if weight is not None:
        options["weight"] = weight
    based = case["method"] not in {"linear", "multislerp"}
    merged = OPERATORS[case["method"]](
        *models, base=base if based else None, parity=dtype if based else None, **options
    )
    theirs = np.frombuffer(base64.b64decode(case["merged"]), np.uint8)
    return to_bytes(merged.reshape(-1), dtype), theirs, base, models


def of(*methods):
    found = [one for one in CASES if one["method"] in methods]
    assert found
    return pytest.mark.parametrize(
        "case", found, ids=[f"{one['name']} {one['dtype']}" for one in found]
    )


@of("linear")
def test_linear_is_mergekits_bit_for_bit(case, arrays):
    found, theirs, _, _ = ours(case, arrays)
    assert np.array_equal(found, theirs)


@of("task_arithmetic")
def test_task_arithmetic_in_parity_mode_bit_for_bit(case, arrays):
    found, theirs, _, _ = ours(case, arrays)
    assert np.array_equal(found, theirs)


@of("ties", "breadcrumbs", "breadcrumbs_ties")
def test_trimming_in_parity_mode_differs_at_ties_only(case, arrays):
    found, theirs, base, models = ours(case, arrays)
    width = {"BF16": 2, "F16": 2, "F32": 4}[case["dtype"]]
    differs = (found.reshape(-1, width) != theirs.reshape(-1, width)).any(axis=1)
    density, gamma = case["options"].get("density", 1.0), case["options"].get("gamma", 0.0)
    if density == 1:
        assert not differs.any()
        return
    at_tie = np.zeros(base.size, bool)
    for model in models:
        size = np.abs(to_floats(to_bytes((model - base).reshape(-1), case["dtype"]), case["dtype"]))
        ranked = np.sort(size)
        num = size.size
        kept = int(density * num)
        below = max(0, num - kept - int(gamma * num))
        for place in (below - 1, below, below + kept - 1, below + kept):
            if 0 <= place < num and np.count_nonzero(size == ranked[place]) > 1:
                at_tie |= size == ranked[place]
    assert not (differs & ~at_tie).any()
    assert differs.mean() < 0.15


@of("slerp", "multislerp", "model_stock", "sce")
def test_the_others_within_float32s_rounding(case, arrays):
    found, theirs, _, _ = ours(case, arrays)
    dtype = case["dtype"]
    one, other = to_floats(found, dtype), to_floats(theirs, dtype)
    step = {"BF16": 2.0**-7, "F16": 2.0**-10, "F32": 2.0**-19}[dtype]
    assert np.all(np.abs(one - other) <= step * np.maximum(np.abs(other), 1e-3))
