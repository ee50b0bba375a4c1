"""Reading a plan: a table in TOML that a person can read aloud, or a Python file."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from polylect.base import InputError, as_key, check_known, decode, read_text
from polylect.mixtures.plans import Cooldown, Plan, PlannedStage, Stream
from polylect.runs import load_file, users_code

PLAN_FUNCTION = "plan"
"""Name of the function of a Python plan, unless another is named: ``FILE.py:function``."""


@dataclass(frozen=True, kw_only=True)
class _Sweep:
    """Variants of one stage whose share of a stream takes several values.

    Attributes:
        stream: the stream.
        percent: its shares, in per cent.
        rest: the stream that takes what is left.
        name: of the variants, before the percentage; default: the stream's.
    """

    stream: str
    percent: tuple[float, ...]
    rest: str
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class _PlanFile:
    """The tables of a plan file; see ``Plan`` for what its keys mean."""

    streams: dict[str, Stream]
    tokens: int
    variants: dict[str, tuple[PlannedStage, ...]] = field(default_factory=dict)
    sweep: tuple[_Sweep, ...] = ()
    budget: Literal["competitive", "additive"] = "competitive"
    cooldowns: dict[str, Cooldown] = field(default_factory=dict)
    scales: tuple[float, ...] = (1.0,)
    num_parameters: int = 5_000_000
    learning_rate: float = 2e-3
    max_epochs: float = 4.0
    seeds: tuple[int, ...] = (0, 1, 2)
    stop_at_width: float | None = None
    most_tokens: int | None = None


def read_plan(path: Path | str) -> Plan:
    """The plan in a file.

    A ``.toml`` file has the keys of ``Plan``; a ``[[sweep]]`` adds a variant for each of several
    shares. A Python file has a function ``plan()`` that returns a ``Plan``; it is run.

    Args:
        path: ``FILE.toml``, ``FILE.py`` or ``FILE.py:function``.

    Raises:
        InputError: no such file, it is neither, or something in it is wrong: all of it, with the
            places.
    """
    file_name, colon, function = str(path).rpartition(":")
    if not (colon and file_name.endswith(".py")):
        file_name, function = str(path), PLAN_FUNCTION
    if file_name.endswith(".py"):
        return _called(Path(file_name), function)
    if not file_name.endswith(".toml"):
        raise InputError(f"{path}: no plan", "give FILE.toml, or FILE.py with a function plan()")
    try:
        data: dict[str, Any] = tomllib.loads(read_text(Path(path)))
    except tomllib.TOMLDecodeError as error:
        raise InputError(
            f"{path}: {error}", "a plan has tokens = 700_000, [streams.text] and [variants]"
        ) from None
    file = decode(_PlanFile, data, str(path))
    variants = dict(file.variants)
    for sweep in file.sweep:
        variants |= _swept(sweep, file, variants, str(path))
    try:
        return Plan(
            streams=file.streams, variants=variants, tokens=file.tokens, budget=file.budget,
            cooldowns=file.cooldowns, scales=file.scales, num_parameters=file.num_parameters,
            learning_rate=file.learning_rate, max_epochs=file.max_epochs, seeds=file.seeds,
            stop_at_width=file.stop_at_width, most_tokens=file.most_tokens,
        )  # fmt: skip
    except InputError as error:
        error = as_key(error)
        raise InputError(f"{path}: {error.message}", error.hint) from None


def _called(path: Path, function: str) -> Plan:
    make = getattr(load_file(path), function, None)
    if not callable(make):
        raise InputError(f"{path}: no function {function!r}", "define one that returns a Plan")
    with users_code(path, function):
        plan = make()
    if not isinstance(plan, Plan):
        raise InputError(f"{path}: {function}() returned {type(plan).__name__}, no Plan",
                         "return polylect.mixtures.Plan(…)")  # fmt: skip
    return plan


def _swept(
    sweep: _Sweep, file: _PlanFile, variants: dict[str, Any], where: str
) -> dict[str, tuple[PlannedStage, ...]]:
    """The variants of a sweep, by name."""
    for name in (sweep.stream, sweep.rest):
        check_known(name, file.streams, f"{where}: [[sweep]]: no stream {name!r}")
    made: dict[str, tuple[PlannedStage, ...]] = {}
    for percent in sweep.percent:
        if not 0 <= percent <= 100:
            raise InputError(f"{where}: [[sweep]]: {percent:g} %", "give shares from 0 to 100")
        name = f"{sweep.name or sweep.stream}-{percent:g}"
        if name in variants or name in made:
            raise InputError(f"{where}: [[sweep]]: {name!r} is there already", "name the sweep")
        mix = {sweep.stream: percent, sweep.rest: 100 - percent}
        made[name] = (PlannedStage(mix={key: part for key, part in mix.items() if part}),)
    return made
