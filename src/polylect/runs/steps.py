"""Memoized steps: a function, its config and its inputs determine a folder.

A step's key is the digest of its declared version, its config and the content of its inputs. While
it runs, the folder is called ``.LABEL-KEY.partial``; it is renamed once when complete. A killed
step resumes from the ``work`` folder in its partial folder.
"""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cached_property
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from polylect.base import (
    InputError,
    Ledger,
    digest_file,
    digest_of,
    file_digests,
    named_functions,
    path_of_languages,
    plain,
)
from polylect.runs.folders import NOT_CONTENT, RESULT_FILES, lock_path
from polylect.runs.progress import Reporter
from polylect.runs.records import record_folder
from polylect.runs.user_errors import users_code

_KEY_DIGITS = 12


class Input(Protocol):
    """An input of a step: anything with a digest of its content."""

    @property
    def digest(self) -> str:
        """Digest of the content; never of a path or a time."""
        ...


class FileInput(Input, Protocol):
    """An input that lies on disk: the user's files, or the artifact of another step."""

    @property
    def path(self) -> Path:
        """Where it lies."""
        ...


StepInputs = Mapping[str, FileInput]
"""What most steps read: files, by the names under which the step looks them up."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """The finished folder of a step.

    Attributes:
        path: its folder.
        digest: digest of the names and contents of its files.
        label: the step's name within its run.
        ledger: the step's counts.
    """

    path: Path
    digest: str
    label: str
    ledger: Ledger = field(compare=False)


@dataclass(frozen=True, slots=True)
class Files:
    """A file or folder of the user as input; the digest covers names and contents."""

    path: Path

    @property
    def digest(self) -> str:
        """Digest of the file, or of every file below the folder but a result's times and log.

        Raises:
            InputError: the path does not exist.
        """
        if self.path.is_dir():
            return digest_of(_content_digests(self.path))
        if self.path.is_file():
            return digest_of({self.path.name: digest_file(self.path)})
        raise InputError(f"{self.path}: no such file or folder", "check the path")


def _content_digests(folder: Path) -> dict[str, str]:
    """Digests of all files but those of a result that cannot repeat: its times and its log."""
    digests = file_digests(folder)
    results = {
        name.rpartition("/")[0] for name in digests if name.rpartition("/")[2] in RESULT_FILES
    }
    return {
        name: digest
        for name, digest in digests.items()
        if name.rpartition("/")[2] not in NOT_CONTENT or name.rpartition("/")[0] not in results
    }


@dataclass(frozen=True, slots=True)
class StepContext:
    """What a running step gets besides config and inputs.

    Attributes:
        out: an empty folder for its output.
        work: a folder for what it needs to resume: kept after a kill, removed when the step
            completes.
        report: receives its progress.
        ledger: counts what it drops, truncates or repeats.
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

    Where it ``uses_languages`` (script, family or class), the user's file of languages is part of
    its key. It travels to another process by name, a step of a user's own file by that file.
    """

    name: str
    version: int
    function: Callable[..., None]
    uses_languages: bool = False

    def __reduce__(self) -> tuple[Callable[..., "Step"], tuple[str, str, str | None]]:
        module = self.function.__module__
        file = getattr(sys.modules[module], RECIPE_FILE, None)
        return _step_of, (module, self.function.__qualname__, file)


RECIPE_FILE = "__recipe_file__"
"""The attribute that marks a module loaded from a user's own file."""
_RECIPE_DIGEST = "__recipe_digest__"


def load_file(path: Path) -> ModuleType:
    """The module in a user's Python file, loaded once for its content, under a name of its own.

    Raises:
        InputError: there is no such file, it is not Python, or what it runs at once raises; names
            the line.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file", "give FILE.py:function")
    place, digest = str(path.resolve()), digest_file(path)
    name = "polylect_recipe_" + digest_of([place, digest])[:16]
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path}: not a Python file", "give FILE.py:function")
    module = importlib.util.module_from_spec(spec)
    setattr(module, RECIPE_FILE, place)
    setattr(module, _RECIPE_DIGEST, digest)
    sys.modules[name] = module
    try:
        with users_code(path):
            _Uncached(name, str(path)).exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


class _Uncached(SourceFileLoader):
    """Loads a user's file and leaves no ``__pycache__`` beside it."""

    def set_data(self, path: str, data: object, *, _mode: int = 0) -> None:
        """Write nothing."""


def key_removed(name: str) -> str:
    """The label in the name of a step's folder, ``LABEL-KEY``; another name as it is."""
    label, dash, key = name.rpartition("-")
    is_key = len(key) == _KEY_DIGITS and set(key) <= set("0123456789abcdef")
    return label if dash and label and is_key else name


def _step_of(module: str, qualname: str, file: str | None) -> "Step":
    loaded = load_file(Path(file)) if file else importlib.import_module(module)
    if file and loaded.__name__ != module:
        raise InputError(f"{file}: was changed while its run was going on", "run it again")
    return getattr(loaded, qualname)


def step(version: int, *, uses_languages: bool = False) -> Callable[[Callable[..., None]], Step]:
    """Declare a function as a step.

    A step of this package is called by its package and function, so that moving it to another file
    of the package changes no key. A step of a user's own file is called by the file's content: it
    keeps its key wherever the file lies, and an edited file makes its steps anew. What the file
    imports does not count: raise the version.

    Args:
        version: an integer that the author raises when the function's results change.
        uses_languages: whether a file of languages changes the result.
    """

    def declare(function: Callable[..., None]) -> Step:
        module = function.__module__
        if module.startswith("polylect."):
            module = ".".join(module.split(".")[:2])
        digest = getattr(sys.modules.get(module), _RECIPE_DIGEST, None)
        if digest is not None:
            module = f"recipe:{digest[:16]}"
        return Step(f"{module}.{function.__qualname__}", version, function, uses_languages)

    return declare


def files_named_by(config: object) -> dict[str, Input]:
    """The files that a config, or a dataclass anywhere inside it, names as settings, by name.

    Args:
        config: settings; a dataclass that names files has a method ``named_files``, or settings
            that may be ``FILE.py:function``.
    """
    named: dict[str, Input] = {}
    if is_dataclass(config) and not isinstance(config, type):
        if hasattr(config, "named_files"):
            named |= config.named_files()
        named |= {name: Files(file) for name, (file, _) in named_functions(config).items()}
        for field_ in fields(config):
            named |= files_named_by(getattr(config, field_.name))
    elif isinstance(config, Mapping):
        for value in config.values():
            named |= files_named_by(value)
    elif isinstance(config, tuple | list):
        for value in config:
            named |= files_named_by(value)
    return named


def _without_folders(config: object) -> object:
    """The config with ``FILE.py:function`` as the function's name.

    The file's content is an input, so the key is the same wherever the file lies.
    """
    if is_dataclass(config) and not isinstance(config, type):
        settings = {x.name: _without_folders(getattr(config, x.name)) for x in fields(config)}
        return settings | {name: known for name, (_, known) in named_functions(config).items()}
    if isinstance(config, dict):
        return {key: _without_folders(value) for key, value in config.items()}
    if isinstance(config, tuple | list):
        return [_without_folders(value) for value in config]
    return config


@dataclass(frozen=True)
class Call:
    """One step to run: which, under what label, with which config and inputs.

    A config may name files that the step reads, such as a chat template: its dataclass then has a
    method ``named_files``, and their content is part of the key wherever the config is used. So is
    that of the file of a function (``NamesFunction``), while its folder is not.
    """

    step: Step
    label: str
    config: object
    inputs: Mapping[str, Input]

    @cached_property
    def description(self) -> dict[str, Any]:
        """What decides the bytes of the result: the step, its config, digests of its inputs."""
        inputs = {**files_named_by(self.config), **self.inputs}
        if self.step.uses_languages and (file := path_of_languages()):
            inputs["languages"] = Files(file)
        return {
            "step": self.step.name,
            "version": self.step.version,
            "config": plain(_without_folders(self.config)),
            "inputs": {name: value.digest for name, value in inputs.items()},
        }

    @property
    def key(self) -> str:
        """Digest of the description."""
        return digest_of(self.description)

    def folder(self, root: Path) -> Path:
        """Where the finished folder lies below ``root``."""
        return root / f"{self.label}-{self.key[:_KEY_DIGITS]}"

    def partial(self, root: Path) -> Path:
        """What the folder is called below ``root`` until it is finished."""
        return root / f".{self.label}-{self.key[:_KEY_DIGITS]}.partial"

    def left_over(self, root: Path) -> bool:
        """Whether a try that failed or was killed left something beside the finished folder."""
        folder = self.folder(root)
        paths = (self.partial(root), lock_path(folder), record_folder(folder))
        return any(path.exists() for path in paths)
