"""Reading gettext catalogs: compiled ``.mo`` files, and English defaults from ``.pot`` files.

The standard library's reader drops the English plural, so this module reads ``.mo`` itself.
"""

import ast
import re
import struct
from collections.abc import Iterator
from pathlib import Path

from polylect.base import InputError, read_text, refuse_pointer

_MAGIC = 0x950412DE
_CONTEXT, _PLURAL = "\x04", "\x00"
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')


def read_mo(path: Path) -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """(context, English forms, translated forms) of every message except the header.

    Raises:
        InputError: the file is not a catalog in UTF-8.
    """
    data = path.read_bytes()
    refuse_pointer(path, data)
    try:
        order = "<" if struct.unpack_from("<I", data)[0] == _MAGIC else ">"
        magic, _, num_messages, ids, texts = struct.unpack_from(f"{order}5I", data)
        if magic != _MAGIC:
            raise ValueError("wrong magic number")
        for index in range(num_messages):
            key = _string(data, order, ids + 8 * index)
            if key:
                context, _, english = key.rpartition(_CONTEXT)
                text = _string(data, order, texts + 8 * index)
                yield context, tuple(english.split(_PLURAL)), tuple(text.split(_PLURAL))
    except (struct.error, ValueError) as error:
        raise InputError(
            f"{path}: not a message catalog in UTF-8 ({error})", "install its package again"
        ) from None


def _string(data: bytes, order: str, at: int) -> str:
    length, start = struct.unpack_from(f"{order}2I", data, at)
    if start + length > len(data):
        raise ValueError("cut short")
    return data[start : start + length].decode()


def read_defaults(path: Path) -> dict[str, str]:
    """English text by message id, from the ``#. Default: "…"`` comments of a template.

    Zope's packages use symbolic ids (``label_owner``); a template gives their text.
    """
    defaults: dict[str, str] = {}
    default: list[str] = []
    name: list[str] = []
    state = ""
    for line in [*read_text(path).splitlines(), ""]:
        if line.startswith("#. Default:"):
            state, default = "default", [_quoted(line)]
        elif line.startswith("#.") and state == "default":
            default.append(_quoted(line))
        elif line.startswith("msgid "):
            state, name = "id", [_quoted(line)]
        elif line.startswith('"') and state == "id":
            name.append(_quoted(line))
        elif line.startswith("msgstr"):
            if default and "".join(name):
                defaults["".join(name)] = "".join(default)
            state, default = "", []
        elif not line.startswith("#"):
            state = ""
    return defaults


def _quoted(line: str) -> str:
    """The quoted string in a line, escapes resolved; empty without one."""
    match = _QUOTED.search(line)
    if match is None:
        return ""
    try:
        return str(ast.literal_eval(match.group()))
    except (SyntaxError, ValueError):
        return match.group()[1:-1]
