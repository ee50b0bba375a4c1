"""Gates: what a translation must pass to be kept. Each has a name, and what fails is counted.

*length*. Letters, digits and signs are counted, each with the weight of its script: how many
characters of Latin script say as much. The weights are NTREX-128's (Federmann et al. 2022): mean
characters without spaces and vowel signs in the languages of a script, against the median of its
languages in Latin script (docs/guides/translation.md has the figures). With 8 added to either side
for short texts, one may be at most ``longest_ratio`` times as long as the other; 1.5 times that,
where a script has no weight.

*language*. The identifier takes the translation for another language (``seems_other``). What is
undecided passes, and so do texts of fewer than four words and twenty characters; in languages that
the identifier cannot tell nothing is checked, which is counted.

*repeated*. The share of word 4-grams that occurred before in the text, or of equal characters in a
row, is more than ``most_repeated`` above the source's.

*copy*. Of the translation's word 3-grams (of its words, where there are fewer) more than
``most_copied`` stand in the source, though the languages differ; texts of fewer than four words
pass: names and titles stay.

*numbers*. A number of three and more digits in the source, whatever digits and separators it is
written with, is not in the translation. Shorter ones may become words or other hours of the day.
Not checked into or from Chinese, Japanese and Korean, which count by ten thousands.

*kept*. Code, a placeholder, a tag, a formula or an address is lost, doubled or added.

*back*. chrF++ of the source against the translation translated back is below ``least_back``.
"""

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from polylect.base import Ledger, NamesFunction, Range, Share, check_settings, described
from polylect.feedback.translation.keeping import not_kept, without_kept
from polylect.feedback.translation.protocol import KEPT, NO_TRANSLATION
from polylect.text import (
    DEFAULT_IDENTIFIER,
    TextIdentifier,
    is_same,
    letter_script,
    split_words,
)

GATES = (NO_TRANSLATION, KEPT, "length", "language", "repeated", "copy", "numbers", "back")
"""Names of the gates, and of what has no translation to be gated."""
UNCHECKED = "not checked: the language of a translation"
"""Ledger event: the identifier cannot tell it."""
WEIGHTS = {
    "Latn": 1.0, "Cyrl": 1.0, "Grek": 1.0, "Arab": 1.2, "Hebr": 1.4, "Deva": 1.8, "Hang": 2.3,
    "Kana": 2.2, "Hani": 2.5,
}  # fmt: skip
"""Latin characters that say as much as one of a script."""
_SLACK, _UNWEIGHTED = 8.0, 1.5
_LEAST_WORDS, _LEAST_LENGTH = 4, 20.0
_COPIED_NGRAM, _REPEATED_NGRAM = 3, 4
_SHORTEST_RUN = 12
_TEN_THOUSANDS = frozenset({"Hans", "Hant", "Hani", "Jpan", "Kore"})
_NUMBER = re.compile(r"\d(?:[.,٬٫'’\u00a0\u202f]?\d){2,}")


@dataclass(frozen=True, kw_only=True)
class GatesConfig:
    """What a translation must pass.

    Attributes:
        longest_ratio: most that a translation may be longer or shorter than its source, each
            script by its weight.
        most_repeated: by how much the share of repeated text may exceed the source's.
        most_copied: share of a translation that may stand in the source.
        numbers: compare the numbers of translation and source.
        least_back: least chrF++ of the source against its back-translation, from 0 to 100; None
            translates nothing back.
        identifier: says which language a translation is in.
        least_probability: of the language that a translation is taken for.
    """

    longest_ratio: Annotated[float, Range(above=1)] = 2.0
    most_repeated: Share = 0.2
    most_copied: Share = 0.7
    numbers: bool = True
    least_back: Annotated[float, Range(0, at_most=100)] | None = None
    identifier: Annotated[str, NamesFunction()] = DEFAULT_IDENTIFIER
    least_probability: Share = 0.6

    def __post_init__(self) -> None:
        check_settings(self)


def failed_gates(
    sources: Sequence[str],
    translations: Sequence[str],
    source: str,
    target: str,
    config: GatesConfig,
    identifier: TextIdentifier,
    ledger: Ledger,
    back: Sequence[str | None] | None = None,
) -> list[list[str]]:
    """Names of the gates that each translation fails [N][…], in the order of ``GATES``.

    Args:
        sources: texts [N].
        translations: theirs [N].
        source: tag.
        target: tag.
        config: limits.
        identifier: of ``config.identifier``.
        ledger: counts what could not be checked.
        back: translations of the translations into the source's language [N].
    """
    plain = [(without_kept(text), without_kept(other)) for text, other in
             zip(sources, translations, strict=True)]  # fmt: skip
    guesses = identifier.guess([translation for _, translation in plain])
    if identifier.cannot_tell(target):
        ledger.count(UNCHECKED, len(plain), target)
    result = []
    for number, (text, translation) in enumerate(plain):
        failed = set()
        if not_kept(sources[number], translations[number]):
            failed.add(KEPT)
        if length_ratio(text, translation) > config.longest_ratio * _doubt(text, translation):
            failed.add("length")
        if _is_long(translation) and not identifier.cannot_tell(target):
            seems = identifier.seems_other(target, guesses[number], config.least_probability)
            failed |= {"language"} if seems else set()
        if repetition(translation) > repetition(text) + config.most_repeated:
            failed.add("repeated")
        if not is_same(source, target) and copied_share(text, translation) > config.most_copied:
            failed.add("copy")
        if config.numbers and _count_alike(source, target):
            failed |= {"numbers"} if numbers(text) - numbers(translation) else set()
        if back is not None and config.least_back is not None:
            from polylect.text import sentence_chrf

            returned = back[number]
            if returned is None or sentence_chrf(returned, [sources[number]]) < config.least_back:
                failed.add("back")
        result.append([reason for reason in GATES if reason in failed])
    return result


def weighted_length(text: str) -> float:
    """Length in characters of Latin script; spaces and vowel signs do not count.

    >>> weighted_length("a b"), weighted_length("学习")
    (2.0, 5.0)
    """
    return math.fsum(
        WEIGHTS.get(letter_script(character), 1.0) if character.isalpha() else 1.0
        for character in text
        if not character.isspace() and unicodedata.category(character)[0] != "M"
    )


def length_ratio(text: str, translation: str) -> float:
    """How many times as long one text is as the other, by ``weighted_length``; 1 or more."""
    first, second = weighted_length(text) + _SLACK, weighted_length(translation) + _SLACK
    return max(first / second, second / first)


def _doubt(*texts: str) -> float:
    """How much wider the bound on the ratio is: where a script was never weighed."""
    for text in texts:
        letters = [character for character in text if character.isalpha()]
        if 2 * sum(letter_script(character) in WEIGHTS for character in letters) < len(letters):
            return _UNWEIGHTED
    return 1.0


def _is_long(text: str) -> bool:
    """Whether a text is long enough to tell its language."""
    return len(split_words(text)) >= _LEAST_WORDS or weighted_length(text) >= _LEAST_LENGTH


def repetition(text: str) -> float:
    """Share of word 4-grams that occurred before, or of characters in runs of twelve equal ones.

    >>> round(repetition("to be or not " * 4), 2), repetition("to be or not to be")
    (0.69, 0.0)
    """
    words = [word.casefold() for word in split_words(text)]
    grams = list(_ngrams(words, _REPEATED_NGRAM))
    again = 1 - len(set(grams)) / len(grams) if grams else 0.0
    in_runs = sum(len(run[0]) for run in re.finditer(rf"(\w)\1{{{_SHORTEST_RUN - 1},}}", text))
    return max(again, in_runs / max(1, len(text)))


def copied_share(text: str, translation: str) -> float:
    """Share of the translation's word 3-grams that the source has; 0 below four words."""
    first, second = ([word.casefold() for word in split_words(part) if any(map(str.isalpha, word))]
                     for part in (text, translation))  # fmt: skip
    if len(second) < _LEAST_WORDS:
        return 0.0
    grams = list(_ngrams(second, _COPIED_NGRAM))
    there = set(_ngrams(first, _COPIED_NGRAM))
    return sum(gram in there for gram in grams) / len(grams)


def _ngrams(words: Sequence[str], num: int) -> Iterator[tuple[str, ...]]:
    for start in range(len(words) - num + 1):
        yield tuple(words[start : start + num])


def numbers(text: str) -> set[str]:
    """Numbers of three and more digits, their digits alone.

    >>> sorted(numbers("In 1,250 years, ١٢٥ and 71."))
    ['125', '1250']
    """
    return {
        "".join(str(unicodedata.digit(character)) for character in match[0] if character.isdigit())
        for match in _NUMBER.finditer(text)
    }


def _count_alike(*tags: str) -> bool:
    """Whether numbers in the languages have the same digits."""
    return not any(described(tag).script in _TEN_THOUSANDS for tag in tags)
