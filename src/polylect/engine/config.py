"""Configuration of an engine; never imports torch."""

from dataclasses import dataclass
from typing import Literal

OverLong = Literal["refuse", "cut"]


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """How a local checkpoint is run.

    Attributes:
        memory_mib: bound on what scoring may hold besides the weights: one pass's activations and
            logits, and the keys and values of the prefixes that are kept.
        threads: torch's threads.
        dtype: of the weights and activations.
        device: ``auto`` is CUDA where there is one.
        max_tokens: longest request; None is the model's own limit.
        over_long: ``refuse`` a request that is longer, or ``cut`` its context from the left (never
            the continuation) and count it.
        add_bos: begin every request with the tokeniser's BOS; None follows the tokeniser's own
            rule (what plain transformers does with a text).
    """

    memory_mib: int = 256
    threads: int = 1
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    max_tokens: int | None = None
    over_long: OverLong = "refuse"
    add_bos: bool | None = None
