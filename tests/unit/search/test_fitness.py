import math

import pytest

from polylect.base import InputError
from polylect.search import AspectsConfig, Entry, Fitness, FitnessConfig, aspects_of
from polylect.search.archive import Score
from polylect.search.fitness import WORST, signs_of


def scores(**values):
    """``code_en=0.5`` is accuracy of the task code in English; a trailing _bits changes metric."""
    parts = [(name.split("_"), value) for name, value in values.items()]
    return tuple(
        Score(task, language, metric[0] if metric else "acc", value, 10, 0)
        for (task, language, *metric), value in parts
    )


def entry(*, number=0, **values):
    return Entry(number, "s", 0, (1.0, 0.0), scores(**values))


POOL = [entry(code_en=0.2, chat_en=0.8), entry(code_en=0.6, chat_en=0.4)]
BY_TASK = AspectsConfig()


def test_an_aspect_is_a_tasks_mean_over_languages_or_a_languages_over_tasks():
    candidate = scores(code_en=0.5, code_de=0.1, chat_en=0.9)
    assert aspects_of(candidate, BY_TASK) == pytest.approx({"code": 0.3, "chat": 0.9})
    by_language = AspectsConfig(by="language")
    assert aspects_of(candidate, by_language) == pytest.approx({"en": 0.7, "de": 0.1})


def test_groups_are_means_of_their_members_and_ignore_the_others():
    candidate = scores(t_de=0.1, t_nl=0.3, t_ja=0.9, t_sw=0.0)
    config = AspectsConfig(by="language", groups={"germanic": ("de", "nl"), "east": ("ja",)})
    assert aspects_of(candidate, config) == pytest.approx({"germanic": 0.2, "east": 0.9})


def test_aspects_are_negated_where_lower_is_better():
    candidate = scores(t_de_bits=2.0, t_ja_bits=3.0, u_ja=0.5)
    config = AspectsConfig(by="language", lower=("bits",))
    assert aspects_of(candidate, config) == pytest.approx({"de": -2.0, "ja": -1.25})
    assert signs_of(candidate, config) == {"de": -1, "ja": 0}
    assert signs_of(candidate, AspectsConfig(lower=("bits",))) == {"t": -1, "u": 1}


def test_a_task_with_two_metrics_needs_a_choice():
    candidate = scores(t_de=0.5, t_de_bits=2.0)
    assert aspects_of(candidate, AspectsConfig(metrics={"t": "acc"})) == {"t": 0.5}
    with pytest.raises(InputError, match="'t' has the metrics acc, bits — choose one"):
        aspects_of(candidate, BY_TASK)
    with pytest.raises(InputError, match=r"'t' has no metric 'bit' — did you mean bits\?"):
        aspects_of(candidate, AspectsConfig(metrics={"t": "bit"}))


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (FitnessConfig(), 0.6),
        (FitnessConfig(kind="min"), 0.5),
        (FitnessConfig(kind="weighted", weights={"code": 3, "chat": 1}), 0.55),
        (FitnessConfig(kind="weighted", weights={"chat": 2}), 0.7),
        (FitnessConfig(kind="constrained", maximize="code", bounds={"chat": 0.7}), 0.5),
        (FitnessConfig(kind="constrained", bounds={"chat": 0.7}), 0.6),
        # On the pool's range code is (0.5 - 0.2) / 0.4, chat (0.7 - 0.4) / 0.4.
        (FitnessConfig(scale=True), 0.75),
        (
            FitnessConfig(kind="constrained", maximize="code", bounds={"chat": 0.7}, scale=True),
            0.75,
        ),
    ],
)
def test_every_kind_of_fitness_by_hand(config, expected):
    fitness = Fitness.of(BY_TASK, config, POOL)
    assert fitness(scores(code_en=0.5, chat_en=0.7)) == pytest.approx(expected)


def test_an_infeasible_candidate_loses_to_every_feasible_one_and_the_nearest_is_best():
    config = FitnessConfig(kind="constrained", maximize="code", bounds={"chat": 0.7})
    fitness = Fitness.of(BY_TASK, config, POOL)
    near, far = scores(code_en=0.9, chat_en=0.69), scores(code_en=0.9, chat_en=0.1)
    feasible = scores(code_en=-1e6, chat_en=0.7)
    broken = scores(code_en=0.9, chat_en=None)
    assert fitness(feasible) > fitness(near) > fitness(far) > fitness(broken) == WORST
    assert fitness(feasible) == -1e6
    assert fitness(near) < -1e9


def test_a_bound_is_an_upper_bound_where_lower_is_better():
    config = AspectsConfig(lower=("bits",))
    pool = [entry(a_de_bits=1.0, b_de=0.3), entry(a_de_bits=2.0, b_de=0.5)]
    kind = FitnessConfig(kind="constrained", maximize="b", bounds={"a": 1.5})
    fitness = Fitness.of(config, kind, pool)
    assert fitness(scores(a_de_bits=1.4, b_de=0.4)) == 0.4
    assert fitness(scores(a_de_bits=1.6, b_de=0.4)) < -1e6


def test_an_aspect_in_which_all_singles_are_equal_is_not_scaled():
    pool = [entry(a_en=0.5, b_en=0.0), entry(a_en=0.5, b_en=1.0)]
    fitness = Fitness.of(BY_TASK, FitnessConfig(scale=True), pool)
    assert fitness(scores(a_en=0.6, b_en=0.5)) == pytest.approx(0.55)


def test_a_missing_score_gives_the_worst_fitness():
    fitness = Fitness.of(BY_TASK, FitnessConfig(), POOL)
    assert fitness(scores(code_en=None, chat_en=0.9)) == WORST
    assert math.isnan(aspects_of(scores(code_en=None, chat_en=0.9), BY_TASK)["code"])


@pytest.mark.parametrize(
    ("aspects", "config", "words"),
    [
        (
            BY_TASK,
            FitnessConfig(kind="constrained", maximize="cod", bounds={"chat": 1}),
            r"no aspect 'cod' — did you mean code\?",
        ),
        (AspectsConfig(groups={"x": ("cod",)}), FitnessConfig(), r"x: no task 'cod'.*code\?"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(aspects, config, words):
    with pytest.raises(InputError, match=words):
        Fitness.of(aspects, config, POOL)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kind": "mode"}, "unknown fitness 'mode' — choose from mean, min"),
        ({"kind": "weighted"}, "no weights"),
        ({"kind": "constrained"}, "no bounds"),
        ({"kind": "min", "weights": {"a": 1.0}}, "min takes no weights"),
        ({"bounds": {"a": 1.0}}, "mean takes no bounds"),
        ({"maximize": "a"}, "mean maximizes no single aspect"),
    ],
)
def test_a_fitness_that_contradicts_itself_is_refused(options, words):
    with pytest.raises(InputError, match=words):
        FitnessConfig(**options)
    with pytest.raises(InputError, match="choose task or language"):
        AspectsConfig(by="metric")


def test_a_bound_on_an_aspect_of_mixed_directions_is_refused():
    pool = [entry(a_de_bits=1.0, b_de=0.3)]
    config = FitnessConfig(kind="constrained", bounds={"de": 1.0})
    with pytest.raises(InputError, match="'de' mixes metrics"):
        Fitness.of(AspectsConfig(by="language", lower=("bits",)), config, pool)
