"""Configuration of collecting text and training a tokenizer."""

from dataclasses import dataclass

from polylect.base import InputError


@dataclass(frozen=True, kw_only=True)
class CollectConfig:
    """Languages to keep, filters, and split sizes."""

    languages: tuple[str, ...] = ()
    """Tags of the languages to keep; ``code`` for program code. Default: all that have text."""
    validation_share: float = 0.05
    """Smallest share of each language's characters in the validation split."""
    test_share: float = 0.05
    """Smallest share of each language's characters in the test split."""
    min_identified_characters: int = 40
    """Shorter documents are not identified; they keep the language their source states."""
    min_confidence: float = 0.7
    """Drop a document identified as another language with at least this probability."""
    min_test_documents: int = 3
    """Documents each language must have in each held-out split."""
    seed: int = 0
    """Seed of the split."""

    def __post_init__(self) -> None:
        for name in ("validation_share", "test_share"):
            if not 0 < getattr(self, name) < 0.5:
                raise InputError(f"{name} is {getattr(self, name)}", "give a share under 0.5")
        if not 0 < self.min_confidence <= 1:
            raise InputError(f"min_confidence is {self.min_confidence}", "give 0 to 1")
        if self.min_test_documents < 1:
            raise InputError(f"min_test_documents is {self.min_test_documents}", "give 1 or more")


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig:
    """Training of a byte-level BPE tokenizer."""

    vocab_size: int = 12_288
    """Vocabulary size, including three special tokens and the 256 bytes."""
    temperature: float = 3.0
    """Temperature of the language shares: 1 is proportional to size, higher is more even."""
    max_characters: int = 4_000_000
    """Characters of training text, over all languages."""


@dataclass(frozen=True, kw_only=True)
class OverlapConfig:
    """Search for evaluation text in the training text."""

    gram_characters: int = 40
    """Length of the character n-grams to look for."""
