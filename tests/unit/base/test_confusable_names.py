"""Names that look alike, wherever a command keeps them apart: each is said."""

import json
import unicodedata

import numpy as np
import pytest

from polylect.base import InputError, Ledger, canonical_tag, count_look_alikes, look_alikes
from polylect.checkpoints import Checkpoint, ShardWriter, TensorSpec
from polylect.cli import main
from polylect.judging import GradeConfig, JudgeConfig, select_answers, select_pairs
from polylect.merging import MergeConfig, plan_merge
from polylect.rows import Generated, Judgment, ScoreTable, Verdict, write_rows

PAIRS = [
    ("model", "Model", "case"),
    ("model", "model ", "spaces"),
    ("model x", "model\u00a0x", "spaces"),
    ("model", "mo\u200bdel", "characters that do not show"),
    ("model", "\ufeffmodel", "characters that do not show"),
    ("caf\u00e9", unicodedata.normalize("NFD", "caf\u00e9"), "spelling in Unicode"),
    ("model-2", "model-\uff12", "spelling in Unicode"),
]


@pytest.mark.parametrize(("name", "other", "kind"), PAIRS)
def test_what_they_differ_in_is_named(name, other, kind):
    ((group, kinds),) = look_alikes([name, other, "else"])
    assert set(group) == {name, other}
    assert kind in kinds
    ledger = Ledger()
    count_look_alikes(ledger, "models", [name, other])
    count_look_alikes(ledger, "models", [name, other, "else"])  # once
    (line,) = ledger.summary()
    assert line.startswith("1 look alike, kept apart: models '")
    first, second = line.split("models ")[1].split(" (other")[0].split(", ")
    assert first != second  # also for who cannot see the difference


def test_names_that_only_resemble_each_other_are_none():
    assert look_alikes(["gpt-4", "gpt_4", "gpt-4o", "gpt4", "gpt-40", "", "x"]) == []


def test_tags_are_canonical_in_every_row():
    assert [canonical_tag(tag) for tag in ("DE", " de", "deu", "pt-br", "zh", "code")] == [
        "de", "de", "de", "pt-BR", "zh", "code",
    ]  # fmt: skip
    row = Judgment(
        id="1", language="EN ", model_a="a", model_b="b", verdict=Verdict.A, judge="j",
        swapped=False,
    )  # fmt: skip
    assert row.language == "en"
    with pytest.raises(
        InputError,
        match=r"unknown language 'de\\u200b': no tag, and no name of one — did you mean de\?",
    ):
        canonical_tag("de\u200b")


# -- in the commands -------------------------------------------------------------------------------


def votes(path, models, **columns):
    rows = [
        {"model_a": a, "model_b": b, "verdict": v, **{k: f[n] for k, f in columns.items()}}
        for n, v in enumerate(("A", "B"))
        for a in models
        for b in models
        if a != b
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


MODELS = ["gpt", "GPT", "llama"]
SAID = "look alike, kept apart: models 'GPT', 'gpt' (other case)"


@pytest.mark.parametrize("extra", [[], ["--by", "language"], ["--cluster", "voter"]])
def test_rank_says_it(tmp_path, extra, capsys):
    file = votes(tmp_path / "v.jsonl", MODELS, language=["de", "DE"], voter=["x", "y"])
    assert main(["rank", file, "--out", str(tmp_path / "board"), *extra]) == 0
    printed = capsys.readouterr().out
    assert printed.count(SAID) == 1
    if "--by" in extra:
        assert "values of 'language'" not in printed  # spellings of a tag are one


def test_voters_that_look_alike_are_said_as_far_as_a_line_goes(tmp_path, capsys):
    pairs = [f"{name}{i}" for i in range(12) for name in ("ann", "Ann")]
    file = votes(tmp_path / "v.jsonl", ["gpt", "llama"] * 6, voter=["Zoé", "Zoe\u0301"])
    assert main(["rank", file, "--cluster", "voter", "--out", str(tmp_path / "b")]) == 0
    said = "look alike, kept apart: values of 'voter' 'Zoe\\u0301', 'Zo\\xe9' (other spelling"
    assert said in capsys.readouterr().out
    ledger = Ledger()
    count_look_alikes(ledger, "voters", pairs)
    assert ledger.total() == 9
    assert "look alike, kept apart: 4 more groups of voters" in ledger.by_event()


def test_many_plain_names_are_folded_as_all_others():
    names = ["a b", "ab", "A\tB", "a\u00a0b", "ab\u200b", "b"]
    assert look_alikes(names) == [
        (tuple(sorted(names[:-1])), ("spaces", "characters that do not show", "case"))
    ]


@pytest.mark.parametrize("kind", ["judgments", "grades"])
def test_agreement_and_winrate_say_it_of_judges(tmp_path, capsys, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    rows = [
        {"id": str(i), "language": "en", "judge": judge}
        | ({"model": "a", "score": float(i % 3)} if kind == "grades" else
           {"model_a": "a", "model_b": "b", "verdict": "AB"[i % 2], "swapped": swapped})
        for i in range(6) for judge in ("Ann", "ann ", "Bo") for swapped in (True, False)
        if kind == "judgments" or swapped
    ]  # fmt: skip
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["agreement", str(file)]) == 0
    said = "look alike, kept apart: judges 'Ann', 'ann ' (other spaces, case)"
    assert said in capsys.readouterr().out
    if kind == "judgments":
        assert main(["winrate", str(file)]) == 0
        assert said in capsys.readouterr().out


def test_audit_says_it_of_votes_boards_and_registry(tmp_path, capsys):
    file = votes(tmp_path / "v.jsonl", MODELS, language=["de", "de"])
    registry = tmp_path / "r.jsonl"
    rows = [{"model": "llama ", "provider": "Meta", "license": "MIT"},
            {"model": "gpt", "provider": "meta", "license": "MIT"}]  # fmt: skip
    registry.write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ["audit", file, "--registry", str(registry), "--out", str(tmp_path / "a")]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert printed.count(SAID) == 1
    assert "models 'llama', 'llama ' (other spaces)" in printed
    assert "providers 'Meta', 'meta' (other case)" in printed


def test_compare_says_it_of_both_sides_together(tmp_path, capsys):
    rows = [
        {"checkpoint": "base", "task": "t@1", "language": "de", "group": group, "cluster": f"c{n}",
         "item": f"{n}", "metric": "acc", "value": float(n % 2), "weight": 1.0}
        for n, group in enumerate(["North", "South"] * 10)
    ]  # fmt: skip
    ScoreTable.from_rows(rows).write(tmp_path / "a.parquet")
    for row in rows:
        group = row["group"].lower() + "\u200b" if row["group"] == "North" else "South"
        row |= {"checkpoint": "Base", "group": group}
    ScoreTable.from_rows(rows).write(tmp_path / "b.parquet")
    command = ["compare", str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "look alike, kept apart: models 'Base', 'base' (other case)" in printed
    assert (
        "values of 'group' 'North', 'north\\u200b' (other characters that do not show, case)"
        in (printed)
    )


def test_tables_that_share_no_item_for_a_look_alike_say_so(tmp_path, capsys):
    row = {"checkpoint": "a", "language": "de", "item": "1", "metric": "acc", "value": 1.0}
    for name, task in (("a", "Belebele@1"), ("b", "belebele@1")):
        table = ScoreTable.from_rows([row | {"task": "t@1", "item": task}])
        table.write(tmp_path / f"{name}.parquet")
    command = ["compare", str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")]
    assert main([*command, "--out", str(tmp_path / "out")]) == 2
    assert "write alike what looks alike: values of 'item' 'Belebele@1', 'belebele@1'" in (
        capsys.readouterr().err
    )


def test_winrate_of_arena_hards_files_says_it(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [
        {"uid": f"{n}", "model": model, "baseline": "base",
         "games": [{"score": "A>B"}, {"score": "B>A"}]}
        for model in ("gpt", "gpt ") for n in range(3)
    ]  # fmt: skip
    (tmp_path / "j.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["winrate", str(tmp_path / "j.jsonl")]) == 0
    assert "models 'gpt', 'gpt ' (other spaces)" in capsys.readouterr().out


def test_judge_and_grade_say_it(tmp_path):
    for folder, name in (("a", "Base"), ("b", "base")):
        (tmp_path / folder).mkdir()
        answer = Generated(id="1", language="de", model=name, answer="x", sample=0, prompt="p")
        write_rows(tmp_path / folder / "answers.parquet", Generated, [answer])
    sides = [tmp_path / folder for folder in "ab"]
    said = ["look alike, kept apart: models 'Base', 'base' (other case)"]
    ledger = Ledger()
    judge = JudgeConfig(preset="aya@2", judges=("j",))
    select_pairs(judge, *sides, ledger)
    assert list(ledger.by_event()) == said
    ledger = Ledger()
    grade = GradeConfig(rubric="quality@2", judges=("j",), models=("Base", "base"))
    select_answers(grade, sides, ledger)
    assert list(ledger.by_event()) == said


def test_merge_says_it_of_labels(tmp_path):
    models = {}
    for label in ("Final", "final"):
        folder = tmp_path / label
        folder.mkdir()
        (folder / "config.json").write_text('{"model_type": "tiny"}')
        writer = ShardWriter(folder, [TensorSpec("w", "F32", (1,))])
        writer.write("w", 0, np.zeros(4, np.uint8))
        writer.finish()
        models[label] = Checkpoint.open(folder)
    ledger = plan_merge(MergeConfig(), models).ledger
    assert list(ledger.by_event()) == [
        "look alike, kept apart: models 'Final', 'final' (other case)"
    ]
