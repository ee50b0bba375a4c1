"""The user's own text: a file or a folder of plain text, JSON lines, Parquet and Python files."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from polylect.base import (
    CODE,
    InputError,
    Ledger,
    digest_file,
    digest_of,
    language,
    numbered,
    read_text,
)
from polylect.mixtures.asked import asked_tag
from polylect.mixtures.named import Namer
from polylect.mixtures.pieces import code_pieces, paragraph_pieces
from polylect.rows import Document, read_dicts
from polylect.text import DEFAULT_IDENTIFIER, open_identifier

_TEXT = frozenset({".txt", ".md"})
_ROWS = frozenset({".jsonl", ".ndjson", ".parquet"})
_CODE = frozenset({".py"})
_READABLE = _TEXT | _ROWS | _CODE
IDENTIFIED = "language identified: none was said"
MORE_GENERAL = "kept as the more general language asked for"
UNASKED = "dropped: language not asked for"
UNTOLD = "dropped: language not identified"
DOUBTFUL = "not taken for a language: the name of a file or folder (ask for it by --languages)"
_LEAST_CHARACTERS, _LEAST_PROBABILITY = 40, 0.5
_BATCH_DOCUMENTS = 1024

_Row = dict[str, str]
"""Fields of a document; an empty language is still to be identified."""


@dataclass(frozen=True)
class FolderSource:
    """A file, or a folder with all below it (hidden files and folders are not read).

    ``.txt`` and ``.md``: paragraphs joined into documents of about 2,000 characters. ``.jsonl``,
    ``.ndjson`` and ``.parquet``: one document per row, with ``text`` and optionally ``language``,
    ``id``, ``parallel`` (a key shared by its translations) and ``license``; other columns are
    ignored. ``.py``: program code, language ``code``. Other files are counted in the ledger.

    A document's language comes from its column; else from ``language``; else from the path, when a
    dot-separated part of the file name or a folder inside the source says one (``cy.txt``,
    ``pt_BR/a.md``, ``news.de.txt``; see ``mixtures.named``); else it is identified, among all
    languages that the identifier knows: what cannot be told, or was not asked for, is counted by
    what it seems to be. Compressed files are not read.

    Attributes:
        path: file or folder.
        language: tag of all text without a language column.
        name: ``source`` field of the documents; unique among the sources of a run.
        identifier: says what text without a language is, as for ``CollectConfig``.
        untold: tag of text whose language cannot be told; empty: it is left out and counted.
    """

    path: Path
    language: str | None = None
    name: str = "folder"
    identifier: str = DEFAULT_IDENTIFIER
    untold: str = ""

    @cached_property
    def digest(self) -> str:
        """Digest of the files' names and contents, ``language`` and ``name``.

        Raises:
            InputError: there is no readable file.
        """
        root, files = self._files()
        contents = {path.relative_to(root).as_posix(): digest_file(path) for path in files}
        return digest_of(
            {"files": contents, "language": self.language, "name": self.name}
            | ({} if self.identifier == DEFAULT_IDENTIFIER else {"identifier": self.identifier})
            | ({"untold": self.untold} if self.untold else {})
        )

    def documents(self, languages: Collection[str], ledger: Ledger) -> Iterator[Document]:
        """The documents, sorted by file name; text without a language is identified.

        Raises:
            InputError: there is no readable file, a file is not UTF-8, a row is broken, or a
                language is unknown.
        """
        root, files = self._files()
        tag = language(self.language, self.name).tag if self.language else ""
        batch: list[_Row] = []
        readable = [path for path in files if path.suffix.lower() in _READABLE]
        namer = Namer((path.relative_to(root) for path in readable), languages)
        for path in files:
            if path.suffix.lower() not in _READABLE:
                ledger.count("not read: unknown kind of file", 1, path.suffix or path.name)
                continue
            name = path.relative_to(root)
            named = tag or namer.language(name)
            is_unsaid = False
            for row in _rows(path, name.as_posix(), named, ledger):
                is_unsaid |= not row["language"]
                batch.append(row)
                if len(batch) == _BATCH_DOCUMENTS:
                    yield from self._wanted(batch, languages, ledger)
                    batch = []
            if is_unsaid and (part := namer.doubtful(name)):
                ledger.count(DOUBTFUL, 1, part)
        yield from self._wanted(batch, languages, ledger)

    def _files(self) -> tuple[Path, list[Path]]:
        """The folder that names are relative to, and all files sorted by name."""
        root = Path(self.path)
        if root.is_file():
            root, files = root.parent, [root]
        elif root.is_dir():
            paths = (path for path in root.rglob("*") if not _is_hidden(path.relative_to(root)))
            files = sorted(path for path in paths if not path.is_dir())
        else:
            raise InputError(f"{root}: no such file or folder", "check the path")
        broken = [path for path in files if not path.is_file()]
        if broken:
            raise InputError(f"{broken[0]}: neither a file nor a folder", "remove it")
        if not any(path.suffix.lower() in _READABLE for path in files):
            raise InputError(
                f"{self.path}: nothing to read here ({numbered(len(files), 'file')})",
                f"known kinds are {' '.join(sorted(_READABLE))}",
            )
        return root, files

    def _wanted(
        self, rows: list[_Row], languages: Collection[str], ledger: Ledger
    ) -> Iterator[Document]:
        unknown = [row["text"] for row in rows if _can_identify(row)]
        identifier = open_identifier(self.identifier) if unknown else None
        guesses = iter(identifier.guess(unknown) if identifier else ())
        for row in rows:
            tag, doubt = row["language"], ""
            if identifier and _can_identify(row):
                tag, doubt = identifier.settled(next(guesses), _LEAST_PROBABILITY)
                ledger.count(IDENTIFIED, int(tag != ""), tag)
            tag = tag or self.untold
            kept = asked_tag(tag, languages)
            if kept:
                ledger.count(MORE_GENERAL, int(kept != tag), f"{tag} as {kept}")
                yield Document(**(row | {"language": kept, "source": self.name}))
            else:
                ledger.count("read: documents", 1, tag)
                ledger.count(UNASKED if tag else UNTOLD, 1, tag or doubt)


def _is_hidden(name: Path) -> bool:
    return any(part.startswith(".") for part in name.parts)


def _can_identify(row: _Row) -> bool:
    return not row["language"] and len(row["text"]) >= _LEAST_CHARACTERS


def _rows(path: Path, name: str, tag: str, ledger: Ledger) -> Iterator[_Row]:
    kind = path.suffix.lower()
    if kind in _ROWS:
        for number, (where, data) in enumerate(read_dicts(path), start=1):
            row = _table_row(data, where, f"{name}#{number:06d}", name, tag)
            if row["text"].strip():
                yield row
            else:
                ledger.count("read: documents", 1, row["language"])
                ledger.count("dropped: empty text", 1, row["language"])
        return
    is_code = kind in _CODE or tag == CODE.tag
    pieces = code_pieces if is_code else paragraph_pieces
    text = read_text(path)
    if not text.strip():
        ledger.count("dropped: empty file", 1, tag or name)
    for number, piece in enumerate(pieces(text)):
        yield {
            "id": f"{name}#{number:06d}", "language": CODE.tag if is_code else tag, "text": piece,
            "parallel": name if is_code else "",
        }  # fmt: skip


def _table_row(data: dict[str, Any], where: str, number: str, name: str, tag: str) -> _Row:
    """Document fields of a row of JSON lines or Parquet; ``where`` starts every error message."""
    text = data.get("text")
    if not isinstance(text, str):
        problem = "'text' is missing" if text is None else f"'text' is {str(text)[:40]!r}, not text"
        raise InputError(f"{where}: {problem}", f"the columns are {', '.join(map(str, data))}")
    stated_language = _field(data, "language", where)
    row_id = _field(data, "id", where)
    return {
        "id": f"{name}#{row_id}" if row_id else number,
        "language": language(stated_language, where).tag if stated_language else tag,
        "text": text,
        "parallel": _field(data, "parallel", where),
        "license": _field(data, "license", where) or _field(data, "licence", where),
    }


def _field(data: dict[str, Any], key: str, where: str) -> str:
    value = data.get(key)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InputError(f"{where}: {key!r} is {str(value)[:40]!r}", "give text or a whole number")
    return str(value)


def language_lines(ledger: Ledger) -> list[str]:
    """What a reading made of languages that nobody said, and what it left out for them."""
    events = (DOUBTFUL, IDENTIFIED, MORE_GENERAL, UNASKED, UNTOLD)
    return [line for event in events for line in ledger.lines(event)]
