"""The test that shares matter at all: its rate under the null, over a matrix of designs."""

import itertools

import numpy as np
import pytest

from polylect.mixtures import shares_matter


def design(random, mixtures, seeds, streams, kind):
    """Shares, mixtures and seeds of runs."""
    per_mixture = random.dirichlet(np.ones(streams), mixtures)
    counts = [seeds] * mixtures
    if kind == "unbalanced":
        counts = [1 + (number % 2) * (seeds - 1) for number in range(mixtures)]
    numbers = np.repeat(np.arange(mixtures), counts)
    labels = [seed for count in counts for seed in range(count)]
    if kind == "own seeds":
        labels = list(range(len(numbers)))
    return per_mixture[numbers], numbers, labels


@pytest.mark.parametrize("kind", ["crossed", "own seeds", "unbalanced"])
@pytest.mark.parametrize(("seeds", "streams", "cells"), [(1, 2, 1), (2, 3, 24), (3, 2, 8)])
def test_the_null_is_refused_at_its_level(kind, seeds, streams, cells):
    """Noise of the mixture and of the seed, as text and initialization make it."""
    p_values = []
    for number in range(400):
        random = np.random.default_rng(10_000 + number)
        shares, mixtures, labels = design(random, 10, seeds, streams, kind)
        of_mixture = 0.01 * random.standard_normal((10, cells))[mixtures]
        of_seed = 0.02 * random.standard_normal((40, cells))[np.array(labels)]
        noise = 0.01 * random.standard_normal((len(shares), cells))
        losses = 2 + of_mixture + noise + (of_seed if kind != "own seeds" else 0)
        p_values.append(
            shares_matter(shares, losses, mixtures, [1.0] * len(shares), labels,
                          num_permutations=59, seed=number).p_value
        )  # fmt: skip
    refused = np.mean(np.array(p_values) <= 0.05)
    assert refused <= 0.085  # 5 % and three standard errors of 400 tests
    assert 0.45 < float(np.mean(p_values)) < 0.55


def test_an_effect_is_found_though_a_seed_is_better_everywhere():
    random = np.random.default_rng(0)
    shares, mixtures, labels = design(random, 10, 3, 2, "crossed")
    losses = 2 + 0.05 * shares[:, :1] + 0.2 * np.array(labels)[:, None]
    losses = losses + 0.002 * random.standard_normal((30, 4))
    assert shares_matter(shares, losses, mixtures, [1.0] * 30, labels).p_value <= 0.01


def test_few_mixtures_are_all_gone_through():
    share = np.array([0.0, 0.25, 0.5, 1.0]).repeat(3)
    shares = np.stack([share, 1 - share], axis=1)
    mixtures, labels = np.arange(4).repeat(3), [0, 1, 2] * 4
    losses = 2 + share[:, None] + 0.001 * np.random.default_rng(0).standard_normal((12, 1))
    result = shares_matter(shares, losses, mixtures, [1.0] * 12, labels)
    assert result.lowest == pytest.approx(1 / 24)
    # Turned around, a line explains as much: 2 of 24, or as the spacing has it 1.
    explained = []
    means = losses.reshape(4, 3).mean(axis=1)
    for order in itertools.permutations(range(4)):
        explained.append(np.corrcoef(share[::3], means[list(order)])[0, 1] ** 2)
    expected = np.mean(np.array(explained) >= explained[0] * (1 - 1e-9))
    assert result.p_value == pytest.approx(expected)


def test_mixtures_of_other_seeds_and_scales_do_not_change_places():
    """Two scales whose levels differ: only within each may mixtures be dealt out."""
    share = np.array([0.0, 1.0, 0.0, 1.0])
    shares = np.stack([share, 1 - share], axis=1) * 1.0
    shares[2:] = [[0.3, 0.7], [0.6, 0.4]]
    losses = np.array([[2.0], [1.0], [5.0], [4.0]])
    result = shares_matter(shares, losses, np.arange(4), [1.0, 1.0, 0.5, 0.5], [0, 1, 2, 3])
    assert result.lowest == pytest.approx(1 / 4)
