"""Mixtures: what share of the tokens each language and source gets, in stages, known beforehand."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from polylect.base import InputError, did_you_mean, digest_of


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one language, from one source or from all, asks of a stage.

    Attributes:
        language: tag.
        source: name of a source, or ``*`` for all of them.
        weight: factor on its size; 2 asks for twice what the temperature alone would give.
        part: a fixed part of the stage's tokens instead, from 0 to 1; the other shares split the
            rest.
        max_epochs: how often its tokens may be seen in the stage.
    """

    language: str
    source: str = "*"
    weight: float = 1.0
    part: float | None = None
    max_epochs: float = 4.0


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stretch of training on fixed shares.

    Attributes:
        tokens: how many, over all shares.
        shares: who gets them.
        temperature: a share's part is proportional to weight · size^(1/temperature): 1 follows the
            sizes, larger ones flatten, infinity gives equal parts (XLM-R's α is 1/temperature).
    """

    tokens: int
    shares: tuple[Share, ...]
    temperature: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Stages in order, and the seed of the order of documents."""

    stages: tuple[Stage, ...]
    seed: int = 0

    @property
    def digest(self) -> str:
        """Digest of the content."""
        return digest_of(self)

    @property
    def tokens(self) -> int:
        """Tokens of all stages."""
        return sum(stage.tokens for stage in self.stages)


def uniform_shares(languages: Sequence[str], *, max_epochs: float = 4.0) -> tuple[Share, ...]:
    """One share for each language, all of weight 1."""
    return tuple(Share(language=tag, max_epochs=max_epochs) for tag in languages)


def plan_stage(stage: Stage, sizes: Mapping[tuple[str, str], int], where: str) -> list[int]:
    """Tokens for each share of a stage; they sum to the stage's tokens exactly.

    A share that would pass its epochs cap gets the cap, and the rest is spread over the others in
    their proportions.

    Args:
        stage: what is asked.
        sizes: tokens at hand by (language, source).
        where: the place, named in errors.

    Raises:
        InputError: a share has no text; the caps together are below the stage's tokens; a
            temperature or weight is not positive.
    """
    if not stage.temperature > 0:
        raise InputError(f"{where}: temperature is {stage.temperature}", "give one above 0")
    if stage.tokens <= 0:
        raise InputError(f"{where}: tokens is {stage.tokens}", "give at least 1")
    if not stage.shares:
        raise InputError(f"{where}: no shares", "name at least one language")
    at_hand = [_size(share, sizes, where) for share in stage.shares]
    caps = [
        min(share.max_epochs * size, float(stage.tokens))
        for share, size in zip(stage.shares, at_hand, strict=True)
    ]
    if sum(map(math.floor, caps)) < stage.tokens:
        raise InputError(
            f"{where}: asks for {stage.tokens:,} tokens, but the text and the epochs caps give"
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
            f"{where}: the fixed parts sum to {fixed:g}",
            "parts sum to at most 1, and to 1 when every share has one",
        )
    wanted = [
        share.part if share.part is not None else max(0.0, 1.0 - fixed) * one / sum(free)
        for share, one in zip(stage.shares, free, strict=True)
    ]
    return _round_to(_fill(wanted, caps, stage.tokens), stage.tokens, caps)


def _size(share: Share, sizes: Mapping[tuple[str, str], int], where: str) -> int:
    bad_part = share.part is not None and not 0 < share.part <= 1
    if not 0 < share.weight < math.inf or not share.max_epochs > 0 or bad_part:
        raise InputError(
            f"{where}: share {share.language}: weight {share.weight}, part {share.part}, max_epochs"
            f" {share.max_epochs}",
            "all must be above 0, a weight finite, a part at most 1; or leave the share out",
        )
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
    """Split ``tokens`` in proportion to ``wanted``, nobody above the cap."""
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
    """Whole numbers that sum to ``tokens``: largest remainders first, nobody above the cap."""
    whole = [math.floor(min(one, cap)) for one, cap in zip(given, caps, strict=True)]
    order = sorted(range(len(whole)), key=lambda i: (whole[i] - given[i], i))
    missing = tokens - sum(whole)
    while missing > 0:
        for i in order:
            if missing > 0 and whole[i] + 1 <= caps[i]:
                whole[i] += 1
                missing -= 1
    return whole


def plan(mixture: Mixture, sizes: Mapping[tuple[str, str], int]) -> list[dict[str, object]]:
    """The answer to "who gets how many tokens": a row per stage and share, before any training.

    Returns:
        rows of stage (from 0), language, source, tokens, available (tokens at hand), epochs.
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


def interleave(counts: Sequence[np.ndarray]) -> np.ndarray:
    """An order that mixes several queues evenly: (queue, position) pairs, int64 [N, 2].

    Each queue is laid out evenly over the whole, by the tokens of its members, so that any stretch
    holds every queue at its share. Ties go to the earlier queue.

    Args:
        counts: for each queue, the tokens of its members in order.
    """
    queues, positions, keys = [], [], []
    for queue, tokens in enumerate(counts):
        ends = np.cumsum(tokens)
        keys.append((ends - tokens / 2) / ends[-1])
        queues.append(np.full(len(tokens), queue))
        positions.append(np.arange(len(tokens)))
    queue_of, position_of = np.concatenate(queues), np.concatenate(positions)
    order = np.lexsort((queue_of, np.concatenate(keys)))
    return np.stack([queue_of[order], position_of[order]], axis=1)
