"""Every operator against its definition in float64, and what its randomness and ties obey."""

import itertools
import math

import numpy as np
import pytest

from polylect.base import InputError
from polylect.checkpoints import to_bytes, to_floats
from polylect.merging import OPERATORS
from polylect.merging.arithmetic.fma import exact_axpy, fused_axpy
from polylect.merging.arithmetic.stack import from_arrays
from polylect.merging.operators.cancellation import cancels
from polylect.merging.operators.drop_masks import bernoulli_mask
from polylect.merging.operators.order_statistics import kth_smallest
from polylect.merging.tensor_settings import check_setting, layer_positions, resolve

SHAPE = (24, 70)


@pytest.fixture
def stack():
    random = np.random.default_rng(3)
    base = (random.standard_normal(SHAPE) * 0.02).astype(np.float32)
    models = [base + (random.standard_normal(SHAPE) * 0.002).astype(np.float32) for _ in range(3)]
    return base, models


def close(actual, exact, models, base=None):
    """Within a few float32 roundings of the largest value that took part."""
    size = max(np.abs(model).max() for model in [*models, *([] if base is None else [base])])
    assert np.abs(actual - exact).max() <= 8 * 2.0**-24 * max(size, np.abs(exact).max())


def wide(models):
    return [model.astype(np.float64) for model in models]


# -- weighted sums -----------------------------------------------------------------------------


def test_axpy_rounds_the_exact_sum_once():
    from fractions import Fraction

    random = np.random.default_rng(0)
    for scale in (1, 2.0**-24, 2.0**24):
        values, total = random.standard_normal((2, 300)).astype(np.float32)
        values *= np.float32(scale)
        weight = float(np.float32(random.standard_normal()))
        exact = [
            Fraction(weight) * Fraction(float(value)) + Fraction(float(previous))
            for value, previous in zip(values, total, strict=True)
        ]
        for way in (fused_axpy, exact_axpy):
            result = total.copy()
            way(weight, values, result)
            for rounded, exact_value in zip(result, exact, strict=True):
                near = [np.nextafter(rounded, np.float32(side)) for side in (-np.inf, np.inf)]
                error = abs(Fraction(float(rounded)) - exact_value)
                assert all(error <= abs(Fraction(float(other)) - exact_value) for other in near)


def test_slerp_keeps_the_ends_and_the_angle(stack):
    base, (model, *_) = stack
    slerp = OPERATORS["slerp"]
    assert slerp(model, base=base, t=0).tobytes() == base.tobytes()
    assert slerp(model, base=base, t=1).tobytes() == model.tobytes()
    other = np.roll(base, 1)
    a, b = wide([base, other])
    cosine = (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())
    angle = math.acos(cosine)
    exact = (math.sin(0.7 * angle) * a + math.sin(0.3 * angle) * b) / math.sin(angle)
    close(slerp(other, base=base, t=0.3), exact, [other], base)


def test_slerp_at_its_ends_and_passthrough_keep_negative_zero():
    zero = np.array([-0.0, 1.0], np.float32)
    assert OPERATORS["slerp"](zero, base=zero + 1, t=1).tobytes() == zero.tobytes()
    assert OPERATORS["passthrough"](zero).tobytes() == zero.tobytes()


def test_the_spherical_mean_of_equal_directions_is_the_weighted_mean(stack):
    base, _ = stack
    merged = OPERATORS["multislerp"](base, base * 2, base * 4, weight=(0.5, 0.25, 0.25))
    close(merged, base.astype(np.float64) * 2.0, [base * 4])


def test_the_spherical_mean_of_two_is_slerp_scaled():
    first, second = np.array([1.0, 0, 0], np.float32), np.array([0, 1.0, 0], np.float32)
    merged = OPERATORS["multislerp"](first, second)
    close(merged, np.array([1, 1, 0]) / math.sqrt(2), [first])
    with pytest.raises(InputError, match="cancel"):
        OPERATORS["multislerp"](first, -first, second * 0)


def test_warp_goes_part_of_the_way_from_the_base(stack):
    base, models = stack
    whole = OPERATORS["multislerp"](*models, base=base).astype(np.float64)
    half = OPERATORS["multislerp"](*models, base=base, eta=0.5)
    close(half, (base + whole) / 2, models, base)


def test_model_stock_between_base_and_mean(stack):
    base, models = stack
    deltas = [model - base.astype(np.float64) for model in models]
    cosines = [
        (deltas[i] * deltas[j]).sum() / np.linalg.norm(deltas[i]) / np.linalg.norm(deltas[j])
        for i, j in ((0, 1), (0, 2), (1, 2))
    ]
    cosine = np.mean(cosines)
    t = 3 * cosine / (1 + 2 * cosine)
    merged = OPERATORS["model_stock"](*models, base=base)
    close(merged, t * np.mean(wide(models), axis=0) + (1 - t) * base, models, base)


def test_interpolate_is_a_line(stack):
    base, (model, *_) = stack
    exact = base + 0.3 * (model - base.astype(np.float64))
    close(OPERATORS["interpolate"](model, base=base, t=0.3), exact, [model], base)


# -- task vectors ------------------------------------------------------------------------------


def reference_ties(base, models, weight, density, normalize, factor=1.0):
    deltas = []
    for model in wide(models):
        # Differences as they are in float32: which elements are trimmed depends on them.
        delta = (model.astype(np.float32) - base).astype(np.float64)
        num_kept = max(1, int(density * delta.size))
        threshold = np.sort(np.abs(delta), axis=None)[-num_kept]
        deltas.append(delta * (np.abs(delta) >= threshold))
    weighted = np.stack([delta * w for delta, w in zip(deltas, weight, strict=True)])
    sign = np.where(weighted.sum(axis=0) >= 0, 1, -1)
    agreed = np.sign(weighted) == sign
    mixed = (weighted * agreed).sum(axis=0)
    if normalize:
        below = (agreed * np.array(weight).reshape(-1, 1, 1)).sum(axis=0)
        mixed = mixed / np.where(below == 0, 1, below)
    return base + factor * mixed


@pytest.mark.parametrize("density", [1.0, 0.5, 0.1, 1e-9])
@pytest.mark.parametrize("normalize", [True, False])
def test_ties_in_float64(stack, density, normalize):
    base, models = stack
    options = {"weight": (0.5, 0.3, 0.2), "density": density, "normalize": normalize}
    merged = OPERATORS["ties"](*models, base=base, **options)
    close(merged, reference_ties(base, models, **options), models, base)


def test_ties_of_bf16_is_within_a_thousandth_of_the_float64_result_rounded(stack):
    base, models = stack
    base, *models = [
        to_floats(to_bytes(array.reshape(-1), "BF16"), "BF16").reshape(SHAPE)
        for array in (base, *models)
    ]
    options = {"weight": (0.5, 0.3, 0.2), "density": 0.5, "normalize": True}
    exact = reference_ties(base, models, **options)

    def stored(values):
        raw = to_bytes(values.astype(np.float32).reshape(-1), "BF16")
        return to_floats(raw, "BF16").astype(np.float64)

    error = np.abs(stored(OPERATORS["ties"](*models, base=base, **options)) - stored(exact))
    in_parity = OPERATORS["ties"](*models, base=base, parity="BF16", **options)
    delta = np.abs(exact - base).mean()
    assert error.mean() <= 1e-3 * delta
    assert np.abs(stored(in_parity) - stored(exact)).mean() > 1e-3 * delta  # what we do better


def test_ties_in_magnitude_are_all_kept_and_counted():
    base = np.zeros(8, np.float32)
    model = np.array([3, -2, 2, 2, -2, 1, 1, 0], np.float32)
    kernel = OPERATORS["ties"].kernel(from_arrays([model], base=base), {"density": 0.25})
    assert kernel.block(0, 8).tolist() == [3, -2, 2, 2, -2, 0, 0, 0]
    assert list(kernel.counts.values()) == [3]
    middle = {"density": 0.25, "gamma": 0.25}
    kernel = OPERATORS["breadcrumbs"].kernel(from_arrays([model], base=base), middle)
    assert kernel.block(0, 8).tolist() == [0, -2, 2, 2, -2, 0, 0, 0]
    assert list(kernel.counts.values()) == [2]


@pytest.mark.parametrize("sampled_from", [10**9, 600])
def test_order_statistics_are_exact(monkeypatch, sampled_from):
    monkeypatch.setattr("polylect.merging.operators.order_statistics._SAMPLED_FROM", sampled_from)
    monkeypatch.setattr("polylect.merging.operators.order_statistics._RUN", 8)
    monkeypatch.setattr("polylect.merging.operators.order_statistics._MAX_PARTS", 2)
    monkeypatch.setattr("polylect.merging.arithmetic.stack.Stack.map.__defaults__", (64,))
    random = np.random.default_rng(1)
    for kind in (np.float32, np.float64):
        spread = random.choice([-1, 1], 4000) * np.exp(random.normal(0, 20, 4000))
        spread = random.permutation(spread)
        spread[:300] = np.round(spread[:300], 1)
        values = spread.astype(kind)
        stack = from_arrays([values])
        ranks = [1, 2, 300, 301, 2000, 3999, 4000]
        statistics = kth_smallest(stack, lambda a, b, all=values: [all[a:b]], [ranks])[0]
        ordered = np.sort(np.abs(values))
        for rank, statistic in zip(ranks, statistics, strict=True):
            assert statistic.value == ordered[rank - 1]
            equal = np.flatnonzero(ordered == statistic.value)
            assert (statistic.before, statistic.after) == (
                rank - 1 - equal[0],
                equal[-1] - rank + 1,
            )


def test_dare_keeps_elements_at_the_density_and_rescales():
    base = np.zeros(400_000, np.float32)
    model = np.ones_like(base)
    for density in (0.1, 0.5, 0.9):
        merged = OPERATORS["dare_linear"](model, base=base, density=density, seed=4)
        kept = merged[merged != 0]
        assert abs(kept.size / base.size - density) < 4 * math.sqrt(density * (1 - density) / 4e5)
        assert np.all(kept == np.float32(1 / density))
    random = np.random.default_rng(0).standard_normal(base.size).astype(np.float32)
    same = OPERATORS["dare_linear"](random, base=base, density=0.3, rescale="l1")
    assert abs(np.abs(same).sum() / np.abs(random).sum() - 1) < 1e-5
    plain = OPERATORS["dare_linear"](random, base=base, density=0.3, rescale="none")
    assert set(np.unique(plain[plain != 0])) <= set(random)


@pytest.mark.parametrize("density", [0.01, 0.3, 0.5])
def test_dare_on_a_large_tensor_keeps_density_and_sum_to_a_thousandth(density):
    # Four standard errors of the rate are below 0.1 % of it from 16 (1 - p) / p million elements.
    num = int(17e6 * (1 - density) / density) if density > 0.1 else 2**24
    bound = max(1e-3, 4 * math.sqrt((1 - density) / density / num))
    stack = from_arrays([np.zeros(1, np.float32)], name="w")
    step, num_kept = 2**20, 0
    for start in range(0, num, step):
        num_kept += int(bernoulli_mask(stack, 3, 0, start, min(start + step, num), density).sum())
    assert abs(num_kept / num / density - 1) < bound
    assert abs(num_kept / density / num - 1) < bound  # what a tensor of ones sums to, rescaled


def test_probabilities_are_exact_beyond_sixteen_bits():
    # Below 2^-16 the first 16 bits never decide: all comes from the second stream.
    stack = from_arrays([np.zeros(1, np.float32)], name="w")
    num, keep = 2**24, 2.0**-17
    num_kept = sum(
        int(bernoulli_mask(stack, 0, 0, at, at + 2**20, keep).sum()) for at in range(0, num, 2**20)
    )
    assert abs(num_kept - num * keep) < 5 * math.sqrt(num * keep)


def test_draws_depend_on_seed_tensor_content_and_element_only():
    random = np.random.default_rng(5)
    first, second, third = random.standard_normal((3, 1000)).astype(np.float32)

    def drawn(models=(first, second), name="w", labels=("a", "b"), seed=0, model=0, cuts=(0, 1000)):
        stack = from_arrays(models, name=name, labels=labels)
        parts = [
            bernoulli_mask(stack, seed, model, start, stop, 0.5).copy()
            for start, stop in itertools.pairwise(cuts)
        ]
        return np.concatenate(parts).tolist()

    whole = drawn()
    assert whole == drawn(cuts=(0, 1, 7, 8, 9, 500, 503, 1000))
    assert whole == drawn(labels=("b", "a"))  # a name is no identity
    assert whole == drawn((second, first), model=1)  # nor is an order
    assert whole == drawn((first, third))  # nor the other models
    assert whole == drawn((first, first))
    others = [drawn(seed=1), drawn(name="v"), drawn(model=1), drawn((third, second))]
    others.append(drawn((first, first), model=1))  # of equal models, each has draws of its own
    for other in others:
        assert 400 < sum(first != second for first, second in zip(whole, other, strict=True)) < 600


# -- weights that cancel -----------------------------------------------------------------------

CANCEL = [(0.1, 0.2, -0.3), (0.3, -0.1, -0.2), (1e-9, 2e-9, -3e-9), (1, 1, -2), (0.7, -0.7, 0)]


@pytest.mark.parametrize("scale", [1, 1e-9, 1e9])
@pytest.mark.parametrize("weight", CANCEL)
def test_weights_that_cancel_are_refused_where_a_tensor_is_divided_by_their_sum(
    weight, scale, stack
):
    _, models = stack
    weight = tuple(scale * share for share in weight)
    assert cancels(weight)
    for name in ("linear", "multislerp"):
        with pytest.raises(InputError, match=r"sum to|cannot be normalized"):
            OPERATORS[name](*models, weight=weight)


@pytest.mark.parametrize("name", ["task_arithmetic", "ties", "dare_ties", "della", "breadcrumbs",
                                  "breadcrumbs_ties", "dare_linear", "della_linear"])  # fmt: skip
@pytest.mark.parametrize("weight", CANCEL)
def test_differences_are_not_divided_by_weights_that_cancel(name, weight, stack):
    base, models = stack
    # All agree, so that sign elections keep every one.
    models = [base + np.float32(0.01 * n * np.sign(w)) for n, w in enumerate(weight, 1)]
    exact = base + sum(
        w * (model.astype(np.float64) - base) for w, model in zip(weight, models, strict=True)
    )
    merged = OPERATORS[name](*models, base=base, weight=weight, normalize=True)
    close(merged, exact, models, base)
    stacked = from_arrays(models, base=base)
    kernel = OPERATORS[name].kernel(stacked, {"weight": weight, "normalize": True})
    assert "not divided where weights cancel" in " ".join(kernel.counts)


def test_a_subset_of_weights_that_cancels_is_not_divided_by_and_small_weights_are():
    base = np.zeros(4, np.float32)
    models = [np.array(row, np.float32) for row in
              ([1, 1, 1, 0], [1, 0, 1, 0], [-1, -1, 0, 0], [0, 0, -1, 1])]  # fmt: skip
    weight = (0.1, 0.2, -0.3, 5)
    merged = OPERATORS["ties"](*models, base=base, weight=weight)
    # Of the first element all of 0.1, 0.2 and -0.3 agree, and cancel; of the third, 0.1 and 0.2
    # lose to 5; of the second, 0.1 and -0.3 agree.
    assert np.allclose(merged, [0.6, (0.1 + 0.3) / (0.1 - 0.3), -1, 1])
    assert np.allclose(OPERATORS["ties"](*models[:2], base=base, weight=(1e-9, 3e-9)), [1, 1, 1, 0])
    twin = [models[0], models[0]]
    same = OPERATORS["task_arithmetic"](*twin, base=base, weight=(1e-9, 1e-9), normalize=True)
    assert np.allclose(same, models[0])


def test_many_models_of_which_some_cancel_stay_in_range():
    base = np.zeros(2000, np.float32)
    random = np.random.default_rng(0)
    models = [random.standard_normal(2000).astype(np.float32) for _ in range(20)]
    weight = tuple([0.1, 0.2, -0.3] * 6 + [0.1, 0.2])
    merged = OPERATORS["ties"](*models, base=base, weight=weight)
    assert np.abs(merged).max() < 1e4


def test_parity_refuses_weights_that_cancel_only_before_they_are_rounded(stack):
    base, models = stack
    for name in ("ties", "task_arithmetic"):
        options = {"weight": (0.1, 0.2, -0.3), "normalize": True}
        with pytest.raises(InputError, match=r"mergekit divides by the .* that rounding to BF16"):
            OPERATORS[name](*models, base=base, parity="BF16", **options)
        OPERATORS[name](*models, base=base, parity="BF16", **options | {"normalize": False})
        OPERATORS[name](*models, base=base, parity="BF16", weight=(1, 1, -2), normalize=True)


def test_della_keeps_large_magnitudes_more_often():
    rows = np.tile(np.arange(1, 101, dtype=np.float32), (4000, 1))
    base = np.zeros_like(rows)
    merged = OPERATORS["della_linear"](
        rows, base=base, density=0.5, epsilon=0.3, rescale="none", seed=2
    )
    rate = (merged != 0).mean(axis=0)
    exact = 0.2 + 0.6 * np.arange(100) / 99
    assert np.abs(rate - exact).max() < 5 * math.sqrt(0.25 / 4000)
    scaled = OPERATORS["della_linear"](rows, base=base, density=0.5, epsilon=0.3, seed=2)
    assert np.allclose(scaled.mean(axis=0), rows[0], rtol=0.1)
    with pytest.raises(InputError, match="leaves the range"):
        OPERATORS["della"](rows, base=base, density=0.9, epsilon=0.3)


def test_sce_in_float64(stack):
    base, models = stack
    deltas = np.stack([(model - base).astype(np.float64) for model in models])
    variance = deltas.astype(np.float32).var(axis=0, dtype=np.float64)
    num_kept = int(np.count_nonzero(variance) * 0.3)
    deltas = deltas * (variance >= np.sort(variance, axis=None)[-num_kept])
    shares = (deltas**2).mean(axis=(1, 2))
    shares = shares / shares.sum() if shares.sum() >= 1e-6 else np.full(3, 1 / 3)
    sign = np.where(deltas.sum(axis=0) >= 0, 1, -1)
    weights = (np.sign(deltas) == sign) * shares.reshape(-1, 1, 1)
    exact = base + (deltas * weights).sum(axis=0) / np.maximum(weights.sum(axis=0), 1e-6)
    merged = OPERATORS["sce"](*models, base=base, select_topk=0.3)
    close(merged, exact, models, base)


def test_sce_counts_the_tensors_whose_models_get_equal_shares(stack):
    base, models = stack
    near = [base + np.float32(0.1) * (model - base) for model in models]
    for given, number in ((near, 1), (models, 0)):
        counts = OPERATORS["sce"].kernel(from_arrays(given, base=base), {}).counts
        assert sum(counts.values()) == number


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_models_equal_to_the_base_give_the_base(name, stack):
    base, _ = stack
    operator = OPERATORS[name]
    num = operator.max_models or 3
    options = {"t": 0.4} if "t" in operator.options else {}
    merged = operator(*[base] * num, base=None if operator.base == "none" else base, **options)
    close(merged, base.astype(np.float64), [base])


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_block_size_never_changes_a_bit(name, stack):
    base, models = stack
    operator = OPERATORS[name]
    models = models[: operator.max_models or 3]
    given = {"density": 0.6, "epsilon": 0.2, "t": 0.4, "select_topk": 0.5, "seed": 1}
    options = {key: value for key, value in given.items() if key in operator.options}
    stacked = from_arrays(models, base=None if operator.base == "none" else base, name="w")
    kernel = operator.kernel(stacked, options)
    whole = kernel.block(0, base.size).copy()
    for step in (kernel.align, 7 * kernel.align):
        parts = [
            kernel.block(start, min(start + step, base.size)).copy()
            for start in range(0, base.size, step)
        ]
        assert np.concatenate(parts).tobytes() == whole.tobytes()


# -- options -----------------------------------------------------------------------------------


def test_settings_vary_by_layer_and_by_name():
    places = layer_positions(["a.layers.0.w", "a.layers.2.w", "a.layers.1.w", "norm", "b.0"])
    assert places == {
        "a.layers.0.w": 0, "a.layers.2.w": 1, "a.layers.1.w": 0.5, "norm": 0, "b.0": 1,
    }  # fmt: skip
    assert resolve([0, 1, 0], "x", 0.25) == 0.5
    assert resolve([0.2], "x", 1) == 0.2
    by_name = [{"filter": "mlp", "value": [0, 1]}, {"filter": "*.q.weight", "value": 3}]
    assert resolve(by_name, "layers.1.mlp.up", 1) == 1
    assert resolve(by_name, "layers.1.q.weight", 1) == 3
    assert resolve(by_name, "norm", 0) is None
    assert resolve([*by_name, {"value": 0.5}], "norm", 0) == 0.5
    for bad in ([], "x", True, [1, "x"], [{"filter": "x"}], float("nan"), [[1]]):
        with pytest.raises(InputError, match="weight"):
            check_setting("weight", bad, float, "here")
