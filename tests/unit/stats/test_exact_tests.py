"""McNemar's test, Holm's adjustment, and what the harness's users ask for: the paired answer."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from polylect.comparison import compare
from polylect.rows import ScoreTable
from polylect.stats import holm, mcnemar_exact


def test_mcnemar_is_the_exact_binomial_test():
    worse, better = (grid.ravel() for grid in np.meshgrid(np.arange(25), np.arange(25)))
    expected = [
        binomtest(int(w), int(w + b), 0.5).pvalue if w + b else 1.0
        for w, b in zip(worse, better, strict=True)
    ]
    assert np.allclose(mcnemar_exact(worse, better), expected, rtol=1e-12, atol=0)


def test_holm_rejects_what_the_step_down_procedure_rejects():
    random = np.random.default_rng(0)
    for _ in range(50):
        p = random.random(9) ** 3
        p[random.random(9) < 0.2] = np.nan
        adjusted = holm(p)
        assert np.array_equal(np.isnan(adjusted), np.isnan(p))
        known = np.sort(p[~np.isnan(p)])
        for level in (0.01, 0.05, 0.3):
            # Step down: the i-th smallest is named while all up to it are below level / (left).
            passed = known <= level / (len(known) - np.arange(len(known)))
            named = len(known) if passed.all() else int(np.argmin(passed))
            assert int((adjusted <= level).sum()) == named


def sides(only_before, only_after, both_right, num):
    """Two models' answers on the same items, by what they have in common."""
    wrong = num - only_before - only_after - both_right
    before = [1] * (only_before + both_right) + [0] * (only_after + wrong)
    after = [0] * only_before + [1] * (both_right + only_after) + [0] * wrong
    return [
        ScoreTable.from_rows(
            {"checkpoint": name, "task": "t@1", "language": "en", "item": str(i), "metric": "acc",
             "value": float(value)}
            for i, value in enumerate(values)
        )
        for name, values in (("before", before), ("after", after))
    ]  # fmt: skip


@pytest.mark.parametrize("margins", [(27, 10, 133), (30, 12, 68), (30, 12, 110)])
def test_a_paired_test_separates_what_an_unpaired_one_does_not(margins):
    """220 items, p = 0.080 unpaired: EleutherAI/lm-evaluation-harness#3868; these margins have it.

    No others do: they are all the 2 × 2 tables of 220 items with these two p-values.
    """
    only_before, only_after, both_right = margins
    before, after = sides(only_before, only_after, both_right, 220)
    shares = [table.frame["value"].mean() for table in (before, after)]
    errors = [math.sqrt(share * (1 - share) / 219) for share in shares]
    unpaired = 2 * norm.sf((shares[0] - shares[1]) / math.hypot(*errors))
    assert round(unpaired, 3) == 0.080
    comparison = compare(before, after)
    row = comparison.cells.row(0, named=True)
    assert (row["worse"], row["better"]) == (only_before, only_after)
    assert round(row["p"], 3) == 0.008
    assert row["verdict"] == "paid"
    assert row["upper"] < 0
    assert "English paid (-" in comparison.sentence()
