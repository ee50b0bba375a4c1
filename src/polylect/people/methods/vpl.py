"""Variational preference learning: a latent vector inferred from a user's pairs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from polylect.base import Count, NonNegative, Positive, derive_seed, import_optional
from polylect.people.methods.model import Arrays, VectorMethod, VectorModel
from polylect.people.methods.pairs import CrowdPairs, Pairs

if TYPE_CHECKING:
    import torch

    Weights = Mapping[str, torch.Tensor]

_LEAK = 0.2
_FLOOR = 0.1
_LEAST_LOG_VARIANCE = -8.0


@dataclass(frozen=True)
class Vpl(VectorMethod):
    """A network that scores [vector, z], z inferred from the user's pairs; BT + β · KL.

    Pairs are encoded by a three-layer network over [chosen, rejected], joined by one-head
    attention, averaged, and mapped to the mean and log-variance of z, both clamped to [−1, 1].
    z is rescaled to length √dim in training (μ + σε) **and** when a user is scored (μ): the
    authors' code rescales in training alone. KL(N(μ, σ²) ‖ N(0, 1)) is the mean over the batch's
    users, times β, times a cyclical cosine weight from 0.1 to 1. A new user needs one pass of the
    encoder and no training. Source: Poddar et al. 2024 (arXiv 2408.10075) and its code, with
    narrower layers, for vectors of a small encoder.

    Attributes:
        latent_width: length of z.
        num_hidden: units of every hidden layer.
        beta: β.
        num_steps: of Adam.
        num_cycles: of β's weight.
        users_per_step: users in a batch.
        num_context: most pairs that the encoder reads of a user, drawn anew in each step; the loss
            is taken on as many others of the user's pairs as there are, or on the same.
        learning_rate: of Adam, falling to 0 along a cosine after 3 % of warm-up.
        weight_decay: of Adam.
        is_bounded: as the authors' code has it. False leaves the mean free, and the log-variance
            down to −8: with the bounds, σ is never below 0.61 beside means of at most 1, so that
            even a latent vector that the pairs decide is read through that noise.
    """

    name: ClassVar[str] = "vpl"
    uses_torch: ClassVar[bool] = True
    personal_names: ClassVar[tuple[str, ...]] = ("latent",)

    latent_width: Count = 32
    num_hidden: Count = 128
    beta: NonNegative = 1e-4
    num_steps: Count = 800
    num_cycles: Count = 4
    users_per_step: Count = 16
    num_context: Count = 50
    learning_rate: Positive = 1e-3
    weight_decay: NonNegative = 1e-3
    is_bounded: bool = True

    def learn_all(self, pairs: CrowdPairs, shared: Arrays, seed: int) -> VectorModel:
        """The networks, then every user's latent vector."""
        torch = import_optional("torch", "the method vpl", "models")
        from polylect.people.methods.batches import train

        center, size = pairs.vectors.mean(axis=0), np.sqrt(pairs.spread / pairs.width)
        weights = self._start(pairs.width, derive_seed(seed, "vpl"))
        vectors = torch.tensor((pairs.vectors - center) / size, dtype=torch.float32)
        noise = torch.Generator().manual_seed(derive_seed(seed, "vpl noise"))

        def loss(batch: "torch.Tensor", context: "torch.Tensor", step: int) -> "torch.Tensor":
            shape = (len(batch), self.latent_width)
            return vpl_loss(
                weights, vectors, context, batch, torch.randn(shape, generator=noise),
                self.beta * cyclical_weight(step, self.num_steps, self.num_cycles),
                is_bounded=self.is_bounded,
            )  # fmt: skip

        train(
            list(weights.values()), loss, pairs, num_steps=self.num_steps,
            users_per_step=self.users_per_step, num_context=self.num_context,
            learning_rate=self.learning_rate, weight_decay=self.weight_decay,
            seed=derive_seed(seed, "vpl batches"),
        )  # fmt: skip
        arrays = {name: weight.detach().numpy() for name, weight in weights.items()}
        shared = {**shared, **arrays, "center": center, "size": np.array([size])}
        return self.with_users(shared, pairs)

    def learn(self, model: VectorModel, pairs: Pairs) -> Arrays:
        """The user's latent vector: the mean, rescaled, of at most ``num_context`` pairs."""
        torch = import_optional("torch", "the method vpl", "models")
        some = _evenly(len(pairs), self.num_context)
        context = torch.tensor(np.stack([pairs.chosen[some], pairs.rejected[some]], axis=1))
        weights = _tensors(model.shared)
        with torch.no_grad():
            vectors = torch.tensor(_standard(model.shared, pairs.vectors), dtype=torch.float32)
            mean, _ = encode(weights, vectors, context[None], is_bounded=self.is_bounded)
            return {"latent": rescaled(mean).numpy()}

    def score(self, shared: Arrays, personal: Arrays, vectors: np.ndarray) -> np.ndarray:
        """The network's output, with the user's latent vector."""
        torch = import_optional("torch", "the method vpl", "models")
        with torch.no_grad():
            inputs = torch.tensor(_standard(shared, vectors), dtype=torch.float32)
            scores = decode(_tensors(shared), inputs, torch.tensor(personal["latent"]))
        return scores[0].double().numpy()

    def _start(self, width: int, seed: int) -> dict[str, "torch.Tensor"]:
        """The layers, by name."""
        from polylect.people.methods.batches import uniform_layers

        hidden, latent = self.num_hidden, self.latent_width
        shapes = {
            "pair.1": (hidden, 2 * width), "pair.2": (hidden, hidden), "pair.3": (hidden, hidden),
            "query": (hidden, hidden), "key": (hidden, hidden), "value": (hidden, hidden),
            "mean": (latent, hidden), "log_variance": (latent, hidden),
            "decoder.1": (hidden, width + latent), "decoder.2": (hidden, hidden),
            "decoder.3": (1, hidden),
        }  # fmt: skip
        return uniform_layers(shapes, seed)


def vpl_loss(
    weights: "Weights", vectors: "torch.Tensor", context: "torch.Tensor", batch: "torch.Tensor",
    noise: "torch.Tensor", beta: float, *, is_bounded: bool = True,
) -> "torch.Tensor":  # fmt: skip
    """Mean Bradley–Terry loss of a batch, plus β times the mean KL divergence of its users.

    Args:
        weights: of the networks.
        vectors: of the texts [texts, width].
        context: chosen and rejected texts that the encoder reads [users, pairs, 2].
        batch: those whose preference is predicted [users, pairs, 2].
        noise: standard normal [users, latent].
        beta: β.
        is_bounded: see ``Vpl``.
    """
    from torch.nn.functional import softplus

    mean, log_variance = encode(weights, vectors, context, is_bounded=is_bounded)
    latent = rescaled(mean + (log_variance / 2).exp() * noise)
    texts, numbers = batch.unique(return_inverse=True)
    scores = decode(weights, vectors[texts], latent)
    of_pair = scores.gather(1, numbers.flatten(1)).view(batch.shape)
    divergence = (mean**2 + log_variance.exp() - 1.0 - log_variance).sum(1) / 2
    return softplus(of_pair[..., 1] - of_pair[..., 0]).mean() + beta * divergence.mean()


def encode(
    weights: "Weights", vectors: "torch.Tensor", context: "torch.Tensor", *,
    is_bounded: bool = True,
) -> tuple["torch.Tensor", "torch.Tensor"]:  # fmt: skip
    """Mean and log-variance of z, each [users, latent], in [−1, 1] where they are bounded."""
    from torch.nn.functional import leaky_relu

    # The first layer sees each text once, not each pair.
    first, width = weights["pair.1.weight"], vectors.shape[1]
    texts, numbers = context.unique(return_inverse=True)
    used = vectors[texts]
    chosen, rejected = used @ first[:, :width].T, used @ first[:, width:].T
    units = chosen[numbers[..., 0]] + rejected[numbers[..., 1]] + weights["pair.1.bias"]
    for layer in ("pair.2", "pair.3"):
        units = _linear(weights, layer, leaky_relu(units, _LEAK))
    query, key, value = (_linear(weights, name, units) for name in ("query", "key", "value"))
    attention = (query @ key.transpose(1, 2) / key.shape[2] ** 0.5).softmax(2)
    joined = (attention @ value).mean(1)
    mean, log_variance = (_linear(weights, name, joined) for name in ("mean", "log_variance"))
    if not is_bounded:
        return mean, log_variance.clamp(_LEAST_LOG_VARIANCE, 1.0)
    return mean.clamp(-1.0, 1.0), log_variance.clamp(-1.0, 1.0)


def decode(weights: "Weights", vectors: "torch.Tensor", latent: "torch.Tensor") -> "torch.Tensor":
    """Scores of texts for users [users, texts]."""
    from torch.nn.functional import leaky_relu

    first, width = weights["decoder.1.weight"], vectors.shape[1]
    of_text, of_user = vectors @ first[:, :width].T, latent @ first[:, width:].T
    units = of_text[None] + of_user[:, None] + weights["decoder.1.bias"]
    units = _linear(weights, "decoder.2", leaky_relu(units, _LEAK))
    return _linear(weights, "decoder.3", leaky_relu(units, _LEAK))[..., 0]


def rescaled(latent: "torch.Tensor") -> "torch.Tensor":
    """Rows of length √dim."""
    from torch.nn.functional import normalize

    return normalize(latent, dim=1) * latent.shape[1] ** 0.5


def cyclical_weight(step: int, num_steps: int, num_cycles: int) -> float:
    """Weight of the divergence: in each cycle from 0.1 up to 1 along half a cosine."""
    period = max(1, num_steps // num_cycles)
    return _FLOOR + (1.0 - _FLOOR) * (1.0 - float(np.cos(np.pi * (step % period) / period))) / 2


def _linear(weights: "Weights", name: str, inputs: "torch.Tensor") -> "torch.Tensor":
    return inputs @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def _tensors(shared: Arrays) -> dict[str, "torch.Tensor"]:
    import torch

    return {name: torch.tensor(array) for name, array in shared.items() if "." in name}


def _standard(shared: Arrays, vectors: np.ndarray) -> np.ndarray:
    return (vectors - shared["center"]) / float(shared["size"][0])


def _evenly(num: int, most: int) -> np.ndarray:
    """At most ``most`` of ``num`` numbers, spread evenly."""
    return np.arange(num) if num <= most else np.linspace(0, num - 1, most).round().astype(np.int64)
