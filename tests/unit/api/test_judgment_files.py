"""``pl.agreement``, ``pl.win_rates`` and their commands; ``pl.tasks`` and ``pl.prompts``."""

import json

import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_line import polylect_in_process
from result_files import files_of

import polylect as pl
from polylect.api.agreements import Agreement
from polylect.api.winning import WinRates
from polylect.base import InputError
from polylect.evals import PROMPT_SETS, TASKS

GAMES = [
    {"uid": str(n), "model": model, "baseline": "b", "games": [{"score": x}, {"score": y}]}
    for model in ("m", "n")
    for n, (x, y) in enumerate([("A>B", "B>A"), ("B>>A", "A>>B"), ("A=B", "A>B")])
]


def judgments(judge, verdicts="AABB"):
    return [
        {"id": str(n), "language": tag, "model_a": "x", "model_b": "y", "verdict": verdict,
         "judge": judge, "swapped": False}
        for tag in ("de", "tr") for n, verdict in enumerate(verdicts)
    ]  # fmt: skip


def grades(judge):
    return [
        {"id": str(n), "language": "de", "model": "x", "judge": judge, "score": float(n % 3)}
        for n in range(6)
    ]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


JOBS = {
    "judgments": ("agreement", "agreement", [judgments("ann"), judgments("bob", "ABBB")], {}),
    "grades": ("agreement", "agreement", [grades("ann"), grades("bob")], {}),
    "win rates": ("win_rates", "winrate", [judgments("ann"), judgments("bob")], {"seen": "de"}),
    "arena": ("win_rates", "winrate", [GAMES], {"weight": 2}),
}


@pytest.mark.parametrize("job", JOBS)
def test_in_python_and_by_command_it_is_one_job(job, tmp_path):
    call, command, tables, options = JOBS[job]
    files = [write(tmp_path / f"{n}.jsonl", rows) for n, rows in enumerate(tables)]
    result = getattr(pl, call)(files, out=tmp_path / "py" / "r", **options)
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    out = tmp_path / "sh" / "r"
    printed = polylect_in_process(command, *files, *words, "--out", out, "--json")
    assert printed.returncode == 0, printed.stderr
    assert files_of(result.path) == files_of(out)
    assert json.loads(printed.stdout) == result.rows()
    assert result.page.is_file()
    opened = type(result)(out)
    assert [str(out) if str(out) in line else line for line in opened.lines()][:-1] == (
        result.lines()[:-1]
    )


def test_the_figures_are_those_of_a_hand(tmp_path):
    agreed = pl.agreement([judgments("ann"), judgments("bob", "ABBB")], out=tmp_path / "a")
    assert isinstance(agreed, Agreement)
    (row,) = agreed.overall.to_dicts()
    # Three of four verdicts are equal; by chance half are: kappa (3/4 - 1/2) / (1 - 1/2).
    assert (row["judges"], row["cases"], row["equal"]) == ("ann · bob", 8, 0.75)
    assert row["kappa"] == pytest.approx(0.5)
    assert agreed.languages["language"].to_list() == ["de", "tr"]
    rates = pl.win_rates(polars.DataFrame(judgments("ann", "ABBB")), out=tmp_path / "w")
    assert isinstance(rates, WinRates)
    assert rates.overall["win_rate"].to_list() == [0.75]
    assert rates.table()["language"].to_list() == ["de", "tr"]
    scores = pl.win_rates(GAMES, weight=1, out=tmp_path / "s")
    # Points of m: 0 0, then 1 1, then 1 and a half.
    assert dict(zip(scores.table()["model"], scores.table()["score"], strict=True)) == {
        "m": pytest.approx(3.5 / 6), "n": pytest.approx(3.5 / 6),
    }  # fmt: skip


def test_a_plan_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for plan in (
        pl.agreement([judgments("ann"), judgments("bob")], dry_run=True),
        pl.win_rates(judgments("ann"), dry_run=True),
        pl.win_rates(GAMES, dry_run=True),
    ):
        assert "would write into runs/" in str(plan)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("call", "places", "keywords", "words"),
    [
        ("agreement", [judgments("ann")], {}, "there is one judge, ann"),
        ("agreement", [judgments("ann"), grades("bob")], {}, "has grades, others have judgments"),
        ("win_rates", [judgments("ann")], {"weight": 2}, "weight has no effect"),
        ("win_rates", [GAMES], {"seen": ["de"]}, "seen has no effect"),
        ("win_rates", [judgments("ann")], {"seen": ["cy"]}, "seen cy: nothing is in these"),
    ],
)
def test_a_mistake_is_one_line(call, places, keywords, words):
    with pytest.raises(InputError) as caught:
        getattr(pl, call)(places, **keywords)
    assert words in str(caught.value)


def test_tasks_and_sets_are_listed():
    assert pl.tasks().table()["name"].to_list() == list(TASKS)
    (row,) = pl.tasks("xcopa").rows()
    assert row["languages"] == list(TASKS["xcopa"].languages)
    printed = polylect_in_process("tasks", "xcopa", "--json")
    assert json.loads(printed.stdout) == [row]
    assert pl.prompts().table()["name"].to_list() == list(PROMPT_SETS)
    with pytest.raises(InputError, match="did you mean xcopa"):
        pl.tasks("xcop")
    with pytest.raises(InputError, match="limit has no effect: the sets are listed"):
        pl.prompts(limit=3)


@pytest.fixture
def data(tmp_path):
    rows = [
        {"id": n, "inputs": f"soru {n}", "targets": "t", "language": "tur", "script": "Latn"}
        for n in range(4)
    ]
    place = tmp_path / "data" / "aya_evaluation_suite" / "dolly_human_edited"
    place.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), place / "test-00000-of-00001.parquet")
    return tmp_path / "data"


def test_prompts_in_python_and_by_command_are_one_job(data, tmp_path):
    questions = pl.prompts("dolly_human_edited", datasets=data, limit=2, out=tmp_path / "py" / "p")
    out = tmp_path / "sh" / "p"
    words = ["dolly_human_edited", "--datasets", data, "--limit", 2, "--out", out, "--json"]
    printed = polylect_in_process("prompts", *words)
    assert printed.returncode == 0, printed.stderr
    assert files_of(questions.path) == files_of(out)
    assert json.loads(printed.stdout) == questions.rows()
    assert questions.table()["prompt"].to_list() == ["soru 0", "soru 1"]
    assert str(questions).splitlines()[0] == "2 prompts (tr 2)"
    again = pl.prompts("dolly_human_edited", datasets=data, limit=2, out=tmp_path / "py" / "p")
    assert again.path == questions.path
    with pytest.raises(InputError, match=r"limit 2 → 3"):
        pl.prompts("dolly_human_edited", datasets=data, limit=3, out=tmp_path / "py" / "p")
