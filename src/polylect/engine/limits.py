"""How long an input may be: one rule for the engine and for the plan of what it will do."""

from collections.abc import Mapping
from typing import Any

from polylect.base import InputError
from polylect.engine.config import EngineConfig

_NAMES = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")

_LONGROPE = ("longrope", "su")


def stated_limit(config: Mapping[str, Any]) -> int | None:
    """The longest input that a checkpoint's config.json states, in tokens; None if it does not."""
    text = config.get("text_config", config)
    stated = next((text[name] for name in _NAMES if isinstance(text.get(name), int)), 0)
    return stated if stated > 0 else None


def stated_unscaled(config: Mapping[str, Any]) -> int | None:
    """``models.unscaled_tokens`` of a config.json, whose names have changed over time."""
    text = config.get("text_config", config)
    rope = text.get("rope_parameters") or text.get("rope_scaling") or {}
    if (
        not isinstance(rope, Mapping)
        or (rope.get("rope_type") or rope.get("type")) not in _LONGROPE
    ):
        return None
    name = "original_max_position_embeddings"
    tokens = rope.get(name) or text.get(name)
    return tokens if isinstance(tokens, int) else None


def max_input_tokens(config: EngineConfig, limit: int | None) -> int:
    """The longest input of an engine: what is configured, else the model's limit.

    Args:
        config: of the engine.
        limit: the model's, in tokens; None if unknown.

    Raises:
        InputError: more is configured than the model takes.
    """
    if config.max_tokens is not None and limit is not None and config.max_tokens > limit:
        raise InputError(
            f"max_tokens is {config.max_tokens}, the model takes {limit}",
            f"--max-tokens {limit}, or leave it out",
        )
    return config.max_tokens or limit or 1 << 30


def room_for_prompt(
    name: str, num_tokens: int, max_new_tokens: int, max_tokens: int, config: EngineConfig
) -> int | None:
    """The tokens of a prompt that are kept, where it must be cut; None where all of it fits.

    Args:
        name: of the prompt, for the error.
        num_tokens: its length.
        max_new_tokens: longest answer.
        max_tokens: of ``max_input_tokens``.
        config: of the engine.

    Raises:
        InputError: it leaves no room for an answer, and ``over_long`` is ``refuse``.
    """
    room = max_tokens - max_new_tokens
    if num_tokens <= room:
        return None
    if config.over_long == "refuse" or room < 1:
        raise InputError(
            f"prompt {name} has {num_tokens} tokens; with {max_new_tokens} new ones the model"
            f" takes {max_tokens}",
            _ways_to_fit(num_tokens, room, max_tokens),
        )
    return room


def _ways_to_fit(num_tokens: int, room: int, max_tokens: int) -> str:
    """The options that make a prompt fit, and no other."""
    ways = ["--over-long cut"] if room >= 1 else []
    if num_tokens < max_tokens:
        ways.append(f"--max-new-tokens {max_tokens - num_tokens} or less")
    return ", or ".join(ways) or f"--over-long cut with --max-new-tokens below {max_tokens}"
