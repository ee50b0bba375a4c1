"""Languages that options name."""

from collections.abc import Iterable, Sequence

from polylect.base import InputError


def check_seen(seen: Sequence[str], present: Iterable[str]) -> tuple[str, ...]:
    """The canonical tags of ``--seen``.

    Raises:
        InputError: a language is not known, or nothing is in one of them; names those that there
            are.
    """
    from polylect.base import language

    tags = tuple(language(tag, "--seen").tag for tag in seen)
    there = dict.fromkeys(present)
    if tags and not set(tags) & set(there):
        raise InputError(f"--seen {','.join(tags)}: nothing is in these languages",
                         f"there are {' '.join(there)}")  # fmt: skip
    return tags
