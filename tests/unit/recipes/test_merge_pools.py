"""The search on parts of the pool, where the best merge of every part is known."""

import problems
import pytest

from polylect.base import InputError
from polylect.recipes.merge_search.pools import PoolsConfig, draw_pools, search_pools

TARGET = (0.4, 0.3, 0.2, 0.1)


def near(weights):
    gap = sum((weight - target) ** 2 for weight, target in zip(weights, TARGET, strict=True))
    return problems.table({"t": -gap}, metric="acc")


def test_subsets_are_nested_within_a_draw_and_never_the_whole_pool():
    subsets = draw_pools(16, PoolsConfig(sizes=(8, 2, 4, 16, 1), num_draws=3, seed=5))
    assert [len(members) for members in subsets] == [2, 2, 2, 4, 4, 4, 8, 8, 8]
    assert all(list(members) == sorted(set(members)) and max(members) < 16 for members in subsets)
    for small, large in zip(subsets[:3], subsets[3:6], strict=True):
        assert set(small) < set(large)
    assert len(set(subsets)) == 9
    assert subsets == draw_pools(16, PoolsConfig(sizes=(2, 4, 8), num_draws=3, seed=5))
    assert subsets != draw_pools(16, PoolsConfig(sizes=(2, 4, 8), num_draws=3, seed=6))
    few = draw_pools(3, PoolsConfig(sizes=(2, 4, 8), num_draws=50))
    assert sorted(few) == [(0, 1), (0, 2), (1, 2)], "each once"


def test_every_subset_gets_its_best_merge(tmp_path):
    evaluate = problems.evaluator(tmp_path, near)
    fitness = problems.fitness_of_pool(evaluate)
    config = PoolsConfig(sizes=(2, 3), num_draws=4, num_evaluations=120, seed=1)
    parts = search_pools(evaluate, fitness, "abs", config)
    labels = evaluate.archive.labels
    for part in parts:
        places = [labels.index(name) for name in part.members]
        # On the simplex of the members the nearest point to the target spreads what is missing.
        missing = (1 - sum(TARGET[n] for n in places)) / len(places)
        others = sum(TARGET[n] ** 2 for n in range(4) if n not in places)
        best = -(others + len(places) * missing**2)
        assert part.fitness == pytest.approx(best, abs=2e-3)
        assert part.single <= part.uniform <= part.fitness <= best + 1e-12
        assert all(part.best.vector[n] == 0 for n in range(4) if n not in places)
    assert {len(part.members) for part in parts} == {2, 3}
    before = len(evaluate.archive)
    assert search_pools(evaluate, fitness, "abs", config) == parts
    assert len(evaluate.archive) == before, "asked the same questions again"


def test_zero_evaluations_are_refused():
    with pytest.raises(InputError, match="--num-evaluations is 0"):
        PoolsConfig(num_evaluations=0)
