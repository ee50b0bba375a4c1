import json

import numpy as np
import pytest

from polylect.auditing import DatedRow, Entry, Registry, audit_board, read_boards
from polylect.auditing.registry import registry_of
from polylect.base import InputError
from polylect.ranking import VoteTable


def _verdicts(audit):
    return {
        recommendation.number: recommendation.verdict for recommendation in audit.recommendations
    }


def _figures(audit, key):
    return {figure.label: figure for figure in audit.finding(key).figures}


def _equal_board(per_day, num_days, newcomer_day=0, seed=0):
    """Ten models shown alike every day; the last one comes later."""
    rng = np.random.default_rng(seed)
    rows = []
    for day in range(num_days):
        num = 10 if day >= newcomer_day else 9
        for _ in range(per_day):
            rows.append((*rng.choice(num, 2, replace=False), rng.integers(0, 2), day))
    a, b, outcome, day = (np.array(column) for column in zip(*rows, strict=True))
    return VoteTable(
        tuple(f"m{i}" for i in range(10)),
        a.astype(np.int32),
        b.astype(np.int32),
        outcome.astype(np.int8),
        np.ones(len(rows)),
        numbers={"time": 1735689600.0 + 86400.0 * day},
    )


@pytest.mark.parametrize("added", ["", "2025-04-01"])
def test_a_newcomer_is_compared_with_the_models_of_its_days(added):
    entries = [Entry(model=f"m{i}", provider=f"p{i // 3}", license="MIT") for i in range(9)]
    entries.append(Entry(model="m9", provider="new", license="Proprietary", added=added))
    # 2025-04-01 is the 91st day of the board.
    audit = audit_board(_equal_board(400, 100, 90), registry=Registry(tuple(entries)))
    assert _verdicts(audit)[4] != "broken"
    figure = _figures(audit, "sampling_provider")["new"]
    assert figure.reference == pytest.approx(0.2)
    assert figure.lower <= 0.2 <= figure.upper
    assert _figures(audit, "data_access")["new"].reference == pytest.approx(0.01)
    bare = _equal_board(400, 100, 90)
    bare.numbers.clear()
    assert _verdicts(audit_board(bare, registry=Registry(tuple(entries))))[4] == (
        "not decidable from the data"
    )


def _board_of_spans(per_day, spans, num_days=60):
    """Models shown alike on the days (first, last) of each; the days of the votes."""
    rng = np.random.default_rng(0)
    rows = []
    for day in range(num_days):
        live = [i for i, (first, last) in enumerate(spans) if first <= day <= last]
        rows += [(*rng.choice(live, 2, replace=False), rng.integers(0, 2), day)
                 for _ in range(per_day)]  # fmt: skip
    a, b, outcome, day = (np.array(column) for column in zip(*rows, strict=True))
    return VoteTable(
        tuple(f"m{i}" for i in range(len(spans))),
        a.astype(np.int32),
        b.astype(np.int32),
        outcome.astype(np.int8),
        np.ones(len(rows)),
        numbers={"time": 1735689600.0 + 86400.0 * day},
    )


@pytest.mark.parametrize("dated", [False, True])
@pytest.mark.parametrize("source", ["votes", "boards"])
@pytest.mark.parametrize(
    ("per_day", "span", "is_gone"),
    [
        (40, (0, 5), True),  # before the window
        (40, (0, 15), True),
        (40, (0, 20), True),
        (100, (30, 33), True),  # came and went within the window
        (100, (40, 44), True),
        (100, (0, 59), False),
        (100, (30, 59), False),
        (100, (0, 56), False),  # three days without are no removal
        (3, (0, 20), False),  # too little traffic to tell
    ],
)
def test_a_model_that_stops_being_shown_needs_a_date(per_day, span, is_gone, source, dated):
    spans = [(0, 59)] * 7 + [span]
    table = _board_of_spans(per_day, spans)
    entries = [Entry(model=f"m{i}", provider=f"p{i}", license="MIT") for i in range(7)]
    retired = "2025-02-20" if dated else ""
    entries.append(Entry(model="m7", provider="p7", license="MIT", retired=retired))
    given = {"table": table}
    if source == "boards":
        day = (table.numbers["time"] - 1735689600.0) // 86400
        rows = []
        for until in range(0, 59, 5):
            date = f"2025-{1 + until // 31:02}-{1 + until % 31:02}"
            for i in range(8):
                num = float(((table.a == i) | (table.b == i))[day < until].sum())
                rows.append(DatedRow(date=date, model=f"m{i}", rating=1000.0, battles=num))
        given = {"boards": rows}
    audit = audit_board(**given, registry=Registry(tuple(entries)))
    verdict = _verdicts(audit)[5]
    if is_gone and not dated:
        assert verdict == "broken"
        assert "m7" in audit.finding("retirements").remarks[0]
    elif per_day > 10:
        assert verdict == "kept"


def test_a_board_of_little_traffic_is_measured_by_its_own():
    entries = [Entry(model=f"m{i}", provider=f"p{i}", license="MIT") for i in range(10)]
    audit = audit_board(_equal_board(40, 100), registry=Registry(tuple(entries)))
    assert _figures(audit, "retirements")["hardly shown"].value == 0.0
    assert _verdicts(audit)[5] == "kept"
    small = audit_board(_equal_board(2, 100), registry=Registry(tuple(entries)))
    assert small.finding("retirements") is None
    assert any("battles in 52 days on average" in event for event in small.ledger.by_event())
    assert _verdicts(small)[5] == "not decidable from the data"


@pytest.mark.parametrize(
    ("text", "class_"),
    [
        ("Proprietary", "proprietary"),
        ("MIT", "open-weight"),
        ("Apache 2.0", "open-weight"),
        ("apache-2.0", "open-weight"),
        ("Llama 3.1 Community", "open-weight"),
        ("CC-BY-NC-4.0", "open-weight"),
        ("Open Source", "open-source"),
        ("open-weight", "open-weight"),
        ("", ""),
    ],
)
def test_licenses_that_boards_print_have_a_class(text, class_):
    row = {"date": "2025-01-01", "model": "a", "rating": 1.0, "battles": 3}
    assert DatedRow(**row, license=text).license == class_
    assert Entry(model="a", provider="p", license=text).license == class_


def test_a_license_nobody_knows_is_refused_and_none_vanishes(tmp_path):
    file = tmp_path / "boards.jsonl"
    row = {"date": "2025-01-01", "model": "a", "rating": 1.0, "battles": 3}
    file.write_text(json.dumps(row | {"license": "Sparkle 1.0"}) + "\n")
    with pytest.raises(InputError, match=r"unknown license 'Sparkle 1.0'.*open-source"):
        read_boards(file)
    groups = registry_of([DatedRow(**row, license="MIT")])
    assert groups.group("license", ["a"]) == ["open-weight"]
    assert groups.group("provider", ["a"]) == ["unknown"]
