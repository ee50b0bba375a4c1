"""Methods with linear heads that users share, on data drawn from their own models."""

import numpy as np
import pytest
from crowds import known_crowd, recovery
from scipy.special import expit

from polylect.people import find_method
from polylect.people.methods.low_rank import fit_low_rank
from polylect.people.methods.pairs import crowd_pairs


@pytest.fixture(scope="module")
def low_rank():
    """Forty users around a common taste, who differ in two of eight directions."""
    draw = np.random.default_rng(0)
    vectors = draw.normal(size=(140, 8))
    basis, own = draw.normal(size=(8, 2)), draw.normal(size=(2, 40))
    return known_crowd(vectors, vectors @ (draw.normal(size=(8, 1)) + basis @ own), 200)


@pytest.fixture(scope="module")
def groups():
    """Thirty users of three kinds, equal within each."""
    draw = np.random.default_rng(1)
    vectors = draw.normal(size=(140, 6))
    kinds = draw.normal(size=(6, 3))
    return known_crowd(vectors, vectors @ kinds[:, np.arange(30) % 3], 200)


@pytest.mark.parametrize("name", ["personalized", "factorized"])
def test_few_directions_are_recovered_also_of_a_user_who_comes_later(low_rank, name):
    crowd = low_rank.crowd
    first = crowd.take(crowd.user < 36)
    # Three: what is common takes one of the factorized head's.
    model = find_method(name, rank=2 if name == "personalized" else 3).fit(first, low_rank.seen)
    assert recovery(model, low_rank, users=crowd.users[:36]) >= 0.9
    newcomers = crowd.users[36:]
    for i, user in enumerate(newcomers, start=36):
        model = model.adapt(user, crowd.take(crowd.pairs_of(i)[:60]), low_rank.seen)
    assert recovery(model, low_rank, users=newcomers) >= 0.85
    individual = find_method("individual").fit(first, low_rank.seen)
    for i, user in enumerate(newcomers, start=36):
        individual = individual.adapt(user, crowd.take(crowd.pairs_of(i)[:60]), low_rank.seen)
    assert recovery(individual, low_rank, users=newcomers) < 0.8


@pytest.mark.parametrize("has_base", [True, False])
def test_the_low_rank_fit_is_a_minimum_of_its_loss(low_rank, has_base):
    pairs = crowd_pairs(low_rank.crowd.take(low_rank.crowd.user < 6), low_rank.seen)
    alpha, precision, draw = 0.7 if has_base else 1.0, 0.5, np.random.default_rng(4)
    fit = fit_low_rank(pairs, precision, 2, alpha, np.zeros(8) if has_base else None)
    assert fit.base.any() == has_base
    heads = np.stack([fit.head(pairs.of(i), alpha) for i in range(6)])
    users = np.linalg.lstsq(fit.basis, (heads - fit.base).T, rcond=None)[0].T - fit.mean

    def loss(base, basis, mean, users):
        generic = pairs.differences() @ (base + basis @ mean)
        known = generic + np.sum((pairs.differences() @ basis) * users[pairs.user], axis=1)
        value = -alpha * np.log(expit(known)).sum() - (1 - alpha) * np.log(expit(generic)).sum()
        squares = np.sum(base**2) + np.sum(basis**2)
        return value + precision / 2 * squares + np.sum(users**2) / 2

    at = [fit.base, fit.basis, fit.mean, users]
    for part in (1, 3, 0 if has_base else 2):
        for _ in range(3):
            step = 1e-4 * draw.normal(size=at[part].shape)
            up, down = (
                loss(*[x + sign * step if i == part else x for i, x in enumerate(at)])
                for sign in (1, -1)
            )
            assert abs(up - down) / 2e-4 < 0.02
            assert up + down > 2 * loss(*at)


def test_alpha_zero_is_the_pooled_head(low_rank):
    pooled = find_method("pooled").fit(low_rank.crowd, low_rank.seen)
    generic = find_method("personalized", alpha=0.0).fit(low_rank.crowd, low_rank.seen)
    for user in ("user 000", "nobody"):
        np.testing.assert_allclose(
            generic.score(user, low_rank.unseen), pooled.score(user, low_rank.unseen), atol=1e-3
        )


def test_matching_recovers_kinds_of_users_and_leaves_out_the_user_itself(groups):
    model = find_method("matching", num_neighbors=5).fit(groups.crowd, groups.seen)
    assert recovery(model, groups) >= 0.9
    individual = find_method("individual").fit(groups.crowd, groups.seen)
    np.testing.assert_array_equal(model.personal[0]["own"], individual.personal[0]["head"])
    kind = np.mean([model.personal[i]["own"][0] for i in range(3, 30, 3)], axis=0)
    all_others = find_method("matching", num_neighbors=9).fit(groups.crowd, groups.seen)
    np.testing.assert_allclose(all_others.personal[0]["head"][0], kind, atol=1e-12)
    # A user who leaves is nobody's neighbor afterwards.
    pairs = groups.crowd.take(groups.crowd.user == 0)
    less = all_others.without("user 003").adapt("user 000", pairs, groups.seen)
    assert not np.allclose(less.personal[0]["head"][0], kind)


def test_maxmin_recovers_groups_and_serves_the_worst_of_them(groups):
    model = find_method("maxmin", num_groups=3).fit(groups.crowd, groups.seen)
    assert recovery(model, groups) >= 0.9
    np.testing.assert_allclose(np.sort(model.shared["shares"]), 1 / 3, atol=1e-3)


def test_the_compromise_of_maxmin_equalizes_what_the_pooled_head_does_not():
    draw = np.random.default_rng(6)
    vectors = draw.normal(size=(140, 3))
    tastes = np.array([[1.0, 0.5, 0.3], [-1.0, 0.5, 0.3]])[[0] * 9 + [1] * 3].T
    known = known_crowd(vectors, vectors @ tastes, 60, flipped=0.2)
    model = find_method("maxmin", num_groups=2, serve="compromise").fit(known.crowd, known.seen)
    pooled = find_method("pooled").fit(known.crowd, known.seen)
    crowd, of_minority = known.crowd, known.crowd.user >= 9

    def losses(fitted):
        scores = fitted.score("user 000", known.seen)
        loss = np.logaddexp(0, scores[crowd.rejected] - scores[crowd.chosen])
        return loss[~of_minority].mean(), loss[of_minority].mean()

    assert losses(model)[1] < losses(pooled)[1] - 0.1
    assert losses(model)[0] == pytest.approx(losses(model)[1], abs=0.01)
    same = model.score("user 000", known.unseen)
    assert np.array_equal(same, model.score("nobody", known.unseen))
    grouped = find_method("maxmin", num_groups=2).fit(known.crowd, known.seen)
    assert not np.array_equal(grouped.score("user 000", known.unseen), same)
