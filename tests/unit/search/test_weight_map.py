import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylect.base import InputError
from polylect.search import MAPS, WeightMap, equal_weights

NUMBERS = st.lists(st.floats(-4, 4), min_size=2, max_size=9)


@given(NUMBERS, st.sampled_from(MAPS))
def test_weights_sum_to_one_and_have_the_sign_of_their_map(numbers, name):
    weights = WeightMap(name, len(numbers)).weights(numbers)
    if weights is None:
        assert name != "softmax"
        return
    assert sum(weights) == pytest.approx(1, abs=1e-12)
    assert name == "signed" or min(weights) >= 0


@pytest.mark.parametrize(
    ("name", "point", "expected"),
    [
        ("softmax", [0, np.log(2), np.log(5)], [1 / 8, 2 / 8, 5 / 8]),
        ("abs", [1, -2, 5], [1 / 8, 2 / 8, 5 / 8]),
        ("signed", [1, -2, 5], [1 / 4, -2 / 4, 5 / 4]),
    ],
)
def test_the_closed_forms(name, point, expected):
    assert WeightMap(name, 3).weights(point) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("name", MAPS)
def test_the_start_is_equal_weights(name):
    space = WeightMap(name, 5)
    assert space.weights(space.start) == pytest.approx([0.2] * 5, abs=1e-15)


@given(NUMBERS, st.sampled_from(MAPS))
def test_a_point_of_the_weights_gives_them_back_and_lies_in_the_box(numbers, name):
    space = WeightMap(name, len(numbers))
    weights = space.weights(numbers)
    if weights is None:
        return
    point = space.point(weights)
    low, high = space.box
    assert point.min() >= low - 1e-9
    assert point.max() <= high + 1e-9
    # A softmax cannot go below exp(-12) of the largest.
    assert space.weights(point) == pytest.approx(weights, abs=1e-4)


def test_weights_that_cancel_are_none():
    space = WeightMap("signed", 2)
    assert space.weights([1.0, -0.9]) is None
    assert space.weights([-1.0, -1.0]) is None  # a sum below 0 would turn every sign
    assert WeightMap("abs", 2).weights([0.0, 0.0]) is None
    assert space.weights([1.0, -0.5]) == pytest.approx([2, -1])


def test_equal_weights_of_members():
    assert equal_weights([0, 3], 4) == (0.5, 0, 0, 0.5)


def test_an_unknown_map_and_a_lone_model_are_refused():
    with pytest.raises(InputError, match=r"'softmx' — did you mean softmax\?"):
        WeightMap("softmx", 3)
    with pytest.raises(InputError, match="two models or more, here 1"):
        WeightMap("softmax", 1)
