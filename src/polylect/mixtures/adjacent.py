"""Code-adjacent text as a stream of its own: descriptions, manuals, notebooks, commit logs."""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, NamedTuple

from polylect.base import CODE, Ledger, digest_bytes, digest_of
from polylect.mixtures._installed import (
    folder_files,
    installed_distributions,
    installed_files,
    stated_license,
)
from polylect.mixtures.markup import text_documents
from polylect.mixtures.stdlib import LICENSE as PYTHON_LICENSE
from polylect.rows import Document

NOTEBOOK = ".ipynb"
ADJACENT_KINDS = frozenset({NOTEBOOK, ".diff", ".log", ".patch", ".txt"})


class _Text(NamedTuple):
    name: str
    license: str
    text: str


@dataclass(frozen=True)
class AdjacentSource:
    """What stands beside code: how packages describe themselves, Python's manual, notebooks.

    "To Code, or Not To Code" (section 2.1) has commits, notebooks and Stack Exchange here. Of a
    user's folder the kinds in ``ADJACENT_KINDS`` are read: a commit log is a text file, such as
    ``git log -p > commits.log`` writes. Outputs of notebooks are left out. Language ``code``.

    Attributes:
        path: file or folder of the user; None reads the installed packages and ``pydoc``'s topics.
        name: ``source`` field of its documents.
    """

    path: Path | None = None
    offered: ClassVar[frozenset[str]] = frozenset({CODE.tag})
    name: str = "adjacent"

    @cached_property
    def digest(self) -> str:
        """Digest of names and contents."""
        contents = {text.name: digest_bytes(text.text.encode()) for text in self._texts(Ledger())}
        return digest_of([self.name, contents])

    def documents(self, languages: Collection[str], ledger: Ledger) -> Iterator[Document]:
        """Pieces of about 3,000 characters; the pieces of a text share a ``parallel`` key.

        Raises:
            InputError: there is nothing to read below the folder.
        """
        if CODE.tag in languages:
            for name, license, text in self._texts(ledger):
                yield from text_documents(text, name, license, self.name, ledger)

    def _texts(self, ledger: Ledger) -> Iterator[_Text]:
        if self.path is not None:
            files = folder_files(Path(self.path), ADJACENT_KINDS)
        else:
            yield from _descriptions()
            yield from _topics()
            files = list(installed_files({NOTEBOOK}))
        for file in files:
            try:
                text = file.path.read_text(encoding="utf-8")
                if file.path.suffix.lower() == NOTEBOOK:
                    text = notebook_text(text)
            except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError, AttributeError):
                ledger.count("dropped file: neither UTF-8 text nor a notebook", 1, self.name)
                continue
            yield _Text(file.name, file.license, text)


def notebook_text(text: str) -> str:
    r"""The cells of a notebook (nbformat 4), joined; outputs are left out.

    >>> notebook_text('{"cells": [{"source": ["# Sums\\n"]}, {"source": "1 + 1"}]}')
    '# Sums\n\n1 + 1'
    """
    cells = ["".join(cell["source"]).strip("\n") for cell in json.loads(text)["cells"]]
    return "\n\n".join(cell for cell in cells if cell.strip())


def _descriptions() -> Iterator[_Text]:
    """The long description of every installed package that has one."""
    for distribution in installed_distributions():
        metadata = distribution.metadata
        text = metadata.get_payload() or metadata["Description"] or ""  # pyrefly: ignore
        if isinstance(text, str) and text.strip():
            name = f"{(metadata['Name'] or '').lower()}/METADATA"
            yield _Text(name, stated_license(distribution), text)


def _topics() -> Iterator[_Text]:
    """The chapters of Python's language reference that ``help()`` shows."""
    from pydoc_data.topics import topics

    for topic in sorted(topics):
        yield _Text(f"pydoc/{topic}", PYTHON_LICENSE, topics[topic])
