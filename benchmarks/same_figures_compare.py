"""What two makes wrote, held against each other: a line for every kind, the first that differs."""

import hashlib
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from itertools import zip_longest
from pathlib import Path
from typing import Any

from same_figures_kinds import NOT_COMPARED, OTHERS, READERS, Number, Reader, Row, Side
from same_figures_names import Names

ABOUT = "volatile.json"
_STEP = re.compile(r"(.+)-[0-9a-f]{12}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SHOWN = 40
_NOTHING = object()


@dataclass
class Count:
    """What was seen of a kind: files, those that are equal, figures, and what differs."""

    files: int = 0
    equal: int = 0
    figures: int = 0
    differing: list[str] = field(default_factory=list)


def compare(before: Path, after: Path, names: Names, only: Sequence[str] = ("*",)) -> int:
    """1 where a figure differs or a file is on one side only, else 0; prints what was seen."""
    sides = (
        Side.of(before, names, _homes(before), is_before=True),
        Side.of(after, names, _homes(after), is_before=False),
    )
    files = [files_of(side, only) for side in sides]
    counts: dict[str, Count] = {}
    for place in sorted({*files[0], *files[1]}):
        for kind, row, reader in READERS.get(Path(place).suffix, OTHERS):
            if kind == "drawings" and names.is_redrawn(place):
                continue
            count = counts.setdefault(kind, Count())
            paths = [known.get(place) for known in files]
            if names.is_expected(place, is_new=paths[0] is None, is_gone=paths[1] is None):
                continue
            count.files += 1
            if None in paths:
                count.differing.append(f"{place}: only {'after' if paths[0] is None else 'before'}")
                continue
            rows = [rows_of(path, side, reader, names.is_reordered(place))
                    for path, side in zip(paths, sides, strict=True)]  # fmt: skip
            count.figures += sum(map(len, rows[0]))
            difference = first_difference(rows[0], rows[1], row)
            count.equal += not difference
            count.differing += [f"{place}: {difference}"] if difference else []
    _tell(counts)
    _tell_inputs(before, after)
    return 0 if counts and not any(count.differing for count in counts.values()) else 1


def _homes(root: Path) -> tuple[str, ...]:
    known = json.loads((root / ABOUT).read_text("utf-8")) if (root / ABOUT).is_file() else {}
    return tuple(f"{home}/" for home in (*known.get("homes", ()), str(root.resolve())))


def files_of(side: Side, only: Sequence[str]) -> dict[str, Path]:
    """The files of a make by their place: steps by label, files of a cache by content."""
    files: dict[str, Path] = {}
    for path in sorted(side.root.rglob("*")):
        place = path.relative_to(side.root)
        if path.is_dir() or _is_left_out(place):
            continue
        job = place.parts[1] if place.parts[0] == "made" else place.stem
        if not any(fnmatch(job, pattern) for pattern in only):
            continue
        name, number = _place(place, path, side.names), 0
        while (numbered := f"{name}#{number}{path.suffix}" if number else name) in files:
            number += 1
        files[numbered] = path
    return files


def _is_left_out(place: Path) -> bool:
    texts = (place.as_posix(), place.name)
    return any(fnmatch(text, pattern) for text in texts for pattern in NOT_COMPARED)


def _place(place: Path, path: Path, names: Names | None) -> str:
    parts = list(place.parts)
    if _DIGEST.fullmatch(path.stem):  # a cache: CACHE/XX/DIGEST of settings and tokens
        content = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        parts[-2:] = ["*", content + path.suffix]
    known = names or Names()
    for number, part in enumerate(parts):
        step = _STEP.fullmatch(part)
        parts[number] = known.label(step[1]) if step else known.file(part)
    return known.folder("/".join(parts))


def rows_of(path: Path, side: Side, reader: Reader, reordered: bool) -> list[Row]:
    """The rows of a file; sorted where their order may be another."""
    rows = list(reader(path, side))
    return sorted(rows, key=repr) if reordered else rows


def first_difference(before: Sequence[Row], after: Sequence[Row], what: str) -> str:
    """Where two files differ first, with both values; empty where they do not."""
    rows = "" if len(before) == len(after) else f" ({len(before)} › {len(after)})"
    for number, (old, new) in enumerate(zip_longest(before, after, fillvalue=[]), start=1):
        if old == new:
            continue
        known, fresh = dict(old), dict(new)
        for row, keys in ((old, known), (new, fresh)):
            if len(keys) < len(row):
                return f"{what} {number}: two keys have the same name after the renaming"
        for key in dict.fromkeys((*known, *fresh)):
            values = known.get(key, _NOTHING), fresh.get(key, _NOTHING)
            if not is_equal(*values):
                place = f"{what} {number}{rows} {key}" if what else key
                shown = f"{_shown(values[0])} › {_shown(values[1])}{_near(values[0])}"
                return f"{' '.join(place.split())}: {shown}"
    return ""


def is_equal(old: Any, new: Any) -> bool:
    """Equal, or both no number."""
    if isinstance(old, float) and isinstance(new, float) and math.isnan(old):
        return math.isnan(new)
    return bool(old == new)


def _shown(value: Any) -> str:
    text = "nothing" if value is _NOTHING else value if isinstance(value, str) else repr(value)
    return text if len(text) <= 90 else f"{text[:87]}..."


def _near(value: Any) -> str:
    return f'  (after "{value.near}")' if isinstance(value, Number) and value.near else ""


def _tell(counts: dict[str, Count]) -> None:
    print(f"{'kind':<12}{'compared':>9}{'equal':>8}{'differing':>11}{'figures':>11}")
    for kind, count in counts.items():
        print(f"{kind:<12}{count.files:>9,}{count.equal:>8,}{len(count.differing):>11,}"
              f"{count.figures:>11,}")  # fmt: skip
    for kind, count in counts.items():
        for line in count.differing[:_SHOWN]:
            print(f"{kind}: {line}")
        if len(count.differing) > _SHOWN:
            print(f"{kind}: and {len(count.differing) - _SHOWN} more")
    if not counts:
        print("nothing to compare")


def _tell_inputs(before: Path, after: Path) -> None:
    """Say which inputs are not the same bytes: renamed keys, or other fixtures of the tests."""
    digests = [dict(_inputs(root)) for root in (before, after)]
    odd = sorted(name for name in {*digests[0], *digests[1]}
                 if digests[0].get(name) != digests[1].get(name))  # fmt: skip
    if odd:
        print(f"note: {len(odd)} inputs are other bytes: {', '.join(odd[:6])}")


def _inputs(root: Path) -> Iterator[tuple[str, str]]:
    for path in sorted((root / "inputs").rglob("*")):
        if path.is_file():
            place = path.relative_to(root / "inputs").as_posix()
            yield place, hashlib.sha256(path.read_bytes()).hexdigest()
