import json
import os
import threading

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


def test_scores_are_weighted_means_and_none_where_not_finite():
    rows = [
        score(1.0, weight=3.0), score(0.0, item="j"), score(9.0, item="k", invalid=True),
        score(float("nan"), language="fr"), score(0.0, language="pl", invalid=True),
    ]  # fmt: skip
    scores = summarize(ScoreTable.from_rows(rows))
    assert [(score.language, score.value, score.items, score.invalid) for score in scores] == [
        ("de", 0.75, 2, 1), ("fr", None, 1, 0), ("pl", None, 0, 1),
    ]  # fmt: skip


def test_entries_are_read_back_and_any_parquet_tool_reads_the_file(tmp_path):
    path = tmp_path / "archive.parquet"
    archive = Archive(path, ["a", "b"], {"method": "linear"})
    archive.add([(A, problems.table({"t": 1.5})), (B, problems.table({"t": 2.5}))], "first", 0)
    again = Archive(path, ["a", "b"], {"method": "linear"})
    assert again.entries == archive.entries == Archive.read(path).entries
    assert again.find(B) == again.entries[1]
    assert again.find((0.4, 0.6)) is None
    assert again.identity == {"method": "linear"}
    frame = pl.read_parquet(path).explode("scores").unnest("scores")
    assert frame["weights"].to_list() == [list(A), list(B)]
    assert frame["value"].to_list() == [1.5, 2.5]
    assert frame["stage"].to_list() == ["first", "first"]


def test_equal_entries_give_equal_bytes_however_they_were_added(tmp_path):
    tables = [(A, problems.table({"t": 1.5})), (B, problems.table({"t": 2.5}))]
    whole = Archive(tmp_path / "whole", ["a", "b"], {})
    whole.add(tables, "s", 0)
    for part in (tables[:1], tables[1:]):
        Archive(tmp_path / "parts", ["a", "b"], {}).add(part, "s", 0)
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "parts").read_bytes()


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
def test_a_file_that_is_not_an_archive_is_refused(tmp_path, data):
    path = tmp_path / "archive.parquet"
    if data is None:
        pl.DataFrame({"x": [1]}).write_parquet(path)
    else:
        path.write_bytes(data)
    with pytest.raises(InputError, match=r"archive\.parquet: not the archive of a search"):
        Archive(path, ["a", "b"], {})
    with pytest.raises(InputError, match="no such file"):
        Archive.read(tmp_path / "nowhere")


def test_a_reader_of_an_archive_that_is_being_replaced_sees_the_old_or_the_new_one(tmp_path):
    path = tmp_path / "archive.parquet"
    archive = Archive(path, ["a", "b"], {})
    archive.add([(A, problems.table({"t": 1.5}))], "s", 0)
    old = path.read_bytes()
    more = [((n / 300, 1 - n / 300), problems.table({"t": 1.5})) for n in range(100)]
    archive.add(more, "s", 0)
    new = path.read_bytes()
    done = threading.Event()

    def replace():
        while not done.is_set():
            for data in (old, new):
                (tmp_path / "next").write_bytes(data)
                os.replace(tmp_path / "next", path)

    writer = threading.Thread(target=replace)
    writer.start()
    try:
        sizes = {len(Archive.read(path)) for _ in range(400)}
    finally:
        done.set()
        writer.join()
    assert sizes == {1, 101}


def test_scores_of_other_tasks_or_languages_are_refused(tmp_path):
    archive = Archive(tmp_path / "archive.parquet", ["a", "b"], {})
    archive.add([(A, problems.table({"t": 1.5}))], "s", 0)
    with pytest.raises(InputError, match=r"other scores than before \(first: t en loss\)"):
        archive.add([(B, problems.table({"t": 1.5}, language="fr"))], "s", 0)
    with pytest.raises(InputError, match="without rows"):
        archive.add([(B, problems.table({}))], "s", 0)
    assert len(archive) == 1


def test_only_unknown_candidates_are_evaluated_and_duplicates_once(tmp_path):
    evaluated = []

    def objective(weights):
        evaluated.append(weights)
        return problems.table({"t": weights[0]})

    archive = Archive(tmp_path / "archive.parquet", ["a", "b"], {})
    evaluate = Evaluator(archive, objective)
    first = evaluate([A, A, B], "one")
    assert [entry.vector for entry in first] == [A, A, B]
    second = evaluate([B, (1.0, 0.0)], "two", 4)
    assert evaluated == [A, B, (1.0, 0.0)]
    assert [(entry.stage, entry.round) for entry in second] == [("one", 0), ("two", 4)]
    assert archive.of("two") == second[1:]
    assert json.loads(json.dumps([entry.vector for entry in archive.entries])) == [
        [*A],
        [*B],
        [1, 0],
    ]


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_number_of_processes_and_batch_size_do_not_change_the_bytes(tmp_path, batch_size):
    weights = [(0.1 * n, 0.2, 0.3, 0.5 - 0.1 * n) for n in range(5)]
    here = Archive(tmp_path / "here", problems.LABELS, {})
    Evaluator(here, problems.two_targets)(weights, "s")
    there = Archive(tmp_path / "there", problems.LABELS, {})
    with Processes(2) as fanout:
        Evaluator(there, problems.two_targets, fanout, batch_size)(weights, "s")
    assert (tmp_path / "here").read_bytes() == (tmp_path / "there").read_bytes()
