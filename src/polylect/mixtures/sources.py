"""What a source of text is, and which language the name of a locale stands for."""

from collections.abc import Collection, Iterator
from typing import Protocol

from polylect.base import LANGUAGES, Ledger
from polylect.rows import Document

# Portuguese and Chinese count by country and script; of the others, the home country alone.
_LOCALES = {"pt_PT": "pt", "pt_BR": "pt", "zh_CN": "zh-Hans", "zh_Hans": "zh-Hans",
            "zh_TW": "zh-Hant", "zh_Hant": "zh-Hant"}  # fmt: skip
# Where the country's code is not the language's; JupyterLab's packs and Debian name the country.
_HOME = {"ar": ("SA", "MA"), "cs": ("CZ",), "el": ("GR",), "en": ("US",), "fa": ("IR",),
         "he": ("IL",), "hi": ("IN",), "ja": ("JP",), "ko": ("KR",), "uk": ("UA",),
         "vi": ("VN",)}  # fmt: skip


class TextSource(Protocol):
    """Text from one place. It travels to worker processes, so it must be picklable.

    Ledger: documents that the source itself refuses are counted under ``read: documents`` and
    ``dropped: …``; what is smaller than a document has other words (``dropped message: …``).
    """

    @property
    def name(self) -> str:
        """What its documents carry as ``source``; one word."""
        ...

    @property
    def digest(self) -> str:
        """Digest of what it will read, never of paths; a second at most for the sample."""
        ...

    def documents(self, languages: Collection[str], ledger: Ledger) -> Iterator[Document]:
        """The documents in the wanted languages, always in the same order.

        Args:
            languages: tags.
            ledger: where it counts what it leaves out.

        Raises:
            InputError: what it should read is missing or broken.
        """
        ...


def locale_language(locale: str) -> str:
    """The tag that a locale's text counts under, or nothing.

    ``de`` and ``de_DE`` are German, ``de_CH`` is not read; ``pt_PT`` and ``pt_BR`` are Portuguese.
    """
    locale = locale.replace("-", "_")
    if locale in _LOCALES:
        return _LOCALES[locale]
    base, _, country = locale.partition("_")
    home = ("", *_HOME.get(base, (base.upper(),)))
    return base if base in LANGUAGES and country in home else ""
