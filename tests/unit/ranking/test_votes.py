import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polylect.base import InputError
from polylect.ranking import PairCounts, parse_timestamp, read_counts, read_strata, read_votes
from polylect.rows import Battle, Verdict, write_rows

ROWS = [
    {"model_a": "x", "model_b": "y", "verdict": "A", "language": "de", "voter": "u1"},
    {"model_a": "y", "model_b": "x", "verdict": "A", "language": "ar", "voter": "u2"},
    {"model_a": "y", "model_b": "z", "verdict": "TIE", "language": "de", "voter": "u1"},
    {"model_a": "z", "model_b": "x", "verdict": "BOTH_BAD", "language": "", "voter": ""},
    {"model_a": "w", "model_b": "x", "verdict": "INVALID", "language": "de", "voter": "u3"},
]


def save(path, rows):
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(params=["parquet", "jsonl"])
def path(request, tmp_path):
    return tmp_path / f"votes.{request.param}"


def test_counts_by_pair_and_outcome(path):
    counts = read_counts(save(path, ROWS))
    assert counts.models == ("w", "x", "y", "z")
    cells = {
        (counts.models[i], counts.models[j]): row.tolist()
        for i, j, row in zip(counts.first, counts.second, counts.outcomes, strict=True)
    }
    assert cells == {("x", "y"): [1, 1, 0, 0], ("x", "z"): [0, 0, 0, 1], ("y", "z"): [0, 0, 1, 0]}
    assert counts.ledger.by_event() == {"dropped: invalid verdict": 1}
    assert counts.num_votes + counts.ledger.total("dropped: ") == len(ROWS)
    assert counts.shares() == {"decisive": 0.5, "tie": 0.25, "both_bad": 0.25}


def test_lmarena_form_means_the_same(path, tmp_path):
    winners = {"A": "model_a", "B": "model_b", "TIE": "tie", "BOTH_BAD": "tie (bothbad)"}
    rows = [
        {"model_a": r["model_a"], "model_b": r["model_b"], "winner": winners[r["verdict"]]}
        | {"judge": r["voter"], "anony": True, "tstamp": 1.5}
        for r in ROWS[:4]
    ]
    rows.append(rows[0] | {"anony": False})
    counts = read_counts(save(path, rows))
    assert counts.outcomes.tolist() == read_counts(save(path, ROWS[:4])).outcomes.tolist()
    assert counts.ledger.by_event() == {"dropped: not anonymous": 1}
    table = read_votes(save(path, rows), codes=["voter"], numbers=["time"])
    assert table.labels["voter"] == ("u1", "u2")
    assert table.codes["voter"].tolist() == [0, 1, 0, -1]
    assert table.numbers["time"].tolist() == [1.5] * 4


def test_count_column_multiplies(path):
    rows = [ROWS[0] | {"count": 3}, ROWS[1] | {"count": 10**9}, ROWS[4] | {"count": 7}]
    counts = read_counts(save(path, rows))
    assert counts.outcomes.tolist() == [[3, 10**9, 0, 0]]
    assert counts.ledger.total() == 7


def test_rows_are_those_of_the_row_type(path):
    battles = [Battle(model_a="x", model_b="y", verdict=Verdict.B, count=2)]
    battles.append(Battle(model_a="y", model_b="x", verdict=Verdict.INVALID))
    write_rows(path, Battle, battles)
    counts = read_counts(path)
    assert counts.digest == PairCounts.from_cells(["x", "y"], [0], [1], [1], [2]).digest
    assert counts.ledger.by_event() == {"dropped: invalid verdict": 1}


def test_batch_size_changes_neither_counts_nor_codes(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    names = np.array([f"m{i:03}" for i in range(60)])
    a = rng.integers(0, 60, 5000)
    b = (a + rng.integers(1, 60, 5000)) % 60
    verdicts = np.array(["A", "B", "TIE", "BOTH_BAD", "INVALID"])[rng.integers(0, 5, 5000)]
    table = pa.table({"model_a": names[a], "model_b": names[b], "verdict": verdicts})
    pq.write_table(table, tmp_path / "votes.parquet")
    whole = read_counts(tmp_path / "votes.parquet")
    monkeypatch.setattr("polylect.ranking._vote_batches._BATCH_ROWS", 64)
    monkeypatch.setattr("polylect.ranking._cell_counter._COMPACT_CELLS", 100)
    assert read_counts(tmp_path / "votes.parquet").digest == whole.digest
    monkeypatch.setattr("polylect.ranking.votes._BLOCK_ROWS", 70)
    rows = read_votes(tmp_path / "votes.parquet", codes=["verdict"])
    assert rows.counts().digest == whole.digest
    assert rows.labels["verdict"] == ("A", "B", "BOTH_BAD", "TIE")
    names = np.array(rows.labels["verdict"])[rows.codes["verdict"]]
    assert names.tolist() == verdicts[verdicts != "INVALID"].tolist()


def test_codes_strata_and_prompts(path):
    rows = [row | {"prompt": text} for row, text in zip(ROWS, "aabca", strict=True)]
    table = read_votes(save(path, rows), codes=["language", "prompt"])
    assert table.codes["prompt"].tolist() == [0, 0, 1, 2]
    assert "prompt" not in table.labels
    strata = table.strata("language")
    assert list(strata) == ["", "ar", "de"]
    assert strata["de"].models == ("x", "y", "z")
    assert sum(stratum.num_votes for stratum in strata.values()) == table.counts().num_votes
    whole, streamed = read_strata(path, "language")
    assert whole.digest == table.counts().digest
    assert {k: v.digest for k, v in streamed.items()} == {k: v.digest for k, v in strata.items()}


def test_features_are_relative_differences(path):
    rows = [
        ROWS[0] | {"length_a": 30, "length_b": 10},
        ROWS[1] | {"length_a": 0, "length_b": 0},
    ]
    table = read_votes(save(path, rows), features=["length"])
    assert table.numbers["length"].tolist() == [0.5, 0.0]


@pytest.mark.parametrize("name", ["length", "tokens", "headers", "words"])
def test_a_negative_length_or_count_is_refused_and_another_feature_may_be_negative(path, name):
    rows = [ROWS[0] | {f"{name}_a": 5, f"{name}_b": -3, "mood_a": -1.0, "mood_b": 0.5}]
    saved = save(path, rows)
    with pytest.raises(InputError, match=rf"1.*'{name}_b' is -3 — give 0 or more"):
        read_votes(saved, features=[name])
    assert read_votes(saved, features=["mood"]).numbers["mood"].tolist() == [-1.0]


def test_lmarena_metadata_gives_the_four_style_features(path):
    metadata = {
        "sum_assistant_a_tokens": 300, "sum_assistant_b_tokens": 100,
        "header_count_a": {"h1": 1, "h2": 2}, "header_count_b": {"h1": 0, "h2": 1},
        "list_count_a": {"ordered": 0, "unordered": 0},
        "list_count_b": {"ordered": 0, "unordered": 0},
        "bold_count_a": {"**": 1, "__": 0}, "bold_count_b": {"**": 0, "__": 0},
    }  # fmt: skip
    rows = [{"model_a": "x", "model_b": "y", "winner": "tie", "conv_metadata": metadata}]
    table = read_votes(save(path, rows), features=["tokens", "headers", "lists", "bold"])
    values = {name: table.numbers[name].tolist() for name in table.numbers}
    assert values == {"tokens": [0.5], "headers": [0.5], "lists": [0.0], "bold": [1.0]}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([ROWS[0], ROWS[1] | {"verdict": "WIN"}], r"2: unknown verdict 'WIN' — use A, B"),
        ([ROWS[0] | {"verdict": None}, ROWS[1]], r"1: 'verdict' is missing"),
        ([ROWS[0], ROWS[1], ROWS[0] | {"model_b": "x"}], r"3: 'x' battles itself"),
        ([ROWS[0] | {"model_a": ""}, ROWS[1]], r"1: 'model_a' is empty"),
        ([ROWS[1], ROWS[0] | {"model_a": None}], r"2: 'model_a' is missing"),
        ([ROWS[1], ROWS[0] | {"model_b": " "}], r"2: 'model_b' is empty"),
        ([ROWS[1], ROWS[0] | {"verdict": " "}], r"2: 'verdict' is empty"),
        ([ROWS[0] | {"count": 1.0}, ROWS[1] | {"count": float("nan")}], r"2: 'count' is nan"),
        ([ROWS[0] | {"count": 0}], r"1: 'count' is 0 — counts are whole"),
        ([ROWS[0] | {"count": 1.5}], r"1: 'count' is 1.5"),
        ([ROWS[0] | {"count": None}, ROWS[0] | {"count": 2}], r"1: 'count' is missing"),
        ([{"model_a": "x", "modelb": "y", "verdict": "A"}], r"'model_b' — did you mean modelb\?"),
        ([{"model_a": "x", "model_b": "y"}], r"no column 'verdict'"),
        ([{"model_a": 1, "model_b": "y", "verdict": "A"}], r"1: 'model_a' is 1 — give a name"),
        ([ROWS[4]], r"no votes \(1 dropped: invalid verdict\)"),
    ],
)
def test_bad_rows_are_one_line_with_their_place(path, rows, message):
    for read in (read_counts, read_votes):
        with pytest.raises(InputError, match=message) as caught:
            read(save(path, rows))
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)


def test_an_unknown_winner_is_never_a_tie(path):
    rows = [{"model_a": "x", "model_b": "y", "winner": "tie (bothbad"}]
    with pytest.raises(InputError, match=r"unknown winner .* did you mean tie \(bothbad\)\?"):
        read_counts(save(path, rows))


def test_broken_files_are_refused_with_a_reason(tmp_path):
    whole = save(tmp_path / "whole.parquet", ROWS).read_bytes()
    (tmp_path / "half.parquet").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.parquet").write_bytes(b"")
    (tmp_path / "empty.jsonl").write_bytes(b"")
    text = "".join(json.dumps(row) + "\n" for row in ROWS)
    (tmp_path / "half.jsonl").write_text(text[: len(text) // 2])
    (tmp_path / "votes.csv").write_text("")
    (tmp_path / "list.jsonl").write_text("[1]\n")
    expected = {
        "half.parquet": "not a whole Parquet file",
        "empty.parquet": "not a whole Parquet file",
        "empty.jsonl": "no votes",
        "half.jsonl": r"half.jsonl:3: not JSON",
        "votes.csv": "unknown kind of file",
        "list.jsonl": "a row is an object",
        "nothing.parquet": "no such file",
    }
    for name, message in expected.items():
        with pytest.raises(InputError, match=message):
            read_counts(tmp_path / name)


def test_mixed_types_in_json_lines_name_the_row(tmp_path):
    path = save(tmp_path / "votes.jsonl", [ROWS[0], ROWS[1] | {"model_a": 3}])
    with pytest.raises(
        InputError,
        match=r"votes.jsonl:2: 'model_a' is 3 — in the rows before it is 'x': use one kind",
    ):
        read_counts(path)


def test_times_are_numbers_or_iso(path):
    rows = [
        ROWS[0] | {"time": "2024-01-01T00:00:00"},
        ROWS[1] | {"time": "2024-01-01T01:00:00+01:00"},
    ]
    table = read_votes(save(path, rows), numbers=["time"])
    assert table.numbers["time"].tolist() == [1704067200.0] * 2
    with pytest.raises(InputError, match=r"1: 'time' is 'soon', neither"):
        read_votes(save(path, [ROWS[0] | {"time": "soon"}]), numbers=["time"])


def test_a_json_row_without_a_count_is_one_vote(tmp_path):
    path = save(tmp_path / "votes.jsonl", [ROWS[0], ROWS[1] | {"count": 3}])
    assert read_counts(path).num_votes == 4
    path = save(tmp_path / "votes.jsonl", [ROWS[0] | {"count": 2}, ROWS[1] | {"count": None}])
    with pytest.raises(InputError, match=r"2: 'count' is missing"):
        read_counts(path)


@pytest.mark.parametrize(
    ("time", "message"),
    [
        (1714392000000, "'time' is 1714392000000: that is milliseconds, 2024-04-29"),
        (1714392000000000, "that is microseconds, 2024-04-29"),
        ("1714392000000", "that is milliseconds, 2024-04-29"),
        (-1.0, "no time between 1970 and 2100"),
        (float("nan"), "no time between 1970 and 2100"),
        (5e9, "no time between 1970 and 2100"),
        ("2150-01-01", "no time between 1970 and 2100"),
    ],
)
@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_times_that_no_vote_can_have_are_refused_with_the_unit_that_was_meant(
    tmp_path, suffix, time, message
):
    rows = [ROWS[0] | {"time": time}, ROWS[1] | {"time": time}]
    # JSON has no NaN.
    path = save(tmp_path / f"votes.{'parquet' if time != time else suffix}", rows)
    with pytest.raises(InputError, match=message):
        read_votes(path, numbers=["time"])


@pytest.mark.parametrize("text", ["1714392000000", "nan", "inf", "-1"])
def test_a_written_time_is_checked_too(text):
    with pytest.raises(InputError, match=r"^--chosen-at is"):
        parse_timestamp(text, "--chosen-at")
    assert parse_timestamp("1714392000", "--chosen-at") == 1714392000.0


def test_spellings_of_a_language_are_one(path):
    none = ["", "  ", "\u200b", None]
    tags = ["nb", "NB", "no", "nob\u200b", " sr_Latn ", "unknown", *none]
    rows = [ROWS[0] | {"language": tag} for tag in tags]
    _, strata = read_strata(save(path, rows), "language")
    assert {name: part.num_votes for name, part in strata.items()} == {
        "nb": 4, "sr-Latn": 1, "unknown": 1, "": 4
    }  # fmt: skip
    table = read_votes(path, codes=["language"])
    assert {name: part.num_votes for name, part in table.strata("language").items()} == {
        "nb": 4, "sr-Latn": 1, "unknown": 1, "": 4
    }  # fmt: skip


@pytest.mark.parametrize("name", ["v.parquet", "v.jsonl"])
def test_columns_that_no_ranking_reads_are_named(tmp_path, name):
    extra = {"Count": 3, "weight": 1.5, "length_a": 1, "length_b": 2, "language": "de", "turn": 1}
    file = save(tmp_path / name, [ROWS[0] | extra, ROWS[1] | extra | {"weight": 2.0}])
    assert read_counts(file).ledger.lines() == [
        "2 ignored: column 'Count'", "2 ignored: column 'weight'"
    ]  # fmt: skip
