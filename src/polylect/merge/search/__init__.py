"""Searching merge weights: optimisers ask, an archive remembers, baselines have to be beaten."""

from polylect.merge.search.analyses import (
    Correlation,
    LeftOut,
    Pruned,
    best_entry,
    best_so_far,
    leave_one_out,
    prune,
    rank_correlation,
)
from polylect.merge.search.archive import Archive, Entry, Score, summarise
from polylect.merge.search.baselines import BASELINES, SINGLE, baselines, singles
from polylect.merge.search.candidates import Candidates
from polylect.merge.search.cma_es import Cma
from polylect.merge.search.config import (
    AspectsConfig,
    CmaConfig,
    FitnessConfig,
    ParetoConfig,
    PoolsConfig,
    SurrogateConfig,
)
from polylect.merge.search.evaluator import Evaluator, Objective, Optimiser, run_optimiser
from polylect.merge.search.fitness import WORST, Fitness, aspects_of, signs_of
from polylect.merge.search.front import hypervolume, is_on_front, knee
from polylect.merge.search.nsga import Nsga2
from polylect.merge.search.pools import PartOfPool, draw_pools, search_pools
from polylect.merge.search.surrogate import Process, Surrogate
from polylect.merge.search.weight_map import MAPS, WeightMap, Weights, equal_weights

__all__ = [
    "BASELINES",
    "MAPS",
    "SINGLE",
    "WORST",
    "Archive",
    "AspectsConfig",
    "Candidates",
    "Cma",
    "CmaConfig",
    "Correlation",
    "Entry",
    "Evaluator",
    "Fitness",
    "FitnessConfig",
    "LeftOut",
    "Nsga2",
    "Objective",
    "Optimiser",
    "ParetoConfig",
    "PartOfPool",
    "PoolsConfig",
    "Process",
    "Pruned",
    "Score",
    "Surrogate",
    "SurrogateConfig",
    "WeightMap",
    "Weights",
    "aspects_of",
    "baselines",
    "best_entry",
    "best_so_far",
    "draw_pools",
    "equal_weights",
    "hypervolume",
    "is_on_front",
    "knee",
    "leave_one_out",
    "prune",
    "rank_correlation",
    "run_optimiser",
    "search_pools",
    "signs_of",
    "singles",
    "summarise",
]
