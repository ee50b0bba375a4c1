"""Shrinkage judges by texts that are new: parts of a crowd, and planted crowds of rated texts."""

from dataclasses import replace

import numpy as np
import pytest
from crowds import known_crowd, recovery

from polylect.people import Crowd, Seen, Text, find_method
from polylect.people.methods.held_out import (
    KEYS,
    LEFT_OUT,
    PARTS,
    folds_of,
    known_to,
    parts_of,
    text_parts,
)
from polylect.people.methods.pairs import crowd_pairs
from polylect.people.splits import texts_together
from polylect.rows import Message

SCALE = {"precision": np.ones(1)}


def crowd_of_texts(texts, pairs, users=("ann",)):
    user, chosen, rejected = np.array(pairs, np.int32).T
    numbers = np.arange(len(texts), dtype=np.int32)
    crowd = Crowd(users, tuple(texts), numbers, user, chosen, rejected)
    vectors = np.random.default_rng(0).normal(size=(len(texts), 8)).astype(np.float32)
    return crowd, Seen(crowd.texts, vectors)


def words(seed, num):
    draw = np.random.default_rng(seed)
    return [" ".join(map(str, draw.integers(10**9, size=4))) for _ in range(num)]


def rated(seed, num_opposed, num_users=4, num_texts=120, width=64, num_pairs=300):
    """Users rate every text, each with errors of their own; pairs are made of these ratings."""
    draw = np.random.default_rng(seed)
    vectors = draw.normal(size=(num_texts + 60, width)) / width**0.5
    taste = draw.normal(size=(width, 1)) * np.where(np.arange(num_users) < num_opposed, -1, 1)
    ratings = vectors @ taste
    ratings[:num_texts] += draw.normal(size=(num_texts, num_users))
    return known_crowd(vectors, ratings, num_pairs, seed, 0.0, 60)


def test_any_two_parts_are_left_out_together_by_exactly_one_line():
    lines = LEFT_OUT[13:].astype(int)
    together = lines.T @ lines
    assert (together[~np.eye(13, dtype=bool)] == 1).all()
    assert (lines.sum(axis=1) == 4).all()


@pytest.mark.parametrize("num_pairs", [3, 40, 400])
@pytest.mark.parametrize("num_new", [0, 30])
def test_no_text_of_a_held_out_pair_is_known_to_its_fold(num_pairs, num_new):
    draw = np.random.default_rng(num_pairs + num_new)
    texts = [Text((), response, "en") for response in words(1, 60 + num_new)]
    ends = np.array([draw.permutation(60)[:2] for _ in range(200)])
    crowd, seen = crowd_of_texts(texts, np.column_stack([np.zeros(200, int), ends]))
    shared = {**text_parts(crowd_pairs(crowd, seen)), **SCALE}
    ends = np.array([draw.permutation(len(texts))[:2] for _ in range(num_pairs)])
    own, _ = crowd_of_texts(texts, np.column_stack([np.zeros(num_pairs, int), ends]))
    pairs = crowd_pairs(own, seen)
    part = parts_of(pairs, shared)
    folds = folds_of(part, pairs)
    assert len(folds) == num_pairs
    for fold in np.unique(folds):
        known, held = known_to(fold, part, pairs), folds == fold
        of_known, of_held = (
            {*pairs.chosen[some].tolist(), *pairs.rejected[some].tolist()} for some in (known, held)
        )
        assert not of_known & of_held


def test_texts_of_a_prompt_compared_texts_and_near_duplicates_are_in_one_part():
    some = words(2, 40)
    prompts = [(Message("user", word),) for word in words(3, 10)]
    texts = [Text(prompts[i // 4], response, "en") for i, response in enumerate(some)]
    texts.append(Text((), some[0] + "!", "en"))  # nearly the first, without its prompt
    pairs = [(0, 2 * i, 2 * i + 1) for i in range(20)] + [(0, 40, 39)]
    crowd, seen = crowd_of_texts(texts, pairs)
    group, names = texts_together(crowd)
    assert [len(set(group[4 * i : 4 * i + 4].tolist())) for i in range(10)] == [1] * 10
    assert group[40] == group[0] == group[39]
    assert len(names) == 9
    fitted = crowd_pairs(crowd, seen)
    shared = {**text_parts(fitted), **SCALE}
    part = parts_of(fitted, shared)
    assert (part[fitted.chosen] == part[fitted.rejected]).all()
    assert (folds_of(part, fitted) < 13).all()


def test_one_prompt_for_all_does_not_keep_all_texts_together():
    prompt = (Message("user", "Say something."),)
    texts = [Text(prompt, response, "en") for response in words(4, 40)]
    crowd, _ = crowd_of_texts(texts, [(0, 2 * i, 2 * i + 1) for i in range(20)])
    assert len(texts_together(crowd)[1]) == 20
    everything = [(0, i, j) for i in range(40) for j in range(i)]
    crowd, _ = crowd_of_texts(texts, everything)
    assert len(texts_together(crowd)[1]) == 40


def test_parts_do_not_depend_on_the_order_of_rows_and_hold_for_each_user():
    texts = [Text((), response, "en") for response in words(5, 50)]
    draw = np.random.default_rng(5)
    rows = np.array([[draw.integers(3), *draw.permutation(50)[:2]] for _ in range(150)])
    crowd, seen = crowd_of_texts(texts, rows, ("a", "b", "c"))
    turned = crowd.take(np.arange(crowd.num_pairs)[::-1])
    first, second = (text_parts(crowd_pairs(some, seen)) for some in (crowd, turned))
    assert np.array_equal(first[KEYS], second[KEYS])
    assert np.array_equal(first[PARTS], second[PARTS])
    pairs = crowd_pairs(crowd, seen)
    whole = parts_of(pairs, {**first, **SCALE})
    start = 0
    for user in range(3):
        own = pairs.of(user)
        part, stop = parts_of(own, {**first, **SCALE}), start + len(own)
        assert np.array_equal(part[own.chosen], whole[pairs.chosen[start:stop]])
        start = stop


def test_new_texts_are_where_those_are_that_they_are_compared_with():
    texts = [Text((), response, "en") for response in words(6, 80)]
    crowd, seen = crowd_of_texts(texts, [(0, 2 * i, 2 * i + 1) for i in range(20)])
    shared = {**text_parts(crowd_pairs(crowd, seen)), **SCALE}
    known = parts_of(crowd_pairs(crowd, seen), shared)
    own, _ = crowd_of_texts(texts, [(0, i, 40 + i) for i in range(20)]
                            + [(0, 60 + i, 70 + i) for i in range(10)])  # fmt: skip
    pairs = crowd_pairs(own, seen)
    part = parts_of(pairs, shared)
    assert (part[pairs.chosen] == part[pairs.rejected]).all()
    assert np.array_equal(part[:20], known[:20])


@pytest.mark.parametrize("num_pairs", [300, 800])
def test_copies_of_the_pool_whose_pairs_share_texts_are_pooled(num_pairs):
    taus = []
    for seed in range(5):
        known = rated(seed, 0, num_pairs=num_pairs)
        taus.append([recovery(find_method(name).fit(known.crowd, known.seen), known)
                     for name in ("pooled", "individual", "shrinkage")])  # fmt: skip
    pooled, individual, shrinkage = np.mean(taus, axis=0)
    assert pooled > individual + 0.1
    assert shrinkage > pooled - 0.03


@pytest.mark.parametrize("num_pairs", [300, 800])
def test_opposed_users_whose_pairs_share_texts_are_not_pooled(num_pairs):
    taus = []
    for seed in range(5):
        known = rated(seed, 2, num_pairs=num_pairs)
        taus.append([recovery(find_method(name).fit(known.crowd, known.seen), known)
                     for name in ("individual", "shrinkage")])  # fmt: skip
    individual, shrinkage = np.mean(taus, axis=0)
    assert individual > 0.25
    assert shrinkage > individual - 0.01


def test_how_sure_heads_are_does_not_decide():
    """A user of the crowd who labels at random takes nobody else's head away."""
    known = rated(0, 0)
    draw = np.random.default_rng(7)
    crowd = known.crowd
    turned = (crowd.user == 0) & (draw.random(crowd.num_pairs) < 0.5)
    crowd = replace(crowd, chosen=np.where(turned, crowd.rejected, crowd.chosen),
                    rejected=np.where(turned, crowd.chosen, crowd.rejected))  # fmt: skip
    fitted = {name: find_method(name).fit(crowd, known.seen) for name in ("pooled", "shrinkage")}
    others = crowd.users[1:]
    least = recovery(fitted["pooled"], known, users=others) - 0.05
    assert recovery(fitted["shrinkage"], known, users=others) > least
