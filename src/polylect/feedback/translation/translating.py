"""Texts through a translator: cut, what must be kept marked, translated, put together, gated."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from polylect.base import Ledger
from polylect.feedback.translation.cutting import Piece, cut
from polylect.feedback.translation.gates import GatesConfig, failed_gates
from polylect.feedback.translation.keeping import without_marks
from polylect.feedback.translation.protocol import KEPT, NO_TRANSLATION, Traits, Translator
from polylect.text import TextIdentifier


@dataclass(frozen=True, slots=True)
class Translated:
    """A text and its translation.

    Attributes:
        source: the text.
        text: the translation; empty where there is none.
        failed: names of the gates that it fails.
    """

    source: str
    text: str
    failed: tuple[str, ...] = ()


def translate_texts(
    texts: Sequence[str],
    source: str,
    target: str,
    translator: Translator,
    traits: Traits,
    gates: GatesConfig,
    identifier: TextIdentifier,
    ledger: Ledger,
) -> list[Translated]:
    """The translations, in order; each with the gates that it fails.

    Equal texts, and equal pieces of texts, are translated once. A text without a letter is its own
    translation.

    Args:
        texts: any; an empty one stays.
        source: canonical tag of their language.
        target: canonical tag of the language wanted.
        translator: opened.
        traits: how it wants its texts.
        gates: what a translation must pass.
        identifier: of ``gates.identifier``.
        ledger: counts what fails, by reason and target.
    """
    distinct = list(dict.fromkeys(texts))
    translations = _translations(distinct, source, target, translator, traits)
    ready = [i for i, (_, reason) in enumerate(translations) if not reason]
    sources, results = [distinct[i] for i in ready], [translations[i][0] for i in ready]
    back = None
    if gates.least_back is not None:
        returned = _translations(results, target, source, translator, traits)
        back = [None if reason else text for text, reason in returned]
    failures = failed_gates(sources, results, source, target, gates, identifier, ledger, back)
    by_text = {
        text: Translated(text, "", (reason,))
        for text, (_, reason) in zip(distinct, translations, strict=True)
    }
    for text, result, failed in zip(sources, results, failures, strict=True):
        same = not any(map(str.isalpha, text))  # nothing was there to translate
        by_text[text] = Translated(text, result, () if same else tuple(failed))
    for text in texts:
        for reason in by_text[text].failed:
            ledger.count(f"failed: {reason}", 1, target)
    return [by_text[text] for text in texts]


def _translations(
    texts: Iterable[str], source: str, target: str, translator: Translator, traits: Traits
) -> list[tuple[str, str]]:
    """The translation of every text, or an empty text and why there is none."""
    pieces = [cut(text, traits) for text in texts]
    units = list(dict.fromkeys(piece.unit for parts in pieces for piece in parts if piece.unit))
    by_unit = dict(zip(units, translator(units, source, target), strict=True)) if units else {}
    return [_joined(parts, by_unit, traits) for parts in pieces]


def _joined(
    parts: Sequence[Piece], by_unit: Mapping[str, str | None], traits: Traits
) -> tuple[str, str]:
    """The translation of a text, with what its marks stand for.

    Pieces of equal units may differ in what is kept, so that it is filled in here.
    """
    joined: list[str] = []
    for piece in parts:
        text = by_unit[piece.unit] if piece.unit else piece.text
        if text is None:
            return "", NO_TRANSLATION
        if piece.unit and traits.marks:
            text = without_marks(text, piece.kept)
            if text is None:
                return "", KEPT
        joined.append(text)
    return "".join(joined), ""
