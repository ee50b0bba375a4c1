"""Options of the form NAME=VALUE."""

from collections.abc import Sequence

from polylect.base.errors import InputError


def pairs(name: str, given: Sequence[str]) -> list[tuple[str, str]]:
    """The parts of ``NAME=TEXT``.

    Raises:
        InputError: another form, or a name given twice.
    """
    found: list[tuple[str, str]] = []
    for one in given:
        key, sign, text = one.partition("=")
        if not key or not sign or not text:
            raise InputError(f"--{name} {one}", f"give --{name} NAME=VALUE")
        if key in dict(found):
            raise InputError(f"--{name} {key} is given twice", "give it once")
        found.append((key, text))
    return found


def numbers(name: str, given: Sequence[str]) -> dict[str, float]:
    """The numbers of ``NAME=NUMBER``.

    Raises:
        InputError: as ``pairs``, or not a number.
    """
    found = {}
    for key, text in pairs(name, given):
        try:
            found[key] = float(text)
        except ValueError:
            raise InputError(f"--{name} {key}={text}: not a number", f"{key}=0.5") from None
    return found
