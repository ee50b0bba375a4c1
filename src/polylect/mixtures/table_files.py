"""Files that hold a table: CSV, Parquet or JSON lines, read as they are, and names of columns."""

import csv
import io
import re
from collections.abc import Collection, Sequence
from pathlib import Path

import polars as pl

from polylect.base import InputError, nearest, read_text
from polylect.rows import read_dicts

SHARE, LOSS = "share:", "loss:"
"""What the names of columns of shares and of losses begin with."""
FORM = "columns are run, share:STREAM (they sum to 1), loss:CELL, and seed, scale where there are"

_BEFORE_COLON = re.compile(r"\s*([^\W\d_]+)\s*[:：]\s*(.*?)\s*")
_LIKENESS = 0.75  # of words: "los" and "lsos" are like "loss", "class" is not
_SEPARATORS = {";": "';'", "\t": "a tab", "|": "'|'"}


def read_frame(path: Path, form: str = FORM) -> pl.DataFrame:
    """The rows of a ``.csv``, ``.parquet`` or ``.jsonl`` file as they are.

    Args:
        path: the file.
        form: hint of an error: what its columns are.

    Raises:
        InputError: no such file, or it is broken; a CSV file whose separator is no comma, or with
            two columns of one name.
    """
    if path.suffix.lower() != ".csv":
        rows = [row for _, row in read_dicts(path)]
        return pl.DataFrame(rows, infer_schema_length=None, strict=False)
    text = read_text(path)
    try:
        names = _header(text, path)
        # polars leaves doubled quotes in names as they are.
        return pl.read_csv(io.StringIO(text), infer_schema_length=None, new_columns=names)
    except (pl.exceptions.PolarsError, ValueError, csv.Error) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: {str(error).splitlines()[0]}", form) from None


def _header(text: str, path: Path) -> list[str]:
    """Names of a CSV file's columns.

    Raises:
        InputError: they are separated by something else than commas, or one is there twice.
    """
    by_separator = {
        separator: next(filter(None, csv.reader(io.StringIO(text), delimiter=separator)), [])
        for separator in (",", *_SEPARATORS)
    }
    most = max(by_separator, key=lambda separator: len(by_separator[separator]))
    if most != ",":
        decimal = ", decimal_comma=True" if re.search(r"\d,\d", text) else ""
        raise InputError(
            f"{path}: its columns are separated by {_SEPARATORS[most]}, not by commas"
            + (", and its numbers have decimal commas" if decimal else ""),
            f"python -c \"import polars as p; p.read_csv('{path}', separator={most!r}{decimal})"
            f".write_csv('{path.with_suffix('')}-commas.csv')\"",
        )
    names = by_separator[","]
    for number, name in enumerate(names):
        if name and name in names[:number]:
            raise InputError(f"{path}: two columns are called {name!r}", "rename or remove one")
    return names


def check_nearly_known(columns: Sequence[str], known: Collection[str], where: str) -> None:
    """Refuse columns whose names differ from known ones by letter case, blanks or a typing error.

    Args:
        columns: names of columns.
        known: names of columns that are neither shares nor losses.
        where: begins every error.

    Raises:
        InputError: names the first of them, and what it was meant to be.
    """
    for name in columns:
        if name in known or name.startswith((SHARE, LOSS)):
            continue
        plain = "_".join(name.split()).casefold()
        match = _BEFORE_COLON.fullmatch(name)
        if match and (prefix := _meant_prefix(match[1])):
            raise InputError(f"{where}: column {name!r}", f"did you mean {prefix}{match[2]}?")
        if plain in known:
            raise InputError(f"{where}: column {name!r}", f"did you mean {plain}?")


def _meant_prefix(word: str) -> str:
    """``share:`` or ``loss:`` where a word is like it; else empty."""
    prefix = nearest(word, (SHARE[:-1], LOSS[:-1]), _LIKENESS)
    return f"{prefix}:" if prefix else ""


def joined_tables(mixtures: pl.DataFrame, at: Path, losses: pl.DataFrame, of: Path) -> pl.DataFrame:
    """RegMix's two tables as one: names of columns lose what all of theirs have."""
    for frame, path in ((mixtures, at), (losses, of)):
        if "index" not in frame.columns:
            raise InputError(f"{path}: no column index", "RegMix's tables have one, by which runs"
                             " and losses belong together")  # fmt: skip
    shares = {name: SHARE + name.removeprefix("train_")
              for name in mixtures.columns if name != "index"}  # fmt: skip
    cells = {name: LOSS + name.removeprefix("metric/").removesuffix("_val_loss")
             for name in losses.columns if name != "index"}  # fmt: skip
    ids = pl.col("index").cast(pl.String)
    joined = mixtures.with_columns(ids).join(losses.with_columns(ids), on="index", how="inner",
                                               maintain_order="left")  # fmt: skip
    left_out = mixtures.height + losses.height - 2 * joined.height
    if left_out:
        raise InputError(f"{at} and {of}: {left_out} rows of one are not in the other by index",
                         "give tables of the same runs")  # fmt: skip
    return joined.rename({"index": "run"} | shares | cells)
