"""Configuration of models that are built here."""

from dataclasses import dataclass

from polylect.base import Count, InputError, Seed, check_settings


@dataclass(frozen=True, kw_only=True)
class BuildConfig:
    """A small hybrid-attention Cohere 2 model of about a given number of parameters.

    Attributes:
        num_parameters: budget, embeddings included; the largest shape within it is taken.
        context_tokens: longest input.
        sliding_window: tokens that three of four layers look back; every fourth layer sees all and
            has no positions (Command A, section 2).
        seed: of the initial weights.
    """

    num_parameters: Count = 5_000_000
    context_tokens: Count = 256
    sliding_window: Count = 64
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a model: hidden, layers, feed-forward, heads, key heads, parameters in all."""

    hidden_size: int
    num_layers: int
    intermediate_size: int
    num_heads: int
    num_key_heads: int
    num_parameters: int


def shape_for(num_parameters: int, vocab_size: int) -> Shape:
    """The largest shape within a budget, embeddings tied and counted.

    Layers come in fours, so that full layers keep their share; the width is a multiple of 64
    (from 512 on of 128), between 16 and 128 times the depth; heads are 32 wide below a width of
    512, then 64; two heads share keys; the feed-forward is 8/3 as wide, rounded up to 64.

    Raises:
        InputError: the budget does not even hold the smallest shape.
    """
    best: Shape | None = None
    for num_layers in range(4, 129, 4):
        for width in range(max(64, 16 * num_layers), 128 * num_layers + 1, 64):
            if width >= 512 and width % 128:
                continue  # an odd number of heads cannot share keys in pairs
            shape = _shape(width, num_layers, vocab_size)
            if shape.num_parameters > num_parameters:
                break
            if best is None or shape.num_parameters > best.num_parameters:
                best = shape
    if best is None:
        smallest = _shape(64, 4, vocab_size).num_parameters
        raise InputError(
            f"{num_parameters:,} parameters do not hold a vocabulary of {vocab_size:,}",
            f"give at least --num-parameters {smallest}, or a smaller --vocab-size",
        )
    return best


def _shape(width: int, num_layers: int, vocab_size: int) -> Shape:
    head = 32 if width < 512 else 64
    heads = width // head
    forward = -(-width * 8 // 3 // 64) * 64
    attention = 2 * width * width + 2 * width * (heads // 2) * head
    layer = attention + 3 * width * forward + width
    total = vocab_size * width + num_layers * layer + width
    return Shape(width, num_layers, forward, heads, heads // 2, total)
