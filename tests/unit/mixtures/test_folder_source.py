import json
import pickle
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polylect.base import LANGUAGES, InputError, Ledger
from polylect.mixtures import FolderSource

ALL = (*LANGUAGES, "code")
GERMAN = "Der schnelle braune Fuchs springt über den faulen Hund und schläft danach."
FRENCH = "Le renard brun et rapide saute par-dessus le chien paresseux puis s'endort."


def _read(path, languages=ALL, **options):
    ledger = Ledger()
    return list(FolderSource(path, **options).documents(languages, ledger)), ledger


def test_language_by_name_of_file_or_folder_or_identified(tmp_path):
    (tmp_path / "pt_BR").mkdir()
    (tmp_path / "pt_BR" / "a.txt").write_text("Olá mundo", encoding="utf-8")
    (tmp_path / "news.zh-TW.txt").write_text("你好", encoding="utf-8")
    (tmp_path / "de.md").write_text("Hallo", encoding="utf-8")
    (tmp_path / "notes.txt").write_text(FRENCH, encoding="utf-8")
    (tmp_path / "tool.py").write_text("x = 1\n", encoding="utf-8")
    documents, ledger = _read(tmp_path)
    assert {one.id.partition("#")[0]: one.language for one in documents} == {
        "pt_BR/a.txt": "pt", "news.zh-TW.txt": "zh-Hant", "de.md": "de", "notes.txt": "fr",
        "tool.py": "code",
    }  # fmt: skip
    assert list(ledger.rows()) == [
        ("kept as the more general language asked for", "pt-BR as pt", 1),
        ("language identified: none was said", "fr", 1),
    ]


def test_rows_with_columns(tmp_path):
    rows = [
        {"text": "Hallo", "language": "deu", "id": 7, "parallel": "p1", "license": "CC0-1.0"},
        {"text": "Ciao", "language": "it", "score": 0.5},
        {"text": "  ", "language": "it"},
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    documents, ledger = _read(path)
    assert [(one.id, one.language, one.parallel, one.license) for one in documents] == [
        ("a.jsonl#7", "de", "p1", "CC0-1.0"), ("a.jsonl#000002", "it", "", ""),
    ]  # fmt: skip
    assert ledger.by_event() == {"dropped: empty text": 1, "read: documents": 1}


def test_parquet_rows_fall_back_to_the_name(tmp_path):
    table = pa.table({"text": ["Hej", "Hallo"], "language": [None, "de"]})
    pq.write_table(table, tmp_path / "nl.parquet")
    documents, _ = _read(tmp_path)
    assert [one.language for one in documents] == ["nl", "de"]


def test_the_given_language_stands_above_names_and_below_columns(tmp_path):
    (tmp_path / "de.txt").write_text("Hello", encoding="utf-8")
    (tmp_path / "x.jsonl").write_text('{"text": "Ciao", "language": "it"}\n', encoding="utf-8")
    documents, _ = _read(tmp_path, language="en")
    assert [one.language for one in documents] == ["en", "it"]


def test_what_is_not_read_or_not_wanted_is_counted(tmp_path):
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "de.txt").write_text("Hallo", encoding="utf-8")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    (tmp_path / "de.txt").write_text(GERMAN, encoding="utf-8")
    (tmp_path / "fr.txt").write_text(FRENCH, encoding="utf-8")
    (tmp_path / "short.txt").write_text("ab", encoding="utf-8")
    documents, ledger = _read(tmp_path, ("de",))
    assert [one.id for one in documents] == ["de.txt#000000"]
    assert list(ledger.rows()) == [
        ("dropped: language not asked for", "fr", 1),
        ("dropped: language not identified", "", 1),
        ("not read: unknown kind of file", ".png", 1),
        ("read: documents", "", 1),
        ("read: documents", "fr", 1),
    ]


def test_the_digest_is_of_content_not_of_place(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "de.txt").write_text("Hallo", encoding="utf-8")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    first, second = FolderSource(tmp_path / "a"), FolderSource(tmp_path / "b")
    assert first.digest == second.digest
    assert pickle.loads(pickle.dumps(first)).digest == first.digest
    assert FolderSource(tmp_path / "a", language="de").digest != first.digest
    (tmp_path / "b" / "de.txt").write_text("Hallo!", encoding="utf-8")
    assert FolderSource(tmp_path / "b").digest != first.digest


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.txt", b"caf\xe9", r"a\.txt: not UTF-8"),
        ("a.jsonl", b'{"text": "a", "language": "de"}\n{"text":\n', r"a\.jsonl:2: not JSON"),
        ("a.jsonl", b'{"text": "a", "language": "x!"}\n', r"a\.jsonl:1: unknown language 'x!'"),
        ("a.jsonl", b'{"content": "a"}\n', r"a\.jsonl:1: 'text' is missing"),
        ("a.jsonl", b'{"text": 3}\n', r"a\.jsonl:1: 'text' is '3'"),
        ("a.jsonl", b'{"text": "a", "language": ["de"]}\n', r"a\.jsonl:1: 'language' is"),
        ("a.jsonl", b'"text"\n', r"a\.jsonl:1: a row is an object"),
        ("a.jsonl", b'{"text": "caf\xe9"}\n', r"a\.jsonl:1: not UTF-8"),
        ("a.parquet", b"PAR1", "not a whole Parquet file"),
        ("a.png", b"", "nothing to read here"),
    ],
)
def test_bad_files_are_one_line(name, data, says, tmp_path):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=says) as error:
        _read(tmp_path)
    assert "\n" not in str(error.value)


def test_missing_folder_empty_folder_and_unknown_language(tmp_path):
    with pytest.raises(InputError, match="nowhere: no such file or folder"):
        FolderSource(tmp_path / "nowhere").digest  # noqa: B018
    with pytest.raises(InputError, match="nothing to read here"):
        _read(tmp_path)
    (tmp_path / "a.txt").write_text("a", encoding="utf-8")
    with pytest.raises(InputError, match="unknown language 'germn'"):
        _read(tmp_path, language="germn")
    (tmp_path / "b.txt").symlink_to(tmp_path / "gone")
    with pytest.raises(InputError, match=r"b\.txt: neither"):
        _read(tmp_path)
