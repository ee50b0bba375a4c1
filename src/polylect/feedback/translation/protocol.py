"""What a translator is: texts in one language in, texts in another out; and what names one.

Who reads the name (``find_translator``) hands a ``TranslatorSource`` down, so that who translates
need not know which kinds there are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from polylect.base import InputError, Ledger, nearest_tag
from polylect.runs import Reporter

Pair = tuple[str, str]
"""Canonical tags of the language that is translated from, and of the one translated to."""
NO_TRANSLATION, KEPT = "no translation", "kept"
"""Why there is none: the translator gave none, or lost or doubled what must be kept."""
_SHOWN_PAIRS = 12


@dataclass(frozen=True)
class Traits:
    """How a translator wants its texts.

    Attributes:
        by_line: one line at a time; otherwise a text of several lines stays whole.
        longest: characters of a text beyond which it is cut, at a paragraph, line or sentence.
        marks: what must be kept is replaced by marks such as ``[[1]]``.
    """

    by_line: bool = False
    longest: int = 4000
    marks: bool = True


class Translator(Protocol):
    """Translates."""

    def __call__(self, texts: Sequence[str], source: str, target: str) -> list[str | None]:
        """The translations, in order; None where there is none.

        Args:
            texts: not empty; with the marks of what must be kept.
            source: canonical tag of their language.
            target: canonical tag of the language wanted.
        """
        ...


class TranslatorSource(Protocol):
    """A translator as input of a step: it has a name and a digest, and can be opened."""

    @property
    def name(self) -> str:
        """As the user named it; it stands in the rows."""
        ...

    @property
    def digest(self) -> str:
        """Digest of all that decides its translations, as far as files say it."""
        ...

    @property
    def traits(self) -> Traits:
        """How it wants its texts."""
        ...

    def pairs(self) -> frozenset[Pair] | None:
        """The pairs that it has; None where it does not say: all are tried."""
        ...

    def limited(self, pairs: Iterable[Pair]) -> "TranslatorSource":
        """The same translator for these pairs alone, whose digest need not cover others."""
        ...

    def open(self, work: Path, report: Reporter, ledger: Ledger) -> Translator:
        """The translator.

        Args:
            work: folder for what it needs to resume; an unchanged call translates nothing twice.
            report: receives progress.
            ledger: counts fallbacks and what was not translated.

        Raises:
            InputError: it cannot be opened.
        """
        ...


def nearest_pair(pairs: Iterable[Pair], source: str, target: str) -> Pair | None:
    """The pair that serves two languages: exactly, or a more general one in the same script.

    >>> nearest_pair({("en", "pt"), ("en", "de")}, "en", "pt-BR")
    ('en', 'pt')
    """
    known = set(pairs)
    first = nearest_tag(source, {pair[0] for pair in known})
    candidates = [first] if first else []
    for tag in dict.fromkeys([source, *candidates]):
        second = nearest_tag(target, {pair[1] for pair in known if pair[0] == tag})
        if second is not None:
            return tag, second
    return None


def check_pairs(translator: TranslatorSource, wanted: Iterable[Pair]) -> None:
    """Refuse a pair that a translator does not have.

    Raises:
        InputError: names the pair, and those that it has.
    """
    known = translator.pairs()
    if known is None:
        return
    for source, target in wanted:
        if nearest_pair(known, source, target) is None:
            near = sorted(known, key=lambda pair: (pair[1] != target, pair[0] != source, pair))
            shown = ", ".join(f"{first} to {second}" for first, second in near[:_SHOWN_PAIRS])
            more = f" and {len(near) - _SHOWN_PAIRS} more" if len(near) > _SHOWN_PAIRS else ""
            raise InputError(
                f"--translator {translator.name} does not translate {source} to {target}",
                f"it has {shown}{more}" if near else "it has no pair at all",
            )
