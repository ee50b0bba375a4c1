"""The archive: every weight vector with every score, in one Parquet file; all follows from it."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from polylect.base import InputError, atomic_file, canonical_json, digest_of
from polylect.rows import ScoreTable
from polylect.search.weight_map import Weights

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
        value: weighted mean over valid items; None where there is none, or it is not finite.
        items: valid items.
        invalid: items that were not averaged.
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
        number: its place in the archive, from 0.
        stage: who asked for it first, e.g. ``baselines`` or ``cma``.
        round: in which generation.
        weights: one for each model.
        scores: in order of task, language and metric.
    """

    number: int
    stage: str
    round: int
    weights: Weights
    scores: tuple[Score, ...]


class Archive:
    """All candidates of a search, in the order in which they were asked for; only ever longer.

    The file is written whole after every addition, and appears by one rename: a kill loses what was
    being evaluated and nothing else. Equal entries give equal bytes.

    Attributes:
        path: the Parquet file.
        labels: what the models are called, in the order of the weights.
        entries: the candidates.
    """

    def __init__(self, path: Path, labels: Sequence[str], identity: Mapping[str, Any]) -> None:
        """Open the archive of a search, or begin it.

        Args:
            path: the file; it need not exist.
            labels: of the models.
            identity: what decides a candidate's scores besides its weights: digests of the models,
                merge method, items and settings of the evaluation; plain JSON values.

        Raises:
            InputError: the file is not an archive, or one of another search.
        """
        self.path = path
        self.labels = tuple(labels)
        self.entries: list[Entry] = []
        self._meta = canonical_json({"labels": list(labels), "identity": dict(identity)})
        self._numbers: dict[Weights, int] = {}
        if path.exists():
            self._take(_read(path, self._meta))

    @classmethod
    def read(cls, path: Path) -> "Archive":
        """An archive as it lies there, to look at or to go on with.

        Raises:
            InputError: the file is missing or not an archive.
        """
        if not path.is_file():
            raise InputError(f"{path}: no such file", "check the path")
        meta = _meta_of(path)
        return cls(path, meta["labels"], meta["identity"])

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def identity(self) -> dict[str, Any]:
        """What decides a candidate's scores besides its weights."""
        return json.loads(self._meta)["identity"]

    @property
    def digest(self) -> str:
        """Digest of the content."""
        return digest_of([self._meta, list(self.entries)])

    def find(self, weights: Sequence[float]) -> Entry | None:
        """The entry of exactly these weights."""
        number = self._numbers.get(tuple(weights))
        return None if number is None else self.entries[number]

    def of(self, *stages: str) -> list[Entry]:
        """The entries that these stages were the first to ask for, in order."""
        return [one for one in self.entries if one.stage in stages]

    def add(self, found: Sequence[tuple[Weights, ScoreTable]], stage: str, round_: int) -> None:
        """Append candidates with their scores, and write the file.

        Raises:
            InputError: a table has no rows, or other tasks, languages or metrics than the first.
            StorageError: the disk is full or the folder cannot be written.
        """
        fresh: list[Entry] = []
        for weights, table in found:
            assert len(weights) == len(self.labels), f"{len(weights)} weights"
            assert weights not in self._numbers, f"{weights} are there already"
            scores = summarize(table)
            self._check(scores, [*self.entries, *fresh][:1])
            fresh.append(Entry(len(self) + len(fresh), stage, round_, weights, scores))
        self._take(fresh)
        self._write()

    def _check(self, scores: tuple[Score, ...], first: Sequence[Entry]) -> None:
        if not scores:
            raise InputError("the objective gave a table without rows", "check its items")
        if first:
            ours, theirs = ([_key(one) for one in part] for part in (first[0].scores, scores))
            if ours != theirs:
                odd = sorted({*ours} ^ {*theirs})[0]
                raise InputError(
                    f"the objective gave other scores than before (first: {' '.join(odd)})",
                    "score every candidate on the same items",
                )

    def _take(self, entries: Sequence[Entry]) -> None:
        for one in entries:
            self.entries.append(one)
            self._numbers[one.weights] = one.number

    def _write(self) -> None:
        rows = [
            {
                "number": one.number,
                "stage": one.stage,
                "round": one.round,
                "weights": list(one.weights),
                "scores": [
                    {name: getattr(score, name) for name in Score.__slots__} for score in one.scores
                ],
            }
            for one in self.entries
        ]
        schema = _SCHEMA.with_metadata({_META: self._meta.encode()})
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


def _key(score: Score) -> tuple[str, str, str]:
    return score.task, score.language, score.metric


def _meta_of(path: Path) -> dict[str, Any]:
    try:
        schema = pq.read_schema(path)
        meta = json.loads((schema.metadata or {})[_META])
    except (pa.ArrowException, OSError, KeyError, ValueError):
        raise InputError(
            f"{path}: not the archive of a search", "remove it, or choose another folder"
        ) from None
    return meta


def _read(path: Path, meta: str) -> list[Entry]:
    there = _meta_of(path)
    asked = json.loads(meta)
    if there["labels"] != asked["labels"]:
        raise InputError(
            f"{path}: an archive of the models {', '.join(there['labels'])}",
            "choose another folder",
        )
    if there["identity"] != asked["identity"]:
        ours, theirs = there["identity"], asked["identity"]
        odd = next(key for key in sorted({*ours, *theirs}) if ours.get(key) != theirs.get(key))
        raise InputError(f"{path}: an archive of another search ({odd} differs)",
                         "choose another folder")  # fmt: skip
    return [
        Entry(
            row["number"],
            row["stage"],
            row["round"],
            tuple(row["weights"]),
            tuple(Score(**score) for score in row["scores"]),
        )
        for row in pq.read_table(path).to_pylist()
    ]
