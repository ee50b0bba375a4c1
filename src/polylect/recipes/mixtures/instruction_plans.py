"""Plans of an experiment on instruction mixtures: streams of rows, and how they are weighted.

A plan of one's own is TOML that reads like the other plans::

    examples = 2_000
    seeds = [0, 1, 2]

    [streams]
    human = "human.jsonl"
    templated = "templated.jsonl"

    [mixtures.half]
    human = 1
    templated = 1
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from polylect.base import (
    Count,
    InputError,
    NonNegative,
    Positive,
    Seed,
    check_known,
    check_settings,
    decode,
    read_text,
)

BASELINE = "proportional"
"""The mixture that the others are compared with: every stream by its number of rows."""


@dataclass(frozen=True, kw_only=True)
class InstructionPlan:
    """Streams of instructions, and mixtures of them.

    Attributes:
        streams: the file of each, JSON lines or Parquet of conversations.
        mixtures: weights of streams by mixture, relative to each other; none are those of
            ``own_mixtures``.
        examples: conversations that every training learns from; None is as many as no stream is
            read more than ``max_epochs`` times for.
        max_epochs: most passes over a stream.
        seeds: of trainings.
    """

    streams: Mapping[str, Path]
    mixtures: Mapping[str, Mapping[str, NonNegative]] = field(default_factory=dict)
    examples: Count | None = None
    max_epochs: Positive = 4.0
    seeds: tuple[Seed, ...] = (0, 1, 2)

    def __post_init__(self) -> None:
        check_settings(self)
        for name in (*self.streams, *self.mixtures):
            if not re.fullmatch(r"[\w.-]+", name):
                raise InputError(f"a stream or mixture is called {name!r}", "use letters and -")
        for name, weights in self.mixtures.items():
            for stream in weights:
                check_known(stream, self.streams, f"mixture {name}: no stream {stream!r}")
            if not sum(weights.values()) > 0:
                raise InputError(f"mixture {name}: all weights are 0", "give one above 0")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise InputError("a plan needs seeds, each once", "seeds = [0, 1, 2]")


def read_instruction_plan(path: Path) -> InstructionPlan:
    """The plan in a TOML file; files of streams are taken from its folder.

    Raises:
        InputError: no such file, or something in it is wrong: names the place.
    """
    try:
        data = tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: {error}", 'a plan has [streams] human = "FILE"') from None
    try:
        plan = decode(InstructionPlan, data, str(path))
    except InputError as error:
        message = error.message.removeprefix(f"{path}: ")
        raise InputError(f"{path}: {message}", error.hint) from None
    streams = {name: path.parent / file for name, file in plan.streams.items()}
    return InstructionPlan(
        streams=streams, mixtures=plan.mixtures, examples=plan.examples,
        max_epochs=plan.max_epochs, seeds=plan.seeds,
    )  # fmt: skip


def own_mixtures(sizes: Mapping[str, int]) -> dict[str, dict[str, float]]:
    """The mixtures that a law can be fitted to: by size, all alike, each alone, more, or left out.

    >>> list(own_mixtures({"human": 10, "translated": 30, "synthetic": 20}))[:3]
    ['proportional', 'uniform', 'only-human']
    """
    made: dict[str, dict[str, float]] = {
        BASELINE: {name: float(size) for name, size in sizes.items()},
        "uniform": dict.fromkeys(sizes, 1.0),
    }
    made |= {f"only-{name}": {name: 1.0} for name in sizes}
    made |= {f"more-{name}": dict.fromkeys(sizes, 1.0) | {name: 3.0} for name in sizes}
    if len(sizes) > 2:  # of two, without one is only the other
        made |= {f"without-{left}": {name: 1.0 for name in sizes if name != left} for left in sizes}
    return made


def shares_of(weights: Mapping[str, float], streams: Mapping[str, object]) -> dict[str, float]:
    """Shares of all streams that sum to 1."""
    total = sum(weights.values())
    return {name: weights.get(name, 0.0) / total for name in streams}


def num_examples(plan: InstructionPlan, sizes: Mapping[str, int]) -> int:
    """How many conversations every training learns from.

    Args:
        plan: with its mixtures.
        sizes: training rows of each stream.

    Raises:
        InputError: a mixture would read a stream more often than the plan allows.
    """
    most = {
        (name, stream): plan.max_epochs * sizes[stream] / share
        for name, weights in plan.mixtures.items()
        for stream, share in shares_of(weights, plan.streams).items()
        if share > 0
    }
    (name, stream), limit = min(most.items(), key=lambda entry: entry[1])
    if plan.examples is None:
        return max(1, min(int(limit), sum(sizes.values())))
    if plan.examples > limit:
        raise InputError(
            f"mixture {name}: {plan.examples:,} examples need more than {plan.max_epochs:g} passes"
            f" over {stream} ({sizes[stream]:,} rows)",
            f"--examples {int(limit)}, or more --max-epochs",
        )
    return plan.examples
