"""What ``polylect COMMAND --help`` prints: usage, what it does, examples, options by group."""

import shutil
import textwrap
from collections.abc import Mapping, Sequence
from enum import Enum

from polylect.api.option_fields import OptionField
from polylect.base import Range, range_of
from polylect.cli.arguments import usage

_WIDEST = 100
_NAMES = 24
_LONGEST = 60
_EVERY_VERB = (
    ("--json", "Print the result as JSON: a list of rows."),
    ("-q, --quiet", "Print errors only."),
    ("-v, --verbose", "Also print the log."),
    ("-h, --help", "Print this and exit."),
)


def help_page(fields: Sequence[OptionField], command: str, description: str) -> str:
    """The text, as wide as the terminal but never wider than 100 columns.

    Args:
        fields: the options of the command.
        command: its name, as it is typed.
        description: paragraphs between empty lines; ``Examples:`` begins lines to type.
    """
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    places = [field for field in fields if field.place]
    optional = [_bracketed(field.metavar) for field in places if not field.required]
    begin = " ".join([usage(fields, command), *optional, "[options]"])
    blocks = [textwrap.fill(f"usage: {begin}", width, subsequent_indent="    ",
                            break_on_hyphens=False)]  # fmt: skip
    about, _, examples = description.partition("Examples:\n")
    for paragraph in about.strip().split("\n\n"):
        blocks.append(textwrap.fill(" ".join(paragraph.split()), width))
    if examples:
        lines = [f"  {line.strip()}" for line in examples.strip().splitlines()]
        blocks.append("\n".join(["examples:", *lines]))
    if places:
        blocks.append("\n".join(_entry(field.metavar, field, width) for field in places))
    for heading, members in _by_group([field for field in fields if not field.place]).items():
        entries = [_entry(_typed(field), field, width) for field in members]
        blocks.append("\n".join([f"{(heading or 'options').lower()}:", *entries]))
    lines = [_lines(typed, text, width) for typed, text in _EVERY_VERB]
    blocks.append("\n".join(["every command:", *lines]))
    return "\n\n".join(blocks) + "\n"


def _by_group(fields: Sequence[OptionField]) -> Mapping[str, list[OptionField]]:
    """The options by the heading of their group; those of the verb itself first."""
    groups: dict[str, list[OptionField]] = {"": []}
    for field in fields:
        groups.setdefault(field.group, []).append(field)
    return {heading: members for heading, members in groups.items() if members}


def _bracketed(metavar: str) -> str:
    return metavar if metavar.startswith("[") else f"[{metavar}]"


def _typed(field: OptionField) -> str:
    if field.switch:
        return f"{field.name}, {field.opposite}" if field.opposite else field.name
    if _are_many(field):
        return f"{field.name} {field.name.strip('-').upper()}"
    return f"{field.name} {field.metavar}"


def _are_many(field: OptionField) -> bool:
    """Whether the choices are too many to stand behind the option's name."""
    return bool(field.choices) and len(field.metavar) > _LONGEST


def _entry(typed: str, field: OptionField, width: int) -> str:
    """An option and its help, which ends with its range and what holds when it is not given."""
    notes = [f"one of {', '.join(field.choices)}"] if _are_many(field) else []
    allowed = range_of(field.hint)
    if allowed is not None and field.kind in (int, float) and _is_limit(allowed):
        notes.append(allowed.words)
    if field.required and not field.place:
        notes.append("required")
    elif (shown := default_text(field)) and "default:" not in field.help.lower():
        notes.append(f"default: {shown}")
    return _lines(typed, f"{field.help} ({'; '.join(notes)})" if notes else field.help, width)


def _is_limit(allowed: Range) -> bool:
    return allowed.words not in ("a finite number", "1 or more", "0 or more", "above 0")


def default_text(field: OptionField) -> str:
    """The default as it is typed; empty where there is nothing to type."""
    default = None if field.required else field.default
    if default is None or default in ("", (), {}):
        return ""
    if field.switch:
        return (field.name if default else "") if field.opposite else ""
    if isinstance(default, Mapping):
        return " ".join(f"{name}={value}" for name, value in default.items())
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
