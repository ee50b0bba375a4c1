"""Options that vary from tensor to tensor: by name pattern, and by the layer's position."""

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from polylect.base import InputError

_FORMS = "a number, a list of numbers over the layers, or a list of {filter, value}"
_INDEX = re.compile(r"(?:^|\.)(\d+)(?:\.|$)")


def check_setting(name: str, setting: Any, kind: type, where: str) -> None:
    """Refuses a setting that ``resolve`` could not read.

    Args:
        name: of the option.
        setting: as a recipe has it.
        kind: what each value must be.
        where: the place, for the message.

    Raises:
        InputError: names option and value.
    """
    if isinstance(setting, Mapping):
        setting = [setting]
    if isinstance(setting, Sequence) and not isinstance(setting, str):
        if setting and all(isinstance(one, Mapping) for one in setting):
            for one in setting:
                if "value" not in one or set(one) - {"filter", "value"}:
                    raise InputError(f"{where}: {name} has {dict(one)!r}", f"give {_FORMS}")
                check_setting(name, one["value"], kind, where)
            return
        if setting and not any(isinstance(one, Mapping | Sequence) for one in setting):
            for one in setting:
                check_setting(name, one, kind, where)
            return
        raise InputError(f"{where}: {name} is {setting!r}", f"give {_FORMS}")
    if kind is float:
        good = isinstance(setting, int | float) and not isinstance(setting, bool)
        good = good and abs(setting) < float("inf")
    elif kind is int:
        good = isinstance(setting, int) and not isinstance(setting, bool)
    else:
        good = isinstance(setting, kind)
    if not good:
        raise InputError(f"{where}: {name} is {setting!r}, not a {_WORDS[kind]}", f"give {_FORMS}")


_WORDS = {float: "finite number", int: "whole number", bool: "true or false", str: "text"}


def resolve(setting: Any, tensor: str, position: float) -> Any:
    """The value for one tensor, or None where no filter names it.

    A list of numbers is interpolated at the layer's position, 0 for the first layer and 1 for the
    last. Of a list of ``{filter, value}`` the first that fits counts: a filter fits if the name
    contains it, or, with a ``*``, ``?`` or ``[`` in it, if the whole name matches the pattern; no
    filter, or a lone ``*``, fits all.
    """
    if isinstance(setting, Mapping):
        setting = [setting]
    if not isinstance(setting, Sequence) or isinstance(setting, str):
        return setting
    if isinstance(setting[0], Mapping):
        for one in setting:
            if _fits(one.get("filter"), tensor):
                return resolve(one["value"], tensor, position)
        return None
    if isinstance(setting[0], bool | str):
        return setting[int(position * (len(setting) - 1))]
    place = position * (len(setting) - 1)
    low = int(place)
    high = min(len(setting) - 1, low + 1)
    return (1 - (place - low)) * setting[low] + (place - low) * setting[high]


def positions(names: Iterable[str]) -> dict[str, float]:
    """Where each tensor's layer lies, from 0 to 1; 0 for what belongs to no layer.

    The layer is the first number between dots in the name; stacks of layers with another prefix
    are counted apart. The only layer of a stack is at 1, as in mergekit.
    """
    places: dict[str, tuple[str, int] | None] = {}
    lasts: dict[str, int] = {}
    for name in names:
        found = _INDEX.search(name)
        places[name] = None if found is None else (name[: found.start()], int(found[1]))
        if found:
            prefix = name[: found.start()]
            lasts[prefix] = max(lasts.get(prefix, 0), int(found[1]))
    return {
        name: 0.0 if one is None else one[1] / lasts[one[0]] if lasts[one[0]] else 1.0
        for name, one in places.items()
    }


def _fits(pattern: str | None, tensor: str) -> bool:
    if pattern is None or pattern == "*":
        return True
    if any(letter in pattern for letter in "*?["):
        return fnmatchcase(tensor, pattern)
    return pattern in tensor
