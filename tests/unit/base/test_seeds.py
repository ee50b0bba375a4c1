import hashlib

import numpy as np

from polylect.base import derive_seed, generator


def test_a_derived_seed_is_the_documented_hash_of_its_names():
    raw = hashlib.sha256(b"7\x1forder\x1f3").digest()
    assert derive_seed(7, "order", 3) == int.from_bytes(raw[:8], "big") // 2


def test_seeds_cover_their_range_and_differ():
    seeds = {derive_seed(s, name, i) for s in range(4) for name in "ab" for i in range(50)}
    assert len(seeds) == 400
    assert all(0 <= seed < 2**63 for seed in seeds)
    # Halves of a uniform range: a binomial of 400 leaves 4 standard deviations at 160 and 240.
    assert 160 < sum(seed < 2**62 for seed in seeds) < 240


def test_joining_two_names_gives_another_seed():
    assert derive_seed(0, "ab", "c") != derive_seed(0, "a", "bc") != derive_seed(0, "abc")
    assert derive_seed(1, "a") != derive_seed(0, "a")


def test_equal_names_repeat_a_stream_and_others_do_not_share_it():
    first = generator(0, "a").random(1000)
    generator(0, "b").random(17)
    assert np.array_equal(first, generator(0, "a").random(1000))
    assert abs(np.corrcoef(first, generator(0, "b").random(1000))[0, 1]) < 0.15
