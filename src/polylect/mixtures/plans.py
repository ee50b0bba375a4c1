"""Plans of an experiment on mixtures: streams, stages, variants, budgets, scales and seeds.

A plan says what is trained, on what and for how long, before anything is: it needs the sizes of
the text and nothing else. A *variant* is a list of stages, each a mix of *streams*; a cooldown may
follow. Budgets are *competitive* (a run's tokens are fixed, so that more code is less text) or
*additive* (its text is fixed, and code comes on top; Petty et al. 2024).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from polylect.base import (
    CODE,
    Count,
    InputError,
    NonNegative,
    Positive,
    Range,
    Seed,
    check_known,
    check_settings,
)
from polylect.mixtures.mixture import Mixture, Share, Stage

Sizes = Mapping[tuple[str, str], int]
"""Tokens of text by language and source."""

Schedule = Literal["cosine", "cooldown", "constant", "linear"]

LAST_RATE = 0.1
"""The rate at which a cosine ends, as a share of its peak."""


@dataclass(frozen=True, kw_only=True)
class Stream:
    """A kind of text.

    Attributes:
        languages: tags. Default: all that no other stream names, without code.
        sources: names of sources, or ``*`` for all.
        temperature: of its languages: 1 follows their sizes, higher is more even.
        is_code: whether it is the addition of an additive budget. Default: a stream of ``code``.
    """

    languages: tuple[str, ...] = ()
    sources: tuple[str, ...] = ("*",)
    temperature: Annotated[float, Range(1, float("inf"))] = 1.0
    is_code: bool | None = None

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def is_added(self) -> bool:
        """Whether an additive budget adds it."""
        return self.languages == (CODE.tag,) if self.is_code is None else self.is_code


@dataclass(frozen=True, kw_only=True)
class PlannedStage:
    """A stage of a variant.

    Attributes:
        mix: shares of streams, relative to each other.
        part: its length, relative to the variant's other stages.
        schedule: of the learning rate over the stage.
        learning_rate: its peak; None is the plan's.
    """

    mix: Mapping[str, NonNegative]
    part: Positive = 1.0
    schedule: Schedule = "cosine"
    learning_rate: Positive | None = None

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class Cooldown:
    """A last stage that all variants may share ("To Code, or Not To Code", section 3.5).

    Attributes:
        mix: shares of streams.
        part: its tokens, as a fraction of a run's tokens before it.
        variants: those that get it; empty is all.
        learning_rate: the rate that it falls to zero from; None is the rate at which the stage
            before it ended (``end_rate``).
    """

    mix: Mapping[str, NonNegative]
    part: Annotated[float, Range(above=0, at_most=1)] = 0.1
    variants: tuple[str, ...] = ()
    learning_rate: Positive | None = None

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """An experiment on mixtures.

    Attributes:
        streams: by name.
        variants: stages in order, by name.
        tokens: of a run before its cooldown, at scale 1: all of them where the budget is
            competitive, those of text where it is additive.
        budget: what stays equal between variants.
        cooldowns: by name; every variant is run without, and with each that it gets.
        scales: factors on the tokens and on the parameters of the model.
        num_parameters: of the model at scale 1.
        learning_rate: peak rate of stages that state none.
        max_epochs: most passes over the text of a language in a stage.
        seeds: of runs.
        stop_at_width: no further seed where every interval of the main comparisons is at most this
            wide, in points of per cent; at least two are trained.
        most_tokens: no further seed that would bring the tokens of all trainings above this.
    """

    streams: Mapping[str, Stream]
    variants: Mapping[str, tuple[PlannedStage, ...]]
    tokens: Count
    budget: Literal["competitive", "additive"] = "competitive"
    cooldowns: Mapping[str, Cooldown] = field(default_factory=dict)
    scales: tuple[Positive, ...] = (1.0,)
    num_parameters: Count = 5_000_000
    learning_rate: Positive = 2e-3
    max_epochs: Positive = 4.0
    seeds: tuple[Seed, ...] = (0, 1, 2)
    stop_at_width: Positive | None = None
    most_tokens: Count | None = None

    def __post_init__(self) -> None:
        check_settings(self)
        if self.stop_at_width is not None and len(self.seeds) == 1:
            raise InputError("stop_at_width with one seed", "seeds = [0, 1, 2], or leave it out")
        if not self.variants:
            raise InputError("the plan has no variants", "name at least one, with its stages")
        for values, name in ((self.scales, "scales"), (self.seeds, "seeds")):
            if not values or len(set(values)) != len(values):
                raise InputError(f"{name}: {list(values)}", "give each of them once, at least one")
        for variant, stages in self.variants.items():
            if not stages:
                raise InputError(f"variant {variant!r} has no stages", "give it at least one")
            for number, stage in enumerate(stages, start=1):
                self._check_mix(stage.mix, f"variant {variant!r}, stage {number}")
        for name, cooldown in self.cooldowns.items():
            self._check_mix(cooldown.mix, f"cooldown {name!r}")
            for variant in cooldown.variants:
                check_known(variant, self.variants, f"cooldown {name!r}: no variant {variant!r}")

    def _check_mix(self, mix: Mapping[str, float], where: str) -> None:
        for stream in mix:
            check_known(stream, self.streams, f"{where}: no stream {stream!r}")
        if not sum(mix.values()) > 0:
            raise InputError(f"{where}: its shares sum to 0", "give a stream a share above 0")
        if self.budget == "additive" and all(
            self.streams[name].is_added for name, part in mix.items() if part
        ):
            raise InputError(
                f"{where}: only code, and an additive budget fixes the tokens of text",
                "give it some text, or set the budget to competitive",
            )


@dataclass(frozen=True, kw_only=True)
class RunStage:
    """A stage of a run, with exact shares.

    Attributes:
        mix: shares of the streams, which sum to 1.
        stage: tokens, and a part for every language and source.
        schedule: of the learning rate.
        learning_rate: its peak.
        kind: ``initial``, ``continued`` or ``cooldown``.
    """

    mix: Mapping[str, float]
    stage: Stage
    schedule: Schedule
    learning_rate: float
    kind: Literal["initial", "continued", "cooldown"]


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """One training of a plan.

    Attributes:
        variant: its name.
        cooldown: name of the cooldown; empty without one.
        scale: factor on tokens and parameters.
        seed: of everything that is drawn.
        stages: in order.
    """

    variant: str
    cooldown: str
    scale: float
    seed: int
    stages: tuple[RunStage, ...]

    @property
    def name(self) -> str:
        """What it is called, e.g. ``balanced-text+code · x0.5 · seed 1``."""
        parts = [self.variant + (f"+{self.cooldown}" if self.cooldown else "")]
        parts += [f"x{self.scale:g}"] if self.scale != 1 else []
        return " · ".join([*parts, f"seed {self.seed}"])

    @property
    def mixture(self) -> Mixture:
        """All stages as one mixture."""
        return Mixture(stages=tuple(stage.stage for stage in self.stages), seed=self.seed)

    @property
    def tokens(self) -> int:
        """Tokens over all stages."""
        return self.mixture.tokens


def planned_runs(plan: Plan, sizes: Sizes) -> list[PlannedRun]:
    """Every run of a plan, in the order scale, seed, variant, cooldown.

    Args:
        plan: the plan.
        sizes: tokens of the text at hand.

    Raises:
        InputError: a stream without text.
    """
    cells = {name: stream_cells(plan, name, sizes) for name in plan.streams}
    return [
        PlannedRun(
            variant=variant, cooldown=cooldown, scale=scale, seed=seed,
            stages=_stages(plan, stages, cooldown, scale, cells, sizes),
        )
        for scale in plan.scales
        for seed in plan.seeds
        for variant, stages in plan.variants.items()
        for cooldown in ("", *plan.cooldowns)
        if not cooldown or variant in (plan.cooldowns[cooldown].variants or plan.variants)
    ]  # fmt: skip


def stream_cells(plan: Plan, name: str, sizes: Sizes) -> dict[tuple[str, str], float]:
    """The parts of a stream's languages and sources, which sum to 1.

    Args:
        plan: the plan.
        name: of the stream.
        sizes: tokens of the text at hand.

    Raises:
        InputError: there is no text of it.
    """
    stream = plan.streams[name]
    named = {tag for other in plan.streams.values() for tag in other.languages} | {CODE.tag}
    weights = {
        (language, source): num ** (1.0 / stream.temperature)
        for (language, source), num in sorted(sizes.items())
        if num
        and (language in stream.languages if stream.languages else language not in named)
        and ("*" in stream.sources or source in stream.sources)
    }
    if not weights:
        known = ", ".join(sorted({f"{language}/{source}" for language, source in sizes}))
        raise InputError(f"stream {name!r}: there is no text of it", f"there is {known}")
    total = sum(weights.values())
    return {cell: weight / total for cell, weight in weights.items()}


def _stages(
    plan: Plan,
    stages: tuple[PlannedStage, ...],
    cooldown: str,
    scale: float,
    cells: Mapping[str, Mapping[tuple[str, str], float]],
    sizes: Sizes,
) -> tuple[RunStage, ...]:
    budget = max(1, round(plan.tokens * scale))
    lengths = _split(budget, [stage.part for stage in stages])
    made = [
        _run_stage(plan, stage.mix, num, stage.schedule, stage.learning_rate, cells,
                   "continued" if number else "initial")
        for number, (stage, num) in enumerate(zip(stages, lengths, strict=True))
    ]  # fmt: skip
    if cooldown:
        last = plan.cooldowns[cooldown]
        num = max(1, round(budget * last.part))
        rate = last.learning_rate or end_rate(made[-1])
        made.append(_run_stage(plan, last.mix, num, "linear", rate, cells, "cooldown"))
    return tuple(made)


def end_rate(stage: RunStage) -> float:
    """The rate at which a stage ends: of a cosine a tenth of its peak, else the peak.

    What falls to zero leaves no rate to go on from; its peak is taken.

    Args:
        stage: the stage.
    """
    return LAST_RATE * stage.learning_rate if stage.schedule == "cosine" else stage.learning_rate


def _run_stage(
    plan: Plan,
    mix: Mapping[str, float],
    tokens: int,
    schedule: Schedule,
    learning_rate: float | None,
    cells: Mapping[str, Mapping[tuple[str, str], float]],
    kind: Literal["initial", "continued", "cooldown"],
) -> RunStage:
    total = sum(mix.values())
    shares = {name: part / total for name, part in mix.items() if part}
    if plan.budget == "additive":
        text = sum(part for name, part in shares.items() if not plan.streams[name].is_added)
        tokens = max(1, round(tokens / text))
    parts: dict[tuple[str, str], float] = {}
    for name, share in shares.items():
        for cell, part in cells[name].items():
            parts[cell] = parts.get(cell, 0.0) + share * part
    return RunStage(
        mix=shares,
        stage=Stage(
            tokens=tokens,
            shares=tuple(
                Share(language=cell[0], source=cell[1], part=min(1.0, part),
                      max_epochs=plan.max_epochs)
                for cell, part in sorted(parts.items())
            ),
        ),
        schedule=schedule,
        learning_rate=learning_rate or plan.learning_rate,
        kind=kind,
    )  # fmt: skip


def _split(total: int, parts: list[float]) -> list[int]:
    """Integers in proportion to parts that sum to the total; each at least 1."""
    ends, whole, before = [], sum(parts), 0.0
    for part in parts:
        before += part
        ends.append(round(total * before / whole))
    return [max(1, end - start) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
