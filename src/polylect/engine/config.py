"""Configuration of an engine; never imports torch."""

from dataclasses import dataclass, field
from typing import Literal

from polylect.engine.sampling import Sampling

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
        add_bos: begin every request with the tokenizer's BOS; None follows the tokenizer's own
            rule (what plain transformers does with a text).
    """

    memory_mib: int = 256
    threads: int = 1
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    max_tokens: int | None = None
    over_long: OverLong = "refuse"
    add_bos: bool | None = None


@dataclass(frozen=True, kw_only=True)
class GenerateConfig:
    """What is asked of a model, and how; all of it decides what the answers are.

    Attributes:
        name: what the rows call the model.
        sampling: how the next token is chosen, and how far.
        template: how a prompt is written: ``own`` (the checkpoint's chat template), ``plain``
            turns, ``aya``, a file in Jinja, or ``none``: the text itself, to be continued.
        languages: only prompts in these; empty for all.
        limit: only the first prompts of each language; None for all.
        alternatives: how many other tokens a server is asked to list for each token of an answer.
        engine: how a local checkpoint is run; of no meaning for a server.
    """

    name: str
    sampling: Sampling = field(default_factory=Sampling)
    template: str = "own"
    languages: tuple[str, ...] = ()
    limit: int | None = None
    alternatives: int = 0
    engine: EngineConfig = field(default_factory=EngineConfig)
