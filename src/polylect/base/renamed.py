"""Former names of settings and columns, so that older files still open."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

FORMER_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "centring": "reward_centering",
        "examples_per_step": "batch_size",
        "licence": "license",
        "measured_rows": "eval_samples_per_language",
        "normalise": "normalize",
        "num_rows": "num_samples",
        "refine": "self_refine_prompt",
        "row_tokens": "sample_tokens",
        "strength": "smoothquant_alpha",
        "text_licences": "text_licenses",
        "tokens_per_pass": "micro_batch_tokens",
        "tokens_per_step": "batch_tokens",
    }
)
"""Current name of a setting, column or key by its former name."""


_FORMER_NAMES_UNDER: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {"optim": {"clip": "max_grad_norm", "floor": "min_lr_ratio"}}
)
"""The same for names that mean something else elsewhere, by the key of the enclosing dict."""


def current_names(value: Any, under: str = "") -> Any:
    """Plain data with every key that is a former name replaced, at every depth.

    A former name beside its current one stays as it is.

    >>> current_names({"examples_per_step": 8})
    {'batch_size': 8}

    Args:
        value: dicts, lists and scalars.
        under: the key under which the value stands.
    """
    if isinstance(value, Mapping):
        names = {**FORMER_NAMES, **_FORMER_NAMES_UNDER.get(under, {})}
        return {
            key if names.get(key, key) in value else names[key]: current_names(inner, key)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [current_names(inner, under) for inner in value]
    return value
