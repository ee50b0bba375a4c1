"""chrF++ of a text against references, by sacrebleu."""

from collections.abc import Sequence
from typing import Any

from polylect.base import import_optional


def chrf_metric() -> Any:
    """Sacrebleu's chrF++ (Popović 2017): character 6-grams and word 2-grams, recall twice as much.

    Raises:
        InputError: sacrebleu is not installed.
    """
    return import_optional("sacrebleu", "scoring a translation", "translation").metrics.CHRF(
        word_order=2
    )


def sentence_chrf(text: str, references: Sequence[str]) -> float:
    """chrF++ of one text against its references, from 0 to 100.

    >>> sentence_chrf("a small house", ["a small house"])
    100.0
    """
    return float(chrf_metric().sentence_score(text, list(references)).score)
