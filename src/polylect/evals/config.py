"""Configuration of evaluation; never imports torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from polylect.base import (
    Count,
    CountOrZero,
    NonNegative,
    NumSamples,
    Range,
    Threads,
    check_settings,
)
from polylect.engine import EngineConfig
from polylect.rows import Split

if TYPE_CHECKING:
    from polylect.evals.task_data import TaskData


@dataclass(frozen=True, kw_only=True)
class BitsConfig:
    """Bits per byte on held-out documents.

    Attributes:
        name: what the checkpoint is called in the table.
        split: which split.
        bytes_per_language: documents are taken in order of their parallel keys until a language
            has this many bytes, so that languages get translations of the same documents.
        context_tokens: longest run of tokens.
        micro_batch_tokens: tokens of one forward pass; bounds the memory.
        threads: torch's threads.
    """

    name: str
    split: Split = Split.TEST
    bytes_per_language: Count = 20_000
    context_tokens: Count = 256
    micro_batch_tokens: Count = 8192
    threads: Threads = 1

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """Tasks on a checkpoint.

    Attributes:
        name: what the checkpoint is called in the table.
        tasks: names of built-in tasks, or files of JSON lines.
        languages: tags; empty is all that a task has.
        limit: items per task and language; None for all.
        shots: solved examples before every item.
        chat: ask through the tokenizer's chat template.
        data: folder that holds a folder per dataset.
        hub: download what is not there.
        num_samples: answers to every item of a task of generation.
        temperature: of these; 0 takes the most likely token.
        top_p: of these, nucleus.
        max_new_tokens: longest answer; None is the task's own.
        engine: how the model is run.
    """

    name: str
    tasks: tuple[str, ...]
    languages: tuple[str, ...] = ()
    limit: Count | None = None
    shots: CountOrZero = 0
    chat: bool = False
    data: Path | None = None
    hub: bool = False
    num_samples: NumSamples = 1
    temperature: NonNegative = 0.0
    top_p: Annotated[float, Range(above=0, at_most=1)] = 1.0
    max_new_tokens: Count | None = None
    engine: EngineConfig = field(default_factory=EngineConfig)

    def __post_init__(self) -> None:
        check_settings(self)

    def named_files(self) -> "Mapping[str, TaskData]":
        """The files that the tasks read."""
        from polylect.evals.task_data import TaskData

        data = TaskData(self.tasks, self.languages, bool(self.shots), self.data, self.hub)
        return {"task data": data} if self.tasks else {}
