"""Requests and rows against lm-evaluation-harness's own code and a slow reference."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from polylect.base import InputError
from polylect.engine import Likelihood, Scores
from polylect.evals import Item, Source, find_task
from polylect.evals.scorers import (
    build_requests,
    chat_messages,
    choose_shots,
    fewshot_prefix,
    score_items,
)
from polylect.rows import Message, ScoreTable, as_dicts

TESTS = Path(__file__).parents[2]
FIXTURES = TESTS / "fixtures" / "tasks"
GOLDEN = json.loads((TESTS / "golden" / "lm_eval_tasks.json").read_text("utf-8"))["tasks"]
CHOICES = [name for name, cases in GOLDEN.items() if "chat" in cases[0]]
TAGS = {
    "xcopa": "it", "xstorycloze": "es", "xwinograd": "fr", "global_mmlu": "tr", "okapi_mmlu": "ro",
    "xquad": "el", "mgsm": "ja", "gsm8k": "en", "mbpp_text": "code",
}  # fmt: skip


def opened(name):
    """Task, items and pool that a golden case is about."""
    name, _, part = name.partition(":")
    task = find_task(str(FIXTURES / "mixed.jsonl") if name == "mixed" else name)
    tag = TAGS.get(name, part)
    source = Source.at(FIXTURES)
    items, pool = task.items(source, tag), task.shots(source, tag)
    return task, [one for one in items if name != "global_mmlu" or one.group == part], pool


def answers(lls, num_tokens=None, greedy=None, truncated=None):
    lls = np.asarray(lls, np.float64)
    given = (num_tokens, np.ones(len(lls), np.int64)), (greedy, np.zeros(len(lls), bool))
    tokens, likeliest = (np.asarray(one) if one is not None else two for one, two in given)
    cut = np.zeros(len(lls), bool) if truncated is None else np.asarray(truncated)
    return Scores(lls, tokens, likeliest, cut)


@pytest.mark.parametrize("num_shots", [0, 2])
@pytest.mark.parametrize("name", GOLDEN)
def test_requests_are_lm_evals_to_the_last_character(name, num_shots):
    task, items, pool = opened(name)
    shots = choose_shots(task, items, pool, num_shots)
    found = build_requests(items, shots)
    wanted = [one for case in GOLDEN[name] for one in case["requests"][str(num_shots)]]
    assert [[one.context, one.continuation] for one in found] == wanted
    assert len(wanted) >= 2
    assert not any(one.chat for one in found)


@pytest.mark.parametrize("name", CHOICES)
def test_requests_of_a_chat_are_lm_evals(name):
    task, items, pool = opened(name)
    shots = choose_shots(task, items, pool, 2)
    found = build_requests(
        items, shots, lambda turns: json.dumps(as_dicts(turns), ensure_ascii=False)
    )
    wanted = [one for case in GOLDEN[name] for one in case["chat"]]
    assert [[one.context, one.continuation] for one in found] == wanted
    assert all(one.chat for one in found)


@pytest.mark.parametrize("name", CHOICES)
def test_verdicts_are_lm_evals(name):
    task, items, _ = opened(name)
    seen = set()
    for turn in range(6):
        verdicts = [case["verdicts"][turn] for case in GOLDEN[name]]
        lls = [ll for one in verdicts for ll in one["log_likelihoods"]]
        rows = score_items(task, items, answers(lls))
        for metric in ("acc", "acc_norm", "acc_bytes"):
            found = [row["value"] for row in rows if row["metric"] == metric]
            assert found == [one[metric] for one in verdicts]
            seen |= {(metric, value) for value in found}
    assert len(seen) == 6  # each of the three was right once and wrong once


def slow(item, lls, tokens):
    """The rules once more, in plain Python."""
    best = {}
    for metric in ("acc", "acc_norm", "acc_bytes", "acc_token"):
        top = None
        for number, ll in enumerate(lls):
            text = item.choices[number] if isinstance(item.context, str) else item.context[number]
            length = {
                "acc": 1,
                "acc_norm": len(text),
                "acc_bytes": len(text.encode("utf-8")),
                "acc_token": tokens[number],
            }[metric]
            if top is None or ll / length > top[0]:
                top = (ll / length, number)
        best[metric] = 1.0 if top[1] == item.answer else 0.0
    return best


def test_choices_of_many_scripts_against_the_slow_reference():
    random = np.random.default_rng(5)
    task = find_task(str(FIXTURES / "mixed.jsonl"))
    source = Source.at(None)
    items = [one for tag in task.languages for one in task.items(source, tag)]
    values = set()
    for _ in range(40):
        numbers = [len(one.choices) for one in items]
        lls = random.integers(-30, -1, sum(numbers)).astype(float)
        tokens = random.integers(1, 9, sum(numbers))
        rows = iter(score_items(task, items, answers(lls, tokens)))
        start = 0
        for item, number in zip(items, numbers, strict=True):
            part = slice(start, start + number)
            start += number
            for metric, value in slow(item, lls[part], tokens[part]).items():
                row = next(rows)
                assert (row["metric"], row["value"]) == (metric, value)
                assert row["chance"] == 1 / number
                assert row["weight"] == 1.0
                values.add((metric, value))
    assert len(values) == 8


def test_a_tie_goes_to_the_first():
    task = find_task(str(FIXTURES / "mixed.jsonl"))
    items = task.items(Source.at(None), "ar")[:1]
    assert items[0].answer == 0
    assert score_items(task, items, answers([-2, -2, -2]))[0]["value"] == 1.0
    assert score_items(task, items, answers([-2, -1, -1]))[0]["value"] == 0.0


def likelihood_task():
    return find_task("gsm8k")


def gold(name="1", text="größer", **fields):
    return Item(name, "en", "Question:", (text,), 0, **fields)


def test_a_likelihood_has_nats_bits_bytes_and_the_greedy_mark():
    items = [gold(), gold("2", "四角", cluster="page")]
    scores = answers([-8 * math.log(2), -3.0], [4, 2], [True, False], [False, True])
    rows = score_items(likelihood_task(), items, scores)
    table = {(row["item"], row["metric"]): row for row in rows}
    assert [row["metric"] for row in rows[:4]] == [
        "log_likelihood",
        "bits",
        "bits_per_byte",
        "greedy",
    ]
    assert table["1", "bits"]["value"] == pytest.approx(8)
    assert table["1", "log_likelihood"]["value"] == pytest.approx(-5.545177)
    assert table["1", "bits_per_byte"]["value"] == pytest.approx(1)  # ö and ß are two bytes each
    assert table["1", "bits_per_byte"]["weight"] == 8
    assert table["2", "bits_per_byte"]["weight"] == 6
    assert [table[one, "greedy"]["value"] for one in "12"] == [1.0, 0.0]
    assert [table[one, "bits"]["truncated"] for one in "12"] == [False, True]
    assert table["2", "bits"]["cluster"] == "page"
    assert table["1", "bits"]["cluster"] == "1"
    assert all(row["chance"] is None and not row["invalid"] for row in rows)
    mean = ScoreTable.from_rows([{**row, "checkpoint": "m"} for row in rows]).by("metric")
    (bits,) = mean.filter(mean["metric"] == "bits_per_byte")["value"]
    assert bits == pytest.approx((8 + 3 / math.log(2)) / (8 + 6))  # all bits over all bytes


def test_what_is_no_number_is_invalid_and_never_averaged():
    items = [gold(), gold("2"), gold("3")]
    rows = score_items(likelihood_task(), items, answers([-1.0, math.nan, -math.inf]))
    bad = {row["item"] for row in rows if row["invalid"]}
    assert bad == {"2", "3"}
    assert all(row["value"] == 0.0 for row in rows if row["invalid"])
    assert [row["metric"] for row in rows if row["item"] == "3" and row["invalid"]] == [
        "log_likelihood", "bits", "bits_per_byte",
    ]  # fmt: skip
    task = find_task(str(FIXTURES / "mixed.jsonl"))
    item = task.items(Source.at(None), "ar")[:1]
    choice = score_items(
        task, item, answers([-1.0, math.nan, -2.0], truncated=[False, True, False])
    )
    assert all(row["invalid"] and row["truncated"] for row in choice)
    # A choice that the model thinks impossible is simply not chosen.
    assert not any(row["invalid"] for row in score_items(task, item, answers([-1, -math.inf, -2])))


def test_answers_to_other_requests_are_a_mistake_of_the_caller():
    with pytest.raises(AssertionError, match="other items"):
        score_items(likelihood_task(), [gold()], answers([-1.0, -2.0]))


def test_an_item_is_not_among_its_own_examples_and_all_others_share_one_prefix():
    task = find_task(str(FIXTURES / "mixed.jsonl"))
    items = task.items(Source.at(None), "de")
    found = choose_shots(task, items, [], 2)
    names = [[one.id for one in shots] for shots in found]
    assert names == [["1", "2"], ["0", "2"], ["0", "1"], ["0", "1"], ["0", "1"]]
    assert found[3] is found[4]
    prefixes = {one.context.removesuffix(item.context) for item, one in zip(
        [item for item in items for _ in item.choices], build_requests(items, found), strict=True
    )}  # fmt: skip
    assert len(prefixes) == 3


def test_examples_are_of_the_items_own_subject():
    task, source = find_task("global_mmlu"), Source.at(FIXTURES)
    items, pool = task.items(source, "tr"), task.shots(source, "tr")
    found = choose_shots(task, items, pool, 2)
    assert [{one.group for one in shots} for shots in found] == [{one.group} for one in items]
    with pytest.raises(InputError, match=r"has 2 examples.*--shots 2"):
        choose_shots(task, items, pool, 3)


@pytest.mark.parametrize(
    ("num_shots", "said"),
    [(5, r"'0' \(de\) has 4 examples.*--shots 4"), (-1, "--shots is -1")],
)
def test_too_few_examples_are_refused(num_shots, said):
    task = find_task(str(FIXTURES / "mixed.jsonl"))
    with pytest.raises(InputError, match=said):
        choose_shots(task, task.items(Source.at(None), "de"), [], num_shots)


def test_a_task_may_take_no_examples():
    with pytest.raises(InputError, match=r"ntrex_bits: takes no shots, not 1 — --shots 0"):
        choose_shots(find_task("ntrex_bits"), [gold()], [], 1)
    assert choose_shots(find_task("ntrex_bits"), [gold()], [], 0) == [()]


def test_no_examples_are_no_prefix():
    assert fewshot_prefix([]) == ""
    assert (
        build_requests([gold()])
        == build_requests([gold()], [()])
        == [Likelihood("Question:", " größer")]
    )


def test_equal_ids_in_two_languages_do_not_share_examples():
    """The prefix is remembered by the examples themselves, not by their names."""
    task = find_task(str(FIXTURES / "mixed.jsonl"))
    german = Item("0", "de", "Hund", ("bellt",), 0)
    other = Item("0", "fr", "Chien", ("aboie",), 0)
    found = build_requests([gold(), gold("2")], [(german,), (other,)])
    assert [one.context for one in found] == [
        "Hund bellt\n\nQuestion:", "Chien aboie\n\nQuestion:",
    ]  # fmt: skip
    assert task.scorer == "choice"


def test_a_chat_has_turns_and_wants_a_context():
    shot = Item("0", "de", ("A ist", "B ist"), ("da", "da"), 1)
    assert chat_messages("Und?", [shot]) == [
        Message("user", "B ist"),
        Message("assistant", "da"),
        Message("user", "Und?"),
    ]
    bare = Item("7", "de", " ", ("Text",), 0)
    with pytest.raises(InputError, match=r"item '7' \(de\) has no context"):
        build_requests([bare], None, str)
