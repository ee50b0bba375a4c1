"""Configuration of engines and generation; never imports torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

from polylect.base import (
    Count,
    CountOrZero,
    InputError,
    NonNegative,
    NumSamples,
    Range,
    Seed,
    Share,
    Threads,
    Verbatim,
    check_settings,
)

if TYPE_CHECKING:
    from polylect.runs import Files

OverLong = Literal["refuse", "cut"]
BorderRule = Literal["context", "lm-eval"]


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How answers are generated.

    The filters apply in the order of transformers: temperature, top_k, top_p, min_p.

    Attributes:
        max_new_tokens: longest answer, in tokens.
        temperature: sampling temperature: divides the logits; 0 takes the most likely token, the
            first of equal ones.
        top_k: keep the k most likely tokens and their equals; 0 keeps all.
        top_p: keep the fewest most likely tokens whose probability reaches this (nucleus).
        min_p: keep tokens at least this fraction as likely as the most likely one.
        stop: texts before which an answer ends, wherever tokens border.
        num_samples: answers per prompt.
        seed: seed of the sampling; every prompt and answer has a stream of its own.
    """

    max_new_tokens: Count = 256
    temperature: NonNegative = 0.0
    top_k: CountOrZero = 0
    top_p: Annotated[float, Range(above=0, at_most=1)] = 1.0
    min_p: Share = 0.0
    stop: Annotated[tuple[str, ...], Verbatim()] = ()
    num_samples: NumSamples = 1
    seed: Seed = 0

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            InputError: a number out of range, or an empty stop string.
        """
        check_settings(self)
        if "" in self.stop:
            raise InputError("an empty stop string", "leave it out")


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """How to run a local checkpoint.

    Attributes:
        memory_mib: memory limit besides the weights, in MiB: activations and logits of a pass, and
            the keys and values of cached prefixes.
        threads: torch's threads.
        dtype: of weights and activations.
        device: ``auto`` is CUDA if available.
        max_tokens: maximum input length; None for the model's limit.
        over_long: ``refuse`` a longer request, or ``cut`` its context on the left (never the
            continuation) and count it.
        add_bos: begin every request with BOS; None follows the tokenizer (as transformers does).
        border: where a token would span context and continuation: ``context`` encodes the two apart
            and counts it, so that all choices are conditioned on the context's own tokens;
            ``lm-eval`` repeats the rule of lm-evaluation-harness.
        special_tokens: texts of special tokens in what is scored or continued: ``spell`` them out,
            or ``parse`` them as the tokens; either way counted.
    """

    memory_mib: Count = 256
    threads: Threads = 1
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    max_tokens: Count | None = None
    over_long: OverLong = "refuse"
    add_bos: bool | None = None
    border: BorderRule = "context"
    special_tokens: Literal["spell", "parse"] = "spell"

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class GenerateConfig:
    """What to generate; every setting decides the answers.

    Attributes:
        name: name of the model in the rows.
        sampling: temperature, filters, stop strings and length.
        template: chat template: ``own`` (the checkpoint's), ``plain``, ``aya``, a Jinja file, or
            ``none``: continue the text itself.
        languages: only prompts in these; empty for all.
        limit: only the first prompts of each language; None for all.
        alternatives: alternative tokens to request from a server for every token of an answer.
        engine: of a local checkpoint; unused for a server.
    """

    name: str
    sampling: Sampling = field(default_factory=Sampling)
    template: str = "own"
    languages: tuple[str, ...] = ()
    limit: Count | None = None
    alternatives: CountOrZero = 0
    engine: EngineConfig = field(default_factory=EngineConfig)

    def __post_init__(self) -> None:
        check_settings(self)

    def named_files(self) -> "Mapping[str, Files]":
        """The chat template's file, if it is one."""
        from polylect.text import template_input

        return template_input(self.template, continues=True)
