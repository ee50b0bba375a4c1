"""In which order examples are learnt from: a function of their languages, the seed and the epochs.

An epoch has as many examples as there are, or a language's part of it is set: by a temperature, or
by shares. What a language has too few of repeats, what it has too many of waits for the next epoch.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from polylect.base import InputError, Ledger, generator
from polylect.train.config import ExamplesConfig


class Spoken(Protocol):
    """Something in a language."""

    @property
    def language(self) -> str:
        """Its tag."""
        ...


def quotas(
    sizes: Mapping[str, int], temperature: float, shares: Mapping[str, float], total: int
) -> dict[str, int]:
    """Examples of each language among ``total``; they sum to it, each within one of its part.

    Args:
        sizes: examples that each language has.
        temperature: 1 follows the sizes; T gives sizes^(1/T).
        shares: parts by language, summing to anything; empty follows the temperature.
        total: of all.

    Raises:
        InputError: a share of a language without examples, or a temperature below 1.
    """
    if temperature < 1:
        raise InputError(f"--temperature is {temperature}", "give 1 or more; 1 follows the sizes")
    for tag, share in shares.items():
        if share < 0 or (share > 0 and not sizes.get(tag)):
            raise InputError(
                f"--shares asks for {share:g} of {tag}, of which there is no example",
                f"there are {', '.join(sorted(sizes))}",
            )
    if shares and not any(shares.values()):
        raise InputError("--shares are all 0", "give one language a part")
    weight = {
        tag: shares.get(tag, 0.0) if shares else num ** (1 / temperature)
        for tag, num in sorted(sizes.items())
    }
    scale = total / sum(weight.values())
    found = {tag: int(scale * one) for tag, one in weight.items()}
    # Largest remainders, so that they sum to the total.
    rest = sorted(weight, key=lambda tag: (found[tag] - scale * weight[tag], tag))
    for tag in rest[: total - sum(found.values())]:
        found[tag] += 1
    return found


def training_order(
    languages: Sequence[str],
    epochs: float,
    seed: int,
    ledger: Ledger,
    *,
    temperature: float = 1.0,
    shares: Mapping[str, float] | None = None,
) -> np.ndarray:
    """Indices of examples, int64 [round(epochs · N)], the languages spread evenly.

    Args:
        languages: tag of every example.
        epochs: how often as many examples as there are; may be a fraction.
        seed: of the order.
        ledger: counts what repeats and what is left out.
        temperature: of the languages' parts, as for ``quotas``.
        shares: of the languages, as for ``quotas``.

    Raises:
        InputError: no example would be left, or as for ``quotas``.
    """
    tags = np.array(languages)
    total = round(epochs * len(tags))
    if total < 1:
        raise InputError(f"--epochs is {epochs} of {len(tags)} examples: none", "give 1 or more")
    sizes = {tag: int((tags == tag).sum()) for tag in sorted(set(languages))}
    wanted = quotas(sizes, temperature, shares or {}, total)
    drawn, at = [], []
    for tag, num in wanted.items():
        mine = np.flatnonzero(tags == tag)
        rounds = -(-num // len(mine))
        turns = [generator(seed, "order", tag, i).permutation(mine) for i in range(rounds)]
        queue = np.concatenate([mine[:0], *turns])[:num]
        whole = int(np.ceil(epochs))
        ledger.count("repeated: example of a small language", max(0, num - whole * len(mine)), tag)
        ledger.count("left out: example of a large language", max(0, len(mine) - num), tag)
        drawn.append(queue)
        # Evenly over the whole, each language from a place of its own.
        offset = generator(seed, "offset", tag).random()
        at.append((np.arange(num) + offset) / max(1, num))
    order = np.argsort(np.concatenate(at), kind="stable")
    return np.concatenate(drawn)[order].astype(np.int64)


def order_of(config: ExamplesConfig, examples: Sequence[Spoken], ledger: Ledger) -> np.ndarray:
    """``training_order`` of examples that each have a ``language``, as a configuration asks."""
    return training_order(
        [one.language for one in examples],
        config.epochs,
        config.seed,
        ledger,
        temperature=config.temperature,
        shares=config.shares,
    )
