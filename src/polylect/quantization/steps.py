"""Quantizing as a step of a run; torch is imported only when it works."""

import os
from pathlib import Path

from polylect.base import read_json
from polylect.quantization.config import RECORD, QuantizeConfig
from polylect.runs import StepContext, StepInputs, step


@step(version=3)
def quantize_checkpoint(config: QuantizeConfig, inputs: StepInputs, context: StepContext) -> None:
    """A quantized checkpoint; inputs ``model`` and, where there is text, ``text``, a file."""
    from polylect.checkpoints import Checkpoint
    from polylect.quantization.engine import quantize

    text: Path | None = inputs["text"].path if "text" in inputs else None
    # The step's own folder has the lock and the name; what resumes lies in its work folder.
    folder = context.work / "model"
    if not folder.is_dir():
        quantize(Checkpoint.open(inputs["model"].path), config, text, folder, context.report)
    for entry in read_json(folder / RECORD)["ledger"]:
        context.ledger.count(entry["event"], entry["count"], entry["where"])
    for path in sorted(folder.iterdir()):
        os.link(path, context.out / path.name)  # a kill between two of them loses nothing
