"""The options of the kinds of training, most of them those of their configurations."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

from polylect.api.fields import Group, Mark, Output, Positional
from polylect.base import (
    InputError,
    NonNegative,
    Positive,
    Range,
    check_settings,
    decode,
    language,
    read_json,
)
from polylect.training import (
    FINETUNE_OPTIM,
    ExamplesConfig,
    ExampleStage,
    OnlineConfig,
    OptimConfig,
    PreferenceConfig,
    RewardConfig,
    TextConfig,
)

_PROBES = ("probes", "probe_prompts", "probe_tokens")
_OPTIM = replace(FINETUNE_OPTIM, schedule="linear")
_Optim = Annotated[
    OptimConfig, Mark(unnamed=True, metavar="optimizer", leaves_out=("learning_rate",))
]
_Settings = Mark(unnamed=True, metavar="objective", leaves_out=("examples", "optim"))


@dataclass(frozen=True, kw_only=True)
class MixtureOptions:
    """How often each language and source is seen."""

    language_temperature: Annotated[float, Range(1, math.inf)] = 1.0
    """Sampling temperature over languages: 1 is proportional to size, higher is more uniform."""
    shares: Annotated[Mapping[str, NonNegative], Mark(metavar="TAG=WEIGHT ...")] = field(
        default_factory=dict
    )
    """Weights by language, source or both, in place of the temperature: de=2 hi/wiki=1
    '*/web=1'."""
    mixture: Path | None = None
    """Stages, one after the other: a JSON list of part, temperature and shares."""

    def __post_init__(self) -> None:
        check_settings(self)

    def stages(self) -> tuple[ExampleStage, ...]:
        """The stages of ``mixture``, or one stage of ``language_temperature`` and ``shares``.

        Raises:
            InputError: the file is no list of stages, or both are given.
        """
        if self.mixture is None:
            shares = {_share_name(name, "--shares"): x for name, x in self.shares.items()}
            return (ExampleStage(temperature=self.language_temperature, shares=shares),)
        if self.shares or self.language_temperature != 1:
            raise InputError(
                "--mixture beside --shares or --language-temperature",
                "write them into the stages of the file",
            )
        rows = _rows(self.mixture)
        form = (
            'e.g. [{"part": 2, "temperature": 2}, {"part": 1, "shares": {"de": 2, "hi/wiki": 1}}]'
        )
        if not isinstance(rows, list) or not rows:
            raise InputError(f"{self.mixture}: not a list of stages", form)
        stages = []
        for number, row in enumerate(rows, start=1):
            stage = decode(ExampleStage, row, f"{self.mixture}: stage {number}")
            where = str(self.mixture)
            shares = {_share_name(name, where): x for name, x in stage.shares.items()}
            stages.append(replace(stage, shares=shares))
        return tuple(stages)


def _rows(path: Path) -> object:
    """The content of a JSON file, or the rows of JSON lines."""
    if path.suffix != ".jsonl":
        return read_json(path)
    import json

    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _share_name(name: str, where: str) -> str:
    """The name of a share with its language tag in canonical form."""
    tag, slash, source = name.partition("/")
    return name if tag == "*" and source else language(tag, where).tag + slash + source


@dataclass(frozen=True, kw_only=True)
class PretrainOptions:
    """Train a checkpoint further on documents, by the loss on every token.

    Text is a file or a folder: plain text, JSON lines or Parquet with text and language. A language
    that nobody says, in a column or in the name of a file or folder, is identified. Writes a
    checkpoint, metrics.jsonl and index.html. A killed training resumes with the same command and
    ends with the same bytes.

    Examples:
        polylect train pretrain base texts --out adapted
        polylect train pretrain base wiki.jsonl --default-language cy --tokens 2000000
        polylect train pretrain base texts --shares cy=3 en=1 --dry-run
    """

    model: Positional[Path]
    """A folder in Hugging Face layout: the initial checkpoint."""
    data: Positional[Path]
    """File or folder of documents: plain text, JSON lines or Parquet; in Python a table, too."""
    default_language: str = ""
    """Language tag of all text without one."""
    learning_rate: Positive | None = None
    """Peak learning rate. Default: 2e-5 for 8 billion parameters, higher for smaller models."""
    tracker: Literal["none", "trackio", "wandb"] = "none"
    """Also send the metrics to this tracker."""
    mixing: Group[MixtureOptions] = field(default_factory=MixtureOptions)
    settings: Annotated[
        TextConfig, Mark(unnamed=True, metavar="text", leaves_out=("stages", "optim"))
    ] = field(default_factory=TextConfig)
    optim: Annotated[
        OptimConfig,
        Mark(
            unnamed=True,
            metavar="optimizer",
            leaves_out=("learning_rate", "lora_rank", "lora_alpha"),
        ),
    ] = field(default_factory=OptimConfig)
    output: Group[Output] = field(default_factory=Output)


@dataclass(frozen=True, kw_only=True)
class SftOptions:
    """Fine-tune a checkpoint on conversations.

    Conversations are JSON lines or Parquet with messages (role, content) and language; TRL's
    formats are read too. Writes a checkpoint, metrics.jsonl and index.html. A killed training
    resumes with the same command and ends with the same bytes.

    Examples:
        polylect train sft base chats.jsonl --out tuned
        polylect train sft base chats.jsonl --turns last --lora-rank 16
        polylect train sft base chats.jsonl --shares de=2 hi=1 --epochs 2 --dry-run
    """

    model: Positional[Path]
    """A folder in Hugging Face layout: the initial checkpoint."""
    data: Positional[Path]
    """File of conversations: JSON lines or Parquet."""
    learning_rate: Positive | None = None
    """Peak learning rate. Default: 2e-5 for 8 billion parameters, higher for smaller models."""
    tracker: Literal["none", "trackio", "wandb"] = "none"
    """Also send the metrics to this tracker."""
    mixing: Group[MixtureOptions] = field(default_factory=MixtureOptions)
    examples: Annotated[ExamplesConfig, Mark(unnamed=True, leaves_out=("stages",))] = field(
        default_factory=ExamplesConfig
    )
    optim: _Optim = _OPTIM
    output: Group[Output] = field(default_factory=Output)


@dataclass(frozen=True, kw_only=True)
class PreferenceOptions:
    """Align a checkpoint with preferences.

    Preferences are JSON lines or Parquet with prompt, chosen, rejected and language, and may have
    chosen_score and rejected_score; TRL's formats are read too. Writes a checkpoint, metrics.jsonl
    and index.html. A killed training resumes with the same command and ends with the same bytes.

    Examples:
        polylect train preference tuned pairs.jsonl --out aligned
        polylect train preference tuned pairs.jsonl --objective simpo --margin 0.5
        polylect train preference tuned pairs.jsonl --held-out held.jsonl --dry-run
    """

    model: Positional[Path]
    """A folder in Hugging Face layout: the initial checkpoint."""
    data: Positional[Path]
    """File of preferences: JSON lines or Parquet."""
    held_out: Path | None = None
    """Held-out preferences; their metrics go to scores.parquet."""
    learning_rate: Positive | None = None
    """Peak learning rate. Default: 1e-6 for 8 billion parameters, higher for smaller models."""
    tracker: Literal["none", "trackio", "wandb"] = "none"
    """Also send the metrics to this tracker."""
    settings: Annotated[PreferenceConfig, _Settings] = field(default_factory=PreferenceConfig)
    mixing: Group[MixtureOptions] = field(default_factory=MixtureOptions)
    examples: Annotated[ExamplesConfig, Mark(unnamed=True, leaves_out=("stages", "turns"))] = field(
        default_factory=ExamplesConfig
    )
    optim: _Optim = _OPTIM
    output: Group[Output] = field(default_factory=Output)


@dataclass(frozen=True, kw_only=True)
class RewardOptions:
    """Train a reward model on preferences.

    Preferences are JSON lines or Parquet with prompt, chosen, rejected and language; TRL's formats
    are read too. Writes a reward model, metrics.jsonl and index.html. A killed training resumes
    with the same command and ends with the same bytes.

    Examples:
        polylect train reward tuned pairs.jsonl --out judge
        polylect train reward tuned pairs.jsonl --held-out held.jsonl
        polylect train reward tuned pairs.jsonl --reward-centering 0.01 --epochs 2
    """

    model: Positional[Path]
    """A folder in Hugging Face layout: the initial checkpoint."""
    data: Positional[Path]
    """File of preferences: JSON lines or Parquet."""
    held_out: Path | None = None
    """Held-out preferences; their metrics go to scores.parquet."""
    learning_rate: Positive | None = None
    """Peak learning rate. Default: 1e-5 for 8 billion parameters, higher for smaller models."""
    tracker: Literal["none", "trackio", "wandb"] = "none"
    """Also send the metrics to this tracker."""
    settings: Annotated[RewardConfig, _Settings] = field(default_factory=RewardConfig)
    mixing: Group[MixtureOptions] = field(default_factory=MixtureOptions)
    examples: Annotated[
        ExamplesConfig, Mark(unnamed=True, leaves_out=("stages", "turns", *_PROBES, "identifier"))
    ] = field(default_factory=ExamplesConfig)
    optim: _Optim = _OPTIM
    output: Group[Output] = field(default_factory=Output)


@dataclass(frozen=True, kw_only=True)
class OnlineOptions:
    """Train a checkpoint on its own answers, in rounds: generate, score, learn.

    Prompts are JSON lines or Parquet with prompt (or messages) and language. Writes a checkpoint,
    the answers, metrics.jsonl and index.html. A killed training resumes with the same command and
    ends with the same bytes.

    Examples:
        polylect train online aligned prompts.jsonl --reward judge --out better
        polylect train online aligned prompts.jsonl --reward own.py:score --objective rloo
        polylect train online aligned prompts.jsonl --reward language --num-samples 8
    """

    model: Positional[Path]
    """A folder in Hugging Face layout: the initial checkpoint."""
    data: Positional[Path]
    """File of prompts: JSON lines or Parquet."""
    reward: Annotated[str, Mark(metavar="REWARD", keeps_commas=True, names_function=True)]
    """Reward of the answers: a folder of 'polylect train reward', FILE.py:function, people:DIR#USER
    (a user of 'polylect people fit'), or language."""
    learning_rate: Positive | None = None
    """Peak learning rate. Default: 1e-6 for 8 billion parameters, higher for smaller models."""
    tracker: Literal["none", "trackio", "wandb"] = "none"
    """Also send the metrics to this tracker."""
    settings: Annotated[OnlineConfig, _Settings] = field(default_factory=OnlineConfig)
    mixing: Group[MixtureOptions] = field(default_factory=MixtureOptions)
    examples: Annotated[
        ExamplesConfig, Mark(unnamed=True, leaves_out=("stages", "turns", *_PROBES))
    ] = field(default_factory=ExamplesConfig)
    optim: _Optim = _OPTIM
    output: Group[Output] = field(default_factory=Output)
