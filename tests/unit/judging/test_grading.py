"""Rubric judges: scales, reading, INVALID, agreement, and the commands from answers to the page."""

import json
import math
import re

import numpy as np
import polars as pl
import pytest
from planted_server import Planted, serving
from small_models import TEXT, write_checkpoint

from polylect.base import InputError
from polylect.cli import main
from polylect.judging import (
    find_rubric,
    grade_agreement,
    grade_table,
    mean_grade_table,
    read_grades,
    read_rubric,
)
from polylect.rows import Generated, Grade, ScoreTable, write_rows
from polylect.stats import krippendorff_alpha, weighted_kappa
from polylect.text import train_bpe

TAGS = ("de", "ar", "ja")


@pytest.mark.parametrize(
    ("answer", "score", "off"),
    [
        ("Good. Rating: [[4]]", 4, False), ("[[2]]? No.\nRating: [[ 3 ]]", 3, False),
        ("[[4.5]]", 4.5, False), ("[[7]]", None, True), ("[[-1]]", None, True),
        ("Rating: 4", None, False), ("", None, False), ("[[four]]", None, False),
    ],
)  # fmt: skip
def test_the_last_number_in_brackets_counts_if_it_is_on_the_scale(answer, score, off):
    assert find_rubric("aya").read(answer) == (score, off)


def test_a_bare_number_is_read_if_it_was_asked_for():
    rubric = find_rubric("aya")
    assert rubric.read("4, since 5 is too much", by_digit=True) == (4, False)
    assert rubric.read("none", by_digit=True) == (None, False)
    assert rubric.read("9", by_digit=True) == (None, True)
    assert rubric.digits == ("1", "2", "3", "4", "5")
    with pytest.raises(InputError, match="numbers of several characters"):
        find_rubric("mt-bench").digits  # noqa: B018


def test_questions_have_prompt_and_answer_and_placeholders_in_them_stay():
    for name in ("aya", "mt-bench"):
        system, user = find_rubric(name).messages("tr", "p {answer}", "a {language} {prompt}")
        assert user.count("p {answer}") == 1
        assert user.count("a {language} {prompt}") == 1
        assert ("Turkish" in system + user) == (name == "aya")
    question = find_rubric("aya").messages("tr", "p", "a", by_digit=True)[1]
    assert question.endswith("State the rating from 1 to 5 and nothing else.")
    assert "[[" not in question


def test_a_rubric_is_read_from_a_file(tmp_path):
    path = tmp_path / "polite.json"
    data = {"name": "polite", "criteria": "How polite is the answer in {language}, {answer}?",
            "levels": {"0": "rude", "1": "neutral", "2": "polite"}}  # fmt: skip
    path.write_text(json.dumps(data))
    rubric = read_rubric(path)
    assert re.fullmatch(r"polite-[0-9a-f]{8}@3", rubric.label)
    _, user = rubric.messages("de", "Frage", "Antwort")
    assert "How polite is the answer in German, { answer }?\n\n0: rude\n1: neutral" in user
    assert user.count("Antwort") == 1
    assert (rubric.lowest, rubric.highest) == (0, 2)
    path.write_text(json.dumps(data | {"levels": {"1": "a", "3": "b"}}))
    with pytest.raises(InputError, match="levels are 1, 3"):
        read_rubric(path)
    path.write_text(json.dumps(data | {"scale": 3}))
    with pytest.raises(InputError, match="scale"):
        read_rubric(path)
    with pytest.raises(InputError, match="did you mean mt-bench"):
        find_rubric("mtbench")


def test_ordinal_alpha_of_krippendorffs_example():
    # Krippendorff 2011, D: the four observers of C on an ordinal scale; alpha 0.815.
    missing = "*"
    rows = [
        "1 2 3 3 2 1 4 1 2 * * *", "1 2 3 3 2 2 4 1 2 5 * 3",
        "* 3 3 3 2 3 4 2 2 5 1 *", "1 2 3 3 2 4 4 1 2 5 1 *",
    ]  # fmt: skip
    units = [[int(value) for value in column if value != missing]
             for column in zip(*(row.split() for row in rows), strict=True)]  # fmt: skip
    assert krippendorff_alpha(units) == pytest.approx(0.743, abs=5e-4)
    assert krippendorff_alpha(units, (1, 2, 3, 4, 5)) == pytest.approx(0.815, abs=5e-4)


def test_weighted_kappa_follows_its_definition():
    random = np.random.default_rng(1)
    pairs = [(float(x), float(min(5, max(1, x + random.integers(-1, 2)))))
             for x in random.integers(1, 6, 80)]  # fmt: skip
    table = np.zeros((5, 5))
    for x, y in pairs:
        table[int(x) - 1, int(y) - 1] += 1 / len(pairs)
    weights = (np.arange(5)[:, None] - np.arange(5)) ** 2
    chance = np.outer(table.sum(1), table.sum(0))
    expected = 1 - (weights * table).sum() / (weights * chance).sum()
    assert weighted_kappa(*zip(*pairs, strict=True)) == pytest.approx(expected)
    assert math.isnan(weighted_kappa([3.0, 3.0], [3.0, 3.0]))
    assert math.isnan(weighted_kappa([], []))


def grade_of(judge, number, score, language="de", model="m"):
    return Grade(id=str(number), language=language, model=model, judge=judge, score=score)


def test_invalid_grades_are_counted_and_never_averaged():
    rows = [grade_of("j", i, score) for i, score in enumerate([2.0, 4.0, None, None])]
    (row,) = mean_grade_table(grade_table(rows), "judge", scale=(1, 5)).iter_rows(named=True)
    assert (row["grades"], row["mean"], row["invalid"], row["num_prompts"]) == (4, 3.0, 0.5, 2)
    # Student's interval of two grades was -9.7 to 15.7: an interval stays on the scale.
    assert 1 <= row["lower"] < 2 < 4 < row["upper"] <= 5
    (row,) = mean_grade_table(
        grade_table([grade_of("j", i, 4.0) for i in range(3)]), "judge", scale=(1, 5)
    ).iter_rows(named=True)
    assert row["lower"] < 3.9 < 4.1 < row["upper"] <= 5
    (row,) = mean_grade_table(grade_table(rows[2:]), "judge", scale=(1, 5)).iter_rows(named=True)
    assert (row["mean"], row["invalid"]) == (None, 1.0)


def test_agreement_by_language_leaves_invalid_grades_out():
    rows = [grade_of("a", i, float(i % 5 + 1), tag) for i in range(10) for tag in TAGS]
    rows += [grade_of("b", i, float(i % 5 + 1) if i else None, "de") for i in range(10)]
    rows += [grade_of("b", i, float(5 - i % 5), "ar") for i in range(10)]
    table = grade_agreement(grade_table(rows), "language")
    by_language = {row["language"]: row for row in table.iter_rows(named=True)}
    assert (by_language["de"]["cases"], by_language["de"]["equal"]) == (9, 1.0)
    assert by_language["de"]["kappa"] == pytest.approx(1)
    assert by_language["de"]["ordinal"] == pytest.approx(1)
    assert by_language["ar"]["ordinal"] < -0.5
    assert by_language["ja"]["cases"] == 0
    assert by_language["ja"]["ordinal"] is None


def write_answers(tmp_path, name="new"):
    rows = [
        Generated(id=str(i), language=tag, sample=0, model=name, answer=f"{name} {i} {tag}",
                  prompt=f"question {i}", origin="translated" if i % 2 else "native")
        for i in range(4)
        for tag in TAGS
    ]  # fmt: skip
    (tmp_path / name).mkdir()
    write_rows(tmp_path / name / "answers.parquet", Generated, rows)
    return str(tmp_path / name)


def rater(text, _):
    number = int(re.search(r"Answer: \w+ (\d)", text)[1])
    return ["Rating: [[5]]", "Fine. [[2]]", "[[9]]", "no idea"][number]


@pytest.mark.server
def test_answers_are_graded_singly_and_compared_with_people(tmp_path, capsys):
    sides = [write_answers(tmp_path, name) for name in ("new", "old")]
    out = tmp_path / "out"
    people = [grade_of("person", i, 5.0 - 3 * i, tag, "new") for i in range(2) for tag in TAGS]
    write_rows(tmp_path / "people.jsonl", Grade, people)
    with serving(plan := Planted(answer=rater)) as url:
        call = ["grade", *sides, "--judges", f"{url}/v1#planted", "--out", str(out),
                "--human", str(tmp_path / "people.jsonl")]  # fmt: skip
        assert main([*call, "--dry-run"]) == 0
        assert plan.requests == 0
        output = capsys.readouterr().out
        assert "24 answers of new, old, aya@3" in output
        assert "Rate the following answer" in output
        assert main(call) == 0
        assert plan.requests == 24
        assert main(call) == 0
        assert plan.requests == 24
    output = capsys.readouterr().out
    assert "planted on new: 3.50 (" in output
    assert "invalid 50.0%" in output
    assert "6 invalid: a rating off the scale" not in output  # by language
    assert "2 invalid: a rating off the scale (ar)" in output
    assert "2 invalid: no rating (ja)" in output
    assert "agreement planted · person: 100.0% of 6, kappa 1.000, ordinal alpha 1.000" in output
    rows = read_grades(out)
    assert [grade.score for grade in rows[:12:3]] == [5.0, 2.0, None, None]
    assert all(grade.reason for grade in rows)
    table = ScoreTable.read(out / "scores.parquet").frame
    assert table["metric"].unique().to_list() == ["grade[planted]"]
    assert table.filter(pl.col("invalid")).height == 12
    page = (out / "index.html").read_text("utf-8")
    for words in ("العربية", 'dir="rtl"', "日本語", "By origin of the prompt", "person", "aya@3"):
        assert words in page, words
    call = ["agreement", str(out), str(tmp_path / "people.jsonl"), "--out", str(tmp_path / "a")]
    assert main(call) == 0
    output = capsys.readouterr().out
    assert "agreement planted · person in ja: 100.0% of 2" in output


@pytest.mark.parametrize("server", [True, False])
@pytest.mark.server
def test_a_grade_is_read_off_the_probability_of_its_number(tmp_path, capsys, server):
    side, out = write_answers(tmp_path), tmp_path / "out"
    call = ["grade", side, "--verdict", "logprob", "--out", str(out)]
    if server:
        letters = [{"4": -0.1, " 3": -2.0, "2": -3.0}]
        with serving(Planted(letters=lambda _: letters)) as url:
            assert main([*call, "--judges", f"{url}/v1#planted"]) == 0
        assert {grade.score for grade in read_grades(out)} == {4.0}
        assert read_grades(out)[0].reason == "2 -3.0000 3 -2.0000 4 -0.1000"
    else:
        write_checkpoint(tmp_path / "judge", train_bpe({"en": [TEXT]}, vocab_size=420))
        assert main([*call, "--judges", str(tmp_path / "judge"), "--over-long", "cut"]) == 0
        rows = read_grades(out)
        assert all(1 <= grade.score <= 5 for grade in rows)
        first = [float(grade) for grade in rows[0].reason.split()[1::2]]
        assert np.exp(first).sum() < 1
        assert rows[0].score == 1 + int(np.argmax(first))
    assert "invalid 0.0%" in capsys.readouterr().out


def test_agreement_of_judgments_is_printed_by_language(tmp_path, capsys):
    def judgments_of(judge, verdicts):
        return [
            {"id": str(i), "language": tag, "model_a": "x", "model_b": "y", "verdict": verdict,
             "judge": judge, "swapped": False}
            for i, verdict in enumerate(verdicts)
            for tag in ("de", "tr")
        ]  # fmt: skip

    for name, verdicts in (("a", ["A", "B", "TIE", "B"]), ("b", ["A", "B", "B", "B"])):
        text = "".join(json.dumps(verdict) + "\n" for verdict in judgments_of(name, verdicts))
        (tmp_path / f"{name}.jsonl").write_text(text)
    files = [str(tmp_path / f"{name}.jsonl") for name in "ab"]
    assert main(["agreement", *files, "--out", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("agreement a · b: 75.0% of 8, kappa 0.556, ordinal alpha")
    assert lines[2].startswith("agreement a · b in tr: 75.0% of 4")
    assert main(["agreement", files[0]]) == 2
    assert "there is one judge, a" in capsys.readouterr().err
    write_rows(tmp_path / "g.jsonl", Grade, [grade_of("p", 1, 2.0)])
    assert main(["agreement", files[0], str(tmp_path / "g.jsonl")]) == 2
    assert "compare grades and judgments separately" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--rubric", "ayaa"], "did you mean aya"),
        (["--rubric", "mt-bench", "--verdict", "logprob"], "--verdict text"),
        (["--languages", "fr"], "no answer in fr"),
        (["--limit", "0"], "--limit is 0"),
        (["--human", "nowhere"], "nowhere: no grades.parquet"),
    ],
)
def test_wrong_options_are_refused_with_one_line(tmp_path, capsys, more, words):
    call = ["grade", write_answers(tmp_path), "--judges", "http://127.0.0.1:9#p", "--out",
            str(tmp_path / "out"), *more]  # fmt: skip
    assert main(call) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
