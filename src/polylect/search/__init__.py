"""Black-box search over weights: optimizers that ask and are told, an archive, a Pareto front."""

from typing import TYPE_CHECKING

from polylect.base import face

if TYPE_CHECKING:
    from polylect.search._extra import check_packages
    from polylect.search.archive import Archive, Entry, summarize
    from polylect.search.cma_es import Cma
    from polylect.search.config import (
        AspectsConfig,
        CmaConfig,
        FitnessConfig,
        ParetoConfig,
        SurrogateConfig,
    )
    from polylect.search.evaluator import Evaluator, run_optimizer
    from polylect.search.fitness import Fitness, aspects_of, best_entry, best_so_far
    from polylect.search.front import hypervolume, is_on_front, knee
    from polylect.search.nsga import Nsga2
    from polylect.search.surrogate import GaussianProcess, Surrogate
    from polylect.search.weight_map import MAPS, WeightMap, Weights, equal_weights
else:
    __all__, __getattr__, __dir__ = face(__name__, __file__)
