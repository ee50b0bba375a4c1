"""One run: what made it, from what, what it holds, and how to be rid of it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polylect.base import InputError, Ledger, remove_folder, storage_error
from polylect.runs.commands import Invocation
from polylect.runs.folders import VOLATILE, folder_lock
from polylect.runs.listing import MANIFESTS, RunInfo, info_of, leftovers, list_runs
from polylect.runs.records import LOG, read_status, record_folder
from polylect.runs.results import read_manifest


@dataclass(frozen=True, kw_only=True)
class RunDescription:
    """What is known of one run.

    Attributes:
        info: its row in the list of runs.
        made_by: the command that made it; None where nothing says so, as in older results.
        config: the settings.
        inputs: digests by name.
        outputs: digests by name: files of a result, steps of a recipe.
        ledger: what was dropped, cut, repeated or fell back.
        pages: files to look at first.
        versions: of packages, where the manifest has them.
        log: its log, where it has one.
    """

    info: RunInfo
    made_by: Invocation | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    pages: tuple[Path, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    log: Path | None = None

    @property
    def command(self) -> str:
        """The command that makes it, to be pasted where the process stands; empty if not known."""
        return self.made_by.paste(os.getcwd()) if self.made_by else ""

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        return {
            **self.info.to_json(),
            "command": self.command,
            "config": dict(self.config),
            "inputs": dict(self.inputs),
            "outputs": dict(self.outputs),
            "ledger": self.ledger.to_json(),
            "pages": [str(page) for page in self.pages],
            "versions": dict(self.versions),
            "log": str(self.log) if self.log else None,
        }


def describe_run(path: str | os.PathLike[str]) -> RunDescription:
    """What is known of the run at a path, done or not.

    Raises:
        InputError: there is no run, or its manifest is broken.
    """
    out = Path(path)
    infos = _infos(out)
    done = [info for info in infos if info.state == "done"]
    info = (done or infos)[0]
    is_own = info.kind == "recipe" or bool(done)
    folder = out if is_own else record_folder(out)
    log = folder / LOG if (folder / LOG).is_file() else None
    name = next((name for name in MANIFESTS if (out / name).is_file()), None)
    if not is_own or name is None:
        made_by = Invocation.from_json(read_status(folder).get("made_by"))
        return RunDescription(info=info, made_by=made_by, log=log)
    if not info.what and info.error:
        raise InputError(info.error, f"remove {out}, or choose another DIR")
    manifest = read_manifest(out / name)
    volatile = read_manifest(out / VOLATILE) if (out / VOLATILE).is_file() else {}
    made_by = volatile.get("made_by") or read_status(out).get("made_by")
    common = {"info": info, "made_by": Invocation.from_json(made_by), "log": log}
    if info.kind == "recipe":
        return RunDescription(
            **common,
            config=manifest["config"],
            outputs={label: str(step["digest"]) for label, step in manifest["steps"].items()},
            ledger=Ledger.from_json(manifest["ledger"]),
            pages=tuple(out / page for page in manifest["outputs"]),
            versions=manifest.get("packages", {}),
        )
    if info.kind == "step":
        pages = [name for name in manifest["outputs"] if name.endswith(".html") and "/" not in name]
        return RunDescription(
            **common,
            config=manifest.get("config", {}),
            inputs=manifest.get("inputs", {}),
            outputs=manifest["outputs"],
            ledger=Ledger.from_json(manifest["ledger"]),
            pages=tuple(out / page for page in pages),
        )
    lineage = manifest["lineage"]
    return RunDescription(
        **common,
        config={"method": lineage.get("method"), **lineage.get("settings", {})},
        inputs={parent["label"]: parent["digest"] for parent in lineage.get("parents", ())},
        outputs=manifest.get("files", {}),
    )


def remove_run(path: str | os.PathLike[str], *, caches: bool = False) -> list[Path]:
    """Remove a run, and what failed and killed tries left of it; the paths that were removed.

    Args:
        path: of the output.
        caches: remove its ``OUT-cache`` too.

    Raises:
        InputError: there is no run, it is running, or other runs lie in its folder.
        StorageError: something cannot be removed.
    """
    out = Path(path)
    removed = removable(out, caches=caches)
    is_recipe = (out / "run.json").is_file()
    if is_recipe:
        _remove(out)
    else:
        with folder_lock(out):
            for place in removed:
                _remove(place)
    if caches:
        remove_folder(_cache(out))
    return removed


def removable(path: str | os.PathLike[str], *, caches: bool = False) -> list[Path]:
    """What ``remove_run`` would remove; raises as it does."""
    out = Path(path)
    infos = _infos(out)
    if any(info.state == "running" for info in infos):
        raise InputError(f"{out}: is running", "end it first, or wait for it")
    if out.is_dir() and any(info.path == out and _lies_at(out) for info in infos):
        others = [info.path for info in list_runs(out) if info.path != out]
        if others:
            raise InputError(
                f"{out}: other runs lie in it ({', '.join(map(str, others[:3]))})",
                f"remove them first: polylect runs rm {others[0]}",
            )
    places = [*([out] if _lies_at(out) else []), *leftovers(out)]
    return [*places, *([_cache(out)] if caches and _cache(out).is_dir() else [])]


def _lies_at(out: Path) -> bool:
    return any((out / name).is_file() for name in MANIFESTS)


def _cache(out: Path) -> Path:
    return out.with_name(f"{out.name}-cache")


def _infos(out: Path) -> list[RunInfo]:
    if not out.name:
        out = Path(os.path.abspath(out))
    infos = info_of(out)
    if not infos:
        what = "no run here" if out.is_dir() else "no such run"
        raise InputError(f"{out}: {what}", "list the runs: polylect runs")
    return infos


def _remove(place: Path) -> None:
    """Remove a folder or a file; the manifest last, so that a kill leaves what can be removed."""
    if not place.is_dir() or place.is_symlink():
        place.unlink(missing_ok=True)
        return
    try:
        for entry in list(os.scandir(place)):
            if entry.name in MANIFESTS:
                continue
            if entry.is_dir(follow_symlinks=False):
                remove_folder(Path(entry.path))
            else:
                os.unlink(entry.path)
    except OSError as error:
        raise storage_error(error, place) from error
    remove_folder(place)
