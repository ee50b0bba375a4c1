"""Options that would have no effect beside the others: refused, since whoever gave one expects it.

An option with its default value is as good as not given. A seed is never refused: that the same
call gives the same result is true whether anything is drawn or not.
"""

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields
from typing import TYPE_CHECKING, Any

from polylect.base import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def refuse_without_effect(
    command: str,
    options: "DataclassInstance",
    reasons: Mapping[str, tuple[str, str]],
    group: str = "",
) -> None:
    """Refuse the first of these options that was changed from its default.

    Args:
        command: as it is typed.
        options: of the command.
        reasons: by the name of an option's field, why it has no effect, and what to do instead.
        group: the field of a group of options that they are in.

    Raises:
        InputError: names the option.
    """
    values = {field.name: (getattr(options, field.name), _default(field))
              for field in fields(options)}  # fmt: skip
    if group:
        value, default = values[group]
        values = {field.name: (getattr(value, field.name), getattr(default, field.name))
                  for field in fields(value)}  # fmt: skip
    for name, (value, default) in values.items():
        if name in reasons and value != default:
            reason, hint = reasons[name]
            shown = name.replace("_", "-")
            raise InputError(f"{command}: --{shown} has no effect: {reason}", hint)


def for_each(names: Iterable[str], reason: str, hint: str) -> dict[str, tuple[str, str]]:
    """One reason for several options."""
    return dict.fromkeys(names, (reason, hint))


def _default(field: "Field[Any]") -> object:
    return field.default if field.default_factory is MISSING else field.default_factory()


GREEDY = for_each(
    ("top_k", "top_p", "min_p"),
    "at temperature 0 the most likely token is taken",
    "--temperature 1, or leave it out",
)
"""Filters of sampling, where nothing is sampled."""
