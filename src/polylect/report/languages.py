"""What is known of languages, and what can be done in them, as lines for a terminal."""

import re
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

from polylect.base import (
    CODE,
    LANGUAGES,
    Language,
    class_of,
    english_name,
    fallback_tags,
    family_of,
    language,
    likely_script,
)
from polylect.mixtures import SAMPLE_PACKAGES, catalog_tag
from polylect.text import (
    DEFAULT_IDENTIFIER,
    SCRIPTS_IN_CHARACTERS,
    SCRIPTS_WITH_DICTIONARY,
    known_tags,
    measured,
)

_LOCALE = re.compile(r"([A-Za-z_@]+)/LC_MESSAGES/[^/,]+\.mo")
_DIRECTIONS = {"ltr": "left to right", "rtl": "right to left"}


def known_languages() -> list[str]:
    """Tags that are built in, the default set first, or that tasks, identifier or text have."""
    tags = {*LANGUAGES, *_tasks(), *_sample(), *known_tags(), *measured(DEFAULT_IDENTIFIER)}
    return [*LANGUAGES, *sorted(tags - {CODE.tag, "zh"} - LANGUAGES.keys())]


def language_rows(names: Sequence[str]) -> list[dict[str, Any]]:
    """A row per language: tag, name, endonym, script, direction, family, class, what there is.

    Args:
        names: tags, codes or names.

    Raises:
        InputError: one is no tag and no name of a language.
    """
    by_task, sample = _tasks(), _sample()
    rows: list[dict[str, Any]] = []
    for name in names:
        known = language(name)
        row = measured(DEFAULT_IDENTIFIER).get(known.tag)
        rows.append(
            {"tag": known.tag, "name": known.name, "endonym": known.endonym,
             "script": known.script, "direction": known.direction, "family": known.family,
             "resource_class": known.resource_class if known.resource_class >= 0 else None,
             "tasks": by_task.get(known.tag, []), "sample_text": sample.get(known.tag, []),
             "identified": row.share if row else None}
        )  # fmt: skip
    return rows


def list_languages() -> list[str]:
    """A line per language that is built in, or that tasks, identifier or sample text have."""
    by_task = _tasks()
    sample = _sample()
    lines = [f"{'tag':<8} script class {'family':<20} tasks text found  name"]
    for tag in known_languages():
        row = measured(DEFAULT_IDENTIFIER).get(tag)
        found = f"{row.share:.0%}" if row else ("known" if tag in known_tags() else "–")
        lines.append(
            f"{tag:<8} {likely_script(tag):<6} {_class(_class_of(tag)):>5} {family_of(tag):<20}"
            f" {len(by_task.get(tag, ())) or '–':>5} {'yes' if tag in sample else '–':>4}"
            f" {found:>5}  {_name(tag)}"
        )
    return [
        *lines,
        "",
        "The first 24 are the default set. Any other BCP-47 tag, code or name is taken too:"
        " 'polylect languages TAG …' says what can be done in it.",
        f"found: share of held-out sentences of which {DEFAULT_IDENTIFIER} finds the language.",
    ]


def describe_languages(names: Sequence[str]) -> list[str]:
    """What is known of some languages, and what can be done in each.

    Raises:
        InputError: one is no tag and no name of a language.
    """
    by_task, sample = _tasks(), _sample()
    lines: list[str] = []
    for name in names:
        known = language(name)
        read = "" if name == known.tag else f"  ({name})"
        lines += [
            f"{known.tag}  {known.name} · {known.endonym}{read}",
            f"  script          {known.script}, {_DIRECTIONS[known.direction]}",
            f"  family          {known.family}",
            f"  resource class  {_class(known.resource_class)}",
            *_identification(known.tag),
            f"  sample text     {_joined(sample, known.tag) or 'none: bring your own'}",
            f"  tasks           {_joined(by_task, known.tag) or 'none: a JSON-lines file is one'}",
            f"  words           {_words(known)}",
        ]
    return lines


def _name(tag: str) -> str:
    """English name, with the endonym where it costs nothing: hundreds take a second to read."""
    if tag in LANGUAGES and LANGUAGES[tag].endonym != LANGUAGES[tag].name:
        return f"{LANGUAGES[tag].name} · {LANGUAGES[tag].endonym}"
    return LANGUAGES[tag].name if tag in LANGUAGES else english_name(tag)


def _class_of(tag: str) -> int:
    return LANGUAGES[tag].resource_class if tag in LANGUAGES else class_of(tag)


def _class(resource_class: int) -> str:
    return str(resource_class) if resource_class >= 0 else "–"


def _identification(tag: str) -> list[str]:
    from polylect.text import identifier_tells

    lines = []
    for name, words in identifier_tells(tag):
        label = "identification" if not lines else ""
        lines.append(f"  {label:<15} {name}: {words}")
    return lines


def _words(known: Language) -> str:
    if known.script in SCRIPTS_WITH_DICTIONARY:
        return "no spaces; ICU's dictionary finds them"
    if known.script in SCRIPTS_IN_CHARACTERS:
        return "no spaces, no dictionary: characters count"
    return "syllables, to the tsheg" if known.script == "Tibt" else "between spaces"


def _joined(by_tag: dict[str, list[str]], tag: str) -> str:
    """Names under a tag, or under a more general one, which is said."""
    for candidate in fallback_tags(tag):
        if names := by_tag.get(candidate):
            return " ".join(names) + ("" if candidate == tag else f" (as {candidate})")
    return ""


def _tasks() -> dict[str, list[str]]:
    """Names of the built-in tasks by language."""
    from polylect.evals import TASKS

    return _by_tag((tag, task.name) for task in TASKS.values() for tag in task.languages)


def _sample() -> dict[str, list[str]]:
    """Packages with text that are installed, by language."""
    pairs: dict[tuple[str, str], None] = {}
    for package in SAMPLE_PACKAGES:
        try:
            record = distribution(package).read_text("RECORD") or ""
        except PackageNotFoundError:
            continue
        locales = set(_LOCALE.findall(record))
        for locale in sorted(locales):
            if tag := catalog_tag(locale):
                pairs[tag, package] = None
    return _by_tag(pairs)


def _by_tag(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    result: dict[str, list[str]] = {}
    for tag, name in pairs:
        result.setdefault(tag, []).append(name)
    return result
