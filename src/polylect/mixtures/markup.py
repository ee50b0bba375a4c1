"""Markup as a stream of its own: HTML, CSS, Markdown, XML and reStructuredText."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from polylect.base import CODE, Ledger, digest_file, digest_of
from polylect.mixtures._installed import TextFile, folder_files, installed_files
from polylect.mixtures.pieces import CODE_CHARACTERS, paragraph_pieces
from polylect.rows import Document

MARKUP_KINDS = frozenset({".css", ".htm", ".html", ".markdown", ".md", ".rst", ".xhtml", ".xml"})
LONGEST_LINE = 2000
"""A file with a longer line was written by a program: it is left out, and counted."""


@dataclass(frozen=True)
class MarkupSource:
    """Markup in installed packages, or below a folder; language ``code``.

    "To Code, or Not To Code" (section 2.1) keeps markup apart from code, by its own name. Licenses
    are those that the packages state; the digest differs between environments, as their text does.

    Attributes:
        path: file or folder of the user; None reads the installed packages.
        name: ``source`` field of its documents.
    """

    path: Path | None = None
    offered: ClassVar[frozenset[str]] = frozenset({CODE.tag})
    name: str = "markup"

    @cached_property
    def digest(self) -> str:
        """Digest of names and contents of the files."""
        return digest_of([self.name, {file.name: digest_file(file.path) for file in self._files()}])

    def documents(self, languages: Collection[str], ledger: Ledger) -> Iterator[Document]:
        """Pieces of about 3,000 characters; the pieces of a file share a ``parallel`` key.

        Raises:
            InputError: there is no markup below the folder.
        """
        if CODE.tag in languages:
            for file in self._files():
                yield from file_documents(file, self.name, ledger)

    def _files(self) -> list[TextFile]:
        if self.path is not None:
            return folder_files(Path(self.path), MARKUP_KINDS)
        return list(installed_files(MARKUP_KINDS))


def file_documents(file: TextFile, source: str, ledger: Ledger) -> Iterator[Document]:
    """The documents of a text file; one that is not UTF-8 or written by a program is counted."""
    try:
        text = file.path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        ledger.count("dropped file: not UTF-8", 1, source)
        return
    yield from text_documents(text, file.name, file.license, source, ledger)


def text_documents(
    text: str, name: str, license: str, source: str, ledger: Ledger
) -> Iterator[Document]:
    """A text in pieces, as documents of language ``code`` that a split keeps together.

    Args:
        text: the whole.
        name: what it is called within its source.
        license: as it states it.
        source: name of the source.
        ledger: counts texts that a program wrote.
    """
    if any(len(line) > LONGEST_LINE for line in text.splitlines()):
        ledger.count(f"dropped file: a line of more than {LONGEST_LINE:,} characters", 1, source)
        return
    for number, piece in enumerate(paragraph_pieces(text, CODE_CHARACTERS)):
        yield Document(
            id=f"{name}#{number:03d}", language=CODE.tag, source=source, text=piece,
            parallel=f"{source}/{name}", license=license,
        )  # fmt: skip
