"""Datasets of tasks: read from the user's folder, or from the hub where the user allows it."""

import csv
import io
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from polylect.base import (
    InputError,
    did_you_mean,
    digest_file,
    import_optional,
    read_json,
    read_text,
)
from polylect.rows import read_dicts

_HUB_LAYOUTS = (
    "{config}/{split}/*.parquet",  # the hub's own conversion
    "{config}/{split}-*.parquet",
    "data/{config}/{split}-*.parquet",
    "{config}/{split}.jsonl",
    "data/{config}/{split}.jsonl",
)
_CONVERTED = "refs/convert/parquet"
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.parquet$")


def config_of(tag: str) -> str:
    """The usual configuration of a language: its tag, without the script of simplified Chinese."""
    return tag.removesuffix("-Hans")


class Missing(InputError):
    """Something that an evaluation needs is not at hand; a suite names it and goes on."""


class NoData(Missing):
    """A dataset is neither in the folder nor to be downloaded."""


class NoExamples(Missing):
    """Fewer examples than shots."""


class MissingTranslation(Missing):
    """A task has no data in one language; an evaluation counts it and goes on."""


@dataclass(frozen=True)
class Dataset:
    """A published dataset: its names, license and file layouts.

    Attributes:
        name: of its folder below the user's.
        license: as its publisher states it.
        home: URL to get it from.
        hub: its repository on the Hugging Face hub; empty for none.
        layouts: patterns of its files as first published, with ``{config}`` and ``{split}``; the
            hub's layouts are tried after them.
        splits: the first publisher's name of a split, by the hub's name.
        columns: names of the columns of a table without a header.
    """

    name: str
    license: str
    home: str
    hub: str = ""
    layouts: tuple[str, ...] = ()
    splits: Mapping[str, str] = field(default_factory=dict, hash=False)
    columns: tuple[str, ...] = ()

    def patterns(self, config: str, split: str) -> Iterator[str]:
        """Patterns of the files of a configuration and split, the likeliest first."""
        for layout in self.layouts:
            yield layout.format(config=config, split=self.splits.get(split, split))
        for layout in _HUB_LAYOUTS if self.hub else ():
            yield layout.format(config=config, split=split)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a dataset, and its place for error messages."""

    where: str
    data: Mapping[str, Any]

    def text(self, *names: str, blank: bool = False) -> str:
        """The text under the first of ``names`` that is there.

        Raises:
            InputError: none is there, or it is not text, or it is blank where it may not be.
        """
        value = self._value(names)
        if not isinstance(value, str):
            raise InputError(f"{self.where}: {names[0]!r} is {str(value)[:40]!r}, not text")
        if not blank and not value.strip():
            raise InputError(f"{self.where}: {names[0]!r} is empty", "give text, or remove the row")
        return value

    def whole(self, *names: str) -> int:
        """The whole number under the first of ``names`` that is there; digits in text will do.

        Raises:
            InputError: none is there, or it is not a whole number.
        """
        value = self._value(names)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        # One publisher writes 5,600.
        digits = value.strip().replace(",", "") if isinstance(value, str) else ""
        if not re.fullmatch(r"-?[0-9]+", digits):
            raise InputError(f"{self.where}: {names[0]!r} is {value!r}, not a whole number")
        return int(digits)

    def has(self, name: str) -> bool:
        """Whether there is something under ``name``."""
        return self.data.get(name) is not None

    def _value(self, names: Sequence[str]) -> Any:
        for name in names:
            if self.has(name):
                return self.data[name]
        known = ", ".join(map(str, self.data))
        others = [str(name) for name in self.data if name not in names]
        raise InputError(
            f"{self.where}: {names[0]!r} is missing",
            did_you_mean(names[0], others) or f"the columns are {known}",
        )


@dataclass(frozen=True)
class Source:
    """A folder of datasets, the hub, or both.

    Attributes:
        folder: holds a folder for each dataset, or is that of the one dataset.
        hub: whether what is not in the folder may be downloaded.
        digests: SHA-256 of every file that was read, by the dataset and its name in it; no path of
            a machine.
    """

    folder: Path | None
    hub: bool
    digests: dict[str, str] = field(default_factory=dict, compare=False)

    @classmethod
    def at(cls, folder: Path | None, hub: bool = False) -> "Source":
        """The source in a folder.

        Raises:
            InputError: there is no such folder.
        """
        if folder is not None and not folder.is_dir():
            raise InputError(
                f"{folder}: no such folder", "--datasets DIR holds a folder per dataset"
            )
        return cls(folder, hub)

    def fresh(self) -> "Source":
        """The same source without digests, to record the files of one task in one language."""
        return replace(self, digests={})

    def rows(self, dataset: Dataset, config: str, split: str) -> list[Row]:
        """All rows of a configuration and split, in the order of the files.

        Raises:
            MissingTranslation: the dataset is there, but not this part of it.
            InputError: the dataset is not there, or a file is broken.
        """
        return [
            row
            for path in self.files(dataset, config, split)
            for row in read_table(path, dataset.columns)
        ]

    def files(self, dataset: Dataset, config: str, split: str) -> list[Path]:
        """The files of a configuration and split, their digests noted.

        Raises:
            MissingTranslation: the dataset is there, but not this part of it.
            InputError: the dataset is not there, or a shard of it is not.
        """
        root, paths = self._find(dataset, config, split)
        if paths:
            _require_all_shards(paths)
        elif self.hub and dataset.hub:
            root, paths = _download(dataset, config, split)
        elif self._find(dataset, "*", "*")[1]:
            raise MissingTranslation(
                f"{dataset.name}: no file for {config} ({split}) in {root}",
                f"get it from {dataset.home}",
            )
        else:
            raise _no_data(dataset, self.folder, self.hub)
        for path in paths:
            self.note(f"{dataset.name}/{path.relative_to(root).as_posix()}", path)
        return paths

    def has(self, dataset: Dataset, config: str, split: str) -> bool:
        """Whether a configuration and split is in the folder."""
        return bool(self._find(dataset, config, split)[1])

    def note(self, name: str, path: Path) -> None:
        """Note the digest of a file that was read."""
        self.digests[name] = digest_file(path)

    def _find(self, dataset: Dataset, config: str, split: str) -> tuple[Path, list[Path]]:
        """The last folder searched, and its files of a configuration and split."""
        root = Path()
        for root in self._roots(dataset):
            for pattern in dataset.patterns(config, split):
                paths = sorted(path for path in root.glob(pattern) if path.is_file())
                if paths:
                    return root, paths
        return root, []

    def _roots(self, dataset: Dataset) -> Iterator[Path]:
        """The folders in which a dataset may lie."""
        if self.folder is None:
            return
        names = [dataset.name, dataset.hub.rpartition("/")[2], dataset.hub]
        for name in dict.fromkeys(filter(None, names)):
            if (self.folder / name).is_dir():
                yield self.folder / name
        if self.folder.resolve().name in names:
            yield self.folder


def _no_data(dataset: Dataset, folder: Path | None, hub: bool) -> NoData:
    searched = f"looked for {folder / dataset.name}" if folder else "no folder was given"
    if dataset.hub and not hub:
        hint = f"--datasets DIR with {dataset.name} in it, or --hub to download {dataset.hub}"
    else:
        hint = f"get it from {dataset.home} and give --datasets DIR with {dataset.name} in it"
    return NoData(f"{dataset.name}: no data ({searched})", hint)


def _require_all_shards(paths: list[Path]) -> None:
    """Refuse a part of a dataset with missing shards."""
    match = _SHARD.search(paths[0].name)
    if match and len(paths) != int(match[2]):
        raise InputError(
            f"{paths[0].parent}: {len(paths)} of {int(match[2])} shards are there",
            "download the folder again",
        )


def _download(dataset: Dataset, config: str, split: str) -> tuple[Path, list[Path]]:
    """The root of the local copy, and the files of a configuration and split, from the hub."""
    hub = import_optional("huggingface_hub", f"{dataset.name}: a download", "models")
    where = {"repo_type": "dataset", "revision": _CONVERTED}
    try:
        with _online():
            names = sorted(hub.HfApi().list_repo_files(dataset.hub, **where))
            names = [name for name in names if name.startswith(f"{config}/{split}/")]
            paths = [Path(hub.hf_hub_download(dataset.hub, name, **where)) for name in names]
    except Exception as error:  # the hub's client raises many kinds: its own, httpx's, the system's
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:100]
        raise InputError(
            f"{dataset.name}: {dataset.hub} cannot be downloaded ({reason})",
            "check the network, or give --datasets DIR",
        ) from None
    if not paths:
        raise MissingTranslation(
            f"{dataset.name}: {dataset.hub} has no {split} split for {config}",
            f"see {dataset.home}",
        )
    return paths[0].parents[len(Path(names[0]).parts) - 1], paths


@contextmanager
def _online() -> Iterator[None]:
    """Lift the command line's ban on the network: the user asked for a download."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = False
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def read_table(path: Path, columns: Sequence[str] = ()) -> list[Row]:
    """The rows of a Parquet, JSON-lines (also gzipped), JSON, CSV, tab-separated or text file.

    Args:
        path: the suffix says what it is.
        columns: names of the columns of a tab-separated file without a header, or of the lines of
            a text file.

    Raises:
        InputError: the file is broken; names the line.
    """
    if path.suffix.lower() in {".tsv", ".txt", ".dev", ".devtest"}:
        return _tab_separated(path, columns)
    if path.suffix.lower() == ".csv":
        return list(csv_rows(io.StringIO(read_text(path), newline=""), str(path)))
    if path.suffix == ".json":
        value = read_json(path)
        rows = value if isinstance(value, list) else [value]
        if not all(isinstance(row, dict) for row in rows):
            raise InputError(f"{path}: not a list of objects", "download it again")
        return [Row(f"{path}: entry {number}", row) for number, row in enumerate(rows, start=1)]
    return [Row(where, data) for where, data in read_dicts(path)]


def _tab_separated(path: Path, columns: Sequence[str]) -> list[Row]:
    """Not ``splitlines``: text may hold the line separators of Unicode."""
    lines = read_text(path).removesuffix("\n").split("\n")
    cells = [line.removesuffix("\r").split("\t") for line in lines]
    start = 0 if columns else 1
    names = list(columns) or cells[0]
    _check_header(names, str(path))
    rows = []
    for number, line in enumerate(cells[start:], start=start + 1):
        if len(line) != len(names):
            raise InputError(
                f"{path}:{number}: {len(line)} columns, not {len(names)}",
                "separate them by tabs, and leave tabs out of texts",
            )
        rows.append(Row(f"{path}:{number}", dict(zip(names, line, strict=True))))
    return rows


def csv_rows(lines: Iterable[str], path: str) -> Iterator[Row]:
    """The rows of CSV text with a header.

    Args:
        lines: with their line ends.
        path: of the file, for error messages.

    Raises:
        InputError: a row has another number of columns than the header, or the text is no CSV.
    """
    csv.field_size_limit(sys.maxsize)
    rows = csv.DictReader(lines, strict=True)
    try:
        names = rows.fieldnames or ()
        _check_header(names, path)
        if len(names) == 1 and (separator := next((x for x in ";\t|" if x in names[0]), "")):
            raise InputError(
                f"{path}:1: the columns are separated by {separator!r}, not by commas",
                "save it as CSV with commas",
            )
        for row in rows:
            where = f"{path}:{rows.line_num}"
            if None in row or None in row.values():
                raise InputError(
                    f"{where}: not {len(names)} columns",
                    "quote a text that has commas or line ends",
                )
            yield Row(where, row)
    except (UnicodeDecodeError, csv.Error) as error:
        place = f"{path}:{rows.line_num + 1}"
        raise InputError(f"{place}: not CSV in UTF-8 ({error})", "mend the line") from None


def _check_header(names: Sequence[str], path: str) -> None:
    """Refuse a header with a name twice."""
    for name in names:
        if list(names).count(name) > 1:
            raise InputError(f"{path}:1: {list(names).count(name)} columns are called {name!r}",
                             "keep one of them")  # fmt: skip
