"""Values of options that several commands read alike."""

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path


def comma_separated(text: str) -> tuple[str, ...]:
    """The words between commas.

    >>> comma_separated("de, hi,")
    ('de', 'hi')
    """
    return tuple(word.strip() for word in text.split(",") if word.strip())


def language_tags(text: str, option: str) -> tuple[str, ...]:
    """Canonical tags of the languages between commas; says what was made of other forms.

    Raises:
        InputError: one is no tag and no name of a language.
    """
    from polylect.base import language, reading_notes

    texts = comma_separated(text)
    tags = tuple(language(tag, option).tag for tag in texts)
    for note in reading_notes(texts):
        sys.stderr.write(f"{option}: {note}\n")
    return tags


def check_seen(seen: Sequence[str], present: Iterable[str]) -> None:
    """Refuse ``--seen`` where nothing is in one of its languages.

    Raises:
        InputError: names them, and the languages that there are.
    """
    from polylect.base import InputError

    there = dict.fromkeys(present)
    if seen and not set(seen) & set(there):
        raise InputError(f"--seen {','.join(seen)}: nothing is in these languages",
                         f"there are {' '.join(there)}")  # fmt: skip


def data_folder(folder: Path | None) -> Path | None:
    """The folder with one folder per dataset: the one given, or POLYLECT_DATA."""
    default = os.environ.get("POLYLECT_DATA")
    return folder or (Path(default) if default else None)


def limit_blas_threads() -> None:
    """Let BLAS use one thread: the matrices are small. No effect once numpy is imported."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
