"""The chance that at least one of k samples passes."""


def pass_at_k(num_samples: int, num_passed: int, k: int) -> float:
    """Unbiased estimate of pass@k from n samples of which c passed: 1 - C(n-c, k) / C(n, k).

    Chen et al. 2021, equation 1, as their stable product.

    Args:
        num_samples: n, at least k.
        num_passed: c.
        k: 1 or more.
    """
    assert 0 <= num_passed <= num_samples, "more passed than were drawn"
    assert 1 <= k <= num_samples, "fewer samples than k"
    if num_samples - num_passed < k:
        return 1.0
    missed = 1.0
    for i in range(num_samples - num_passed + 1, num_samples + 1):
        missed *= 1.0 - k / i
    return 1.0 - missed
