"""What README.md and the notebook show runs as it stands, on what the main job made."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import polars as pl
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
BLOCKS = dict(
    re.findall(r"```(python|sh)\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S)
)


@pytest.fixture
def place(tiny: Path, tmp_path: Path) -> Path:
    """A folder as it is after the main job: a clone's documents, and ``runs/lifecycle``."""
    (tmp_path / "runs").mkdir()
    shutil.copytree(tiny, tmp_path / "runs" / "lifecycle")
    (tmp_path / "docs" / "start").mkdir(parents=True)
    shutil.copy(ROOT / "docs" / "start" / "capitals.jsonl", tmp_path / "docs" / "start")
    return tmp_path


def test_the_comparison_in_python_is_the_one_by_command(place: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BLOCKS["python"]],
        cwd=place, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "not separable" in done.stdout
    assert "worst-hurt first" in done.stdout
    script = BLOCKS["sh"].replace("polylect ", f"{sys.executable} -m polylect ")
    shown = subprocess.run(
        ["sh", "-ec", script], cwd=place, capture_output=True, text=True, check=True
    ).stdout
    assert "worst-hurt first" in shown
    # The command found the comparison that Python had made.
    (written,) = place.glob("runs/compare*/compare.parquet")
    assert pl.read_parquet(written)["language"].n_unique() == 6
    assert re.search(r"^runs/lifecycle +lifecycle +done", shown, re.MULTILINE)
    assert len(re.findall(r"^runs/\S+ +eval +done", shown, re.MULTILINE)) == 4


def test_the_notebook_runs(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    notebook = nbformat.read(ROOT / "docs" / "start" / "compare.ipynb", as_version=4)
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(place)}}
    )
    client.execute()
    outputs = [
        output.get("data", {}) | {"text": output.get("text", "")}
        for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs
    ]  # fmt: skip
    assert any("<table>" in output.get("text/html", "") for output in outputs)
    text = " ".join(output["text"] for output in outputs)
    assert "polylect compare" in text
    assert "at chance in both, which ranks nothing" in text
