"""Ratings become pairs by a rule that can be said; a file of either form becomes a crowd."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylect.base import InputError, Ledger
from polylect.people import Rating, Text, crowd_of_ratings, read_crowd
from polylect.people.ratings import CLOSE, CUT, NO_RATING, UNPAIRED
from polylect.rows import Message


def rating(user, text, value, prompt=""):
    messages = (Message("user", prompt),) if prompt else ()
    return Rating(user, Text(messages, text, "de"), value)


def pairs_of(crowd):
    said = [text.prompt + text.response for text in crowd.texts]
    return [(crowd.users[u], said[a], said[b])
            for u, a, b in zip(crowd.user, crowd.chosen, crowd.rejected, strict=True)]  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from("uvw"), st.sampled_from("pq"), st.sampled_from("abcd"),
                          st.integers(0, 4)), max_size=30), st.sampled_from([0, 1, 2]))  # fmt: skip
def test_pairs_are_those_of_a_plain_loop(rows, least):
    occasions, seen = {}, {}
    for user, prompt, text, value in rows:
        number = seen[user, prompt, text] = seen.get((user, prompt, text), -1) + 1
        occasions.setdefault((user, prompt, number), []).append((text, value))
    expected, close = [], 0
    for (user, prompt, _), texts in occasions.items():
        for i, (a, x) in enumerate(texts):
            for b, y in texts[:i]:
                if x == y or abs(x - y) < least:
                    close += 1
                    continue
                expected.append((user, prompt + (a if x > y else b), prompt + (b if x > y else a)))
    ledger, ratings = Ledger(), [rating(u, t, float(v), p) for u, p, t, v in rows]
    if not expected:
        with pytest.raises(InputError, match="no user rated two texts"):
            crowd_of_ratings(ratings, min_difference=least)
        return
    crowd = crowd_of_ratings(ratings, min_difference=least, ledger=ledger)
    assert sorted(pairs_of(crowd)) == sorted(expected)
    assert ledger.total(CLOSE) == close
    again = crowd_of_ratings(ratings, min_difference=least)
    assert again.digest == crowd.digest


def test_users_who_rated_the_same_texts_keep_the_same_pairs():
    random = np.random.default_rng(0)
    ratings = [rating(f"u{u}", f"t{t}", float(random.normal()))
               for u in range(6) for t in range(12)]  # fmt: skip
    ledger = Ledger()
    crowd = crowd_of_ratings(ratings, max_pairs=10, ledger=ledger)
    kept = [{frozenset(pair[1:]) for pair in pairs_of(crowd) if pair[0] == user}
            for user in crowd.users]  # fmt: skip
    assert all(each == kept[0] for each in kept)
    assert len(kept[0]) == 10
    assert ledger.total(CUT) == 6 * (66 - 10)
    other = crowd_of_ratings(ratings, max_pairs=10, seed=1)
    assert {frozenset(pair[1:]) for pair in pairs_of(other)} != kept[0]
    # Neither the order of the rows nor what other texts there are changes what is kept.
    shuffled = crowd_of_ratings(ratings[::-1], max_pairs=10)
    assert sorted(pairs_of(shuffled)) == sorted(pairs_of(crowd))


def test_a_rating_in_no_pair_is_counted():
    ledger = Ledger()
    crowd_of_ratings([rating("u", "a", 1.0), rating("u", "b", 2.0), rating("u", "c", 1.0, "p"),
                      rating("v", "a", 1.0), rating("v", "b", 1.0)], ledger=ledger)  # fmt: skip
    assert ledger.total(UNPAIRED) == 3


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


RATED = [{"user": 1, "text": "a", "rating": 3, "language": "de"},
         {"user": 1, "text": "b", "rating": 5, "language": "de"}]  # fmt: skip
COMPARED = [{"annotator": "1", "chosen": "b", "rejected": "a", "language": "de"}]


def test_either_form_is_the_same_crowd(tmp_path):
    ledger = Ledger()
    rated = read_crowd(write(tmp_path / "r.jsonl", RATED), "", ledger)
    compared = read_crowd(write(tmp_path / "c.jsonl", COMPARED), "", ledger)
    assert pairs_of(rated) == pairs_of(compared) == [("1", "b", "a")]
    assert compared.places == (f"{tmp_path / 'c.jsonl'}:1",)
    assert ledger.by_event() == {"a user with one pair": 2}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rating": "good"}, "r.jsonl:1: 'rating' is 'good' — give a finite number"),
        ({"rating": True}, "r.jsonl:1: 'rating' is True"),
        ({"text": ""}, "r.jsonl:1: 'text' is empty"),
        ({"text": 5}, "r.jsonl:1: 'text' is 5"),
        ({"user": None}, "r.jsonl:1: 'user' is missing"),
        ({"user": [1]}, r"r.jsonl:1: 'user' is \[1\]"),
        ({"prompt": 2}, "r.jsonl:1: 'prompt' is 2"),
        ({"language": "no language"}, "r.jsonl:1: 'language'"),
        ({"language": None}, "r.jsonl:1: 'language' is missing"),
    ],
)
def test_a_wrong_cell_is_a_line(tmp_path, change, words):
    path = write(tmp_path / "r.jsonl", [RATED[0] | change, RATED[1]])
    with pytest.raises(InputError, match=words) as error:
        read_crowd(path)
    assert "\n" not in str(error.value)


def test_rows_of_another_kind_and_equal_sides_are_said(tmp_path):
    with pytest.raises(InputError, match=r"x.jsonl:1: neither a preference nor a rating"):
        read_crowd(write(tmp_path / "x.jsonl", [{"text": "a"}]))
    ledger = Ledger()
    rows = [*COMPARED, {"user": "v", "chosen": "a", "rejected": "a", "language": "de"}]
    assert read_crowd(write(tmp_path / "c.jsonl", rows), "", ledger).users == ("1",)
    assert ledger.total("dropped: 'chosen' and 'rejected' are equal") == 1
    with pytest.raises(InputError, match=r"c.jsonl:1: 'user' is missing"):
        read_crowd(write(tmp_path / "c.jsonl", [COMPARED[0] | {"annotator": None}]))
    with pytest.raises(InputError, match=r"the least difference is -1"):
        read_crowd(write(tmp_path / "r.jsonl", RATED), min_difference=-1)


@pytest.mark.parametrize(
    ("values", "least", "num"),
    [((0.1, 0.3), 0.2, 1), ((0.4, 0.7), 0.3, 1), ((1.1, 1.2), 0.1, 1), ((4.6, 4.7), 0.1, 1),
     ((3.1, 3.6), 0.5, 1), ((3.1, 3.5), 0.5, 0), ((0.3, 0.1 + 0.2), 0.0, 0),
     ((1e6, 1e6 + 1), 1, 1)],
)  # fmt: skip
def test_decimals_differ_as_they_are_written(values, least, num):
    ratings = [rating("u", text, value) for text, value in zip("ab", values, strict=True)]
    ratings += [rating("v", "a", 0.0), rating("v", "b", 9.0)]
    ledger = Ledger()
    crowd = crowd_of_ratings(ratings, min_difference=least, ledger=ledger)
    assert crowd.num_pairs == 1 + num
    assert ledger.total(CLOSE) == 1 - num


def test_a_row_without_a_rating_is_dropped_and_counted(tmp_path):
    rows = [{"user": u, "text": t, "rating": v, "language": "de"}
            for u in "ab" for t, v in (("x", 1), ("y", 2), ("z", None))]  # fmt: skip
    path = tmp_path / "r.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ledger = Ledger()
    assert read_crowd(path, ledger=ledger).num_pairs == 2
    assert ledger.total(NO_RATING) == 2
    path.write_text(json.dumps(rows[2]) + "\n")
    with pytest.raises(InputError, match="no row with a rating"):
        read_crowd(path)


def test_users_whose_names_look_alike_are_named_and_kept_apart(tmp_path):
    names = ["Jos\u00e9", "Jose\u0301", "ann", "ann\u200b", "bea"]
    rows = [{"user": u, "text": t, "rating": v, "language": "de"}
            for u in names for t, v in (("x", 1), ("y", 2))]  # fmt: skip
    path = tmp_path / "r.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ledger = Ledger()
    assert len(read_crowd(path, ledger=ledger).users) == 5
    said = [event for event in ledger.by_event() if event.startswith("look alike, kept apart")]
    assert len(said) == 2
    assert any("'Jos\\xe9'" in line and "spelling in Unicode" in line for line in said)
    assert any("characters that do not show" in line for line in said)
