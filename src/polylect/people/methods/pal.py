"""Users as mixtures of a few prototypes in a space that is learned for texts."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from polylect.base import Count, generator
from polylect.people.methods.descent import Parts, descend
from polylect.people.methods.heads import log_sigmoid
from polylect.people.methods.model import Arrays, VectorMethod, VectorModel
from polylect.people.methods.pairs import CrowdPairs, Pairs

_TEMPERATURE = 1 / 0.07
_PRECISIONS = {"first": 1.0, "bias": 1.0, "second": 1.0, "prototypes": 1.0, "logits": 0.25}
_ROUGHNESS = 300.0
_TEMPERATURE_PRECISION = 1.0


@dataclass(frozen=True)
class Pal(VectorMethod):
    """Ideal points that are mixtures of prototypes; a text near a user's point is liked.

    A text's score is t · cos(f(x), Σ_k softmax(a_u)_k p_k): f is a two-layer network with GELU that
    all share, p_k are the prototypes, t is a learned temperature that starts at 1/0.07. A new user
    learns a_u alone, K numbers. Weights have normal priors, and so has t. A cosine does not change
    with the length of f, so that its second layer's prior alone would bind nothing: 300 times the
    squares of that layer, over the mean square of f's length, are added to the loss.
    Source: PAL (Chen et al. 2024, arXiv 2406.08469) and its code; there a prototype depends on the
    prompt's vector, which a frozen vector of prompt and response together does not give apart, so
    that prototypes are points here.

    Attributes:
        num_prototypes: K.
        num_hidden: units of f's hidden layer.
        latent_width: of the space of f and the prototypes.
        num_steps: most iterations of L-BFGS, which sees all pairs at once.
    """

    name: ClassVar[str] = "pal"
    personal_names: ClassVar[tuple[str, ...]] = ("logits",)

    num_prototypes: Count = 2
    num_hidden: Count = 64
    latent_width: Count = 32
    num_steps: Count = 100

    def learn_all(self, pairs: CrowdPairs, shared: Arrays, seed: int) -> VectorModel:
        """Network, prototypes and all users' mixtures."""
        draw = generator(seed, "pal")
        center, size = pairs.vectors.mean(axis=0), np.sqrt(pairs.spread)
        vectors = (pairs.vectors - center) / size
        start = {
            "first": draw.normal(size=(self.num_hidden, pairs.width)),
            "bias": np.zeros(self.num_hidden),
            "second": draw.normal(size=(self.latent_width, self.num_hidden)) / self.num_hidden**0.5,
            "prototypes": draw.normal(size=(self.num_prototypes, self.latent_width)),
            "logits": 0.1 * draw.normal(size=(len(pairs.users), self.num_prototypes)),
            "temperature": np.array([_TEMPERATURE]),
        }

        def objective(parts: Parts) -> tuple[float, Parts]:
            value, slopes = loss_and_slopes(parts, vectors, pairs)
            for name, precision in _PRECISIONS.items():
                value += 0.5 * precision * float(np.square(parts[name]).sum())
                slopes[name] += precision * parts[name]
            value += 0.5 * _TEMPERATURE_PRECISION * float(np.square(parts["temperature"]).sum())
            slopes["temperature"] += _TEMPERATURE_PRECISION * parts["temperature"]
            return value, slopes

        parts = descend(objective, start, self.num_steps)
        logits = parts.pop("logits")
        shared = {**shared, **parts, "center": center, "size": np.array([size])}
        learned = tuple({"logits": row[None]} for row in logits)
        return VectorModel(self, pairs.users, shared, learned)

    def learn(self, model: VectorModel, pairs: Pairs) -> Arrays:
        """The user's mixture."""
        shared = model.shared
        points = _unit(_project(shared, _standard(shared, pairs.vectors))[0])[0]
        differences = points[pairs.chosen] - points[pairs.rejected]
        user = np.zeros(len(pairs), np.int64)

        def objective(parts: Parts) -> tuple[float, Parts]:
            value, slopes, _ = _mixture_loss({**shared, **parts}, differences, user)
            precision = _PRECISIONS["logits"]
            value += 0.5 * precision * float(np.square(parts["logits"]).sum())
            return value, {"logits": slopes["logits"] + precision * parts["logits"]}

        start = {"logits": np.zeros((1, len(shared["prototypes"])))}
        return descend(objective, start, self.num_steps)

    def score(self, shared: Arrays, personal: Arrays, vectors: np.ndarray) -> np.ndarray:
        """The scaled cosine of each text with the user's point."""
        points = _unit(_project(shared, _standard(shared, vectors))[0])[0]
        user = _unit(_softmax(personal["logits"]) @ shared["prototypes"])[0]
        return shared["temperature"][0] * points @ user[0]


def loss_and_slopes(
    parts: Parts, vectors: np.ndarray, pairs: CrowdPairs
) -> tuple[float, dict[str, np.ndarray]]:
    """Bradley–Terry loss, summed over the pairs, plus f's roughness, and the slopes in all parts.

    Args:
        parts: ``first`` [hidden, width], ``bias`` [hidden], ``second`` [latent, hidden],
            ``prototypes`` [K, latent], ``logits`` [users, K], ``temperature`` [1].
        vectors: of the texts, centered and scaled.
        pairs: who prefers what.
    """
    from scipy.sparse import csr_array

    latent, units, unit_slopes = _project(parts, vectors)
    points, norms = _unit(latent)
    differences = points[pairs.chosen] - points[pairs.rejected]
    value, slopes, to_difference = _mixture_loss(parts, differences, pairs.user)
    num = len(pairs)
    signs = np.concatenate([np.ones(num), -np.ones(num)])
    places = (np.concatenate([pairs.chosen, pairs.rejected]), np.tile(np.arange(num), 2))
    to_point = csr_array((signs, places), shape=(len(vectors), num)) @ to_difference
    squares, length = np.square(parts["second"]).sum(), np.square(latent).sum(axis=1).mean()
    roughness = _ROUGHNESS * float(squares / length)
    to_latent = _through_unit(to_point, points, norms)
    to_latent -= 2.0 * roughness / length / len(vectors) * latent
    to_input = (to_latent @ parts["second"]) * unit_slopes
    slopes |= {
        "first": to_input.T @ vectors,
        "bias": to_input.sum(axis=0),
        "second": to_latent.T @ units + 2.0 * _ROUGHNESS / length * parts["second"],
    }
    return value + roughness, slopes


def _mixture_loss(
    parts: Parts, differences: np.ndarray, user: np.ndarray
) -> tuple[float, dict[str, np.ndarray], np.ndarray]:
    """Loss, slopes of what is the users', and the slope in the differences [pairs, latent]."""
    from scipy.special import expit

    shares = _softmax(parts["logits"])
    ideal, norms = _unit(shares @ parts["prototypes"])
    # As it is: by its logarithm, one long step of the search ends where it has no slope.
    temperature = float(parts["temperature"][0])
    of_pair = ideal[user]
    cosine = np.einsum("pk,pk->p", differences, of_pair)
    margin = temperature * cosine
    slope = -expit(-margin)
    starts = np.searchsorted(user, np.arange(len(shares)))
    to_ideal = np.add.reduceat((temperature * slope)[:, None] * differences, starts, axis=0)
    to_mean = _through_unit(to_ideal, ideal, norms)
    to_share = to_mean @ parts["prototypes"].T
    slopes = {
        "logits": shares * (to_share - (shares * to_share).sum(axis=1, keepdims=True)),
        "prototypes": shares.T @ to_mean,
        "temperature": np.array([float(slope @ cosine)]),
    }
    return -float(log_sigmoid(margin).sum()), slopes, (temperature * slope)[:, None] * of_pair


def _project(parts: Arrays, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """f(x) [texts, latent], the hidden units [texts, hidden] and their slopes."""
    from scipy.special import ndtr

    inputs = vectors @ parts["first"].T + parts["bias"]
    below = ndtr(inputs)
    units = inputs * below
    slopes = below + inputs * np.exp(-0.5 * np.square(inputs)) / np.sqrt(2.0 * np.pi)
    return units @ parts["second"].T, units, slopes


def _standard(shared: Arrays, vectors: np.ndarray) -> np.ndarray:
    return (vectors - shared["center"]) / float(shared["size"][0])


def _softmax(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def _unit(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of length 1, and the lengths [rows, 1]."""
    norms = np.sqrt(np.square(rows).sum(axis=1, keepdims=True) + 1e-12)
    return rows / norms, norms


def _through_unit(slope: np.ndarray, unit: np.ndarray, norms: np.ndarray) -> np.ndarray:
    """The slope in rows, from that in the rows of length 1."""
    return (slope - unit * (slope * unit).sum(axis=1, keepdims=True)) / norms
