"""Models: build, load and save through transformers; packed attention; the chunked head.

Importing this package imports no torch: what needs it is loaded when first named.
"""

from typing import TYPE_CHECKING, Any

from polylect.base import import_heavy
from polylect.models.config import BuildConfig, Shape, shape_for
from polylect.models.verbs import build

if TYPE_CHECKING:
    from polylect.models._writes import writing
    from polylect.models.attention import (
        PACKED,
        Prefix,
        forward_hidden,
        is_packed,
        keep_prefix,
        packed_attention,
        plain_hidden,
        step_hidden,
    )
    from polylect.models.cohere2 import build_model
    from polylect.models.head import (
        Head,
        answer_log_probabilities,
        head_of,
        held_logits,
        scored_positions,
        token_log_probabilities,
        weighted_nll,
    )
    from polylect.models.lanes import Lanes
    from polylect.models.placing import place_weights
    from polylect.models.quantised import is_quantised, load_quantised
    from polylect.models.reward import load_reward_model, reward_model
    from polylect.models.store import check_tokenizer, load_model, probe, save_model

_HEAVY = {
    "PACKED": "attention",
    "Prefix": "attention",
    "forward_hidden": "attention",
    "is_packed": "attention",
    "keep_prefix": "attention",
    "packed_attention": "attention",
    "plain_hidden": "attention",
    "step_hidden": "attention",
    "build_model": "cohere2",
    "Head": "head",
    "answer_log_probabilities": "head",
    "head_of": "head",
    "held_logits": "head",
    "scored_positions": "head",
    "token_log_probabilities": "head",
    "weighted_nll": "head",
    "Lanes": "lanes",
    "load_reward_model": "reward",
    "reward_model": "reward",
    "place_weights": "placing",
    "is_quantised": "quantised",
    "load_quantised": "quantised",
    "check_tokenizer": "store",
    "load_model": "store",
    "probe": "store",
    "save_model": "store",
    "writing": "_writes",
}

__all__ = [
    "PACKED",
    "BuildConfig",
    "Head",
    "Lanes",
    "Prefix",
    "Shape",
    "answer_log_probabilities",
    "build",
    "build_model",
    "check_tokenizer",
    "forward_hidden",
    "head_of",
    "held_logits",
    "is_packed",
    "is_quantised",
    "keep_prefix",
    "load_model",
    "load_quantised",
    "load_reward_model",
    "packed_attention",
    "place_weights",
    "plain_hidden",
    "probe",
    "reward_model",
    "save_model",
    "scored_positions",
    "shape_for",
    "step_hidden",
    "token_log_probabilities",
    "weighted_nll",
    "writing",
]


def __getattr__(name: str) -> Any:
    if name in _HEAVY:
        return getattr(import_heavy(f"{__name__}.{_HEAVY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
