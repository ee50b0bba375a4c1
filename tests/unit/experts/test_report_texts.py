"""Whose text a file of a report is: every rule, and what is refused."""

import json

import polars as pl
import pytest

from polylect.base import InputError, Ledger
from polylect.experts import read_report_texts, report_sources
from polylect.experts.report_texts import NO_EXPERT, SEVERAL_EXPERTS

NAMES = ("de", "fr", "law")
RECORDS = [{"languages": ["de"]}, {"languages": ["fr", "en"]}, {"languages": ["en"]}]


def write(file, rows):
    file.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    file.write_text(text, encoding="utf-8")
    return str(file)


def rows(tag, num=3):
    return [{"text": f"Text {i} in {tag}.", "language": tag, "id": f"{i}"} for i in range(num)]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        # Called like experts, in any order; another beside them has no expert.
        (["law.jsonl", "de.jsonl", "news.jsonl"], [("law", 2), ("de", 0), ("news", None)]),
        (["fr.jsonl"], [("fr", 1)]),
        # NAME=FILE, of an expert or of none.
        (["de=a.jsonl", "web=b.jsonl"], [("de", 0), ("web", None)]),
        (["web=a.jsonl"], [("web", None)]),
        # As many as experts: in order.
        (["a.jsonl", "b.jsonl", "c.jsonl"], [("de", 0), ("fr", 1), ("law", 2)]),
        # One of all languages.
        (["a.jsonl"], [("", None)]),
        # A folder is called by its name, an equals sign may be in one.
        (["sub/de"], [("de", 0)]),
        (["x=1/fr.jsonl"], [("fr", 1)]),
    ],
)
def test_whose_text_a_file_is(tmp_path, monkeypatch, files, expected):
    monkeypatch.chdir(tmp_path)
    for name in ("law", "de", "news", "fr", "a", "b", "c", "sub/de/x", "x=1/fr"):
        write(tmp_path / f"{name}.jsonl", rows("de"))
    sources = report_sources(files, NAMES)
    assert [(source.name, source.expert) for source in sources] == expected


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["a.jsonl", "b.jsonl"], "2 files for 3 experts, and none is called like one"),
        (["a.jsonl", "b.jsonl"], "--data de=a.jsonl"),
        (["de.jsonl", "de=a.jsonl"], "2 files for the domain de"),
        (["web=a.jsonl", "web=b.jsonl"], "2 files for the domain web"),
        (["de="], "no file after the name"),
    ],
)
def test_a_file_of_no_domain_is_refused(files, message):
    with pytest.raises(InputError) as raised:
        report_sources(files, NAMES)
    assert message in f"{raised.value} {raised.value.hint}"


def test_one_file_has_a_domain_per_language_and_the_expert_that_alone_learned_it(tmp_path):
    file = write(tmp_path / "all.jsonl", [*rows("de"), *rows("fr", 2), *rows("en"), *rows("sw")])
    ledger = Ledger()
    domains, texts = read_report_texts(report_sources([file], NAMES), RECORDS, num_texts=9, seed=0,
                                       ledger=ledger)  # fmt: skip
    assert {domain.name: domain.expert for domain in domains} == {
        "de": 0, "en": None, "fr": 1, "sw": None
    }  # fmt: skip
    assert (ledger.total(SEVERAL_EXPERTS), ledger.total(NO_EXPERT)) == (3, 3)
    assert {(row.domain, row.language) for row in texts} == {
        (t, t) for t in ("de", "en", "fr", "sw")
    }
    assert [domain.languages for domain in domains] == [("de",), ("en",), ("fr",), ("sw",)]


def test_texts_are_drawn_by_content_a_domain_and_language(tmp_path):
    many = [{"text": f"Text {i} in {tag}.", "language": tag} for tag in ("de", "ar")
            for i in range(30)]  # fmt: skip
    first = write(tmp_path / "1/de.jsonl", [*many, *many[:5]])
    other = write(tmp_path / "2/de.jsonl", many[::-1])
    drawn = []
    for file in (first, other):
        domains, texts = read_report_texts(report_sources([file], NAMES), RECORDS, num_texts=7,
                                           seed=3, ledger=Ledger())  # fmt: skip
        assert [row.language for row in texts] == ["ar"] * 7 + ["de"] * 7
        drawn.append({(row.language, row.text) for row in texts})
        assert len({(row.language, row.item) for row in texts}) == 14
    assert drawn[0] == drawn[1]
    assert (domains[0].num_texts, domains[0].num_documents) == (14, 60)
    _, texts = read_report_texts(report_sources([first], NAMES), RECORDS, num_texts=7, seed=4,
                                 ledger=Ledger())  # fmt: skip
    assert {(row.language, row.text) for row in texts} != drawn[0]


def test_translations_are_one_cluster_and_equal_ids_are_told_apart(tmp_path):
    data = [
        {"text": "Eins.", "language": "de", "id": "1", "parallel": "p"},
        {"text": "Zwei.", "language": "de", "id": "1"},
        {"text": "Un.", "language": "fr", "id": "2", "parallel": "p"},
    ]
    file = tmp_path / "de.parquet"
    pl.DataFrame(data, infer_schema_length=None).write_parquet(file)
    _, texts = read_report_texts(report_sources([str(file)], NAMES), RECORDS, num_texts=9, seed=0,
                                 ledger=Ledger())  # fmt: skip
    assert [row.item.partition("#")[2] for row in texts] == ["1", "1 (2)", "2"]
    assert sorted(row.cluster for row in texts)[-2:] == ["p", "p"]


def test_text_without_a_language_and_plain_text_come_in(tmp_path):
    (tmp_path / "law.txt").write_text("Kurz.", encoding="utf-8")
    (tmp_path / "empty.txt").write_text(" \n", encoding="utf-8")
    sources = report_sources([str(tmp_path / "law.txt")], NAMES)
    domains, texts = read_report_texts(sources, RECORDS, num_texts=9, seed=0, ledger=Ledger())
    assert (domains[0].expert, domains[0].languages, texts[0].language) == (2, (), "und")
    domains, _ = read_report_texts(sources, RECORDS, num_texts=9, seed=0, ledger=Ledger(),
                                   default_language="de")  # fmt: skip
    assert domains[0].languages == ("de",)
    with pytest.raises(InputError, match="a domain without text"):
        read_report_texts(report_sources([f"law={tmp_path / 'empty.txt'}"], NAMES), RECORDS,
                          num_texts=9, seed=0, ledger=Ledger())  # fmt: skip
