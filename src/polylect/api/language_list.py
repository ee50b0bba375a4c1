"""``languages``: what is known of languages, and what can be done in them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from polylect.api.fields import Mark, Positional
from polylect.api.listings import Listing
from polylect.api.verbs import verb

if TYPE_CHECKING:
    import polars


@dataclass(frozen=True, kw_only=True)
class LanguagesOptions:
    """List what is known of languages, or say what can be done in some of them.

    Every verb takes any BCP-47 tag, also private ones; --languages-file FILE says what polylect
    does not know of one.

    Examples:
        polylect languages
        polylect languages cy gl
        polylect languages Welsh --json
    """

    tags: Positional[Annotated[tuple[str, ...], Mark(metavar="[TAG ...]")]] = ()
    """Tags, codes or names. Default: all that tasks, sample text and the identifier have."""


@verb("languages", LanguagesOptions)
def languages(options: LanguagesOptions) -> Listing:
    """What is known of languages, and what can be done in them.

    Returns a list; ``.table()`` has a row per language: script, direction, family, tasks, sample
    text, share of held-out sentences that the default identifier finds.

        pl.languages(["cy", "gl"]).table()
    """
    from polylect.report import describe_languages, known_languages, language_rows, list_languages

    if options.tags:
        return Listing(language_rows(options.tags), describe_languages(options.tags))
    return LazyListing(known_languages(), list_languages())


class LazyListing(Listing):
    """A list whose rows are read when they are asked for: hundreds of endonyms take a second."""

    def __init__(self, tags: list[str], lines: list[str]) -> None:
        """A list of these languages, and what a terminal shows of them."""
        super().__init__([], lines)
        self._tags = tags

    def rows(self) -> list[dict[str, Any]]:
        """A row per language."""
        return self.table().to_dicts()

    def table(self) -> "polars.DataFrame":
        """A row per language."""
        import polars

        from polylect.report import language_rows

        return polars.DataFrame(language_rows(self._tags))

    def __len__(self) -> int:
        return len(self._tags)
