"""Laws of ranking that hold for any votes."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from polylect.base import UndecidableError
from polylect.ranking import (
    CoreStrengths,
    PairCounts,
    fit_both_bad,
    fit_bradley_terry,
    fit_davidson,
    fit_rao_kupper,
    identify,
    rank_sets,
    separation_bounds,
)

SETTINGS = settings(max_examples=40, deadline=None)
FITS = (fit_bradley_terry, fit_davidson, fit_rao_kupper, fit_both_bad)


@st.composite
def votes(draw, least=2, most=7):
    """Models, sides, outcomes and counts, linked or not."""
    size = draw(st.integers(least, most))
    num = draw(st.integers(0, 40))
    sides = st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)).filter(
        lambda pair: pair[0] != pair[1]
    )
    rows = draw(
        st.lists(
            st.tuples(sides, st.integers(0, 3), st.integers(1, 30)), min_size=num, max_size=num
        )
    )
    names = [f"m{i}" for i in range(size)]
    a = np.array([row[0][0] for row in rows], int)
    b = np.array([row[0][1] for row in rows], int)
    outcome = np.array([row[1] for row in rows], int)
    count = np.array([row[2] for row in rows], float)
    return names, a, b, outcome, count


def finite(counts):
    result = identify(counts)
    assume(counts.num_votes > 0 and result.is_finite and not result.unfought)
    assume(counts.outcomes[:, :2].sum() > 0)
    return counts


def fitted(fit, counts):
    """The fit; votes that leave it without a finite solution are not an example."""
    try:
        return fit(counts)
    except UndecidableError as error:
        if "no finite solution: too few decisive votes" not in str(error):
            raise
        return assume(False)


def linked(case):
    """The votes, with enough added that every strength is finite."""
    names, a, b, outcome, count = case
    ring = np.arange(len(names))
    a = np.concatenate([a, ring])
    b = np.concatenate([b, (ring + 1) % len(names)])
    outcome = np.concatenate([outcome, ring % 4])
    return names, a, b, outcome, np.concatenate([count, np.full(len(ring), 2.0)])


@SETTINGS
@given(votes(), st.randoms(use_true_random=False), st.sampled_from(FITS))
def test_relabeling_changes_only_names(case, random, fit):
    names, a, b, outcome, count = linked(case)
    counts = finite(PairCounts.from_cells(names, a, b, outcome, count))
    others = [f"x{i}" for i in range(len(names))]
    random.shuffle(others)
    renamed = PairCounts.from_cells(others, a, b, outcome, count)
    ratings, relabeled = fitted(fit, counts), fitted(fit, renamed)
    for old, new in zip(names, others, strict=True):
        i, j = ratings.position(old), relabeled.position(new)
        assert ratings.strength[i] == pytest.approx(relabeled.strength[j], abs=1e-9)
        assert ratings.standard_error[i] == pytest.approx(relabeled.standard_error[j], rel=1e-7)


@SETTINGS
@given(votes())
def test_sides_and_order_of_votes_do_not_matter(case):
    names, a, b, outcome, count = case
    counts = PairCounts.from_cells(names, a, b, outcome, count)
    turned = np.array([1, 0, 2, 3])[outcome]
    order = np.arange(len(a))[::-1]
    swapped = PairCounts.from_cells(names, b[order], a[order], turned[order], count[order])
    assert swapped.digest == counts.digest


@SETTINGS
@given(votes(), st.sampled_from(FITS))
def test_turning_all_verdicts_flips_the_sign(case, fit):
    names, a, b, outcome, count = linked(case)
    assume(fit is not fit_both_bad)
    counts = finite(PairCounts.from_cells(names, a, b, outcome, count))
    turned = PairCounts.from_cells(names, a, b, np.array([1, 0, 2, 3])[outcome], count)
    ratings, flipped = fitted(fit, counts), fitted(fit, turned)
    assert ratings.strength == pytest.approx(-flipped.strength, abs=1e-9)
    assert ratings.covariance == pytest.approx(flipped.covariance, abs=1e-9)


@SETTINGS
@given(votes(), st.integers(2, 5), st.sampled_from(FITS))
def test_repeated_data_gives_the_same_ratings_and_narrower_intervals(case, times, fit):
    names, a, b, outcome, count = linked(case)
    counts = finite(PairCounts.from_cells(names, a, b, outcome, count))
    many = counts.with_outcomes(counts.outcomes * times)
    ratings, repeated = fitted(fit, counts), fitted(fit, many)
    assert ratings.strength == pytest.approx(repeated.strength, abs=1e-8)
    assert np.all(repeated.standard_error <= ratings.standard_error * 1.0000001)
    # Every fit adds a vote's variance where there are few, so that errors fall at least as sqrt(n).
    variances = np.diag(repeated.covariance) * times
    assert np.all(variances <= np.diag(ratings.covariance) + 1e-8)


@SETTINGS
@given(votes())
def test_a_model_that_nobody_fought_changes_nothing(case):
    names, a, b, outcome, count = linked(case)
    counts = finite(PairCounts.from_cells(names, a, b, outcome, count))
    more = PairCounts.from_cells([*names, "idle"], a, b, outcome, count)
    result = identify(more)
    assert result.unfought == ("idle",)
    assert result.components == identify(counts).components
    ratings = fit_bradley_terry(more.restricted(result.cores[0]))
    assert ratings.strength == pytest.approx(fit_bradley_terry(counts).strength, abs=1e-12)


@SETTINGS
@given(votes(), st.integers(1, 9), st.booleans())
def test_who_only_won_or_only_lost_is_bounded_and_moves_nobody(case, num, wins):
    names, a, b, outcome, count = linked(case)
    counts = finite(PairCounts.from_cells(names, a, b, outcome, count))
    edge = len(names)
    more = PairCounts.from_cells(
        [*names, "zz"],
        np.append(a, edge),
        np.append(b, 0),
        np.append(outcome, 0 if wins else 1),
        np.append(count, num),
    )
    with pytest.raises(UndecidableError, match="zz"):
        fit_bradley_terry(more)
    core = identify(more).cores[0]
    fit = fit_bradley_terry(more.restricted(core))
    assert fit.strength == pytest.approx(fit_bradley_terry(counts).strength, abs=1e-9)
    (bound,) = separation_bounds(more, CoreStrengths(core, fit.strength))
    assert bound.side == ("above" if wins else "below")
    # Winning `num` votes in a row against this opponent has probability 5 % at the limit.
    gap = bound.limit - fit.strength[fit.position(names[0])]
    chance = 1 / (1 + np.exp(-gap if wins else gap))
    assert chance**num == pytest.approx(0.05, rel=1e-6)


@SETTINGS
@given(votes())
def test_any_votes_are_fitted_or_refused_by_name(case):
    counts = PairCounts.from_cells(*case)
    result = identify(counts)
    listed = [name for part in result.components for name in part]
    assert sorted([*listed, *result.unfought]) == list(counts.models)
    for part, core, groups in zip(result.components, result.cores, result.groups, strict=True):
        assert sorted([*core, *(name for group in groups for name in group)]) == sorted(part)
        if len(core) > 1:
            ratings = fit_bradley_terry(counts.restricted(core))
            assert np.all(np.isfinite(ratings.strength))
            assert ratings.gradient_norm < 1e-9
            assert abs(ratings.strength.mean()) < 1e-12
    if not (result.is_finite and not result.unfought and counts.num_votes):
        with pytest.raises(UndecidableError):
            fit_bradley_terry(counts)


@SETTINGS
@given(votes())
def test_rank_sets_hold_the_rank_and_nest(case):
    names, a, b, outcome, count = linked(case)
    counts = finite(PairCounts.from_cells(names, a, b, outcome, count))
    fit = fit_bradley_terry(counts)
    ranks = rank_sets(fit)
    size = len(names)
    # Strengths that are equal, but for rounding, share a rank.
    better = fit.strength[None, :] - fit.strength[:, None] > 1e-9
    assert ranks.rank.tolist() == (1 + better.sum(1)).tolist()
    ladder = (np.ones(size), ranks.low, ranks.marginal_low, ranks.rank)
    ladder += (ranks.marginal_high, ranks.high, np.full(size, size))
    for lower, upper in itertools.pairwise(ladder):
        assert np.all(lower <= upper)
