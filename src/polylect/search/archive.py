"""The archive of a search: every candidate with all its scores, in one Parquet file."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from polylect.base import InputError, atomic_file, canonical_json
from polylect.rows import ScoreTable

Vector = tuple[float, ...]
"""A candidate: one number for each label of the archive, e.g. a merge weight or a bit width."""

_META = b"polylect.search"
_SCORE = pa.struct(
    [
        ("task", pa.string()),
        ("language", pa.string()),
        ("metric", pa.string()),
        ("value", pa.float64()),
        ("items", pa.int64()),
        ("invalid", pa.int64()),
    ]
)
_SCHEMA = pa.schema(
    [
        ("number", pa.int64()),
        ("stage", pa.string()),
        ("round", pa.int64()),
        ("weights", pa.list_(pa.float64())),
        ("scores", pa.list_(_SCORE)),
    ]
)


@dataclass(frozen=True, slots=True)
class Score:
    """The mean of one task in one language.

    Attributes:
        task: ``name@version``.
        language: tag.
        metric: its name.
        value: weighted mean over valid items; None without valid items or if it is not finite.
        items: number of valid items.
        invalid: number of items left out of the mean.
    """

    task: str
    language: str
    metric: str
    value: float | None
    items: int
    invalid: int


@dataclass(frozen=True, slots=True)
class Entry:
    """An evaluated candidate.

    Attributes:
        number: its index in the archive, from 0.
        stage: what asked for it first, e.g. ``baselines`` or ``cma``.
        round: the generation it was asked for in.
        vector: the candidate; the column ``weights`` of the file.
        scores: sorted by task, language and metric.
    """

    number: int
    stage: str
    round: int
    vector: Vector
    scores: tuple[Score, ...]


class Archive:
    """All candidates of a search, in the order in which they were asked for; only ever appended to.

    The file is rewritten as a whole after every addition and replaced by one rename: a kill loses
    only what was being evaluated, and a concurrent reader sees the old file or the new one. Equal
    entries give equal bytes.

    Attributes:
        path: the Parquet file.
        labels: names of the coordinates of a candidate, e.g. of the merged models.
        identity: what decides a candidate's scores besides its vector.
        entries: the evaluated candidates.
    """

    def __init__(self, path: Path, labels: Sequence[str], identity: Mapping[str, Any]) -> None:
        """Open the archive of a search, or begin a new one.

        Args:
            path: the file; it need not exist.
            labels: names of the coordinates of a candidate.
            identity: what decides a candidate's scores besides its vector: digests of the models,
                merge method, items and settings of the evaluation; plain JSON values.

        Raises:
            InputError: the file is not an archive, or belongs to another search.
        """
        self.path = path
        self.labels = tuple(labels)
        self.entries: list[Entry] = []
        self._numbers: dict[Vector, int] = {}
        self._metadata = canonical_json({"labels": list(labels), "identity": dict(identity)})
        self.identity: dict[str, Any] = json.loads(self._metadata)["identity"]
        if path.exists():
            table, metadata = _read(path)
            _check_same_search(path, metadata, json.loads(self._metadata))
            self._append(_entries(table))

    @classmethod
    def read(cls, path: Path) -> "Archive":
        """Open an existing archive, whatever search it belongs to.

        Raises:
            InputError: the file is missing or not an archive.
        """
        if not path.is_file():
            raise InputError(f"{path}: no such file", "check the path")
        _, metadata = _read(path)
        return cls(path, metadata["labels"], metadata["identity"])

    def __len__(self) -> int:
        return len(self.entries)

    def find(self, vector: Sequence[float]) -> Entry | None:
        """The entry of exactly this candidate, or None."""
        number = self._numbers.get(tuple(vector))
        return None if number is None else self.entries[number]

    def of(self, *stages: str) -> list[Entry]:
        """The entries that these stages were the first to ask for, in order."""
        return [entry for entry in self.entries if entry.stage in stages]

    def add(self, scored: Sequence[tuple[Vector, ScoreTable]], stage: str, round_: int) -> None:
        """Append candidates with their scores, and write the file.

        Raises:
            InputError: a table has no rows, or other tasks, languages or metrics than the first.
            StorageError: the disk is full or the folder cannot be written.
        """
        new: list[Entry] = []
        for vector, table in scored:
            assert len(vector) == len(self.labels), f"{len(vector)} numbers"
            assert vector not in self._numbers, f"{vector} is in the archive already"
            scores = summarize(table)
            self._check_scores(scores, [*self.entries, *new][:1])
            new.append(Entry(len(self) + len(new), stage, round_, vector, scores))
        self._append(new)
        self._write()

    def _check_scores(self, scores: tuple[Score, ...], first: Sequence[Entry]) -> None:
        if not scores:
            raise InputError("the objective gave a table without rows", "check its items")
        if first:
            expected, actual = map(_keys, (first[0].scores, scores))
            if expected != actual:
                odd = sorted({*expected} ^ {*actual})[0]
                raise InputError(
                    f"the objective gave other scores than before (first: {' '.join(odd)})",
                    "score every candidate on the same items",
                )

    def _append(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self.entries.append(entry)
            self._numbers[entry.vector] = entry.number

    def _write(self) -> None:
        rows = [
            {
                "number": entry.number,
                "stage": entry.stage,
                "round": entry.round,
                "weights": list(entry.vector),
                "scores": [
                    {name: getattr(score, name) for name in Score.__slots__}
                    for score in entry.scores
                ],
            }
            for entry in self.entries
        ]
        schema = _SCHEMA.with_metadata({_META: self._metadata.encode()})
        with atomic_file(self.path) as temporary:
            pq.write_table(pa.Table.from_pylist(rows, schema), temporary, compression="zstd")


def summarize(table: ScoreTable) -> tuple[Score, ...]:
    """A candidate's scores: the weighted mean of every task, language and metric."""
    columns = ("task", "language", "metric")
    ordered = ScoreTable(table.frame.sort(*columns, "group", "item"))
    return tuple(
        Score(
            row["task"],
            row["language"],
            row["metric"],
            row["value"] if row["value"] is not None and math.isfinite(row["value"]) else None,
            int(row["items"]),
            int(row["invalid"]),
        )
        for row in ordered.by(*columns).iter_rows(named=True)
    )


def _read(path: Path) -> tuple[pa.Table, dict[str, Any]]:
    """The table of an archive, and its metadata.

    The bytes are read once: pyarrow opens a path several times, and a search may replace the file
    in between.
    """
    try:
        table = pq.read_table(pa.BufferReader(path.read_bytes()))
        return table, json.loads((table.schema.metadata or {})[_META])
    except (pa.ArrowException, OSError, KeyError, ValueError):
        raise InputError(
            f"{path}: not the archive of a search", "remove it, or choose another folder"
        ) from None


def _entries(table: pa.Table) -> list[Entry]:
    return [
        Entry(
            row["number"],
            row["stage"],
            row["round"],
            tuple(row["weights"]),
            tuple(Score(**score) for score in row["scores"]),
        )
        for row in table.to_pylist()
    ]


def _check_same_search(path: Path, stored: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    if stored["labels"] != expected["labels"]:
        raise InputError(
            f"{path}: an archive of the models {', '.join(stored['labels'])}",
            "choose another folder",
        )
    theirs, ours = stored["identity"], expected["identity"]
    for key in sorted({*ours, *theirs}):
        if ours.get(key) != theirs.get(key):
            raise InputError(
                f"{path}: an archive of another search ({key} differs)", "choose another folder"
            )


def _keys(scores: Sequence[Score]) -> list[tuple[str, str, str]]:
    return [(score.task, score.language, score.metric) for score in scores]
