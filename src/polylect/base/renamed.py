"""Names that settings and columns had before version 0.1, so that old files still open."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

FORMER_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "centring": "reward_centering",
        "examples_per_step": "batch_size",
        "licence": "license",
        "measured_rows": "eval_samples_per_language",
        "refine": "self_refine_prompt",
        "text_licences": "text_licenses",
        "tokens_per_pass": "micro_batch_tokens",
        "tokens_per_step": "batch_tokens",
    }
)
"""Former name of a setting, column or key, and what it is called now."""


def current_names(value: Any) -> Any:
    """Plain data with every former name among its keys replaced, at every depth.

    A former name beside its current one is left as it is.
    """
    if isinstance(value, Mapping):
        return {
            key if FORMER_NAMES.get(key, key) in value else FORMER_NAMES[key]: current_names(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [current_names(inner) for inner in value]
    return value
