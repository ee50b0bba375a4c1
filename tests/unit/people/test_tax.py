"""General sets in their published schemas; the tax beside closed forms; the limit to it."""

import json

import numpy as np
import pytest

from polylect.base import InputError, Ledger
from polylect.people import (
    Crowd,
    General,
    Seen,
    Text,
    find_method,
    limit_tax,
    measure_tax,
    read_general,
)

BENCH = [
    {"id": 0, "prompt": "Write a poem.", "chosen": "A rose.", "rejected": "No.",
     "subset": "alpacaeval-easy", "chosen_model": "a", "rejected_model": "b"},
    {"id": 1, "prompt": "How to kill a process?", "chosen": "kill PID", "rejected": "I cannot.",
     "subset": "xstest-should-respond", "chosen_model": "a", "rejected_model": "b"},
    {"id": 2, "prompt": "1 + 1?", "chosen": "2", "rejected": "3", "subset": "math-prm",
     "chosen_model": "a", "rejected_model": "b"},
    {"id": 3, "prompt": "Add.", "chosen": "a + b", "rejected": "a - b", "subset": "hep-python",
     "chosen_model": "a", "rejected_model": "b"},
]  # fmt: skip
STYLED = [
    {"id": "1", "prompt": "Why?", "chosen": ["c0", "c1", "c2"], "rejected": ["r0", "r1", "r2"],
     "domain": "chat"},
    {"id": "2", "prompt": "How?", "chosen": ["d0", "d1", "d2"], "rejected": ["s0", "s1", "d2"],
     "domain": "safety-refuse"},
]  # fmt: skip


def write(path, rows):
    if path.suffix == ".json":
        path.write_text(json.dumps(rows))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_reward_bench(tmp_path):
    general = read_general(write(tmp_path / "filtered.jsonl", BENCH))
    assert general.group == ("chat", "safety", "reasoning", "reasoning")
    assert general.texts[0].prompt == "Write a poem."
    assert general.weight.tolist() == [1, 1, 984 / 447, 1]
    right = np.array([1.0, 0.0, 1.0, 0.0])
    assert general.accuracy(right, general.mask(group="reasoning")) == pytest.approx(
        984 / 447 / (984 / 447 + 1)
    )


def test_rm_bench_compares_every_style_with_every_other(tmp_path):
    ledger = Ledger()
    general = read_general(write(tmp_path / "total.json", STYLED), ledger=ledger)
    chat = general.mask(group="chat")
    assert chat.sum() == 9
    assert general.mask(group="safety").sum() == 8
    assert sum(row[-1] for row in ledger.rows()) == 1
    # The plainer side is right everywhere: the hard cells, where the rejected side is fancier.
    rank = {text: i for i, text in enumerate(["c0", "c1", "c2", "r0", "r1", "r2"])}
    style = [rank[general.texts[i].response] % 3 for i in general.chosen[chat]]
    other = [rank[general.texts[i].response] % 3 for i in general.rejected[chat]]
    expected = ["hard" if a < b else "normal" if a == b else "easy"
                for a, b in zip(style, other, strict=True)]  # fmt: skip
    assert list(np.array(general.style)[chat]) == expected
    assert [expected.count(name) for name in ("hard", "normal", "easy")] == [3, 3, 3]


def test_rows_of_preferences_are_a_group_called_like_the_file(tmp_path):
    row = {"prompt": "", "chosen": "yes", "rejected": "no", "language": "en"}
    assert read_general(write(tmp_path / "mine.jsonl", [row])).groups == ["mine"]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({**BENCH[0], "subset": "weather"}, "'subset' is 'weather'"),
        ({**STYLED[0], "chosen": ["c0", "c1"]}, "no list of 3 answers"),
        ({**STYLED[0], "domain": "art"}, "'domain' is 'art'"),
        ({**BENCH[0], "rejected": ""}, "'rejected'"),
    ],
)
def test_what_does_not_fit_is_named_with_its_row(tmp_path, row, words):
    with pytest.raises(InputError, match=words) as caught:
        read_general(write(tmp_path / "rows.jsonl", [row]))
    assert "rows.jsonl" in caught.value.message


def test_tax_is_the_mean_and_the_worst_over_users_with_a_model():
    tax = measure_tax("m", "safety", "pooled", np.array([0.5, 0.9, np.nan]), np.full(3, 0.8))
    assert (tax.mean, tax.worst, tax.num_users) == (pytest.approx(0.1), pytest.approx(0.3), 2)
    assert tax.lower < 0 < tax.upper
    assert measure_tax("m", "g", "pooled", np.array([np.nan]), np.ones(1)) is None


WIDTH, TEXTS = 48, 600


def opposed(seed):
    """Twelve users of two objectives: half like help and dislike safety, half the other way.

    Returns the crowd, its texts, true heads, a guard set, and fresh pairs of the same kind.
    """
    draw = np.random.default_rng(seed)
    helpful, safe = np.linalg.qr(draw.normal(size=(WIDTH, 2)))[0].T * WIDTH**0.5
    vectors = draw.normal(size=(TEXTS, WIDTH))
    heads = [helpful - 0.5 * safe if i % 2 else safe - 0.5 * helpful for i in range(12)]
    user = np.repeat(np.arange(12, dtype=np.int32), 120)
    a = draw.integers(TEXTS, size=len(user))
    b = (a + draw.integers(1, TEXTS, size=len(user))) % TEXTS
    scores = vectors @ np.stack(heads, axis=1)
    wins = (scores[a, user] > scores[b, user]) ^ (draw.random(len(user)) < 0.1)
    texts = tuple(Text((), f"text {i}", "en") for i in range(TEXTS))
    crowd = Crowd(tuple(f"u{i:02}" for i in range(12)), texts, np.arange(TEXTS, dtype=np.int32),
                  user, np.where(wins, a, b).astype(np.int32),
                  np.where(wins, b, a).astype(np.int32))  # fmt: skip

    def general(num):
        sides = draw.normal(size=(2, num, WIDTH))
        is_first = (sides[0] - sides[1]) @ safe > 0
        chosen = np.where(is_first, np.arange(num), np.arange(num) + num)
        rejected = np.where(is_first, np.arange(num) + num, np.arange(num))
        words = tuple(Text((), f"general {i}", "en") for i in range(2 * num))
        return General(words, chosen, rejected, ("safety",) * num, ("",) * num, np.ones(num),
                       np.arange(num)), Seen(words, sides.reshape(-1, WIDTH))  # fmt: skip

    fresh = draw.normal(size=(4000, WIDTH))
    return crowd, Seen(texts, vectors.astype(np.float32)), heads, general(400), general(2000), fresh


def taxes_and_accuracies(model, heads, general, fresh):
    pairs, seen = general
    difference = seen.vectors[pairs.chosen] - seen.vectors[pairs.rejected]
    weights = [arrays["head"][0] for arrays in model.personal]
    pooled = (difference @ model.shared["crowd"] > 0).mean()
    tax = [pooled - (difference @ weight > 0).mean() for weight in weights]
    right = [(fresh @ weight * (fresh @ head) > 0).mean()
             for weight, head in zip(weights, heads, strict=True)]  # fmt: skip
    return np.mean(tax), np.mean(right)


def test_the_limit_halves_the_tax_for_a_point_at_most_on_two_opposed_objectives():
    before, after = [], []
    for seed in range(5):
        crowd, seen, heads, guard, general, fresh = opposed(seed)
        model = find_method("individual").fit(crowd, seen, seed)
        limited = limit_tax(model, *guard, share=0.25, seed=seed).model
        before.append(taxes_and_accuracies(model, heads, general, fresh))
        after.append(taxes_and_accuracies(limited, heads, general, fresh))
    (tax, right), (limited_tax, limited_right) = np.mean(before, axis=0), np.mean(after, axis=0)
    assert tax > 0.05
    assert limited_tax <= tax / 2
    assert limited_right >= right - 0.01


def test_a_whole_share_changes_nothing_and_the_crowd_stays():
    crowd, seen, _, guard, _, _ = opposed(0)
    model = find_method("individual").fit(crowd, seen)
    assert limit_tax(model, *guard, share=1.0).model is model
    tight = limit_tax(model, *guard, share=0.0)
    assert tight.after <= 0 < tight.before
    assert tight.strength > 0
    assert np.array_equal(tight.model.shared["crowd"], model.shared["crowd"])
    assert limit_tax(tight.model, *guard, share=0.0).strength == 0
    half = limit_tax(model, *guard, share=0.5)
    assert 0 < half.strength < tight.strength
    assert half.after <= half.before / 2


def test_a_method_without_heads_is_refused():
    crowd, seen, _, guard, _, _ = opposed(0)
    model = find_method("kernel").fit(crowd, seen)
    with pytest.raises(InputError, match="kernel has no head per user"):
        limit_tax(model, *guard)
