"""benchmarks/same_figures.py sees every figure that changes, and knows what is only renamed."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import save_file

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
STEP = "made/job/steps/quantise-low-0123456789ab"
PAGE = """<html><style>b {{ width: 12px }}</style><h1>w4 after round-1</h1>
<table><td>gain</td>
<td>12</td></table><p>From −{:.1f} to 1,024</p>
<svg><polyline points="1,2 3,{}"/><text>7.5 %</text></svg></html>"""


@pytest.fixture
def compare(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from same_figures_compare import compare
    from same_figures_names import Names

    def run(before, after, **names):
        code = compare(before, after, Names(**names))
        return code, capsys.readouterr().out

    return run


def write(root, step=STEP, gain="gain", event="cut: short", bias=1.0, value=0.5, shown=3.5, y=4):
    """A make in small: a tensor, a table, JSON, JSON lines, a page, what was said."""
    folder = root / step
    folder.mkdir(parents=True)
    tensors = {"a": np.arange(4, dtype=np.float32), "b": np.array([bias], np.float32)}
    save_file(tensors, folder / "model.safetensors", metadata={"made": str(root)})
    rows = [{"language": "de", gain: 0.25, "settings": "s"}, {"language": "el", gain: value}]
    pl.DataFrame(rows).with_columns(settings=pl.lit(str(root))).write_parquet(
        folder / "scores.parquet"
    )
    report = {"key": str(root), "config": {"out": f"{root.resolve()}/made", gain: [1, {"x": 2}]}}
    report["ledger"] = [{"event": name, "count": 2} for name in sorted([event, "kept: long"])]
    (folder / "step.json").write_text(json.dumps(report))
    (folder / "metrics.jsonl").write_text(json.dumps({gain: float("nan")}) + "\n")
    (folder / "volatile.json").write_text(json.dumps({"seconds": str(root)}))
    (root / "made" / "job" / "index.html").write_text(PAGE.format(shown, y), "utf-8")
    (root / "said").mkdir()
    (root / "said" / "job.out").write_text(f"done in 3 s\n{root.resolve()}/x 1,5e-3 5\n")
    return root


def test_equal_makes_are_equal_whatever_their_keys_and_folders(tmp_path, compare):
    before = write(tmp_path / "one1")
    other = write(tmp_path / "other22", step=STEP.replace("0123456789ab", "ba9876543210"))
    code, report = compare(before, other)
    assert code == 0, report
    assert "tensors             1       1          0          2" in report
    assert "pages               1       1          0          4" in report


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bias": 2.0}, "tensors: made/job/steps/quantise-low/model.safetensors: tensor 2 b: F32"),
        ({"value": 0.75}, "scores.parquet: row 2 gain: 0.5 › 0.75"),
        ({"shown": 3.6}, 'made/job/index.html: number 2: -3.5 › -3.6  (after "w4 after round-1'),
        ({"y": 5}, "drawings: made/job/index.html: number 4: 4 › 5"),
        ({"event": "cut: long"}, "step.json: ledger[0].event: cut: short › cut: long"),
        ({"gain": "change"}, "row 1 gain: 0.25 › nothing"),
    ],
)
def test_a_figure_that_changes_is_named(tmp_path, compare, change, words):
    code, report = compare(write(tmp_path / "one"), write(tmp_path / "other", **change))
    assert code == 1
    assert words in report


def test_new_names_are_no_change_and_a_changed_figure_under_them_is(tmp_path, compare):
    step = STEP.replace("quantise-low", "quantize-few")
    fresh = {"step": step, "gain": "change", "event": "zapped: short"}
    names = {"keys": {"gain": "change"}, "labels": {"quantise-low": "quantize-few"},
             "values": {"event=cut: short": "zapped: short"}}  # fmt: skip
    before = write(tmp_path / "one")
    code, report = compare(before, write(tmp_path / "other", **fresh), **names)
    assert code == 0, report
    code, report = compare(before, write(tmp_path / "third", **fresh, value=0.75), **names)
    assert code == 1
    assert "quantize-few/scores.parquet: row 2 change: 0.5 › 0.75" in report
    assert "tables              1       0          1" in report


def test_files_on_one_side_and_empty_makes_are_differences(tmp_path, compare):
    before, other = write(tmp_path / "one"), write(tmp_path / "other")
    (other / STEP / "scores.parquet").unlink()
    code, report = compare(before, other)
    assert code == 1
    assert "scores.parquet: only before" in report
    shutil.rmtree(other)
    other.mkdir()
    assert compare(other, other)[0] == 1


def test_moved_removed_and_added_keys(tmp_path, compare):
    page = "steps/low-0123456789ab/old.html"
    before = {"a": {"b": 1, "c": 2}, "page": page}
    after = {"b": 1, "new": 3, "page": page.replace("old", "new").replace("low-0", "few-1")}
    for name, data in (("one", before), ("other", after)):
        (tmp_path / name / "made" / "job").mkdir(parents=True)
        (tmp_path / name / "made" / "job" / "x.json").write_text(json.dumps(data))
    names = {"moved": {"a": ""}, "removed": {"c": "gone"}, "added": {"x.json:new": "new"},
             "files": {"old.html": "new.html"}, "labels": {"low": "few"}}  # fmt: skip
    assert compare(tmp_path / "one", tmp_path / "other", **names)[0] == 0
    assert compare(tmp_path / "one", tmp_path / "other")[0] == 1


def test_what_is_ignored_is_ignored_under_its_new_name_too(tmp_path, compare):
    for name, file, key in (("one", "step.json", "inputs"), ("other", "stage.json", "read")):
        (tmp_path / name / "made").mkdir(parents=True)
        data = {key: {"data": name}, "ledger": [1, 2] if name == "one" else [2, 1]}
        (tmp_path / name / "made" / file).write_text(json.dumps(data))
    sides = tmp_path / "one", tmp_path / "other"
    names = {"files": {"step.json": "stage.json"}, "keys": {"step.json:inputs": "read"}}
    assert compare(*sides, **names)[0] == 0
    assert "inputs.data: one › nothing" not in compare(*sides, files=names["files"])[1]
    assert "read.data: nothing › other" in compare(*sides, files=names["files"])[1]


def test_words_of_a_command_line_are_renamed_where_they_are_meant(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from same_figures_jobs import JOBS
    from same_figures_names import MAP, Names

    recipes = {"quantize study": {"study": "damage study"}, "train": {"prefer": "preference"}}
    names = Names(words={"--updates": "--steps", "density=": "keep=", **recipes})
    for old, new in (
        ("train prefer --updates 3", "train preference --steps 3"),
        ("merge prefer density=1", "merge prefer keep=1"),
        ("quantize study study", "quantize damage study damage study"),
    ):
        assert names.command(old.split()) == new.split()
    assert len({job.name for job in JOBS}) == len(JOBS)
    Names.read(MAP)
