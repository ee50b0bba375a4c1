"""The options of the verbs about people."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from polylect.api.fields import Group, Mark, Output, Positional, Switch
from polylect.base import Count, NonNegative, Range, Seed, Threads, check_settings

_Settings = Annotated[Mapping[str, str], Mark(metavar="NAME=VALUE ...")]


@dataclass(frozen=True, kw_only=True)
class CrowdOptions:
    """How the preferences are read."""

    schema: str | None = None
    """Published schema of the file: psoups, tldr, personalllm, prism, dices, community-alignment,
    popquorn, lewidi, pandalm, mlqe-pe. Default: polylect's rows of preferences or ratings."""
    default_language: str = ""
    """Language tag for rows without one."""
    min_difference: NonNegative = 0.0
    """Least difference of two ratings that is a preference; equal ratings never are."""
    max_pairs: Count | None = None
    """Most pairs of a user that are made of ratings. Default: all."""

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class PeopleDescribeOptions:
    """Describe the people behind preferences: how far they disagree, and who is a minority.

    Divergence, consistency, agreement with the majority, room for personalization and data per
    user, each with an interval over users. Writes figures.parquet, users.parquet and index.html.

    Examples:
        polylect people describe preferences.jsonl
        polylect people describe ratings.parquet --min-difference 1 --max-pairs 200
        polylect people describe utterances.jsonl --schema prism --out runs/prism
    """

    file: Positional[Path]
    """Rows with user, prompt or none, chosen, rejected and language; or with user, prompt or none,
    text, rating and language (JSON lines or Parquet)."""
    crowd: Group[CrowdOptions] = field(default_factory=CrowdOptions)
    resamples: Count = 200
    """Bootstrap resamples of the users, for intervals."""
    names: Switch = False
    """Show the users' names; without it they are numbers, in the order of their names."""
    min_group: Count = 5
    """Least number of users that are shown as a group."""
    seed: Seed = 0
    """Seed of resamples, and of the pairs that are made of ratings."""
    output: Group[Output] = field(default_factory=Output)


@dataclass(frozen=True, kw_only=True)
class PeopleFitOptions:
    """Fit a personal reward model to preferences of many users.

    Writes the model as safetensors and JSON, which 'polylect people score' reads.

    Examples:
        polylect people fit preferences.jsonl --method shrinkage --out runs/shrinkage
        polylect people fit preferences.jsonl --method pooled
        polylect people fit ratings.parquet --method factorized --settings rank=4
        polylect people fit preferences.jsonl --method individual --guard safety.jsonl
    """

    file: Positional[Path]
    """Rows with user, prompt or none, chosen, rejected and language; or with user, prompt or none,
    text, rating and language (JSON lines or Parquet)."""
    crowd: Group[CrowdOptions] = field(default_factory=CrowdOptions)
    method: str = "shrinkage"
    """Method of learning: pooled, individual, shrinkage, conditional, personalized, factorized,
    matching, maxmin, pal, vpl, gpo, kernel. With --settings model=DIR also in_prompt (a language
    model reads the user's choices) and, tuned with LoRA, tuned_pooled, tuned_individual,
    tuned_conditional, tuned_personalized."""
    encoder: str = "ngrams"
    """What sees the texts: hashed ngrams, vectors:FILE (made elsewhere), hidden:CHECKPOINT
    (mean hidden states; hidden:DIR#layer=6), sentence:FOLDER-or-PACKAGE, function:FILE.py:NAME."""
    settings: _Settings = field(default_factory=dict)
    """Settings of the method, by name."""
    guard: Path | None = None
    """Pairs of which the better side is known, to be remembered by every user's head: RewardBench's
    or RM-Bench's rows, or rows of preferences. Needs a method with a head per user."""
    tax_share: Annotated[float, Range(0, 1)] = 0.25
    """Share of the mean tax on --guard that may stay, measured on half of its prompts."""
    seed: Seed = 0
    """Seed of the fit, and of the pairs that are made of ratings."""
    cache: Path | None = None
    """Folder of the cache of vectors. Default: OUT-vectors, beside --out."""
    threads: Threads = 1
    """CPU threads of vpl, gpo and encoders; the bytes of the result depend on it."""
    output: Group[Output] = field(default_factory=Output)


@dataclass(frozen=True, kw_only=True)
class PeopleScoreOptions:
    """Score texts as a user would, with a fitted personal reward model.

    A user whom the model does not know gets the scores of the crowd, and that is said. Writes
    scores.parquet.

    Examples:
        polylect people score runs/shrinkage answers.jsonl --user ann
        polylect people score runs/shrinkage preferences.jsonl --user ann --json
        polylect people score runs/shrinkage answers.jsonl --out runs/crowd-scores
    """

    folder: Positional[Annotated[Path, Mark(metavar="DIR")]]
    """Folder of 'polylect people fit'."""
    file: Positional[Path]
    """Rows with text, prompt or none, and language; or with prompt or none, chosen, rejected and
    language (JSON lines or Parquet)."""
    user: str = ""
    """User whose scores are given. Default: those of the crowd."""
    encoder: str | None = None
    """What sees the texts: where the model's encoder lies now, or vectors:FILE of these texts.
    Default: as it was fitted."""
    cache: Path | None = None
    """Folder of the cache of vectors. Default: OUT-vectors, beside --out."""
    threads: Threads = 1
    """CPU threads of the encoder; the bytes of the result depend on it."""
    default_language: str = ""
    """Language tag for rows without one."""
    output: Group[Output] = field(default_factory=Output)


@dataclass(frozen=True, kw_only=True)
class StudyOutput:
    """Where the study goes."""

    out: Path | None = None
    """Folder of the study, which keeps the trials of earlier settings. Default:
    runs/people-study."""
    workers: Count = 1
    """Steps to run in parallel; does not change the result."""
    dry_run: Switch = False
    """Check everything and print the plan; write nothing."""


@dataclass(frozen=True, kw_only=True)
class PeopleStudyOptions:
    """Compare ways to learn from people who disagree: whom each serves, and what it costs whom.

    Every method is fitted on several divisions of the data. Writes people.json, scores.parquet,
    methods/NAME/scores.parquet for 'polylect compare', and index.html. A killed study goes on
    where it stopped; only missing trials are run.

    Examples:
        polylect people study preferences.jsonl --out runs/people-study
        polylect people study preferences.jsonl --methods individual shrinkage --split prompt
        polylect people study ratings.parquet --general rewardbench.jsonl --seeds 10
    """

    file: Positional[Path]
    """Rows with user, prompt or none, chosen, rejected and language; or with user, prompt or none,
    text, rating and language (JSON lines or Parquet)."""
    crowd: Group[CrowdOptions] = field(default_factory=CrowdOptions)
    methods: tuple[str, ...] = ()
    """Methods to compare with pooled. Default: all that need no language model. With --model also
    in_prompt, tuned_pooled, tuned_individual, tuned_conditional, tuned_personalized."""
    model: Path | None = None
    """A folder in Hugging Face layout, which in_prompt asks and the tuned methods tune."""
    split: str = "response"
    """What the parts do not share: response, prompt, user; or pair, which leaks."""
    seeds: Count = 5
    """How many divisions of the data, each with a seed of its own."""
    test_share: Annotated[float, Range(0.01, 0.9)] = 0.2
    """Share of the responses, prompts or pairs that is held out."""
    left_out: Annotated[float, Range(0, 0.9)] = 0.25
    """Share of the users that a second fit leaves out, to be adapted; at most 20, unless the split
    is by user. 0: no adaptation."""
    settings: _Settings = field(default_factory=dict)
    """Settings of methods, METHOD.NAME."""
    encoder: str = "ngrams"
    """What sees the texts: hashed ngrams, vectors:FILE (made elsewhere), hidden:CHECKPOINT
    (mean hidden states; hidden:DIR#layer=6), sentence:FOLDER-or-PACKAGE, function:FILE.py:NAME."""
    general: Path | None = None
    """Pairs of safety, reasoning and chat, for the tax: RewardBench's or RM-Bench's rows, or rows
    of preferences."""
    base: Path | None = None
    """The base of the tax, a folder of 'polylect people fit'. Default: nothing learned."""
    resamples: Count = 200
    """Bootstrap resamples of the users, for intervals."""
    names: Switch = False
    """Show the users' names; without it they are numbers, in the order of their names."""
    min_group: Count = 5
    """Least number of users that are shown as a group."""
    seed: Seed = 0
    """Seed of the first division, and of the pairs that are made of ratings."""
    output: Group[StudyOutput] = field(default_factory=StudyOutput)

    def __post_init__(self) -> None:
        check_settings(self)
