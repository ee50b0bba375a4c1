"""Methods with networks: slopes and losses against plain references, tastes of their own models."""

import numpy as np
import pytest
import torch
from crowds import known_crowd, recovery
from people_worlds import draw_world, held_out, ranking
from scipy.special import erf, expit, log_expit, softmax

from polylect.base import InputError
from polylect.people import find_method
from polylect.people.methods import conditional, gpo, pal, vpl
from polylect.people.methods.pairs import crowd_pairs


@pytest.fixture(scope="module")
def two_kinds():
    """Forty users of two kinds, in two dimensions."""
    draw = np.random.default_rng(2)
    vectors, tastes = draw.normal(size=(140, 2)), draw.normal(size=(2, 2))
    return known_crowd(vectors, vectors @ tastes[:, np.arange(40) % 2], 200)


@pytest.fixture(scope="module")
def pairs(two_kinds):
    crowd = two_kinds.crowd
    few = (crowd.user < 4) & (np.arange(crowd.num_pairs) % 20 == 0)
    return crowd_pairs(crowd.take(few), two_kinds.seen)


def check_slopes(loss, parts, draw):
    value, slopes = loss(parts)
    assert slopes.keys() == parts.keys()
    for name, slope in slopes.items():
        step = 1e-5 * draw.normal(size=slope.shape)
        up, down = (loss({**parts, name: parts[name] + sign * step})[0] for sign in (1, -1))
        assert (up - down) / 2 == pytest.approx(np.sum(slope * step), rel=1e-5), name
    return value


def test_slopes_of_conditional_and_pal_are_those_of_their_losses(pairs):
    draw = np.random.default_rng(0)
    rows = conditional._Rows.of(pairs)
    parts = {
        "head": draw.normal(size=2), "hidden": draw.normal(size=(5, 2)),
        "column": draw.normal(size=(4, 5)), "out": draw.normal(size=5),
    }  # fmt: skip
    value = check_slopes(
        lambda parts: conditional.loss_and_slopes(parts, pairs.vectors, rows), parts, draw
    )
    expected = 0.0
    for user, *sides in zip(pairs.user, pairs.chosen, pairs.rejected, strict=True):
        # The network on the vector beside the one-hot user.
        inputs = [np.concatenate([pairs.vectors[text], np.eye(4)[user]]) for text in sides]
        first = np.hstack([parts["hidden"], parts["column"].T])
        a, b = (parts["head"] @ x[:2] + parts["out"] @ np.tanh(first @ x) for x in inputs)
        expected -= log_expit(a - b)
    assert value == pytest.approx(expected, rel=1e-10)
    parts = {
        "first": draw.normal(size=(5, 2)), "bias": draw.normal(size=5),
        "second": draw.normal(size=(3, 5)), "prototypes": draw.normal(size=(2, 3)),
        "logits": draw.normal(size=(4, 2)), "temperature": np.array([0.3]),
    }  # fmt: skip
    value = check_slopes(lambda x: pal.loss_and_slopes(x, pairs.vectors, pairs), parts, draw)
    expected = 0.0
    for user, *sides in zip(pairs.user, pairs.chosen, pairs.rejected, strict=True):
        ideal = softmax(parts["logits"][user]) @ parts["prototypes"]
        scores = []
        for text in sides:
            inputs = parts["first"] @ pairs.vectors[text] + parts["bias"]
            latent = parts["second"] @ (inputs * (1 + erf(inputs / np.sqrt(2))) / 2)
            cosine = latent @ ideal / np.linalg.norm(latent) / np.linalg.norm(ideal)
            scores.append(0.3 * cosine)
        expected -= log_expit(scores[0] - scores[1])
    units = pairs.vectors @ parts["first"].T + parts["bias"]
    latent = units * (1 + erf(units / np.sqrt(2))) / 2 @ parts["second"].T
    roughness = np.sum(parts["second"] ** 2) / np.mean(np.linalg.norm(latent, axis=1) ** 2)
    assert value == pytest.approx(expected + 300 * roughness, rel=1e-9)


def test_conditional_and_pal_learn_a_user_who_comes_later():
    for name, least in (("conditional", 0.8), ("pal", 0.8)):
        world = draw_world(name, 0, num_users=42)
        known = world.known
        settings = world.settings | {"num_steps": 60}
        model = find_method(name, **settings).fit(
            known.crowd.take(known.crowd.user < 40), known.seen
        )
        for i in (40, 41):
            own = known.crowd.take(known.crowd.pairs_of(i))
            model = model.adapt(known.crowd.users[i], own, known.seen)
        assert ranking(known.truth, held_out(model, world))[40:].mean() >= least, name


def test_vpl_recovers_kinds_of_users_and_rescales_where_it_scores(two_kinds):
    small = {"num_hidden": 32, "latent_width": 4, "users_per_step": 8, "num_context": 30}
    method = find_method("vpl", num_steps=150, learning_rate=3e-3, **small)
    first = two_kinds.crowd.take(two_kinds.crowd.user < 38)
    model = method.fit(first, two_kinds.seen)
    assert recovery(model, two_kinds, users=two_kinds.crowd.users[:38]) >= 0.9
    for i in (38, 39):
        few = two_kinds.crowd.take(two_kinds.crowd.pairs_of(i)[:30])
        model = model.adapt(two_kinds.crowd.users[i], few, two_kinds.seen)
        # As long as in training: √4.
        assert np.linalg.norm(model.personal[i]["latent"]) == pytest.approx(2.0, rel=1e-6)
    assert recovery(model, two_kinds, users=two_kinds.crowd.users[38:]) >= 0.9


def test_gpo_continues_the_preferences_of_users_it_never_saw(two_kinds):
    small = {"model_width": 32, "num_layers": 2, "feed_forward_width": 32, "users_per_step": 8}
    method = find_method("gpo", num_steps=300, num_context=30, learning_rate=3e-3, **small)
    first = two_kinds.crowd.take(two_kinds.crowd.user < 38)
    model = method.fit(first, two_kinds.seen)
    assert recovery(model, two_kinds, users=two_kinds.crowd.users[:12]) >= 0.9
    for i in (38, 39):
        few = two_kinds.crowd.take(two_kinds.crowd.pairs_of(i)[:60])
        model = model.adapt(two_kinds.crowd.users[i], few, two_kinds.seen)
    assert recovery(model, two_kinds, users=two_kinds.crowd.users[38:]) >= 0.85
    with pytest.raises(InputError, match="model_width is 30, which 4 heads do not divide"):
        find_method("gpo", model_width=30)


def random_case(method, width, seed):
    """Float64 weights, vectors of 6 texts, and pairs of 2 users [2, pairs, 2]."""
    draw = np.random.default_rng(seed)
    weights = {
        name: 1.5 * weight.detach().double() for name, weight in method._start(width, seed).items()
    }
    vectors = draw.normal(size=(6, width))
    context, batch = (
        np.stack([draw.permutation(6)[:2] for _ in range(2 * num)]).reshape(2, num, 2)
        for num in (3, 2)
    )
    return weights, {k: v.numpy() for k, v in weights.items()}, vectors, context, batch


def linear(w, name, x):
    return w[f"{name}.weight"] @ x + w[f"{name}.bias"]


@pytest.mark.parametrize("is_bounded", [True, False])
def test_the_loss_of_vpl_is_that_of_a_plain_reference(is_bounded):
    method = find_method("vpl", num_hidden=5, latent_width=3)
    weights, w, vectors, context, batch = random_case(method, 4, 1)
    for name in ("mean.weight", "mean.bias", "log_variance.weight", "log_variance.bias"):
        weights[name] *= 8.0  # in place, and so in w: beyond the bounds
    noise = np.random.default_rng(2).normal(size=(2, 3))
    loss = vpl.vpl_loss(
        weights, *(torch.tensor(x) for x in (vectors, context, batch, noise)), beta=0.7,
        is_bounded=is_bounded,
    )  # fmt: skip

    def leaky(x):
        return np.where(x > 0, x, 0.2 * x)

    losses, divergences, beyond = [], [], []
    for user in range(2):
        encoded = []
        for c, r in context[user]:
            units = linear(w, "pair.1", np.concatenate([vectors[c], vectors[r]]))
            units = linear(w, "pair.2", leaky(units))
            encoded.append(linear(w, "pair.3", leaky(units)))
        query, key, value = (
            np.stack([linear(w, name, x) for x in encoded]) for name in ("query", "key", "value")
        )
        joined = (softmax(query @ key.T / np.sqrt(5), axis=1) @ value).mean(axis=0)
        mean, log_variance = linear(w, "mean", joined), linear(w, "log_variance", joined)
        beyond += [np.abs(mean).max() > 1, log_variance.min() < -1, log_variance.max() > 1]
        mean = np.clip(mean, -1, 1) if is_bounded else mean
        log_variance = np.clip(log_variance, -1 if is_bounded else -8, 1)
        z = mean + np.exp(log_variance / 2) * noise[user]
        z = np.sqrt(3) * z / np.linalg.norm(z)
        # KL(N(μ, σ²) ‖ N(0, 1)) from its definition, by quadrature.
        x = np.linspace(-15, 15, 6001)
        for m, s in zip(mean, np.exp(log_variance / 2), strict=True):
            log_ratio = -np.log(s) - (x - m) ** 2 / (2 * s**2) + x**2 / 2
            density = np.exp(-((x - m) ** 2) / (2 * s**2)) / (s * np.sqrt(2 * np.pi))
            divergences.append(np.sum(density * log_ratio) * (x[1] - x[0]))
        for sides in batch[user]:
            scores = []
            for text in sides:
                units = linear(w, "decoder.1", np.concatenate([vectors[text], z]))
                units = linear(w, "decoder.2", leaky(units))
                scores.append(linear(w, "decoder.3", leaky(units))[0])
            losses.append(-log_expit(scores[0] - scores[1]))
    assert any(beyond[::3])
    assert any(beyond[1::3])
    expected = np.mean(losses) + 0.7 * np.sum(divergences) / 2
    assert float(loss) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("num_batch", [2, 4])
def test_the_loss_of_gpo_is_that_of_a_plain_reference(num_batch):
    method = find_method("gpo", model_width=4, num_heads=2, num_layers=2, feed_forward_width=3)
    weights, w, vectors, context, batch = random_case(method, 5, 3)
    batch = np.concatenate([batch, batch[:, ::-1]], axis=1)[:, :num_batch]
    loss = gpo.gpo_loss(weights, *(torch.tensor(x) for x in (vectors, context, batch)), num_heads=2)

    def embed(text, y):
        units = linear(w, "embed.0", np.append(vectors[text], y))
        for i in (1, 2, 3):
            units = linear(w, f"embed.{i}", np.maximum(units, 0))
        return units

    def normal(x):
        return (x - x.mean()) / np.sqrt(x.var() + 1e-5)

    def value_of(points, num_context, asked):
        """One sequence: every point attends to the context alone."""
        for i in range(2):
            keys, values = (
                [linear(w, f"{i}.{name}", normal(x)) for x in points[:num_context]]
                for name in ("key", "value")
            )
            after = []
            for x in points:
                query, joined = linear(w, f"{i}.query", normal(x)), []
                for head in (slice(0, 2), slice(2, 4)):
                    odds = softmax([query[head] @ key[head] / np.sqrt(2) for key in keys])
                    joined.append(sum(p * v[head] for p, v in zip(odds, values, strict=True)))
                x = x + linear(w, f"{i}.join", np.concatenate(joined))
                up = linear(w, f"{i}.up", normal(x))
                up = up * (1 + erf(up / np.sqrt(2))) / 2
                after.append(x + linear(w, f"{i}.down", up))
            points = after
        return linear(w, "head.0", normal(points[asked]))[0]

    losses = []
    for user in range(2):
        points = [embed(c, np.sqrt(5)) for c, _ in context[user]]
        points += [embed(r, -np.sqrt(5)) for _, r in context[user]]
        for sides in batch[user]:
            both = [value_of([*points, embed(x, 0.0)], len(points), -1) for x in sides]
            losses.append(-np.log(expit(both[0] - both[1])))
    assert float(loss) == pytest.approx(np.mean(losses), rel=1e-9)


def test_the_weight_of_the_divergence_rises_in_each_cycle():
    weights = [vpl.cyclical_weight(step, 40, 4) for step in range(40)]
    assert weights[:10] == weights[10:20]
    assert weights[0] == pytest.approx(0.1)
    assert weights[5] == pytest.approx(0.55)
    assert weights[:10] == sorted(weights[:10])


@pytest.mark.parametrize("num_users", [2, 12])
def test_pal_learns_from_few_pairs(num_users):
    """Opposed users with forty pairs each: a temperature that vanished would tell nothing apart."""
    draw = np.random.default_rng(num_users)
    vectors = draw.normal(size=(80, 4))
    sides = np.where(np.arange(num_users) % 2, 1.0, -1.0)
    known = known_crowd(vectors, vectors[:, :1] * sides, 40, flipped=0.0)
    model = find_method("pal").fit(known.crowd, known.seen)
    assert all(np.std(model.score(user, known.seen)) > 0.1 for user in known.crowd.users)
    assert recovery(model, known) > 0.3
