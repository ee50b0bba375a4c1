import json

import polars as pl
import problems
import pytest

from polylect.base import InputError
from polylect.rows import ScoreTable
from polylect.runs import Processes
from polylect.search import Archive, Evaluator, summarize

A, B = (0.5, 0.5), (0.25, 0.75)


def score(value, **more):
    row = {"checkpoint": "x", "task": "t", "language": "de", "item": "i", "metric": "acc"}
    return row | {"value": value} | more


def test_scores_are_weighted_means_and_what_is_not_finite_is_none():
    rows = [
        score(1.0, weight=3.0), score(0.0, item="j"), score(9.0, item="k", invalid=True),
        score(float("nan"), language="fr"), score(0.0, language="pl", invalid=True),
    ]  # fmt: skip
    found = summarize(ScoreTable.from_rows(rows))
    assert [(one.language, one.value, one.items, one.invalid) for one in found] == [
        ("de", 0.75, 2, 1), ("fr", None, 1, 0), ("pl", None, 0, 1),
    ]  # fmt: skip


def test_what_was_added_is_read_back_and_any_tool_reads_the_file(tmp_path):
    path = tmp_path / "archive.parquet"
    archive = Archive(path, ["a", "b"], {"method": "linear"})
    archive.add([(A, problems.table({"t": 1.5})), (B, problems.table({"t": 2.5}))], "first", 0)
    again = Archive(path, ["a", "b"], {"method": "linear"})
    assert again.entries == archive.entries == Archive.read(path).entries
    assert again.digest == archive.digest
    assert again.find(B) == again.entries[1]
    assert again.find((0.4, 0.6)) is None
    assert again.identity == {"method": "linear"}
    frame = pl.read_parquet(path).explode("scores").unnest("scores")
    assert frame["weights"].to_list() == [list(A), list(B)]
    assert frame["value"].to_list() == [1.5, 2.5]
    assert frame["stage"].to_list() == ["first", "first"]


def test_equal_entries_give_equal_bytes_however_they_came(tmp_path):
    tables = [(A, problems.table({"t": 1.5})), (B, problems.table({"t": 2.5}))]
    one = Archive(tmp_path / "one", ["a", "b"], {})
    one.add(tables, "s", 0)
    two = Archive(tmp_path / "two", ["a", "b"], {})
    two.add(tables[:1], "s", 0)
    two = Archive(tmp_path / "two", ["a", "b"], {})
    two.add(tables[1:], "s", 0)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize(
    ("labels", "identity", "words"),
    [
        (["a", "c"], {"m": 1}, "an archive of the models a, b"),
        (["a", "b"], {"m": 2}, r"another search \(m differs\)"),
        (["a", "b"], {}, r"another search \(m differs\)"),
    ],
)
def test_the_archive_of_another_search_is_refused(tmp_path, labels, identity, words):
    path = tmp_path / "archive.parquet"
    Archive(path, ["a", "b"], {"m": 1}).add([(A, problems.table({"t": 1.5}))], "s", 0)
    with pytest.raises(InputError, match=words) as caught:
        Archive(path, labels, identity)
    assert "choose another folder" in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"PAR1", b"not parquet at all", None])
def test_what_is_not_an_archive_is_refused(tmp_path, data):
    path = tmp_path / "archive.parquet"
    if data is None:
        pl.DataFrame({"x": [1]}).write_parquet(path)
    else:
        path.write_bytes(data)
    with pytest.raises(InputError, match=r"archive\.parquet: not the archive of a search"):
        Archive(path, ["a", "b"], {})
    with pytest.raises(InputError, match="no such file"):
        Archive.read(tmp_path / "nowhere")


def test_scores_of_other_items_are_refused(tmp_path):
    archive = Archive(tmp_path / "archive.parquet", ["a", "b"], {})
    archive.add([(A, problems.table({"t": 1.5}))], "s", 0)
    with pytest.raises(InputError, match=r"other scores than before \(first: t en loss\)"):
        archive.add([(B, problems.table({"t": 1.5}, language="fr"))], "s", 0)
    with pytest.raises(InputError, match="without rows"):
        archive.add([(B, problems.table({}))], "s", 0)
    assert len(archive) == 1


def test_only_what_is_not_known_is_evaluated_and_copies_once(tmp_path):
    asked = []

    def objective(weights):
        asked.append(weights)
        return problems.table({"t": weights[0]})

    archive = Archive(tmp_path / "archive.parquet", ["a", "b"], {})
    evaluate = Evaluator(archive, objective)
    first = evaluate([A, A, B], "one")
    assert [one.weights for one in first] == [A, A, B]
    second = evaluate([B, (1.0, 0.0)], "two", 4)
    assert asked == [A, B, (1.0, 0.0)]
    assert [(one.stage, one.round) for one in second] == [("one", 0), ("two", 4)]
    assert archive.of("two") == second[1:]
    assert json.loads(json.dumps([one.weights for one in archive.entries])) == [[*A], [*B], [1, 0]]


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_processes_and_batches_never_change_a_byte(tmp_path, at_once):
    weights = [(0.1 * n, 0.2, 0.3, 0.5 - 0.1 * n) for n in range(5)]
    here = Archive(tmp_path / "here", problems.LABELS, {})
    Evaluator(here, problems.two_targets)(weights, "s")
    there = Archive(tmp_path / "there", problems.LABELS, {})
    with Processes(2) as fanout:
        Evaluator(there, problems.two_targets, fanout, at_once)(weights, "s")
    assert (tmp_path / "here").read_bytes() == (tmp_path / "there").read_bytes()
