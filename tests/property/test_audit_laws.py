"""Relabeling models and swapping sides changes no figure of an audit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polylect.auditing import (
    active_rule,
    ballots,
    directed_test,
    duplication,
    fair_rule,
    fragility,
    honest_votes,
    martingale_test,
    pair_state,
    rating_rule,
    retire,
)
from polylect.ranking import PairCounts, VoteTable, fit_bradley_terry

seeds = st.integers(0, 10_000)
few = settings(max_examples=15, deadline=None)


def _world(seed, num_models=6, num_votes=400):
    rng = np.random.default_rng(seed)
    a = rng.integers(0, num_models, num_votes)
    b = (a + rng.integers(1, num_models, num_votes)) % num_models
    return a, b, rng.integers(0, 4, num_votes), rng


def _renamed(seed, names):
    """New names in another order, and which is which."""
    order = np.random.default_rng(seed).permutation(len(names))
    return {name: f"z{order[i]}" for i, name in enumerate(names)}


def _counts(names, a, b, outcome):
    return PairCounts.from_cells(names, a, b, outcome)


@few
@given(seeds)
def test_fragility_does_not_depend_on_names_or_sides(seed):
    a, b, outcome, rng = _world(seed)
    names = [f"m{i}" for i in range(6)]
    new = _renamed(seed, names)
    swapped = rng.random(len(a)) < 0.5
    turned = np.where(swapped & (outcome < 2), 1 - outcome, outcome)
    first = fragility(_counts(names, a, b, outcome))
    second = fragility(
        _counts([new[n] for n in names], np.where(swapped, b, a), np.where(swapped, a, b), turned)
    )
    for swap, renamed in zip(first, second, strict=True):
        assert (new[swap.better], new[swap.worse]) == (renamed.better, renamed.worse)
        assert swap.gap == pytest.approx(renamed.gap, abs=1e-6)
        # Where two cells have equal influence, the path may differ by a vote.
        if swap.num_votes is not None and renamed.num_votes is not None:
            assert abs(swap.num_votes - renamed.num_votes) <= max(1, 0.05 * swap.num_votes)


@few
@given(seeds)
def test_doubling_every_vote_about_doubles_what_it_takes(seed):
    a, b, outcome, _ = _world(seed)
    counts = _counts([f"m{i}" for i in range(6)], a, b, outcome)
    twice = counts.with_outcomes(counts.outcomes * 2)
    for swap, doubled in zip(fragility(counts), fragility(twice), strict=True):
        if swap.num_votes is not None and doubled.num_votes is not None:
            assert 2 * swap.num_votes - 2 <= doubled.num_votes <= 2 * swap.num_votes + 1


@few
@given(seeds)
def test_voter_tests_do_not_depend_on_sides(seed):
    a, b, outcome, rng = _world(seed, num_votes=500)
    names = tuple(f"m{i}" for i in range(6))
    voter = rng.integers(0, 8, len(a)).astype(np.int32)
    some = rng.random(len(a)) < 0.5
    everywhere = np.ones(len(a), bool)

    def tests(a, b, outcome):
        table = VoteTable(
            names,
            a.astype(np.int32),
            b.astype(np.int32),
            outcome.astype(np.int8),
            np.ones(len(a)),
            {"voter": voter},
            {"voter": tuple(f"u{i}" for i in range(8))},
        )
        counts = table.counts()
        votes = ballots(table, honest_votes(counts))
        fit = fit_bradley_terry(counts)
        return (
            martingale_test(votes).statistic,
            directed_test(votes, fit, "m1", num_draws=200).statistic,
            directed_test(votes, fit, None, "influence", num_draws=200).statistic,
        )

    statistics = tests(a, b, outcome)
    for swapped in (some, everywhere):
        turned = np.where(swapped & (outcome < 2), 1 - outcome, outcome)
        mirrored_statistics = tests(np.where(swapped, b, a), np.where(swapped, a, b), turned)
        for statistic, mirrored in zip(statistics, mirrored_statistics, strict=True):
            np.testing.assert_allclose(statistic, mirrored, rtol=1e-6, atol=1e-8)
            if swapped is some:
                # Only the directed tests know sides: a liking for one is a habit.
                break


@few
@given(seeds)
def test_retirement_and_rules_do_not_depend_on_names(seed):
    a, b, outcome, _ = _world(seed)
    names = [f"m{i}" for i in range(6)]
    new = _renamed(seed, names)
    counts = _counts(names, a, b, outcome)
    renamed_counts = _counts([new[n] for n in names], a, b, outcome)
    result, renamed_result = retire(counts, ["m2"]), retire(renamed_counts, [new["m2"]])
    moves = {new[m.model]: (m.rank_before, m.rank_after) for m in result.moves}
    assert moves == {m.model: (m.rank_before, m.rank_after) for m in renamed_result.moves}
    labels = ["p", "p", "q", "q", "q", "r"]
    group = dict(zip([new[n] for n in names], labels, strict=True))
    for rule in (active_rule, rating_rule, fair_rule(active_rule, {"g": labels}, 0.95)):
        state = pair_state(counts, fit_bradley_terry(counts))
        turned = pair_state(renamed_counts, fit_bradley_terry(renamed_counts))
        if rule not in (active_rule, rating_rule):
            renamed_shares = fair_rule(
                active_rule, {"g": [group[m] for m in renamed_counts.models]}, 0.95
            )(turned)
        else:
            renamed_shares = rule(turned)
        shares = rule(state)
        table = {
            frozenset((renamed_counts.models[i], renamed_counts.models[j])): p
            for i, j, p in zip(turned.first, turned.second, renamed_shares, strict=True)
        }
        for i, j, p in zip(state.first, state.second, shares, strict=True):
            assert table[frozenset((new[names[i]], new[names[j]]))] == pytest.approx(p, rel=1e-4)


@few
@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), seeds)
def test_duplicates_do_not_depend_on_order(prompts, seed):
    def share(codes):
        num = len(codes)
        table = VoteTable(
            ("a", "b"),
            np.zeros(num, np.int32),
            np.ones(num, np.int32),
            np.zeros(num, np.int8),
            np.ones(num),
            {"prompt": np.array(codes, np.int32)},
        )
        return duplication(table)[0].share

    shuffled = np.random.default_rng(seed).permutation(prompts)
    assert share(prompts) == pytest.approx(share(shuffled))
    assert share(prompts) == pytest.approx(1 - len(set(prompts)) / len(prompts))
