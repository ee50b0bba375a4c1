"""Reading answers: numbers of word problems, and short spans, each in its own language."""

import re
import string
import sys
import unicodedata
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from functools import cache

from polylect.evals.items import Item
from polylect.evals.numbers import last_number

# Words that MLQA's evaluation takes off (Lewis et al. 2020); it has no rule for other languages.
_ARTICLES = {
    "en": r"\b(a|an|the)\b",
    "es": r"\b(un|una|unos|unas|el|la|los|las)\b",
    "vi": r"\b(của|là|cái|chiếc|những)\b",
    "de": r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
    "ar": r"\sال^|ال",
}
_IDEOGRAPH = re.compile(r"[一-龥]")
_THAI = re.compile(r"[ก-๛]")


_THOUGHT = ("<think>", "</think>")
"""The tags around what a model thinks before it answers."""


def after_thinking(answer: str) -> str | None:
    """What follows a model's thinking; None if that does not end, so that there is no answer.

    >>> after_thinking("<think>2+2 is 4.</think> It is 4."), after_thinking("<think>2+2")
    (' It is 4.', None)
    """
    begin, end = _THOUGHT
    # Some templates end a prompt with the first tag.
    rest = answer.rpartition(end)[2]
    return None if begin in rest else rest


def number_metrics(item: Item, answer: str, language: str = "") -> Mapping[str, float]:
    """``exact_match`` of the last number with the gold one, and ``no_number`` where there is none.

    An answer without a number is wrong; ``no_number`` says how many there are.

    Args:
        item: its right choice ends in the gold number (after ``####`` in GSM8K's solutions).
        answer: what the model wrote.
        language: whose separators the answer has; empty is the item's.
    """
    number = last_number(answer, language or item.language)
    return {
        "exact_match": float(number is not None and number == gold_number(item)),
        "no_number": float(number is None),
    }


def gold_number(item: Item) -> Decimal:
    """The gold number of a word problem, written with ASCII digits and English separators."""
    return Decimal(item.choices[item.answer].rpartition("####")[2].strip().replace(",", ""))


def span_metrics(item: Item, answer: str) -> Mapping[str, float]:
    """``exact_match`` and ``f1`` by words, the best over the gold answers, as SQuAD takes them."""
    golds = [normalized(choice, item.language) for choice in item.choices]
    given = normalized(answer, item.language)
    return {
        "exact_match": float(given in golds),
        "f1": max(_f1(given.split(), gold.split()) for gold in golds),
    }


def normalized(text: str, language: str) -> str:
    """Lower case, no punctuation, no articles, single spaces: MLQA's rules.

    Chinese is cut into characters, and so is Thai, for which MLQA has no rule. Languages that it
    does not have keep their articles.
    """
    code = language.partition("-")[0]
    bare = "".join(char for char in text.lower() if char not in _punctuation())
    if code in _ARTICLES:
        bare = re.sub(_ARTICLES[code], " ", bare)
    apart = {"zh": _IDEOGRAPH, "th": _THAI}.get(code)
    if apart is not None:
        bare = apart.sub(lambda match: f" {match.group()} ", bare)
    return " ".join(bare.split())


@cache
def _punctuation() -> frozenset[str]:
    chars = map(chr, range(sys.maxunicode))
    marks = (char for char in chars if unicodedata.category(char).startswith("P"))
    return frozenset(marks) | frozenset(string.punctuation)


def _f1(given: list[str], gold: list[str]) -> float:
    same = sum((Counter(given) & Counter(gold)).values())
    if not same:
        return 0.0
    precision, recall = same / len(given), same / len(gold)
    return 2 * precision * recall / (precision + recall)
