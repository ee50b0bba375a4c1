"""Published sets of prompts, on rows in their published forms and on the real files at hand."""

import os
import sys
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polylect.base import Ledger
from polylect.cli import main
from polylect.evals import PROMPT_SETS, Source, find_set, read_completions, read_set
from polylect.evals.prompt_sets import ABSENT, UNKNOWN
from polylect.rows import read_prompts

DATA = Path(os.environ.get("POLYLECT_DATA", Path(__file__).parents[4] / "shared" / "data"))


def write_table(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


@pytest.fixture
def data(tmp_path):
    suite = [
        {"id": i, "inputs": f"soru {i}" if name == "tur" else f"{name} {i}", "targets": "t",
         "language": name, "script": script}
        for i in range(2)
        for name, script in (("tur", "Latn"), ("zho", "Hans"), ("zho", "Hant"), ("x!", "Latn"))
    ]  # fmt: skip
    place = tmp_path / "data" / "aya_evaluation_suite"
    for config in ("dolly_human_edited", "dolly_machine_translated", "aya_human_annotated"):
        write_table(place / config / "test-00000-of-00001.parquet", suite)
    for code in ("en", "tr", "zh"):
        rows = [
            {"question_id": f"q{i}", "cluster": f"c{i % 2}", "category": "arena-hard-v0.1",
             "prompt": f"{code} {i}"}
            for i in range(5)
        ]  # fmt: skip
        write_table(tmp_path / "data/m-ArenaHard" / code / "test-00000-of-00001.parquet", rows)
    return tmp_path / "data"


def read(name, data, languages=(), limit=None):
    ledger = Ledger()
    return read_set(find_set(name), Source.at(data), languages, limit, ledger), ledger


def test_the_aya_suite_keeps_language_script_and_origin(data):
    found, ledger = read("dolly-human-edited", data)
    assert [(one.id, one.language, one.prompt) for one in found[:3]] == [
        ("0", "tr", "soru 0"), ("0", "zh-Hans", "zho 0"), ("0", "zh-Hant", "zho 0"),
    ]  # fmt: skip
    assert {one.origin for one in found} == {"edited"}
    assert list(ledger.rows()) == [(UNKNOWN, "x!", 2)]
    assert {one.origin for one in read("aya_human_annotated", data)[0]} == {"native"}
    (one,), ledger = read("dolly_machine_translated", data, ("tr", "de"), 1)
    assert (one.origin, one.language) == ("translated", "tr")
    assert ledger.total(ABSENT) == 1


def test_m_arena_hard_joins_its_languages_by_question(data):
    found, ledger = read("m_arena_hard", data)
    assert {one.language for one in found} == {"en", "tr", "zh-Hans"}
    assert {one.id for one in found if one.language == "tr"} == {f"q{i}" for i in range(5)}
    assert {(one.language, one.origin) for one in found} == {
        ("en", "native"), ("tr", "translated"), ("zh-Hans", "translated"),
    }  # fmt: skip
    assert not ledger
    found, _ = read("m_arena_hard", data, ("zh-Hans",), 2)
    assert [one.prompt for one in found] == ["zh 0", "zh 1"]


@pytest.mark.parametrize(
    ("name", "more", "said"),
    [
        ("marena_hard", (), "did you mean m_arena_hard"),
        ("m_arena_hard_v2", (), "--hub to download CohereLabs/m-ArenaHard-v2.0"),
        ("m_arena_hard", ("--languages", "de"), "no language of it is there"),
        ("dolly_human_edited", ("--languages", "de"), "no prompt in de"),
        ("m_arena_hard", ("--limit", "0"), "--limit is 0"),
        ("m_arena_hard", ("--out", "x.jsonl"), "--out x.jsonl: prompts are written into a folder"),
    ],
)
def test_what_cannot_be_read_is_one_line(data, tmp_path, capsys, name, more, said):
    out = () if "--out" in more else ("--out", str(tmp_path / "p"))
    assert main(["prompts", name, "--datasets", str(data), *out, *more]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert not (tmp_path / "p").exists()


def test_the_command_writes_what_generate_reads(data, tmp_path, capsys):
    out = tmp_path / "sub" / "p"
    call = [
        "prompts",
        "m-arena-hard",
        "--datasets",
        str(data),
        "--out",
        str(out),
        "--languages",
        "tr",
    ]
    assert main(call) == 0
    assert "5 prompts (tr 5)" in capsys.readouterr().out
    assert (
        read_prompts(out / "prompts.jsonl", require_ids=True, ledger=Ledger())
        == read("m_arena_hard", data, ("tr",))[0]
    )
    assert main(["prompts"]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in PROMPT_SETS)


def test_language_confusions_prompts_join_its_published_answers(tmp_path):
    folder = tmp_path / "language-confusion"
    folder.mkdir()
    with zipfile.ZipFile(folder / "test_sets.zip", "w") as archive:
        rows = 'prompt,source\n"Bir, iki",aya_people\nÜç,aya_people\n'
        archive.writestr("test_sets/monolingual/aya/tr.csv", rows)
        archive.writestr("test_sets/crosslingual/okapi/de.csv", "prompt\nReply in German.\n")
        archive.writestr("__MACOSX/test_sets/monolingual/aya/._tr.csv", b"\x00\xff")
    found, _ = read("language_confusion", tmp_path)
    assert [(one.id, one.language, one.prompt, one.category) for one in found] == [
        ("crosslingual-okapi-1", "de", "Reply in German.", "crosslingual/okapi"),
        ("monolingual-aya_people-1", "tr", "Bir, iki", "monolingual/aya_people"),
        ("monolingual-aya_people-2", "tr", "Üç", "monolingual/aya_people"),
    ]
    (folder / "test_sets.zip").write_bytes(b"PK")
    out = str(tmp_path / "p")
    assert main(["prompts", "language_confusion", "--datasets", str(tmp_path), "--out", out]) == 2


def test_the_real_prompts_and_answers_of_language_confusion():
    if not (DATA / "language-confusion").is_dir():
        if sys.stderr:
            sys.stderr.write("skipped: no data (language confusion)\n")
        pytest.skip("no data")
    found, ledger = read("language_confusion", DATA)
    assert len(found) == 6586
    assert len({one.language for one in found}) == 15
    assert not ledger
    keys = {(one.language, one.category, one.id) for one in found}
    answers = read_completions(DATA / "language-confusion" / "outputs" / "gpt-4-turbo.csv")
    assert len(answers) == 6586
    counts = {}
    for one in answers:
        key = (one.language, f"{one.task}/{one.source}")
        counts[key] = counts.get(key, 0) + 1
        assert (*key, f"{one.task}-{one.source}-{counts[key]}") in keys
