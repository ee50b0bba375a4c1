"""What a crowd is like: beside plain loops, closed forms and planted minorities."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from polylect.people import Crowd, Seen, Text, describe
from polylect.people import agreement as agreement_module
from polylect.people.agreement import agreements
from polylect.people.consistency import HALVES, MODEL_HALVES, RETEST, TRIPLES, consistency_of
from polylect.people.labels import labels_of
from polylect.people.model_halves import _ridge


def crowd_of_pairs(pairs, num_users, num_texts):
    """A crowd of (user, chosen, rejected)."""
    table = np.array(sorted(pairs, key=lambda pair: pair[0]), np.int32).reshape(-1, 3)
    texts = tuple(Text((), f"text {i}", "en") for i in range(num_texts))
    return Crowd(tuple(f"u{i}" for i in range(num_users)), texts, np.zeros(num_texts, np.int32),
                 *table.T)  # fmt: skip


def random_crowd(seed, num_users=7, num_texts=6, num_pairs=60):
    random = np.random.default_rng(seed)
    pairs = [(random.integers(num_users), *random.choice(num_texts, 2, replace=False))
             for _ in range(num_pairs)]  # fmt: skip
    return crowd_of_pairs(pairs, num_users, num_texts)


def plain_agreements(crowd, weights):
    """The same by loops over users and items of one resample."""
    votes = {}
    for user, a, b in zip(crowd.user, crowd.chosen, crowd.rejected, strict=True):
        votes.setdefault((min(a, b), max(a, b)), {}).setdefault(int(user), []).append(int(a < b))
    labels = {item: {user: np.sign(2 * sum(said) - len(said)) for user, said in by.items()}
              for item, by in votes.items()}  # fmt: skip
    compared = divergent = highly = 0
    overlap, alone, agreed = np.zeros((3, len(crowd.users)))
    for by in labels.values():
        copies = [label for user, label in by.items() for _ in range(weights[user]) if label]
        smaller = min(copies.count(1), copies.count(-1)) / max(len(copies), 1)
        compared += len(copies) >= 2
        divergent += len(copies) >= 2 and smaller > 0
        highly += len(copies) >= 2 and smaller > 0.3 + 1e-9
        for user, label in by.items():
            others = sum(weights[v] * said for v, said in by.items() if v != user)
            num = sum(weights[v] for v, said in by.items() if v != user and said)
            alone[user] += bool(label) and num == 1
            if label and others and num >= 2:
                overlap[user] += 1
                agreed[user] += np.sign(others) == label
    return compared, divergent, highly, overlap, alone, agreed


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("is_dense", [True, False])
def test_agreement_is_that_of_plain_loops(seed, is_dense, monkeypatch):
    monkeypatch.setattr(agreement_module, "_DENSE", 0.0 if is_dense else 2.0)
    monkeypatch.setattr(agreement_module, "_BLOCK_CELLS", 30)
    crowd = random_crowd(seed)
    random = np.random.default_rng(seed)
    weights = np.array([np.ones(7, int), *random.multinomial(7, np.full(7, 1 / 7), 5)])
    sums = agreements(labels_of(crowd), weights)
    for row, drawn in enumerate(weights):
        compared, divergent, highly, overlap, alone, agreed = plain_agreements(crowd, drawn)
        there = drawn > 0
        assert (sums.compared[row], sums.divergent[row], sums.highly[row]) == (
            compared, divergent, highly,
        )  # fmt: skip
        assert sums.overlap[row][there].tolist() == overlap[there].tolist()
        assert sums.alone[row][there].tolist() == alone[there].tolist()
        assert sums.agreed[row][there].tolist() == agreed[there].tolist()


def crowd_with_minority(num_users, num_opposed, num_texts=12, flips=0.0, seed=0):
    """Users who prefer the smaller number, and some who prefer the larger; labels are flipped."""
    random = np.random.default_rng(seed)
    pairs = []
    for user in range(num_users):
        for a, b in combinations(range(num_texts), 2):
            swap = (user < num_opposed) != (random.random() < flips)
            pairs.append((user, b, a) if swap else (user, a, b))
    return crowd_of_pairs(pairs, num_users, num_texts)


def test_closed_forms():
    crowd = crowd_with_minority(10, 4)
    result = describe(crowd, num_resamples=50)
    assert result.figure("divergence").value == 1.0
    assert result.figure("high divergence").value == 1.0  # 0.4 > 0.3
    assert describe(crowd_with_minority(10, 3)).figure("high divergence").value == 0.0  # not above
    assert result.agreement.tolist() == [0.0] * 4 + [1.0] * 6
    assert result.figure("agreement with the majority").value == pytest.approx(0.6)
    assert result.figure("minority users").value == pytest.approx(0.4)
    assert result.figure("labels per pair").value == 10
    assert result.figure("pairs per user").value == 66
    assert [result.figure(f"users under {n} pairs").value for n in (30, 100)] == [0.0, 1.0]
    # Orders of numbers are never cyclic, so that halves are asked, and they agree.
    assert result.consistency.is_ordered
    assert result.consistency.measure == HALVES
    assert result.figure("consistency").value > 0.75


def test_the_interval_of_a_share_of_users_is_that_of_a_proportion():
    pairs = [(user, a, a + 1) for user in range(20) for a in range(25 if user < 8 else 40)]
    figure = describe(crowd_of_pairs(pairs, 20, 41), num_resamples=400).figure(
        "users under 30 pairs"
    )
    half = 2.093 * np.sqrt(0.4 * 0.6 / 20)
    assert figure.value == 0.4
    assert (figure.lower, figure.upper) == pytest.approx((0.4 - half, 0.4 + half), abs=0.05)


def test_what_one_other_says_is_no_majority():
    two = describe(crowd_with_minority(2, 1), num_resamples=20)
    assert not two.is_minority.any()
    assert not two.is_decided.any()
    assert two.figure("agreement with the majority").value is None
    assert two.alone.tolist() == [66, 66]
    three = describe(crowd_with_minority(3, 1), num_resamples=20)
    assert three.is_minority.tolist() == [True, False, False]
    assert not three.alone.any()


@pytest.mark.parametrize("seed", range(3))
def test_a_planted_minority_is_found(seed):
    result = describe(crowd_with_minority(40, 4, num_texts=15, flips=0.1, seed=seed))
    assert np.flatnonzero(result.is_minority).tolist() == [0, 1, 2, 3]
    assert result.consistency.measure == TRIPLES
    assert result.figure("room for personalization").value == pytest.approx(
        np.nanmean(result.consistency.value) - np.nanmean(result.agreement)
    )


def test_nobody_is_a_minority_on_few_pairs():
    few = crowd_with_minority(10, 2, num_texts=6)  # 15 pairs each
    result = describe(few)
    assert not result.is_minority.any()
    assert result.figure("minority users").value is None
    assert result.agreement[:2].tolist() == [0.0, 0.0]


def test_consistency_by_repeated_pairs():
    # User 0 labels 12 items twice and contradicts himself on 3; user 1 never does.
    pairs = []
    for user, wrong in ((0, 3), (1, 0)):
        for item in range(12):
            pairs += [(user, 2 * item, 2 * item + 1)]
            pairs += [(user, 2 * item + 1, 2 * item) if item < wrong else pairs[-1]]
    result = consistency_of(labels_of(crowd_of_pairs(pairs, 2, 24)))
    assert result.measure == RETEST
    assert result.value.tolist() == [0.75, 1.0]
    # A pair that one calls both ways is no label.
    assert (labels_of(crowd_of_pairs(pairs, 2, 24)).label == 0).sum() == 3


@pytest.mark.parametrize("dense", [512, 1])
def test_consistency_by_triples_is_that_of_a_plain_loop(dense, monkeypatch):
    from polylect.people import consistency

    monkeypatch.setattr(consistency, "_DENSE_TEXTS", dense)
    crowd = random_crowd(1, num_users=3, num_texts=8, num_pairs=90)
    once = {}
    for user, a, b in zip(crowd.user, crowd.chosen, crowd.rejected, strict=True):
        once.setdefault((int(user), frozenset((a, b))), (int(user), a, b))
    crowd = crowd_of_pairs(list(once.values()), 3, 8)
    result = consistency_of(labels_of(crowd))
    assert result.measure == TRIPLES
    for user in range(3):
        beats = {(a, b) for u, a, b in once.values() if u == user}
        shares = []
        for three in combinations(range(8), 3):
            inner = [(a, b) for a, b in beats if a in three and b in three]
            if len(inner) == 3:
                shares.append(len({a for a, _ in inner}) < 3)  # in a cycle everybody wins once
        assert result.num_cases[user] == len(shares)
        assert result.value[user] == pytest.approx(np.mean(shares))


def test_without_recurring_texts_nothing_is_said_of_consistency():
    pairs = [(user, 2 * item, 2 * item + 1) for user in range(3) for item in range(15)]
    result = describe(crowd_of_pairs(pairs, 3, 30), num_resamples=20)
    assert result.consistency.measure == ""
    assert result.figure("consistency").value is None
    assert result.figure("room for personalization").value is None
    assert result.figure("divergence").value == 0.0
    assert result.figure("divergence").lower is None  # all resamples are equal


def test_an_order_is_seen_where_there_are_no_triples():
    # Good and bad texts, as labels of 0 and 1 give them: every pair is between the two kinds.
    pairs = [(user, good, bad) for user in range(3) for good in range(8) for bad in range(8, 16)]
    result = consistency_of(labels_of(crowd_of_pairs(pairs, 3, 16)))
    assert (result.measure, result.is_ordered) == (HALVES, True)
    pairs[0], pairs[9] = (0, 8, 0), (0, 9, 1)  # 8 over 0 over 9 over 1 over 8
    result = consistency_of(labels_of(crowd_of_pairs(pairs, 3, 16)))
    assert (result.measure, result.is_ordered) == (HALVES, False)


def test_without_recurring_texts_a_model_of_each_user_is_asked():
    random = np.random.default_rng(0)
    vectors = random.normal(size=(400, 8)).astype(np.float32)
    pairs = []
    for user in range(3):
        taste = random.normal(size=8)
        for a in range(0, 400, 2):
            likes = vectors[a] @ taste > vectors[a + 1] @ taste
            if user == 2:
                likes = random.random() < 0.5
            pairs.append((user, a, a + 1) if likes else (user, a + 1, a))
    crowd = crowd_of_pairs(pairs, 3, 400)
    seen = Seen(crowd.texts, vectors)
    result = describe(crowd, num_resamples=20, see=lambda texts: seen)
    assert result.consistency.measure == MODEL_HALVES
    assert result.consistency.value[:2].min() > 0.85
    assert abs(result.consistency.value[2] - 0.5) < 0.12
    assert result.consistency.num_cases.tolist() == [200] * 3
    # The dual of ridge regression is the primal.
    rows = vectors[:5].astype(float)
    penalty = (rows**2).sum() / 5
    primal = np.linalg.solve(rows.T @ rows + penalty * np.eye(8), rows.T @ np.ones(5))
    assert _ridge(rows) == pytest.approx(primal, abs=1e-9)


def test_names_and_the_order_of_rows_change_nothing():
    crowd = random_crowd(2)
    random = np.random.default_rng(0)
    shuffled = crowd.take(random.permutation(crowd.num_pairs))
    renamed = replace(shuffled, users=tuple(f"other {name}" for name in crowd.users))
    first, second = describe(crowd, num_resamples=20), describe(renamed, num_resamples=20)
    assert first.figures == second.figures
    assert describe(crowd, seed=1, num_resamples=20).figures != first.figures
