"""Relative changes of several languages: their signs, and what is undefined or unknown."""

import numpy as np
import polars as pl
import pytest

from polylect.comparison import compare
from polylect.report import relative_change
from polylect.rows import ScoreTable


def table(name, metric, values):
    """A table of values by language; item i of every language is its own document."""
    return ScoreTable.from_rows(
        [
            {"checkpoint": name, "task": "t@1", "language": tag, "item": f"{tag}{i}",
             "cluster": f"{tag}{i}", "metric": metric, "value": float(value)}
            for tag, row in values.items() for i, value in enumerate(row)
        ]
    )  # fmt: skip


def right(num, of):
    return [1.0] * num + [0.0] * (of - num)


def row_of(frame, **equal):
    for name, value in equal.items():
        frame = frame.filter(pl.col(name) == value)
    return frame.row(0, named=True)


@pytest.mark.parametrize("metric", ["acc", "contains", "exact_match[strict]"])
def test_a_mean_of_ratios_keeps_its_sign_where_the_mean_gain_has_another(metric):
    before = table("a", metric, {"tr": right(10, 100), "de": right(50, 100)})
    after = table("b", metric, {"tr": right(5, 100), "de": right(60, 100)})
    whole = row_of(compare(before, after).groups, kind="all")
    assert whole["gain"] == pytest.approx(0.025)
    assert whole["relative"] == pytest.approx(-0.15)  # the mean of -50 % and +20 %
    assert relative_change(whole)[0] == pytest.approx(-15.0)


def test_fewer_bits_are_a_gain_in_every_row():
    random = np.random.default_rng(0)
    base = {tag: random.uniform(1, 3, 40) for tag in ("tr", "hi", "ja")}
    better = {tag: row * random.uniform(0.8, 0.95, 40) for tag, row in base.items()}
    result = compare(table("a", "bits_per_byte", base), table("b", "bits_per_byte", better))
    for frame in (result.languages, result.groups):
        for row in frame.iter_rows(named=True):
            assert relative_change(row)[0] > 0


def test_a_relative_change_from_nothing_is_undefined_in_every_mean_that_needs_it():
    before = table("a", "acc", {"de": right(0, 30), "fr": right(0, 30), "tr": right(15, 30),
                                "ja": right(15, 30)})  # fmt: skip
    after = table("b", "acc", {"de": right(30, 30), "fr": right(30, 30), "tr": right(15, 30),
                               "ja": right(15, 30)})  # fmt: skip
    result = compare(before, after)
    assert row_of(result.groups, kind="all")["relative"] is None
    assert row_of(result.groups, kind="all")["gain"] == pytest.approx(0.5)
    gap = result.gaps.row(0, named=True)
    assert gap["relative"] is gap["relative_lower"] is gap["relative_upper"] is None
    assert gap["verdict"] == "not separable"
    assert row_of(result.languages, language="tr")["relative"] == 0.0


@pytest.mark.parametrize("metric", ["perplexity", "bits_per_byte", "loss"])
@pytest.mark.parametrize("num", [4, 30])
@pytest.mark.parametrize("factor", [0.9, 1.01, 1.1])
def test_items_that_all_change_alike_give_no_interval_of_width_zero(metric, num, factor):
    values = np.linspace(2.0, 4.0, num)
    before = table("a", metric, {"tr": values, "hi": values[::-1] + 1})
    after = table("b", metric, {"tr": values * factor, "hi": (values[::-1] + 1) * factor})
    for row in compare(before, after).languages.iter_rows(named=True):
        assert row["verdict"] == "not separable"
        assert not row["change_upper"] - row["change_lower"] < np.inf
        assert row["detectable"] is None


def test_bits_are_never_below_zero():
    scores = table("a", "bits_per_byte", {"ja": [0.1, 0.9, 2.9], "tr": [1.0, 1.1, 1.2]})
    rows = scores.interval("language", "metric")
    assert (rows["lower"] >= 0).all()
    likelihood = table("a", "log_likelihood", {"ja": [-0.1, -0.9, -2.9]})
    assert likelihood.interval("language", "metric")["lower"][0] < -1
