"""The top-k ensemble of dense experts against a plain float64 computation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylect.recipes.experts.ensembles import ensemble_log_probabilities


def by_hand(log_p: list[list[float]], top_k: int) -> list[float]:
    """Products of probabilities, token by token, as the formula is printed."""
    num = len(log_p)
    evidence = [1.0] * num
    answers = []
    for t in range(len(log_p[0])):
        kept = sorted(range(num), key=lambda j: (-evidence[j], j))[:top_k]
        total = sum(evidence[j] for j in kept)
        answers.append(math.log(sum(evidence[j] / total * math.exp(log_p[j][t]) for j in kept)))
        evidence = [evidence[j] * math.exp(log_p[j][t]) for j in range(num)]
    return answers


@given(
    st.integers(1, 5).flatmap(
        lambda num: st.tuples(
            st.integers(1, num),
            st.lists(
                st.lists(st.floats(-9, -0.001), min_size=num, max_size=num),
                min_size=1,
                max_size=12,
            ),
        )
    )
)
def test_it_equals_the_formula(drawn):
    top_k, columns = drawn
    log_p = [list(row) for row in zip(*columns, strict=True)]
    have = ensemble_log_probabilities(np.array(log_p), top_k)
    assert have == pytest.approx(by_hand(log_p, top_k), abs=1e-10)


def test_one_expert_is_itself_and_equal_experts_change_nothing():
    log_p = np.log(np.random.default_rng(0).uniform(0.01, 1, (1, 30)))
    assert ensemble_log_probabilities(log_p, 1) == pytest.approx(log_p[0])
    assert ensemble_log_probabilities(np.repeat(log_p, 4, axis=0), 2) == pytest.approx(log_p[0])


def test_a_long_document_does_not_underflow_and_follows_the_better_expert():
    good, bad = np.full(20_000, -1.0), np.full(20_000, -5.0)
    have = ensemble_log_probabilities(np.stack([bad, good]), 2)
    assert np.isfinite(have).all()
    assert have[-1] == pytest.approx(-1.0)
    assert have.sum() > good.sum() - math.log(2) - 1e-9


@given(st.integers(0, 2**32 - 1), st.integers(2, 5), st.integers(2, 40))
def test_all_experts_together_are_the_mixture_of_documents(seed, num, tokens):
    """With k = n the product over tokens is the mean of the experts' document probabilities."""
    log_p = np.random.default_rng(seed).uniform(-3, 0, (num, tokens))
    whole = np.logaddexp.reduce(log_p.sum(axis=1)) - math.log(num)
    assert ensemble_log_probabilities(log_p, num).sum() == pytest.approx(whole, abs=1e-9)
