"""Options that vary from tensor to tensor: by name filter, and by the layer's position."""

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from polylect.base import InputError, check_value

_FORMS = "a number, a list of numbers over the layers, or a list of {filter, value}"
_LAYER = re.compile(r"(?:^|\.)(\d+)(?:\.|$)")
_TYPE_NAMES = {float: "finite number", int: "whole number", bool: "true or false", str: "text"}


def check_setting(name: str, setting: Any, kind: type, where: str, allowed: Any = None) -> None:
    """Refuse a setting that ``resolve`` cannot read, or with a value out of its range.

    Args:
        name: name of the option.
        setting: the setting, as in a recipe.
        kind: type of each value.
        where: prefix of the error message.
        allowed: the type with its range or choices; default: the type alone.

    Raises:
        InputError: names option and value.
    """
    if isinstance(setting, Mapping):
        setting = [setting]
    if isinstance(setting, Sequence) and not isinstance(setting, str):
        if setting and all(isinstance(entry, Mapping) for entry in setting):
            for entry in setting:
                is_name = isinstance(entry.get("filter"), str | None)
                if "value" not in entry or set(entry) - {"filter", "value"} or not is_name:
                    raise InputError(f"{where}: {name} has {dict(entry)!r}", f"give {_FORMS}")
                check_setting(name, entry["value"], kind, where, allowed)
            return
        if setting and not any(isinstance(value, Mapping | Sequence) for value in setting):
            for value in setting:
                check_setting(name, value, kind, where, allowed)
            return
        raise InputError(f"{where}: {name} is {setting!r}", f"give {_FORMS}")
    if kind in (float, int):
        numbers = int | float if kind is float else int
        is_valid = isinstance(setting, numbers) and not isinstance(setting, bool)
        is_valid = is_valid and abs(setting) < float("inf")
    else:
        is_valid = isinstance(setting, kind)
    if not is_valid:
        raise InputError(
            f"{where}: {name} is {setting!r}, not a {_TYPE_NAMES[kind]}", f"give {_FORMS}"
        )
    # A value between two of a gradient is in the range where both are.
    check_value(f"{where}: {name}", setting, allowed or kind)


def resolve(setting: Any, tensor: str, position: float) -> Any:
    """The value for one tensor, or None where no filter matches its name.

    A list of numbers is interpolated at the layer's position, 0 for the first layer and 1 for the
    last. Of a list of ``{filter, value}`` the first match applies: a filter matches if the name
    contains it, or, with a ``*``, ``?`` or ``[`` in it, if the whole name matches the pattern; no
    filter, or ``*``, matches every name.

    >>> resolve([0, 1], "layers.1.w", 0.25)
    0.25
    >>> resolve([{"filter": "mlp", "value": 0.3}, {"value": 0.5}], "layers.1.mlp.w", 0.25)
    0.3
    """
    if isinstance(setting, Mapping):
        setting = [setting]
    if not isinstance(setting, Sequence) or isinstance(setting, str):
        return setting
    if isinstance(setting[0], Mapping):
        for entry in setting:
            if _matches(entry.get("filter"), tensor):
                return resolve(entry["value"], tensor, position)
        return None
    scaled = position * (len(setting) - 1)
    low = int(scaled)
    if isinstance(setting[0], bool | str):
        return setting[low]
    high = min(len(setting) - 1, low + 1)
    return (1 - (scaled - low)) * setting[low] + (scaled - low) * setting[high]


def unused_filters(setting: Any, tensors: Sequence[str]) -> list[str]:
    """The filters of a setting that decide the value of no tensor: no name has it, or an earlier
    one takes them all.

    >>> unused_filters([{"filter": "mlp", "value": 1}, {"filter": "mpl", "value": 2}], ["mlp.w"])
    ['mpl']
    """
    entries = [setting] if isinstance(setting, Mapping) else setting
    if not isinstance(entries, Sequence) or isinstance(entries, str) or not entries:
        return []
    if not isinstance(entries[0], Mapping):
        return []
    used = {
        next((n for n, entry in enumerate(entries) if _matches(entry.get("filter"), tensor)), -1)
        for tensor in tensors
    }
    return [
        str(entry.get("filter"))
        for number, entry in enumerate(entries)
        if number not in used and entry.get("filter") not in {None, "*"}
    ]


def layer_positions(names: Iterable[str]) -> dict[str, float]:
    """Position of each tensor's layer, from 0 to 1; 0 for tensors outside of layers.

    The layer is the first number between dots in the name; stacks of layers with different prefixes
    are counted separately. The only layer of a stack is at 1, as in mergekit.

    >>> layer_positions(["embed", "layers.0.w", "layers.2.w"])
    {'embed': 0.0, 'layers.0.w': 0.0, 'layers.2.w': 1.0}
    """
    layers: dict[str, tuple[str, int] | None] = {}
    last: dict[str, int] = {}
    for name in names:
        match = _LAYER.search(name)
        if match is None:
            layers[name] = None
            continue
        prefix, number = name[: match.start()], int(match[1])
        layers[name] = prefix, number
        last[prefix] = max(last.get(prefix, 0), number)
    positions = {}
    for name, layer in layers.items():
        if layer is None:
            positions[name] = 0.0
        else:
            prefix, number = layer
            positions[name] = number / last[prefix] if last[prefix] else 1.0
    return positions


def _matches(pattern: str | None, tensor: str) -> bool:
    if pattern is None or pattern == "*":
        return True
    if any(character in pattern for character in "*?["):
        return fnmatchcase(tensor, pattern)
    return pattern in tensor
