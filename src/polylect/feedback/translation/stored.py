"""Translations that lie in files: a table of them, or parallel text line by line."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from polylect.base import InputError, Ledger, language, read_text
from polylect.feedback.translation.cutting import cut
from polylect.feedback.translation.protocol import Pair, Traits, nearest_pair
from polylect.rows import columns_of, language_cell, read_dicts
from polylect.runs import Files, Reporter

PARALLEL = "parallel:"
"""What names a folder of parallel text: ``parallel:DIR``."""
IN_PARTS = "put together: translations of a text's sentences"
"""Ledger event: the text itself is not in the file, but all of its lines or sentences are."""
ABSENT = "not in the file: a translation"
_COLUMNS = ("source_text", "source_language", "language", "translation")
_PARTS = Traits(by_line=True, longest=1, marks=False)

Table = Mapping[Pair, Mapping[str, str]]
"""Translations by pair of languages and by text."""


@dataclass(frozen=True)
class StoredSource:
    """Stored translations.

    Attributes:
        name: as the user named it.
        path: a table with the columns source_text, source_language, language and translation
            (JSON lines, Parquet, or tab-separated with a head); or a folder of parallel text.
        is_parallel: whether it is a folder of parallel text: ``*.CODE.txt``, a file per language,
            in which equal lines are translations of each other.
    """

    name: str
    path: Path
    is_parallel: bool = False

    traits = Traits(longest=1 << 40, marks=False)

    @cached_property
    def files(self) -> dict[str, Path]:
        """The files of parallel text by language.

        Raises:
            InputError: there are not two.
        """
        files: dict[str, Path] = {}
        for file in sorted(self.path.glob("*.txt")):
            try:
                files.setdefault(language(file.stem.rpartition(".")[2]).tag, file)
            except InputError:
                continue
        if len(files) < 2:
            raise InputError(
                f"{self.path}: no two files NAME.CODE.txt of parallel text",
                "name them by language, for example news.deu.txt and news.eng.txt",
            )
        return files

    @cached_property
    def table(self) -> Table:
        """The translations of a table.

        Raises:
            InputError: a row does not fit, or a text has two translations.
        """
        table: dict[Pair, dict[str, str]] = {}
        for place, row in _rows(self.path):
            for column in _COLUMNS:
                if not isinstance(row.get(column), str):
                    raise InputError(f"{place}: {column!r} is missing", columns_of(row))
            pair = (language(row["source_language"], place).tag, language_cell(row, place, ""))
            text, translation = row["source_text"].strip(), row["translation"].strip()
            earlier = table.setdefault(pair, {}).setdefault(text, translation)
            if earlier != translation:
                raise InputError(
                    f"{place}: {text[:40]!r} has another translation from {pair[0]} to {pair[1]}"
                    " above",
                    "keep one of them",
                )
        return table

    @property
    def digest(self) -> str:
        """Digest of the file or folder."""
        return Files(self.path).digest

    def pairs(self) -> frozenset[Pair]:
        """The pairs in the file; of parallel text, every two of its languages."""
        if self.is_parallel:
            return frozenset((a, b) for a in self.files for b in self.files if a != b)
        return frozenset(self.table)

    def limited(self, pairs: Iterable[Pair]) -> "StoredSource":
        """The same."""
        return self

    def open(self, work: Path, report: Reporter, ledger: Ledger) -> "Stored":
        """The translator."""
        return Stored(self, ledger)

    def of_pair(self, source: str, target: str) -> Mapping[str, str]:
        """Translation by text; of equal lines of parallel text the first.

        Raises:
            InputError: two files of parallel text have unequal numbers of lines.
        """
        pair = nearest_pair(self.pairs(), source, target)
        assert pair is not None, "pairs are checked before"
        if not self.is_parallel:
            return self.table[pair]
        first, second = ([line.strip() for line in read_text(self.files[tag]).split("\n")]
                         for tag in pair)  # fmt: skip
        if len(first) != len(second):
            raise InputError(
                f"{self.files[pair[1]]}: {len(second)} lines, {self.files[pair[0]]} has"
                f" {len(first)}",
                "line N of one must be the translation of line N of the other",
            )
        table: dict[str, str] = {}
        for text, translation in zip(first, second, strict=True):
            table.setdefault(text, translation)
        return table


@dataclass(frozen=True)
class Stored:
    """The translator: a text as a whole, or by lines and sentences that are all there."""

    source: StoredSource
    ledger: Ledger

    def __call__(self, texts: Sequence[str], source: str, target: str) -> list[str | None]:
        """The translations; see ``Translator``."""
        table = self.source.of_pair(source, target)
        return [self._translation(text, table, target) for text in texts]

    def _translation(self, text: str, table: Mapping[str, str], target: str) -> str | None:
        if (whole := table.get(text)) is not None:
            return whole or None
        parts = [
            table.get(piece.unit, "") if piece.unit else piece.text for piece in cut(text, _PARTS)
        ]
        if all(parts):
            self.ledger.count(IN_PARTS, 1, target)
            return "".join(parts)
        self.ledger.count(ABSENT, 1, target)
        return None


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    if path.suffix.lower() != ".tsv":
        yield from read_dicts(path)
        return
    lines = csv.reader(io.StringIO(read_text(path)), delimiter="\t", quoting=csv.QUOTE_NONE)
    head = next(lines, [])
    for number, cells in enumerate(lines, start=2):
        if len(cells) != len(head):
            raise InputError(
                f"{path}:{number}: {len(cells)} cells, the head has {len(head)}",
                "a line is source_text, source_language, language, translation between tabs",
            )
        yield f"{path}:{number}", dict(zip(head, cells, strict=True))
