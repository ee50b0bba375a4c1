"""Baselines, CMA-ES, NSGA-II and a surrogate on one archive, killed after some evaluations."""

import os
import signal
import time
from pathlib import Path

import problems

from polylect.recipes.merge_search.ablations import leave_one_out, prune
from polylect.recipes.merge_search.baselines import baselines
from polylect.runs import Processes
from polylect.search import (
    Archive,
    AspectsConfig,
    Cma,
    CmaConfig,
    Evaluator,
    Nsga2,
    ParetoConfig,
    Surrogate,
    SurrogateConfig,
    WeightMap,
    best_entry,
    run_optimizer,
)

ASPECTS = AspectsConfig(lower=("loss",))


def run(path, num_workers=1, objective=problems.two_targets, map_="softmax"):
    """Everything, in order; the archive."""
    archive = Archive(path, problems.LABELS, {"problem": "two targets"})
    with Processes(num_workers) as fanout:
        evaluate = Evaluator(archive, objective, fanout, batch_size=num_workers)
        fitness = problems.fitness_of_pool(evaluate, ASPECTS)
        baselines(evaluate, fitness)
        space = WeightMap(map_, 4)
        run_optimizer(Cma(space, fitness, CmaConfig(num_evaluations=24)), evaluate, "cma")
        known = archive.of("baselines", "cma")
        pareto = ParetoConfig(num_evaluations=24, population=8)
        run_optimizer(Nsga2(space, ASPECTS, pareto, known), evaluate, "nsga2")
        known = archive.of("baselines", "cma", "nsga2")
        fit = Surrogate(space, fitness, SurrogateConfig(num_rounds=2, batch=3), known)
        run_optimizer(fit, evaluate, "surrogate")
        best = best_entry(archive.of("baselines", "cma", "nsga2", "surrogate"), fitness)
        leave_one_out(evaluate, fitness, best)
        prune(evaluate, fitness, best, (0.5, 1.0))
    return archive


def killed_after(moment):
    """The objective that kills its process when asked once more."""
    num_asked = 0

    def objective(weights):
        nonlocal num_asked
        if num_asked == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        num_asked += 1
        return problems.two_targets(weights)

    return objective


def slow(weights):
    """An objective that leaves time to be killed."""
    time.sleep(0.02)
    return problems.two_targets(weights)


def main(where, what):
    """Run it in ``where``: slowly with two workers, or killed after a number of evaluations."""
    if what == "slow":
        run(Path(where), num_workers=2, objective=slow)
    else:
        run(Path(where), objective=killed_after(int(what)))
