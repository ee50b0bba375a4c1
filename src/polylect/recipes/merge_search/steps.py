"""The steps of a search of merge weights: explored on one part, scored on another, compared."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from polylect.base import plain, read_json, write_json
from polylect.comparison import Metrics
from polylect.evals import EvalConfig
from polylect.merging import MergeConfig
from polylect.recipes.merge_search.ablations import leave_one_out, prune
from polylect.recipes.merge_search.baselines import baselines, singles
from polylect.recipes.merge_search.objectives import (
    SEARCH,
    TEST,
    BitsObjective,
    Objective,
    Pool,
    TasksObjective,
)
from polylect.recipes.merge_search.pools import PoolsConfig, draw_pools, search_pools
from polylect.rows import ScoreTable, Split
from polylect.runs import VOLATILE, Artifact, Fanout, Processes, StepContext, step
from polylect.search import (
    Archive,
    AspectsConfig,
    Cma,
    CmaConfig,
    Entry,
    Evaluator,
    Fitness,
    FitnessConfig,
    Nsga2,
    ParetoConfig,
    Surrogate,
    SurrogateConfig,
    WeightMap,
    aspects_of,
    best_entry,
    best_so_far,
    hypervolume,
    is_on_front,
    knee,
    run_optimizer,
)
from polylect.stats import rank_correlation

ARCHIVE = "archive.parquet"
SEARCHED, KNEE = "searched", "knee"
MODEL = "model:"
"""What the name of an input that is a checkpoint begins with."""

_MOST_ASPECTS = 6  # of a hypervolume: its cost grows exponentially with them
_NO_POOLS = PoolsConfig(sizes=())
_OPTIMIZERS = ("cma", "nsga2", "surrogate")


@dataclass(frozen=True, kw_only=True)
class Items:
    """What candidates are scored on.

    Attributes:
        languages: tags; empty is all that there are.
        bytes_per_language: of held-out text, where no tasks are named.
        tasks: how tasks are run; None for text.
        threads: for merging and torch.
        written: see ``Pool``.
    """

    languages: tuple[str, ...]
    bytes_per_language: int
    tasks: EvalConfig | None = None
    threads: int = 1
    written: bool = False


@dataclass(frozen=True, kw_only=True)
class ExploreConfig:
    """A search.

    Attributes:
        merge: method and options, without weights.
        items: what candidates are scored on.
        by: see ``AspectsConfig``.
        groups: likewise.
        fitness: what is searched for.
        map: see ``WeightMap``.
        cma: budget of CMA-ES.
        pareto: budget of NSGA-II; 0 evaluations leave it out.
        surrogate: rounds of the surrogate; 0 leave it out.
        top: Ks of the top-K baselines.
        pools: the search again on parts of the pool; no sizes leave it out.
    """

    merge: MergeConfig
    items: Items
    by: str
    groups: dict[str, tuple[str, ...]]
    fitness: FitnessConfig
    map: str
    cma: CmaConfig
    pareto: ParetoConfig
    surrogate: SurrogateConfig
    top: tuple[int, ...] = (2, 4, 8)
    pools: PoolsConfig = _NO_POOLS


@dataclass(frozen=True, kw_only=True)
class FinalsConfig:
    """Merges to be scored on what the search did not see.

    Attributes:
        merge: method and options, without weights.
        items: what they are scored on; held-out languages among them.
        weights: by name.
    """

    merge: MergeConfig
    items: Items
    weights: dict[str, tuple[float, ...]]


@step(version=2)
def explore(config: ExploreConfig, inputs: Mapping[str, Artifact], context: StepContext) -> None:
    """Writes ``archive.parquet`` and ``search.json``.

    Inputs: every checkpoint as ``model:LABEL``, and ``tokens`` where there are no tasks.
    """
    objective = objective_of(config.merge, config.items, inputs, test=False)
    objective.count(context.ledger)
    candidates = objective.pool.candidates()
    num = len(candidates.labels)
    archive = Archive(
        context.work / ARCHIVE, candidates.labels, candidates.identity() | objective.identity()
    )
    total = 2 * num + config.cma.num_evaluations + config.pareto.num_evaluations
    total += config.surrogate.num_rounds * config.surrogate.batch
    total += len(draw_pools(num, config.pools)) * (1 + config.pools.num_evaluations)
    with Processes(context.num_workers) as fanout:
        timed = _Timed(fanout, context.work / VOLATILE, context.num_workers)
        evaluate = Evaluator(archive, objective, timed, context.num_workers, context.report, total)
        write_json(context.out / "search.json", _explore(config, evaluate))
    # Copied at the end: what is in the work folder goes when the step is complete.
    (context.out / ARCHIVE).write_bytes(archive.path.read_bytes())


class _Timed:
    """A fan-out that keeps the seconds of all tries, beside the archive and not in it."""

    def __init__(self, fanout: Fanout, path: Path, num_workers: int) -> None:
        self._fanout, self._path, self._num_workers = fanout, path, num_workers
        known = read_json(path) if path.is_file() else {}
        self._seconds = float(known.get("evaluation_seconds", 0.0))
        self._num = int(known.get("evaluations", 0))

    def __call__(self, function: Any, items: Any, *, display: Any = None) -> list[Any]:
        started = time.monotonic()
        found = self._fanout(function, items, display=display)
        self._seconds += time.monotonic() - started
        self._num += len(items)
        told = {
            "evaluations": self._num,
            "evaluation_seconds": round(self._seconds, 3),
            "seconds_per_merge": round(self._seconds / max(1, self._num), 4),
            "workers": self._num_workers,
        }
        write_json(self._path, told)
        return found


def aspects_config(config: ExploreConfig, first: Entry) -> AspectsConfig:
    """The aspects, with each task's first known metric and its direction."""
    by_task: dict[str, list[str]] = {}
    for score in first.scores:
        by_task.setdefault(score.task, []).append(score.metric)
    metrics = Metrics()
    chosen = {task: metrics.select(task, sorted(set(own)))[0] for task, own in by_task.items()}
    lower = tuple(sorted({one for one in chosen.values() if metrics.sign(one) < 0}))
    return AspectsConfig(by=config.by, groups=config.groups, metrics=chosen, lower=lower)


def _explore(config: ExploreConfig, evaluate: Evaluator) -> dict[str, Any]:
    """Baselines, optimizers and analyses; what ``search.json`` holds."""
    archive = evaluate.archive
    alone = list(singles(evaluate).values())
    aspects = aspects_config(config, alone[0])
    fitness = Fitness.of(aspects, config.fitness, alone)
    named = baselines(evaluate, fitness, config.top)
    space = WeightMap(config.map, len(archive.labels))
    run_optimizer(Cma(space, fitness, config.cma), evaluate, "cma")
    num_aspects = len(aspects_of(alone[0].scores, aspects))
    if config.pareto.num_evaluations and num_aspects > 1:
        known = archive.of("baselines", "cma")
        run_optimizer(Nsga2(space, aspects, config.pareto, known), evaluate, "nsga2")
    left_out = None
    if config.surrogate.num_rounds:
        known = archive.of("baselines", "cma", "nsga2")
        fit = Surrogate(space, fitness, config.surrogate, known)
        run_optimizer(fit, evaluate, "surrogate")
        left_out = rank_correlation(*zip(*fit.left_out(), strict=True))
    considered = archive.of("baselines", *_OPTIMIZERS)
    # A tie with a baseline is no find, but the archive's first of equals is what it was.
    named[SEARCHED] = best_entry(considered, fitness)
    front, volume = _front(considered, named, aspects)
    if front:
        values = np.array([[*aspects_of(one.scores, aspects).values()] for one in front])
        named[KNEE] = front[knee(values)]
    best = named[SEARCHED]
    values = [fitness(one.scores) for one in alone]
    without, pruned = leave_one_out(evaluate, fitness, best), prune(evaluate, fitness, best)
    parts = search_pools(evaluate, fitness, config.map, config.pools)
    # The whole pool after as many questions as a part was given.
    whole = [*archive.of("baselines"), *archive.of("cma")[: config.pools.num_evaluations]]
    # From here on nothing is evaluated: the archive is what it is in a run that was killed late.
    return {
        "labels": list(archive.labels),
        "aspects": plain(aspects),
        "fitness": plain(fitness.config),
        "named": {name: one.number for name, one in named.items()},
        "values": {name: fitness(one.scores) for name, one in named.items()},
        "stages": {stage: len(archive.of(stage)) for stage in
                   dict.fromkeys(one.stage for one in archive.entries)},
        "front": [one.number for one in front],
        "volume": volume,
        "curve": best_so_far(considered, fitness),
        "left_out": [
            {"label": one.label, "weight": one.weight, "change": one.change, "aspects": one.aspects}
            for one in without
        ],
        "pruned": [
            {"threshold": one.threshold, "num_left": one.num_left, "fitness": one.fitness}
            for one in pruned
        ],
        "pools": [
            {"members": one.members, "single": one.single, "uniform": one.uniform,
             "fitness": one.fitness}
            for one in parts
        ],
        "whole_pool": fitness(best_entry(whole, fitness).scores),
        "weights_and_singles": plain(rank_correlation(best.vector, values)),
        "surrogate": plain(left_out),
    }  # fmt: skip


def _front(
    entries: Sequence[Entry], named: Mapping[str, Entry], aspects: AspectsConfig
) -> tuple[list[Entry], dict[str, Any] | None]:
    """The Pareto front, and the volumes below it and below the baselines' alone.

    The reference point is the worst single checkpoint in each aspect.
    """

    def table(part: Sequence[Entry]) -> np.ndarray:
        return np.array([[*aspects_of(one.scores, aspects).values()] for one in part])

    front = [one for one, on in zip(entries, is_on_front(table(entries)), strict=True) if on]
    alone = table([one for name, one in named.items() if name.startswith("single:")])
    reference = np.nanmin(alone, axis=0)
    if alone.shape[1] > _MOST_ASPECTS or alone.shape[1] < 2 or not np.isfinite(reference).all():
        return front, None
    before = table([one for name, one in named.items() if name != SEARCHED])
    return front, {
        "reference": reference.tolist(),
        "singles": hypervolume(alone, reference),
        "baselines": hypervolume(before, reference),
        "all": hypervolume(table(entries), reference),
    }


@step(version=1)
def score_finals(
    config: FinalsConfig, inputs: Mapping[str, Artifact], context: StepContext
) -> None:
    """Writes ``scores.parquet``: every finalist by its name, on what the search did not see.

    Inputs: as for ``explore``.
    """
    objective = objective_of(config.merge, config.items, inputs, test=True)
    objective.count(context.ledger)
    weights = list(dict.fromkeys(config.weights.values()))
    with Processes(context.num_workers) as fanout:
        for start in range(0, len(weights), context.num_workers):
            part = range(start, min(start + context.num_workers, len(weights)))
            missing = [one for one in part if not _kept(context, one).is_file()]
            found = fanout(objective, [weights[one] for one in missing])
            for one, table in zip(missing, found, strict=True):
                table.write(_kept(context, one))
            context.report.update(part.stop, len(weights), "merges")
    tables = [ScoreTable.read(_kept(context, one)) for one in range(len(weights))]
    rows = [
        tables[weights.index(own)].frame.with_columns(checkpoint=pl.lit(name))
        for name, own in config.weights.items()
    ]
    ScoreTable(pl.concat(rows)).write(context.out / "scores.parquet")


def _kept(context: StepContext, number: int) -> Path:
    return context.work / f"{number}.parquet"


def objective_of(
    merge: MergeConfig, items: Items, inputs: Mapping[str, Artifact], *, test: bool
) -> Objective:
    """The objective on the search's part, or on the test part.

    Raises:
        InputError: a model cannot be opened.
    """
    models = tuple(
        (name.removeprefix(MODEL), one.path)
        for name, one in inputs.items()
        if name.startswith(MODEL)
    )
    pool = Pool(config=merge, models=models, threads=items.threads, written=items.written)
    if items.tasks is not None:
        return TasksObjective(pool=pool, config=items.tasks, half=TEST if test else SEARCH)
    return BitsObjective(
        pool=pool,
        tokens=inputs["tokens"].path,
        digest=inputs["tokens"].digest,
        split=Split.TEST if test else Split.VALIDATION,
        languages=items.languages,
        bytes_per_language=items.bytes_per_language,
    )
