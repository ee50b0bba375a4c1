"""The run: a folder with a manifest and the finished steps of a recipe."""

import os
import platform
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from polylect._version import __version__
from polylect.base import InputError, Ledger, json_value, read_json, storage_error, write_json
from polylect.runs.commands import Invocation, continued, current_invocation
from polylect.runs.course import Course
from polylect.runs.execution import execute, find, open_artifact
from polylect.runs.fanout import Processes, in_worker, send_event
from polylect.runs.folders import VOLATILE, check_writable
from polylect.runs.logs import log
from polylect.runs.packages import PACKAGES, package_versions
from polylect.runs.progress import Display, Event, RunProgress, TaskReporter
from polylect.runs.records import LOG, STATUS, Record, now, recording
from polylect.runs.steps import Artifact, Call, Input, Step

RUN_MANIFEST = "run.json"
_KEYS = {"recipe", "state", "config", "steps", "ledger", "outputs"}


class Run:
    """A run folder in progress: runs each step once and writes the manifest.

    Attributes:
        path: the folder; steps are in ``steps/LABEL-KEY``.
        artifacts: the artifacts used so far by label, in order.
    """

    def __init__(
        self,
        path: Path,
        recipe: str,
        config: object,
        *,
        num_workers: int = 1,
        display: Display | None = None,
        scratch: Path | None = None,
    ) -> None:
        """Open or make the folder.

        Args:
            path: created if missing.
            recipe: the recipe's name; a folder of another recipe is refused.
            config: the resolved configuration, a dataclass.
            num_workers: steps of one ``steps`` call to run in parallel.
            display: draws the progress; None draws nothing.
            scratch: for a plan: steps run there and nothing is written to ``path``, whose finished
                steps are still used.

        Raises:
            InputError: the folder belongs to another recipe, or is not a run.
            StorageError: the folder cannot be written.
        """
        self.path = path
        self.recipe = recipe
        self.config = config
        self.num_workers = num_workers
        self.artifacts: dict[str, Artifact] = {}
        self.outputs: list[str] = []
        self._scratch = scratch
        self._processes: Processes | None = None
        self._is_new = False
        self._num_run = 0
        self._course = Course(num_workers)
        self._record = Record(path, path, path, recipe)
        self._recording: AbstractContextManager[Record] | None = None
        self._progress = RunProgress(self._course, display, self._record.update)
        self._claim()

    def __enter__(self) -> "Run":
        """Begin the record of the run: its log, and how far it is; a plan has none."""
        if self._scratch is None:
            self._recording = recording(self._record)
            self._recording.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
        if self._recording is not None:
            if kind is None:
                self._record.complete(self.path, has_worked=self._num_run > 0)
            self._recording.__exit__(kind, error, trace)
            if kind is None:
                self._record.remove()
        if kind is not None and issubclass(kind, InputError) and self._is_new:
            self._forget()

    @property
    def root(self) -> Path:
        """The folder in which steps run."""
        return (self._scratch or self.path) / "steps"

    @property
    def ledger(self) -> Ledger:
        """The sum of the ledgers of all steps used so far."""
        total = Ledger()
        for artifact in self.artifacts.values():
            total = total + artifact.ledger
        return total

    def step(
        self, function: Step, label: str, config: object, inputs: Mapping[str, Input] | None = None
    ) -> Artifact:
        """The artifact of one step; a finished step is not run again."""
        return self.steps([Call(function, label, config, inputs or {})])[0]

    def steps(self, calls: Sequence[Call]) -> list[Artifact]:
        """The artifacts of several independent steps, run in parallel, in the order of calls."""
        labels = [call.label for call in calls]
        assert len({*labels, *self.artifacts}) == len(labels) + len(self.artifacts), labels
        missing = [c for c in calls if self._find(c) is None or c.left_over(self.root)]
        for call in calls:
            if call not in missing:
                self._course.end(call.label)
        self._num_run += len(missing)
        running = current_invocation()
        if self.num_workers == 1 or len(missing) == 1:
            # A step that runs alone may use all workers itself.
            spread = self.num_workers if len(missing) == 1 else 1
            for call in missing:
                _execute((call, self.root, self._progress, spread, running))
        elif missing:
            tasks = [(call, self.root, None, 1, running) for call in missing]
            try:
                self._workers()(_execute, tasks, display=self._progress)
            except BaseException:
                self.close()  # ends the steps that still run
                raise
        done = [self._find(call) or open_artifact(call.folder(self.root)) for call in calls]
        self.artifacts.update(zip(labels, done, strict=True))
        return done

    def announce(self, *batches: Sequence[str] | Mapping[str, float]) -> None:
        """Say which steps are still to come, so that progress can say how many and how long.

        Announce all of them or none, as soon as they are known; a later call takes the place of an
        earlier one. Nothing but progress depends on it.

        Args:
            batches: in order; each the labels of one ``steps`` call, with what each step is
                expected to cost where that is known: seconds, tokens, or another measure of work
                that is the same for all.
        """
        self._course.announce(
            [batch if isinstance(batch, Mapping) else dict.fromkeys(batch) for batch in batches]
        )

    def close(self) -> None:
        """End the worker processes, which are kept from one ``steps`` call to the next."""
        if self._processes is not None:
            self._processes.__exit__()
            self._processes = None

    def _workers(self) -> Processes:
        if self._processes is None:
            self._processes = Processes(self.num_workers).__enter__()
        return self._processes

    def _find(self, call: Call) -> Artifact | None:
        return find(call, self.root) or find(call, self.path / "steps")

    def finish(self, outputs: Sequence[str] = ()) -> None:
        """End the workers and write the manifest of the finished run.

        Args:
            outputs: names of files in the run folder to look at first.
        """
        self.close()
        self.outputs = list(outputs)
        if unused := sorted(self._course.left()):
            log.warning("announced, but not run: %s", ", ".join(unused))
        if self._course.unannounced:
            log.warning("run, but not announced: %s", ", ".join(self._course.unannounced))
        write_json(self.path / RUN_MANIFEST, self._manifest("done"))
        if self._num_run or not (self.path / VOLATILE).is_file():
            used = {"wall_seconds": round(self._record.seconds, 3), "finished": now()}
            write_json(self.path / VOLATILE, _machine() | used | self._record.volatile())

    def _claim(self) -> None:
        """Check that the folder belongs to this run, and write the first manifest."""
        manifest = self.path / RUN_MANIFEST
        try:
            if manifest.is_file():
                recipe = read_run(self.path)["recipe"]
                if recipe != self.recipe:
                    raise InputError(
                        f"{self.path}: holds a run of recipe {recipe!r}, not of {self.recipe!r}",
                        "choose another --out DIR",
                    )
            elif self.path.is_dir() and not all(map(_torn, self.path.iterdir())):
                raise InputError(
                    f"{self.path}: the folder holds something that is not a run",
                    "choose an empty or new folder: --out DIR",
                )
            check_writable(self.path)
            if self._scratch is None:
                self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(error, self.path) from error
        if self._scratch is None and (
            not manifest.is_file() or read_json(manifest)["config"] != json_value(self.config)
        ):
            self._is_new = not manifest.is_file()
            write_json(manifest, self._manifest("started"))

    def _forget(self) -> None:
        """Remove the manifest of a run that was refused before its first step."""
        if not (self.path / "steps").exists():
            for name in (RUN_MANIFEST, LOG, STATUS):
                (self.path / name).unlink(missing_ok=True)
            with suppress(OSError):
                self.path.rmdir()

    def _manifest(self, state: str) -> dict[str, Any]:
        steps = {
            label: {
                "folder": artifact.path.relative_to(self.path).as_posix(),
                "digest": artifact.digest,
            }
            for label, artifact in self.artifacts.items()
        }
        return {
            "recipe": self.recipe,
            "state": state,
            "config": json_value(self.config),
            "polylect": __version__,
            "packages": package_versions(PACKAGES),
            "steps": steps,
            "ledger": self.ledger.to_json(),
            "outputs": self.outputs,
        }


def _torn(path: Path) -> bool:
    """Whether a file is a temporary manifest of a killed process."""
    return path.name.startswith(f".{RUN_MANIFEST}.") and path.name.endswith(".tmp")


def _execute(task: tuple[Call, Path, RunProgress | None, int, Invocation | None]) -> None:
    """Run one call, in a worker or in this process; its progress goes to the display."""
    call, root, progress, num_workers, running = task
    handle = send_event if in_worker() else progress.handle if progress else (lambda event: None)
    begun = time.monotonic()
    handle(Event(call.label, 0, 1, begun=True))
    has_failed = True
    try:
        with continued(running):
            execute(call, root, TaskReporter(call.label, handle), num_workers=num_workers)
        has_failed = False
    finally:
        seconds = time.monotonic() - begun
        handle(Event(call.label, 1, 1, finished=True, failed=has_failed, seconds=seconds))


def _machine() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
    }


def read_run(path: Path) -> dict[str, Any]:
    """The manifest of a run.

    Raises:
        InputError: there is no run at the path, or its manifest is broken.
    """
    manifest = path / RUN_MANIFEST if path.is_dir() else path
    if not manifest.is_file() or manifest.name != RUN_MANIFEST:
        raise InputError(f"{path}: no run here", "list the runs: polylect runs")
    data = read_json(manifest)
    if not isinstance(data, dict) or not data.keys() >= _KEYS:
        raise InputError(
            f"{manifest}: not the manifest of a run", "remove it, or choose another DIR"
        )
    return data
