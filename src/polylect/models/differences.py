"""What models that encode alike say otherwise beside their weights."""

import json
from collections.abc import Mapping
from typing import Any

from polylect.base import Ledger, read_json
from polylect.checkpoints import (
    CHAT_TEMPLATE,
    GENERATION_CONFIG,
    TOKENIZER,
    TOKENIZER_CONFIG,
    Checkpoint,
)
from polylect.models.same_encoding import differing_settings
from polylect.text import template_of

_IGNORED = {"_name_or_path", "transformers_version", "dtype", "torch_dtype"}


def count_differences(models: Mapping[str, Checkpoint], chosen: str, ledger: Ledger) -> None:
    """Name what other models say otherwise beside their weights, or have alone.

    Args:
        models: checkpoints by label, in order; they encode alike.
        chosen: label of the model whose files the result has.
        ledger: gets an entry for each difference and each file that is left.
    """
    model = models[chosen]
    model.beside.count_left(ledger, chosen)
    for label, other in models.items():
        if label == chosen:
            continue
        other.beside.count_left(ledger, label)
        for what in _differences(model, other):
            ledger.count(f"differs: {what}, taken from {chosen}", 1, label)
        for name in sorted({*other.beside.carried} - {*model.beside.carried}):
            if name not in {CHAT_TEMPLATE, TOKENIZER_CONFIG, GENERATION_CONFIG}:
                ledger.count(f"left: a file that {chosen} has not", 1, f"{label}: {name}")


def _differences(model: Checkpoint, other: Checkpoint) -> list[str]:
    """What two models say otherwise beside their weights, in words."""
    differences = list(differing_settings(model, other))
    if template_of(model.path) != template_of(other.path):
        differences.append("chat template")
    settings, its_settings = _generation_config(model), _generation_config(other)
    differences += [
        f"{key} in {GENERATION_CONFIG}"
        for key in sorted({*settings, *its_settings} - _IGNORED)
        if not _same(settings.get(key), its_settings.get(key))
    ]
    said = {TOKENIZER, TOKENIZER_CONFIG, GENERATION_CONFIG, CHAT_TEMPLATE}
    both = {*model.beside.carried} & {*other.beside.carried}
    return differences + [
        name
        for name in sorted(both - said)
        if (model.path / name).read_bytes() != (other.path / name).read_bytes()
    ]


def _generation_config(model: Checkpoint) -> dict[str, Any]:
    path = model.path / GENERATION_CONFIG
    settings = read_json(path) if path.is_file() else {}
    return settings if isinstance(settings, dict) else {"its content": settings}


def _same(value: object, other: object) -> bool:
    """Equality under which NaN equals itself, and 1 does not equal true."""
    return json.dumps(value, sort_keys=True) == json.dumps(other, sort_keys=True)
