"""``pl.judge``, ``pl.grade`` and their commands are one job."""

import json
import re
import shutil

import polars
import pytest
from align_cases import write_model
from command_line import polylect_in_process, run_verb
from result_files import files_of

import polylect as pl
from polylect.api.generation import Answers
from polylect.api.grading import Grades
from polylect.api.judgments import Judgments
from polylect.base import InputError
from polylect.rows import Generated, Grade, Judgment, write_rows

TAGS = ("de", "tr", "ar")


def answer_rows(model):
    return [
        {"id": str(n), "language": tag, "sample": 0, "model": model, "prompt": f"question {n}",
         "answer": f"{model} says {n}"}
        for n in range(3) for tag in TAGS
    ]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("judging")
    write_model(folder / "judge")
    for name in ("base", "mine"):
        (folder / name).mkdir()
        rows = [Generated(**row) for row in answer_rows(name)]
        write_rows(folder / name / "answers.parquet", Generated, rows)
    judgments = [
        Judgment(id=row["id"], language=row["language"], model_a="base", model_b="mine",
                 verdict="B", judge="ann", swapped=False)
        for row in answer_rows("base")
    ]  # fmt: skip
    write_rows(folder / "people.jsonl", Judgment, judgments)
    grades = [
        Grade(id=row["id"], language=row["language"], model="base", judge="ann", score=4.0)
        for row in answer_rows("base")
    ]
    write_rows(folder / "people-grades.jsonl", Grade, grades)
    return folder


ASKED = {"verdict": "logprob", "over_long": "cut"}
WORDS = ["--verdict", "logprob", "--over-long", "cut"]


def test_judging_in_python_and_by_command_is_one_job(place, tmp_path):
    mine = pl.judge(place / "base", place / "mine", judges=[place / "judge"], seen=["de"],
                    human=place / "people.jsonl", out=tmp_path / "py" / "j", **ASKED)  # fmt: skip
    out = tmp_path / "sh" / "j"
    words = ["--judges", place / "judge", "--human", place / "people.jsonl", "--seen", "de"]
    printed = polylect_in_process(
        "judge", place / "base", place / "mine", *words, *WORDS, "--out", out, "--json"
    )
    assert printed.returncode == 0, printed.stderr
    assert files_of(mine.path) == files_of(out)
    assert json.loads(printed.stdout) == mine.rows()
    assert [(row["judge"], row["language"]) for row in mine.rows()[-3:]] == [
        ("ann", tag) for tag in TAGS
    ]
    assert mine.models == ("base", "mine")
    assert mine.overall["judge"].to_list() == ["judge", "ann"]
    assert "judge · ann" in mine.agreement["judges"].to_list()
    assert "By languages seen in training" in mine.page.read_text("utf-8")
    # Opened again, the folder says the same by itself.
    assert Judgments(out).lines() == [
        line.replace(str(mine.path), str(out)) for line in mine.lines()
    ]


def test_grading_in_python_and_by_command_is_one_job(place, tmp_path):
    sides, people = [place / "base", place / "mine"], place / "people-grades.jsonl"
    grades = pl.grade(
        sides, judges=str(place / "judge"), human=people, out=tmp_path / "py" / "g", **ASKED
    )
    out = tmp_path / "sh" / "g"
    words = ["--judges", place / "judge", "--human", people]
    printed = polylect_in_process(
        "grade", place / "base", place / "mine", *words, *WORDS, "--out", out, "--json"
    )
    assert printed.returncode == 0, printed.stderr
    assert files_of(grades.path) == files_of(out)
    assert json.loads(printed.stdout) == grades.rows()
    assert grades.overall.select("model", "judge").rows() == [
        ("base", "judge"), ("mine", "judge"), ("base", "ann"),
    ]  # fmt: skip
    assert all(1 <= score <= 5 for score in grades.grades["score"])
    assert grades.agreement["judges"].to_list() == ["judge · ann"]
    assert Grades(out).lines() == [
        line.replace(str(grades.path), str(out)) for line in grades.lines()
    ]


SIDES = [
    lambda folder: str(folder),
    lambda folder: folder / "answers.parquet",
    lambda folder: answer_rows(folder.name),
    lambda folder: polars.DataFrame(answer_rows(folder.name)),
    Answers,
]


@pytest.mark.parametrize("side", SIDES)
def test_answers_are_paths_results_or_tables(place, tmp_path, monkeypatch, side):
    monkeypatch.chdir(tmp_path)
    judged = pl.judge(
        side(place / "base"), side(place / "mine"), judges=place / "judge", limit=1, **ASKED
    )
    assert judged.path.parent.name == "runs"
    assert judged.judgments.height == 2 * len(TAGS)
    graded = pl.grade(side(place / "mine"), judges=place / "judge", limit=1, **ASKED)
    assert graded.grades["model"].to_list() == ["mine"] * len(TAGS)


def test_people_who_are_left_out_leave_no_trace(place, tmp_path):
    call = [place / "base", place / "mine", "--judges", place / "judge", *WORDS, "--out"]
    run_verb("judge", *call, tmp_path / "a", "--human", place / "people.jsonl")
    shutil.copytree(tmp_path / "a", tmp_path / "b" / "a")
    run_verb("judge", *call, tmp_path / "a")
    assert "ann" not in str(Judgments(tmp_path / "a"))
    assert files_of(tmp_path / "a") != files_of(tmp_path / "b" / "a")


@pytest.mark.parametrize("call", ["judge", "grade"])
def test_a_plan_writes_nothing(call, place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sides = [place / "base", place / "mine"]
    places = sides if call == "judge" else [sides]
    plan = getattr(pl, call)(*places, judges=place / "judge", dry_run=True, **ASKED)
    assert "judge judge:" in str(plan)
    assert re.search(rf"would write into runs/{call}-\w{{8}}$", str(plan))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--judge", "m"], "--judge is now --judges"),
        (["--judges", "m", "m"], "name each judge once"),
        (["--judges", "{judge}", "--retries", "3"], "--retries has no effect"),
    ],
)
@pytest.mark.parametrize("command", ["judge", "grade"])
def test_a_mistake_is_one_line(command, words, said, place):
    sides = [place / "base", place / "mine"]
    words = [word.format(judge=place / "judge") for word in words]
    if words == ["--judges", "m", "m"]:
        words = ["--judges", place / "judge", place / "judge"]
    with pytest.raises(InputError) as caught:
        run_verb(command, *sides, *words)
    assert said in str(caught.value)
