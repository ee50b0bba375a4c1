import numpy as np
import pytest

from polylect.base import UndecidableError
from polylect.ranking import (
    CoreStrengths,
    PairCounts,
    fit_bradley_terry,
    identify,
    separation_bounds,
)


def core_of(counts):
    names = identify(counts).cores[0]
    return CoreStrengths(names, fit_bradley_terry(counts.restricted(names)).strength)


def test_two_islands_are_named_and_refused():
    counts = PairCounts.from_cells(
        ["a", "b", "c", "d"], [0, 1, 2, 3, 2], [1, 0, 3, 2, 3], [0, 0, 0, 0, 2]
    )
    result = identify(counts)
    assert result.components == (("c", "d"), ("a", "b"))
    assert not result.is_connected
    with pytest.raises(UndecidableError, match=r"2 groups of models: c, d; a, b"):
        fit_bradley_terry(counts)


def test_a_tie_links_both_ways():
    counts = PairCounts.from_cells(["a", "b", "c"], [0, 1], [1, 2], [2, 3])
    assert identify(counts).is_finite
    assert fit_bradley_terry(counts).strength == pytest.approx(np.zeros(3), abs=1e-12)


def test_who_only_won_is_above_with_the_exact_limit():
    counts = PairCounts.from_cells(
        ["a", "b", "top"], [0, 1, 2, 2], [1, 0, 0, 1], [0, 0, 0, 0], [5, 5, 4, 3]
    )
    result = identify(counts)
    assert result.is_connected
    assert not result.is_finite
    (bound,) = separation_bounds(counts, core_of(counts))
    assert (bound.models, bound.side, bound.num_votes) == (("top",), "above", 7)
    # a and b are level, so 7 wins in a row have probability (1 + e^-x)^-7 = 0.05.
    assert (1 + np.exp(-bound.limit)) ** -7 == pytest.approx(0.05, abs=1e-9)


def test_who_only_lost_is_below_and_swapping_all_sides_mirrors_it():
    won = PairCounts.from_cells(
        ["a", "b", "x"], [0, 1, 2, 2], [1, 0, 0, 1], [0, 0, 0, 0], [8, 5, 4, 3]
    )
    lost = PairCounts.from_cells(
        ["a", "b", "x"], [0, 1, 2, 2], [1, 0, 0, 1], [1, 1, 1, 1], [8, 5, 4, 3]
    )
    (above,), (below,) = (
        separation_bounds(won, core_of(won)),
        separation_bounds(lost, core_of(lost)),
    )
    assert (above.side, below.side) == ("above", "below")
    assert below.limit == pytest.approx(-above.limit, abs=1e-9)


def test_a_separated_group_behind_another_is_above_without_a_limit():
    counts = PairCounts.from_cells(
        ["a", "b", "p", "q"], [0, 1, 2, 3], [1, 0, 0, 2], [0, 0, 0, 0], [3, 3, 2, 2]
    )
    bounds = {bound.models: bound for bound in separation_bounds(counts, core_of(counts))}
    assert bounds["p",].side == bounds["q",].side == "above"
    assert bounds["q",].limit is None
    assert bounds["p",].limit is not None


def test_a_model_that_met_only_a_third_party_is_apart():
    # top beat a and also beat x; x never met the core: nothing says which of a and x is better.
    counts = PairCounts.from_cells(["a", "b", "top", "x"], [0, 1, 2, 2], [1, 0, 0, 3], [0, 0, 0, 0])
    sides = {bound.models: bound.side for bound in separation_bounds(counts, core_of(counts))}
    assert sides == {("top",): "above", ("x",): "apart"}


def test_models_without_votes_are_unfought_and_in_no_component():
    counts = PairCounts.from_cells(["a", "b", "idle"], [0, 1], [1, 0], [0, 0])
    result = identify(counts)
    assert result.unfought == ("idle",)
    assert result.components == (("a", "b"),)
    assert result.is_finite
    with pytest.raises(UndecidableError, match="idle has no votes"):
        fit_bradley_terry(counts)


def test_counts_without_votes_are_refused():
    counts = PairCounts.from_cells(["a"], [], [], [])
    assert identify(counts).components == ()
    with pytest.raises(UndecidableError):
        fit_bradley_terry(counts)
