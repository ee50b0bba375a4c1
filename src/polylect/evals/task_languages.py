"""Which of a task's languages is meant by a language that was asked for."""

from collections.abc import Sequence

from polylect.base import Ledger, nearest_tag

MORE_GENERAL = "read in a more general language: the task lacks the one asked for"


def task_language(
    languages: Sequence[str], given: str, tag: str, ledger: Ledger | None = None
) -> str:
    """The task's language for the one asked for; the one asked for where the task has none.

    A task file may say ``zh`` where the built-in tasks say which script; a task that has ``pt`` is
    read for ``pt-BR``, which is counted.

    Args:
        languages: tags that the task has.
        given: what was asked for, as it was written.
        tag: its canonical tag.
        ledger: counts a more general language.
    """
    if given in languages or tag in languages:
        return given if given in languages else tag
    match = nearest_tag(tag, languages)
    if match is not None and ledger is not None:
        ledger.count(MORE_GENERAL, 1, f"{match} for {tag}")
    return match or tag
