"""One way through a sweep for every recipe: seeds until it is narrow enough, scores, findings."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from polylect.base import InputError, numbered, read_json
from polylect.evals import find_task
from polylect.mixtures import RUNS_FILE, Plan, TextSource, TokenStore, language_lines, tokens_saved
from polylect.recipes.intervals import ratio_interval
from polylect.recipes.mixtures.claims import bit_rows
from polylect.recipes.mixtures.engine import (
    Sweep,
    build_config,
    score,
    steps_ahead,
    sweep_of,
    task_config,
    train,
    train_config,
)
from polylect.recipes.mixtures.options import MixtureConfig
from polylect.recipes.mixtures.run_steps import RunSteps
from polylect.recipes.mixtures.steps import PlanConfig, write_plan
from polylect.recipes.mixtures.summary import summary_lines
from polylect.recipes.mixtures.tables import bits_frame
from polylect.recipes.mixtures.texts import Plans, prepare
from polylect.rows import Split
from polylect.runs import Artifact, Run, Step, duration

PAGE, SUMMARY = "index.html", "summary.txt"
FEWEST_SEEDS = 2
"""An interval over one seed's documents says nothing of the next seed."""


def sweep_ready(
    run: Run,
    config: MixtureConfig,
    sources: Sequence[TextSource],
    plans: Plans,
    users: Plan | None = None,
) -> Sweep:
    """The text read, and every run planned; what cannot be is refused before anything is trained.

    Raises:
        InputError: a stream without text, more tokens than text and epoch caps give, no such task
            or no data for it.
    """
    sweep = sweep_of(prepare(run, config, sources).fitted(config, plans, users))
    if config.tasks:
        for data in task_config("", sweep, config).named_files().values():
            _ = data.digest
    return sweep


Compared = tuple[str, str, tuple[str, ...]]
"""The run before, the one after, and the streams on which they are compared together."""


@dataclass(frozen=True)
class Study:
    """What is asked of a sweep.

    Attributes:
        find: the step that answers; its inputs are those of ``find_mixtures``.
        config: its configuration.
        compared: the main comparisons, which the stop rule looks at.
        title: of the page.
        words: below it: what is asked, in a sentence or two.
    """

    find: Step
    config: Callable[[Sweep, MixtureConfig], object]
    compared: Callable[[Sweep], Sequence[Compared]]
    title: str
    words: str


def run_sweep(run: Run, config: MixtureConfig, sweep: Sweep, study: Study) -> None:
    """Train and score seed by seed, as far as the stop rule asks; then findings and page."""
    from polylect.report import write_mixtures_page

    plan = run.step(
        write_plan, "plan", PlanConfig(plans=sweep.ready.plans), {"tokens": sweep.ready.tokens}
    )
    made: dict[str, Artifact] = {}
    scores: dict[str, Artifact] = {}
    done: tuple[int, ...] = ()
    ended = ""
    rule = sweep.ready.plans[0]  # of all of them
    config = replace(config, stop_at_width=rule.stop_at_width, most_tokens=rule.most_tokens)
    may_stop = config.stop_at_width is not None or config.most_tokens is not None
    for seeds in rounds(sweep.seeds, may_stop):
        ended = why_stop(config, sweep, done, seeds) or _narrow(
            config, sweep.of_seeds(done), study, plan, scores
        )
        if ended:
            break
        part = sweep.of_seeds(seeds)
        run.announce(*steps_ahead(part, config), {"findings": 1000.0})
        made |= train(run, part, config)
        scores |= score(run, part, made, config)
        done = (*done, *seeds)
    inputs = {f"train {label}": artifact for label, artifact in made.items()}
    findings = run.step(
        study.find,
        "findings",
        study.config(sweep.of_seeds(done), config),
        {"plan": plan, **inputs, **scores},
    )
    run.finish([PAGE, SUMMARY, RUNS_FILE])
    shutil.copyfile(findings.path / RUNS_FILE, run.path / RUNS_FILE)
    lines = summary_lines(read_json(findings.path / "findings.json"), ended)
    (run.path / SUMMARY).write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_mixtures_page(run.path, PAGE, study.title, study.words)


def rounds(seeds: Sequence[int], may_stop: bool) -> list[tuple[int, ...]]:
    """Seeds that are trained side by side, in order: all, or after the first two one by one.

    >>> rounds((0, 1, 2, 3), True), rounds((0, 1, 2), False)
    ([(0, 1), (2,), (3,)], [(0, 1, 2)])
    """
    if not may_stop:
        return [tuple(seeds)]
    first, rest = tuple(seeds[:FEWEST_SEEDS]), seeds[FEWEST_SEEDS:]
    return [first, *((seed,) for seed in rest)]


def why_stop(config: MixtureConfig, sweep: Sweep, done: Sequence[int], seeds: Sequence[int]) -> str:
    """Why the budget has no further seed; empty where it has.

    Args:
        config: with the budget.
        sweep: of all seeds.
        done: seeds that were trained.
        seeds: the next ones.

    Raises:
        InputError: not even the first seeds are within the budget.
    """
    needed = sweep.of_seeds((*done, *seeds)).tokens
    ways = "fewer --seeds, or fewer --tokens"
    most = config.most_tokens
    return budget_spent("--most-tokens", most, needed, "tokens", len(done), len(seeds), ways)


def budget_spent(
    option: str, most: int | None, needed: int, unit: str, num_done: int, num_next: int, ways: str
) -> str:
    """Why a budget has no further seed; empty where it has.

    Args:
        option: that gives the budget.
        most: the budget; None is without end.
        needed: what the seeds that are done and the next ones need together.
        unit: of both numbers, in words.
        num_done: seeds that were trained.
        num_next: seeds that are next.
        ways: what to type in place of a larger budget, should not even the first seeds fit.

    Raises:
        InputError: not even the first seeds fit.
    """
    if most is None or needed <= most:
        return ""
    if not num_done:
        raise InputError(f"{option} {most:,}: {numbered(num_next, 'seed')} need {needed:,}",
                         f"{option} {needed}, {ways}")  # fmt: skip
    return f"{numbered(num_done, 'seed')}: a further one would need {needed:,} {unit} in all"


def narrow_enough(width: float, limit: float, num_seeds: int) -> str:
    """Why intervals need no further seed; empty where they do.

    Args:
        width: of the widest.
        limit: at which they are narrow enough.
        num_seeds: that were trained.
    """
    if width > limit:
        return ""
    return f"{numbered(num_seeds, 'seed')}: the widest interval has {width:.2f} points"


def _narrow(
    config: MixtureConfig, done: Sweep, study: Study, plan: Artifact, scores: Mapping[str, Artifact]
) -> str:
    """Why the intervals need no further seed; empty where they do."""
    if config.stop_at_width is None or not done.runs:
        return ""
    bits = bits_frame(run_steps(done), pl.read_parquet(plan.path / "cells.parquet"), scores)
    width = widest(bits, study.compared(done))
    return narrow_enough(width, config.stop_at_width, len(done.seeds))


def widest(bits: pl.DataFrame, compared: Sequence[Compared]) -> float:
    """The widest interval of some comparisons, in points of per cent of bits, over all scales.

    Args:
        bits: see ``bits_frame``.
        compared: the comparisons.
    """
    widths = [0.0]
    for _, part in bits.group_by("scale", maintain_order=True):
        for before, after, streams in compared:
            rows = bit_rows(part, before, after, streams)
            if rows.height:
                interval = ratio_interval(rows)
                widths.append(100.0 * (interval.upper - interval.lower))
    return max(widths)


def run_steps(sweep: Sweep) -> tuple[RunSteps, ...]:
    """Every run with the steps that trained it."""
    return tuple(
        RunSteps(
            name=run.name, variant=run.variant, cooldown=run.cooldown, scale=run.scale,
            seed=run.seed, steps=sweep.chains[run.name],
        )
        for run in sweep.runs
    )  # fmt: skip


def kind_of(name: str) -> str:
    """Which kind of evaluation a task belongs to, by its name and how it is scored.

    >>> [kind_of(name) for name in ("xcopa", "humaneval", "xquad_closed", "xquad")]
    ['reasoning', 'code', 'knowledge', 'reasoning']
    """
    task = find_task(name)
    if any(word in task.name for word in ("humaneval", "mbpp")):
        return "code"
    if any(word in task.name for word in ("closed", "mmlu")):
        return "knowledge"
    return "generation" if task.scorer == "generation" else "reasoning"


def forecast_sweep(run: Run, config: MixtureConfig, sweep: Sweep) -> str:
    """Text for the terminal: the ledger, what sharing saves, and the price of a further seed."""
    from polylect.recipes.mixtures.forecast import ledger_lines
    from polylect.recipes.pretraining.estimate import measure_rates

    ready = sweep.ready
    trained, apart = tokens_saved(sweep.runs)
    first = sweep.trainings[0]
    parameters, rate, _ = measure_rates(
        TokenStore(ready.tokens.path, Split.TRAIN),
        build_config(sweep, first.scale, first.seed),
        train_config(first, config),
    )
    per_seed = sweep.of_seeds(sweep.seeds[:1])

    def seconds(part: Sweep) -> float:
        work = sum(
            training.stage.stage.tokens * training.scale / first.scale
            for training in part.trainings
        )
        return work / rate / run.num_workers

    lines = ledger_lines(ready.plans, ready.sizes)
    lines += [
        "",
        f"runs: {len(sweep.runs):,} as {numbered(len(sweep.trainings), 'training')}, seeds"
        f" {' '.join(map(str, sweep.seeds))}",
        f"tokens: {trained:,}; one by one they would be {apart:,}, sharing saves"
        f" {100 * (1 - trained / apart):.0f} %",
        f"a further seed: {per_seed.tokens:,} tokens, about {duration(seconds(per_seed))}",
        f"parameters: {parameters:,}" + (" at scale 1" if len(sweep.num_parameters) > 1 else ""),
        f"time: about {duration(seconds(sweep))} of training, measured at {rate:,.0f} tokens per"
        f" second and worker",
        *language_lines(ready.corpus.ledger),
        *ready.notes,
    ]  # fmt: skip
    return "\n".join(lines)
