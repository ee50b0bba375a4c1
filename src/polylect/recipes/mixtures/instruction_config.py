"""Options of ``polylect run instructions``; never imports torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from polylect.base import Count, InputError, Positive, Range, Seed, Threads, check_settings

SOURCES = ("templated", "human", "translated", "synthetic")
"""Kinds of sources (Aya 23, 2405.15032, section 2)."""


@dataclass(frozen=True, kw_only=True)
class InstructionsConfig:
    """Options of ``polylect run instructions``."""

    model: Path = Path("model")
    """A folder in Hugging Face layout: what every training starts from."""
    templated_rows: Path | None = None
    """Conversations made by templates over labelled data (polylect mixture instructions)."""
    human_rows: Path | None = None
    """Conversations that people wrote in their language."""
    translated_rows: Path | None = None
    """Conversations translated from another language."""
    synthetic_rows: Path | None = None
    """Conversations that a model wrote."""
    plan: Path | None = None
    """A plan of streams and mixtures, FILE.toml, in place of the four files."""
    datasets: Path | None = None
    """Folder with ntrex and xquad, in place of --templated-rows: the templates that ship are filled
    with them; without any other file, each kind of template is a stream."""
    languages: tuple[str, ...] = ()
    """Language tags to use. Default: all of the files; of --datasets those of the templates."""
    examples: Count | None = None
    """Conversations that every training learns from. Default: the plan's; without one as many as
    --max-epochs allows in every mixture."""
    max_epochs: Positive | None = None
    """Most passes over a stream. Default: the plan's; without one 4."""
    held_out_share: Annotated[float, Range(above=0, below=1)] = 0.1
    """Share of each stream's prompts that is scored and not learned."""
    limit: Count = 200
    """Only the first rows of each kind and language of --datasets."""
    seeds: Count | None = None
    """How many trainings of each mixture with different seeds. Default: the plan's; without one
    3."""
    stop_at_width: Positive | None = None
    """Stop before --seeds when every interval of the main comparisons is at most this wide, in
    points of per cent; at least two seeds are trained."""
    most_examples: Count | None = None
    """Train no further seed that would bring the conversations of all trainings above this."""
    learning_rate: Positive | None = None
    """Peak learning rate. Default: from the model's size, as in polylect train sft."""
    batch_size: Count = 8
    """Prompts, pairs or conversations per update."""
    template: str = "own"
    """Chat template: own (the tokenizer's), plain, aya, or a Jinja file."""
    special_tokens: Literal["spell", "parse"] = "spell"
    """Texts of special tokens in messages: spell them out as ordinary characters, or parse them as
    the tokens; either way they are counted."""
    threads: Threads = 1
    """CPU threads of each training and scoring; results depend on their number."""
    seed: Seed = 0
    """Seed of the split and the templates, and the first of the trainings."""

    def __post_init__(self) -> None:
        check_settings(self)
        if self.stop_at_width is not None and self.seeds == 1:
            raise InputError("--stop-at-width with one seed", "--seeds 3, or leave it out")
