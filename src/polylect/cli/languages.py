"""``polylect languages``: the languages that are built in."""

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
    sys.stdout.write(f"{'tag':<8} script class {'family':<14} name\n")
    for language in LANGUAGES.values():
        sys.stdout.write(
            f"{language.tag:<8} {language.script:<6} {language.resource_class:>5} "
            f"{language.family:<14} {language.name}\n"
        )
    return 0
