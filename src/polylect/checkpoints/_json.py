"""Strict JSON: duplicate keys and anything that is not JSON are errors."""

import json
from typing import Any

from polylect.base import InputError

AGAIN = "download or save the file again"


def strict_json(text: bytes | str, where: str, *, constants: bool = False) -> Any:
    """The value in JSON text; duplicate keys are an error.

    Args:
        text: UTF-8 bytes or text.
        where: prefix of every error message.
        constants: accept NaN and Infinity, which transformers writes into config.json.

    Raises:
        InputError: not JSON, not UTF-8, nested too deeply, or a duplicate key.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, value in pairs:
            if key in result:
                raise InputError(f"{where}: {short(key)} is listed twice", AGAIN)
            result[key] = value
        return result

    def refuse(name: str) -> Any:
        raise ValueError(f"{name} is not a JSON number")

    try:
        # Bytes are decoded here: json would guess UTF-16 or UTF-32 from them.
        text = text.decode("utf-8") if isinstance(text, bytes) else text
        if constants:
            return json.loads(text, object_pairs_hook=unique)
        return json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({str(error)[:100]})", AGAIN) from None


def is_text_map(value: object) -> bool:
    """Whether a value is a dict whose values are all text."""
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())


def short(value: object) -> str:
    """A value for an error message, at most 80 characters."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
