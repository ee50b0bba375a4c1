"""The options of merge methods as ``polylect.api.merge_methods`` must have them.

``python tests/support/merge_methods.py`` writes that file from what the operators declare, so that
``polylect merge --help`` needs no numpy.
"""

import inspect
import subprocess
from pathlib import Path

import polylect
from polylect.base import ANY, Range, range_of
from polylect.merging import OPERATORS

FILE = Path(polylect.__file__).parent / "api" / "merge_methods.py"
ELSEWHERE = ("weight", "seed")
"""Options that the verb has itself: one weight for each model, and the seed of every method."""
NAMES = {ANY: "Finite", Range(0, 1): "Share"}
ENDS = [-1e9, -1, 0, 0.5, 1, 1e9]


def source() -> str:
    """The text of the file."""
    by_name = {}
    for method in OPERATORS.values():
        for name, option in method.options.items():
            if name not in ELSEWHERE:
                by_name.setdefault(name, {})[method.name] = option
    types = {name: _type(list(options.values())) for name, options in by_name.items()}
    joined = " ".join(types.values())
    ranges = [name for name in ("Finite", "Range", "Share") if name in joined]
    lines = [
        '"""The options of the merge methods, from what the operators in ``merging`` declare.',
        "",
        "Written by ``python tests/support/merge_methods.py``; a test compares them.",
        '"""',
        "",
        "from dataclasses import dataclass",
        f"from typing import {'Annotated, ' if 'Annotated' in joined else ''}Literal",
        "",
        f"from polylect.base import {', '.join([*ranges, 'check_settings'])}",
        "",
        f"MergeMethod = Literal[{', '.join(map(repr, OPERATORS))}]",
        "",
        "@dataclass(frozen=True, kw_only=True)",
        "class MethodOptions:",
        '    """Options of the method."""',
        "",
    ]
    for name, options in by_name.items():
        is_many = next(iter(options.values())).per_model
        field = name + ("_" if name == "lambda" else "")
        lines += [
            f"    {field}: {types[name]}{' = ()' if is_many else ' | None = None'}",
            f'    """{_help(options)}"""',
        ]
    lines += ["", "    def __post_init__(self) -> None:", "        check_settings(self)"]
    command = ["ruff", "format", "--stdin-filename", str(FILE), "-"]
    text = "\n".join(_wrapped(line) for line in lines) + "\n"
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def _type(options) -> str:
    """The type of the field: with the range that holds those of all methods."""
    ranges = [range_of(option.allowed) or ANY for option in options]
    widest = max(ranges, key=lambda allowed: sum(end in allowed for end in ENDS))
    assert all(end in widest for allowed in ranges for end in ENDS if end in allowed)
    kind = options[0].kind
    assert all(option.kind is kind for option in options)
    if kind is float:
        limits = [f"{name}={value:g}" for name in ("at_least", "at_most", "above", "below")
                  if (value := getattr(widest, name)) is not None]  # fmt: skip
        text = NAMES.get(widest, f"Annotated[float, Range({', '.join(limits)})]")
    elif kind is str:
        text = str(options[0].allowed).removeprefix("typing.")
    else:
        text = kind.__name__
    return f"tuple[{text}, ...]" if options[0].per_model else text


def _help(options) -> str:
    """What the first operator says of an option, who takes it, and its defaults."""
    text = next(option.help for option in options.values() if option.help).replace("``", "")
    text = text[0].upper() + text[1:]
    if next(iter(options.values())).per_model:
        text = text.removesuffix(".") + "; one value, or one for each model."
    by_default: dict[str, list[str]] = {}
    for method, option in options.items():
        by_default.setdefault(_shown(option.default), []).append(method)
    if len(by_default) > 1:
        parts = [f"{value} ({', '.join(methods)})" for value, methods in by_default.items()]
        return f"{text} Default: {', '.join(parts)}."
    ((value, methods),) = by_default.items()
    end = f"default: {value}" if value else "required"
    return f"{text} Of {', '.join(methods)}; {end}."


def _shown(default) -> str:
    if default is inspect.Parameter.empty:
        return ""
    default = default[0] if isinstance(default, tuple) else default
    return str(default).lower() if isinstance(default, bool | str) else f"{default:g}"


def _wrapped(line: str) -> str:
    import textwrap

    if not line.startswith('    """'):
        return line
    return textwrap.fill(line.strip(), 100, initial_indent="    ", subsequent_indent="    ",
                         break_on_hyphens=False)  # fmt: skip


if __name__ == "__main__":
    FILE.write_text(source(), encoding="utf-8")
