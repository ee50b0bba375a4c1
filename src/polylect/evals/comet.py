"""COMET (Rei et al. 2022) by its own program in its own environment, where weights are at hand.

unbabel-comet wants other versions than ours and weights that somebody has to fetch, so that it is
run and never imported: ``POLYLECT_COMET`` names its program ``comet-score``, and
``POLYLECT_COMET_MODEL`` the checkpoint. Without them there is a ledger entry that says which of the
two is missing.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from polylect.base import InputError, Ledger
from polylect.evals.items import Item
from polylect.evals.tasks.task import CorpusScore

PROGRAM, MODEL = "POLYLECT_COMET", "POLYLECT_COMET_MODEL"
MISSING = "missing: COMET (not set: {0})"


def comet_scores(
    items: Sequence[Item], answers: Sequence[str], ledger: Ledger
) -> list[CorpusScore]:
    """The system score of COMET; empty, and counted, where program or weights are not named.

    Raises:
        InputError: they are named and not there, or the program fails.
    """
    named = {name: os.environ.get(name, "") for name in (PROGRAM, MODEL)}
    absent = [name for name, value in named.items() if not value]
    if absent:
        ledger.count(MISSING.format(", ".join(absent)), 1, items[0].language)
        return []
    program, model = shutil.which(named[PROGRAM]), Path(named[MODEL])
    if program is None:
        raise InputError(f"{PROGRAM}: no program {named[PROGRAM]!r}", "pip install unbabel-comet")
    if not model.is_file():
        raise InputError(f"{MODEL}: {model} is not a file", "name the .ckpt of a COMET model")
    value = _score(program, model, items, answers)
    return [
        CorpusScore("comet", value, f"comet-score|model:{model.parent.parent.name or model.stem}")
    ]


def _score(program: str, model: Path, items: Sequence[Item], answers: Sequence[str]) -> float:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        texts = {
            "src": [item.source for item in items],
            "mt": list(answers),
            "ref": [item.choices[0] for item in items],
        }
        for part, lines in texts.items():
            # A line is a sentence there.
            text = "".join(f"{' '.join(line.split())}\n" for line in lines)
            (place / part).write_text(text, "utf-8")
        call = [program, "-s", "src", "-t", "mt", "-r", "ref", "--model", str(model.resolve()),
                "--gpus", "0", "--quiet", "--to_json", "out.json"]  # fmt: skip
        done = subprocess.run(call, cwd=place, capture_output=True, text=True, check=False)
        try:
            rows = json.loads((place / "out.json").read_text("utf-8"))["mt"]
            values = [float(row["COMET"]) for row in rows]
            assert len(values) == len(items)
        except (OSError, ValueError, KeyError, TypeError, AssertionError):
            said = (done.stderr.strip() or "no score").splitlines()[-1][:160]
            raise InputError(f"{program}: COMET failed ({said})", "try it by hand") from None
    return sum(values) / len(values)
