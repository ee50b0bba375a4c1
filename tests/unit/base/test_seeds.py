import hashlib

import numpy as np

from polylect.base import derive_seed, generator


def test_is_the_declared_function_of_names():
    raw = hashlib.sha256(b"7\x1forder\x1f3").digest()
    assert derive_seed(7, "order", 3) == int.from_bytes(raw[:8], "big") // 2


def test_range_and_independence():
    seeds = {derive_seed(s, name, i) for s in range(4) for name in "ab" for i in range(50)}
    assert len(seeds) == 400
    assert all(0 <= one < 2**63 for one in seeds)
    # Halves of a uniform range: a binomial of 400 leaves 4 standard deviations at 160 and 240.
    assert 160 < sum(one < 2**62 for one in seeds) < 240


def test_joined_names_are_other_names():
    assert derive_seed(0, "ab", "c") != derive_seed(0, "a", "bc") != derive_seed(0, "abc")
    assert derive_seed(1, "a") != derive_seed(0, "a")


def test_generators_repeat_and_do_not_share_a_stream():
    first = generator(0, "a").random(1000)
    generator(0, "b").random(17)
    assert np.array_equal(first, generator(0, "a").random(1000))
    assert abs(np.corrcoef(first, generator(0, "b").random(1000))[0, 1]) < 0.15
