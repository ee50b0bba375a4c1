"""What a result folder holds: the same result, another one, or something else."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from polylect.base import InputError, current_names, json_value, read_json
from polylect.runs.folders import check_writable, is_vacant

_SHOWN = 6
_SHOWN_CHARACTERS = 40
_DIGEST_DIGITS = 12


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest in a JSON file, with the names that settings have today.

    Raises:
        InputError: the file is missing, not JSON, or no object.
    """
    manifest = current_names(read_json(path))
    if not isinstance(manifest, dict):
        raise InputError(f"{path}: not a manifest", f"remove {path.parent}, or choose another DIR")
    return manifest


def holds_result(
    out: Path, manifest_name: str, description: Mapping[str, Any], *, force: bool = False
) -> bool:
    """Whether the described result lies at ``out``; False where there is room for it.

    Args:
        out: the folder that the user named.
        manifest_name: the file that says what a result of this command is.
        description: what decides the bytes of the result, under the keys of the manifest.
        force: there is room for the result whatever lies there.

    Raises:
        InputError: something else lies there; names what differs, from which value to which.
        StorageError: the folder around it cannot be made or written.
    """
    here = os.getcwd()
    if (
        force
        and not is_vacant(out)
        and os.path.commonpath([here, os.path.realpath(out)]) == (os.path.realpath(out))
    ):
        raise InputError(f"{out}: you stand in this folder", "choose another --out DIR")
    if force or is_vacant(out):
        check_writable(Path(os.path.abspath(out)).parent)
        return False
    if not out.is_dir():
        raise InputError(f"{out}: a file, not a folder", "choose another --out DIR")
    if not (out / manifest_name).is_file():
        raise InputError(
            f"{out}: not empty, and not from this command ({_names(out)})",
            f"choose another --out DIR, or --force, which moves it to {out.name}.before",
        )
    manifest = read_manifest(out / manifest_name)
    description = current_names(json_value(description))
    if "step" in description and manifest.get("step") != description["step"]:
        description = {"step": description["step"]}  # nothing else can be compared
    changes = differences({key: manifest.get(key) for key in description}, description)
    if not changes:
        return True
    shown = changes[:_SHOWN]
    if len(changes) > _SHOWN:
        shown.append(f"and {len(changes) - _SHOWN} more")
    raise InputError(
        f"{out}: holds another result ({'; '.join(shown)})",
        "--force replaces it, or choose another --out DIR",
    )


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What differs between two descriptions, as ``NAME OLD → NEW``, in order of names.

    >>> differences({"seed": 0, "optim": {"rate": 0.1}}, {"seed": 1, "optim": {"rate": 0.2}})
    ['optim.rate 0.1 → 0.2', 'seed 0 → 1']
    """
    return [
        f"{_plain_name(name)} {_shown(old)} → {_shown(new)}"
        for name, old, new in _changes("", json_value(before), json_value(after))
    ]


def _plain_name(name: str) -> str:
    """A setting without the manifest's own key before it; an input is called one."""
    name = name.removeprefix("config.").removeprefix("lineage.")
    return name.replace("inputs.", "input ", 1)


class _Absent:
    """Stands for a key that one of two descriptions does not have."""


_ABSENT = _Absent()


def _changes(name: str, before: Any, after: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            inner = f"{name}.{key}" if name else key
            yield from _changes(inner, before.get(key, _ABSENT), after.get(key, _ABSENT))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (old, new) in enumerate(zip(before, after, strict=True), start=1):
            yield from _changes(f"{name}[{number}]", old, new)
    elif before != after:
        yield name, before, after


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return "(absent)"
    if value is None:
        return "none"
    if isinstance(value, str) and value:
        is_digest = len(value) == 64 and set(value) <= set("0123456789abcdef")
        text = value[:_DIGEST_DIGITS] if is_digest else value
    else:
        text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def _names(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
