"""``pl.evaluate`` and ``pl.quantize`` are one job with their commands."""

import json

import polars
import pytest
from align_cases import write_model
from command_line import polylect_in_process
from result_files import files_of

import polylect as pl

TEXTS = {"en": "the fox sees the dog ", "de": "der Fuchs sieht den Hund "}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation")
    write_model(folder / "model")
    items = [
        {"id": str(n), "language": tag, "context": text, "answer": n % 2, "delimiter": " ",
         "choices": ["now", "then"]}
        for tag, text in TEXTS.items() for n in range(6)
    ]  # fmt: skip
    texts = [{"text": text * 40 + str(n), "language": tag} for tag, text in TEXTS.items()
             for n in range(24)]  # fmt: skip
    for name, rows in (("items", items), ("text", texts)):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines, "utf-8")
    return folder


def test_an_evaluation_in_python_and_by_command_has_equal_bytes(place, tmp_path):
    result = pl.evaluate(
        place / "model", tasks=[str(place / "items.jsonl")], out=tmp_path / "py" / "e"
    )
    out = tmp_path / "sh" / "e"
    words = [place / "model", "--tasks", place / "items.jsonl", "--out", out, "--json"]
    printed = polylect_in_process("eval", *words)
    assert printed.returncode == 0, printed.stderr
    assert files_of(result.path) == files_of(out)
    assert json.loads(printed.stdout) == json.loads(json.dumps(result.rows()))
    assert {row["language"] for row in result.rows()} >= {"en", "de"}


def test_a_task_may_be_a_table(place, tmp_path):
    rows = [json.loads(line) for line in (place / "items.jsonl").read_text().splitlines()]
    tables = [rows, polars.DataFrame(rows), [rows]]
    results = [pl.evaluate(place / "model", tasks=table, out=tmp_path / str(number)).rows()
               for number, table in enumerate(tables)]  # fmt: skip
    assert results[0] == results[1] == results[2]
    assert {row["task"].partition("@")[0] for row in results[0]} == {"tasks"}


def test_a_quantization_in_python_and_by_command_has_equal_bytes(place, tmp_path):
    given = {"calibration": place / "text.jsonl", "samples": 8, "sample_tokens": 16}
    result = pl.quantize(place / "model", scheme="w8", **given, out=tmp_path / "py" / "q")
    out = tmp_path / "sh" / "q"
    words = [place / "model", "--scheme", "w8", "--out", out, "--json"]
    for name, value in given.items():
        words += [f"--{name.replace('_', '-')}", value]
    printed = polylect_in_process("quantize", *words)
    assert printed.returncode == 0, printed.stderr
    assert files_of(result.path) == files_of(out)
    assert json.loads(printed.stdout) == result.rows()
    (row,) = [row for row in pl.list_runs(out.parent).rows() if row["path"].endswith("q")]
    assert row["headline"].startswith("most hurt: ")
