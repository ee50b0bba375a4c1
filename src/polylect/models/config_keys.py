"""Keys of config.json that decide what function the weights compute, and keys that do not."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from polylect.base import InputError, Ledger
from polylect.models.config_defaults import with_defaults
from polylect.models.joining import MERGING, Joining

_HINT = "equal weights compute another function with it: {} models whose config.json agrees"
_DESCRIPTIVE = {
    "_name_or_path", "transformers_version", "dtype", "torch_dtype", "_commit_hash",
}  # fmt: skip
"""They do not describe the model, or the tensors do it better."""

# What training, generation and bookkeeping read, and no forward pass in evaluation mode does.
_HARMLESS = re.compile(
    r".*dropout.*|.*_?pdrop|.*layerdrop|drop_path_rate|initializer_(?:range|factor)|init_std"
    r"|router_(?:aux_loss_coef|z_loss_coef|jitter_noise)|aux_loss_alpha|output_router_logits"
    r"|gradient_checkpointing|use_cache|return_dict|return_dict_in_generate|output_attentions"
    r"|output_hidden_states|output_scores|torchscript|pretraining_tp|chunk_size_feed_forward"
    r"|_?attn_implementation\w*|(?:bos|eos|pad|sep|cls|unk|mask|decoder_start)_token_id"
    r"|forced_\w+_token_id|suppress_tokens|begin_suppress_tokens|bad_words_ids"
    r"|id2label|label2id|_num_labels|num_labels|problem_type|finetuning_task|task_specific_params"
    r"|auto_map|license|unsloth_\w+|model_max_length|tokenizer_class|transformers_weights"
    r"|max_length|min_length|max_new_tokens|do_sample|early_stopping|num_beams|num_beam_groups"
    r"|diversity_penalty|temperature|top_k|top_p|typical_p|repetition_penalty|length_penalty"
    r"|no_repeat_ngram_size|encoder_no_repeat_ngram_size|num_return_sequences"
    r"|exponential_decay_length_penalty|remove_invalid_values|prefix"
)


def check_configs(
    first: str,
    config: Mapping[str, Any],
    label: str,
    other: Mapping[str, Any],
    ledger: Ledger,
    joining: Joining = MERGING,
) -> None:
    """Refuse another model's config that computes another function; count harmless differences.

    A key that is missing equals its default. Every key decides but those known not to; so does the
    maximum of positions where the rotary embedding is scaled by it.

    Args:
        first: label of the model whose config the result gets.
        config: its config.json.
        label: label of the other model.
        other: its config.json.
        ledger: counts the harmless differences.
        joining: what is done with them, for hints.

    Raises:
        InputError: names the first key by name, with both values.
    """
    differing = [key for key, _, _ in _differences(config, other)]
    harmless = [key for key in differing if _is_harmless(key, config, other)]
    if len(harmless) < len(differing):
        # Transformers writes the same model in several ways: what it reads is compared, if it can.
        read = [with_defaults(config), with_defaults(other)]
        config, other = (part or {} for part in read) if all(read) else (config, other)
        deciding = {
            key: (expected, actual)
            for key, expected, actual in _differences(config, other)
            if not _is_harmless(key, config, other)
        }
        # Of several, a key that is written in a file: others may be derived from it.
        for key in [*filter(deciding.__contains__, differing), *deciding]:
            expected, actual = map(_short, deciding[key])
            raise InputError(
                f"{label}: {key} in config.json is {actual}, in {first} {expected}",
                _HINT.format(joining.verb),
            )
    for key in harmless:
        ledger.count(f"differs: {key} in config.json, taken from {first}", where=label)


def _differences(
    config: Mapping[str, Any], other: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Dotted keys whose values differ, with both values, in order."""
    for key in sorted({*config, *other} - _DESCRIPTIVE):
        value, its_value = config.get(key), other.get(key)
        if isinstance(value, dict) and isinstance(its_value, dict):
            yield from _differences(value, its_value, f"{prefix}{key}.")
        elif not _same(value, its_value):
            yield f"{prefix}{key}", value, its_value


def _is_harmless(key: str, config: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    parts = key.split(".")
    if parts[-1] == "max_position_embeddings":
        return not (_is_scaled(config) or _is_scaled(other))
    return any(_HARMLESS.fullmatch(part) for part in parts)


def _is_scaled(settings: Mapping[str, Any], *, within_rope: bool = False) -> bool:
    """Whether a rotary embedding, of the model or of a part of it, is of a kind with a scale."""
    kind = settings.get("rope_type", settings.get("type")) if within_rope else None
    return kind not in {None, "default"} or any(
        _is_scaled(value, within_rope=within_rope or key.startswith("rope"))
        for key, value in settings.items()
        if isinstance(value, dict)
    )


def _same(value: object, other: object) -> bool:
    """Equality under which NaN equals itself, and 1 does not equal true."""
    return _text(value) == _text(other)


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _short(value: object) -> str:
    text = _text(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
