import numpy as np
import pytest

from polylect.auditing import (
    SparseGraph,
    TaskMix,
    drift_test,
    retire,
    sparse_graph,
    task_mix,
)
from polylect.base import InputError, UndecidableError
from polylect.ranking import ELO_PER_NAT, PairCounts, fit_bradley_terry


def test_removal_is_the_fit_of_the_rest(world):
    counts = world(2, num_models=7)
    gone = counts.models[2]
    result = retire(counts, [gone])
    rest = fit_bradley_terry(counts.restricted(m for m in counts.models if m != gone))
    assert [move.model for move in result.moves] == [
        counts.models[i] for i in fit_bradley_terry(counts).order if counts.models[i] != gone
    ]
    for move in result.moves:
        assert move.rank_after == 1 + [rest.models[i] for i in rest.order].index(move.model)
    assert sum(move.change for move in result.moves) == pytest.approx(0.0, abs=1e-9)
    assert result.votes_lost == counts.battles[counts.position(gone)]
    assert not result.split_off
    assert not result.separated


def test_lost_pairs_by_hand(world):
    counts = world(4, num_models=8, num_votes=900)
    gone = ["m0", "m1"]
    result = retire(counts, gone)
    before = fit_bradley_terry(counts)
    after = fit_bradley_terry(counts.restricted(m for m in counts.models if m not in gone))

    def significant(fit, a, b):
        i, j = fit.position(a), fit.position(b)
        return (fit.elo[i] - fit.elo[j]) / fit.difference_error[i, j] > 1.959964

    names = after.models
    pairs = [(a, b) for a in names for b in names if a != b]
    lost = {p for p in pairs if significant(before, *p) and not significant(after, *p)}
    gained = {p for p in pairs if significant(after, *p) and not significant(before, *p)}
    assert set(result.lost_pairs) == lost
    assert set(result.gained_pairs) == gained


def test_a_bridge_that_goes_splits_the_board():
    a = [0, 0, 1, 1, 1, 1, 2, 2, 3, 3]
    b = [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    counts = PairCounts.from_cells("abcdef", a, b, [0, 1] * 5, [5] * 10)
    result = retire(counts, ["b"])
    assert sorted(map(len, result.split_off)) == [1, 2]
    lost = [move for move in result.moves if move.rank_after is None]
    assert len(lost) == 3
    assert result.num_moved >= 3


def test_a_model_that_only_lost_to_the_rest_is_named():
    rows = [(0, 1, 6, 4), (0, 2, 5, 5), (1, 2, 5, 5), (2, 3, 3, 7), (0, 3, 4, 0), (1, 3, 4, 0)]
    a, b, win, lose = map(np.array, zip(*rows, strict=True))
    counts = PairCounts.from_cells(
        "abcd", np.r_[a, a], np.r_[b, b], np.r_[a * 0, a * 0 + 1], np.r_[win, lose]
    )
    assert retire(counts, ["c"]).separated == ("d",)


def test_fewer_votes_widen_and_nothing_else_under_the_model(world):
    counts = world(6, num_models=6, num_votes=6000)
    half = retire(counts, ["m0"], keep_share=0.25)
    assert {move.model for move in half.moves} == set(counts.models)
    retired = next(move for move in half.moves if move.model == "m0")
    assert 1.5 < retired.half_width_after / retired.half_width_before < 2.2
    assert max(abs(move.change) for move in half.moves) < 25


def test_unknown_models_and_too_few_remaining_ones_are_refused(world):
    with pytest.raises(InputError):
        retire(world(0), ["nobody"])
    with pytest.raises(UndecidableError):
        retire(world(0), [f"m{i}" for i in range(7)])


def test_drift_test_keeps_its_level_and_sees_drift(world):
    same = np.array([0.5, 0.2, -0.2, -0.5])
    rng = np.random.default_rng(1)

    def phase(strength, num=600):
        a = rng.integers(0, 4, num)
        b = (a + rng.integers(1, 4, num)) % 4
        lost = rng.random(num) >= 1 / (1 + np.exp(strength[b] - strength[a]))
        return fit_bradley_terry(PairCounts.from_cells("abcd", a, b, lost.astype(int)))

    results = [drift_test({"x": phase(same), "y": phase(same)}) for _ in range(300)]
    assert results[0].degrees_of_freedom == 3
    assert 0.02 <= np.mean([result.p_value <= 0.05 for result in results]) <= 0.09
    assert np.mean([result.statistic for result in results]) == pytest.approx(3.0, abs=0.45)
    assert drift_test({"x": phase(same), "y": phase(same[::-1])}).p_value < 1e-6
    with pytest.raises(UndecidableError):
        drift_test({"x": phase(same)})


def test_task_mix_moves_ranks_as_in_the_paper_and_strata_repair_it():
    result = task_mix(num_worlds=120)
    assert result.truth == ("A", "B", "D", "C")
    assert result.with_all == result.truth
    assert result.with_retired == ("B", "A", "C", "D")
    assert result.truth_with_retired <= 0.05
    assert result.truth_stratified >= 0.85  # 0.92 over 2,000 worlds
    assert result.warned >= 0.95
    assert result.unplaced == ("D",)
    # The expected counts' own fit, in the notes: A +58, B +37, D −37, C −58.
    expected = {"A": 58, "B": 37, "C": -58, "D": -37}
    for name, (pooled, _) in result.ratings.items():
        assert pooled == pytest.approx(expected[name], abs=3.0)


def test_stratified_is_right_when_the_gap_is_wide():
    wide = TaskMix(first=(1500.0, 1050.0, 1200.0, 1100.0))
    assert task_mix(wide, num_worlds=40).truth_stratified == 1.0


def test_a_disconnected_graph_is_refused_and_bridges_repair_it():
    hole = sparse_graph(num_worlds=60)
    assert hole.refused == 1.0
    assert hole.sparse_exact == 0.0
    assert hole.dense_exact >= 0.85
    assert hole.within_exact >= 0.95
    assert hole.mean_half_width[1] is None
    bridged = sparse_graph(SparseGraph.of_paper(400), num_worlds=60)
    assert bridged.refused <= 0.02
    assert bridged.sparse_tau > hole.sparse_tau
    assert bridged.mean_half_width[1] < 45


def test_a_unit_of_log_odds_is_173_elo_points():
    assert pytest.approx(173.7178, abs=1e-3) == ELO_PER_NAT
