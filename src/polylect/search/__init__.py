"""Searching merge weights: optimizers ask, an archive remembers, baselines have to be beaten."""

from typing import TYPE_CHECKING

from polylect.base.faces import face

if TYPE_CHECKING:
    from polylect.search.analyses import (
        Correlation,
        LeftOut,
        Pruned,
        best_entry,
        best_so_far,
        leave_one_out,
        prune,
        rank_correlation,
    )
    from polylect.search.archive import Archive, Entry, Score, summarize
    from polylect.search.baseline_weights import BASELINES, SINGLE, baselines, singles
    from polylect.search.cma_es import Cma
    from polylect.search.config import (
        AspectsConfig,
        CmaConfig,
        FitnessConfig,
        ParetoConfig,
        PoolsConfig,
        SurrogateConfig,
    )
    from polylect.search.evaluator import Evaluator, Objective, Optimizer, run_optimizer
    from polylect.search.fitness import WORST, Fitness, aspects_of, signs_of
    from polylect.search.front import hypervolume, is_on_front, knee
    from polylect.search.nsga import Nsga2
    from polylect.search.pools import PartOfPool, draw_pools, search_pools
    from polylect.search.surrogate import Process, Surrogate
    from polylect.search.weight_map import MAPS, WeightMap, Weights, equal_weights
else:
    __all__, __getattr__, __dir__ = face(__name__, __file__)
