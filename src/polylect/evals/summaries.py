"""Summaries by rouge-score: ROUGE-1, ROUGE-2 and RougeLsum, words cut as each language cuts them.

rouge-score keeps ASCII letters and digits only, so that in most scripts two equal texts score 0,
and it takes a line for a sentence. Here Chinese is cut by jieba, Japanese by MeCab, Thai, Burmese,
Khmer and Lao into characters, everything else at what is neither letter, mark nor digit; sentences
end at the script's own stops. Nothing is stemmed. What cut the words is part of the signature.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from typing import Any

from polylect.base import InputError, Ledger
from polylect.evals.confusion.segmenters import segmenter
from polylect.evals.items import Item
from polylect.evals.tasks.task import CorpusScore

METRICS = ("rouge1", "rouge2", "rougeLsum")
_PACKAGES = {"zh": "jieba", "ja": "fugashi"}
_BY_CHARACTER = {"th", "my", "km", "lo"}
# After these a sentence ends at once; after . ! ? only before a space.
_STOPS = re.compile(r"(?<=[。！？｡।॥؟۔።])\s*|(?<=[.!?…])\s+|\n+")


class Words:
    """A tokenizer as rouge-score wants one: ``tokenize`` gives the words of a text."""

    def __init__(self, language: str) -> None:
        """The words of a language.

        Raises:
            InputError: the package that cuts it is not installed.
        """
        code = language.partition("-")[0]
        self.name = "words"
        self._cut: Callable[[str], Sequence[str]] = str.split
        if code in _PACKAGES:
            self._cut = segmenter(language)
            self.name = f"{_PACKAGES[code]}-{version(_PACKAGES[code])}"
        elif code in _BY_CHARACTER:
            self._cut = lambda text: re.findall(r"\S", text)
            self.name = "characters"

    def tokenize(self, text: str) -> list[str]:
        """The words, lower case, without punctuation."""
        return [word for one in self._cut(bare(text)) if (word := one.strip())]


def bare(text: str) -> str:
    """Lower case, with a space for whatever is neither letter, mark nor number."""
    return "".join(
        one if _kept(one) else " " for one in unicodedata.normalize("NFKC", text).lower()
    )


def _kept(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN"


def sentences(text: str) -> list[str]:
    """The sentences of a text, by the stops of its script."""
    return [one for part in _STOPS.split(text) if part and (one := part.strip())]


def summary_metrics(item: Item, answer: str) -> Mapping[str, float]:
    """F-measures of ``METRICS`` from 0 to 1, of an answer against the gold summary."""
    mine, gold = ("\n".join(sentences(one)) for one in (answer, item.choices[0]))
    found = _scorer(item.language)[0].score(gold, mine)
    return {name: float(found[name].fmeasure) for name in METRICS}


def corpus_scores(
    items: Sequence[Item], answers: Sequence[str], ledger: Ledger
) -> list[CorpusScore]:
    """The means over the items times 100, as papers give them, with what cut the words."""
    each = [summary_metrics(item, one) for item, one in zip(items, answers, strict=True)]
    _, words = _scorer(items[0].language)
    signature = f"rouge-score:{version('rouge-score')}|words:{words}|lower|stem:no|f-measure"
    return [
        CorpusScore(name, 100 * sum(one[name] for one in each) / len(each), signature)
        for name in METRICS
    ]


@cache
def _scorer(language: str) -> tuple[Any, str]:
    try:
        from rouge_score import rouge_scorer
    except ImportError:
        raise InputError(
            "scoring a summary needs the package 'rouge-score'",
            "pip install -c constraints.txt '.[summaries]'",
        ) from None
    words = Words(language)
    return rouge_scorer.RougeScorer(list(METRICS), tokenizer=words), words.name
