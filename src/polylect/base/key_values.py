"""Options of the form NAME=VALUE."""

from collections.abc import Iterable

from polylect.base.errors import InputError


def parse_pairs(option: str, arguments: Iterable[str], form: str = "NAME=VALUE") -> dict[str, str]:
    """Value by name, in order; the value may itself hold an equals sign.

    >>> parse_pairs("set", ["density=0.5", "normalize=true"])
    {'density': '0.5', 'normalize': 'true'}

    Args:
        option: its name without dashes, for the error message.
        arguments: what was typed.
        form: what an argument looks like, for the error message.

    Raises:
        InputError: an argument has another form, or a name is given twice.
    """
    values: dict[str, str] = {}
    for argument in arguments:
        name, _, value = argument.partition("=")
        if not name or not value:
            raise InputError(f"--{option} {argument!r} is not {form}", f"give --{option} {form}")
        if name in values:
            raise InputError(f"--{option} {name} is given twice", "give it once")
        values[name] = value
    return values


def parse_numbers(
    option: str, arguments: Iterable[str], form: str = "NAME=NUMBER"
) -> dict[str, float]:
    """Number by name, in order.

    >>> parse_numbers("weights", ["de=2", "hi=0.5"])
    {'de': 2.0, 'hi': 0.5}

    Raises:
        InputError: see ``parse_pairs``; or a value is not a finite number.
    """
    numbers: dict[str, float] = {}
    for name, text in parse_pairs(option, arguments, form).items():
        try:
            numbers[name] = float(text)
        except ValueError:
            numbers[name] = float("nan")
        if not abs(numbers[name]) < float("inf"):
            raise InputError(f"--{option} {name}={text}: not a number", f"give --{option} {form}")
    return numbers
