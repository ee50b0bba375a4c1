"""Crowds whose every user's taste is known, and how well a model recovers it."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import kendalltau

from polylect.people import Crowd, Seen, Text


@dataclass(frozen=True)
class Known:
    """A crowd drawn from known scores.

    Attributes:
        crowd: training pairs over the first texts.
        seen: the first texts.
        unseen: texts that no pair holds, with their true scores ``truth`` [texts, users].
    """

    crowd: Crowd
    seen: Seen
    unseen: Seen
    truth: np.ndarray


def known_crowd(vectors, scores, num_pairs, seed=0, flipped=0.1, num_held_out=40):
    """Each user compares random texts by the sign of the scores [texts, users]; some are flipped.

    The last ``num_held_out`` texts are held out.
    """
    draw = np.random.default_rng(seed)
    num_texts, num_users = len(vectors) - num_held_out, scores.shape[1]
    user = np.repeat(np.arange(num_users), num_pairs)
    a = draw.integers(num_texts, size=len(user))
    b = (a + draw.integers(1, num_texts, size=len(user))) % num_texts
    wins = (scores[a, user] > scores[b, user]) ^ (draw.random(len(user)) < flipped)
    texts = tuple(Text((), f"text {i}", "en") for i in range(len(vectors)))
    vectors = np.asarray(vectors, np.float32)
    crowd = Crowd(
        tuple(f"user {i:03}" for i in range(num_users)), texts[:num_texts],
        np.arange(num_texts, dtype=np.int32), user.astype(np.int32),
        np.where(wins, a, b).astype(np.int32), np.where(wins, b, a).astype(np.int32),
    )  # fmt: skip
    return Known(
        crowd, Seen(texts[:num_texts], vectors[:num_texts]),
        Seen(texts[num_texts:], vectors[num_texts:]), scores[num_texts:],
    )  # fmt: skip


def recovery(model, known, seed=1, num_pairs=150, users=None):
    """Mean over users of Kendall's tau between true and fitted log-odds of held-out pairs."""
    draw = np.random.default_rng(seed)
    num = len(known.truth)
    a = draw.integers(num, size=num_pairs)
    b = (a + draw.integers(1, num, size=num_pairs)) % num
    taus = []
    for user in users or known.crowd.users:
        true = known.truth[:, known.crowd.users.index(user)]
        fitted = model.score(user, known.unseen)
        taus.append(kendalltau(true[a] - true[b], fitted[a] - fitted[b]).statistic)
    return float(np.mean(taus))
