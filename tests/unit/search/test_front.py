import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylect.search import hypervolume, is_on_front, knee

ROWS = st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=12)


def volume(rows, reference):
    """By inclusion and exclusion over all sets of boxes."""
    total = 0.0
    for size in range(1, len(rows) + 1):
        for chosen in itertools.combinations(rows, size):
            corner = np.min(chosen, axis=0) - reference
            total += (-1) ** (size + 1) * float(np.prod(np.maximum(corner, 0)))
    return total


@given(ROWS)
def test_the_front_is_what_no_row_dominates(rows):
    expected = [
        not any(
            all(a >= b for a, b in zip(other, row, strict=True)) and other != row for other in rows
        )
        for row in rows
    ]
    assert is_on_front(np.array(rows, float)).tolist() == expected


def test_a_row_with_nan_is_not_on_the_front_and_dominates_nobody():
    rows = np.array([[1.0, 1.0], [np.nan, 9.0], [0.5, 2.0]])
    assert is_on_front(rows).tolist() == [True, False, True]


def test_the_hypervolume_of_known_sets():
    steps = np.array([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]])
    assert hypervolume(steps, [0, 0]) == pytest.approx(6)
    assert hypervolume(steps, [1, 1]) == pytest.approx(1)  # what only ties the reference adds none
    assert hypervolume(steps, [5, 5]) == 0
    assert hypervolume(np.array([[2.0, 3.0, 4.0]]), [0, 1, 2]) == pytest.approx(8)
    # Points of the quarter circle: the area tends to pi / 4.
    angles = np.linspace(0, np.pi / 2, 2001)[1:-1]
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert hypervolume(circle, [0, 0]) == pytest.approx(np.pi / 4, abs=1e-3)


@given(st.lists(st.tuples(*[st.integers(-2, 4)] * 3), min_size=1, max_size=7))
def test_the_hypervolume_by_inclusion_and_exclusion(rows):
    reference = np.array([-1.0, 0.0, 1.0])
    values = np.array(rows, float)
    assert hypervolume(values, reference) == pytest.approx(volume(values, reference), abs=1e-9)


def test_the_knee_is_the_best_in_its_worst_aspect():
    rows = np.array([[0.0, 10.0, 5.0], [0.9, 8.0, 5.0], [1.0, 0.0, 5.0]])
    assert knee(rows) == 1
    assert knee(rows[:1]) == 0
