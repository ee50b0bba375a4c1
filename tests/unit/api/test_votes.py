"""rank, audit and simulate in Python and by command: equal bytes; votes as a file or a table."""

import json

import polars
import pytest
from command_line import run_verb
from result_files import files_of

import polylect as pl
from polylect.api.results import Plan


@pytest.fixture(scope="module")
def votes():
    """Votes of five models in a cycle of wins, so that all have finite ratings."""
    names = [f"m{i}" for i in range(5)]
    return [
        {"model_a": names[i], "model_b": names[(i + step) % 5], "verdict": verdict,
         "language": "de" if n % 2 else "cy", "voter": f"v{n % 7}"}
        for n in range(6) for i in range(5) for step in (1, 2) for verdict in ("A", "B", "A")
    ]  # fmt: skip


@pytest.fixture
def file(votes, tmp_path):
    path = tmp_path / "votes.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in votes), encoding="utf-8")
    return path


CALLS = {
    "rank": lambda file, out: pl.rank(file, by="language", out=out),
    "audit": lambda file, out: pl.audit(file, cap=2, out=out),
    "simulate retire": lambda file, out: pl.simulate.retire(file, targets=["m1"], out=out),
    "simulate sampling": lambda file, out: pl.simulate.sampling(file, width=90, out=out),
    "simulate rigging": lambda file, out: pl.simulate.rigging(
        file, target="m1", accounts=5, worlds=1, out=out
    ),
    "simulate task-mix": lambda file, out: pl.simulate.task_mix(worlds=3, out=out),
    "simulate sparse-graph": lambda file, out: pl.simulate.sparse_graph(worlds=2, out=out),
}
WORDS = {
    "rank": ["--by", "language"],
    "audit": ["--cap", "2"],
    "simulate retire": ["--targets", "m1"],
    "simulate sampling": ["--width", "90"],
    "simulate rigging": ["--target", "m1", "--accounts", "5", "--worlds", "1"],
    "simulate task-mix": ["--worlds", "3"],
    "simulate sparse-graph": ["--worlds", "2"],
}


@pytest.mark.parametrize("command", CALLS)
def test_python_and_the_command_write_the_same_bytes(command, file, tmp_path, capsys):
    result = CALLS[command](file, tmp_path / "one" / "out")
    places = [] if command.endswith(("mix", "graph")) else [file]
    words = [*places, *WORDS[command], "--out", tmp_path / "two" / "out", "--json"]
    assert run_verb(command, *words) == 0
    assert files_of(tmp_path / "one" / "out") == files_of(tmp_path / "two" / "out")
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(result.rows()))
    assert result.table().height == len(result.rows()) > 0
    again = pl.open_run(result)
    assert type(again) is type(result)
    assert repr(again) == repr(result)
    assert "<table>" in again._repr_html_()


@pytest.mark.parametrize("command", ["rank", "audit", "simulate retire"])
def test_a_table_is_as_good_as_a_file(command, votes, file, tmp_path):
    import pandas

    tables = {
        "rows": votes,
        "polars": polars.DataFrame(votes),
        "arrow": polars.DataFrame(votes).to_arrow(),
        "pandas": pandas.DataFrame(votes),
    }
    expected = CALLS[command](file, tmp_path / "file").rows()
    for name, table in tables.items():
        assert CALLS[command](table, tmp_path / name).rows() == expected


@pytest.mark.parametrize("command", CALLS)
def test_a_plan_writes_nothing(command, file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call = {"votes": file} if not command.endswith(("mix", "graph")) else {}
    call |= {"target": "m1"} if command.endswith("rigging") else {}
    call |= {"targets": ["m1"]} if command.endswith("retire") else {}
    function = pl
    for part in command.replace("-", "_").split():
        function = getattr(function, part)
    plan = function(**call, dry_run=True)
    assert isinstance(plan, Plan)
    assert "would write" in repr(plan)
    assert [path.name for path in tmp_path.iterdir()] == ["votes.jsonl"]


def test_the_default_folder_is_found_again_and_never_shared(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, other = pl.rank(file), pl.rank(file, seed=1)
    again = pl.rank(str(file), config={"seed": 0})
    assert first.path == again.path != other.path
    assert first.path.parent.name == "runs"
    (info,) = pl.list_runs(first).runs
    assert (info.what, info.state) == ("rank", "done")
    assert "polylect rank" in pl.describe_run(first).command
    assert len(pl.list_runs().runs) == 2
