import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polylect.base import InputError, digest_file
from polylect.evals import Item, Source, find_task
from polylect.evals.sources import MissingTranslation

GOOD = {
    "id": "a",
    "language": "de",
    "context": "Eins und",
    "choices": ["eins", "zwei"],
    "answer": 1,
}
NONE = Source.at(None)


def written(tmp_path: Path, *rows, name="quiz.jsonl") -> str:
    path = tmp_path / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_a_file_is_a_task_of_its_name(tmp_path):
    rows = [
        GOOD,
        GOOD | {"id": 7, "language": "zh_TW", "cluster": 3, "group": "g", "delimiter": ""},
        GOOD | {"id": "b", "origin": "my own note", "cluster": None},
    ]
    path = written(tmp_path, *rows)
    task = find_task(path)
    assert (task.label, task.scorer, task.languages) == ("quiz@1", "choice", ("de", "zh-Hant"))
    assert [one.id for one in task.items(NONE, "de")] == ["a", "b"]
    assert task.items(NONE, "zh-Hant") == [
        Item("7", "zh-Hant", "Eins und", ("eins", "zwei"), 1, "", "3", "g")
    ]
    assert task.shots(NONE, "de") == []
    with pytest.raises(MissingTranslation, match="quiz: not in fr — it has de zh-Hant"):
        task.items(NONE, "fr")


def test_the_digest_of_the_file_is_noted(tmp_path):
    path = written(tmp_path, GOOD)
    source = NONE.fresh()
    find_task(path).items(source, "de")
    assert source.digests == {"quiz.jsonl": digest_file(Path(path))}


def test_parquet_will_do(tmp_path):
    path = tmp_path / "quiz.parquet"
    pq.write_table(pa.Table.from_pylist([GOOD]), path)
    assert find_task(str(path)).items(NONE, "de")[0].choices == ("eins", "zwei")


def test_one_choice_makes_a_likelihood(tmp_path):
    row = GOOD | {"choices": ["zwei"], "answer": 0, "context": ""}
    assert find_task(written(tmp_path, row)).scorer == "likelihood"


def test_every_choice_may_have_its_own_context(tmp_path):
    row = GOOD | {"context": ["Er", "Sie"], "choices": ["ging", "ging"]}
    assert find_task(written(tmp_path, row)).items(NONE, "de")[0].contexts() == ("Er", "Sie")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": None}, "'id' is missing"),
        ({"id": 1.5}, "'id' is 1.5 — give text or a whole number"),
        ({"id": True}, "'id' is True"),
        ({"id": " "}, "'id' is ' '"),
        ({"language": 3}, "'language' is 3 — give a tag such as de"),
        (
            {"language": "zh Hanss"},
            "no tag, and no name of one — did you mean zh-Hans",
        ),
        ({"context": 4}, "'context' is 4"),
        ({"context": ["x"]}, "'context' has 1, 'choices' has 2"),
        ({"context": ["x", ""]}, "'context' is ['x', '']"),
        ({"choices": "ab"}, "'choices' is 'ab' — give a list"),
        ({"choices": []}, "'choices' is []"),
        ({"choices": ["a", 2]}, "'choices[1]' is 2 — give text"),
        ({"choices": ["a", " "]}, "'choices[1]' is empty"),
        ({"choices": ["a"], "answer": 0}, "'choices' has 1, in"),
        ({"answer": 2}, "'answer' is 2 — give 0 to 1: it counts from 0"),
        ({"answer": -1}, "'answer' is -1"),
        ({"answer": "1"}, "'answer' is '1' — give the position"),
        ({"answer": True}, "'answer' is True"),
        ({"delimiter": 1}, "'delimiter' is 1 — give text"),
        ({"cluster": [1]}, "'cluster' is [1]"),
        ({"clutser": "x"}, "unknown field 'clutser' — did you mean cluster?"),
        ({"id": "a"}, "'id' is 'a', as in"),
    ],
    ids=str,
)
def test_a_bad_line_is_named_with_field_and_value(tmp_path, change, said):
    path = written(tmp_path, GOOD, GOOD | {"id": "b"} | change)
    with pytest.raises(InputError) as caught:
        find_task(path)
    assert str(caught.value).startswith(f"{path}:2: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["id", "language", "context", "choices", "answer"])
def test_a_missing_field_is_named(tmp_path, key):
    path = written(tmp_path, {name: value for name, value in GOOD.items() if name != key})
    with pytest.raises(InputError, match=rf":1: '{key}' is missing"):
        find_task(path)


def test_files_that_are_no_task(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        find_task(str(tmp_path / "none.jsonl"))
    with pytest.raises(InputError, match="no item in it"):
        find_task(written(tmp_path))
    broken = tmp_path / "broken.jsonl"
    broken.write_text(json.dumps(GOOD) + "\n{not json}\n")
    with pytest.raises(InputError, match=r"broken.jsonl:2: not JSON"):
        find_task(str(broken))


def test_the_same_id_in_two_languages_is_a_translation(tmp_path):
    task = find_task(written(tmp_path, GOOD, GOOD | {"language": "fr"}))
    assert task.languages == ("de", "fr")


def test_lines_of_the_split_shots_are_the_examples(tmp_path):
    line = {"language": "de", "context": "x", "choices": ["a", "b"], "answer": 0}
    rows = [line | {"id": i, "split": "shots" if i < 2 else "test"} for i in range(5)]
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    task = find_task(str(path))
    source = Source.at(tmp_path)
    assert [one.id for one in task.items(source, "de")] == ["2", "3", "4"]
    assert [one.id for one in task.shots(source, "de")] == ["0", "1"]
    path.write_text(json.dumps(rows[0] | {"split": "train"}) + "\n", "utf-8")
    with pytest.raises(InputError, match=r"own\.jsonl:1: 'split' is 'train' — give test, or shots"):
        find_task(str(path))
