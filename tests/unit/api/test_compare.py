"""``polylect compare`` from the command line."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from command_line import run_verb

from polylect.base import InputError
from polylect.rows import ScoreTable

LOGS = Path(__file__).parents[2] / "golden" / "lm_eval_logs"
TAGS = ("ar", "de", "hi", "zh-Hans")


def run(*arguments):
    return run_verb("compare", *arguments)


@pytest.fixture
def sides(tmp_path):
    """Two folders of scores; the second model loses in Hindi."""
    random = np.random.default_rng(0)
    right = {tag: random.random(300) < 0.7 for tag in TAGS}
    lost = {tag: right[tag] & ~((tag == "hi") & (random.random(300) < 0.25)) for tag in TAGS}
    for name, values in (("before", right), ("after", lost)):
        rows = [
            {"checkpoint": name, "task": "t@1", "language": tag, "item": str(i), "metric": "acc",
             "value": float(values[tag][i]), "chance": 0.25}
            for tag in TAGS for i in range(300)
        ]  # fmt: skip
        (tmp_path / name).mkdir()
        ScoreTable.from_rows(rows).write(tmp_path / name / "scores.parquet")
    return tmp_path / "before", tmp_path / "after"


def test_a_comparison_is_printed_and_written_as_json_rows_and_page(sides, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(*sides, "--out", out) == 0
    output = capsys.readouterr().out
    assert "1 of 4 languages paid, most Hindi (-" in " ".join(output.split())
    result = json.loads((out / "compare.json").read_text("utf-8"))
    assert [row["verdict"] for row in result["languages"]] == ["paid", *["not separable"] * 3]
    assert result["languages"][0]["language"] == "hi"
    assert result["sentence"].startswith("after against before: 1 of 4 languages paid, most Hindi")
    assert [side["name"] for side in result["sides"]] == ["before", "after"]
    rows = pl.read_parquet(out / "compare.parquet")
    assert rows.filter(pl.col("of") == "language")["gain"].to_list() == [
        row["gain"] for row in result["languages"]
    ]
    page = (out / "index.html").read_text("utf-8")
    assert "http" not in page.replace("http-equiv", "")
    assert "<script" not in page
    for word in ("हिन्दी", "the worst of 4", "McNemar", "items to separate"):
        assert word in page


def test_equal_commands_write_equal_bytes(sides, tmp_path):
    for name in ("first", "second"):
        run(*sides, "--out", tmp_path / name)
    for file in ("compare.json", "compare.parquet", "index.html"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()


def test_a_dry_run_says_what_and_writes_nothing(sides, tmp_path, capsys):
    assert run(*sides, "--out", tmp_path / "out", "--dry-run") == 0
    output = capsys.readouterr().out
    assert "would compare after against before on 1,200 items" in output
    assert "ar 300, de 300, hi 300, zh-Hans 300" in output
    assert not (tmp_path / "out").exists()


def test_logs_of_lm_eval_are_compared(tmp_path, capsys):
    assert run(LOGS / "before", LOGS / "after", "--out", tmp_path) == 0
    assert "after against before" in (tmp_path / "compare.json").read_text("utf-8")
    assert "Japanese" in capsys.readouterr().out
    other = ["--metrics", "acc_norm", "--out", tmp_path / "other"]
    assert run(LOGS / "before", LOGS / "after", *other) == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("--level", "95"), "--level is 95.0 — give more than 0 and less than 1"),
        (("--resamples", "5"), "--resamples is 5 — give 100 or more"),
        (("--metrics", "ac"), "no task has the metric 'ac' — did you mean acc"),
        (("--task-languages", "t=not a tag!"), "not a tag!"),
    ],
)
def test_bad_options_are_one_line(sides, tmp_path, change, words):
    with pytest.raises(InputError, match=words.replace("?", r"\?")):
        run(*sides, "--out", tmp_path / "out", *change)
    assert not (tmp_path / "out").exists()


def test_a_path_without_scores_is_refused(sides, tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        run(sides[0], tmp_path / "nowhere", "--out", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"neither scores\.parquet nor samples_\*\.jsonl"):
        run(sides[0], tmp_path / "empty", "--out", tmp_path / "out")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--higher-is-better", "acdc"], "--higher-is-better acdc: no such metric"),
        (["--lower-is-better", "zzz"], "--lower-is-better zzz: no such metric — there are"),
        (
            ["--task-languages", "hella*=en"],
            "--task-languages hella*: no task of lm_eval's logs is called so",
        ),
    ],
)
def test_a_name_that_fits_nothing_is_refused(more, words, tmp_path):
    rows = [
        {"checkpoint": "m", "task": "t@1", "language": "de", "item": str(n), "metric": "acc",
         "value": float(n % 2)}
        for n in range(20)
    ]  # fmt: skip
    for name in ("a", "b"):
        ScoreTable.from_rows(rows).write(tmp_path / f"{name}.parquet")
    sides = [str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")]
    with pytest.raises(InputError) as caught:
        run_verb("compare", *sides, *more, "--out", tmp_path / "out")
    assert words in str(caught.value)
