"""The map of old names to new ones: what a command line, a row or a key is called after."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

MAP = Path(__file__).with_suffix(".toml")
_STEP = re.compile(r"([\w.+-]+)-[0-9a-f]{12}(?![0-9a-f])")
_RUBRIC = re.compile(r"\bpolite-[0-9a-f]{8}\b")
_SECTIONS = ("words", "inputs", "labels", "files", "folders", "keys", "values", "moved", "removed",
             "added", "reordered", "redrawn")  # fmt: skip


@dataclass(frozen=True)
class Names:
    """New name by old name, section by section; without entries nothing is renamed."""

    words: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    folders: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    moved: Mapping[str, str] = field(default_factory=dict)
    removed: Mapping[str, str] = field(default_factory=dict)
    added: Mapping[str, str] = field(default_factory=dict)
    reordered: Mapping[str, str] = field(default_factory=dict)
    redrawn: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path | None) -> "Names":
        """The map in a file; the empty one for None. An unknown section is refused."""
        if path is None:
            return cls()
        sections = tomllib.loads(path.read_text("utf-8"))
        if unknown := sorted(set(sections) - set(_SECTIONS)):
            raise SystemExit(f"{path}: unknown section {unknown[0]}; known are {_SECTIONS}")
        return cls(**sections)

    def command(self, words: Sequence[str]) -> list[str]:
        """The words of a command line in new spelling."""
        spelling: dict[str, str] = {}
        for scope in ("", words[0], " ".join(words[:2])):
            section = self.words.get(scope, {}) if scope else self.words
            spelling |= {old: new for old, new in section.items() if isinstance(new, str)}
        spelled: list[str] = []
        for word in words:
            name, sign, text = word.partition("=")
            if sign and f"{name}=" in spelling:
                spelled.append(spelling[f"{name}="] + text)
            else:
                spelled += spelling.get(word, word).split()
        return spelled

    def label(self, label: str) -> str:
        return self.labels.get(label, label)

    def file(self, name: str) -> str:
        return self.files.get(name, name)

    def folder(self, path: str) -> str:
        """A path with the folders that are elsewhere now, by regular expressions."""
        for old, new in self.folders.items():
            path = re.sub(old, new, path)
        return path

    def is_expected(self, path: str, *, is_new: bool, is_gone: bool) -> bool:
        """Whether a file that only one side has is listed, by pattern, with a reason."""
        patterns = self.added if is_new else self.removed if is_gone else {}
        return any("/" in pattern and fnmatch(path, pattern) for pattern in patterns)

    def key(self, file: str, key: str) -> str:
        """A key or column of a file; a key that is itself a label or a value counts as that."""
        for name in (f"{file}:{key}", key):
            if name in self.keys:
                return self.keys[name]
        return self.labels.get(key, self.values.get(key, self.in_text(key)))

    def path(self, file: str, path: str) -> str:
        """A dotted path of old names in new ones; ``[]`` after a name stays."""
        keys = [key.partition("[") for key in path.split(".")]
        return self.place(".".join(self.key(file, key) + sign + end for key, sign, end in keys))

    def value(self, key: str, text: str) -> str:
        """A text below a key, whose old name counts."""
        for name in (f"{key}={text}", text):
            if name in self.values:
                return self.values[name]
        return self.labels.get(text, self.in_text(text))

    def in_text(self, text: str) -> str:
        """A text with the folders of steps by their labels: keys are digests of settings.

        Likewise the rubric of the jobs, whose name ends in a digest of its file. Parts of a path
        that are names of files are renamed.
        """
        text = _RUBRIC.sub("polite-KEY", text)
        text = _STEP.sub(lambda step: f"{self.label(step[1])}-KEY", text)
        return "/".join(map(self.file, text.split("/"))) if self.files else text

    def place(self, path: str) -> str:
        """A dotted path of new names, where it moved to."""
        for old, new in self.moved.items():
            if path == old or path.startswith((f"{old}.", f"{old}[")):
                return (new + path[len(old) :]).lstrip(".")
        return path

    def is_gone(self, file: str, key: str) -> bool:
        return key in self.removed or f"{file}:{key}" in self.removed

    def is_new(self, file: str, key: str) -> bool:
        return key in self.added or f"{file}:{key}" in self.added

    def is_reordered(self, path: str) -> bool:
        return any(fnmatch(path, pattern) for pattern in self.reordered)

    def is_redrawn(self, path: str) -> bool:
        return any(fnmatch(path, pattern) for pattern in self.redrawn)
