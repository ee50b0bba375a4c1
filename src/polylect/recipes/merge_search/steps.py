"""Steps of the merge search: explore on one part of the data, score the finalists on another."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from polylect.base import Count, Finite, Threads, check_settings, plain, read_json, write_json
from polylect.comparison import Metrics
from polylect.evals import EvalConfig
from polylect.merging import MergeConfig
from polylect.recipes.merge_search.ablations import leave_one_out, prune
from polylect.recipes.merge_search.baselines import SINGLE, baselines, singles
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
from polylect.runs import VOLATILE, Fanout, Processes, StepContext, StepInputs, step
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
"""Prefix of the inputs that are checkpoints."""

_MOST_ASPECTS = 6  # the cost of a hypervolume grows exponentially with them
_NO_POOLS = PoolsConfig(sizes=())
_OPTIMIZERS = ("cma", "nsga2", "surrogate")


@dataclass(frozen=True, kw_only=True)
class Items:
    """What candidates are scored on.

    Attributes:
        languages: tags; empty for all.
        bytes_per_language: held-out text per language, where no tasks are named.
        tasks: how tasks are run; None for text.
        threads: of merging and torch.
        written: see ``Pool``.
    """

    languages: tuple[str, ...]
    bytes_per_language: Count
    tasks: EvalConfig | None = None
    threads: Threads = 1
    written: bool = False

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class ExploreConfig:
    """A search of merge weights.

    Attributes:
        merge: method and options, without weights.
        items: what candidates are scored on.
        by: see ``AspectsConfig``.
        groups: see ``AspectsConfig``.
        fitness: what is maximized.
        map: see ``WeightMap``.
        cma: budget of CMA-ES.
        pareto: budget of NSGA-II; with 0 evaluations it is not run.
        surrogate: rounds of the surrogate; with 0 it is not run.
        top: Ks of the top-K baselines.
        pools: repeats of the search on parts of the pool; without sizes there are none.
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
    top: tuple[Count, ...] = (2, 4, 8)
    pools: PoolsConfig = _NO_POOLS

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class FinalsConfig:
    """Merges to score on data that the search did not see.

    Attributes:
        merge: method and options, without weights.
        items: what they are scored on, held-out languages included.
        weights: by name.
    """

    merge: MergeConfig
    items: Items
    weights: dict[str, tuple[Finite, ...]]

    def __post_init__(self) -> None:
        check_settings(self)


@step(version=4)
def explore(config: ExploreConfig, inputs: StepInputs, context: StepContext) -> None:
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
    # Copied at the end: the work folder is removed when the step is complete.
    (context.out / ARCHIVE).write_bytes(archive.path.read_bytes())


class _Timed:
    """A fan-out that counts the seconds of all attempts, in a file beside the archive."""

    def __init__(self, fanout: Fanout, path: Path, num_workers: int) -> None:
        self._fanout, self._path, self._num_workers = fanout, path, num_workers
        earlier = read_json(path) if path.is_file() else {}
        self._seconds = float(earlier.get("evaluation_seconds", 0.0))
        self._num = int(earlier.get("evaluations", 0))

    def __call__(self, function: Any, items: Any, *, display: Any = None) -> list[Any]:
        started = time.monotonic()
        results = self._fanout(function, items, display=display)
        self._seconds += time.monotonic() - started
        self._num += len(items)
        spent = {
            "evaluations": self._num,
            "evaluation_seconds": round(self._seconds, 3),
            "seconds_per_merge": round(self._seconds / max(1, self._num), 4),
            "workers": self._num_workers,
        }
        write_json(self._path, spent)
        return results


def aspects_config(config: ExploreConfig, first: Entry) -> AspectsConfig:
    """The aspects, with the first known metric of each task and its direction."""
    by_task: dict[str, list[str]] = {}
    for score in first.scores:
        by_task.setdefault(score.task, []).append(score.metric)
    metrics = Metrics()
    chosen = {task: metrics.select(task, sorted(set(names)))[0]
              for task, names in by_task.items()}  # fmt: skip
    lower = tuple(sorted({metric for metric in chosen.values() if metrics.sign(metric) < 0}))
    return AspectsConfig(by=config.by, groups=config.groups, metrics=chosen, lower=lower)


def _explore(config: ExploreConfig, evaluate: Evaluator) -> dict[str, Any]:
    """Run baselines, optimizers and analyses; the content of ``search.json``."""
    archive = evaluate.archive
    single_entries = list(singles(evaluate).values())
    aspects = aspects_config(config, single_entries[0])
    fitness = Fitness.of(aspects, config.fitness, single_entries)
    named = baselines(evaluate, fitness, config.top)
    space = WeightMap(config.map, len(archive.labels))
    run_optimizer(Cma(space, fitness, config.cma), evaluate, "cma")
    num_aspects = len(aspects_of(single_entries[0].scores, aspects))
    if config.pareto.num_evaluations and num_aspects > 1:
        evaluated = archive.of("baselines", "cma")
        run_optimizer(Nsga2(space, aspects, config.pareto, evaluated), evaluate, "nsga2")
    left_out = None
    if config.surrogate.num_rounds:
        evaluated = archive.of("baselines", "cma", "nsga2")
        surrogate = Surrogate(space, fitness, config.surrogate, evaluated)
        run_optimizer(surrogate, evaluate, "surrogate")
        left_out = rank_correlation(*zip(*surrogate.left_out(), strict=True))
    considered = archive.of("baselines", *_OPTIMIZERS)
    # Of equals the first in the archive: a merge that only ties with a baseline is the baseline.
    named[SEARCHED] = best_entry(considered, fitness)
    front, volume = _front(considered, named, aspects)
    if front:
        named[KNEE] = front[knee(_values(front, aspects))]
    best = named[SEARCHED]
    alone = [fitness(entry.scores) for entry in single_entries]
    without, pruned = leave_one_out(evaluate, fitness, best), prune(evaluate, fitness, best)
    pools = search_pools(evaluate, fitness, config.map, config.pools)
    # The whole pool, after as many evaluations as a part was given.
    whole = [*archive.of("baselines"), *archive.of("cma")[: config.pools.num_evaluations]]
    # From here on nothing is evaluated, so a run killed late has the same archive.
    return {
        "labels": list(archive.labels),
        "aspects": plain(aspects),
        "fitness": plain(fitness.config),
        "named": {name: entry.number for name, entry in named.items()},
        "values": {name: fitness(entry.scores) for name, entry in named.items()},
        "stages": {stage: len(archive.of(stage)) for stage in
                   dict.fromkeys(entry.stage for entry in archive.entries)},
        "front": [entry.number for entry in front],
        "volume": volume,
        "curve": best_so_far(considered, fitness),
        "left_out": [
            {"label": left.label, "weight": left.weight, "change": left.change,
             "aspects": left.aspects}
            for left in without
        ],
        "pruned": [
            {"threshold": kept.threshold, "num_left": kept.num_left, "fitness": kept.fitness}
            for kept in pruned
        ],
        "pools": [
            {"members": pool.members, "single": pool.single, "uniform": pool.uniform,
             "fitness": pool.fitness}
            for pool in pools
        ],
        "whole_pool": fitness(best_entry(whole, fitness).scores),
        "weights_and_singles": plain(rank_correlation(best.vector, alone)),
        "surrogate": plain(left_out),
    }  # fmt: skip


def _front(
    entries: Sequence[Entry], named: Mapping[str, Entry], aspects: AspectsConfig
) -> tuple[list[Entry], dict[str, Any] | None]:
    """The Pareto front, and the hypervolumes of it, of the baselines and of the singles.

    The reference point is the worst single checkpoint in each aspect.
    """
    values = _values(entries, aspects)
    front = [entry for entry, on in zip(entries, is_on_front(values), strict=True) if on]
    alone = _values([entry for name, entry in named.items() if name.startswith(SINGLE)], aspects)
    reference = np.nanmin(alone, axis=0)
    if not 2 <= alone.shape[1] <= _MOST_ASPECTS or not np.isfinite(reference).all():
        return front, None
    before = _values([entry for name, entry in named.items() if name != SEARCHED], aspects)
    return front, {
        "reference": reference.tolist(),
        "singles": hypervolume(alone, reference),
        "baselines": hypervolume(before, reference),
        "all": hypervolume(values, reference),
    }


def _values(entries: Sequence[Entry], aspects: AspectsConfig) -> np.ndarray:
    """A row per entry, a column per aspect."""
    return np.array([[*aspects_of(entry.scores, aspects).values()] for entry in entries])


@step(version=3)
def score_finals(config: FinalsConfig, inputs: StepInputs, context: StepContext) -> None:
    """Writes ``scores.parquet``: every finalist by its name, on data that the search did not see.

    Inputs: as for ``explore``.
    """
    objective = objective_of(config.merge, config.items, inputs, test=True)
    objective.count(context.ledger)
    weights = list(dict.fromkeys(config.weights.values()))
    with Processes(context.num_workers) as fanout:
        for start in range(0, len(weights), context.num_workers):
            part = range(start, min(start + context.num_workers, len(weights)))
            missing = [number for number in part if not _kept(context, number).is_file()]
            scored = fanout(objective, [weights[number] for number in missing])
            for number, table in zip(missing, scored, strict=True):
                table.write(_kept(context, number))
            context.report.update(part.stop, len(weights), "merges")
    tables = [ScoreTable.read(_kept(context, number)) for number in range(len(weights))]
    rows = [
        tables[weights.index(vector)].frame.with_columns(checkpoint=pl.lit(name))
        for name, vector in config.weights.items()
    ]
    ScoreTable(pl.concat(rows)).write(context.out / "scores.parquet")


def _kept(context: StepContext, number: int) -> Path:
    return context.work / f"{number}.parquet"


def objective_of(merge: MergeConfig, items: Items, inputs: StepInputs, *, test: bool) -> Objective:
    """The objective on the search's part, or on the test part.

    Raises:
        InputError: a model cannot be opened.
    """
    models = tuple(
        (name.removeprefix(MODEL), model.path)
        for name, model in inputs.items()
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
