"""What collecting text and training a tokenizer can be asked."""

from dataclasses import dataclass

from polylect.base import InputError


@dataclass(frozen=True, kw_only=True)
class CollectConfig:
    """Which languages, what is filtered, and how the text is split."""

    languages: tuple[str, ...] = ()
    """Tags of the languages to keep; ``code`` for program text. Default: all that have text."""
    validation_share: float = 0.05
    """Share of every language's characters, at least, that is held out for decisions."""
    test_share: float = 0.05
    """Share of every language's characters, at least, that is held out for the final scores."""
    min_identified_characters: int = 40
    """Shorter documents are not identified: their language is what their source says."""
    min_confidence: float = 0.7
    """A document is dropped when another language is identified with at least this probability."""
    min_test_documents: int = 3
    """Documents that every language must have in each held-out split."""
    seed: int = 0
    """Other seeds split otherwise."""

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
    """A byte-level BPE tokenizer to train."""

    vocab_size: int = 12_288
    """Entries, three special tokens and the 256 bytes included."""
    temperature: float = 3.0
    """Flattens the languages' parts: 1 follows their sizes, larger ones move towards equal."""
    max_characters: int = 4_000_000
    """Characters that the merges are counted on, over all languages."""


@dataclass(frozen=True, kw_only=True)
class OverlapConfig:
    """A search for evaluation text in the training text."""

    gram_characters: int = 40
    """Length of the runs of characters that are looked for."""
