"""Weights of instructions end to end: the table of runs, and the same bytes again."""

import json
import signal

import polars as pl
import pytest
from align_cases import pair_rows, write_lines, write_model
from child_processes import Children
from command_line import COMMAND_LINE, polylect_in_process

from polylect.base import file_digests
from polylect.mixtures import read_run_table

VOLATILE = frozenset({"volatile.json", "log.txt"})
PLAN = """
examples = 12
seeds = [3, 4]

[streams]
human = "human.jsonl"
templated = "templated.jsonl"

[mixtures.proportional]
human = 2
templated = 1

[mixtures.human]
human = 1
"""


def rows_of(kind, num, seed):
    return [
        {"prompt": f"{row['prompt']} {kind} {number}", "completion": row["chosen"],
         "language": row["language"], "id": f"{kind}{number // 3}"}
        for number, row in enumerate(pair_rows(num, seed=seed))
    ]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("instructions")
    write_model(folder / "model")
    for seed, (kind, num) in enumerate((("human", 36), ("templated", 18))):
        rows = rows_of(kind, num, seed)
        # Longer than the model: neither learned, nor counted as if it were.
        rows.append(rows[0] | {"id": "long", "completion": "word " * 5000})
        write_lines(folder / f"{kind}.jsonl", rows)
    (folder / "plan.toml").write_text(PLAN)
    return folder


def words(place, out, *more):
    return ["run", "instructions", "--model", place / "model", "--plan", place / "plan.toml",
            "--learning-rate", "1e-3", "--workers", "1", "--out", out, *more]  # fmt: skip


@pytest.mark.kill
def test_killed_and_resumed_gives_the_table_of_runs_that_a_law_is_fitted_to(
    place, tmp_path, started: Children
):
    whole, out = tmp_path / "whole", tmp_path / "killed"
    done = polylect_in_process(*words(place, whole))
    assert done.returncode == 0, done.stderr
    table = read_run_table(whole)
    assert table.streams == ("human", "templated")
    assert table.runs == tuple(f"{name}-seed{seed}" for name in ("proportional", "human")
                               for seed in (3, 4))  # fmt: skip
    assert table.shares().sum(axis=1) == pytest.approx([1.0] * 4)
    assert table.shares()[2].tolist() == [1.0, 0.0]
    assert set(table.cells) <= {f"{stream}/{tag}" for stream in table.streams
                                for tag in ("de", "en", "tr")}  # fmt: skip
    assert "human against proportional" in (whole / "summary.txt").read_text()
    (weighed,) = whole.glob("steps/findings-*")
    bits = pl.read_parquet(weighed / "bits.parquet")
    assert set(bits["model"]) == {"start", "proportional", "human"}
    learned = pl.read_parquet(weighed / "ledger.parquet").group_by("model", "seed", "stream").agg(
        pl.col("examples").sum()
    )  # fmt: skip
    counts = {row[:3]: row[3] for row in learned.rows()}
    for seed in (3, 4):
        of_both = [counts["proportional", seed, stream] for stream in ("human", "templated")]
        assert of_both == pytest.approx([8, 4], abs=1)
        assert sum(of_both) == 12
        assert counts["human", seed, "human"] == 12
    page = (whole / "index.html").read_text()
    assert page.count("proportional → human")
    assert "What the weights do" in page
    (streams,) = whole.glob("steps/streams-*")
    rows = {name: [json.loads(line) for line in (streams / name).read_text().splitlines()]
            for name in ("train.jsonl", "held.jsonl")}  # fmt: skip
    ids = {name: {row["id"] for row in found} for name, found in rows.items()}
    assert not ids["train.jsonl"] & ids["held.jsonl"]
    assert sum(map(len, rows.values())) == 54
    (fitting,) = whole.glob("steps/rows-*")
    counted = json.loads((fitting / "step.json").read_text())["ledger"]
    long = [row["count"] for row in counted if "longer than the context" in row["event"]]
    assert sum(long) == 2
    child = started(COMMAND_LINE, *words(place, out))
    child.wait_until(lambda: list(out.glob("steps/proportional-*")))
    child.kill()
    assert child.wait() == -signal.SIGKILL
    done = polylect_in_process(*words(place, out))
    assert done.returncode == 0, done.stderr
    same = [file_digests(folder / "steps", leave_out=VOLATILE) for folder in (whole, out)]
    assert same[0] == same[1]
    assert (out / "runs.parquet").read_bytes() == (whole / "runs.parquet").read_bytes()


def test_seeds_end_where_the_intervals_are_narrow_or_the_budget_is_spent(place, tmp_path):
    done = polylect_in_process(*words(place, tmp_path / "wide", "--stop-at-width", "1000000"),
                               "--held-out-share", "0.4", "--seeds", "4")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "2 seeds: the widest interval has" in (tmp_path / "wide/summary.txt").read_text()
    assert len(read_run_table(tmp_path / "wide").runs) == 4
    done = polylect_in_process(*words(place, tmp_path / "few", "--most-examples", "60"),
                               "--seeds", "4")  # fmt: skip
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "few/summary.txt").read_text()
    assert "2 seeds: a further one would need 72 conversations in all" in text
    done = polylect_in_process(*words(place, tmp_path / "none", "--most-examples", "6"))
    assert done.returncode == 2
    assert "--most-examples 6: 2 seeds need 48" in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--stop-at-width", "1", "--seeds", "1"], "--stop-at-width with one seed"),
        ([], "0 streams, two are needed to weigh — two of --templated-rows"),
        (["--human-rows", "human.jsonl"], "1 streams, two are needed"),
        (["--human-rows", "none.jsonl"], "--human-rows: none.jsonl is not there"),
        (["--plan", "plan.toml", "--human-rows", "human.jsonl"], "--plan beside files"),
        (["--datasets", "."], "neither ntrex nor xquad"),
        (["--human-rows", "human.jsonl", "--templated-rows", "human.jsonl", "--examples", "9999"],
         "need more than 4 passes over"),
        (["--human-rows", "human.jsonl", "--templated-rows", "human.jsonl", "--languages", "sw"],
         "0 rows, none to hold out"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line(place, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(place)
    done = polylect_in_process("run", "instructions", "--model", "model", "--learning-rate", "1e-3",
                               "--out", tmp_path / "out", "--dry-run", *options)  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
