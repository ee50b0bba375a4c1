"""Opening what was quantized, and comparing its predictions with those that were measured."""

from collections.abc import Callable

import torch

from polylect.base import InputError
from polylect.checkpoints import Checkpoint
from polylect.models import Head, load_model
from polylect.quantization.calibration import Calibration
from polylect.quantization.stream import LayerStream

CHECKED = 64
"""Tokens of the row that is compared."""

_EXACT, _ROUNDED = 1e-2, 1e-1


def check_head(stream: LayerStream, head: Head, hidden: torch.Tensor) -> torch.Tensor:
    """Logits [1, tokens, vocabulary] of the last layer's outputs, by the model itself.

    Args:
        stream: after ``finish``.
        head: what the damage is measured with.
        hidden: [1, tokens, hidden].

    Raises:
        InputError: the head gives other logits than the model.
    """
    expected = stream.logits(hidden)
    if not _distance(head.logits(stream.after_layers(hidden)), expected) <= _EXACT:
        raise InputError(
            f"{stream.checkpoint.path}: the head of {type(stream.model).__name__} is not a plain"
            " linear layer",
            "polylect cannot measure its damage",
        )
    return expected


@torch.no_grad()
def check_artifact(
    artifact: Checkpoint,
    stream: LayerStream,
    calibration: Calibration | None,
    expected: torch.Tensor | None,
    refuse_read: Callable[[BaseException | None], None],
) -> None:
    """Open an artifact and score one row.

    Args:
        artifact: the sealed checkpoint.
        stream: of the checkpoint that was quantized.
        calibration: its first measured row is scored; without one, the ids from 0.
        expected: logits of that row as they were measured, [1, tokens, vocabulary]; None where
            nothing was measured: then predictions have to be finite.
        refuse_read: refuses a model that reads the weight of a linear layer.

    Raises:
        InputError: it cannot be opened, or predicts something else.
    """
    source = stream.checkpoint.path
    try:
        model = load_model(artifact)
    except InputError as error:
        refuse_read(error.__context__)
        raise
    vocab_size = model.config.get_text_config().vocab_size
    ids = torch.arange(CHECKED)[None] % vocab_size
    if expected is not None and calibration is not None:
        ids = torch.from_numpy(calibration.measured.ids[:1, : expected.shape[1]]).long()
    model.set_attn_implementation("eager")
    try:
        logits = model(input_ids=ids, use_cache=False).logits.float()
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        refuse_read(error)
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise InputError(
            f"{source}: quantized, the model does not run ({reason})",
            "polylect cannot quantize this architecture",
        ) from None
    exact = all(info.dtype not in ("F16", "BF16") for info in artifact.tensors.values())
    limit = _EXACT if exact else _ROUNDED
    if not bool(torch.isfinite(logits).all()):
        raise InputError(
            f"{source}: quantized, the model predicts what is not finite",
            "choose another scheme",
        )
    if expected is not None and not (distance := _distance(logits, expected)) <= limit:
        raise InputError(
            f"{source}: quantized and opened again, the model predicts otherwise than it was"
            f" measured (relative distance {distance:.3g})",
            "polylect cannot quantize this architecture layer by layer",
        )


def _distance(actual: torch.Tensor, expected: torch.Tensor) -> float:
    """Root of the mean squared difference, relative to the spread of what is expected."""
    return float((actual - expected).square().mean().sqrt() / expected.std().clamp(min=1e-9))
