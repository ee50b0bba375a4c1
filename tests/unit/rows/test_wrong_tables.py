"""Tables that users bring, wrong in every way: one line that names the place, and a page of it."""

import csv
import json
from pathlib import Path

import pytest
from wrong_tables import (
    CONFUSION,
    CSV_ODDITIES,
    PARQUET_ODDITIES,
    READERS,
    TEXTS_OF_FILES,
    VALUES,
    faults_of,
    guide,
    odd_csv,
    odd_file,
    odd_parquet,
    outcome,
    write,
)

from polylect.base import InputError
from polylect.rows import read_preferences, read_prompts

PAGE = Path(__file__).parents[3] / "docs/guides/tables.md"
LEAKS = ("Traceback", "pydantic", "input should", "ArrowInvalid", "<class", "Expecting value: ")


def check_line(line, path, what):
    """A refusal is one line that begins with the file, and has a hint or what is wanted."""
    assert "\n" not in line, what
    assert line.startswith(str(path)), (what, line)
    assert len(line) < 600 + len(str(path)), what
    assert not any(leak in line for leak in LEAKS), line


@pytest.mark.parametrize("name", READERS)
def test_good_rows_are_read(name, tmp_path):
    reader = READERS[name]
    for kind in reader.kinds:
        write(tmp_path / f"table.{kind}", [reader.row(1), reader.row(2)])
        assert outcome(reader, tmp_path / f"table.{kind}") == "read"


@pytest.mark.parametrize("name", READERS)
def test_a_wrong_value_is_named_by_place_and_column(name, tmp_path):
    for column, faults in faults_of(READERS[name], tmp_path).items():
        assert set(faults) == set(VALUES)
        for fault, by_kind in faults.items():
            for kind, line in by_kind.items():
                what = (kind, column, fault)
                if line == "read":
                    assert fault not in ("list", "object", "half character", "NaN", "infinity") or (
                        kind == "csv"  # where every cell is a text
                    ), what
                    continue
                path = tmp_path / f"table.{kind}"
                check_line(line, path, what)
                rest = line.removeprefix(str(path))
                if kind != "csv":  # where nothing is an empty text
                    absent = {"left out": "empty", "null": "empty", "empty": "missing"}
                    assert absent.get(fault, "is None") not in rest.partition(" — ")[0], line
                assert rest.startswith((":2: ", ":3: ", ": row 1: ", ": row 2: ")) or (
                    "column" in rest or "not a score table" in rest or "2 models" in rest
                    or kind == "csv"
                ), (what, line)  # fmt: skip
                assert column in rest or name == CONFUSION or "arena-hard" in rest, (what, line)


@pytest.mark.parametrize("oddity", TEXTS_OF_FILES)
def test_an_odd_file_of_json_lines(oddity, tmp_path):
    outcomes = {}
    for name, reader in READERS.items():
        if "jsonl" in reader.kinds:
            path = odd_file(tmp_path, reader, oddity)
            line = outcome(reader, path)
            outcomes[name] = line == "read"
            if line != "read":
                check_line(line, path, (name, oddity))
    if oddity in ("nothing (0 bytes)", "no row"):
        # A folder may have empty files; what has no game at all is refused with the others.
        outcomes = {name: read for name, read in outcomes.items()
                    if not name.startswith(("documents", "arena-hard"))}  # fmt: skip
    if oddity == "gzip, called .jsonl.gz":
        del outcomes["documents (lifecycle, search)"]  # a folder of texts reads none, as it says
    if oddity not in ("called .json", "called .csv"):
        assert len(set(outcomes.values())) == 1, outcomes  # alike for all readers


@pytest.mark.parametrize("oddity", PARQUET_ODDITIES)
def test_an_odd_parquet_file(oddity, tmp_path):
    for name, reader in READERS.items():
        if "parquet" in reader.kinds:
            path = odd_parquet(tmp_path, reader, oddity)
            line = outcome(reader, path)
            if line != "read":
                check_line(line, path, (name, oddity))


@pytest.mark.parametrize("oddity", CSV_ODDITIES)
def test_an_odd_csv_file(oddity, tmp_path):
    path = odd_csv(tmp_path, oddity)
    line = outcome(READERS[CONFUSION], path)
    if line != "read":
        check_line(line, path, oddity)


def test_the_guide_says_what_happens(tmp_path):
    """Made anew by ``python tests/support/wrong_tables.py``."""
    assert PAGE.read_text(encoding="utf-8") == guide(tmp_path)


SHEET = [
    ["id", "language", "prompt"],
    ["007", "no", 'Grüße, "du";\nzweite Zeile'],
    ["008", "de", "Was ist 1,5?"],
]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_the_hint_about_a_csv_file_works_as_typed(tmp_path, monkeypatch, separator, encoding):
    path = tmp_path / "a sheet.csv"
    with open(path, "w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=separator).writerows(SHEET)
    with pytest.raises(InputError) as error:
        read_prompts(path, require_ids=True)
    command, program = error.value.hint.partition(": ")[2].split(" -c ")
    assert command == "python"
    monkeypatch.chdir("/")
    exec(json.loads(program), {})  # the hint's own program, quoted alike in JSON and the shell
    prompts = read_prompts(path.with_suffix(".parquet"), require_ids=True)
    assert [(row.id, row.prompt) for row in prompts] == [
        ("007", SHEET[1][2]), ("008", SHEET[2][2])
    ]  # fmt: skip


def test_a_margin_is_of_the_chosen_answer(tmp_path):
    row = {"prompt": "a", "chosen": "b", "rejected": "c", "language": "de", "margin": -0.5}
    write(tmp_path / "p.jsonl", [row])
    with pytest.raises(
        InputError, match=r"p.jsonl:1: 'margin' is -0.5: it is by how much"
    ) as error:
        read_preferences(tmp_path / "p.jsonl")
    assert "swap the two answers" in error.value.hint
    write(tmp_path / "p.jsonl", [row | {"margin": 0.5, "chosen": "c", "rejected": "b"}])
    assert read_preferences(tmp_path / "p.jsonl")[0].margin == 0.5
