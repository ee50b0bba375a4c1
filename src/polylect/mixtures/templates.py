r"""Templates of instructions: a prompt and an answer around the fields of a labelled row.

A set is a TOML file::

    name = "question"

    [[template]]
    name = "de"
    language = "de"
    prompt = "{{ context }}\n\n{{ question }}"
    answer = "{{ answer }}"

The text is Jinja's, and of Jinja only what names a field: ``{{ field }}``, a filter of a short list
(``{{ choices | join(", ") }}``), and ``{% if field %}``. There are no loops, calls, attributes or
arithmetic, so that a set from somewhere else can neither reach out of the sandbox nor keep it busy.
What a field holds is put in as it is; braces in it are text.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polylect.base import (
    InputError,
    Positive,
    canonical_tag,
    check_known,
    check_settings,
    decode,
    digest_of,
    import_optional,
    read_text,
)

if TYPE_CHECKING:
    from jinja2 import Environment
    from jinja2 import Template as Compiled

CHOSEN = ("choice", "choices", "options", "number")
"""What a row's ``label`` and ``choices`` give: the right choice, all of them, all of them numbered
in lines, and the number of the right one from 1."""
_FILTERS = ("trim", "lower", "upper", "capitalize", "join", "length")
_NODES = (
    "Template", "Output", "TemplateData", "Name", "Const", "Filter", "If", "Not", "And", "Or",
    "Compare", "Operand",
)  # fmt: skip
_ALLOWED = "a template has {{ field }}, {{ choices | join(', ') }} and {% if field %}"
_SHIPPED = "template_sets"


@dataclass(frozen=True, kw_only=True)
class Template:
    """An instruction and its answer.

    Attributes:
        name: unique in its set.
        language: tag of the instruction, and of the rows that it is for.
        prompt: what the user says, in Jinja.
        answer: what the assistant answers, in Jinja.
        choices: texts of the labels 0, 1, …; empty takes those of the row.
        weight: how often it is drawn, relative to the others of its language.
    """

    name: str
    language: str
    prompt: str
    answer: str
    choices: tuple[str, ...] = ()
    weight: Positive = 1.0

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class _SetFile:
    name: str
    template: tuple[Template, ...]
    about: str = ""


@dataclass(frozen=True)
class TemplateSet:
    """Templates for one kind of rows.

    Attributes:
        name: of the set.
        templates: in order.
        place: its file, for errors.
        about: what its rows are.
    """

    name: str
    templates: tuple[Template, ...]
    place: str = field(compare=False)
    about: str = ""

    def __post_init__(self) -> None:
        if not self.templates:
            raise InputError(f"{self.place}: no [[template]]", "give one, with name, language, …")
        seen: dict[str, str] = {}
        for number, template in enumerate(self.templates):
            where = self.where(template)
            if not template.name.strip():
                raise InputError(f"{self.place}: template {number + 1} has no name", "give it one")
            tag = canonical_tag(template.language, f"{where}: 'language'")
            texts = digest_of([tag, template.prompt, template.answer, template.choices])
            for key, what in ((template.name, "is there twice"), (texts, "is the same as")):
                if key in seen:
                    other = "" if key == template.name else f" {seen[key]!r}"
                    raise InputError(f"{where} {what}{other}", "keep one of them")
                seen[key] = template.name
            _check_choices(template.choices, f"{where}: 'choices'")
            for part in ("prompt", "answer"):
                compiled(getattr(template, part), f"{where}: {part!r}")

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """Tags of the templates, each once."""
        return tuple(dict.fromkeys(canonical_tag(one.language) for one in self.templates))

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """What a row needs: every field that a template names, and ``label`` where one is chosen.

        ``choices`` is not among them: a template may bring its own.
        """
        names = dict.fromkeys(
            name
            for template in self.templates
            for part in ("prompt", "answer")
            for name in names_in(getattr(template, part))
        )
        chosen = {"label": None} if any(name in CHOSEN for name in names) else {}
        return tuple({name: None for name in names if name not in CHOSEN} | chosen)

    def of_language(self, tag: str) -> list[Template]:
        """The templates of a language, in order."""
        return [one for one in self.templates if canonical_tag(one.language) == tag]

    def where(self, template: Template) -> str:
        """File and template, for errors."""
        return f"{self.place}: template {template.name!r}"

    @property
    def digest(self) -> str:
        """Digest of the templates."""
        return digest_of([self.name, [vars(template) for template in self.templates]])


def _check_choices(choices: Sequence[str], where: str) -> None:
    """Refuse texts of labels among which nothing can be chosen; none at all are the row's.

    Raises:
        InputError: there is one, one is blank, or one is there twice.
    """
    if len(choices) == 1:
        raise InputError(f"{where} has only {choices[0]!r}: there is nothing to choose",
                         "give two or more, or leave it out: rows bring theirs")  # fmt: skip
    plain = [choice.strip() for choice in choices]
    if not all(plain):
        raise InputError(f"{where}: number {plain.index('') + 1} is blank", "give each a text")
    again = next((text for number, text in enumerate(plain) if text in plain[:number]), None)
    if again is not None:
        raise InputError(f"{where}: {again!r} is there twice", "give each once")


def read_template_set(name_or_path: str) -> TemplateSet:
    """The set in a TOML file, or one that ships, by its name.

    Raises:
        InputError: no such file or set, a key that is wrong, missing or unknown, two templates of
            one name or of one text, or a template that has more than fields; names file, template
            and field.
    """
    if name_or_path.endswith(".toml"):
        return _parsed(read_text(Path(name_or_path)), name_or_path)
    shipped = shipped_sets()
    check_known(name_or_path, shipped, f"no set of templates {name_or_path!r}",
                "give FILE.toml; there are")  # fmt: skip
    return _parsed(shipped[name_or_path], f"set {name_or_path}")


@lru_cache(maxsize=1)
def shipped_sets() -> Mapping[str, str]:
    """Text of the sets that ship, by name."""
    folder = files("polylect.mixtures") / _SHIPPED
    entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    return {entry.name.removesuffix(".toml"): entry.read_text("utf-8") for entry in entries}


def _parsed(text: str, place: str) -> TemplateSet:
    try:
        data: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{place}: {error}", 'a set has name = "…" and [[template]]') from None
    file = decode(_SetFile, data, place)
    return TemplateSet(file.name, file.template, place, file.about)


def filled(template: Template, part: str, values: Mapping[str, Any], where: str) -> str:
    """The prompt or the answer of a template with the values of a row.

    Args:
        template: the template.
        part: ``prompt`` or ``answer``.
        values: text by field; ``choices`` is a list.
        where: file and template, for errors.

    Raises:
        InputError: it cannot be filled.
    """
    try:
        return compiled(getattr(template, part), f"{where}: {part!r}").render(values).strip()
    except InputError:
        raise
    except Exception as error:  # a filter may fail in any way
        reason = (str(error).splitlines() or [type(error).__name__])[0][:100]
        raise InputError(f"{where}: {part!r} cannot be filled ({reason})", _ALLOWED) from None


@lru_cache(maxsize=4096)
def compiled(text: str, where: str) -> "Compiled":
    """A template's text, compiled in the sandbox once it has been checked.

    Raises:
        InputError: it is not Jinja, has more than fields, or is blank; names the line.
    """
    import_optional("jinja2.sandbox", f"{where}: filling a template", "models")
    from jinja2 import TemplateSyntaxError

    if not text.strip():
        raise InputError(f"{where} is empty", _ALLOWED)
    environment = _environment()
    try:
        tree = environment.parse(text)
    except TemplateSyntaxError as error:
        raise InputError(f"{where}, line {error.lineno}: {error.message}", _ALLOWED) from None
    _check(tree, where)
    return environment.from_string(text)


@lru_cache(maxsize=4096)
def names_in(text: str) -> tuple[str, ...]:
    """The fields that a template's text names, sorted."""
    from jinja2.meta import find_undeclared_variables

    return tuple(sorted(find_undeclared_variables(_environment().parse(text))))


@lru_cache(maxsize=1)
def _environment() -> "Environment":
    """Jinja's sandbox without globals, in which a field that is not there is an error."""
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True, trim_blocks=True
    )
    environment.globals.clear()
    environment.filters = {name: environment.filters[name] for name in _FILTERS}
    environment.tests = {}
    return environment


def _check(tree: Any, where: str) -> None:
    """Refuse whatever is more than fields, filters of the list and conditions.

    Raises:
        InputError: names the line and the construct.
    """
    for node in _all_nodes(tree):
        kind = type(node).__name__
        line = f"{where}, line {node.lineno or 1}"
        if kind not in _NODES:
            raise InputError(f"{line}: {kind} is not allowed", _ALLOWED)
        if kind == "Filter" and node.name not in _FILTERS:
            raise InputError(f"{line}: no filter {node.name!r}", f"there are {', '.join(_FILTERS)}")
        if kind == "Name" and node.name.startswith("_"):
            raise InputError(f"{line}: no field may be called {node.name!r}", _ALLOWED)


def _all_nodes(node: Any) -> list[Any]:
    return [node, *(below for child in node.iter_child_nodes() for below in _all_nodes(child))]
