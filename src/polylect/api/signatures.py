"""Signatures and docstrings of calls, from the options of their verbs."""

import textwrap
from collections.abc import Callable
from dataclasses import MISSING
from inspect import Parameter, Signature, cleandoc
from pathlib import Path
from typing import Any

from polylect.api.option_fields import OptionField, option_fields
from polylect.api.verbs import Verb

_WIDTH = 88


def documented(call: Callable[..., Any]) -> Callable[..., Any]:
    """The call of a verb with the signature and the docstring that ``help`` shows."""
    job: Verb[Any] = call.__dict__["verb"]
    fields = option_fields(job.options)
    call.__dict__["__signature__"] = signature(job, fields)
    call.__name__ = job.name.rpartition(".")[2]
    call.__qualname__ = job.name
    call.__module__ = "polylect"
    call.__doc__ = _docstring(job, call.__doc__ or "", fields)
    return call


def signature(job: Verb[Any], fields: list[OptionField]) -> Signature:
    """The parameters of a call: places first, then keywords, then ``config``."""
    places = [field for field in fields if field.place]
    parameters = [_parameter(field, Parameter.POSITIONAL_OR_KEYWORD) for field in places]
    ordinary = [field for field in fields if not field.place]
    parameters += [_parameter(field, Parameter.KEYWORD_ONLY) for field in ordinary]
    parameters.append(Parameter("config", Parameter.KEYWORD_ONLY, default=None))
    # Python wants parameters with defaults behind those without, where they have places.
    seen = False
    for number, parameter in enumerate(parameters[: len(places)]):
        seen = seen or parameter.default is not Parameter.empty
        if seen and parameter.default is Parameter.empty:
            parameters[number] = parameter.replace(default=None)
    return Signature(parameters)


def annotation(field: OptionField) -> str:
    """What a call takes for an option, as it is written in a stub."""
    kind = field.kind
    if field.choices:
        text = "Literal[" + ", ".join(map(repr, field.kind.__args__)) + "]"
    elif kind is Path:
        text = "PathOrTable"
    else:
        text = {str: "str", int: "int", float: "float", bool: "bool"}.get(kind, "Any")
    if kind is str:
        text = "str | PathLike[str]"
    if field.names_function:
        text += " | Callable[..., Any]"
    if field.pairs:
        text = f"Mapping[str, {text}]"
    elif field.many:
        text = f"Sequence[{text}] | {text}"
    return f"{text} | None" if field.optional else text


def _parameter(field: OptionField, kind: Any) -> Parameter:
    default = Parameter.empty if field.default is MISSING else field.default
    return Parameter(field.key.replace(".", "_"), kind, default=default)


def _docstring(job: Verb[Any], text: str, fields: list[OptionField]) -> str:
    about, _, rest = cleandoc(text).partition("\n\n")
    blocks = [about, *filter(None, [rest])]
    lines = ["Args:"]
    for field in fields:
        notes = f"{field.help} (default: {field.default!r})" if _has_default(field) else field.help
        begin = f"{field.key}: {notes}"
        lines += textwrap.wrap(begin, _WIDTH, initial_indent="    ", subsequent_indent=" " * 8)
    lines += [
        "    config: a dict of these, or the options of an earlier call, in place of keywords."
    ]
    return "\n\n".join([*blocks, "\n".join(lines)]) + "\n"


def _has_default(field: OptionField) -> bool:
    return field.default not in (MISSING, None, "", ()) and "efault" not in field.help
