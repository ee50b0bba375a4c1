"""The runs below some folders: every output that a command left, and what it came to."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from polylect.base import InputError, PolylectError, check_known, json_value, read_json
from polylect.runs.commands import Invocation
from polylect.runs.folders import VOLATILE, lock_path
from polylect.runs.records import STATUS, is_held, is_running, read_status, record_folder
from polylect.runs.steps import key_removed

Kind = Literal["recipe", "step", "checkpoint"]
State = Literal["done", "running", "failed", "killed"]

MANIFESTS: Mapping[str, Kind] = {
    "run.json": "recipe",
    "step.json": "step",
    "polylect.json": "checkpoint",
}
"""The file that says what a folder is; the first that is there decides."""

_INSIDE_RECIPE = {"steps", "inputs"}
_PARTIAL, _RECORD = ".partial", ".run"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunInfo:
    """One output, or one try to make it.

    Attributes:
        path: the output's folder; where it would be, for what is not done.
        what: the verb or recipe that makes it.
        kind: of result: a recipe's run, a verb's result, or a checkpoint.
        state: ``running`` while the process lives; ``failed`` with an error; ``killed`` if it ended
            without either, Ctrl-C included.
        step: number of the step that runs; of a finished recipe, all of them.
        num_steps: of the whole run, where it is known.
        progress: what is being done, in words, while it runs.
        error: the error in one line.
        started: when the last try began; None where nothing says so, as in older results.
        seconds: how long it took, or has run.
        headline: one short text that the result says about itself.
        num_bytes: what it takes on the disk, with what is left of unfinished tries.
    """

    path: Path
    what: str
    kind: Kind
    state: State
    step: int | None = None
    num_steps: int | None = None
    progress: str = ""
    error: str = ""
    started: datetime | None = None
    seconds: float | None = None
    headline: str = ""
    num_bytes: int = 0

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON has them; a date as text."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        started = self.started.isoformat() if self.started else None
        return json_value(values | {"started": started, "path": str(self.path)})


_DESCENDING = {"started", "seconds", "num_bytes", "step", "num_steps"}


def list_runs(
    *roots: str | os.PathLike[str], sort: str = "path", where: Mapping[str, str] | None = None
) -> list[RunInfo]:
    """The runs below some folders.

    Hidden folders, virtual environments and the steps of recipes are not looked into. A result and
    a later try to replace it are two rows.

    Args:
        roots: folders to search, or runs themselves; default: the current folder.
        sort: a field of ``RunInfo``; the newest, longest and largest come first, texts in order.
        where: what fields must be, as text; ``*`` and ``?`` stand for any characters.

    Raises:
        InputError: a root is no folder, or there is no such field.
    """
    names = [field.name for field in fields(RunInfo)]
    for name in (sort, *(where or {})):
        check_known(name, names, f"no column {name!r} in the list of runs")
    runs: dict[tuple[Path, bool], RunInfo] = {}
    for root in [Path(root) for root in roots] or [Path()]:
        if not root.is_dir():
            raise InputError(f"{root}: no such folder", "polylect runs DIR")
        for info in _search(root):
            runs.setdefault((info.path.resolve(), info.state == "done"), info)
    chosen = [info for info in runs.values() if _matches(info, where or {})]
    chosen.sort(key=lambda info: (str(info.path), info.state))
    if sort in _DESCENDING:
        chosen.sort(key=lambda info: _amount(getattr(info, sort)), reverse=True)
    elif sort != "path":
        chosen.sort(key=lambda info: str(getattr(info, sort)))
    return chosen


def _amount(value: Any) -> float:
    """A number or a date to sort by; what is not known comes last."""
    if value is None:
        return float("-inf")
    return value.timestamp() if isinstance(value, datetime) else float(value)


def _matches(info: RunInfo, where: Mapping[str, str]) -> bool:
    return all(
        fnmatchcase(str(info.to_json()[name] if name != "path" else info.path), pattern)
        for name, pattern in where.items()
    )


def info_of(out: Path) -> list[RunInfo]:
    """What there is of one output: the result, and the latest try that is not done."""
    infos = [info for info in _search(out) if info.path == out]
    if not any(info.kind == "recipe" for info in infos) and out.parent.is_dir():
        infos += _tries(out.parent, {path.name for path in leftovers(out)}, out)
    return infos


def leftovers(out: Path) -> list[Path]:
    """What failed and killed tries left beside an output: unfinished folders, record and lock."""
    status = read_status(record_folder(out))
    named = {str(status.get("partial")), f".{out.name}{_PARTIAL}"}
    partials = [
        path for path in sorted(out.parent.glob(f".*{_PARTIAL}"))
        if path.name in named or _out_name(path.name) == out.name
    ]  # fmt: skip
    others = [record_folder(out), lock_path(out), out.with_name(f".{out.name}.replaced")]
    return [*partials, *(path for path in others if os.path.lexists(path))]


def _search(root: Path) -> list[RunInfo]:
    """The runs below a folder, and the folder itself."""
    infos: list[RunInfo] = []
    _visit(root, infos)
    return infos


def _visit(folder: Path, infos: list[RunInfo], *, inside: bool = False) -> int:
    """Bytes below a folder; its runs are added to the list, unless it is ``inside`` a result."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return 0
    names = {entry.name for entry in entries}
    manifest = None if inside else next((name for name in MANIFESTS if name in names), None)
    own = _own_folders(folder, manifest) if manifest else set()
    num_bytes, hidden = 0, set[str]()
    for entry in entries:
        if not entry.is_dir(follow_symlinks=False):
            num_bytes += _size(entry)
        elif entry.name.startswith("."):
            hidden.add(entry.name)
            if inside or manifest:
                num_bytes += _visit(folder / entry.name, infos, inside=True)
        else:
            below = folder / entry.name
            is_inside = inside or entry.name in own
            if is_inside or not (below / "pyvenv.cfg").is_file():
                num_bytes += _visit(below, infos, inside=is_inside)
    if not inside:
        infos.extend(_tries(folder, hidden))
    if manifest:
        infos.append(_result(folder, manifest, num_bytes))
    return num_bytes


def _own_folders(folder: Path, manifest: str) -> set[str]:
    """Folders inside a result that belong to it, so that nothing in them is a run of its own."""
    if MANIFESTS[manifest] == "recipe":
        return _INSIDE_RECIPE
    content = _read(folder / manifest)
    files = content.get("outputs") or content.get("files") or {}
    return {name.split("/")[0] for name in files} if isinstance(files, Mapping) else set()


def _size(entry: "os.DirEntry[str]") -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except OSError:
        return 0


def _read(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty where there is none."""
    try:
        value = read_json(path)
    except PolylectError:
        return {}
    return dict(value) if isinstance(value, Mapping) else {}


_REQUIRED = {"recipe": {"recipe", "state", "config", "steps", "ledger", "outputs"},
             "step": {"step", "outputs", "ledger"}, "checkpoint": {"lineage"}}  # fmt: skip


def _result(folder: Path, name: str, num_bytes: int) -> RunInfo:
    """What a folder with a manifest is."""
    kind = MANIFESTS[name]
    manifest, volatile = _read(folder / name), _read(folder / VOLATILE)
    if not manifest.keys() >= _REQUIRED[kind]:
        error = f"{folder / name}: not the manifest of a {kind if kind != 'recipe' else 'run'}"
        return RunInfo(path=folder, what="", kind=kind, state="failed", error=error,
                       num_bytes=num_bytes)  # fmt: skip
    made_by = Invocation.from_json(volatile.get("made_by"))
    seconds = _number(volatile.get("wall_seconds"))
    info = RunInfo(
        path=folder,
        what=_what(folder, kind, manifest, made_by),
        kind=kind,
        state="done",
        started=_started(volatile, seconds),
        seconds=seconds,
        headline=str(volatile.get("headline") or ""),
        num_bytes=num_bytes,
    )
    if kind != "recipe":
        return info
    num_steps = len(manifest["steps"])
    if (folder / STATUS).is_file():
        return _unfinished(folder, folder, info.what, num_bytes, "recipe")
    state: State = "done" if manifest["state"] == "done" else "killed"
    return replace(info, state=state, step=num_steps, num_steps=num_steps)


def _what(folder: Path, kind: Kind, manifest: Mapping[str, Any], made_by: Invocation | None) -> str:
    if kind == "recipe":
        return str(manifest["recipe"])
    if made_by is not None:
        return made_by.what
    if kind == "step":
        return step_verb(str(manifest["step"]))
    for verb in ("merge", "quantize"):
        if (folder / f"{verb}.json").is_file():
            return verb
    lineage = manifest["lineage"]
    return str(lineage.get("method", "")) if isinstance(lineage, Mapping) else ""


def step_verb(step: str) -> str:
    """The verb in a step's name: ``polylect rank`` is rank, ``polylect.training.sft`` sft."""
    return step.rpartition(".")[2].removeprefix("polylect ")


def _started(volatile: Mapping[str, Any], seconds: float | None) -> datetime | None:
    """When it began: as it says, or before its end by how long it took."""
    started = _date(volatile.get("started"))
    finished = _date(volatile.get("finished"))
    if started is not None or finished is None or seconds is None:
        return started
    return finished - timedelta(seconds=seconds)


def _date(value: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _tries(folder: Path, hidden: set[str], out: Path | None = None) -> Iterator[RunInfo]:
    """The unfinished tries that hidden folders tell of.

    Args:
        folder: where they lie.
        hidden: names of the hidden folders.
        out: only of this output.
    """
    claimed: set[str] = set()
    for name in sorted(hidden):
        record = folder / name
        status = read_status(record) if name.endswith(_RECORD) else {}
        if not status:
            continue
        path = folder / name[1 : -len(_RECORD)]
        partial = str(status.get("partial") or "")
        claimed.add(partial)
        if out is None or path == out:
            num_bytes = sum(_visit(place, [], inside=True) for place in (record, folder / partial))
            yield _unfinished(path, record, "", num_bytes, "step")
    for name in sorted(hidden - claimed):
        # Left by a version that kept no records, or by a kill before the first line of one.
        if name.endswith(_PARTIAL):
            path = folder / _out_name(name)
            lock = lock_path(folder / name[1 : -len(_PARTIAL)])
            state: State = "running" if is_held(lock) or is_held(lock_path(path)) else "killed"
            num_bytes = _visit(folder / name, [], inside=True)
            if out is None or path == out:
                yield RunInfo(path=path, what="", kind="step", state=state, num_bytes=num_bytes)


def _out_name(partial: str) -> str:
    """The output that an unfinished folder is of, ``.NAME.partial`` or ``.NAME-KEY.partial``."""
    return key_removed(partial[1 : -len(_PARTIAL)])


def _unfinished(path: Path, record: Path, what: str, num_bytes: int, kind: Kind) -> RunInfo:
    """What a record says: that it runs, failed, or was killed."""
    status = read_status(record)
    made_by = Invocation.from_json(status.get("made_by"))
    error = str(status.get("error") or "")
    state: State = "running" if is_running(record) else "failed" if error else "killed"
    step, num_steps = status.get("step"), status.get("num_steps")
    return RunInfo(
        path=path,
        what=what or (made_by.what if made_by else step_verb(str(status.get("what") or ""))),
        kind=kind,
        state=state,
        step=step if isinstance(step, int) else None,
        num_steps=num_steps if isinstance(num_steps, int) else None,
        progress=_progress(status) if state == "running" else "",
        error=error,
        started=_date(status.get("started")),
        seconds=_number(status.get("seconds")),
        num_bytes=num_bytes,
    )


def _progress(status: Mapping[str, Any]) -> str:
    """What is being done, e.g. ``quantize-w4 12 of 24 layers``."""
    done, total = _number(status.get("done")), _number(status.get("total"))
    parts = [str(status.get("label") or "")]
    if status.get("unit") and done is not None and total is not None:
        parts.append(f"{done:,.0f} of {total:,.0f} {status['unit']}")
    return " ".join(part for part in parts if part)
