"""people describe, fit and score in Python and by command: equal bytes; nobody named unasked."""

import json

import polars
import pytest
from command_line import run_verb
from result_files import files_of

import polylect as pl
from polylect.api.option_fields import option_fields
from polylect.api.people_options import PeopleFitOptions
from polylect.api.results import Plan
from polylect.cli import main
from polylect.people import METHODS, SCHEMAS, load_model

NAMES = [f"person-{letter}" for letter in "abcdefgh"]
ANIMALS = ["cats purr", "dogs bark", "birds sing", "fish swim", "horses run", "owls hoot",
           "frogs jump"]  # fmt: skip


@pytest.fixture(scope="module")
def preferences():
    """Users a and b like what comes late in the list, all others what comes early."""
    rows = []
    for name in NAMES:
        for i, first in enumerate(ANIMALS):
            for second in ANIMALS[i + 1 :]:
                sides = (second, first) if name[-1] in "ab" else (first, second)
                rows.append(
                    {
                        "user": name,
                        "prompt": "Say something about an animal.",
                        "chosen": sides[0],
                        "rejected": sides[1],
                        "language": "en",
                    }
                )
    return rows


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def file(preferences, tmp_path):
    return write(tmp_path / "preferences.jsonl", preferences)


@pytest.fixture
def texts(tmp_path):
    rows = [{"text": text, "prompt": "Say something about an animal.", "language": "en"}
            for text in ANIMALS]  # fmt: skip
    return write(tmp_path / "texts.jsonl", rows)


def test_python_and_the_command_write_the_same_bytes(file, texts, tmp_path, capsys):
    first, second = tmp_path / "first", tmp_path / "second"
    described = pl.people.describe(file, resamples=20, out=first / "d")
    fitted = pl.people.fit(file, method="shrinkage", settings={"strength": "2.0"}, out=first / "f")
    scored = pl.people.score(fitted, texts, user="person-a", out=first / "s")
    words = {
        "d": ("people describe", file, "--resamples", "20"),
        "f": ("people fit", file, "--method", "shrinkage", "--settings", "strength=2.0"),
        "s": ("people score", second / "f", texts, "--user", "person-a"),
    }
    for folder, result in (("d", described), ("f", fitted), ("s", scored)):
        assert run_verb(*words[folder], "--out", second / folder, "--json") == 0
        assert files_of(first / folder) == files_of(second / folder)
        assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(result.rows()))
        again = pl.open_run(result)
        assert type(again) is type(result)
        assert repr(again) == repr(result)


def test_a_table_is_as_good_as_a_file(preferences, file, tmp_path):
    by_file = pl.people.describe(file, resamples=20, out=tmp_path / "file")
    by_table = pl.people.describe(preferences, resamples=20, out=tmp_path / "rows")
    by_frame = pl.people.describe(polars.DataFrame(preferences), resamples=20, out=tmp_path / "f")
    assert by_file.rows() == by_table.rows() == by_frame.rows()


def test_nobody_is_named_unless_that_is_asked_for_and_small_groups_are_not_shown(file, tmp_path):
    result = pl.people.describe(file, resamples=20, out=tmp_path / "numbers")
    assert result.users["user"].to_list() == [str(n) for n in range(1, 9)]
    assert result.users["minority"].to_list() == [True] * 2 + [False] * 6
    page = result.page.read_text("utf-8")
    assert "person-" not in page + repr(result)
    assert "minority users: fewer than 5 users: not shown" in repr(result)
    assert "25.0%" not in page
    named = pl.people.describe(file, resamples=20, names=True, min_group=1, out=tmp_path / "names")
    assert named.users["user"].to_list() == NAMES
    assert "user person-a" in named.page.read_text("utf-8")
    assert "minority users: 25.0%" in repr(named)


@pytest.mark.parametrize("method", ["pooled", "individual", "kernel"])
def test_a_user_is_scored_by_the_model_and_a_stranger_by_the_crowd(method, file, texts, tmp_path):
    fitted = pl.people.fit(file, method=method, out=tmp_path / "model")
    assert fitted.model.users == tuple(NAMES) == load_model(fitted.path).users
    late, early, crowd, stranger = (
        pl.people.score(fitted, texts, user=user, out=tmp_path / f"s{i}")
        for i, user in enumerate(["person-a", "person-h", "", "nobody"])
    )
    scores = [result.table()["score"].to_list() for result in (late, early, crowd, stranger)]
    assert scores[1][0] > scores[1][-1]
    assert (scores[0][0] < scores[0][-1]) == (method != "pooled")
    assert scores[2] == scores[3]
    assert stranger.ledger.total("fell back") == len(ANIMALS)
    assert not crowd.ledger


def test_the_help_lists_every_method_and_schema():
    fields = {field.key: field.help for field in option_fields(PeopleFitOptions)}
    for names, text in ((METHODS, fields["method"]), (SCHEMAS, fields["schema"])):
        assert ": " + ", ".join(names) + "." in text


def test_a_method_of_torch_leaves_its_threads_as_they_were(file, texts, tmp_path):
    import torch

    before = torch.get_num_threads()
    few = {"num_steps": "3"}
    fitted = [pl.people.fit(file, method="vpl", settings=few, out=tmp_path / name / "vpl")
              for name in ("a", "b")]  # fmt: skip
    assert files_of(fitted[0].path) == files_of(fitted[1].path)
    assert (
        pl.people.score(fitted[0], texts, user="person-a", out=tmp_path / "s").table().height == 7
    )
    assert torch.get_num_threads() == before


def test_pairs_are_scored_side_by_side(file, preferences, tmp_path):
    fitted = pl.people.fit(file, method="individual", out=tmp_path / "model")
    pairs = write(tmp_path / "pairs.jsonl", preferences[:21])
    table = pl.people.score(fitted, pairs, user="person-a", out=tmp_path / "s").table()
    assert table.columns == ["row", "chosen_score", "rejected_score", "prefers"]
    assert table["prefers"].to_list().count("chosen") >= 20


def test_ratings_and_published_schemas_are_described(tmp_path):
    rows = [{"user": u, "text": text, "rating": (i * (u + 1)) % 7, "language": "en"}
            for u in range(6) for i, text in enumerate(ANIMALS)]  # fmt: skip
    rated = pl.people.describe(write(tmp_path / "r.jsonl", rows), max_pairs=9, resamples=20,
                               min_difference=2, out=tmp_path / "r")  # fmt: skip
    assert rated.users["preferences"].to_list() == [9] * 6
    assert rated.ledger.total("cut: pairs of ratings") > 0
    rows = [{"instruction": "I", "response1": "a", "response2": "b",
             "annotator1": 1, "annotator2": 2, "annotator3": 1}]  # fmt: skip
    path = write(tmp_path / "p.jsonl", rows)
    judged = pl.people.describe(path, schema="pandalm", resamples=20, out=tmp_path / "p")
    assert judged.rows()[0]["value"] == 1.0


@pytest.mark.parametrize("call", ["describe", "fit", "score"])
def test_a_plan_writes_nothing(call, file, texts, tmp_path, monkeypatch):
    fitted = pl.people.fit(file, method="pooled", out=tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    places = (fitted, texts) if call == "score" else (file,)
    plan = getattr(pl.people, call)(*places, dry_run=True)
    assert isinstance(plan, Plan)
    assert "would write" in repr(plan)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["fit", "FILE", "--method", "shrinkag"], "no method 'shrinkag' — did you mean shrinkage?"),
        (["fit", "FILE", "--encoder", "bert"], "--encoder bert: no such encoder"),
        (
            ["fit", "FILE", "--settings", "strngth=1"],
            "did you mean strength?",
        ),
        (["describe", "FILE", "--schema", "prsm"], "no schema 'prsm' — did you mean prism?"),
        (["describe", "none.jsonl"], "none.jsonl: no such file"),
        (["score", "FOLDER", "FILE"], "there is no fitted model"),
        (["described", "FILE"], "people: no kind 'described' — did you mean describe?"),
    ],
)
def test_a_mistake_is_a_line(words, expected, file, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    named = {"FILE": str(file), "FOLDER": str(tmp_path / "empty")}
    assert main(["people", *(named.get(word, word) for word in words)]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"chosen": "cats purr"}, "1 dropped: 'chosen' and 'rejected' are equal"),
        ({"user": "alone"}, "1 a user with one pair"),
        ({"language": "no such language"}, "'language'"),
        ({"user": 1.5}, "'user' is 1.5"),
    ],
)
def test_bad_rows_are_a_line_or_a_count(change, expected, preferences, tmp_path, capsys):
    rows = [*preferences, preferences[0] | change]
    out = tmp_path / "out"
    code = main(["people", "describe", str(write(tmp_path / "x.jsonl", rows)), "--out", str(out)])
    said = capsys.readouterr()
    assert expected in said.out + said.err
    assert code == (2 if said.err else 0)


def test_what_is_of_few_users_is_not_shown(preferences, tmp_path):
    rows = [row for row in preferences if row["user"] in NAMES[:3]]
    rows += [row | {"user": user, "chosen": f"{user} one", "rejected": f"{user} two"}
             for user in NAMES[3:] for row in preferences[:1]]  # fmt: skip
    result = pl.people.describe(
        write(tmp_path / "three.jsonl", rows), resamples=20, out=tmp_path / "o"
    )
    text = repr(result) + result.page.read_text("utf-8")
    assert "agreement with the majority: fewer than 5 users: not shown" in text
    assert "of 3 users" not in text
    assert "who agree least" not in text


def test_a_whole_crowd_of_few_users_is_no_group(preferences, tmp_path):
    rows = [row for row in preferences if row["user"] in NAMES[2:5]]
    file = write(tmp_path / "three.jsonl", rows)
    described = pl.people.describe(file, resamples=20, out=tmp_path / "described")
    assert "agreement with the majority: fewer" not in repr(described)
    how = {"methods": ["individual"], "seeds": 2, "left_out": 0, "resamples": 20}
    study = pl.people.study(file, split="pair", **how, out=tmp_path / "study")
    facets = json.loads((study.path / "people.json").read_text("utf-8"))["facets"]
    macro = [row for row in facets if row["name"] == "macro"]
    assert [row["num"] for row in macro] == [3, 3]
    assert all(row["value"] is not None for row in macro)
