"""The language of a task of lm-evaluation-harness, read from its name; never guessed.

A name is cut at ``_``, ``-`` and ``.``; a part is a language when it is exactly a code that is
known: a tag or alias of ``polylect.base.languages``, an ISO 639-1 code, ``jp`` (Japanese, as
XWinograd spells it), or a FLORES code of two parts, ``deu_Latn``. What names no language, or
several, is ``und`` (undetermined).
"""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase

from polylect.base import LANGUAGES, find_language

UNKNOWN = "und"

_OTHERS = (
    "af am az be bg bn br bs ca cy da eo et eu fi fo fy ga gl gu ha hr ht hu hy ig is jv ka kk km"
    " kn ku ky lb lo lt lv mg mi mk ml mn mr ms mt my nb ne nn no om or pa ps qu rw sd si sk sl sm"
    " sn so sq sr st su sv sw ta te tg th tk tl tt ug ur uz wo xh yi yo zu"
)
"""ISO 639-1 codes outside the 23 that multilingual benchmarks use."""

_WORDS = {"am", "be", "in", "is", "my", "no", "om", "or", "so", "st", "su"}
"""Codes that are also English words or abbreviations: they count as the last part only."""

_OTHER_CODES = set(_OTHERS.split())


def language_of_task(task: str) -> tuple[str, str]:
    """Tag of the task's language (``und`` where the name does not tell), and the name without it.

    ``xcopa_tr`` is Turkish ``xcopa``; ``belebele_deu_Latn`` is German ``belebele``;
    ``mgsm_direct_de_v2`` is German ``mgsm_direct_v2``; ``wmt16-de-en`` names two: ``und``.
    """
    parts = re.split(r"[_\-.]", task)
    found: list[tuple[str, int, int]] = []
    at = 0
    while at < len(parts):
        tag, width = _read(parts, at)
        if tag:
            found.append((tag, at, width))
        at += width
    # A name begins with the benchmark: a lone code is no language.
    found = [one for one in found if one[1] > 0]
    if len({tag for tag, _, _ in found}) != 1:
        return UNKNOWN, task
    drop = {i for _, start, width in found for i in range(start, start + width)}
    rest = "_".join(part for i, part in enumerate(parts) if i not in drop)
    return found[0][0], rest


def _read(parts: list[str], at: int) -> tuple[str, int]:
    """The language that begins at a part ("" for none), and how many parts it takes."""
    code = parts[at].lower()
    if at + 1 < len(parts):
        pair = f"{code}-{parts[at + 1].lower()}"
        both = find_language(pair)
        if both is not None:
            return both.tag, 2
        if re.fullmatch(r"[a-z]{3}", parts[at]) and re.fullmatch(r"[A-Z][a-z]{3}", parts[at + 1]):
            return _flores(code, parts[at + 1]), 2
    if code in _WORDS and at + 1 < len(parts):
        return "", 1
    if code == "jp":
        return "ja", 1
    known = find_language(code)
    if known is not None and known.tag in LANGUAGES:
        return known.tag, 1
    return (code if code in _OTHER_CODES else ""), 1


def _flores(code: str, script: str) -> str:
    """The tag of a FLORES code: ours where the script is the language's own."""
    known = find_language(code)
    if known is None or known.tag not in LANGUAGES:
        return f"{code}-{script}"
    return known.tag if known.script == script else f"{known.tag.split('-')[0]}-{script}"


def resolve(task: str, given: Mapping[str, str]) -> tuple[str, str]:
    """``language_of_task``, unless the language was given, by name or a pattern with ``*``."""
    if task in given:
        return given[task], task
    for pattern, tag in given.items():
        if fnmatchcase(task, pattern):
            return tag, task
    return language_of_task(task)
