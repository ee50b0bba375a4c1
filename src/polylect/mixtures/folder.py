"""The user's own text: a file or a folder of plain text, JSON lines, Parquet and Python files."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from polylect.base import (
    CODE,
    LANGUAGES,
    InputError,
    Ledger,
    digest_file,
    digest_of,
    find_language,
    language,
    read_text,
)
from polylect.mixtures.pieces import code_pieces, paragraph_pieces
from polylect.rows import Document, read_dicts
from polylect.text import identify_all

_TEXT = frozenset({".txt", ".md"})
_ROWS = frozenset({".jsonl", ".ndjson", ".parquet"})
_CODE = frozenset({".py"})
_READABLE = _TEXT | _ROWS | _CODE
_LEAST_CHARACTERS, _LEAST_PROBABILITY = 40, 0.5
_BATCH_DOCUMENTS = 1024

_Row = dict[str, str]
"""A document's fields; an empty language is one still to be identified."""


@dataclass(frozen=True)
class FolderSource:
    """A file, or a folder with all below it (hidden files and folders are not read).

    ``.txt`` and ``.md``: paragraphs, joined to documents of about 2,000 characters. ``.jsonl``,
    ``.ndjson`` and ``.parquet``: a document a row, with ``text`` and, if you like, ``language``,
    ``id``, ``parallel`` (what it shares with its translations) and ``license``; other columns are
    not looked at. ``.py``: program text, language ``code``. Files of other kinds are counted.

    The language of a document: by its column; else ``language``; else by name, when a part of the
    file's name between dots, or a folder inside the source, is a tag (``de.txt``, ``pt_BR/a.md``,
    ``news.de.txt``); else identified. It does not read compressed files.

    Attributes:
        path: file or folder.
        language: tag of all text without a language column.
        name: what the documents carry as source; two sources need two names.
    """

    path: Path
    language: str | None = None
    name: str = "folder"

    @cached_property
    def digest(self) -> str:
        """Digest of the files' names and contents, and of what is said about the language.

        Raises:
            InputError: there is nothing to read.
        """
        root, files = self._files()
        contents = {path.relative_to(root).as_posix(): digest_file(path) for path in files}
        return digest_of({"files": contents, "language": self.language, "name": self.name})

    def documents(self, languages: Collection[str], ledger: Ledger) -> Iterator[Document]:
        """The documents in order of file names; text without a language is identified.

        Raises:
            InputError: nothing is there or nothing readable, a file that is not UTF-8, a broken
                row, an unknown language.
        """
        root, files = self._files()
        tag = language(self.language, self.name).tag if self.language else ""
        batch: list[_Row] = []
        for path in files:
            if path.suffix.lower() not in _READABLE:
                ledger.count("not read: unknown kind of file", 1, path.suffix or path.name)
                continue
            name = path.relative_to(root)
            for row in _rows(path, name.as_posix(), tag or _named(name), ledger):
                batch.append(row)
                if len(batch) == _BATCH_DOCUMENTS:
                    yield from self._wanted(batch, languages, ledger)
                    batch = []
        yield from self._wanted(batch, languages, ledger)

    def _files(self) -> tuple[Path, list[Path]]:
        """The folder that names are relative to, and all files, by name."""
        root = Path(self.path)
        if root.is_file():
            root, files = root.parent, [root]
        elif root.is_dir():
            found = (one for one in root.rglob("*") if not _is_hidden(one.relative_to(root)))
            files = sorted(one for one in found if not one.is_dir())
        else:
            raise InputError(f"{root}: no such file or folder", "check the path")
        broken = [one for one in files if not one.is_file()]
        if broken:
            raise InputError(f"{broken[0]}: neither a file nor a folder", "remove it")
        if not any(one.suffix.lower() in _READABLE for one in files):
            raise InputError(
                f"{self.path}: nothing to read here ({len(files)} files)",
                f"known kinds are {' '.join(sorted(_READABLE))}",
            )
        return root, files

    def _wanted(
        self, rows: list[_Row], languages: Collection[str], ledger: Ledger
    ) -> Iterator[Document]:
        unknown = [row["text"] for row in rows if _can_identify(row)]
        found = identify_all(unknown, LANGUAGES.values())
        for row in rows:
            tag = row["language"]
            if _can_identify(row):
                best, probability = next(found)
                tag = best.tag if best and probability >= _LEAST_PROBABILITY else ""
            if tag in languages:
                yield Document(**(row | {"language": tag, "source": self.name}))
            else:
                reason = "language not asked for" if tag else "language not identified"
                ledger.count("read: documents", 1, tag)
                ledger.count(f"dropped: {reason}", 1, tag)


def _is_hidden(name: Path) -> bool:
    return any(part.startswith(".") for part in name.parts)


def _can_identify(row: _Row) -> bool:
    return not row["language"] and len(row["text"]) >= _LEAST_CHARACTERS


def _named(name: Path) -> str:
    """The tag that a file's name says, or the nearest folder's; nothing when none does."""
    parts = [*reversed(name.name.split(".")[:-1]), *reversed(name.parts[:-1])]
    found = (find_language(part) for part in parts)
    return next((one.tag for one in found if one), "")


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
    for number, piece in enumerate(pieces(read_text(path))):
        yield {
            "id": f"{name}#{number:06d}", "language": CODE.tag if is_code else tag, "text": piece,
            "parallel": name if is_code else "",
        }  # fmt: skip


def _table_row(data: dict[str, Any], where: str, number: str, name: str, tag: str) -> _Row:
    """The fields of a row of JSON lines or Parquet; ``where`` begins every error."""
    text = data.get("text")
    if not isinstance(text, str):
        problem = "'text' is missing" if text is None else f"'text' is {str(text)[:40]!r}, not text"
        raise InputError(f"{where}: {problem}", f"the columns are {', '.join(map(str, data))}")
    said = _field(data, "language", where)
    own = _field(data, "id", where)
    return {
        "id": f"{name}#{own}" if own else number,
        "language": language(said, where).tag if said else tag,
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
