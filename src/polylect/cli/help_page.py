"""What ``polylect COMMAND --help`` prints: how the command is typed, what it does, its options."""

import shutil
import textwrap
from collections.abc import Sequence
from enum import Enum

from polylect.cli.arguments import usage
from polylect.cli.option_fields import OptionField

_WIDEST = 100
_NAMES = 24


def help_page(fields: Sequence[OptionField], command: str, description: str) -> str:
    """The text, as wide as the terminal but never wider than 100 columns.

    Args:
        fields: the options of the command.
        command: its name, as it is typed.
        description: paragraphs between empty lines.
    """
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    places = [field for field in fields if field.positional]
    optional = [field.metavar for field in places if not field.required]
    begin = " ".join([usage(fields, command), *map(_bracketed, optional), "[options]"])
    blocks = [textwrap.fill(f"usage: {begin}", width, subsequent_indent="    ",
                            break_on_hyphens=False)]  # fmt: skip
    for paragraph in description.split("\n\n"):
        blocks.append(textwrap.fill(" ".join(paragraph.split()), width))
    entries = [_entry(field.metavar, field, width) for field in places]
    if entries:
        blocks.append("\n".join(entries))
    entries = [_entry(_typed(field), field, width) for field in fields if not field.positional]
    entries.append(_lines("-h, --help", "Print this and exit.", width))
    blocks.append("options:\n" + "\n".join(entries))
    return "\n\n".join(blocks) + "\n"


def _bracketed(metavar: str) -> str:
    return metavar if metavar.startswith("[") else f"[{metavar}]"


def _typed(field: OptionField) -> str:
    if field.switch:
        return f"{field.name}, {field.opposite}" if field.opposite else field.name
    return f"{field.name} {field.metavar}"


def _entry(typed: str, field: OptionField, width: int) -> str:
    """An option and its help, which ends with what holds when it is not given."""
    notes = []
    if field.required:
        notes.append("(required)")
    elif (shown := _default(field)) and "default:" not in field.help.lower():
        notes.append(f"(default: {shown})")
    if field.repeats:
        notes.append("(may be repeated)")
    return _lines(typed, " ".join([field.help, *notes]).strip(), width)


def _default(field: OptionField) -> str:
    """The default as it is typed; empty where there is nothing to type."""
    default = field.default
    if default is None or default in ("", ()):
        return ""
    if field.switch:
        return (field.name if default else "") if field.opposite else ""
    if isinstance(default, tuple | list):
        return " ".join(map(str, default))
    return str(default.value if isinstance(default, Enum) else default)


def _lines(typed: str, text: str, width: int) -> str:
    indent = " " * (_NAMES + 2)
    begin = f"  {typed:<{_NAMES}}"
    wrapped = textwrap.wrap(text, width - len(indent), break_on_hyphens=False)
    if len(typed) > _NAMES - 2 or not wrapped:
        return "\n".join([begin.rstrip(), *(indent + line for line in wrapped)])
    return "\n".join([begin + wrapped[0], *(indent + line for line in wrapped[1:])])
