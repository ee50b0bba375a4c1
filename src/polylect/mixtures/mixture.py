"""Mixtures: tokens per language and source, in stages, known before training."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from polylect.base import (
    Count,
    InputError,
    Positive,
    Range,
    Seed,
    check_settings,
    did_you_mean,
    digest_of,
)

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class Share:
    """The share of a language, from one source or all, in a stage.

    Attributes:
        language: tag.
        source: name of a source, or ``*`` for all of them.
        weight: multiplies its size; 2 gives twice what temperature sampling alone would.
        part: fixed fraction of the stage's tokens instead, from 0 to 1; the other shares split the
            rest.
        max_epochs: most epochs over its text in this stage.
    """

    language: str
    source: str = "*"
    weight: Positive = 1.0
    part: Annotated[float, Range(above=0, at_most=1)] | None = None
    max_epochs: Annotated[float, Range(above=0, at_most=math.inf)] = 4.0

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stage of training with fixed shares.

    Attributes:
        tokens: number of tokens over all shares.
        shares: the shares.
        temperature: shares are proportional to weight · size^(1/temperature): 1 follows the sizes,
            higher is more even, infinity is uniform (XLM-R's α is 1/temperature).
    """

    tokens: Count
    shares: tuple[Share, ...]
    temperature: Annotated[float, Range(above=0, at_most=math.inf)] = 1.0

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Stages in order, and the seed of the document order."""

    stages: tuple[Stage, ...]
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def digest(self) -> str:
        """Content digest."""
        return digest_of(self)

    @property
    def tokens(self) -> int:
        """Number of tokens over all stages."""
        return sum(stage.tokens for stage in self.stages)


def uniform_shares(languages: Sequence[str], *, max_epochs: float = 4.0) -> tuple[Share, ...]:
    """One share per language, all with weight 1."""
    return tuple(Share(language=tag, max_epochs=max_epochs) for tag in languages)


def plan_stage(stage: Stage, sizes: Mapping[tuple[str, str], int], where: str) -> list[int]:
    """Tokens of each share of a stage; they sum to the stage's tokens exactly.

    A share that would exceed its epoch cap gets the cap; the rest is spread over the others in
    proportion.

    Args:
        stage: the stage.
        sizes: available tokens by (language, source).
        where: names the stage in errors.

    Raises:
        InputError: a share has no text, or the caps together are below the stage's tokens.
    """
    if not stage.shares:
        raise InputError(f"{where}: no shares", "name at least one language")
    at_hand = [_size(share, sizes, where) for share in stage.shares]
    caps = [
        min(share.max_epochs * size, float(stage.tokens))
        for share, size in zip(stage.shares, at_hand, strict=True)
    ]
    if sum(map(math.floor, caps)) < stage.tokens:
        raise InputError(
            f"{where}: asks for {stage.tokens:,} tokens, but text and epoch caps give only"
            f" {sum(map(math.floor, caps)):,}",
            "ask for fewer tokens, or raise max_epochs",
        )
    fixed = sum(share.part for share in stage.shares if share.part is not None)
    pairs = zip(stage.shares, at_hand, strict=True)
    largest = max((size for share, size in pairs if share.part is None), default=1)
    free = [
        share.weight * (size / largest) ** (1.0 / stage.temperature) if share.part is None else 0.0
        for share, size in zip(stage.shares, at_hand, strict=True)
    ]
    if fixed > 1.0 + 1e-9 or (sum(free) == 0.0 and fixed < 1.0 - 1e-9):
        raise InputError(
            f"{where}: fixed parts sum to {fixed:g}",
            "they must sum to at most 1, and to 1 when every share has one",
        )
    wanted = [
        share.part if share.part is not None else max(0.0, 1.0 - fixed) * weight / sum(free)
        for share, weight in zip(stage.shares, free, strict=True)
    ]
    return _round_to(_fill(wanted, caps, stage.tokens), stage.tokens, caps)


def _size(share: Share, sizes: Mapping[tuple[str, str], int], where: str) -> int:
    size = sum(
        num
        for (language, source), num in sizes.items()
        if language == share.language and share.source in {"*", source}
    )
    if size == 0:
        known = sorted({source for _, source in sizes} if share.source != "*" else
                       {language for language, _ in sizes})  # fmt: skip
        name = share.source if share.source != "*" else share.language
        raise InputError(
            f"{where}: there is no text of language {share.language!r}, source {share.source!r}",
            did_you_mean(name, known) or f"known are {' '.join(known)}",
        )
    return size


def _fill(wanted: Sequence[float], caps: Sequence[float], tokens: int) -> list[float]:
    """Split ``tokens`` in proportion to ``wanted``, none above its cap."""
    open_ = set(range(len(wanted)))
    given = [0.0] * len(wanted)
    left = float(tokens)
    while open_ and (rest := sum(wanted[i] for i in open_)) > 0:
        scale = left / rest
        full = [i for i in sorted(open_) if wanted[i] * scale >= caps[i]]
        if not full:
            for i in open_:
                given[i] = wanted[i] * scale
            break
        for i in full:
            given[i] = caps[i]
            left -= caps[i]
            open_.discard(i)
    return given


def _round_to(given: Sequence[float], tokens: int, caps: Sequence[float]) -> list[int]:
    """Integers that sum to ``tokens``, by largest remainder, none above its cap."""
    whole = [math.floor(min(quota, cap)) for quota, cap in zip(given, caps, strict=True)]
    order = sorted(range(len(whole)), key=lambda i: (whole[i] - given[i], i))
    missing = tokens - sum(whole)
    while missing > 0:
        for i in order:
            if missing > 0 and whole[i] + 1 <= caps[i]:
                whole[i] += 1
                missing -= 1
    return whole


def plan(mixture: Mixture, sizes: Mapping[tuple[str, str], int]) -> list[dict[str, object]]:
    """Tokens of every stage and share, before any training.

    Returns:
        rows of stage (from 0), language, source, tokens, available (tokens of text), epochs.
    """
    rows: list[dict[str, object]] = []
    for number, stage in enumerate(mixture.stages):
        where = f"stage {number + 1} of the mixture"
        for share, tokens in zip(stage.shares, plan_stage(stage, sizes, where), strict=True):
            available = _size(share, sizes, where)
            rows.append(
                {
                    "stage": number,
                    "language": share.language,
                    "source": share.source,
                    "tokens": tokens,
                    "available": available,
                    "epochs": round(tokens / available, 4),
                }
            )
    return rows


def interleave(counts: "Sequence[np.ndarray]") -> "np.ndarray":
    """An even interleaving of several queues: (queue, position) pairs, int64 [N, 2].

    Each queue is spread evenly by the token counts of its members, so that any stretch holds every
    queue at its share. Ties go to the earlier queue.

    Args:
        counts: token counts of each queue's members, in order.
    """
    import numpy as np

    queues, positions, keys = [], [], []
    for queue, tokens in enumerate(counts):
        ends = np.cumsum(tokens)
        keys.append((ends - tokens / 2) / ends[-1])
        queues.append(np.full(len(tokens), queue))
        positions.append(np.arange(len(tokens)))
    queue_of, position_of = np.concatenate(queues), np.concatenate(positions)
    order = np.lexsort((queue_of, np.concatenate(keys)))
    return np.stack([queue_of[order], position_of[order]], axis=1)
