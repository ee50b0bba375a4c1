"""``pl.confusion`` and ``polylect confusion`` are one job."""

import json

import pytest
from command_line import polylect_in_process, run_verb
from result_files import files_of

import polylect as pl
from polylect.api.language_confusion import LanguageConfusion
from polylect.base import InputError

GERMAN = "Das ist ein ganz gewöhnlicher deutscher Satz über das Wetter"
ENGLISH = "This is a plain sentence about the weather of yesterday"
ROWS = [
    {"id": str(n), "language": "de", "sample": 0, "model": "mine", "answer": text,
     "category": category, "prompt": f"Frage {n}"}
    for n, (text, category) in enumerate([
        (GERMAN, "one/a"), (ENGLISH, "one/a"), (GERMAN, "one/b"), (GERMAN, "one/b"), ("kurz", ""),
    ])
]  # fmt: skip


def test_in_python_and_by_command_it_is_one_job(tmp_path):
    file = tmp_path / "answers.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS), "utf-8")
    result = pl.confusion(file, identifiers="benchmark", out=tmp_path / "py" / "c")
    out = tmp_path / "sh" / "c"
    printed = polylect_in_process(
        "confusion", file, "--identifiers", "benchmark", "--out", out, "--json"
    )
    assert printed.returncode == 0, printed.stderr
    assert files_of(result.path) == files_of(out)
    assert json.loads(printed.stdout) == result.rows()
    (german,) = [row for row in result.rows() if row["language"] == "de"]
    assert (german["answers"], german["skipped"]) == (4, 1)
    assert result.overall["line_pass"].to_list() == [german["line_pass"]]
    opened = LanguageConfusion(out)
    assert opened.lines()[:-1] == result.lines()[:-1]
    # A result that is there already still says what it says.
    assert (
        pl.confusion(file, identifiers=["benchmark"], out=out).lines()[:-1] == (result.lines()[:-1])
    )


def test_a_table_is_measured_and_a_plan_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = pl.confusion(ROWS, identifiers=["benchmark"], dry_run=True)
    assert "5 answers of mine in de" in str(plan)
    assert list(tmp_path.iterdir()) == []
    assert pl.confusion(ROWS, identifiers=["benchmark"]).path.name.startswith("confusion-")


def test_an_identifier_may_be_a_function_and_its_source_decides(tmp_path):
    def german(texts):
        return ["de" for _ in texts]

    def english(texts):
        return ["en" for _ in texts]

    first, second = (
        pl.confusion(ROWS, identifiers=["benchmark", mine], out=tmp_path / mine.__name__)
        for mine in (german, english)
    )
    rows = [*first.overall.to_dicts(), *second.overall.to_dicts()]
    shares = {row["identifier"].rpartition(":")[2]: row["line_pass"] for row in rows}
    # Of three sources one has no answer: by the benchmark's rule its rate is 1.
    assert shares == shares | {"german": 1.0, "english": pytest.approx(1 / 3)}
    with pytest.raises(InputError, match="holds another result"):
        pl.confusion(ROWS, identifiers=["benchmark", english], out=tmp_path / "german")
    again = pl.confusion(ROWS, identifiers=["benchmark", german], out=tmp_path / "german")
    assert again.path == first.path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--identifier", "benchmark"], "--identifier is now --identifiers"),
        (["--identifiers", "benchmarc"], "did you mean benchmark"),
    ],
)
def test_a_mistake_is_one_line(words, said, tmp_path):
    (tmp_path / "a.csv").write_text(f"completion,source,language\n{GERMAN},s,de\n", "utf-8")
    with pytest.raises(InputError) as caught:
        run_verb("confusion", tmp_path / "a.csv", *words)
    assert said in str(caught.value)


def test_nothing_is_said_of_answers_that_were_not_checked(tmp_path):
    rows = [{"id": str(n), "language": tag, "sample": 0, "model": "m", "answer": ""}
            for n in range(3) for tag in ("fr", "x-mine")]  # fmt: skip
    result = pl.confusion(rows, out=tmp_path / "out")
    by_tag = {(row["identifier"], row["language"]): row for row in result.rows()}
    assert {tag for _, tag in by_tag} == {None, "fr", "x-mine"}
    assert {row["line_pass"] for row in by_tag.values()} == {None}
    assert by_tag["benchmark", "fr"]["skipped"] == 3
    assert by_tag["polylect", "x-mine"]["cannot_tell"]
    assert "100" not in "\n".join(result.lines())
    assert "100.0%" not in result.page.read_text("utf-8")
    assert result.ledger.total("skipped") > 0
