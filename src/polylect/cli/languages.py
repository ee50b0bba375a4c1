"""``polylect languages``: the languages that have a name here."""

import sys
from collections.abc import Sequence

from polylect.base import LANGUAGES, InputError


def main(arguments: Sequence[str]) -> int:
    """Exit code of ``polylect languages``."""
    if arguments and arguments[0] in {"-h", "--help"}:
        sys.stdout.write(
            "usage: polylect languages\n\nTag, script, resource class, family, name.\n"
        )
        return 0
    if arguments:
        raise InputError(f"languages: takes nothing, found {arguments[0]!r}", "polylect languages")
    sys.stdout.write(f"{'tag':<8} script class {'family':<14} {'branch':<11} name\n")
    for one in LANGUAGES.values():
        line = f"{one.tag:<8} {one.script:<6} {one.resource_class:>5} {one.family:<14} "
        sys.stdout.write(line + f"{one.branch:<11} {one.name}\n")
    return 0
