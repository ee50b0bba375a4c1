"""``pl.generate`` and ``polylect generate`` are one job."""

import json
import shutil

import polars
import pytest
from align_cases import write_model
from command_line import polylect_in_process
from result_files import files_of

import polylect as pl
from polylect.base import InputError

ROWS = [
    {"id": str(n), "language": tag, "prompt": text}
    for n, (tag, text) in enumerate([("en", "the fox"), ("de", "die Frage"), ("ar", "السؤال")])
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generate")
    write_model(folder / "model")
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), "utf-8")
    return folder


def test_in_python_and_by_command_the_bytes_are_equal(place, tmp_path):
    answers = pl.generate(
        place / "model", place / "prompts.jsonl", max_new_tokens=3, out=tmp_path / "py" / "a"
    )
    words = [place / "model", place / "prompts.jsonl", "--max-new-tokens", 3]
    out = tmp_path / "sh" / "a"
    printed = polylect_in_process("generate", *words, "--out", out, "--json")
    assert printed.returncode == 0, printed.stderr
    assert files_of(answers.path) == files_of(out)
    assert sorted(files_of(out)) == ["answers.parquet", "step.json"]
    assert json.loads(printed.stdout) == answers.rows()
    assert [row["language"] for row in answers.rows()] == ["en", "de", "ar"]


@pytest.mark.parametrize(
    ("prompts", "model"),
    [
        (str, str),
        (lambda file: file, lambda file: file),
        (lambda file: ROWS, str),
        (lambda file: polars.DataFrame(ROWS), str),
        (lambda file: polars.DataFrame(ROWS).to_arrow(), str),
    ],
)
def test_prompts_are_a_path_or_a_table(place, tmp_path, prompts, model, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answers = pl.generate(
        model(place / "model"), prompts(place / "prompts.jsonl"), max_new_tokens=2
    )
    assert answers.path.parent.name == "runs"
    assert answers.path.name.startswith("generate-")
    assert answers.model == "model"
    assert [row["prompt"] for row in answers.rows()] == [row["prompt"] for row in ROWS]
    assert answers.languages["answers"].to_list() == [1, 1, 1]
    assert pl.generate(
        model(place / "model"), prompts(place / "prompts.jsonl"), max_new_tokens=2
    ).path == answers.path  # fmt: skip


def test_several_languages_and_texts_are_given_in_either_way(place, tmp_path):
    a = pl.generate(place / "model", ROWS, languages=["de", "ar"], stop=[", ", "x"],
                    max_new_tokens=2, out=tmp_path / "a")  # fmt: skip
    call = ["generate", place / "model", place / "prompts.jsonl", "--max-new-tokens", 2]
    for number, tags in enumerate((["de,ar"], ["de", "ar"])):
        more = ["--languages", *tags, "--stop", ", ", "x", "--out", tmp_path / str(number)]
        assert polylect_in_process(*call, *more).returncode == 0
        settings = json.loads((tmp_path / str(number) / "step.json").read_text())["config"]
        assert settings["sampling"]["stop"] == [", ", "x"]
        assert (tmp_path / str(number) / "answers.parquet").read_bytes() == a.file.read_bytes()


def test_a_plan_writes_nothing(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = pl.generate(place / "model", ROWS, max_new_tokens=2, dry_run=True)
    assert "3 prompts (en 1, de 1, ar 1)" in str(plan)
    assert "would write runs/generate-" in str(plan)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"max_new_token": 3}, "generate: no option 'max_new_token' — did you mean max_new_tokens"),
        ({"retries": 3}, "retries belongs to a server"),
        ({"temperature": "warm"}, "temperature is 'warm'"),
        ({"languages": ["fr"]}, "no prompt in fr"),
        ({"top_k": 4}, "top_k has no effect"),
    ],
)
def test_a_mistake_is_one_line(place, keywords, words):
    with pytest.raises(InputError) as caught:
        pl.generate(place / "model", ROWS, **keywords)
    assert words in str(caught.value)


def test_generation_settings_that_cannot_be_read_are_refused(place, tmp_path):
    model = shutil.copytree(place / "model", tmp_path / "model")
    (model / "generation_config.json").write_text("{")
    with pytest.raises(InputError, match=r"generation_config\.json"):
        pl.generate(model, ROWS, max_new_tokens=2, out=tmp_path / "out")
