"""The languages that a reader of text was asked for."""

from collections.abc import Collection, Iterator

from polylect.base import CODE, LANGUAGES, nearest_tag


class EveryLanguage(Collection[str]):
    """Any language at all; a source that needs a set takes the default languages and code."""

    def __contains__(self, tag: object) -> bool:
        return isinstance(tag, str) and bool(tag)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*LANGUAGES, CODE.tag}))

    def __len__(self) -> int:
        return len(LANGUAGES) + 1


def asked_tag(tag: str, languages: Collection[str]) -> str:
    """The language asked for under which text in a language is kept; empty for none.

    Text in ``pt-BR`` is kept as ``pt`` where that was asked for, and ``pt-BR`` was not.
    """
    return tag if tag in languages else nearest_tag(tag, languages) or ""
