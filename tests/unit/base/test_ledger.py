import json

import pytest

from polylect.base import Ledger


def example() -> Ledger:
    ledger = Ledger()
    ledger.count("dropped: empty", 3, "de")
    ledger.count("dropped: empty", 2, "fr")
    ledger.count("dropped: duplicate", 5, "de")
    ledger.count("cut: too long", 7)
    ledger.count("dropped: empty", 1, "de")
    ledger.count("nothing", 0)
    return ledger


def test_counts():
    assert list(example().rows()) == [
        ("cut: too long", "", 7),
        ("dropped: duplicate", "de", 5),
        ("dropped: empty", "de", 4),
        ("dropped: empty", "fr", 2),
    ]
    assert example().by_event() == {
        "cut: too long": 7,
        "dropped: duplicate": 5,
        "dropped: empty": 6,
    }


def test_total_by_prefix():
    assert example().total() == 18
    assert example().total("dropped: ") == 11
    assert example().total("other") == 0


def test_addition_is_by_entry_and_leaves_both_alone():
    one, two = example(), Ledger()
    two.count("dropped: empty", 10, "de")
    two.count("new", 1, "x")
    total = one + two
    assert {(e, w): n for e, w, n in total.rows()} == {
        ("cut: too long", ""): 7,
        ("dropped: duplicate", "de"): 5,
        ("dropped: empty", "de"): 14,
        ("dropped: empty", "fr"): 2,
        ("new", "x"): 1,
    }
    assert one == example()
    assert two.total() == 11
    assert two + one == one + two == total
    assert one + Ledger() == one


def test_round_trip_through_json():
    assert Ledger.from_json(json.loads(json.dumps(example().to_json()))) == example()
    assert example().to_json()[0] == {"event": "cut: too long", "where": "", "count": 7}


def test_zero_leaves_no_entry_and_a_ledger_only_grows():
    ledger = Ledger()
    ledger.count("x", 0)
    assert not ledger
    assert list(ledger.rows()) == []
    with pytest.raises(AssertionError, match="only grows"):
        ledger.count("x", -1)
    ledger.count("x")
    assert ledger
