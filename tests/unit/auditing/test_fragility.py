import itertools

import numpy as np
import pytest

from polylect.auditing import fragility
from polylect.base import InputError, UndecidableError
from polylect.ranking import PairCounts, fit_bradley_terry, fit_strengths


def _swapped(counts, outcomes, better, worse):
    try:
        strength = fit_strengths(counts.with_outcomes(np.asarray(outcomes, float)))
    except UndecidableError:
        return False
    return strength[better] < strength[worse] - 1e-8 and np.abs(strength).max() < 15


def _brute(counts, better, worse, way, most):
    """The true minimum, by trying every change of 1, 2, … votes."""
    cells = counts.outcomes.ravel()
    if way == "flip":
        moves = [(k, k - k % 4 + t) for k in range(len(cells)) for t in range(2) if t != k % 4]
    else:
        moves = [(k, -1) for k in range(len(cells))]
    for num in range(1, most + 1):
        for chosen in itertools.combinations_with_replacement(moves, num):
            out = cells.copy()
            for k, to in chosen:
                out[k] += 1 if way == "add" else -1
                if to >= 0:
                    out[to] += 1
            if out.min() >= 0 and _swapped(counts, out.reshape(-1, 4), better, worse):
                return num
    return None


@pytest.mark.parametrize("way", ["remove", "add", "flip"])
def test_agrees_with_brute_force_on_tiny_boards(way):
    equal = total = 0
    for seed in range(7):
        rng = np.random.default_rng(seed)
        counts = PairCounts.from_cells(
            ["a", "b", "c"],
            np.repeat([0, 0, 1], 2),
            np.repeat([1, 2, 2], 2),
            np.tile([0, 1], 3),
            rng.integers(2, 12, 6),
        )
        fit = fit_bradley_terry(counts)
        for swap in fragility(counts, fit, ways=[way]):
            better, worse = fit.position(swap.better), fit.position(swap.worse)
            least = _brute(counts, better, worse, way, 3)
            if least is None:
                assert swap.num_votes is None or swap.num_votes > 3
                continue
            assert swap.num_votes is not None
            assert swap.num_votes >= least, "fewer than brute force found"
            total += 1
            equal += swap.num_votes == least
    assert total >= 5
    assert equal >= 0.85 * total, (equal, total)


def test_every_swap_is_confirmed_from_scratch(world):
    counts = world(3, num_models=9, num_votes=1500)
    fit = fit_bradley_terry(counts)
    swaps = fragility(counts, fit)
    assert len(swaps) == 3 * 8
    for swap in swaps:
        if swap.num_votes is None:
            continue
        assert swap.gap_after < 0 <= swap.gap_short
        if sum(cell.num_votes for cell in swap.cells) < swap.num_votes:
            continue  # more cells than are listed
        rebuilt = _rebuild(counts, swap)
        again = fit_bradley_terry(rebuilt)
        gap = again.elo[again.position(swap.better)] - again.elo[again.position(swap.worse)]
        assert gap == pytest.approx(swap.gap_after, abs=1e-6)


def _rebuild(counts, swap):
    names = ["A", "B", "TIE", "BOTH_BAD"]
    rows = {
        (counts.models[i], counts.models[j]): cells.copy()
        for i, j, cells in zip(counts.first, counts.second, counts.outcomes, strict=True)
    }
    for cell in swap.cells:
        row = rows.setdefault((cell.first, cell.second), np.zeros(4))
        sign = 1 if swap.way == "add" else -1
        row[names.index(cell.outcome)] += sign * cell.num_votes
        if cell.becomes:
            row[names.index(cell.becomes)] += cell.num_votes
    keys = list(rows)
    place = {name: i for i, name in enumerate(counts.models)}
    return PairCounts.from_cells(
        counts.models,
        np.repeat([place[a] for a, _ in keys], 4),
        np.repeat([place[b] for _, b in keys], 4),
        np.tile(np.arange(4), len(keys)),
        np.concatenate([rows[key] for key in keys]),
    )


def test_neighbors_that_never_met_may_get_votes():
    counts = PairCounts.from_cells(
        ["a", "b", "c"], [0, 0, 1, 1], [2, 2, 2, 2], [0, 1, 0, 1], [60, 40, 55, 45]
    )
    (swap,) = fragility(counts, pairs=[("a", "b")], ways=["add"])
    assert swap.num_votes is not None
    assert swap.num_votes == 6  # after five the two are equal


def test_equal_strengths_need_one_vote():
    counts = PairCounts.from_cells(["a", "b"], [0, 0], [1, 1], [0, 1], [7, 7])
    for swap in fragility(counts):
        assert swap.num_votes == 1


def test_no_removal_can_swap_where_a_model_would_run_away():
    counts = PairCounts.from_cells(["a", "b"], [0, 0], [1, 1], [0, 1], [5, 1])
    remove, add, flip = fragility(counts)
    assert remove.num_votes == 5 or remove.num_votes is None
    assert add.num_votes == 5
    assert flip.num_votes == 3


def test_only_connected_boards_and_known_models(world):
    counts = PairCounts.from_cells(["a", "b", "c", "d"], [0, 0, 2, 2], [1, 1, 3, 3], [0, 1, 0, 1])
    with pytest.raises(UndecidableError):
        fragility(counts)
    with pytest.raises(InputError):
        fragility(world(0), pairs=[("m0", "zz")])


def test_a_single_model_pair_only():
    counts = PairCounts.from_cells(["a"], [], [], [])
    with pytest.raises(UndecidableError):
        fragility(counts)


def test_every_swap_of_the_real_board_is_confirmed(arena):
    swaps = fragility(arena, fit_bradley_terry(arena))
    assert len(swaps) == 3 * 128
    assert all(
        swap.num_votes is not None and swap.gap_after < 0 <= swap.gap_short for swap in swaps
    )
