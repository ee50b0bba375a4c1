"""Parts share nothing; trials rank as the truth does; verdicts beside scipy's tests."""

import numpy as np
import pytest
from scipy import stats

from polylect.base import InputError, Ledger
from polylect.people import (
    NUMBERS,
    Crowd,
    Ranked,
    Seen,
    Text,
    divide,
    find_method,
    method_verdicts,
    run_trial,
)
from polylect.people.facets import ALL_PAIRS
from polylect.people.verdicts import t_test

WIDTH, USERS, TEXTS, PAIRS = 6, 8, 60, 90


@pytest.fixture(scope="module")
def world():
    """Half of the users like what the others dislike; labels are exact."""
    draw = np.random.default_rng(3)
    vectors = draw.normal(size=(TEXTS, WIDTH))
    head = draw.normal(size=WIDTH)
    # Words that are no near-duplicates of each other.
    texts = tuple(Text((), " ".join(map(str, draw.integers(10**9, size=4))), "en")
                  for _ in range(TEXTS))  # fmt: skip
    user = np.repeat(np.arange(USERS, dtype=np.int32), PAIRS)
    # Pairs stay within groups of four texts, so that a split by response drops nothing.
    group, sides = draw.integers(TEXTS // 4, size=len(user)), draw.random((len(user), 4))
    two = np.argsort(sides, axis=1)[:, :2]
    a, b = group * 4 + two[:, 0], group * 4 + two[:, 1]
    likes = (vectors[a] - vectors[b]) @ head * np.where(user % 2, 1, -1) > 0
    crowd = Crowd(tuple(f"u{i}" for i in range(USERS)), texts, np.zeros(TEXTS, np.int32), user,
                  *np.where(likes, [a, b], [b, a]).astype(np.int32))  # fmt: skip
    return crowd, Seen(texts, vectors.astype(np.float32))


def texts_of(crowd, pairs):
    return {*crowd.chosen[pairs].tolist(), *crowd.rejected[pairs].tolist()}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["response", "user"])
def test_parts_share_no_text_and_the_users_left_out_are_learned_from_apart(world, kind, seed):
    crowd, _ = world
    parts = divide(crowd, kind, seed)
    learned = np.union1d(parts.train, parts.learn)
    assert not texts_of(crowd, learned) & texts_of(crowd, parts.test)
    assert set(crowd.user[parts.learn].tolist()) == set(parts.left_out.tolist())
    assert len(parts.left_out) == 2
    if kind == "user":
        assert not set(crowd.user[parts.train]) & set(parts.left_out)
        assert set(crowd.user[parts.test]) == set(parts.left_out)
    assert "leaks" not in parts.label


def test_a_split_by_pair_is_labeled(world):
    assert "leaks" in divide(world[0], "pair").label


@pytest.mark.parametrize("kind", ["response", "user"])
def test_trials(world, kind):
    crowd, seen = world
    parts = divide(crowd, kind, 1)
    general = (seen, crowd.chosen[:5], crowd.rejected[:5])
    trials = {name: run_trial(crowd, seen, find_method(name), parts, 1, general=general)
              for name in ("pooled", "individual")}  # fmt: skip
    own = trials["individual"]
    assert own.pair.tolist() == parts.test.tolist()
    assert own.right.mean() > 0.9
    assert trials["pooled"].right.mean() < 0.7
    assert own.accuracy.shape == (2, len(NUMBERS))
    # Without a pair a new user has the scores of the crowd; with all, nearly the truth.
    assert own.accuracy[:, 0] == pytest.approx(trials["pooled"].accuracy[:, 0])
    assert (own.accuracy[:, -1] > 0.85).all()
    few = np.array(NUMBERS) > own.available[:, None]
    few &= np.array(NUMBERS) < ALL_PAIRS
    assert np.isnan(own.accuracy).tolist() == few.tolist()
    # Users of the first pair's kind rank the general pairs as that user did, the others do not.
    known = [user for user in range(USERS) if kind != "user" or user not in parts.left_out]
    assert np.isfinite(own.general).all(axis=1).nonzero()[0].tolist() == known
    for user in known:
        assert (own.general[user].mean() > 0.5) == (user % 2 == crowd.user[0] % 2)


def test_one_user_cannot_be_left_out():
    texts = tuple(Text((), f"{i} {i * 7919}", "en") for i in range(40))
    chosen = np.arange(0, 40, 2, dtype=np.int32)
    crowd = Crowd(("u",), texts, np.zeros(40, np.int32), np.zeros(20, np.int32), chosen, chosen + 1)
    ledger = Ledger()
    assert not len(divide(crowd, "pair", ledger=ledger).left_out)
    with pytest.raises(InputError):
        divide(crowd, "user")


def ranked_of(accuracy, splits=5, pairs=20):
    """Accuracies [methods, splits, users] as rows."""
    methods, _, users = accuracy.shape
    user = np.tile(np.repeat(np.arange(users), pairs), splits)
    split = np.repeat(np.arange(splits), users * pairs)
    place = np.tile(np.arange(pairs), users * splits)
    right = np.stack([place < np.round(accuracy[m][split, user] * pairs) for m in range(methods)])
    return Ranked(tuple("abc"[:methods]), tuple(f"u{i}" for i in range(users)), user, split,
                  np.arange(len(user)), right.astype(float))  # fmt: skip


def test_verdicts_are_those_of_the_paired_tests_with_holm():
    draw = np.random.default_rng(0)
    base = np.round(draw.uniform(0.3, 0.6, (1, 5, 9)), 1)
    accuracy = np.concatenate([base, base + 0.2 + 0.05 * draw.integers(0, 2, (1, 5, 9)), base])
    ranked = ranked_of(accuracy)
    rows = method_verdicts(ranked, 0.2, "a")
    assert [(row.first, row.second) for row in rows] == [("a", "b"), ("a", "c")]
    by_user = ranked.accuracy()
    assert rows[0].p_users == pytest.approx(stats.ttest_rel(by_user[1], by_user[0]).pvalue)
    assert rows[0].difference == pytest.approx((by_user[1] - by_user[0]).mean())
    by_split = [ranked.accuracy(ranked.split == i) for i in range(5)]
    parts = np.array([(table[1] - table[0]).mean() for table in by_split])
    corrected = parts.mean() / np.sqrt((1 / 5 + 0.25) * parts.var(ddof=1))
    assert rows[0].p_splits == pytest.approx(2 * stats.t.sf(corrected, 4))
    assert rows[0].p == pytest.approx(2 * max(rows[0].p_users, rows[0].p_splits))
    assert (rows[0].verdict, rows[1].verdict) == ("better", "not separable")
    assert rows[1].p == 1
    assert len(method_verdicts(ranked, 0.2)) == 3


def test_few_users_say_nothing_of_others():
    draw = np.random.default_rng(1)
    accuracy = np.round(draw.uniform(0.3, 0.6, (2, 5, 3)), 1)
    (row,) = method_verdicts(ranked_of(accuracy), 0.2, "a")
    assert row.p_users is None
    assert row.holds_for == "these users"
    (single,) = method_verdicts(ranked_of(accuracy[:, :1], splits=1), 0.2, "a")
    assert single.verdict == "not separable"


def test_methods_drawn_alike_are_rarely_told_apart():
    draw = np.random.default_rng(2)
    found = 0
    for _ in range(200):
        accuracy = draw.binomial(20, 0.7, (2, 5, 8)) / 20
        (row,) = method_verdicts(ranked_of(accuracy), 0.2, "a")
        found += row.verdict != "not separable"
    assert found <= 14  # 5 % of 200, and three standard errors


def test_t_test_of_equal_differences():
    assert t_test(np.zeros(5), 0.2) == 1.0
    assert t_test(np.full(5, 0.1), 0.2) == 1.0  # one and the same case says nothing of others
    assert t_test(np.ones(1), 0.2) is None
