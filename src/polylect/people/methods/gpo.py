"""Group preference optimization: a transformer that reads a user's preferences in context."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from polylect.base import (
    Count,
    InputError,
    NonNegative,
    Positive,
    check_settings,
    derive_seed,
    import_optional,
)
from polylect.people.methods.model import Arrays, VectorMethod, VectorModel, pairs_as_arrays
from polylect.people.methods.pairs import CrowdPairs, Pairs

if TYPE_CHECKING:
    import torch

    Weights = Mapping[str, torch.Tensor]

_EMBEDDER = 4


@dataclass(frozen=True)
class Gpo(VectorMethod):
    """A transformer without positions, meta-trained over users to continue their preferences.

    A pair is two points [vector, y]: y is √width for the chosen text and −√width for the rejected
    one (as long as the standardized vector, or it would drown), 0 for a text that is asked about.
    Points pass a four-layer network, then transformer layers
    (pre-normalized, GELU) in which every point attends to context points alone; a linear head
    gives each asked point a value, and the values of a pair are soft-maxed over the two. A new
    user needs no training: the pairs are the context. Source: Zhao et al. 2024 (arXiv 2310.11523)
    and its code, which takes y as 1 or 0 with 0 for asked points (here the three differ), asks
    about the options of questions, trains far longer, and is wider.

    Attributes:
        model_width: of the transformer.
        num_layers: of it.
        num_heads: of its attention; they divide ``model_width``.
        feed_forward_width: of its layers.
        num_steps: of Adam.
        users_per_step: users in a batch.
        num_context: most pairs in context; a step draws how many, from a tenth up.
        learning_rate: of Adam, falling to 0 along a cosine after 3 % of warm-up.
        weight_decay: of Adam.
    """

    name: ClassVar[str] = "gpo"
    uses_torch: ClassVar[bool] = True
    personal_names: ClassVar[tuple[str, ...]] = ("vectors", "pairs")

    model_width: Count = 64
    num_layers: Count = 3
    num_heads: Count = 4
    feed_forward_width: Count = 128
    num_steps: Count = 800
    users_per_step: Count = 16
    num_context: Count = 50
    learning_rate: Positive = 1e-3
    weight_decay: NonNegative = 1e-4

    def __post_init__(self) -> None:
        check_settings(self)
        if self.model_width % self.num_heads:
            raise InputError(
                f"model_width is {self.model_width}, which {self.num_heads} heads do not divide",
                f"give a multiple of {self.num_heads}",
            )

    def learn_all(self, pairs: CrowdPairs, shared: Arrays, seed: int) -> VectorModel:
        """The transformer; every user's pairs are kept as context."""
        torch = import_optional("torch", "the method gpo", "models")
        from polylect.people.methods.batches import train

        center, size = pairs.vectors.mean(axis=0), np.sqrt(pairs.spread / pairs.width)
        weights = self._start(pairs.width, derive_seed(seed, "gpo"))
        vectors = torch.tensor((pairs.vectors - center) / size, dtype=torch.float32)

        def loss(batch: "torch.Tensor", context: "torch.Tensor", step: int) -> "torch.Tensor":
            return gpo_loss(weights, vectors, context, batch, self.num_heads)

        train(
            list(weights.values()), loss, pairs, num_steps=self.num_steps,
            users_per_step=self.users_per_step, num_context=self.num_context,
            learning_rate=self.learning_rate, weight_decay=self.weight_decay,
            seed=derive_seed(seed, "gpo batches"), least_context=max(1, self.num_context // 10),
        )  # fmt: skip
        arrays = {name: weight.detach().numpy() for name, weight in weights.items()}
        shared = {**shared, **arrays, "center": center, "size": np.array([size])}
        return self.with_users(shared, pairs)

    def learn(self, model: VectorModel, pairs: Pairs) -> Arrays:
        """The user's pairs as they are."""
        return pairs_as_arrays(pairs)

    def score(self, shared: Arrays, personal: Arrays, vectors: np.ndarray) -> np.ndarray:
        """The value of each text, with all pairs of the user as context."""
        torch = import_optional("torch", "the method gpo", "models")
        weights = {name: torch.tensor(array) for name, array in shared.items() if "." in name}

        def standard(vectors: np.ndarray) -> "torch.Tensor":
            scaled = (vectors - shared["center"]) / float(shared["size"][0])
            return torch.tensor(scaled, dtype=torch.float32)

        with torch.no_grad():
            context = context_points(
                weights, standard(personal["vectors"]), torch.tensor(personal["pairs"])[None].long()
            )
            asked = asked_points(weights, standard(vectors))[None]
            values = transform(weights, context, asked, self.num_heads)
        return values[0].double().numpy()

    def _start(self, width: int, seed: int) -> dict[str, "torch.Tensor"]:
        """The layers, by name."""
        from polylect.people.methods.batches import uniform_layers

        model, feed = self.model_width, self.feed_forward_width
        shapes = {"embed.0": (model, width + 1)}
        shapes |= {f"embed.{i}": (model, model) for i in range(1, _EMBEDDER)}
        for i in range(self.num_layers):
            shapes |= {
                f"{i}.{name}": (model, model) for name in ("query", "key", "value", "join")
            }  # fmt: skip
            shapes |= {f"{i}.up": (feed, model), f"{i}.down": (model, feed)}
        shapes["head.0"] = (1, model)
        return uniform_layers(shapes, seed)


def gpo_loss(
    weights: "Weights", vectors: "torch.Tensor", context: "torch.Tensor", batch: "torch.Tensor",
    num_heads: int,
) -> "torch.Tensor":  # fmt: skip
    """Mean negative log-probability of the chosen text, by a softmax over the two of a pair.

    Args:
        weights: of the transformer.
        vectors: of the texts [texts, width].
        context: chosen and rejected texts in context [users, pairs, 2].
        batch: those that are asked about [users, pairs, 2].
        num_heads: of the attention.
    """
    texts, numbers = batch.unique(return_inverse=True)
    asked = asked_points(weights, vectors[texts])
    # Each user is asked about each text of the batch once, where that is less than their pairs.
    if len(texts) <= numbers[0].numel():
        asked = asked[None].expand(len(batch), -1, -1)
        values = transform(weights, context_points(weights, vectors, context), asked, num_heads)
        of_pair = values.gather(1, numbers.flatten(1)).view(batch.shape)
    else:
        points = context_points(weights, vectors, context)
        values = transform(weights, points, asked[numbers.flatten(1)], num_heads)
        of_pair = values.view(batch.shape)
    return -of_pair.log_softmax(2)[..., 0].mean()


def context_points(
    weights: "Weights", vectors: "torch.Tensor", context: "torch.Tensor"
) -> "torch.Tensor":
    """Embedded points of pairs [users, 2 pairs, model width]: all chosen, then all rejected."""
    import torch

    first = weights["embed.0.weight"]
    texts, numbers = context.unique(return_inverse=True)
    of_text = vectors[texts] @ first[:, :-1].T + weights["embed.0.bias"]
    preference = (first.shape[1] - 1) ** 0.5 * first[:, -1]
    sides = [of_text[numbers[..., i]] + (1 - 2 * i) * preference for i in (0, 1)]
    return _embed(weights, torch.cat(sides, 1))


def asked_points(weights: "Weights", vectors: "torch.Tensor") -> "torch.Tensor":
    """Embedded points of texts that are asked about [texts, model width]."""
    return _embed(weights, vectors @ weights["embed.0.weight"][:, :-1].T + weights["embed.0.bias"])


def transform(
    weights: "Weights", context: "torch.Tensor", asked: "torch.Tensor", num_heads: int
) -> "torch.Tensor":
    """Values of asked points [users, asked]; every point attends to the context alone."""
    from torch.nn.functional import gelu, layer_norm, scaled_dot_product_attention

    width, num_layers = context.shape[2], sum(name.endswith(".up.bias") for name in weights)

    def split(points: "torch.Tensor") -> "torch.Tensor":
        return points.unflatten(2, (num_heads, width // num_heads)).transpose(1, 2)

    for i in range(num_layers):
        normal = layer_norm(context, (width,))
        key, value = (split(_linear(weights, f"{i}.{x}", normal)) for x in ("key", "value"))
        streams = []
        for points in (context, asked):
            query = split(_linear(weights, f"{i}.query", layer_norm(points, (width,))))
            joined = scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
            points = points + _linear(weights, f"{i}.join", joined)
            inner = gelu(_linear(weights, f"{i}.up", layer_norm(points, (width,))))
            streams.append(points + _linear(weights, f"{i}.down", inner))
        context, asked = streams
    return _linear(weights, "head.0", layer_norm(asked, (width,)))[..., 0]


def _embed(weights: "Weights", inputs: "torch.Tensor") -> "torch.Tensor":
    for i in range(1, _EMBEDDER):
        inputs = _linear(weights, f"embed.{i}", inputs.relu())
    return inputs


def _linear(weights: "Weights", name: str, inputs: "torch.Tensor") -> "torch.Tensor":
    return inputs @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
