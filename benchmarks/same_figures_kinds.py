"""Every kind of file as rows of figures, and what is left out of them, each with its reason."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from same_figures_names import Names

NOT_COMPARED = {
    "log.txt": "times, processes and the like: what cannot repeat",
    "volatile.json": "times, processors and the like: what cannot repeat",
    "inputs/*": "what the script wrote itself; a note says where the bytes differ",
    "said/*.err": "progress and seconds",
}
"""Files that are not looked at."""

IGNORED = (
    ("step.json", "key", "digest of settings: it moves once"),
    ("step.json", "step", "the function's module, which moves"),
    ("step.json", "inputs.*", "digests of files, which are compared themselves"),
    ("step.json", "outputs.*", "digests of files, which are compared themselves"),
    ("run.json", "steps.*.digest", "digest of a step's files, which are compared themselves"),
    ("run.json", "polylect", "version of the package"),
    ("merge.json", "versions.polylect", "version of the package"),
    ("eval.json", "packages.polylect", "version of the package"),
    ("eval.json", "key", "digest of settings: it moves once"),
    ("eval.json", "asked[].data.*", "digest of an input, whose keys [inputs] may rename"),
    ("polylect.json", "files.*", "digests of files, which are compared themselves"),
    ("polylect.json", "lineage.settings.calibration", "digest of settings and rows"),
    ("quantize.json", "calibration.digest", "digest of settings and rows"),
    ("damage.json", "variants[].calibration.digest", "digest of settings and rows"),
    ("damage.json", "*.cpu_seconds", "what quantizing and scoring took"),
    ("damage.json", "*.wall_seconds", "what quantizing and scoring took"),
    ("archive.parquet", "metadata.*.identity.asked[].data.*", "digest of an input"),
    ("archive.parquet", "metadata.*.identity.cells", "digest of settings"),
    ("archive.parquet", "metadata.*.identity.text", "digest of a step's files"),
    ("scores.parquet", "settings", "digest of engine and settings"),
)
"""Values that are not compared: file, dotted path in old spelling, reason; a star is any part."""

UNREPEATABLE = (
    (r"done in .*", "seconds of a run"),
    (r"time: about .*", "a forecast from a pass that was timed"),
    (r", [\d.,]+ s each \(measured\)", "likewise"),
    (r"(?s)CPU s to .*?(?=What each scheme is|How to read this)",
     "columns of seconds; the megabytes beside them are bytes in damage.json"),
    (r"at most about [\d,]+ MiB \(Python, torch and the model's modules [\d,]+",
     "the process's memory, measured"),
    (r"127\.0\.0\.1:\d+", "the planted server takes a free port"),
)  # fmt: skip
"""What of the standard output and of pages is not compared, as patterns, and why."""

UNORDERED = ("ledger",)
"""Keys of lists that stand in order of names, which may change: compared as multisets."""

Row = list[tuple[str, Any]]
Reader = Callable[[Path, "Side"], Iterator[Row]]

_DIGEST = re.compile(r"(?<![\w.])(?=\d*[a-f])[0-9a-f]{8,64}(?!\w)|(?<=-)[0-9a-f]{12}(?!\w)")
_NUMBER = re.compile(r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?")
_NAME = re.compile(r"[\w.@]\Z|[^\W\d]-\Z")
"""What stands before a digit of a name: a letter, a letter and a hyphen, a point, an at sign."""
_SAID = ("title", "alt", "aria-label")
_DRAWN = ("points", "cx", "cy", "x1", "x2", "y1", "y2", "width", "height", "d")


@dataclass(frozen=True)
class Side:
    """One of the two makes: where it lies, where it was made, and what renames it.

    Attributes:
        root: the folder.
        names: the map that brings it onto the new names; None for what was made after.
        skipped: keys that the map says are only on this side.
        ignored: files and patterns of paths that are not compared, in this side's spelling.
        unordered: keys of lists whose order does not count, likewise.
        homes: folders of the machine; they are taken out of texts.
    """

    root: Path
    names: Names | None
    skipped: Callable[[str, str], bool]
    ignored: Sequence[tuple[str, re.Pattern[str]]]
    unordered: frozenset[str]
    homes: tuple[str, ...]

    @classmethod
    def of(cls, root: Path, names: Names, homes: tuple[str, ...], *, is_before: bool) -> "Side":
        """The side of before, which the names rename, or that of after, which is left alone."""
        spelling = Names() if is_before else names
        return cls(
            root=root,
            names=names if is_before else None,
            skipped=names.is_gone if is_before else names.is_new,
            ignored=[(spelling.file(file), _pattern(spelling.path(file, path)))
                     for file, path, _ in IGNORED],
            unordered=frozenset(spelling.key("", key) for key in UNORDERED),
            homes=homes,
        )  # fmt: skip

    def is_ignored(self, file: str, path: str) -> bool:
        return any(name == file and pattern.fullmatch(path) for name, pattern in self.ignored)

    def key(self, file: str, key: str) -> str:
        text = self._bare(key)
        return self.names.key(file, text) if self.names else Names().in_text(text)

    def value(self, key: str, text: str) -> str:
        text = self._bare(text)
        return self.names.value(key, text) if self.names else Names().in_text(text)

    def place(self, path: str) -> str:
        return self.names.place(path) if self.names else path

    def text(self, text: str) -> str:
        """A page or what was said, without what cannot repeat."""
        text = self._bare(text)
        for pattern, _ in UNREPEATABLE:
            text = re.sub(pattern, "", text)
        return text

    def _bare(self, text: str) -> str:
        for home in self.homes:
            text = text.replace(home, "")
        return text


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.escape(path).replace(r"\*", ".*"))


class Number(str):
    """A number as it stands in a text, with the words before it."""

    __slots__ = ("near",)
    near: str


# JSON and tables.


def row_of(value: Any, side: Side, file: str) -> Row:
    """Every leaf by its dotted path, under new names, without what is ignored."""
    return [(side.place(path), leaf) for path, leaf in _leaves(value, side, file, "", "")]


def _leaves(value: Any, side: Side, file: str, old: str, new: str) -> Iterator[tuple[str, Any]]:
    """Path and value of every leaf; ``[]`` stands for a place in a list until the list is whole."""
    if side.is_ignored(file, old):
        return
    key = old.rpartition(".")[2].partition("[")[0]
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            if not side.skipped(file, name):
                renamed = side.key(file, name)
                yield from _leaves(inner, side, file, _below(old, name), _below(new, renamed))
    elif isinstance(value, list | tuple) and len(value):
        parts = [list(_leaves(inner, side, file, f"{old}[]", f"{new}[]")) for inner in value]
        if key in side.unordered:
            parts.sort(key=repr)
        for number, part in enumerate(parts):
            yield from ((f"{new}[{number}]{path[len(new) + 2 :]}", leaf) for path, leaf in part)
    elif isinstance(value, str):
        yield new, side.value(key, value)
    else:
        yield new, value


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def json_rows(path: Path, side: Side) -> Iterator[Row]:
    yield row_of(json.loads(path.read_text("utf-8")), side, path.name)


def line_rows(path: Path, side: Side) -> Iterator[Row]:
    with open(path, encoding="utf-8") as file:
        for line in file:
            yield row_of(json.loads(line), side, path.name)


def table_rows(path: Path, side: Side) -> Iterator[Row]:
    """The rows of Parquet; at the end what its schema carries as JSON or text."""
    table = pq.read_table(path)
    about = {}
    for key, text in (table.schema.metadata or {}).items():
        if key != b"ARROW:schema":
            decoded = text.decode()
            about[key.decode()] = json.loads(decoded) if decoded.startswith("{") else decoded
    for row in table.to_pylist():
        yield row_of(row, side, path.name)
    if about:
        yield row_of({"metadata": about}, side, path.name)


# Arrays.


def tensor_rows(path: Path, side: Side) -> Iterator[Row]:
    """Type, shape and digest of the bytes of every tensor; the header's metadata have no say."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    for name in sorted(header):
        info = header[name]
        begin, end = info["data_offsets"]
        digest = hashlib.sha256(data[start + begin : start + end]).hexdigest()
        yield [(name, f"{info['dtype']} {info['shape']} sha256 {digest[:16]}")]


def array_rows(path: Path, side: Side) -> Iterator[Row]:
    array = np.load(path, allow_pickle=False)
    digest = hashlib.sha256(array.tobytes()).hexdigest()
    yield [("array", f"{array.dtype} {list(array.shape)} sha256 {digest[:16]}")]


# Texts.


class _Page(HTMLParser):
    """The visible text of a page, SVG text included, and the numbers that its drawings are of."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.drawn: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attributes: Sequence[tuple[str, str | None]]) -> None:
        self._hidden += tag in {"style", "script"}
        self.drawn += [text for name, text in attributes if name in _DRAWN and text]
        self.texts += [text for name, text in attributes if name in _SAID and text]

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in {"style", "script"}

    def handle_data(self, data: str) -> None:
        self.texts += [] if self._hidden else [data]


def _page(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text("utf-8"))
    page.close()
    return page


def numbers(text: str) -> Iterator[Number]:
    """The numbers of a text; a digit within a name (w4, round-1) is none, nor a digest's."""
    text = _DIGEST.sub(" ", text.replace("\u2212", "-"))
    for match in _NUMBER.finditer(text):
        begin = match.start()
        before = text[max(0, begin - 2) : begin]
        if _NAME.search(before):
            continue
        is_negative = before.endswith("-") and not re.match(r"\w-", before)
        number = Number(f"-{match[0]}" if is_negative else match[0])
        number.near = " ".join(text[max(0, begin - 60) : begin].split())
        yield number


def page_rows(path: Path, side: Side) -> Iterator[Row]:
    text = side.text("\n".join(_page(path).texts))
    yield from ([("", number)] for number in numbers(text))


def drawing_rows(path: Path, side: Side) -> Iterator[Row]:
    yield from ([("", number)] for text in _page(path).drawn
                for number in numbers(text.replace(",", " ")))  # fmt: skip


def said_rows(path: Path, side: Side) -> Iterator[Row]:
    yield from ([("", number)] for number in numbers(side.text(path.read_text("utf-8"))))


def byte_rows(path: Path, side: Side) -> Iterator[Row]:
    yield [("bytes", hashlib.sha256(path.read_bytes()).hexdigest())]


READERS: Mapping[str, Sequence[tuple[str, str, Reader]]] = {
    ".safetensors": [("tensors", "tensor", tensor_rows)],
    ".npy": [("arrays", "", array_rows)],
    ".parquet": [("tables", "row", table_rows)],
    ".jsonl": [("JSON lines", "row", line_rows)],
    ".json": [("JSON", "", json_rows)],
    ".html": [("pages", "number", page_rows), ("drawings", "number", drawing_rows)],
    ".out": [("said", "number", said_rows)],
}
"""Kind, what its rows are called, and reader, by the end of a file's name."""
OTHERS = [("other files", "", byte_rows)]
