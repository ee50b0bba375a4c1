import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polylect.base import InputError, digest_file
from polylect.evals import Source, find_task
from polylect.evals.sources import Dataset, MissingTranslation, Row, read_table

DATASET = Dataset(
    name="riddles",
    license="none",
    home="https://example.org/riddles",
    hub="somebody/riddles_v2",
    layouts=("original/{config}.{split}.jsonl",),
    splits={"validation": "val"},
)
ROWS = [{"id": i, "text": f"Frage {i}"} for i in range(5)]


def put(path: Path, rows=ROWS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    "name",
    [
        "riddles/original/de.val.jsonl",
        "riddles/de/validation/0000.parquet",
        "riddles/de/validation-00000-of-00001.parquet",
        "riddles/data/de/validation-00000-of-00001.parquet",
        "riddles/de/validation.jsonl",
        "riddles/data/de/validation.jsonl",
        "riddles_v2/de/validation/0000.parquet",
        "somebody/riddles_v2/de/validation.jsonl",
    ],
)
def test_every_published_layout_is_found_and_its_digest_noted(tmp_path, name):
    path = put(tmp_path / name)
    source = Source.at(tmp_path)
    assert [row.data for row in source.rows(DATASET, "de", "validation")] == ROWS
    inside = name.split("riddles_v2/")[-1].removeprefix("riddles/")
    assert source.digests == {f"riddles/{inside}": digest_file(path)}
    assert source.fresh().digests == {}
    assert source.has(DATASET, "de", "validation")
    assert not source.has(DATASET, "de", "test")


def test_the_folder_may_be_that_of_the_dataset(tmp_path):
    put(tmp_path / "riddles" / "de" / "test.jsonl")
    assert len(Source.at(tmp_path / "riddles").rows(DATASET, "de", "test")) == 5
    with pytest.raises(InputError, match="no data"):
        Source.at(tmp_path / "riddles" / "de").rows(DATASET, "de", "test")


def test_shards_are_read_in_order_and_a_missing_one_is_refused(tmp_path):
    for number in range(2):
        name = f"riddles/de/test-0000{number}-of-00002.parquet"
        put(tmp_path / name, ROWS[2 * number : 2 * number + 2])
    assert [row.data["id"] for row in Source.at(tmp_path).rows(DATASET, "de", "test")] == [
        0,
        1,
        2,
        3,
    ]
    (tmp_path / "riddles/de/test-00000-of-00002.parquet").unlink()
    with pytest.raises(InputError, match="1 of 2 shards"):
        Source.at(tmp_path).rows(DATASET, "de", "test")


def test_a_language_may_be_missing_but_not_the_whole_dataset(
    tmp_path,
):
    put(tmp_path / "riddles/de/test.jsonl")
    with pytest.raises(MissingTranslation, match=r"no file for fr \(test\)"):
        Source.at(tmp_path).rows(DATASET, "fr", "test")
    other = Dataset("puzzles", "none", "https://example.org", hub="somebody/puzzles")
    with pytest.raises(InputError) as caught:
        Source.at(tmp_path).rows(other, "de", "test")
    assert not isinstance(caught.value, MissingTranslation)
    assert f"looked for {tmp_path / 'puzzles'}" in str(caught.value)
    assert str(caught.value).endswith("--hub to download somebody/puzzles")
    with pytest.raises(
        InputError, match=r"no folder was given\) — --datasets DIR with puzzles in it"
    ):
        Source.at(None).rows(other, "de", "test")
    with pytest.raises(InputError, match=r"get it from https://example.org and give --datasets"):
        Source.at(None, hub=True).rows(Dataset("x", "none", "https://example.org"), "de", "test")


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        Source.at(tmp_path / "nowhere")


class Hub:
    """A hub of one repository, on the disk; counts what is asked of it."""

    def __init__(self, monkeypatch, folder: Path) -> None:
        import huggingface_hub
        from huggingface_hub import constants

        self.folder, self.asked, self.offline = folder, [], []
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)  # what the command line sets

        def listed(api, name, **where):
            assert where == {"repo_type": "dataset", "revision": "refs/convert/parquet"}
            self.offline.append(constants.HF_HUB_OFFLINE)
            return [path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet")]

        def downloaded(name, file, **where):
            self.asked.append((name, file))
            return str(folder / file)

        monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", listed)
        monkeypatch.setattr(huggingface_hub, "hf_hub_download", downloaded)


def test_the_hub_is_asked_only_when_allowed_and_for_what_the_folder_lacks(tmp_path, monkeypatch):
    from huggingface_hub import constants

    hub = Hub(monkeypatch, tmp_path / "hub")
    path = put(tmp_path / "hub/de/test/0001.parquet", ROWS[3:])
    put(tmp_path / "hub/de/test/0000.parquet", ROWS[:3])
    put(tmp_path / "hub/fr/test/0000.parquet")
    put(tmp_path / "data/riddles/fr/test.jsonl", ROWS[:1])
    source = Source.at(tmp_path / "data", hub=True)
    assert len(source.rows(DATASET, "fr", "test")) == 1
    assert hub.asked == []
    assert [row.data for row in source.rows(DATASET, "de", "test")] == ROWS
    assert [file for _, file in hub.asked] == ["de/test/0000.parquet", "de/test/0001.parquet"]
    assert source.digests["riddles/de/test/0001.parquet"] == digest_file(path)
    assert hub.offline == [False]
    assert constants.HF_HUB_OFFLINE  # the ban is back
    with pytest.raises(MissingTranslation, match="has no test split for it"):
        source.rows(DATASET, "it", "test")
    with pytest.raises(MissingTranslation):  # without leave the hub is not asked
        Source.at(tmp_path / "data").rows(DATASET, "de", "test")
    assert len(hub.asked) == 2


def test_a_hub_that_does_not_answer_is_one_line(monkeypatch):
    import huggingface_hub

    def fails(*_, **__):
        raise OSError("Name or service not known\nand a long trace")

    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", fails)
    with pytest.raises(InputError) as caught:
        Source.at(None, hub=True).rows(DATASET, "de", "test")
    assert "somebody/riddles_v2 cannot be downloaded (Name or service not known)" in str(
        caught.value
    )
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["rows.tsv", "rows.txt"])
def test_lines_may_hold_what_python_takes_for_line_ends(tmp_path, name):
    path = tmp_path / name
    path.write_bytes("eins\u2028zwei\r\ndrei\x0cvier\r\n".encode())
    rows = read_table(path, ("text",))
    assert [row.text("text") for row in rows] == ["eins\u2028zwei", "drei\x0cvier"]
    assert rows[1].where == f"{path}:2"


def test_a_table_with_a_header_names_the_line_that_does_not_fit(tmp_path):
    path = tmp_path / "rows.tsv"
    path.write_text("id\ttext\n1\tja\n2\n")
    with pytest.raises(InputError, match=r"rows.tsv:3: 1 columns, not 2"):
        read_table(path)
    path.write_text("id\ttext\n1\tja\n")
    assert read_table(path)[0].data == {"id": "1", "text": "ja"}


def test_gzipped_lines_are_read_and_broken_ones_named(tmp_path):
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a": 1}\n\n{"a": 2}\n'))
    assert [row.data["a"] for row in read_table(path)] == [1, 2]
    for text, said in ((b'{"a": 1}\n{"a"\n', ":2: not JSON"), (b"[1]\n", ":1: a row is an object")):
        path.write_bytes(gzip.compress(text))
        with pytest.raises(InputError, match=said):
            read_table(path)
    path.write_bytes(b"plain")
    with pytest.raises(InputError, match="not a whole gzip file"):
        read_table(path)


def test_json_is_a_list_of_objects(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text('[{"a": 1}, {"a": 2}]')
    assert [row.data["a"] for row in read_table(path)] == [1, 2]
    path.write_text("[1, 2]")
    with pytest.raises(InputError, match="not a list of objects"):
        read_table(path)


def test_fields_are_named_when_they_are_wrong():
    row = Row("f:3", {"text": "x", "empty": " ", "number": "5,600", "none": None, "half": 0.5})
    assert row.text("other", "text") == "x"
    assert row.text("empty", blank=True) == " "
    assert row.whole("number") == 5600
    assert Row("", {"n": "-3"}).whole("n") == -3
    for call, said in [
        (lambda: row.text("none"), "f:3: 'none' is missing — the columns are text, empty"),
        (lambda: row.text("empty"), "f:3: 'empty' is empty"),
        (lambda: row.text("half"), "f:3: 'half' is '0.5', not text"),
        (lambda: row.whole("text"), "f:3: 'text' is 'x', not a whole number"),
        (lambda: row.whole("half"), "not a whole number"),
        (lambda: Row("", {"n": True}).whole("n"), "not a whole number"),
    ]:
        with pytest.raises(InputError) as caught:
            call()
        assert said in str(caught.value)


def test_examples_that_are_not_there_are_an_error_and_no_missing_translation(tmp_path):
    put(tmp_path / "xcopa/it/test.jsonl", [])
    task = find_task("xcopa")
    with pytest.raises(InputError, match=r"no examples.*--shots 0") as caught:
        task.shots(Source.at(tmp_path), "it")
    assert not isinstance(caught.value, MissingTranslation)
    with pytest.raises(MissingTranslation, match="xcopa: not in de — it has et ht id it"):
        task.items(Source.at(tmp_path), "de")
