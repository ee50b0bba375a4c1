"""The code in the guides runs as it stands."""

import re
import subprocess
import sys
from pathlib import Path

from command_line import polylect

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
GUIDE = GUIDES / "recipes.md"
WORDS = {
    "en": "The mill stands beside the quiet river below the hill and the old road",
    "de": "Die Mühle steht neben dem stillen Fluss unter dem Hügel und der Straße",
}


def test_the_recipe_of_the_guide_runs_twice(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.S)
    (tmp_path / "mine.py").write_text(blocks[0], encoding="utf-8")
    for tag, words in WORDS.items():
        folder = tmp_path / "corpus" / tag
        folder.mkdir(parents=True)
        parts = [" ".join(words.split()[i % 9 :] + [str(i)] * 3) + "\n" + words for i in range(400)]
        (folder / "text.txt").write_text("\n\n".join(parts), encoding="utf-8")
    command = ["run", "mine.py:mine", "--text", "corpus", "--vocab-size", "400"]
    first = polylect(*command, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    tokenizers = list((tmp_path / "runs" / "mine" / "steps").glob("tokenizer-*/tokenizer.json"))
    assert len(tokenizers) == 1
    stamp = tokenizers[0].stat().st_mtime_ns
    assert polylect(*command, cwd=tmp_path).returncode == 0
    assert tokenizers[0].stat().st_mtime_ns == stamp


def test_the_step_of_the_guide_works(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.S)
    recipe = """
from dataclasses import dataclass
from pathlib import Path
from polylect.runs import Files, Run

@dataclass(frozen=True, kw_only=True)
class LoudConfig:
    text: Path = Path("in")

def loud(run: Run, config: LoudConfig) -> None:
    run.step(shout, "shout", LoudConfig(), {"text": Files(config.text)})
    run.finish()
"""
    (tmp_path / "loud.py").write_text(blocks[1] + recipe, encoding="utf-8")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "all.txt").write_text("straße", encoding="utf-8")
    done = polylect("run", "loud.py:loud", "--text", "in", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    files = list((tmp_path / "runs" / "loud" / "steps").glob("shout-*/all.txt"))
    assert [file.read_text(encoding="utf-8") for file in files] == ["STRASSE"]


def test_the_search_of_the_guide_finds_its_target(tmp_path: Path) -> None:
    (code,) = re.findall(
        r"```python\n(.*?)```", (GUIDES / "merge.md").read_text(encoding="utf-8"), re.S
    )
    for _ in range(2):  # the second time from the archive
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
        )
        weights = [float(number) for number in done.stdout.strip("()\n ").split(",")]
        assert max(abs(a - b) for a, b in zip(weights, (0.5, 0.3, 0.2), strict=True)) < 1e-3
