"""Training and evaluation mode: where dropout acts, and where it may not.

Fine-tuning and pretraining have the dropout of the model's config, as in transformers. What is
measured (reference log-probabilities, held-out metrics, rewards, probes, samples) is in evaluation
mode, and so is what preferences, rewards and own answers are learned from: two passes over one
sequence must give one log-probability, or its log-ratio is noise (TRL's ``disable_dropout``).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from polylect.base import Ledger

if TYPE_CHECKING:
    from transformers import PreTrainedModel


DROPOUT_OFF = "turned off: dropout of the model's config"
_NOISE = ("drop", "jitter")
_OTHER_HEADS = ("summary", "classifier", "seq_classif", "qa_")


@contextmanager
def evaluating(model: "PreTrainedModel") -> Iterator[None]:
    """A context in which a model is in evaluation mode; afterwards every module is as before."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, is_training in modes:
            module.training = is_training


def turn_off_dropout(model: "PreTrainedModel", *, recompute: bool) -> None:
    """Put a model that is to be trained into evaluation mode.

    Args:
        model: what is trained.
        recompute: keep the layers that compute their activations again in training mode, without
            which they do not; their own probabilities become 0, those below them are off anyway.
    """
    from transformers.modeling_layers import GradientCheckpointingLayer

    model.eval()
    layers = [m for m in model.modules() if isinstance(m, GradientCheckpointingLayer)]
    for layer in layers if recompute else ():
        layer.training = True
        for name, value in vars(layer).items():
            if isinstance(value, float) and any(word in name for word in _NOISE):
                setattr(layer, name, 0.0)


def dropout_of(config: Any) -> dict[str, float]:
    """The probabilities of dropout in a model's config that are above 0, by name."""
    return {
        name: value
        for name, value in sorted(config.get_text_config().to_dict().items())
        if any(word in name for word in _NOISE)
        and not name.startswith(_OTHER_HEADS)
        and isinstance(value, int | float)
        and value > 0
    }


def count_dropout(model: "PreTrainedModel", ledger: Ledger) -> None:
    """Say in the ledger which dropout of the model's config the training does without."""
    settings = dropout_of(model.config)
    names = ", ".join(f"{name} {value:g}" for name, value in settings.items())
    ledger.count(DROPOUT_OFF, int(bool(settings)), names)
