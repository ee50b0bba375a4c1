"""``polylect languages``: what is known of languages, and what can be done in them."""

import sys
from collections.abc import Sequence

from polylect.base import InputError

_HELP = """usage: polylect languages [TAG ...]

List what is known of the languages that tasks, sample text and the identifier have; or, for each
language given by tag, code or name, what can be done in it: identification, sample text, tasks.
"""


def main(arguments: Sequence[str]) -> int:
    """Exit code of ``polylect languages``."""
    if arguments and arguments[0] in {"-h", "--help"}:
        sys.stdout.write(_HELP)
        return 0
    for word in arguments:
        if word.startswith("-"):
            raise InputError(f"languages: no option {word!r}", "polylect languages TAG ...")
    from polylect.report import describe_languages, list_languages

    lines = describe_languages(arguments) if arguments else list_languages()
    sys.stdout.write("\n".join(lines) + "\n")
    return 0
