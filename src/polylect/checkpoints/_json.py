"""JSON read strictly: a key given twice is an error, and so is everything that is not JSON."""

import json
from typing import Any

from polylect.base import InputError

AGAIN = "download or save the file again"


def strict_json(text: bytes | str, where: str, *, constants: bool = False) -> Any:
    """The value in JSON text; a key given twice is an error.

    Args:
        text: UTF-8 bytes or text.
        where: the place, at the start of every message.
        constants: whether NaN and Infinity are taken, as transformers writes them in config.json.

    Raises:
        InputError: not JSON, not UTF-8, nested too deeply, or a key given twice.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise InputError(f"{where}: {short(key)} is listed twice", AGAIN)
            found[key] = value
        return found

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
    """Whether a value is a dict with text for every value."""
    return isinstance(value, dict) and all(isinstance(one, str) for one in value.values())


def short(value: object) -> str:
    """A value as it is shown in a message, at most 80 characters."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
