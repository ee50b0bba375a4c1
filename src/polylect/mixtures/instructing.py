"""Labelled rows into instructions: each by a template of its own language, drawn by a seed.

It reads no dataset by itself and knows no task: a row is an object with ``language``, the fields
that the templates name, and ``label`` with ``choices`` where one is chosen.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from polylect.base import (
    InputError,
    Ledger,
    canonical_tag,
    derive_seed,
    digest_of,
    generator,
    nearest_tag,
)
from polylect.mixtures.templates import CHOSEN, Template, TemplateSet, filled, names_in

TEMPLATED = "templated"
"""The origin of a row made by a template."""
NO_TEMPLATE = "left out: no template in the row's language"
"""Ledger event: by set and language."""
EMPTY_FIELD = "left out: a field of the row is empty"
"""Ledger event: by set and field."""
FEWER = "fewer templates than asked for"
"""Ledger event: a row whose language has fewer than were asked for, by set and language."""
Rows = Iterable[tuple[str, Mapping[str, Any]]]
"""Rows with their place (file and line)."""


class _Empty(Exception):
    """A field that has no text."""


def instruct(
    rows: Rows,
    sets: Sequence[TemplateSet],
    ledger: Ledger,
    *,
    seed: int = 0,
    per_row: int = 1,
    default_language: str = "",
    source: str = "",
) -> Iterator[dict[str, Any]]:
    """Rows for ``train sft``, made of labelled rows by templates of their language.

    Each has messages, language, id, source, origin (``templated``), template (``SET/NAME``) and row
    (the id of the labelled row). Which template a row gets depends on the seed, the set and the
    row's id (or content), never on the order or number of the rows.

    Args:
        rows: with their places. A row is used with every set whose fields it has.
        sets: of templates.
        ledger: counts rows that are left out.
        seed: of the drawing.
        per_row: different templates for each row and set.
        default_language: of rows that name none.
        source: of rows that name none.

    Raises:
        InputError: a row lacks a field that every set needs, has a value that is no text, or a
            label without a choice; names the row, the set's file, the template and the field.
    """
    for place, row in rows:
        used = [group for group in sets if not _missing(group, row)]
        if not used:
            raise _no_field(sets, row, place)
        tag = _language(row, place, default_language)
        name = _id(row, place)
        for group in used:
            match = tag if tag in group.languages else nearest_tag(tag, group.languages)
            templates = group.of_language(match) if match else []
            if not templates:
                ledger.count(NO_TEMPLATE, 1, f"{group.name} {tag}")
                continue
            ledger.count(FEWER, int(len(templates) < per_row), f"{group.name} {tag}")
            for template in _drawn(templates, per_row, derive_seed(seed, group.name, tag, name)):
                try:
                    prompt, answer = _texts(group, template, row, place)
                except _Empty as error:
                    ledger.count(EMPTY_FIELD, 1, f"{group.name} {error}")
                    continue
                yield {
                    "messages": [
                        {"role": "user", "content": prompt},
                        {"role": "assistant", "content": answer},
                    ],
                    "language": tag,
                    "id": f"{name}/{group.name}/{template.name}",
                    "source": str(row.get("source") or source),
                    "origin": TEMPLATED,
                    "template": f"{group.name}/{template.name}",
                    "row": name,
                }


def _drawn(templates: Sequence[Template], num: int, seed: int) -> list[Template]:
    """Up to ``num`` different templates, drawn by their weights."""
    weights = [template.weight for template in templates]
    total = sum(weights)
    num = min(num, len(templates))
    chosen = generator(seed).choice(
        len(templates), num, replace=False, p=[weight / total for weight in weights]
    )
    return [templates[int(index)] for index in chosen]


def _texts(
    group: TemplateSet, template: Template, row: Mapping[str, Any], place: str
) -> tuple[str, str]:
    """Prompt and answer of a row.

    Raises:
        _Empty: a field that the template names has no text.
        InputError: see ``instruct``.
    """
    where = f"{place}: {group.where(template)}"
    named = set(names_in(template.prompt)) | set(names_in(template.answer))
    values = {name: _text(row[name], name, where) for name in named if name not in CHOSEN}
    if named & set(CHOSEN):
        values |= _chosen(template, row, where)
    prompt, answer = (filled(template, part, values, where) for part in ("prompt", "answer"))
    for part, text in (("prompt", prompt), ("answer", answer)):
        if not text:
            raise _Empty(part)
    return prompt, answer


def _chosen(template: Template, row: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The values that a label and its choices give."""
    choices = list(template.choices) or row.get("choices")
    if choices is None:
        raise InputError(f"{where}: field 'choices' is missing", "add it to the rows or template")
    if not isinstance(choices, list) or not choices:
        raise InputError(f"{where}: field 'choices' is {_shown(choices)}", "give a list of text")
    texts = [_text(choice, "choices", where) for choice in choices]
    label = row["label"]
    if label is None:
        raise _Empty("label")
    if isinstance(label, str) and label.strip() in texts:
        label = texts.index(label.strip())
    if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label < len(texts):
        raise InputError(
            f"{where}: field 'label' is {_shown(label)}",
            f"give 0 to {len(texts) - 1}, or one of the choices",
        )
    lines = [f"{number}. {text}" for number, text in enumerate(texts, start=1)]
    return {
        "choices": texts,
        "choice": texts[label],
        "options": "\n".join(lines),
        "number": str(label + 1),
    }


def _text(value: object, name: str, where: str) -> str:
    """A field as text.

    Raises:
        _Empty: there is none.
        InputError: it is neither text nor a number.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        raise _Empty(name)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InputError(f"{where}: field {name!r} is {_shown(value)}", "give text or a number")
    return str(value).strip()


def _missing(group: TemplateSet, row: Mapping[str, Any]) -> list[str]:
    """The fields of a set that a row does not have; one that is null it has."""
    return [name for name in group.fields if name not in row]


def _no_field(sets: Sequence[TemplateSet], row: Mapping[str, Any], place: str) -> InputError:
    """What the set that is nearest to a row lacks."""
    nearest = min(sets, key=lambda group: len(_missing(group, row)))
    name = _missing(nearest, row)[0]
    template = next(
        template for template in nearest.templates
        if name in names_in(template.prompt) + names_in(template.answer) or name == "label"
    )  # fmt: skip
    return InputError(
        f"{place}: {nearest.where(template)}: field {name!r} is missing",
        f"the row has {', '.join(map(str, row))}; the set needs {', '.join(nearest.fields)}",
    )


def _language(row: Mapping[str, Any], place: str, default: str) -> str:
    value = row.get("language") or default
    if not isinstance(value, str) or not value:
        raise InputError(f"{place}: field 'language' is missing",
                         "add it to the rows, or name it: --default-language TAG")  # fmt: skip
    return canonical_tag(value, f"{place}: 'language'")


def _id(row: Mapping[str, Any], place: str) -> str:
    """The row's id, or a digest of its content where it has none."""
    value = row.get("id")
    if value is None:
        return digest_of(dict(row))[:16]
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise InputError(f"{place}: field 'id' is {_shown(value)}", "give text or a whole number")
    return str(value)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
