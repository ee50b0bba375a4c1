"""Optimizers on problems whose answer is known in closed form."""

import numpy as np
import problems
import pytest

from polylect.base import InputError
from polylect.search import (
    AspectsConfig,
    Cma,
    CmaConfig,
    Fitness,
    FitnessConfig,
    GaussianProcess,
    Nsga2,
    ParetoConfig,
    Surrogate,
    SurrogateConfig,
    WeightMap,
    aspects_of,
    best_entry,
    hypervolume,
    is_on_front,
    run_optimizer,
)

ASPECTS = AspectsConfig(lower=("loss",))


def started(path, objective):
    """An evaluator that knows the singles, and the macro-average."""
    evaluate = problems.evaluator(path, objective)
    return evaluate, problems.fitness_of_pool(evaluate, ASPECTS)


@pytest.mark.parametrize("name", ["softmax", "abs"])
def test_cma_finds_the_minimum_of_a_quadratic(tmp_path, name):
    evaluate, fitness = started(tmp_path, problems.one_target)
    run_optimizer(Cma(WeightMap(name, 4), fitness, CmaConfig(seed=3)), evaluate, "cma")
    best = best_entry(evaluate.archive.entries, fitness)
    assert best.vector == pytest.approx(problems.TARGETS["one"], abs=1e-4)


def test_two_quadratics_are_best_half_way_between_their_minima(tmp_path):
    evaluate, fitness = started(tmp_path, problems.two_targets)
    run_optimizer(Cma(WeightMap("softmax", 4), fitness, CmaConfig()), evaluate, "cma")
    middle = (problems.TARGETS["one"] + problems.TARGETS["two"]) / 2
    assert best_entry(evaluate.archive.entries, fitness).vector == pytest.approx(middle, abs=1e-4)


def test_the_constraint_holds_where_the_closed_form_says(tmp_path):
    # Maximize "one" with at most 0.05 from "two": on the line between them, at the sphere.
    evaluate, _ = started(tmp_path, problems.two_targets)
    config = FitnessConfig(kind="constrained", maximize="one", bounds={"two": 0.05})
    fitness = Fitness.of(ASPECTS, config, evaluate.archive.entries)
    run_optimizer(Cma(WeightMap("softmax", 4), fitness, CmaConfig()), evaluate, "cma")
    first, second = problems.TARGETS["one"], problems.TARGETS["two"]
    way = first - second
    expected = second + way * np.sqrt(0.05) / np.linalg.norm(way)
    best = best_entry(evaluate.archive.entries, fitness)
    assert best.vector == pytest.approx(expected, abs=5e-3)
    assert problems.distance(best.vector, "two") <= 0.05


@pytest.mark.parametrize(("name", "reached"), [("softmax", False), ("signed", True)])
def test_only_signed_weights_reach_a_minimum_outside_the_simplex(tmp_path, name, reached):
    target = np.array([0.9, 0.5, -0.3, -0.1])

    def objective(weights):
        return problems.table({"t": float(((np.array(weights) - target) ** 2).sum())})

    evaluate, fitness = started(tmp_path, objective)
    run_optimizer(Cma(WeightMap(name, 4), fitness, CmaConfig()), evaluate, "cma")
    best = best_entry(evaluate.archive.entries, fitness)
    assert (best.vector == pytest.approx(target, abs=1e-3)) == reached


def test_cma_neither_reads_nor_moves_numpys_global_generator(tmp_path):
    archives = []
    for number in range(2):
        evaluate, fitness = started(tmp_path / str(number), problems.one_target)
        np.random.seed(number)  # noqa: NPY002 - what another library may have done
        state = np.random.get_state()[1].copy()  # noqa: NPY002
        config = CmaConfig(num_evaluations=40, seed=5)
        run_optimizer(Cma(WeightMap("softmax", 4), fitness, config), evaluate, "cma")
        assert (np.random.get_state()[1] == state).all()  # noqa: NPY002
        archives.append(evaluate.archive.entries)
    assert archives[0] == archives[1]
    evaluate, fitness = started(tmp_path / "other", problems.one_target)
    config = CmaConfig(num_evaluations=40, seed=6)
    run_optimizer(Cma(WeightMap("softmax", 4), fitness, config), evaluate, "cma")
    assert evaluate.archive.entries[4:] != archives[0][4:]


def test_evaluations_are_rounded_up_to_whole_generations(tmp_path):
    evaluate, fitness = started(tmp_path, problems.one_target)
    config = CmaConfig(num_evaluations=20, population=8)
    entries = run_optimizer(Cma(WeightMap("softmax", 4), fitness, config), evaluate, "cma")
    assert len(entries) == 24
    assert [entry.round for entry in entries] == [0] * 8 + [1] * 8 + [2] * 8


def test_a_candidate_without_a_score_does_not_stop_the_search(tmp_path):
    def objective(weights):
        broken = weights[0] < 0.2
        return problems.table({"t": float("nan") if broken else problems.distance(weights, "one")})

    evaluate, fitness = started(tmp_path, objective)
    run_optimizer(Cma(WeightMap("softmax", 4), fitness, CmaConfig()), evaluate, "cma")
    assert any(entry.scores[0].value is None for entry in evaluate.archive.of("cma"))
    best = best_entry(evaluate.archive.entries, fitness)
    assert best.vector == pytest.approx(problems.TARGETS["one"], abs=1e-3)


@pytest.mark.parametrize("name", ["softmax", "abs", "signed"])
def test_nsga_finds_the_segment_between_two_minima(tmp_path, name):
    evaluate, _ = started(tmp_path, problems.two_targets)
    config = ParetoConfig(num_evaluations=800, population=40, seed=1)
    start = evaluate.archive.entries[:]
    run_optimizer(Nsga2(WeightMap(name, 4), ASPECTS, config, start), evaluate, "nsga2")
    entries = evaluate.archive.entries
    values = np.array([[*aspects_of(entry.scores, ASPECTS).values()] for entry in entries])
    front = [entry for entry, on in zip(entries, is_on_front(values), strict=True) if on]
    first, second = problems.TARGETS["one"], problems.TARGETS["two"]
    way = second - first
    off = []
    for entry in front:
        place = np.clip((np.array(entry.vector) - first) @ way / (way @ way), 0, 1)
        off.append(np.linalg.norm(np.array(entry.vector) - first - place * way))
    assert len(front) >= 20
    assert np.median(off) < 0.04
    # The true front: squared distances (t s)^2 and ((1 - t) s)^2 along the segment.
    steps = np.linspace(0, 1, 2001)[:, None]
    size = np.linalg.norm(way)
    truth = -np.concatenate([(steps * size) ** 2, ((1 - steps) * size) ** 2], axis=1)
    reference = [-0.4, -0.4]
    assert hypervolume(values, reference) > 0.97 * hypervolume(truth, reference)
    assert hypervolume(values, reference) <= hypervolume(truth, reference)


def test_nsga_asks_first_for_the_known_candidates_exactly(tmp_path):
    evaluate, _ = started(tmp_path, problems.two_targets)
    config = ParetoConfig(num_evaluations=8, population=8)
    start = evaluate.archive.entries[:]
    first = Nsga2(WeightMap("softmax", 4), ASPECTS, config, start).ask()
    assert {entry.vector for entry in start} <= set(first)
    assert len(first) == 8


def test_leave_one_out_predictions_are_those_of_a_fit_without_the_point():
    random = np.random.default_rng(0)
    points = random.dirichlet(np.ones(3), 12)
    values = np.sin(3 * points[:, 0]) + points[:, 1] ** 2
    fitted = GaussianProcess.fit(points, values)
    for out in range(12):
        left = np.delete(np.arange(12), out)
        kernel = np.exp(-((points[:, None] - points[None]) ** 2).sum(2) / (2 * fitted.length**2))
        noisy = kernel + fitted.noise * np.eye(12)
        mean = values.mean()  # the mean is of all: it is not fitted again
        weights = np.linalg.solve(noisy[np.ix_(left, left)], values[left] - mean)
        assert fitted.loo[out] == pytest.approx(kernel[out, left] @ weights + mean, abs=1e-6)
    assert fitted(points) == pytest.approx(values, abs=1e-2)


def test_a_surrogate_finds_the_minimum_with_few_evaluations(tmp_path):
    evaluate, fitness = started(tmp_path, problems.two_targets)
    space = WeightMap("softmax", 4)
    run_optimizer(Cma(space, fitness, CmaConfig(num_evaluations=16)), evaluate, "cma")
    known = evaluate.archive.entries[:]
    fit = Surrogate(space, fitness, SurrogateConfig(num_rounds=3, batch=3), known)
    entries = run_optimizer(fit, evaluate, "surrogate")
    assert 3 <= len(entries) <= 9
    middle = (problems.TARGETS["one"] + problems.TARGETS["two"]) / 2
    best = best_entry(evaluate.archive.entries, fitness)
    assert best.stage == "surrogate"
    assert best.vector == pytest.approx(middle, abs=0.02)
    predicted, actual = zip(*fit.left_out(), strict=True)
    assert np.corrcoef(predicted, actual)[0, 1] > 0.95


def test_settings_and_starts_that_cannot_be_searched_are_refused(tmp_path):
    evaluate, fitness = started(tmp_path, problems.two_targets)
    space = WeightMap("softmax", 4)
    with pytest.raises(InputError, match="--population is 1"):
        CmaConfig(population=1)
    with pytest.raises(InputError, match="--num-evaluations is 0"):
        CmaConfig(num_evaluations=0)
    with pytest.raises(InputError, match="--population is 3"):
        ParetoConfig(population=3)
    with pytest.raises(InputError, match="evaluate the single checkpoints first"):
        Nsga2(space, ASPECTS, ParetoConfig(), [])
    with pytest.raises(InputError, match="needs four evaluated candidates"):
        Surrogate(space, fitness, SurrogateConfig(), evaluate.archive.entries[:3])
