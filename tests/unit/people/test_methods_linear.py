"""Linear heads against other solvers; the plainest methods on data drawn from their own models."""

import math

import numpy as np
import pytest
from crowds import known_crowd, recovery
from scipy.optimize import minimize
from scipy.special import expit

from polylect.base import InputError
from polylect.people import METHODS, Crowd, Seen, find_method
from polylect.people.methods.heads import fit_head
from polylect.people.methods.pairs import Pairs, own_pairs


@pytest.fixture(scope="module")
def opposed():
    """Six users with tastes of their own, in four dimensions."""
    draw = np.random.default_rng(0)
    vectors = draw.normal(size=(140, 4))
    return known_crowd(vectors, vectors @ draw.normal(size=(4, 6)), 200)


def reference(differences, precision, mean=0.0):
    """The posterior mode by L-BFGS on the plain objective; sklearn's, with C = 1 / precision."""

    def loss(w):
        margin = differences @ w
        value = np.logaddexp(0, -margin).sum() + precision / 2 * np.sum((w - mean) ** 2)
        return value, -differences.T @ expit(-margin) + precision * (w - mean)

    start = np.zeros(differences.shape[1])
    options = {"maxiter": 5000, "gtol": 1e-10, "ftol": 0.0, "maxls": 100}
    return minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x


@pytest.mark.parametrize("num_pairs", [12, 300])
@pytest.mark.parametrize("has_mean", [False, True])
def test_a_head_is_the_mode_whether_it_is_searched_by_pairs_or_by_vectors(num_pairs, has_mean):
    draw = np.random.default_rng(num_pairs)
    vectors = draw.normal(size=(40, 20))
    chosen = draw.integers(40, size=num_pairs)
    pairs = Pairs(vectors, chosen, (chosen + draw.integers(1, 40, size=num_pairs)) % 40)
    mean = draw.normal(size=20) if has_mean else np.zeros(20)
    head = fit_head(pairs, 0.3, mean)
    expected = reference(pairs.differences(), 0.3, mean)
    np.testing.assert_allclose(head.weight, expected, atol=1e-6)
    residual = expit(-pairs.differences() @ head.weight)
    gradient = pairs.differences().T @ residual - 0.3 * (head.weight - mean)
    assert np.abs(gradient).max() < 1e-8


def test_both_searches_give_the_same_head_and_evidence():
    draw = np.random.default_rng(3)
    vectors = draw.normal(size=(9, 10))
    chosen = draw.integers(9, size=10)
    pairs = Pairs(vectors, chosen, (chosen + 1) % 9)
    wide = Pairs(np.hstack([vectors, np.zeros((9, 1))]), pairs.chosen, pairs.rejected)
    a, b = (
        fit_head(pairs, 0.5, share=np.arange(1.0, 11)),
        fit_head(wide, 0.5, share=np.arange(1.0, 11)),
    )
    np.testing.assert_allclose(a.weight, b.weight[:10], atol=1e-10)
    assert a.log_evidence == pytest.approx(b.log_evidence, abs=1e-9)
    assert a.log_likelihood == pytest.approx(b.log_likelihood, abs=1e-9)


def test_evidence_is_the_integral_over_the_prior():
    vectors = np.array([[0.0], [1.0]])
    pairs = Pairs(vectors, np.array([1, 1, 0]), np.array([0, 0, 1]))
    w = np.linspace(-12, 12, 20001)
    prior = np.sqrt(4 / (2 * np.pi)) * np.exp(-2 * (w - 0.3) ** 2)
    exact = np.log(np.sum(expit(w) ** 2 * expit(-w) * prior) * (w[1] - w[0]))
    # Laplace's approximation, at a narrow prior.
    assert fit_head(pairs, 4.0, np.array([0.3])).log_evidence == pytest.approx(exact, abs=0.01)


def test_pooled_and_individual_are_the_ridge_fits_of_their_differences(opposed):
    pairs = own_pairs(opposed.crowd, opposed.seen)
    spread = np.square(pairs.vectors - pairs.vectors.mean(axis=0)).sum(axis=1).mean()
    pooled = find_method("pooled", prior_sd=1.5).fit(opposed.crowd, opposed.seen)
    vectors = opposed.seen.vectors.astype(np.float64)
    expected = vectors @ reference(pairs.differences(), spread / 1.5**2)
    np.testing.assert_allclose(pooled.score("nobody", opposed.seen), expected, atol=1e-6)
    individual = find_method("individual", prior_sd=1.5).fit(opposed.crowd, opposed.seen)
    own = pairs.differences()[opposed.crowd.user == 2]
    expected = vectors @ reference(own, spread / 1.5**2)
    np.testing.assert_allclose(individual.score("user 002", opposed.seen), expected, atol=1e-6)


def test_shrinkage_is_individual_at_zero_and_pooled_at_infinity(opposed):
    def scores(name, **settings):
        model = find_method(name, **settings).fit(opposed.crowd, opposed.seen)
        return np.stack([model.score(user, opposed.unseen) for user in opposed.crowd.users])

    assert np.array_equal(scores("shrinkage", strength=math.inf), scores("pooled"))
    assert np.array_equal(scores("shrinkage", strength=0.0), scores("individual"))
    assert np.abs(scores("shrinkage", strength=1e9) - scores("pooled")).max() < 1e-4


def test_no_scale_of_the_vectors_moves_a_score(opposed):
    tall = Seen(opposed.seen.texts, opposed.seen.vectors * np.float32(64))
    for name in ("pooled", "individual", "shrinkage", "kernel"):
        a = find_method(name).fit(opposed.crowd, opposed.seen).score("user 000", opposed.seen)
        b = find_method(name).fit(opposed.crowd, tall).score("user 000", tall)
        np.testing.assert_allclose(a, b, atol=1e-6, err_msg=name)


def test_pooled_cannot_serve_users_who_are_opposed(opposed):
    assert recovery(find_method("individual").fit(opposed.crowd, opposed.seen), opposed) >= 0.9
    assert recovery(find_method("pooled").fit(opposed.crowd, opposed.seen), opposed) < 0.6


def test_shrinkage_recovers_tastes_around_a_common_one_and_finds_how_common_it_is():
    draw = np.random.default_rng(2)
    vectors = draw.normal(size=(140, 4))
    common = draw.normal(size=(4, 1))
    strengths = []
    for own in (0.1, 0.6):
        known = known_crowd(vectors, vectors @ (common + own * draw.normal(size=(4, 12))), 200)
        model = find_method("shrinkage").fit(known.crowd, known.seen)
        assert recovery(model, known) >= 0.9
        shares = model.shared["shares"].reshape(len(model.shared["strength"]), -1).sum(axis=1)
        strengths.append(shares @ np.log(model.shared["strength"]))
    assert strengths[0] > strengths[1] + np.log(3)


def test_shrinkage_of_ten_pairs_a_user_is_as_good_as_the_better_of_the_two():
    names, taus = ("pooled", "individual", "shrinkage"), []
    for seed in range(4):
        draw = np.random.default_rng(seed)
        vectors, common = draw.normal(size=(140, 4)), draw.normal(size=(4, 1))
        known = known_crowd(vectors, vectors @ (common + 0.6 * draw.normal(size=(4, 12))), 200)
        few = known.crowd.take(np.arange(known.crowd.num_pairs) % 20 == 0)
        taus.append([recovery(find_method(name).fit(few, known.seen), known) for name in names])
    assert np.mean(taus, axis=0)[2] >= np.max(np.mean(taus, axis=0)) - 0.01


def test_kernel_of_repeated_texts_is_the_log_odds_of_winning():
    crowd = Crowd(
        ("u",), tuple("abc"), np.arange(3, dtype=np.int32), np.zeros(4, np.int32),
        np.array([0, 0, 0, 1], np.int32), np.array([1, 1, 2, 0], np.int32),
    )  # fmt: skip
    seen = Seen(crowd.texts, np.eye(3, dtype=np.float32))
    model = find_method("kernel", bandwidth=0.01, prior_count=0.5).fit(crowd, seen)
    expected = model.shared["scale"][0] * np.log([3.5 / 1.5, 1.5 / 2.5, 0.5 / 1.5])
    np.testing.assert_allclose(model.score("u", seen), expected, atol=1e-12)


def test_what_cannot_be_fitted_is_refused(opposed):
    crowd, seen = opposed.crowd, opposed.seen
    fit = find_method("individual").fit
    with pytest.raises(InputError, match="no preference"):
        fit(crowd.take(np.zeros(0, np.int64)), seen)
    with pytest.raises(InputError, match="100 texts"):
        fit(crowd, Seen(seen.texts, seen.vectors[1:]))
    with pytest.raises(InputError, match="no vectors"):
        fit(crowd, Seen(seen.texts, np.zeros((100, 0), np.float32)))
    with pytest.raises(InputError, match="same vector"):
        fit(crowd, Seen(seen.texts, np.ones((100, 3), np.float32)))
    with pytest.raises(InputError, match="not finite"):
        fit(crowd, Seen(seen.texts, np.full((100, 3), np.nan, np.float32)))
    twice = Crowd(
        crowd.users, crowd.texts, crowd.prompts, crowd.user, crowd.chosen, crowd.chosen,
        ("x:1",) * crowd.num_pairs,
    )  # fmt: skip
    with pytest.raises(InputError, match="x:1: the same text on both sides"):
        fit(twice, seen)
    with pytest.raises(InputError, match="width 3, the model was fitted with 4"):
        fit(crowd, seen).score("user 000", Seen((), np.zeros((2, 3), np.float32)))


def test_a_name_or_a_setting_that_is_not_there_gets_the_nearest():
    assert next(iter(METHODS)) == "pooled"
    with pytest.raises(InputError, match="did you mean individual"):
        find_method("indvidual")
    with pytest.raises(InputError, match=r"no setting 'prior'.*did you mean prior_sd"):
        find_method("pooled", prior=1.0)
    with pytest.raises(InputError, match="--prior-sd is 0"):
        find_method("pooled", prior_sd=0.0)
