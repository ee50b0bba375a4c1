"""Every command of the guide to experts, in its order, on a small model."""

import re
import shlex
import shutil
from pathlib import Path

from command_line import polylect_in_process
from expert_models import TEXTS, write_data, write_model

import polylect as pl

GUIDE = Path(__file__).parents[3] / "docs/guides/experts.md"


def commands():
    blocks = re.findall(r"^```\n(.*?)^```", GUIDE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines() if line.startswith("polylect")]


def test_the_guide_runs_from_top_to_bottom(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "base", "llama")
    for folder, names in {"text": ("de", "fr", "code"), "new": ("ja",), "all": tuple(TEXTS),
                          "test": tuple(TEXTS)}.items():  # fmt: skip
        (tmp_path / folder).mkdir()
        write_data(tmp_path / folder, names, num=8)
    assert len(commands()) == 15
    for line in commands():
        done = polylect_in_process(*shlex.split(line)[1:])
        assert done.returncode == 0, f"{line}\n{done.stderr}"
    grown = pl.experts.report("grown-trained", data="test", against={"before": "moe-trained"},
                              out="report-grown")  # fmt: skip
    own = {row["name"]: row["expert"] for row in grown.content["domains"]}
    assert own == {name: name for name in TEXTS}
    training = grown.content["training"]
    assert training["grown-trained"]["method"] == "pretrain"
    assert training["grown-trained"]["tokens"] > 0
    shutil.rmtree(tmp_path)
