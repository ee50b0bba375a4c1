"""Measures of translationese against values by hand, planted differences and chance."""

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polylect.base import Ledger
from polylect.cli import main
from polylect.feedback import (
    fit_classifier,
    function_words,
    held_out,
    lexical_density,
    monotony,
    moving_ttr,
    read_texts,
    words_of,
)
from polylect.feedback.translationese.word_order import links, train_model1

LETTERS = "abcdefghijklmnop"


def test_the_moving_ratio_by_hand():
    words = ["a", "b", "a", "c", "c", "c"]
    windows = [words[i : i + 3] for i in range(4)]
    by_hand = np.mean([len(set(window)) / 3 for window in windows])
    assert moving_ttr(words, 3) == pytest.approx(by_hand)
    assert moving_ttr(words, 7) is None
    assert moving_ttr(["x"] * 80) == pytest.approx(1 / 50)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from("abcde"), max_size=60), st.integers(1, 12))
def test_the_moving_ratio_is_that_of_its_windows(words, window):
    windows = [words[i : i + window] for i in range(len(words) - window + 1)]
    expected = np.mean([len(set(some)) / window for some in windows]) if windows else None
    value = moving_ttr(words, window)
    assert value == (None if expected is None else pytest.approx(expected))


def test_function_words_and_density_by_hand():
    texts = [["the", "cat", "the", "dog"], ["the", "end", "of", "of"]]
    assert function_words(texts) == {"the", "of"}  # 3 of 8 words are below 40 %, 5 of 8 are not
    assert lexical_density(texts[0], frozenset({"the", "of"})) == 0.5
    assert lexical_density([], frozenset()) is None


@pytest.mark.parametrize(
    ("text", "num"),
    [("我喜欢学习。", 3), ("ฉันรักแมว", 3), ("मुझे किताबें पसंद हैं।", 4), ("{x} `y` 12 …", 0),
     ("שלום, עולם!", 2)],
)  # fmt: skip
def test_words_in_every_script(text, num):
    assert len(words_of(text)) == num


def lexicon(seed, num=60):
    random = np.random.default_rng(seed)
    return ["".join(random.choice(list(LETTERS), 5)) for _ in range(num)]


def test_word_order_of_planted_translations():
    """Word by word, backwards, and shuffled: 1, −1 and about 0."""
    random = np.random.default_rng(0)
    first, second = lexicon(1), lexicon(2)
    sources, order = [], []
    for _ in range(300):
        places = random.choice(60, 8, replace=False)
        sources.append([first[i] for i in places])
        order.append(places)
    same = [[second[i] for i in places] for places in order]
    back = [words[::-1] for words in same]
    mixed = [list(random.permutation(words)) for words in same]
    for targets, expected, width in ((same, 1, 0.01), (back, -1, 0.01), (mixed, 0, 0.1)):
        values = [value for value in monotony(sources, targets) if value is not None]
        assert len(values) > 290
        assert np.mean(values) == pytest.approx(expected, abs=width)


def test_model_1_finds_the_words_and_its_rows_are_probabilities():
    sources, targets = [["a", "b"], ["a", "c"]], [["x", "y"], ["x", "z"]]
    table = train_model1(sources, targets, 20)
    assert all(sum(row.values()) == pytest.approx(1) for row in table.values())
    assert links(["a", "b"], ["x", "y"], table)[1] == 1
    assert monotony([["a"]], [["x"]]) == [None]


def planted(num, shift, seed=0):
    """Pairs on the same topic: the translated one has a habit of its own, as often as ``shift``."""
    random = np.random.default_rng(seed)
    words = lexicon(3, 200)
    texts, labels, groups = [], [], []
    for group in range(num):
        topic = random.choice(words, 12)
        for translated in (False, True):
            some = list(random.permutation(topic))
            habit = translated and random.random() < shift
            some.insert(3, "zuzuzu" if habit else "vovovo")
            texts.append(" ".join(some))
            labels.append(translated)
            groups.append(group)
    return texts, labels, groups


def test_a_planted_difference_is_found_and_shuffled_labels_are_at_chance():
    texts, labels, groups = planted(200, 1.0)
    assert held_out(texts, labels, groups).correct.mean() > 0.98
    chance = [held_out(texts, labels, groups, seed, shuffled=True).correct.mean()
              for seed in range(3)]  # fmt: skip
    assert np.mean(chance) == pytest.approx(0.5, abs=0.08)
    none = [held_out(*planted(200, 0.0, seed), seed).correct.mean() for seed in range(3)]
    assert np.mean(none) == pytest.approx(0.5, abs=0.08)


def test_a_topic_that_only_one_group_has_cannot_be_learned_from_it():
    """Every group has words of its own: with its group on both sides they would give it away."""
    words = lexicon(9, 4000)
    texts, labels, groups = [], [], []
    for group in range(100):
        own = words[group * 30 : group * 30 + 30]
        for half in range(2):
            texts.append(" ".join(own[half::2]))
            labels.append(group % 2 == 0)
            groups.append(group)
    apart = held_out(texts, labels, groups).correct.mean()
    assert apart == pytest.approx(0.5, abs=0.13)


def test_the_regression_is_at_its_optimum():
    texts, labels, _ = planted(30, 1.0)
    model = fit_classifier(texts, labels)
    again = fit_classifier(texts[::-1], labels[::-1])
    np.testing.assert_allclose(model.log_odds(texts), again.log_odds(texts), atol=1e-3)


def test_folds_never_divide_a_group_nor_a_source(tmp_path):
    rows = [
        {"id": "a", "language": "de", "text": "eins a", "origin": "translated", "source_text": "s"},
        {"id": "b", "language": "de", "text": "drei b", "origin": "translated", "source_text": "s"},
        {"id": "b", "language": "de", "text": "fünf sechs", "origin": "native"},
        {"id": "c", "language": "de", "text": "sieben", "origin": "native"},
        {"id": "d", "language": "de", "text": "…", "origin": "native"},
        {"id": "e", "language": "de", "text": "acht", "origin": "post-edited"},
    ]  # fmt: skip
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ledger = Ledger()
    texts = read_texts(file, "", ledger)
    assert len({text.group for text in texts[:3]}) == 1
    assert texts[3].group != texts[0].group
    assert len(texts) + ledger.total("left out") == len(rows)


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_the_verb(tmp_path, capsys):
    texts, labels, groups = planted(60, 1.0)
    rows = [
        {"id": str(group), "language": tag, "text": text,
         "origin": "translated" if label else "native",
         "source_text": " ".join(reversed(text.split())) if label else ""}
        for tag in ("de", "tr")
        for text, label, group in zip(texts, labels, groups, strict=True)
    ]  # fmt: skip
    both = write(tmp_path / "both.jsonl", rows)
    assert main(["feedback", "translationese", both, "--out", str(tmp_path / "out")]) == 0
    table = pl.read_parquet(tmp_path / "out" / "translationese.parquet")
    values = {(row["language"], row["origin"], row["measure"]): row for row in table.to_dicts()}
    for tag in ("de", "tr"):
        accuracy = values[tag, "both", "accuracy"]
        assert accuracy["lower"] <= accuracy["value"] > 0.95
        assert accuracy["groups"] == 60
        assert values[tag, "both", "shuffled"]["value"] < 0.7
        assert values[tag, "translated", "monotony"]["value"] < 0
        assert (tag, "native", "monotony") not in values
        assert 0 < values[tag, "native", "variety"]["value"] <= 1
    answers = [[row | {"id": f"{name}{row['id']}", "origin": ""} for row in rows
                if (row["origin"] == kind) and row["language"] == "de"]
               for name, kind in (("x", "translated"), ("y", "native"))]  # fmt: skip
    before, after = (write(tmp_path / f"{name}.jsonl", some)
                     for name, some in zip(("before", "after"), answers, strict=True))  # fmt: skip
    words = ["feedback", "translationese", before, after, "--learned-from", both]
    assert main([*words, "--out", str(tmp_path / "judged")]) == 0
    judged = pl.read_parquet(tmp_path / "judged" / "translationese.parquet")
    mean = {
        row["file"]: row["value"] for row in judged.to_dicts() if row["measure"] == "translated"
    }
    assert mean["before"] > 0.6 > 0.4 > mean["after"]
    assert "before" in capsys.readouterr().out
    assert main([*words, "--dry-run"]) == 0
    for wrong in ([both, both], []):
        assert main(["feedback", "translationese", *wrong]) == 2


def test_one_language_or_few_texts_are_counted(tmp_path, capsys):
    rows = [{"language": "de", "text": "eins zwei", "origin": origin}
            for origin in ("native", "translated")]  # fmt: skip
    file = write(tmp_path / "few.jsonl", rows)
    assert main(["feedback", "translationese", file, "--out", str(tmp_path / "out")]) == 0
    assert "fewer than 20" in capsys.readouterr().out
