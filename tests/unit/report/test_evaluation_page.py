"""The page of an evaluation, for tasks with any metrics, languages and scripts."""

from dataclasses import replace

import pytest

from polylect.evals import EvalFolder
from polylect.report import evaluation_rows, evaluation_summary, write_eval_page
from polylect.rows import ScoreTable

LANGUAGES = ("en", "ar", "zh-Hans", "hi", "gl")


def folder_of(tmp_path, task, metrics, num_items=12):
    rows = [
        {"checkpoint": "m", "task": task, "metric": metric, "language": language,
         "item": f"{number}",
         "value": float((number * (1 + place)) % 3 == 0)}
        for place, language in enumerate(LANGUAGES) for metric in metrics
        for number in range(num_items)
    ]  # fmt: skip
    table = ScoreTable.from_rows(rows)
    asked = [{"task": task, "language": language, "items": num_items} for language in LANGUAGES]
    manifest = {"name": "m", "checkpoint": "0" * 64, "limit": None, "engine": {}, "packages": {},
                "asked": asked, "ledger": []}  # fmt: skip
    return EvalFolder(tmp_path, manifest, table)


@pytest.mark.parametrize(
    ("metrics", "headline"),
    [
        (("acc", "acc_norm"), "acc"),
        (("safe", "refused"), "refused"),  # of none that may represent a task: the first by name
        (("a_metric_of_their_own",), "a_metric_of_their_own"),
        (("length", "rougeLsum"), "rougeLsum"),
    ],
)
def test_every_task_has_a_headline_and_all_its_metrics_on_the_page(tmp_path, metrics, headline):
    folder = folder_of(tmp_path, "task", metrics)
    write_eval_page(folder)
    page = (tmp_path / "index.html").read_text("utf-8")
    assert all(f">{metric}<" in page for metric in metrics)
    assert 'lang="ar" dir="rtl"' in page
    lines = evaluation_summary(folder).splitlines()
    shown = [line.split()[:4] for line in lines if line.startswith("task  ")][1:]
    assert [row[1:3] for row in shown] == [[language, headline] for language in LANGUAGES]
    # Of 12 items, 4 are divisible by 3 in English; in Chinese all are, since 3 times any is.
    assert [row[3] for row in shown][:3] == ["0.333", "0.333", "1.000"]


def test_a_language_whose_interval_includes_guessing_is_at_chance_on_page_and_in_table(tmp_path):
    folder = folder_of(tmp_path, "task", ["acc"], num_items=120)
    frame = folder.scores.frame.with_columns(chance=0.33)
    folder = replace(folder, scores=ScoreTable(frame))
    write_eval_page(folder)
    page = (tmp_path / "index.html").read_text("utf-8")
    lines = [line for line in evaluation_summary(folder).splitlines() if line.startswith("task  ")]
    notes = {line.split()[1]: line.endswith("at chance") for line in lines[1:]}
    # A third is right in four languages, all in Chinese.
    assert notes == {language: language != "zh-Hans" for language in LANGUAGES}
    assert "4 of them not above chance" in evaluation_summary(folder)
    assert page.count("> at chance<") == 4
    assert "Expected score of guessing: 0.33." in page
    assert [row["note"] for row in evaluation_rows(folder)].count("at chance") == 4
