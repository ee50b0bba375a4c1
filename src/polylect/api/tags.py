"""Languages that options name."""

from collections.abc import Iterable, Sequence

from polylect.api.notices import notice
from polylect.base import InputError


def note_readings(texts: Sequence[str], option: str) -> None:
    """Say what is made of languages that are not written as their canonical tags.

    Raises:
        InputError: one is no tag and no name of a language.
    """
    from polylect.base import language, reading_notes

    for text in texts:
        language(text, option)
    for note in reading_notes(texts):
        notice(f"{option}: {note}")


def language_tags(texts: Sequence[str], option: str) -> tuple[str, ...]:
    """Canonical tags of languages; says what was made of other forms.

    Raises:
        InputError: one is no tag and no name of a language.
    """
    from polylect.base import language

    note_readings(texts, option)
    return tuple(language(text, option).tag for text in texts)


def check_seen(seen: Sequence[str], present: Iterable[str]) -> tuple[str, ...]:
    """The canonical tags of ``--seen``.

    Raises:
        InputError: one is no language, or nothing is in any of them; names those that there are.
    """
    tags = language_tags(seen, "--seen")
    there = dict.fromkeys(present)
    if tags and not set(tags) & set(there):
        raise InputError(f"--seen {','.join(tags)}: nothing is in these languages",
                         f"there are {' '.join(there)}")  # fmt: skip
    return tags
