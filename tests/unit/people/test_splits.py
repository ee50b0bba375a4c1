"""Splits keep apart what they say; planted leaks are caught every time, in any script."""

from dataclasses import replace

import numpy as np
import pytest

from polylect.base import InputError, Ledger
from polylect.people import SPLIT_KINDS, Crowd, Split, Text, check_split, find_leaks, split_crowd
from polylect.people.leaks import NEAR_TEXT, NEIGHBOR, SWAPPED_PAIR
from polylect.people.splits import STRADDLING
from polylect.rows import Message
from polylect.text import duplicate_groups, near_duplicates, normalized

SCRIPTS = [
    "abcdefghijklmnopqrstuvwxyz", "абвгдежзийклмнопрстуфхцчшщ", "ابتثجحخدذرزسشصضطظعغفقكلمنهوي",
    "कखगघचछजझटठडढणतथदधनपफबभमयरलव", "αβγδεζηθικλμνξοπρστυφχψω",
    "가나다라마바사아자차카타파하거너더러머버서",
    "的一是不了人我在有他这为之大来以个中上们到说国和地也子时",
]  # fmt: skip


def words(random, letters, num):
    sizes = random.integers(3, 9, num)
    return " ".join("".join(random.choice(list(letters), size)) for size in sizes)


def make_crowd(seed, num_users=5, num_texts=40, with_prompts=True):
    random = np.random.default_rng(seed)
    texts = tuple(
        Text((Message("user", words(random, SCRIPTS[i // 4 % 7], 6)),) if with_prompts else (),
             words(random, SCRIPTS[i // 4 % 7], 8), "und")
        for i in range(num_texts)
    )  # fmt: skip
    # Four texts answer one prompt.
    texts = tuple(replace(text, messages=texts[i - i % 4].messages) for i, text in enumerate(texts))
    pairs = []
    for user in range(num_users):
        for first in range(0, num_texts, 4):
            a, b = first + random.choice(4, 2, replace=False)
            pairs.append((user, a, b))
    prompts = np.arange(num_texts, dtype=np.int32) // 4
    users = tuple(f"u{i}" for i in range(num_users))
    return Crowd(users, texts, prompts, *np.array(pairs, np.int32).T)


@pytest.mark.parametrize("kind", SPLIT_KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_a_split_keeps_its_units_apart_and_is_decided_by_content(kind, seed):
    crowd, ledger = make_crowd(seed), Ledger()
    split = split_crowd(crowd, kind, 0.3, seed, ledger)
    assert (split.kind, split.leaks, split.label[: 3 + len(kind)]) == (
        kind, kind == "pair", f"by {kind}",
    )  # fmt: skip
    assert len(split.train) + len(split.test) + split.num_dropped == crowd.num_pairs
    assert ledger.total(STRADDLING) == split.num_dropped
    check_split(crowd, split)
    order = np.random.default_rng(seed).permutation(crowd.num_pairs)
    again = split_crowd(crowd.take(order), kind, 0.3, seed)
    assert sorted(order[again.test]) == split.test.tolist()
    others = [split_crowd(crowd, kind, 0.3, other).test.tolist() for other in range(seed + 1, 9)]
    assert any(other != split.test.tolist() for other in others)


def test_a_split_by_response_drops_what_straddles_where_all_texts_are_linked():
    crowd = make_crowd(0, with_prompts=False)
    random = np.random.default_rng(0)
    pairs = np.array([random.choice(40, 2, replace=False) for _ in range(300)], np.int32)
    crowd = replace(crowd, user=np.zeros(300, np.int32), chosen=pairs[:, 0], rejected=pairs[:, 1])
    ledger = Ledger()
    split = split_crowd(crowd, "response", 0.3, 0, ledger)
    assert ledger.total(STRADDLING) == split.num_dropped > 0
    sides = [set(crowd.chosen[part]) | set(crowd.rejected[part])
             for part in (split.train, split.test)]  # fmt: skip
    assert not sides[0] & sides[1]
    with pytest.raises(InputError, match="there is one prompt"):
        split_crowd(crowd, "prompt")


def plant(crowd, split, leak, seed):
    """The crowd with a pair that leaks, and the split with it in its training part."""
    random = np.random.default_rng(seed)
    test = int(random.choice(split.test))
    user, chosen, rejected = (int(x[test]) for x in (crowd.user, crowd.chosen, crowd.rejected))
    texts = crowd.texts
    other = int(crowd.chosen[random.choice(split.train)])
    new = [user, rejected, chosen]
    if leak == NEAR_TEXT:
        text = texts[chosen]
        letters = list(text.response)
        at = int(random.integers(1, len(letters) - 1))
        letters[at] = "q" if letters[at] != "q" else "z"
        changed = replace(text, response="".join(letters).upper() + " !", messages=())
        texts = (*texts, changed)
        new = [(user + 1) % len(crowd.users), len(crowd.texts), other]
    if leak == NEIGHBOR:
        new = [user, rejected, other]
    prompts = np.r_[crowd.prompts, np.int32(99)][: len(texts)]
    arrays = [
        np.r_[old, np.int32(x)]
        for old, x in zip((crowd.user, crowd.chosen, crowd.rejected), new, strict=True)
    ]
    planted = Crowd(crowd.users, texts, prompts, *arrays)
    return planted, replace(split, train=np.r_[split.train, crowd.num_pairs]), test


@pytest.mark.parametrize("leak", [SWAPPED_PAIR, NEAR_TEXT, NEIGHBOR])
@pytest.mark.parametrize("seed", range(10))
def test_a_planted_leak_is_caught(leak, seed):
    crowd = make_crowd(seed)
    split = split_crowd(crowd, "response", 0.3, seed)
    assert find_leaks(crowd, split.train, split.test) == []
    planted, leaking, test = plant(crowd, split, leak, seed)
    leaks = find_leaks(planted, leaking.train, leaking.test)
    assert (leak, crowd.num_pairs, test) in [(x.kind, x.train, x.test) for x in leaks]
    with pytest.raises(InputError):
        check_split(planted, leaking)
    assert not {x.test for x in leaks if x.kind == SWAPPED_PAIR} - {
        i for i in split.test
        if {crowd.chosen[i], crowd.rejected[i]} == {crowd.chosen[test], crowd.rejected[test]}
    }  # fmt: skip


def test_users_of_the_test_part_that_were_learned_from_are_refused():
    crowd = make_crowd(0)
    split = Split("user", np.arange(0, 30), np.arange(25, 50))
    with pytest.raises(InputError, match="1 of the test part are in the training part"):
        check_split(crowd, split)


@pytest.mark.parametrize("seed", range(3))
def test_near_duplicates_are_those_of_a_plain_loop(seed):
    random = np.random.default_rng(seed)
    texts = ["".join(random.choice(list("ab "), random.integers(0, 14))) for _ in range(60)]

    def grams(text):
        padded = f" {normalized(text)} "
        return {padded[i : i + 3] for i in range(max(1, len(padded) - 2))}

    expected = set()
    for b, second in enumerate(texts):
        for a in range(b):
            x, y = grams(texts[a]), grams(second)
            if len(x & y) >= 0.75 * len(x | y):
                expected.add((a, b))
    assert {pair[:2] for pair in near_duplicates(texts)} == expected
    groups = duplicate_groups(texts)
    assert all(groups[a] == groups[b] for a, b in expected)


@pytest.mark.parametrize(
    ("kind", "share", "words"),
    [("text", 0.2, "no kind of split 'text'"), ("user", 1.0, "the test part is 1 of the data"),
     ("user", 0.0, "the test part is 0")],
)  # fmt: skip
def test_what_is_no_split_is_refused(kind, share, words):
    with pytest.raises(InputError, match=words):
        split_crowd(make_crowd(0), kind, share)


def test_an_empty_part_says_that_near_duplicates_are_why():
    # Every response is a near-duplicate of one of two, which every pair compares.
    texts = tuple(Text((), f"a long statement about {word} and nothing else{'!' * i}", "en")
                  for i in range(4) for word in ("cats", "the open sea"))  # fmt: skip
    pairs = np.array([(0, 0, 1), (0, 2, 3), (1, 4, 5), (1, 6, 7)], np.int32)
    crowd = Crowd(("a", "b"), texts, np.zeros(8, np.int32), *pairs.T)
    with pytest.raises(InputError, match="of 8 responses, near-duplicates together, 2 are left"):
        split_crowd(crowd, "response")
