"""The interval of a share: how often it holds, its ends, its width; for one item as for many."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl
import pytest

from polylect.rows import ScoreTable
from polylect.stats import cluster_interval, score_bounds, share_interval, wilson_interval


@pytest.fixture(scope="module")
def coverage() -> ModuleType:
    path = Path(__file__).parents[3] / "benchmarks/share_coverage.py"
    spec = importlib.util.spec_from_file_location("share_coverage", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("num", range(1, 51))
def test_the_interval_of_independent_items_holds_in_93_to_99_of_100_worlds(coverage, num):
    held, width = coverage.exact_coverage(num)
    assert 0.93 <= held <= 0.99
    assert width > 0


@pytest.mark.parametrize(("size", "correlation"), [(2, 0.2), (3, 0.5), (5, 0.3), (4, 1.0)])
def test_the_interval_of_clustered_items_holds_in_93_to_99_of_100_worlds(
    coverage, size, correlation
):
    for num in (1, 2, 3, 5, 8, 13, 21, 34, 50):
        held, width = coverage.clustered_coverage([size] * num, correlation, 2000, seed=num)
        assert 0.93 <= held <= 0.99, num
        assert width > 0
    uneven = [1, 1, 2, 6, 1, 3, 1, 8]
    held, _ = coverage.clustered_coverage(uneven, correlation, 2000, seed=1)
    # One cluster of 8 items among 23: the number of clusters is itself uncertain.
    assert 0.915 <= held <= 0.99


def bounds(values, clusters=None, scale=(0.0, 1.0)):
    frame = pl.DataFrame({"value": values, "cluster": clusters or list(range(len(values)))})
    row = share_interval(frame.with_columns(all=True), ["all"], pl.col("value"), scale=scale)
    return row.select("lower", "upper").row(0)


@pytest.mark.parametrize(("right", "num"), [(0, 5), (29, 30), (6, 8), (1, 1), (0, 1), (30, 30)])
def test_equal_independent_items_have_exactly_wilsons_interval(right, num):
    expected = wilson_interval(right / num, num)
    values = [1.0] * right + [0.0] * (num - right)
    assert bounds(values) == pytest.approx((expected.lower, expected.upper), abs=1e-12)
    assert 0 <= expected.lower < expected.upper <= 1


def test_every_table_of_few_values_has_an_interval_with_width_on_its_scale():
    random = np.random.default_rng(0)
    for _ in range(300):
        num, levels = int(random.integers(1, 9)), int(random.integers(1, 4))
        low, high = random.choice([(0.0, 1.0), (-1.0, 1.0), (1.0, 5.0)])
        values = low + (high - low) * random.integers(0, levels + 1, num) / levels
        clusters = random.integers(0, num, num).tolist()
        lower, upper = bounds(values, clusters, (low, high))
        assert low <= lower <= values.mean() + 1e-12
        assert values.mean() - 1e-12 <= upper <= high
        assert upper - lower > 0.05 * (high - low)


def test_items_that_always_agree_with_their_cluster_count_once():
    values = np.repeat(np.arange(40) % 2.0, 5)
    clustered = bounds(values, np.repeat(np.arange(40), 5).tolist())
    assert clustered == pytest.approx(bounds(np.arange(40) % 2.0), abs=0.01)


def test_an_infinite_test_or_no_item_says_nothing():
    lower, upper = score_bounds(np.array([0.3, 0.3]), np.array([8.0, 0.0]), np.array([np.inf, 2.0]))
    assert (lower.tolist(), upper.tolist()) == ([0.0, 0.0], [1.0, 1.0])


def test_equal_values_without_a_scale_have_no_interval():
    frame = pl.DataFrame({"x": [0.1] * 7, "cluster": range(7), "all": True})
    row = cluster_interval(frame, ["all"], pl.col("x"), pl.lit(1.0)).row(0, named=True)
    assert (row["lower"], row["upper"]) == (-np.inf, np.inf)


def scores(metric, values, checkpoint="m"):
    return ScoreTable.from_rows([
        {"checkpoint": checkpoint, "task": "t@1", "language": "de", "item": str(i),
         "metric": metric, "value": float(value)}
        for i, value in enumerate(values)
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "values", "expected"),
    [
        ("acc", [0] * 5, (0.0, 0.4345)),
        ("acc_norm[strict]", [1] * 29 + [0], (0.8333, 0.9941)),
        ("exact_match", [1] * 6 + [0] * 2, (0.4093, 0.9285)),
        ("my_own_share", [1, 1, 1], (0.4385, 1.0)),
    ],
)
def test_the_interval_of_a_score_table_stays_on_the_metrics_scale(metric, values, expected):
    row = scores(metric, values).interval("language", "metric").row(0, named=True)
    assert (row["lower"], row["upper"]) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("metric", "top"), [("chrf", 100.0), ("rouge1", 1.0), ("bleu", 100.0)])
def test_graded_metrics_stay_on_their_scale(metric, top):
    for values in ([top] * 4, [0.98 * top, 0.7 * top, top], [0.0, 0.01 * top]):
        row = scores(metric, values).interval("language").row(0, named=True)
        assert 0 <= row["lower"] < row["upper"] <= top
    wrong_scale = scores(metric, [2 * top, 3 * top]).interval("language").row(0, named=True)
    assert wrong_scale["upper"] > 3 * top


def test_paired_differences_of_shares_stay_between_minus_one_and_one():
    before, after = scores("acc", [0, 0, 1, 0]), scores("acc", [1, 1, 1, 1], "n")
    row = before.paired(after, "language").row(0, named=True)
    assert -1 <= row["lower"] < row["difference"] < row["upper"] <= 1
    same = before.paired(scores("acc", [0, 0, 1, 0], "n"), "language").row(0, named=True)
    assert same["lower"] < 0 < same["upper"]
