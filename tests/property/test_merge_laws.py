"""Laws of linear merging on random shapes, types and bit patterns, subnormals included."""

import itertools
import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polylect.checkpoints import (
    WEIGHTS,
    Checkpoint,
    ShardWriter,
    TensorSpec,
    item_size,
    read_floats,
    read_raw,
    to_bytes,
)
from polylect.merging import merge_linear

LAWS = settings(max_examples=30, deadline=None, database=None)
EPSILON = {"F32": 2.0**-23, "F16": 2.0**-10, "BF16": 2.0**-7}
SUBNORMAL = {"F32": 2.0**-149, "F16": 2.0**-24, "BF16": 2.0**-133}

shapes = st.lists(st.lists(st.integers(0, 5), max_size=3).map(tuple), min_size=1, max_size=4)
dtypes = st.sampled_from(["F32", "F16", "BF16"])
seeds = st.integers(0, 2**32 - 1)
positive = st.floats(1e-3, 1e3)


@pytest.fixture(scope="module")
def room():
    """Numbered folders below one that goes when the tests of this file are done."""
    with tempfile.TemporaryDirectory() as root, pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)  # bytes are tested here, not disks
        yield (Path(root) / str(number) for number in itertools.count())


def patterns(num, dtype, random):
    """Finite values of any exponent the type has; signed zeros and subnormals among them."""
    bits = random.integers(0, 2**32, num, dtype=np.uint64).astype(np.uint32)
    bits[random.random(num) < 0.1] &= np.uint32(0x807FFFFF)  # exponent 0: subnormal or near zero
    bits[random.random(num) < 0.1] &= np.uint32(0x80000000)  # a signed zero
    values = bits.view(np.float32)
    # BF16 is summed in float32, where a weight of 1000 must not reach infinity on the way.
    limit = {"F16": 65504.0, "BF16": 1e34, "F32": 3.4e38}[dtype]
    values = np.where(np.abs(values) <= limit, values, np.float32(1.5))
    return to_bytes(values.astype(np.float32), dtype)


def make(folder, shape_list, dtype, seed, *, max_shard_bytes=10**9, pattern=patterns):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "tiny"}))
    specs = [TensorSpec(f"t{number}", dtype, shape) for number, shape in enumerate(shape_list)]
    writer = ShardWriter(folder, specs, max_shard_bytes=max_shard_bytes)
    for number, spec in enumerate(specs):
        random = np.random.default_rng([seed, number])
        writer.write(spec.name, 0, pattern(int(np.prod(spec.shape)), dtype, random))
    writer.finish()
    return Checkpoint.open(folder)


def ordinary(num, dtype, random):
    """Values as weights have them."""
    return to_bytes(random.standard_normal(num).astype(np.float32), dtype)


def content(checkpoint):
    return {name: bytes(read_raw(info)) for name, info in checkpoint.tensors.items()}


@LAWS
@given(shapes, st.sampled_from(["F16", "BF16"]), seeds, st.lists(positive, min_size=1, max_size=6))
def test_a_model_merged_with_itself_is_itself(room, shape_list, dtype, seed, weights):
    model = make(next(room), shape_list, dtype, seed)
    merged = merge_linear([model] * len(weights), weights, next(room)).checkpoint
    for name, info in model.tensors.items():  # by value: sums begin at 0, which unsigns -0
        assert np.array_equal(read_floats(merged.tensors[name]), read_floats(info))


@LAWS
@given(shapes, dtypes, seeds, st.lists(positive, min_size=2, max_size=5), st.randoms())
def test_the_order_of_models_moves_a_result_by_one_rounding_at_most(
    room, shape_list, dtype, seed, weights, shuffle
):
    models = [
        make(next(room), shape_list, dtype, (seed + n) % 2**32, pattern=ordinary)
        for n in range(len(weights))
    ]
    order = list(range(len(weights)))
    shuffle.shuffle(order)
    merged = merge_linear(models, weights, next(room)).checkpoint
    other = merge_linear([models[n] for n in order], [weights[n] for n in order], next(room))
    for name, info in merged.tensors.items():
        values = read_floats(info).astype(np.float64)
        moved = read_floats(other.checkpoint.tensors[name]).astype(np.float64)
        size = sum(
            np.abs(read_floats(model.tensors[name])).astype(np.float64) * weight
            for model, weight in zip(models, weights, strict=True)
        ) / sum(weights)
        # One step of the result; where terms cancel, what the wider sums lose of their size.
        sums = 2.0**-21
        step = np.maximum(np.abs(values), np.abs(moved)) * EPSILON[dtype] + SUBNORMAL[dtype]
        assert np.all(np.abs(values - moved) <= step + size * sums)


@LAWS
@given(
    shapes,
    dtypes,
    seeds,
    st.lists(st.floats(-2, 2), min_size=1, max_size=4),
    st.integers(1, 5),
    st.integers(1, 300),
    st.integers(1, 300),
)
def test_threads_blocks_and_shards_never_change_a_byte(
    room, shape_list, dtype, seed, weights, num_threads, block_elems, shard_bytes
):
    whole, cut = [], []
    for number in range(len(weights)):
        model_seed = (seed + number) % 2**32
        whole.append(make(next(room), shape_list, dtype, model_seed, pattern=ordinary))
        cut.append(
            make(
                next(room),
                shape_list,
                dtype,
                model_seed,
                pattern=ordinary,
                max_shard_bytes=shard_bytes,
            )
        )
    plain = merge_linear(whole, weights, next(room), normalize=False).checkpoint
    other = merge_linear(
        cut, weights, next(room), normalize=False, num_threads=num_threads, block_elems=block_elems
    ).checkpoint
    split = merge_linear(
        cut, weights, next(room), normalize=False, max_shard_bytes=shard_bytes
    ).checkpoint
    assert (other.path / WEIGHTS).read_bytes() == (plain.path / WEIGHTS).read_bytes()
    assert content(split) == content(plain)
    assert plain.digest == other.digest == split.digest


@LAWS
@given(shapes, dtypes, seeds, st.lists(st.floats(-2, 2), min_size=2, max_size=4))
def test_close_to_the_sum_in_float64(room, shape_list, dtype, seed, weights):
    models = [
        make(next(room), shape_list, dtype, (seed + n) % 2**32, pattern=ordinary)
        for n in range(len(weights))
    ]
    merged = merge_linear(models, weights, next(room), normalize=False).checkpoint
    for name, info in merged.tensors.items():
        terms = [
            read_floats(model.tensors[name]).astype(np.float64) * weight
            for model, weight in zip(models, weights, strict=True)
        ]
        exact, size = sum(terms), sum(np.abs(term) for term in terms)
        sums = 2.0**-21
        half = np.abs(exact) * EPSILON[dtype] / 2 * (1 + 2.0**-6) + SUBNORMAL[dtype]
        assert np.all(np.abs(read_floats(info) - exact) <= half + size * sums)


@LAWS
@given(shapes, dtypes, seeds)
def test_a_uniform_merge_is_one_with_equal_weights(room, shape_list, dtype, seed):
    models = [make(next(room), shape_list, dtype, seed ^ n, pattern=ordinary) for n in range(3)]
    uniform = merge_linear(models, None, next(room)).checkpoint
    equal = merge_linear(models, [1 / 3] * 3, next(room)).checkpoint
    assert content(uniform) == content(equal)
    assert uniform.num_parameters == sum(
        (info.end - info.begin) // item_size(dtype) for info in models[0].tensors.values()
    )
