"""Translations by sacrebleu: chrF++ and spBLEU, with its signatures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from polylect.base import Ledger, import_optional
from polylect.evals.comet import comet_scores
from polylect.evals.items import Item
from polylect.evals.tasks.task import CorpusScore
from polylect.text import chrf_metric, sentence_chrf

NO_PIECES = "missing: SentencePiece model of spBLEU (flores200)"
_PIECES = Path("models") / "flores200sacrebleuspm"


def sentence_metrics(item: Item, answer: str) -> Mapping[str, float]:
    """``chrf``: chrF++ of one sentence, from 0 to 100, to compare two models item by item."""
    return {"chrf": sentence_chrf(answer.strip(), item.choices)}


def corpus_scores(
    items: Sequence[Item], answers: Sequence[str], ledger: Ledger
) -> list[CorpusScore]:
    """chrF++ and spBLEU of all sentences together, as ``sacrebleu`` on the command line gives them.

    spBLEU needs the SentencePiece model of FLORES-200 in sacrebleu's folder; nothing is downloaded
    here, and without it there is a ledger entry and no spBLEU. COMET follows where it is at hand.
    """
    hypotheses = [answer.strip() for answer in answers]
    references = [[item.choices[0] for item in items]]
    metrics: list[tuple[str, Any]] = [("chrf++", chrf_metric())]
    if pieces_path().is_file():
        metrics.append(("spbleu", _sacrebleu().metrics.BLEU(tokenize="flores200")))
    else:
        ledger.count(NO_PIECES, 1, items[0].language)
    scores = []
    for name, metric in metrics:
        value = float(metric.corpus_score(hypotheses, references).score)
        scores.append(CorpusScore(name, value, str(metric.get_signature())))
    return scores + comet_scores(items, hypotheses, ledger)


def pieces_path() -> Path:
    """Where sacrebleu keeps the SentencePiece model."""
    return Path(_sacrebleu().utils.SACREBLEU_DIR) / _PIECES


def _sacrebleu() -> ModuleType:
    return import_optional("sacrebleu", "scoring a translation", "translation")
