"""How held-out answers are scored; never imports torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from polylect.base import Count, Threads, check_settings
from polylect.runs import Files
from polylect.text import template_input


@dataclass(frozen=True, kw_only=True)
class AnswerBitsConfig:
    """Bits per byte of held-out answers.

    Attributes:
        name: what the checkpoint is called in the table.
        template: chat template: own, plain, aya, or a Jinja file.
        special_tokens: texts of special tokens in messages: spelled out, or parsed.
        context_tokens: longest conversation; None is the model's own limit.
        micro_batch_tokens: tokens of one forward pass; bounds the memory.
        threads: torch's threads.
    """

    name: str
    template: str = "own"
    special_tokens: Literal["spell", "parse"] = "spell"
    context_tokens: Count | None = None
    micro_batch_tokens: Count = 4096
    threads: Threads = 1

    def __post_init__(self) -> None:
        check_settings(self)

    def named_files(self) -> Mapping[str, Files]:
        """The chat template's file, if it is one."""
        return template_input(self.template)
