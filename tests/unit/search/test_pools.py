"""The search on parts of the pool, where the best merge of every part is known."""

import problems
import pytest
from test_baselines import evaluator, of_all

from polylect.base import InputError
from polylect.search import PoolsConfig, draw_pools, search_pools

TARGET = (0.4, 0.3, 0.2, 0.1)


def near(weights):
    gap = sum((one - part) ** 2 for one, part in zip(weights, TARGET, strict=True))
    return problems.table({"t": -gap}, metric="acc")


def test_parts_are_nested_within_a_draw_and_never_the_whole():
    found = draw_pools(16, PoolsConfig(sizes=(8, 2, 4, 16, 1), num_draws=3, seed=5))
    assert [len(one) for one in found] == [2, 2, 2, 4, 4, 4, 8, 8, 8]
    assert all(list(one) == sorted(set(one)) and max(one) < 16 for one in found)
    for small, large in zip(found[:3], found[3:6], strict=True):
        assert set(small) < set(large)
    assert len(set(found)) == 9
    assert found == draw_pools(16, PoolsConfig(sizes=(2, 4, 8), num_draws=3, seed=5))
    assert found != draw_pools(16, PoolsConfig(sizes=(2, 4, 8), num_draws=3, seed=6))
    few = draw_pools(3, PoolsConfig(sizes=(2, 4, 8), num_draws=50))
    assert sorted(few) == [(0, 1), (0, 2), (1, 2)], "each once"


def test_the_best_merge_of_every_part(tmp_path):
    evaluate = evaluator(tmp_path, near)
    fitness = of_all(evaluate)
    config = PoolsConfig(sizes=(2, 3), num_draws=4, num_evaluations=120, seed=1)
    found = search_pools(evaluate, fitness, "abs", config)
    labels = evaluate.archive.labels
    for one in found:
        places = [labels.index(name) for name in one.members]
        # On the simplex of the members the nearest point to the target spreads what is missing.
        missing = (1 - sum(TARGET[n] for n in places)) / len(places)
        others = sum(TARGET[n] ** 2 for n in range(4) if n not in places)
        best = -(others + len(places) * missing**2)
        assert one.fitness == pytest.approx(best, abs=2e-3)
        assert one.single <= one.uniform <= one.fitness <= best + 1e-12
        assert all(one.best.weights[n] == 0 for n in range(4) if n not in places)
    assert {len(one.members) for one in found} == {2, 3}
    before = len(evaluate.archive)
    assert search_pools(evaluate, fitness, "abs", config) == found
    assert len(evaluate.archive) == before, "asked the same questions again"


def test_a_budget_of_nothing_is_refused():
    with pytest.raises(InputError, match="0 evaluations"):
        PoolsConfig(num_evaluations=0)
