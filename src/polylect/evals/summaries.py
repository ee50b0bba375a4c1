"""Summaries by rouge-score: ROUGE-1, ROUGE-2 and RougeLsum, with words in every script.

rouge-score keeps ASCII letters and digits only, so that in most scripts two equal texts score 0,
and it takes a line for a sentence. Here words end at whatever is neither letter, mark nor digit,
and where a script has no spaces ICU finds them (``text.split_words``). Sentences end at
the script's own stops. Nothing is stemmed. The signature names what cut the words.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from typing import Any

from polylect.base import Ledger, import_optional
from polylect.evals.items import Item
from polylect.evals.tasks.task import CorpusScore
from polylect.text import split_words, words_rule

METRICS = ("rouge1", "rouge2", "rougeLsum")
# After these a sentence ends at once; after . ! ? only before a space.
_STOPS = re.compile(r"(?<=[。！？｡।॥؟۔።])\s*|(?<=[.!?…])\s+|\n+")


class Words:
    """A tokenizer as rouge-score wants one: ``tokenize`` gives the words of a text."""

    def tokenize(self, text: str) -> list[str]:
        """The words, lower case, without punctuation."""
        return split_words(bare(text))


def bare(text: str) -> str:
    """Lower case, with a space for whatever is neither letter, mark nor number."""
    return "".join(
        char if unicodedata.category(char)[0] in "LMN" else " "
        for char in unicodedata.normalize("NFKC", text).lower()
    )


def sentences(text: str) -> list[str]:
    """The sentences of a text, by the stops of its script."""
    return [stripped for part in _STOPS.split(text) if part and (stripped := part.strip())]


def summary_metrics(item: Item, answer: str) -> Mapping[str, float]:
    """F-measures of ``METRICS`` from 0 to 1, of an answer against the gold summary."""
    summary, gold = ("\n".join(sentences(text)) for text in (answer, item.choices[0]))
    scores = _scorer().score(gold, summary)
    return {name: float(scores[name].fmeasure) for name in METRICS}


def corpus_scores(
    items: Sequence[Item], answers: Sequence[str], ledger: Ledger
) -> list[CorpusScore]:
    """Means over the items times 100, as papers give them; the signature names the words."""
    metrics = [summary_metrics(item, answer) for item, answer in zip(items, answers, strict=True)]
    signature = f"rouge-score:{version('rouge-score')}|words:{words_rule()}|lower|stem:no|f-measure"
    return [
        CorpusScore(name, 100 * sum(values[name] for values in metrics) / len(metrics), signature)
        for name in METRICS
    ]


@cache
def _scorer() -> Any:
    rouge = import_optional("rouge_score.rouge_scorer", "scoring a summary", "summaries")
    return rouge.RougeScorer(list(METRICS), tokenizer=Words())
