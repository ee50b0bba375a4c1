"""An optional source: Debian's documentation packages, where they are installed or unpacked."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path

from polylect.base import InputError, Ledger, digest_file, digest_of, read_text
from polylect.mixtures.pieces import TEXT_CHARACTERS, joined
from polylect.mixtures.sources import locale_language
from polylect.rows import Document

_PACKAGES = (
    ("debian-handbook", "doc/debian-handbook/html/*/*.html", "CC-BY-SA-3.0 OR GPL-2.0-or-later"),
    ("installation-guide", "doc/installation-guide-amd64/*/*.html", "GPL-2.0-only"),
    ("gnome-user-docs", "help/*/*/*.page", "CC-BY-SA-3.0"),
)
"""Name, files below ``/usr/share`` (the first ``*`` is the locale), license."""
_BLOCKS = frozenset({"p", "h1", "h2", "h3", "h4", "dt", "dd", "li", "td", "title", "desc", "item"})
_NOT_TEXT = frozenset({"script", "style", "pre", "code", "nav", "head", "screen", "info"})
_LEAST_CHARACTERS = 20


@dataclass(frozen=True)
class DebianDocs:
    """debian-handbook, installation-guide-amd64 and gnome-user-docs, in all their locales.

    Install them with ``apt-get install``, or unpack them with ``dpkg -x`` and pass the
    ``usr/share`` inside as ``root``. Many translations are partial: paragraphs equal to an English
    one are dropped here, and ``collect`` counts, or drops, what seems to be in another language.
    Translations of a page or section share its name; the documents within it are not aligned.
    """

    root: Path = Path("/usr/share")
    name: str = "debian"

    def available(self) -> bool:
        """Whether at least one of the packages is present."""
        return any(self._files())

    @cached_property
    def digest(self) -> str:
        """Digest of the names and contents of all pages."""
        files = ((path.relative_to(self.root).as_posix(), path) for _, _, _, path in self._files())
        return digest_of({name: digest_file(path) for name, path in files})

    def documents(self, languages: Collection[str], ledger: Ledger) -> Iterator[Document]:
        """Documents of about 2,000 characters, package by package, page by page, English first.

        Raises:
            InputError: none of the packages is present.
        """
        if not self.available():
            raise InputError(
                f"{self.root}: none of Debian's documentation packages is here",
                "apt-get install debian-handbook installation-guide-amd64 gnome-user-docs",
            )
        english: dict[str, set[str]] = defaultdict(set)
        for package, license, locale, path in self._files():
            tag = _tag(locale)
            if tag != "en" and tag not in languages:
                continue
            sections: dict[str, list[str]] = {}
            for section, paragraph in page_paragraphs(read_text(path)):
                if tag == "en":
                    english[package].add(paragraph)
                elif paragraph in english[package]:
                    ledger.count("dropped message: untranslated", 1, tag)
                    continue
                sections.setdefault(section, []).append(paragraph)
            if tag not in languages:
                continue
            for section, paragraphs in sections.items():
                page = f"{package}/{page_name(path)}{section}"
                for number, text in enumerate(joined(paragraphs, "\n\n", TEXT_CHARACTERS)):
                    yield Document(
                        id=f"{page}/{locale}#{number:03d}", language=tag, source=self.name,
                        text=text, parallel=page, license=license,
                    )  # fmt: skip

    def _files(self) -> Iterator[tuple[str, str, str, Path]]:
        """Package, license, locale and page, English first."""
        for package, pattern, license in _PACKAGES:
            depth = pattern.split("/").index("*")
            pages = [(path.relative_to(self.root).parts[depth], path)
                     for path in self.root.glob(pattern)]  # fmt: skip
            for locale, path in sorted(pages, key=lambda page: (_tag(page[0]) != "en", page)):
                if _tag(locale):
                    yield package, license, locale, path


def _tag(locale: str) -> str:
    return "en" if locale == "C" else locale_language(locale)


def page_name(path: Path) -> str:
    """The name shared by a page's translations; GNOME pages are prefixed with the application."""
    return path.stem if path.suffix == ".html" else f"{path.parent.name}/{path.stem}"


def page_paragraphs(markup: str) -> list[tuple[str, str]]:
    """(section, text) of every paragraph, heading and list item of a page in HTML or Mallard.

    The section is ``#sect.…`` or empty. Program code is left out, and so are texts under 20
    characters, which are mostly navigation.
    """
    parser = _Paragraphs()
    parser.feed(markup)
    parser.close()
    parser.flush()
    return parser.paragraphs


class _Paragraphs(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.paragraphs: list[tuple[str, str]] = []
        self._section = ""
        self._parts: list[str] = []
        self._skipped = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _NOT_TEXT:
            self._skipped += 1
        elif tag in _BLOCKS:
            self.flush()
        name = dict(attrs).get("id") or ""
        # The handbook's chapters are long; its section names are the same in every language.
        if name.startswith("sect."):
            self.flush()
            self._section = f"#{name}"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element without content opens nothing."""

    def handle_endtag(self, tag: str) -> None:
        if tag in _NOT_TEXT:
            self._skipped = max(0, self._skipped - 1)
        elif tag in _BLOCKS:
            self.flush()

    def handle_data(self, data: str) -> None:
        if not self._skipped:
            self._parts.append(data)

    def flush(self) -> None:
        """End the paragraph."""
        text = " ".join("".join(self._parts).split())
        self._parts = []
        if len(text) >= _LEAST_CHARACTERS:
            self.paragraphs.append((self._section, text))
