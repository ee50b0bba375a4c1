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


def test_counts_are_kept_by_event_and_place():
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


def test_total_sums_the_events_of_a_prefix():
    assert example().total() == 18
    assert example().total("dropped: ") == 11
    assert example().total("other") == 0


def test_addition_is_by_entry_and_changes_neither_operand():
    first, second = example(), Ledger()
    second.count("dropped: empty", 10, "de")
    second.count("new", 1, "x")
    total = first + second
    assert {(e, w): n for e, w, n in total.rows()} == {
        ("cut: too long", ""): 7,
        ("dropped: duplicate", "de"): 5,
        ("dropped: empty", "de"): 14,
        ("dropped: empty", "fr"): 2,
        ("new", "x"): 1,
    }
    assert first == example()
    assert second.total() == 11
    assert second + first == first + second == total
    assert first + Ledger() == first


def test_a_ledger_survives_json():
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
