import numpy as np
import pytest

from polylect.auditing import duplication
from polylect.auditing.duplicate_prompts import months
from polylect.base import InputError
from polylect.ranking import VoteTable


def _votes(prompts, times=None):
    num = len(prompts)
    return VoteTable(
        ("a", "b"),
        np.zeros(num, np.int32),
        np.ones(num, np.int32),
        np.zeros(num, np.int8),
        np.ones(num),
        {"prompt": np.array(prompts, np.int32)},
        {},
        {} if times is None else {"time": np.array(times, float)},
    )


def test_shares_by_hand():
    january, february = 1735732800.0, 1738411200.0
    periods = duplication(_votes([0, 0, 1, -1, 0, 2, 1, 3], [january] * 4 + [february] * 4))
    everything, first, second = periods
    assert everything.num_votes == 7
    assert everything.share == pytest.approx(3 / 7)
    assert (first.period, first.share, first.from_before) == ("2025-01", pytest.approx(1 / 3), None)
    assert (second.share, second.from_before) == (0.0, pytest.approx(0.5))
    assert everything.lower < everything.share < everything.upper


def test_interval_covers_over_worlds():
    """Prompts drawn with many repeats: the share in a long run is inside in about 95 %."""
    rng = np.random.default_rng(0)
    hits = 0
    truth = None
    for _ in range(201):
        sizes = rng.geometric(0.7, 800)
        result = duplication(_votes(np.repeat(np.arange(800), sizes)))[0]
        truth = truth if truth is not None else 1 - 0.7
        hits += result.lower <= truth <= result.upper
    assert 0.90 <= hits / 201 <= 0.99


def test_votes_without_prompts_have_no_duplicates():
    assert duplication(_votes([-1, -1])) == ()
    with pytest.raises(InputError):
        duplication(VoteTable(("a",), *(np.zeros(0, np.int32),) * 4))
    assert months(np.zeros(0)).shape == (0,)
