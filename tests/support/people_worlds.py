"""Crowds drawn from each method's own model, and the best that anybody could do with their data.

``draw_world(name, seed)`` draws everything: texts, what is shared, what is each user's. The ceiling
is the posterior mean of the scores where all that is shared, and the noise, are known.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from crowds import Known, known_crowd
from scipy.special import softmax
from scipy.stats import kendalltau

NUM_TEXTS, HELD_OUT = 200, 60
FLIPPED = 0.1


@dataclass(frozen=True)
class World:
    """A crowd, and how it was drawn.

    Attributes:
        known: the crowd, with the true scores.
        settings: of the method that the truth is of.
        unit: the taste that each user has [users]; tastes may be shared.
        private: what was drawn of each taste from N(0, I) [tastes, dimensions].
        scores: of all texts by such tastes [texts, tastes], given what is shared.
        parts: the shared part of the truth, in the method's names.
        width: of the vectors.
        shape: how it was drawn, in words.
    """

    known: Known
    settings: dict
    unit: np.ndarray
    private: np.ndarray
    scores: Callable[[np.ndarray], np.ndarray]
    parts: dict[str, np.ndarray]
    width: int
    shape: str


NETWORKS = {
    "vpl": {"num_hidden": 32, "latent_width": 4, "users_per_step": 16, "num_context": 100,
            "num_steps": 600, "learning_rate": 3e-3, "beta": 0.01},
    "gpo": {"model_width": 32, "num_layers": 2, "feed_forward_width": 32, "users_per_step": 8,
            "num_context": 100, "num_steps": 300, "learning_rate": 3e-3},
    "vpl unbounded": {"num_hidden": 32, "latent_width": 4, "users_per_step": 16,
                      "num_context": 100, "num_steps": 5000, "learning_rate": 3e-3, "beta": 1e-3,
                      "is_bounded": False},
}  # fmt: skip
"""Settings for worlds as small as these: the defaults are for vectors of an encoder."""


def draw_world(name, seed, num_pairs=200, flipped=FLIPPED, **sizes):
    """A world of a method, by its name in ``METHODS``."""
    draw = np.random.default_rng([seed, *name.encode()])
    return _WORLDS[name](draw, num_pairs=num_pairs, flipped=flipped, **sizes)


def ranking(truth, fitted):
    """Kendall's tau of each user's held-out texts [users], from scores [texts, users]."""
    both = zip(truth.T, fitted.T, strict=True)
    return np.array([kendalltau(a, b).statistic for a, b in both])


def held_out(model, world):
    """Scores of the held-out texts by a model [texts, users]."""
    known = world.known
    return np.stack([model.score(user, known.unseen) for user in known.crowd.users], axis=1)


def ceiling(world, most_units=6, num_steps=400, burn_in=50, flipped=FLIPPED):
    """Posterior means of the true scores of held-out texts [texts, users], and those users.

    By elliptical slice sampling (Murray et al. 2010) from the truth on, which is itself a draw of
    the posterior; labels are the sign of the difference, flipped as often as they are.
    """
    draw = np.random.default_rng(0)
    crowd = world.known.crowd
    num = min(most_units, len(world.private))
    unit = world.unit[crowd.user]
    some = unit < num
    unit, chosen, rejected = unit[some], crowd.chosen[some], crowd.rejected[some]
    right, wrong = np.log(1 - flipped), np.log(flipped)

    def likelihood(private):
        scores = world.scores(private)
        agrees = scores[chosen, unit] > scores[rejected, unit]
        of_pair = np.where(agrees, right, wrong)
        return np.bincount(unit, of_pair, num), scores[-HELD_OUT:]

    at = world.private[:num].copy()
    value, scores = likelihood(at)
    total = np.zeros_like(scores)
    for step in range(num_steps):
        other = draw.normal(size=at.shape)
        level = value + np.log(draw.random(num))
        angle = draw.uniform(0, 2 * np.pi, num)
        lower, upper = angle - 2 * np.pi, angle.copy()
        waiting = np.ones(num, bool)
        while waiting.any():
            proposed = np.where(
                waiting[:, None], np.cos(angle)[:, None] * at + np.sin(angle)[:, None] * other, at
            )
            new_value, new_scores = likelihood(proposed)
            taken = waiting & (new_value > level)
            at[taken], value[taken] = proposed[taken], new_value[taken]
            scores[:, taken] = new_scores[:, taken]
            waiting &= ~taken
            lower = np.where(waiting & (angle < 0), angle, lower)
            upper = np.where(waiting & (angle >= 0), angle, upper)
            angle = np.where(waiting, draw.uniform(lower, upper), angle)
        if step >= burn_in:
            total += scores - scores.mean(axis=0)
    users = np.flatnonzero(world.unit < num)
    return total[:, world.unit[users]], users


def opposed_crowd(seed, own, num_users=40, width=16, num_pairs=100, num_shared=0):
    """Users around a common taste, a tenth of them around its opposite; and who these are [users].

    ``num_shared`` pairs of texts are compared by all, each once, instead of pairs of each user.
    """
    draw = np.random.default_rng([seed, 7])
    vectors = draw.normal(size=(NUM_TEXTS + HELD_OUT, width))
    common = draw.normal(size=(width, 1))
    is_opposed = np.zeros(num_users, bool)
    is_opposed[draw.permutation(num_users)[: num_users // 10]] = True
    tastes = common * np.where(is_opposed, -1, 1) + own * draw.normal(size=(width, num_users))
    scores = vectors @ tastes
    known = known_crowd(vectors, scores, num_pairs, seed, FLIPPED, HELD_OUT)
    if not num_shared:
        return known, is_opposed
    texts = draw.permutation(NUM_TEXTS)[: 2 * num_shared].reshape(2, num_shared)
    user = np.repeat(np.arange(num_users), num_shared)
    a, b = np.tile(texts, num_users)
    wins = (scores[a, user] > scores[b, user]) ^ (draw.random(len(user)) < FLIPPED)
    sides = [np.where(wins, x, y).astype(np.int32) for x, y in ((a, b), (b, a))]
    crowd = replace(known.crowd, user=user.astype(np.int32), chosen=sides[0], rejected=sides[1])
    return replace(known, crowd=crowd), is_opposed


def _world(draw, vectors, scores, private, unit, settings, shape, parts, num_pairs, flipped):
    truth = scores(private)[:, unit]
    seed = int(draw.integers(2**31))
    known = known_crowd(vectors, truth, num_pairs, seed, flipped, HELD_OUT)
    return World(known, settings, unit, private, scores, parts, vectors.shape[1], shape)


def _texts(draw, width):
    return draw.normal(size=(NUM_TEXTS + HELD_OUT, width)).astype(np.float32).astype(np.float64)


def pooled(draw, num_pairs, flipped, width=16, num_users=10):
    """One head."""
    vectors = _texts(draw, width)
    return _world(
        draw, vectors, lambda z: vectors @ z.T, draw.normal(size=(1, width)),
        np.zeros(num_users, int), {}, "one head", {}, num_pairs, flipped,
    )  # fmt: skip


def individual(draw, num_pairs, flipped, width=4, num_users=20):
    """A head per user."""
    vectors = _texts(draw, width)
    return _world(
        draw, vectors, lambda z: vectors @ z.T, draw.normal(size=(num_users, width)),
        np.arange(num_users), {}, "a head per user", {}, num_pairs, flipped,
    )  # fmt: skip


def shrinkage(draw, num_pairs, flipped, width=4, num_users=40, own=0.5):
    """Heads around a common one."""
    vectors, common = _texts(draw, width), draw.normal(size=width)
    return _world(
        draw, vectors, lambda z: vectors @ (common + own * z).T,
        draw.normal(size=(num_users, width)), np.arange(num_users), {},
        f"heads around a common one, sd {own} to 1", {}, num_pairs, flipped,
    )  # fmt: skip


def personalized(draw, num_pairs, flipped, width=8, num_users=40, rank=2):
    """A common head and few directions."""
    vectors, common, basis = (
        _texts(draw, width), draw.normal(size=width), draw.normal(size=(width, rank))
    )  # fmt: skip
    return _world(
        draw, vectors, lambda z: vectors @ (common[:, None] + basis @ z.T),
        draw.normal(size=(num_users, rank)), np.arange(num_users), {"rank": rank},
        f"a head and {rank} directions", {}, num_pairs, flipped,
    )  # fmt: skip


def factorized(draw, num_pairs, flipped, width=8, num_users=40, rank=3):
    """Basis rewards, weights around a mean."""
    vectors, mean, basis = (
        _texts(draw, width), draw.normal(size=rank), draw.normal(size=(width, rank))
    )  # fmt: skip
    return _world(
        draw, vectors, lambda z: vectors @ basis @ (mean + z).T,
        draw.normal(size=(num_users, rank)), np.arange(num_users), {"rank": rank},
        f"{rank} basis rewards", {}, num_pairs, flipped,
    )  # fmt: skip


def matching(draw, num_pairs, flipped, width=6, num_users=40, num_kinds=4):
    """Kinds of users, each user of a random one."""
    return _kinds(draw, num_pairs, flipped, width, num_users, num_kinds, {})


def maxmin(draw, num_pairs, flipped, width=6, num_users=40, num_kinds=3):
    """Groups, each user of a random one."""
    return _kinds(draw, num_pairs, flipped, width, num_users, num_kinds, {"num_groups": num_kinds})


def _kinds(draw, num_pairs, flipped, width, num_users, num_kinds, settings):
    vectors = _texts(draw, width)
    unit = draw.integers(num_kinds, size=num_users)
    return _world(
        draw, vectors, lambda z: vectors @ z.T, draw.normal(size=(num_kinds, width)), unit,
        settings, f"{num_kinds} groups of users", {}, num_pairs, flipped,
    )  # fmt: skip


def conditional(
    draw, num_pairs, flipped, width=2, num_users=40, num_hidden=4, user_sd=1.5, head=0.25
):
    """The network with a column per user, of its prior; a smaller head, so that users differ."""
    vectors = _texts(draw, width)
    head = head * draw.normal(size=width) * 2.0 / width**0.5
    hidden = draw.normal(size=(num_hidden, width)) / width**0.5 / 3
    out = draw.normal(size=num_hidden) * 2.0 / num_hidden**0.5

    def scores(z):
        units = np.tanh((vectors @ hidden.T)[:, None] + user_sd * z)
        return (vectors @ head)[:, None] + units @ out

    return _world(
        draw, vectors, scores, draw.normal(size=(num_users, num_hidden)), np.arange(num_users),
        {"num_hidden": num_hidden, "user_sd": user_sd}, f"{num_hidden} tanh units, a small head",
        {"head": head, "hidden": hidden, "out": out}, num_pairs, flipped,
    )  # fmt: skip


def pal(
    draw, num_pairs, flipped, width=3, num_users=100, num_prototypes=2, latent=4, num_hidden=64
):
    """Mixtures of prototypes behind the network, of its prior."""
    from polylect.people.methods import pal as module

    vectors = _texts(draw, width)
    parts = {
        "first": draw.normal(size=(num_hidden, width)), "bias": draw.normal(size=num_hidden),
        "second": draw.normal(size=(latent, num_hidden)) / num_hidden**0.5,
        "prototypes": draw.normal(size=(num_prototypes, latent)),
    }  # fmt: skip
    points = module._unit(module._project(parts, vectors / width**0.5)[0])[0]

    def scores(z):
        return points @ module._unit(softmax(2 * z, axis=1) @ parts["prototypes"])[0].T

    return _world(
        draw, vectors, scores, draw.normal(size=(num_users, num_prototypes)), np.arange(num_users),
        {"num_prototypes": num_prototypes}, f"{num_prototypes} prototypes, {num_hidden} units",
        parts, num_pairs, flipped,
    )  # fmt: skip


def vpl(draw, num_pairs, flipped, width=2, num_users=100, latent=2, num_hidden=16):
    """A decoder of drawn weights on [vector, latent vector]."""
    vectors = _texts(draw, width)
    inner = num_hidden + 1
    first = draw.normal(size=(num_hidden, width + latent + 1)) / (width + latent + 1) ** 0.5
    second = draw.normal(size=(num_hidden, inner)) / inner**0.5
    third = draw.normal(size=num_hidden)

    def leaky(x):
        return np.where(x > 0, x, 0.2 * x)

    def scores(z):
        z = z / np.linalg.norm(z, axis=1, keepdims=True) * latent**0.5
        shape = (len(vectors), len(z), 1)
        inputs = np.concatenate([
            np.broadcast_to(vectors[:, None], (*shape[:2], width)),
            np.broadcast_to(z[None], (*shape[:2], latent)), np.ones(shape)], axis=2)  # fmt: skip
        units = np.concatenate([leaky(inputs @ first.T), np.ones(shape)], axis=2)
        return leaky(units @ second.T) @ third

    return _world(
        draw, vectors, scores, draw.normal(size=(num_users, latent)), np.arange(num_users),
        {"latent_width": latent}, f"decoder of {num_hidden} units, latent {latent}", {},
        num_pairs, flipped,
    )  # fmt: skip


def gpo(draw, num_pairs, flipped, width=2, num_users=40, num_kinds=4):
    """Linear tastes of groups."""
    return _kinds(draw, num_pairs, flipped, width, num_users, num_kinds, {})


def kernel(draw, num_pairs, flipped, width=1, num_users=20, length=1.0):
    """Smooth tastes: draws of a Gaussian process with the kernel of the vote."""
    vectors = _texts(draw, width)
    square = np.square(vectors[:, None] - vectors).sum(axis=2)
    values, directions = np.linalg.eigh(np.exp(-square / (2 * length**2)))
    kept = values > 1e-3
    root = directions[:, kept] * np.sqrt(values[kept])
    return _world(
        draw, vectors, lambda z: root @ z.T, draw.normal(size=(num_users, root.shape[1])),
        np.arange(num_users), {}, f"smooth functions, length {length}", {}, num_pairs, flipped,
    )  # fmt: skip


_WORLDS = {
    world.__name__: world
    for world in (pooled, individual, shrinkage, conditional, personalized, factorized, matching,
                  maxmin, pal, vpl, gpo, kernel)
}  # fmt: skip
