"""The metric that stands for each task is one that it has, and eval and compare both follow it."""

from dataclasses import replace

import pytest

from polylect.comparison import Metrics
from polylect.evals import TASKS
from polylect.evals.items import Item
from polylect.rows import FIRST_METRICS, first_metric

CHOICE = {"acc", "acc_norm", "acc_bytes", "acc_token"}
LIKELIHOOD = {"log_likelihood", "bits", "bits_per_byte", "greedy"}
ITEM = Item(id="1", language="de", context="Was?", choices=("42",), answer=0, delimiter=" ",
            cluster="", group="homonyms")  # fmt: skip


def metrics_of(task):
    if task.scorer != "generation":
        return CHOICE if task.scorer == "choice" else LIKELIHOOD
    if task.generation.program is not None:
        return {"pass@1"}
    item = replace(ITEM, choices=("safe",)) if task.name == "xstest" else ITEM
    return set(task.generation.score(item, "Die Antwort ist 42."))


def test_every_built_in_task_names_one():
    assert set(FIRST_METRICS) == set(TASKS)


@pytest.mark.parametrize("name", TASKS)
def test_the_first_metric_is_one_that_the_task_has(name):
    task = TASKS[name]
    present = metrics_of(task)
    assert task.metric in present
    assert first_metric(task.label, present) == task.metric
    assert Metrics().select(task.label, sorted(present)) == [task.metric]


def test_unequal_sentences_are_compared_by_character():
    assert Metrics().select("next_sentence@1", sorted(CHOICE)) == ["acc_norm"]
    assert Metrics().select("mine@1", sorted(CHOICE)) == ["acc"]
    assert Metrics(("acc",)).select("next_sentence@1", sorted(CHOICE)) == ["acc"]
    filtered = ["exact_match[strict]", "exact_match[flexible]", "f1"]
    assert Metrics().select("gsm8k", filtered) == sorted(filtered[:2])
