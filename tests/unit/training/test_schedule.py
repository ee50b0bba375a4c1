import math

import pytest

from polylect.training import OptimConfig, learning_rate


def rates(num_steps, **config):
    optim = OptimConfig(learning_rate=2.0, **config)
    return [learning_rate(optim, step, num_steps) for step in range(num_steps)]


def test_warm_up_is_a_line_that_ends_at_the_peak():
    by_step = rates(100, warmup=0.1, schedule="constant")
    assert by_step[:10] == pytest.approx([0.2 * (i + 1) for i in range(10)])
    assert by_step[10:] == [2.0] * 90
    assert rates(5, warmup=0.0, schedule="constant") == [2.0] * 5


@pytest.mark.parametrize("min_lr_ratio", [0.0, 0.1])
def test_cosine_falls_from_the_peak_to_the_floor(min_lr_ratio):
    by_step = rates(101, warmup=0.0, schedule="cosine", min_lr_ratio=min_lr_ratio)
    expected = [
        2.0 * (min_lr_ratio + (1 - min_lr_ratio) * (1 + math.cos(math.pi * i / 100)) / 2)
        for i in range(101)
    ]
    assert by_step == pytest.approx(expected, rel=1e-12, abs=1e-15)
    warm = rates(111, warmup=0.085, schedule="cosine", min_lr_ratio=min_lr_ratio)
    assert warm[9] == 2.0  # ceil(9.4) updates of warm-up
    assert warm[10:] == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_cooldown_stays_then_falls_in_a_line():
    by_step = rates(100, warmup=0.05, schedule="cooldown", cooldown=0.2, min_lr_ratio=0.1)
    assert by_step[4:80] == [2.0] * 76
    assert by_step[79:] == pytest.approx([2.0 * (0.1 + 0.9 * (20 - i) / 20) for i in range(21)])
    assert by_step[-1] == pytest.approx(0.2)


@pytest.mark.parametrize("schedule", ["cosine", "cooldown", "constant"])
@pytest.mark.parametrize("num_steps", [1, 2, 3, 17])
def test_a_rate_is_never_zero_nor_above_the_peak(schedule, num_steps):
    assert all(0 < rate <= 2.0 for rate in rates(num_steps, schedule=schedule))
    assert all(0 < rate <= 2.0 for rate in rates(num_steps, schedule=schedule, warmup=1.0))
