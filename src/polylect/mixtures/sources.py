"""The text source protocol, and the language of a locale."""

from collections.abc import Collection, Iterator
from typing import Protocol

from polylect.base import LANGUAGES, Ledger
from polylect.rows import Document

# Portuguese and Chinese are told apart by country and script; others need their home country.
_LOCALES = {"pt_PT": "pt", "pt_BR": "pt", "zh_CN": "zh-Hans", "zh_Hans": "zh-Hans",
            "zh_TW": "zh-Hant", "zh_Hant": "zh-Hant"}  # fmt: skip
# Home countries whose code differs from the language's; JupyterLab and Debian name the country.
_HOME = {"ar": ("SA", "MA"), "cs": ("CZ",), "el": ("GR",), "en": ("US",), "fa": ("IR",),
         "he": ("IL",), "hi": ("IN",), "ja": ("JP",), "ko": ("KR",), "uk": ("UA",),
         "vi": ("VN",)}  # fmt: skip


class TextSource(Protocol):
    """A source of text. It is sent to worker processes, so it must be picklable.

    Ledger: documents that the source itself drops are counted under ``read: documents`` and
    ``dropped: …``; smaller units use other words (``dropped message: …``).
    """

    @property
    def name(self) -> str:
        """``source`` field of its documents; one word."""
        ...

    @property
    def digest(self) -> str:
        """Digest of the content it will read, never of paths."""
        ...

    def documents(self, languages: Collection[str], ledger: Ledger) -> Iterator[Document]:
        """The documents in the given languages, always in the same order.

        Args:
            languages: tags.
            ledger: counts what is left out.

        Raises:
            InputError: its content is missing or broken.
        """
        ...


def locale_language(locale: str) -> str:
    """The language tag of a locale; empty for a locale that is not read.

    ``de`` and ``de_DE`` are German, ``de_CH`` is not read; ``pt_PT`` and ``pt_BR`` are Portuguese.

    >>> locale_language("pt_BR"), locale_language("de_CH")
    ('pt', '')
    """
    locale = locale.replace("-", "_")
    if locale in _LOCALES:
        return _LOCALES[locale]
    base, _, country = locale.partition("_")
    home = ("", *_HOME.get(base, (base.upper(),)))
    return base if base in LANGUAGES and country in home else ""
