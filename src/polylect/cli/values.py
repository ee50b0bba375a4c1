"""Values of options that several commands read alike."""

import os
from pathlib import Path


def words_of(text: str) -> tuple[str, ...]:
    """The words between commas."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def tags_of(text: str, option: str) -> tuple[str, ...]:
    """The tags of the languages between commas.

    Raises:
        InputError: one is not known.
    """
    from polylect.base import language

    return tuple(language(one, option).tag for one in words_of(text))


def threads_of() -> int:
    """Threads of the processor that nobody chose: OMP_NUM_THREADS, or all cores."""
    set_to = os.environ.get("OMP_NUM_THREADS", "")
    return int(set_to) if set_to.isdigit() and int(set_to) else len(os.sched_getaffinity(0))


def data_folder(given: Path | None) -> Path | None:
    """The folder that holds a folder per dataset: the given one, or POLYLECT_DATA."""
    named = os.environ.get("POLYLECT_DATA")
    return given or (Path(named) if named else None)
