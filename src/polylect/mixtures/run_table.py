"""The table of trained runs: what each was trained on, and its loss on every kind of text.

A wide table, one row per run, in Parquet, JSON lines or CSV. Whoever trained the runs can write
it; a law is fitted to it.

========================  =====================================================================
column                    meaning
========================  =====================================================================
``run``                   its name; every row has another
``variant, cooldown``     of the plan (optional)
``seed``                  (optional, default 0)
``scale``                 factor on tokens and parameters (optional, default 1)
``tokens``                that it was trained on (optional)
``num_parameters``        of its model (optional)
``share:STREAM``          fraction of all its tokens that came from a stream; these sum to 1
``share:STAGE/STREAM``    fraction of all its tokens that came from a stream in a stage (optional);
                          over the stages they sum to ``share:STREAM``
``loss:CELL``             bits per byte or nats, above 0, less is better (an accuracy is none: give
                          ``1 - accuracy``); a cell is a language, a stream, or
                          ``STREAM/LANGUAGE``
========================  =====================================================================
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from polylect.base import InputError, atomic_file, check_known, digest_of
from polylect.mixtures.table_files import (
    FORM,
    LOSS,
    SHARE,
    check_nearly_known,
    joined_tables,
    read_frame,
)

Floats = NDArray[np.float64]

RUNS_FILE = "runs.parquet"
"""Where a recipe's folder keeps its table."""

_ROUNDING = 0.01
"""Shares whose sum is this near to 1 were rounded (RegMix writes 17 of them to three digits)."""
_EXACT = 1e-9
_TEXTS = {"run": "", "variant": "", "cooldown": ""}
_INTEGERS: dict[str, int | None] = {"seed": 0, "tokens": None, "num_parameters": None}
_KNOWN = (*_TEXTS, *_INTEGERS, "scale")


@dataclass(frozen=True)
class RunTable:
    """Trained runs.

    Attributes:
        frame: as the module says; ``variant``, ``cooldown``, ``seed``, ``scale``, ``tokens`` and
            ``num_parameters`` are always there, and shares sum to 1 within rounding.
    """

    frame: pl.DataFrame

    @cached_property
    def runs(self) -> tuple[str, ...]:
        """Names of the runs."""
        return tuple(self.frame["run"])

    @cached_property
    def streams(self) -> tuple[str, ...]:
        """Names of the streams."""
        return _split_shares(self.frame.columns)[0]

    @cached_property
    def stage_streams(self) -> tuple[str, ...]:
        """``STAGE/STREAM`` of the shares by stage; empty where the table has none."""
        return _split_shares(self.frame.columns)[1]

    @cached_property
    def cells(self) -> tuple[str, ...]:
        """Names of the kinds of text whose loss was measured."""
        return tuple(name.removeprefix(LOSS) for name in self.frame.columns
                     if name.startswith(LOSS))  # fmt: skip

    @property
    def unread(self) -> tuple[str, ...]:
        """Names of the columns that nothing is made of."""
        return tuple(name for name in self.frame.columns
                     if name not in _KNOWN and not name.startswith((SHARE, LOSS)))  # fmt: skip

    @cached_property
    def scales(self) -> tuple[float, ...]:
        """Scales of the runs, rising."""
        return tuple(sorted(set(self.frame["scale"])))

    @property
    def digest(self) -> str:
        """Digest of its content."""
        return digest_of([self.frame.columns, [list(row) for row in self.frame.rows()]])

    def shares(self, streams: Sequence[str] | None = None) -> Floats:
        """Shares [runs, streams]; of all streams unless some are named, or ``STAGE/STREAM``.

        Raises:
            InputError: there is no such stream.
        """
        return self._values(SHARE, (*self.streams, *self.stage_streams), streams or self.streams)

    def losses(self, cells: Sequence[str] | None = None) -> Floats:
        """Losses [runs, cells]; of all cells unless some are named.

        Raises:
            InputError: there is no such cell.
        """
        return self._values(LOSS, self.cells, cells or self.cells)

    def mixtures(self) -> NDArray[np.int64]:
        """Number of the mixture of every run [runs], from 0 in order of appearance.

        Runs of equal shares (in every stage, to six digits) are of one mixture, whatever their
        seed and scale.
        """
        names = [SHARE + name for name in (*self.streams, *self.stage_streams)]
        numbers: dict[tuple[float, ...], int] = {}
        rows = self.frame.select(pl.col(names).round(6)).rows()
        return np.array([numbers.setdefault(row, len(numbers)) for row in rows], dtype=np.int64)

    def at_scale(self, scale: float) -> "RunTable":
        """The runs of one scale.

        Raises:
            InputError: there are none.
        """
        if scale not in self.scales:
            known = ", ".join(f"{value:g}" for value in self.scales)
            raise InputError(f"no runs at scale {scale:g}", f"there are runs at {known}")
        return RunTable(self.frame.filter(pl.col("scale") == scale))

    def _values(self, prefix: str, known: Sequence[str], names: Sequence[str]) -> Floats:
        for name in names:
            check_known(name, known, f"the table of runs has no {prefix}{name}")
        return self.frame.select([prefix + name for name in names]).to_numpy().astype(np.float64)


def read_run_table(path: Path | str, losses: Path | str | None = None) -> RunTable:
    """The runs in a table, or in the folder of a finished recipe.

    RegMix's pair of tables is read too: a table of mixtures (``index`` and a column per stream) and
    one of losses (``index`` and ``metric/CELL_val_loss``), joined by ``index``.

    Args:
        path: ``.parquet``, ``.jsonl``, ``.ndjson`` or ``.csv``, or a folder with ``runs.parquet``.
        losses: RegMix's table of losses; ``path`` is its table of mixtures then.

    Raises:
        InputError: no such file, no shares or losses in it, or a value that cannot be; names the
            run and the column.
    """
    place = Path(path)
    if place.is_dir():
        if not (place / RUNS_FILE).is_file():
            raise InputError(
                f"{place}: no {RUNS_FILE} in this folder",
                "give the folder of a finished recipe of mixtures, or a table of runs",
            )
        place = place / RUNS_FILE
    frame = read_frame(place)
    if losses is not None:
        frame = joined_tables(frame, place, read_frame(Path(losses)), Path(losses))
    return as_run_table(frame, str(path))


def write_run_table(frame: pl.DataFrame, path: Path) -> None:
    """Write runs as ``.parquet``, ``.jsonl`` or ``.csv``; checked as they are when read.

    Raises:
        InputError: a value that cannot be, or another kind of file.
    """
    checked = as_run_table(frame, str(path)).frame
    with atomic_file(path) as temporary:
        if path.suffix == ".parquet":
            checked.write_parquet(temporary, compression="zstd")
        elif path.suffix in {".jsonl", ".ndjson"}:
            checked.write_ndjson(temporary)
        elif path.suffix == ".csv":
            checked.write_csv(temporary)
        else:
            raise InputError(f"{path}: unknown kind of file {path.suffix!r}",
                             "use .parquet, .jsonl or .csv")  # fmt: skip


def as_run_table(frame: pl.DataFrame, where: str = "runs") -> RunTable:
    """A checked table of runs.

    Args:
        frame: as the module says.
        where: begins every error.

    Raises:
        InputError: a column is missing or nearly called like one that is known, or a value cannot
            be; names the run and the column.
    """
    if not frame.height:
        raise InputError(f"{where}: no runs", FORM)
    if "run" not in frame.columns:
        frame = frame.with_columns(run=pl.Series([str(n + 1) for n in range(frame.height)]))
    check_nearly_known(frame.columns, _KNOWN, where)
    streams, stage_streams = _split_shares(frame.columns)
    cells = [name for name in frame.columns if name.startswith(LOSS)]
    if not streams or not cells:
        missing = f"no column {SHARE}STREAM" if not streams else f"no column {LOSS}CELL"
        raise InputError(f"{where}: {missing}; it has {', '.join(frame.columns[:6])}", FORM)
    names = [str(name) for name in frame["run"]]
    again = next((name for name, num in Counter(names).items() if num > 1), None)
    if again is not None:
        raise InputError(f"{where}: two runs are called {again!r}", "give every run its own name")
    columns: dict[str, pl.Series] = {
        name: frame[name].cast(pl.String).fill_null(default) if name in frame.columns
        else pl.Series([default] * frame.height, dtype=pl.String)
        for name, default in _TEXTS.items()
    }  # fmt: skip
    for name, default in _INTEGERS.items():
        columns[name] = (_numbers(frame, name, names, where, may_miss=True).round().cast(pl.Int64)
                         if name in frame.columns
                         else pl.Series([default] * frame.height, dtype=pl.Int64))  # fmt: skip
    columns["seed"] = columns["seed"].fill_null(0)
    if "scale" in frame.columns:
        columns["scale"] = _numbers(frame, "scale", names, where, least=0.0, above=True)
    else:
        columns["scale"] = pl.Series([1.0] * frame.height)
    for name in (*streams, *stage_streams):
        columns[SHARE + name] = _numbers(frame, SHARE + name, names, where, least=0.0)
    for name in cells:
        columns[name] = _numbers(frame, name, names, where, least=0.0, above=True)
    others = [name for name in frame.columns if name not in columns]
    made = pl.DataFrame([series.alias(name) for name, series in columns.items()])
    made = made.hstack(frame.select(others)) if others else made
    return RunTable(_normalized(made, streams, stage_streams, where))


def _normalized(
    frame: pl.DataFrame, streams: Sequence[str], stage_streams: Sequence[str], where: str
) -> pl.DataFrame:
    """The frame with shares that sum to 1, and those of stages to their streams'."""
    shares = frame.select([SHARE + name for name in streams]).to_numpy()
    sums = shares.sum(axis=1)
    worst = int(np.argmax(np.abs(sums - 1)))
    if abs(sums[worst] - 1) > _ROUNDING:
        percent = abs(sums[worst] - 100) <= 100 * _ROUNDING
        raise InputError(
            f"{where}: run {frame['run'][worst]!r}: its shares sum to {sums[worst]:g}",
            "give fractions, not per cent" if percent else "give shares that sum to 1",
        )
    # What sums to 1 already stays as it is, bit for bit.
    shares = np.where(np.abs(sums - 1)[:, None] > _EXACT, shares / sums[:, None], shares)
    columns = dict(zip(streams, shares.T, strict=True))
    staged: dict[str, np.ndarray] = {}
    for stream in streams:
        parts = [name for name in stage_streams if name.partition("/")[2] == stream]
        if not parts:
            if stage_streams and float(columns[stream].max()) > _ROUNDING:
                raise InputError(f"{where}: no column {SHARE}STAGE/{stream}, though other streams"
                                 " have theirs", "give every stream's, or none")  # fmt: skip
            continue
        values = frame.select([SHARE + name for name in parts]).to_numpy()
        off = np.abs(values.sum(axis=1) - columns[stream])
        if off.max() > _ROUNDING:
            row = int(np.argmax(off))
            raise InputError(
                f"{where}: run {frame['run'][row]!r}: its shares of {stream!r} by stage sum to"
                f" {values[row].sum():g}, not to {columns[stream][row]:g}",
                "give them as fractions of the whole run",
            )
        whole = values.sum(axis=1, keepdims=True)
        even = np.full_like(values, 1 / len(parts))
        split = np.divide(values, whole, out=even, where=whole > 0) * columns[stream][:, None]
        staged |= dict(zip(parts, np.where(off[:, None] > _EXACT, split, values).T, strict=True))
    return frame.with_columns(
        pl.Series(SHARE + name, values) for name, values in {**columns, **staged}.items()
    )


def _split_shares(columns: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of streams, and ``STAGE/STREAM``: what has a stream's name behind its first slash."""
    names = [name.removeprefix(SHARE) for name in columns if name.startswith(SHARE)]
    staged = tuple(name for name in names if name.partition("/")[2] in names)
    return tuple(name for name in names if name not in staged), staged


def _numbers(
    frame: pl.DataFrame,
    column: str,
    runs: Sequence[str],
    where: str,
    *,
    least: float = -np.inf,
    above: bool = False,
    may_miss: bool = False,
) -> pl.Series:
    """A column as numbers, each finite and in its range."""
    series = frame[column]
    values = series.cast(pl.Float64, strict=False)
    array = values.fill_null(np.nan).to_numpy()
    bad = ~np.isfinite(array) | (array < least) | (above & (array <= least))
    if may_miss:
        bad &= ~series.is_null().to_numpy()
    if bad.any():
        row = int(np.argmax(bad))
        value = series[row]
        shown = "no value" if value is None else repr(value)
        wanted = "above 0" if above else "of 0 and more" if least == 0 else "that is finite"
        raise InputError(f"{where}: run {runs[row]!r}: {column}: {shown}",
                         f"give a number {wanted}, or leave the run out")  # fmt: skip
    return values
