"""The language of a task of lm-evaluation-harness, read from its name; never guessed.

A name is split at ``_``, ``-`` and ``.``. A part names a language if it is exactly a known code: a
tag or alias of ``polylect.base.languages``, an ISO 639-1 code, ``jp`` (Japanese, as XWinograd
spells it), or a FLORES code of two parts, ``deu_Latn``. A name without a language, or with several,
is ``und`` (undetermined).
"""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase

from polylect.base import LANGUAGES, canonical_tag, fallback_tags, find_language

UNKNOWN = "und"

_OTHERS = (
    "af am az be bg bn br bs ca cy da eo et eu fi fo fy ga gl gu ha hr ht hu hy ig is jv ka kk km"
    " kn ku ky lb lo lt lv mg mi mk ml mn mr ms mt my nb ne nn no om or pa ps qu rw sd si sk sl sm"
    " sn so sq sr st su sv sw ta te tg th tk tl tt ug ur uz wo xh yi yo zu"
)
"""ISO 639-1 codes outside the 23 that multilingual benchmarks use."""

_ALSO_WORDS = {"am", "be", "in", "is", "my", "no", "om", "or", "so", "st", "su"}
"""Codes that are also English words or abbreviations: only the last part counts as a language."""

_OTHER_CODES = set(_OTHERS.split())


def language_of_task(task: str) -> tuple[str, str]:
    """Tag of the task's language, ``und`` if its name has none or several, and the name without it.

    >>> language_of_task("belebele_deu_Latn"), language_of_task("mgsm_direct_de_v2")
    (('de', 'belebele'), ('de', 'mgsm_direct_v2'))
    >>> language_of_task("wmt16-de-en")
    ('und', 'wmt16-de-en')
    """
    parts = re.split(r"[_\-.]", task)
    tags: list[str] = []
    remaining: list[str] = []
    start = 0
    while start < len(parts):
        tag, width = _language_at(parts, start)
        # A name begins with the benchmark: a code at its start is no language.
        if tag and start > 0:
            tags.append(tag)
        else:
            remaining += parts[start : start + width]
        start += width
    if len(set(tags)) != 1:
        return UNKNOWN, task
    return tags[0], "_".join(remaining)


def _language_at(parts: list[str], start: int) -> tuple[str, int]:
    """The language that begins at a part ("" for none), and how many parts it takes."""
    code = parts[start].lower()
    if start + 1 < len(parts):
        second = parts[start + 1]
        language = find_language(f"{code}-{second.lower()}")
        if language is not None:
            return language.tag, 2
        if re.fullmatch(r"[a-z]{3}", parts[start]) and re.fullmatch(r"[A-Z][a-z]{3}", second):
            return _flores(code, second), 2
        if code in _ALSO_WORDS:
            return "", 1
    if code == "jp":
        return "ja", 1
    language = find_language(code)
    if language is not None and language.tag in LANGUAGES:
        return language.tag, 1
    return (code if code in _OTHER_CODES else ""), 1


def _flores(code: str, script: str) -> str:
    """The tag of a FLORES code, without the script if it is the language's usual one."""
    tag = canonical_tag(f"{code}-{script}")
    return fallback_tags(tag)[-1]


def resolve_language(task: str, given: Mapping[str, str]) -> tuple[str, str]:
    """``language_of_task``, unless the language is given.

    Args:
        task: its name.
        given: tag by task, or by a pattern with ``*``.
    """
    if task in given:
        return given[task], task
    for pattern, tag in given.items():
        if fnmatchcase(task, pattern):
            return tag, task
    return language_of_task(task)
