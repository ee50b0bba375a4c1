"""Every method recovers what is drawn from its own model; what, is drawn by fixed seeds.

The bounds are those that five seeds keep (``python benchmarks/people_oracles.py``), which also
gives what the data allow.
"""

import pytest
from people_worlds import ceiling, draw_world, held_out, ranking

from polylect.people import METHODS, find_method

LEAST = {"kernel": 0.87, "conditional": 0.87, "pal": 0.85}
"""Kendall's tau with the truth, where a seed is under 0.9."""
SLOW = {"vpl", "gpo"}  # test_methods_networks.py has them, on two kinds of users


@pytest.mark.parametrize("name", sorted(METHODS.keys() - SLOW))
@pytest.mark.parametrize("seed", range(2))
def test_a_method_recovers_its_own_model(name, seed):
    world = draw_world(name, seed, num_users=10 if name == "pooled" else 40)
    model = find_method(name, **world.settings).fit(world.known.crowd, world.known.seen, seed)
    taus = ranking(world.known.truth, held_out(model, world))
    assert taus.mean() >= LEAST.get(name, 0.9)


def test_the_ceiling_is_the_truth_without_noise_and_above_a_fit_with_it():
    world = draw_world("individual", 0)
    best, users = ceiling(world, num_steps=150, burn_in=20)
    truth = world.known.truth[:, users]
    model = find_method("individual").fit(world.known.crowd, world.known.seen)
    fitted = ranking(truth, held_out(model, world)[:, users])
    assert fitted.mean() < ranking(truth, best).mean() < 1
    plenty = draw_world("individual", 0, num_pairs=500, flipped=0.0, num_users=2)
    best, _ = ceiling(plenty, num_steps=60, burn_in=0, flipped=1e-9)
    assert ranking(plenty.known.truth, best).mean() > 0.97
