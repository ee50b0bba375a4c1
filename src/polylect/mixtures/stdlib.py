"""Program code present on every machine: Python's standard library without tests and tables."""

import sysconfig
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from polylect.base import CODE, InputError, Ledger, digest_file, digest_of
from polylect.mixtures.pieces import code_pieces
from polylect.rows import Document

LICENSE = "PSF-2.0"
_LEFT_OUT = frozenset({
    "test", "tests", "idle_test", "idlelib", "turtledemo", "lib2to3", "site-packages",
    "dist-packages", "__pycache__", "ensurepip", "encodings", "pydoc_data",
})  # fmt: skip


@dataclass(frozen=True)
class StandardLibrary:
    """The ``.py`` files of the running Python's standard library, as language ``code``.

    A file is cut at blank lines before top-level statements; its pieces share its name as
    ``parallel`` key, so that a split keeps them together. The digest differs between Python
    versions, as their text does.
    """

    offered: ClassVar[frozenset[str]] = frozenset({CODE.tag})
    name: str = "stdlib"

    @cached_property
    def digest(self) -> str:
        """Digest of the files' names and contents."""
        root = _root()
        return digest_of({_name(path, root): digest_file(path) for path in library_files(root)})

    def documents(self, languages: Collection[str], ledger: Ledger) -> Iterator[Document]:
        """Pieces of at most 3,000 characters, except where a single line is longer."""
        if CODE.tag not in languages:
            return
        root = _root()
        for path in library_files(root):
            name = _name(path, root)
            try:
                text = path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                ledger.count("dropped file: not UTF-8", 1, self.name)
                continue
            for number, piece in enumerate(code_pieces(text)):
                yield Document(
                    id=f"{name}#{number:03d}", language=CODE.tag, source=self.name, text=piece,
                    parallel=f"{self.name}/{name}", license=LICENSE,
                )  # fmt: skip


def _root() -> Path:
    root = Path(sysconfig.get_path("stdlib"))
    if not root.is_dir():
        raise InputError(f"{root}: no standard library here", "use FolderSource")
    return root


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def library_files(root: Path) -> list[Path]:
    """The Python files below a folder without tests and tools, sorted by name."""
    files: list[Path] = []
    for path in sorted(root.iterdir()):
        if path.name in _LEFT_OUT or path.name.startswith("config-"):
            continue
        if path.is_dir() and not path.is_symlink():
            files += library_files(path)
        # Build variables of one machine, not source code.
        elif path.suffix == ".py" and not path.name.startswith("_sysconfigdata"):
            files.append(path)
    return files
