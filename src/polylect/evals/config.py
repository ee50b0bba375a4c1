"""Configuration of evaluation; never imports torch."""

from dataclasses import dataclass

from polylect.rows import Split


@dataclass(frozen=True, kw_only=True)
class BitsConfig:
    """Bits per byte on held-out documents.

    Attributes:
        name: what the checkpoint is called in the table.
        split: which split.
        bytes_per_language: documents are taken in order of their parallel keys until a language
            has this many bytes, so that languages get translations of the same documents.
        context_tokens: longest run of tokens.
        tokens_per_pass: tokens of one forward pass; bounds the memory.
        threads: torch's threads.
    """

    name: str
    split: Split = Split.TEST
    bytes_per_language: int = 20_000
    context_tokens: int = 256
    tokens_per_pass: int = 8192
    threads: int = 1
