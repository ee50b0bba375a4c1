"""Configuration of pools of answers; never imports torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

from polylect.base import (
    Count,
    CountOrZero,
    InputError,
    NamesFunction,
    NonNegative,
    Positive,
    Range,
    Seed,
    check_settings,
)
from polylect.engine import EngineConfig, GenerateConfig, Sampling
from polylect.text import DEFAULT_IDENTIFIER

if TYPE_CHECKING:
    from polylect.runs import Files

ROUTERS = ("best", "fixed", "reward", "learned", "random", "all")
Router = Literal["best", "fixed", "reward", "learned", "random", "all"]
KINDS = (
    "best-worst",
    "margin",
    "native-translated",
    "homogeneous",
    "post-edit",
    "language-verified",
)
Kind = Literal[
    "best-worst", "margin", "native-translated", "homogeneous", "post-edit", "language-verified"
]


@dataclass(frozen=True, kw_only=True)
class TeacherConfig:
    """What is said of a teacher beside its place.

    Attributes:
        name: in the rows.
        languages: it is asked in these alone; empty for all of the prompts'.
        license: of its answers; empty: what its checkpoint states.
        terms: on training with its answers; may be empty.
        answer_origin: how the texts of a file's answers were made, where the file does not say.
    """

    name: str
    languages: tuple[str, ...] = ()
    license: str = ""
    terms: str = ""
    answer_origin: str = ""

    def __post_init__(self) -> None:
        check_settings(self)
        if not self.name.strip():
            raise InputError("a teacher without a name", "--teacher NAME=PLACE")


@dataclass(frozen=True, kw_only=True)
class PoolConfig:
    """Answers of every teacher to every prompt.

    Attributes:
        teachers: in order.
        sampling: of generated answers; ``num_samples`` is the number of answers to a prompt.
        template: chat template of checkpoints, as for ``GenerateConfig``.
        languages: only prompts in these; empty for all.
        limit: only the first prompts of each language; None for all.
        identifier: says which language each answer is in.
        engine: of local checkpoints.
    """

    teachers: tuple[TeacherConfig, ...]
    sampling: Sampling = field(default_factory=Sampling)
    template: str = "own"
    languages: tuple[str, ...] = ()
    limit: Count | None = None
    identifier: Annotated[str, NamesFunction()] = DEFAULT_IDENTIFIER
    engine: EngineConfig = field(default_factory=EngineConfig)

    def __post_init__(self) -> None:
        check_settings(self)
        names = [teacher.name for teacher in self.teachers]
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"two teachers are called {name!r}", "give each its own name")

    def generate(self, name: str) -> GenerateConfig:
        """How a teacher generates."""
        return GenerateConfig(
            name=name, sampling=self.sampling, template=self.template, languages=self.languages,
            limit=self.limit, engine=self.engine,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ScoreConfig:
    """Rewards of the answers of a pool.

    Attributes:
        name: of the reward, in tables.
        length_controlled: take out what follows from an answer's length.
        template: chat template for a reward model that has none.
        micro_batch_tokens: most tokens of a reward model's forward pass.
        identifier: says which language an answer is in, for the reward ``language``.
    """

    name: str
    length_controlled: bool = False
    template: str = "own"
    micro_batch_tokens: Count = 2048
    identifier: Annotated[str, NamesFunction()] = DEFAULT_IDENTIFIER

    def __post_init__(self) -> None:
        check_settings(self)

    def named_files(self) -> "Mapping[str, Files]":
        """The chat template's file, if it is one."""
        from polylect.text import template_input

        return template_input(self.template)


@dataclass(frozen=True, kw_only=True)
class RouteConfig:
    """Which teacher answers which prompt.

    Attributes:
        by: the router whose answers are written; all are compared.
        gate: an answer in another language than its prompt gets 1 less than the worst of the rest.
        calibration: share of the prompts that ``best``, ``fixed`` and ``learned`` learn from, and
            on which nothing is compared.
        temperature: of the softmax that makes a distribution over teachers of rewards, in standard
            deviations of the rewards within a prompt.
        penalty: of the learned router's squared weights.
        encoder: how the learned router sees a prompt, as ``engine.embed`` names it.
        seed: of the calibration part and of ``random``.
        same_judge: the reward that routes may also judge.
    """

    by: Router = "reward"
    gate: bool = True
    calibration: Annotated[float, Range(0, below=1)] = 0.2
    temperature: Positive = 0.5
    penalty: NonNegative = 1e-3
    encoder: str = "ngrams"
    seed: Seed = 0
    same_judge: bool = False

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class PairsConfig:
    """Preferences from a pool.

    Attributes:
        kind: which answers are compared.
        gate: as for ``RouteConfig``.
        min_margin: least difference of two rewards.
        drop: share of each language's prompts to leave out: those of lowest mean reward.
        strong: the teacher of the preferred side (``native-translated``), or the only one
            (``homogeneous``); empty for any.
        weak: the teacher of the translated side; empty for any.
        pair_preset: a mixture of "RLHF Can Speak Many Languages"; empty for none.
        total_pairs: in all languages, shared equally; None for all there are, or the preset's.
        languages: in these alone; empty for all, or the preset's.
        drop_overlap: leave out and count what overlaps with evaluation prompts.
        sample: rows for people to check.
        seed: which pairs are taken, and which side people see first.
    """

    kind: Kind = "best-worst"
    gate: bool = True
    min_margin: NonNegative = 0.0
    drop: Annotated[float, Range(0, below=1)] = 0.2
    strong: str = ""
    weak: str = ""
    pair_preset: str = ""
    total_pairs: Count | None = None
    languages: tuple[str, ...] = ()
    drop_overlap: bool = False
    sample: CountOrZero = 0
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_settings(self)
