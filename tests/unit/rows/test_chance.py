"""Which scores are no evidence: chance levels of every task's metrics, and what is said of them."""

import math
from dataclasses import replace

import numpy as np
import pytest

from polylect.comparison import compare
from polylect.engine import Scores
from polylect.evals import TASKS
from polylect.evals.items import Item
from polylect.evals.scorers import score_items
from polylect.rows import ScoreTable, chance_note, chance_of_answer

ITEM = Item(id="1", language="de", context="Was?", choices=("a", "b", "c"), answer=0)


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_a_version_and_its_metrics_a_chance_level_or_none_that_is_known(name):
    task = TASKS[name]
    assert task.label == f"{name}@{task.version}"
    assert task.version >= 1
    if task.scorer == "generation":
        return
    item = ITEM if task.scorer == "choice" else replace(ITEM, choices=("42",))
    num = len(item.choices)
    none = np.zeros(num, bool)
    rows = score_items(
        task, [item], Scores(-np.arange(1.0, num + 1), np.ones(num, int), none, none)
    )
    wanted = 1 / 3 if task.scorer == "choice" else None
    assert {row["chance"] for row in rows} == {wanted}


@pytest.mark.parametrize(
    ("lower", "upper", "chance", "note"),
    [
        (0.2, 0.3, 0.25, "at chance"), (0.25, 0.3, 0.25, "at chance"),
        (0.2, 0.25, 0.25, "at chance"),
        (0.26, 0.3, 0.25, ""), (0.1, 0.2, 0.25, "below chance"), (0.0, 0.02, 0.0, "at chance"),
        (None, None, 0.25, ""), (0.2, 0.3, None, ""), (-math.inf, math.inf, 0.5, "at chance"),
    ],
)  # fmt: skip
def test_an_interval_that_includes_guessing_says_so(lower, upper, chance, note):
    assert chance_note(lower, upper, chance) == note


def test_what_must_be_hit_exactly_is_not_hit_by_guessing():
    assert {chance_of_answer(name) for name in ("pass@1", "pass@10", "exact_match")} == {0.0}
    assert {chance_of_answer(name) for name in ("f1", "chrf", "rougeLsum", "no_number")} == {None}


def scores(name, rights, num=400, chance=0.25, task="quiz@1"):
    """Shares right by language; items are paired, the right ones are the first."""
    return ScoreTable.from_rows([
        {"checkpoint": name, "task": task, "language": tag, "item": f"{tag}{i}", "metric": "acc",
         "value": float(i < share * num), "chance": chance}
        for tag, share in rights.items() for i in range(num)
    ])  # fmt: skip


def verdicts(before, after, **more):
    comparison = compare(scores("a", before, **more), scores("b", after, **more))
    rows = comparison.languages.select("language", "verdict").rows()
    assert comparison.cells.select("language", "verdict").rows() == rows
    return rows, comparison


def test_a_cell_where_both_guess_is_not_ranked_and_stands_last():
    before = {"de": 0.27, "hi": 0.24, "tr": 0.5, "vi": 0.25, "ar": 0.6}
    after = {"de": 0.24, "hi": 0.27, "tr": 0.42, "vi": 0.45, "ar": 0.25}
    rows, comparison = verdicts(before, after)
    assert rows == [
        ("ar", "paid"),  # from above chance to it: a loss
        ("tr", "paid"),
        ("vi", "gained"),  # from chance to above it: a gain
        ("de", "at chance"),
        ("hi", "at chance"),
    ]
    assert "2 are at chance in both" in comparison.sentence()
    assert "2 of 5 languages paid, most Arabic" in comparison.sentence()
    near = dict(comparison.cells.select("language", "near_chance").rows())
    assert near == {"de": True, "hi": True, "tr": False, "vi": True, "ar": False}


def test_without_a_chance_level_nothing_is_at_it():
    rows, _ = verdicts({"de": 0.25}, {"de": 0.25}, chance=None)
    assert rows == [("de", "not separable")]


def test_programs_that_never_pass_rank_nobody():
    rows, comparison = verdicts({"code": 0.0}, {"code": 0.0}, chance=0.0)
    assert rows == [("code", "at chance")]
    assert "it is at chance in both" in comparison.sentence()


def test_a_language_is_at_chance_where_all_of_its_tasks_are():
    easy, hard = {"de": 0.9, "hi": 0.25}, {"de": 0.25, "hi": 0.26}
    both = [
        ScoreTable.concat([scores(name, easy), scores(name, hard, task="hard@1")]) for name in "ab"
    ]
    comparison = compare(*both)
    assert dict(comparison.languages.select("language", "verdict").rows()) == {
        "de": "not separable", "hi": "at chance",
    }  # fmt: skip
    assert dict(comparison.languages.select("language", "at_chance").rows()) == {"de": 1, "hi": 2}
    assert comparison.rows().filter(of="group")["at_chance"].max() == 3
