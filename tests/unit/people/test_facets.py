"""Facets beside closed forms; the worst off, the Gini coefficient and slices beside plain loops."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylect.people import (
    Crowd,
    Curves,
    Ranked,
    Text,
    measure_facets,
    overtakes,
    pair_slices,
    pairs_needed,
)
from polylect.people.facets import ALL_PAIRS, gap, gini, spread, worst, worst_tenth

SHARES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def crowd_of_pairs(pairs, num_users, num_texts):
    """A crowd of (user, chosen, rejected)."""
    table = np.array(sorted(pairs, key=lambda pair: pair[0]), np.int32).reshape(-1, 3)
    texts = tuple(Text((), f"text {i}", "en") for i in range(num_texts))
    return Crowd(tuple(f"u{i}" for i in range(num_users)), texts, np.zeros(num_texts, np.int32),
                 *table.T)  # fmt: skip


def random_crowd(seed):
    random = np.random.default_rng(seed)
    pairs = [(random.integers(7), *random.choice(6, 2, replace=False)) for _ in range(60)]
    return crowd_of_pairs(pairs, 7, 6)


def ranked_of(*rights, users=3, pairs=4):
    """Each user has that many pairs; a method ranks ``rights[method][user]`` of them rightly."""
    user = np.repeat(np.arange(users), pairs)
    place = np.tile(np.arange(pairs), users)
    right = np.array([[place[i] < row[user[i]] for i in range(len(user))] for row in rights], float)
    return Ranked(tuple(f"m{i}" for i in range(len(rights))), tuple(f"u{i}" for i in range(users)),
                  user, np.zeros(len(user), int), np.arange(len(user)), right)  # fmt: skip


def values(rows, method):
    return {row.figure.name: row.figure.value for row in rows if row.method == method}


def test_closed_form():
    ranked = ranked_of([4, 4, 1], [3, 3, 3])
    minority = np.array([False, False, True])
    rows = measure_facets(ranked, minority, np.ones(3, bool), num_resamples=50)
    first, second = values(rows, "m0"), values(rows, "m1")
    assert first["macro"] == first["micro"] == pytest.approx(0.75)
    assert first["worst user"] == first["worst tenth"] == first["minority"] == 0.25
    assert first["gap"] == 0.75
    assert first["majority"] == 1.0
    assert first["protection ratio"] == pytest.approx(-0.5)
    assert first["sd"] == pytest.approx(np.std([1, 1, 0.25]))
    assert second["protection ratio"] == pytest.approx(1.0)
    assert second["gini"] == second["gap"] == second["sd"] == 0
    changes = {row.figure.name: row.change for row in rows if row.method == "m1"}
    assert changes["macro"].value == pytest.approx(0)
    assert changes["macro"].lower < 0 < changes["macro"].upper
    assert changes["worst user"].value == pytest.approx(0.5)
    assert all(row.change is None for row in rows if row.method == "m0")


def test_users_without_pairs_and_undecided_ones_are_in_no_mean():
    ranked = ranked_of([4, 0], users=2)
    ranked = Ranked(ranked.methods, ("u0", "u1", "u2"), *[
        getattr(ranked, name) for name in ("user", "split", "pair", "right")
    ])  # fmt: skip
    rows = measure_facets(ranked, np.zeros(3, bool), np.array([True, False, True]), num_resamples=9)
    found = values(rows, "m0")
    assert found["macro"] == 0.5
    assert found["majority"] == 1.0
    assert found["minority"] is None
    assert found["protection ratio"] is None


def test_a_paired_difference_is_narrower_than_both_figures():
    random = np.random.default_rng(0)
    base = random.integers(2, 30, 40)
    ranked = ranked_of(base, base + 3, users=40, pairs=40)
    rows = measure_facets(ranked, np.zeros(40, bool), np.ones(40, bool), num_resamples=100)
    macro = next(row for row in rows if row.method == "m1" and row.figure.name == "macro")
    assert macro.change.value == pytest.approx(3 / 40)
    assert macro.change.lower is None
    assert macro.figure.upper - macro.figure.lower > 0.05


@given(SHARES, st.integers(0, 5))
def test_spreads_are_those_of_the_draws_one_by_one(shares, seed):
    accuracy = np.array(shares)
    weights = np.random.default_rng(seed).multinomial(len(shares), [1 / len(shares)] * len(shares))
    drawn = np.sort(np.repeat(accuracy, weights))
    weights = weights[None].astype(float)
    mean = drawn.mean()
    differences = np.abs([a - b for a, b in product(drawn, drawn)]).mean()
    assert worst(accuracy, weights)[0] == drawn[0]
    assert gap(accuracy, weights)[0] == drawn[-1] - drawn[0]
    assert worst_tenth(accuracy, weights)[0] == pytest.approx(drawn[: -(-len(drawn) // 10)].mean())
    assert spread(accuracy, weights)[0] == pytest.approx(drawn.std(), abs=1e-7)
    if mean > 1e-9:
        assert gini(accuracy, weights)[0] == pytest.approx(differences / 2 / mean, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_slices_are_those_of_plain_loops(seed):
    crowd = random_crowd(seed)
    slices = pair_slices(crowd)
    votes = {}
    for user, a, b in zip(crowd.user, crowd.chosen, crowd.rejected, strict=True):
        votes.setdefault((min(a, b), max(a, b)), {}).setdefault(int(user), []).append(
            1 if a < b else -1
        )
    for i, (user, a, b) in enumerate(zip(crowd.user, crowd.chosen, crowd.rejected, strict=True)):
        by = {who: np.sign(sum(said)) for who, said in votes[min(a, b), max(a, b)].items()}
        labels = [said for said in by.values() if said]
        smaller = min(labels.count(1), labels.count(-1)) / max(len(labels), 1)
        rest = [said for who, said in by.items() if who != user and said]
        others = np.sign(sum(rest)) * (len(rest) >= 2)
        mine = 1 if a < b else -1
        assert slices["consensus"][i] == (len(labels) >= 2 and smaller == 0)
        assert slices["divergent"][i] == (len(labels) >= 2 and smaller > 0)
        assert slices["highly divergent"][i] == (len(labels) >= 2 and smaller > 0.3)
        assert slices["with the majority"][i] == (others == mine)
        assert slices["against the majority"][i] == (others == -mine)


def test_a_slice_counts_the_users_who_have_it():
    crowd = crowd_of_pairs([(0, 0, 1), (1, 0, 1), (2, 1, 0), (0, 2, 3)], 3, 4)
    ranked = Ranked(("m",), crowd.users, crowd.user, np.zeros(4, int), np.arange(4),
                    np.array([[1.0, 1.0, 1.0, 0.0]]))  # fmt: skip
    rows = measure_facets(ranked, np.zeros(3, bool), np.ones(3, bool), pair_slices(crowd))
    by_name = {row.figure.name: row.figure for row in rows}
    assert by_name["against the majority"].value == 0
    assert by_name["against the majority"].num == 1
    assert by_name["divergent"].value == pytest.approx(2 / 3)


def test_curves_and_crossings():
    accuracy = np.array([[[0.5, 0.5, 0.5], [0.7, 0.9, 0.8], [0.9] * 3], [[0.6] * 3] * 3])
    curves = Curves(("individual", "pooled"), (0, 30, 300), np.array([0, 0, 1]),
                    np.array([0, 1, 0]), np.array([40, 40, 9]), accuracy)  # fmt: skip
    nothing = float("nan")
    assert curves.means() == pytest.approx(
        np.array([[0.5, 0.8, nothing], [0.6, 0.6, nothing]]), nan_ok=True
    )
    assert curves.num_users() == [2, 1, 0]
    individual, pooled = curves.means()
    assert overtakes(curves.numbers, individual, pooled) == 30
    assert overtakes(curves.numbers, pooled, individual) is None
    assert pairs_needed((0, 30, ALL_PAIRS), [0.5, 0.8, 0.9], 0.95 * 0.9) == ALL_PAIRS
    assert pairs_needed(curves.numbers, individual, 0.9) is None
