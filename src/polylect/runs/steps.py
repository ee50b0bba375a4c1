"""Memoized steps: a function, its config and its inputs give a folder that appears whole or not.

A step's key is the digest of its declared version, its config and the content of its inputs. While
it runs, the folder is called ``.LABEL-KEY.partial``; it gets its name by one rename when it is
complete. A step that was killed finds its own partial folder again, with ``work`` inside it.
"""

import fcntl
import importlib
import importlib.util
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from polylect.base import (
    InputError,
    Ledger,
    PolylectError,
    digest_file,
    digest_of,
    file_digests,
    plain,
    read_json,
    remove_folder,
    storage_error,
    write_json,
)
from polylect.runs.progress import Reporter, Silent

MANIFEST = "step.json"
VOLATILE = "volatile.json"
_KEY_DIGITS = 12
_LOCK_SECONDS = 10.0


class Input(Protocol):
    """What a step may read: something with a digest of its content."""

    @property
    def digest(self) -> str:
        """Digest of the content; never of a path or a time."""
        ...


@dataclass(frozen=True, slots=True)
class Artifact:
    """The finished folder of a step.

    Attributes:
        path: where it lies.
        digest: digest of the names and contents of its files.
        label: the step's name within its run.
        ledger: what the step counted.
    """

    path: Path
    digest: str
    label: str
    ledger: Ledger = field(compare=False)


@dataclass(frozen=True, slots=True)
class Files:
    """Files or a folder of the user's, as input: the digest is of names and contents."""

    path: Path

    @property
    def digest(self) -> str:
        """Digest of the file, or of every file below the folder.

        Raises:
            InputError: there is nothing at the path.
        """
        if self.path.is_dir():
            return digest_of(file_digests(self.path))
        if self.path.is_file():
            return digest_of({self.path.name: digest_file(self.path)})
        raise InputError(f"{self.path}: no such file or folder", "check the path")


@dataclass(frozen=True, slots=True)
class StepContext:
    """What a running step is handed beside config and inputs.

    Attributes:
        out: an empty folder for its output.
        work: a folder for what it needs to resume; a try after a kill finds it as it was left. It
            is removed when the step completes.
        report: where it says how far it is.
        ledger: where it counts what it dropped, cut or repeated.
        num_workers: processes that it may use; never changes a result.
    """

    out: Path
    work: Path
    report: Reporter
    ledger: Ledger
    num_workers: int = 1


@dataclass(frozen=True)
class Step:
    """A function with a declared version: ``function(config, inputs, context)``.

    It travels to another process by name, a step of a user's own file by that file.
    """

    name: str
    version: int
    function: Callable[[Any, Mapping[str, Any], StepContext], None]

    def __reduce__(self) -> tuple[Any, ...]:
        module = self.function.__module__
        file = getattr(sys.modules[module], RECIPE_FILE, None)
        return _step_of, (module, self.function.__qualname__, file)


RECIPE_FILE = "__recipe_file__"
"""The attribute that marks a module loaded from a user's own file."""


def load_file(path: Path) -> Any:
    """The module in a user's Python file, loaded once under a name of its own.

    Raises:
        InputError: there is no such file, or it is not Python.
    """
    name = "polylect_recipe_" + digest_of(str(path.resolve()))[:16]
    if name in sys.modules:
        return sys.modules[name]
    if not path.is_file():
        raise InputError(f"{path}: no such file", "give FILE.py:function")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path}: not a Python file", "give FILE.py:function")
    module = importlib.util.module_from_spec(spec)
    setattr(module, RECIPE_FILE, str(path.resolve()))
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        del sys.modules[name]
        raise InputError(f"{path}:{error.lineno}: not valid Python ({error.msg})") from None
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _step_of(module: str, qualname: str, file: str | None) -> Any:
    loaded = load_file(Path(file)) if file else importlib.import_module(module)
    return getattr(loaded, qualname)


def step(version: int) -> Callable[[Callable[..., None]], Step]:
    """Declare a function as a step.

    Args:
        version: an integer that the author raises when the function's results change.
    """

    def declare(function: Callable[..., None]) -> Step:
        return Step(f"{function.__module__}.{function.__qualname__}", version, function)

    return declare


@dataclass(frozen=True, slots=True)
class Call:
    """One step to run: which, under what label, with which config and inputs."""

    step: Step
    label: str
    config: Any
    inputs: Mapping[str, Input]

    @property
    def key(self) -> str:
        """Digest of declared version, config and content of the inputs."""
        return digest_of(
            {
                "step": self.step.name,
                "version": self.step.version,
                "config": plain(self.config),
                "inputs": {name: one.digest for name, one in self.inputs.items()},
            }
        )

    def folder(self, root: Path) -> Path:
        """Where the finished folder lies below ``root``."""
        return root / f"{self.label}-{self.key[:_KEY_DIGITS]}"

    def partial(self, root: Path) -> Path:
        """What the folder is called below ``root`` until it is finished."""
        return root / f".{self.label}-{self.key[:_KEY_DIGITS]}.partial"

    def left_over(self, root: Path) -> bool:
        """Whether a try that was killed left something beside the finished folder."""
        return self.partial(root).exists() or _lock_of(self.folder(root)).exists()


def find(call: Call, root: Path) -> Artifact | None:
    """The finished artifact of a call, or None when it has not run yet."""
    folder = call.folder(root)
    return open_artifact(folder) if (folder / MANIFEST).is_file() else None


def open_artifact(folder: Path) -> Artifact:
    """The artifact in a finished step's folder.

    Raises:
        InputError: the folder holds no step manifest, or one that cannot be read.
    """
    manifest = read_json(folder / MANIFEST)
    try:
        ledger = Ledger.from_json(manifest["ledger"])
        return Artifact(folder, digest_of(manifest["outputs"]), manifest["label"], ledger)
    except (KeyError, TypeError):
        raise InputError(
            f"{folder / MANIFEST}: not the manifest of a step", f"remove {folder} and run again"
        ) from None


def execute(
    call: Call, root: Path, report: Reporter | None = None, *, num_workers: int = 1
) -> Artifact:
    """Run a call, unless its folder is there, and give its artifact.

    Args:
        call: the step.
        root: where finished steps lie.
        report: where it says how far it is.
        num_workers: processes that it may use.

    Raises:
        PolylectError: what the step raised, or another process holds this step.
        StorageError: the disk is full or the folder cannot be written.
    """
    return _execute(call, call.folder(root), call.partial(root), report, num_workers)


def execute_into(call: Call, out: Path, report: Reporter | None = None) -> Artifact:
    """As ``execute``, with a folder of the user's choosing as the finished one.

    Raises:
        InputError: the folder holds something else.
        PolylectError: what the step raised, or another process holds this step.
        StorageError: the disk is full or the folder cannot be written.
    """
    out = Path(os.path.abspath(out))
    partial = call.partial(out.parent)
    found = finished_at(call, out)
    if found is not None and not partial.exists() and not _lock_of(out).exists():
        return found
    if found is None and out.is_dir():
        out.rmdir()  # the rename that makes it appear needs the name free
    return _execute(call, out, partial, report)


def join(call: Call, out: Path) -> None:
    """Take part in ``execute_into`` of another process, which writes: nothing is written here.

    The step must wait for that process before it looks into its folders.
    """
    partial = call.partial(Path(os.path.abspath(out)).parent)
    context = StepContext(partial / "out", partial / "work", Silent(), Ledger())
    call.step.function(call.config, call.inputs, context)


def finished_at(call: Call, out: Path) -> Artifact | None:
    """The artifact of a call in a folder of the user's choosing; None where it is not there yet.

    Raises:
        InputError: there is something else.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    manifest = read_json(out / MANIFEST) if (out / MANIFEST).is_file() else {}
    if manifest.get("key") != call.key:
        raise InputError(f"{out}: holds something else", "choose another --out, or remove it")
    return open_artifact(out)


def _execute(
    call: Call, final: Path, partial: Path, report: Reporter | None, num_workers: int = 1
) -> Artifact:
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with _lock(_lock_of(final), final):
            if (final / MANIFEST).is_file():
                remove_folder(partial)
                return open_artifact(final)
            out, work = partial / "out", partial / "work"
            remove_folder(out)
            out.mkdir(parents=True)
            work.mkdir(exist_ok=True)
            context = StepContext(out, work, report or Silent(), Ledger(), num_workers)
            wall, cpu = time.monotonic(), time.process_time()
            call.step.function(call.config, call.inputs, context)
            used = {
                "wall_seconds": round(time.monotonic() - wall, 3),
                "cpu_seconds": round(time.process_time() - cpu, 3),
                "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            }
            _complete(call, context, used)
            os.replace(out, final)
            remove_folder(partial)
    except OSError as error:
        raise storage_error(error, error.filename or final) from error
    return open_artifact(final)


def _complete(call: Call, context: StepContext, used: dict[str, Any]) -> None:
    """Write the manifests into the output folder, everything flushed to disk."""
    outputs = file_digests(context.out, leave_out=frozenset({VOLATILE, MANIFEST}))
    write_json(
        context.out / MANIFEST,
        {
            "label": call.label,
            "step": call.step.name,
            "version": call.step.version,
            "key": call.key,
            "config": plain(call.config),
            "inputs": {name: one.digest for name, one in call.inputs.items()},
            "outputs": outputs,
            "ledger": context.ledger.to_json(),
        },
    )
    earlier = context.work / VOLATILE
    spent = read_json(earlier) if earlier.is_file() else {}
    write_json(context.out / VOLATILE, spent | used)


def _lock_of(final: Path) -> Path:
    return final.parent / f".{final.name}.lock"


@contextmanager
def _lock(path: Path, what: Path) -> Iterator[None]:
    """Hold a file lock; the operating system lets go of it when the process ends."""
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        with open(path, "w", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise PolylectError(
                        f"{what}: another process is working on this step",
                        "wait for it, or choose another --out DIR",
                    ) from None
                time.sleep(0.2)
                continue
            # The last holder removes the file: a lock on a removed file guards nothing.
            if not _is_at(file.fileno(), path):
                continue
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.fstat(descriptor).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False
