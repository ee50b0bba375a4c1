"""Files of a quantized checkpoint beside its tensors: config, tokenizer, record."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from polylect.base import Ledger, plain, write_text
from polylect.checkpoints import CONFIG, Checkpoint
from polylect.quantization.calibration import Calibration
from polylect.quantization.config import QuantizeConfig
from polylect.quantization.damage import Damage, to_json
from polylect.quantization.layer import Loss
from polylect.quantization.plan import Plan


def carry_files(
    checkpoint: Checkpoint, folder: Path, quantization: dict[str, Any], embeddings: str
) -> None:
    """Copy all that lies beside the weights, and write config.json with the quantization.

    Raises:
        OSError: a file cannot be read or written.
    """
    checkpoint.carry_beside(folder)
    config = {**checkpoint.config, "quantization_config": quantization}
    if embeddings != "keep":
        config["dtype"] = embeddings
    write_text(folder / CONFIG, json.dumps(config, indent=2) + "\n")


def record_of(
    plan: Plan,
    config: QuantizeConfig,
    calibration: Calibration | None,
    damage: Sequence[Damage],
    losses: Sequence[Loss],
    ledger: Ledger,
) -> dict[str, Any]:
    """Content of ``quantize.json``: settings, calibration text, damage by language."""
    schemes = {scheme.name: scheme for scheme, _ in plan.layers.values()}
    sizes = sorted({size for _, size in plan.layers.values() if size})
    return {
        "scheme": config.scheme,
        "definitions": {name: scheme.definition for name, scheme in sorted(schemes.items())},
        "read_by": sorted({scheme.layout for scheme in schemes.values()}),
        "group_sizes": sizes,
        "layers": {name: [scheme.name, size] for name, (scheme, size) in plan.layers.items()},
        "left_as_they_are": list(plan.alone),
        "embeddings": f"embeddings, head and norms are never quantized; type: {config.embeddings}",
        "settings": plain(config),
        "calibration": None
        if calibration is None
        else {
            "digest": calibration.digest,
            "seed": config.calibration.seed,
            "rows": dict(calibration.counts) if plan.calibrated else {},
            "sample_tokens": int(calibration.rows.ids.shape[1]),
            "eval_samples_per_language": len(calibration.measured.ids),
        },
        "source": {"name": plan.checkpoint.path.name, "digest": plan.checkpoint.digest},
        "bytes": plan.num_bytes,
        "damage": to_json(damage),
        "losses": [
            {"layer": loss.layer, "loss": loss.loss, "nearest": loss.nearest} for loss in losses
        ],
        "ledger": ledger.to_json(),
    }
