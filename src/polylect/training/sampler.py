"""In which order examples are learned from: a function of what they are, the seed and the epochs.

Examples of one language and source are a cell. A stage of the training gives every cell a part: by
a temperature, or by shares. What a cell has too few of repeats, what it has too many of waits for
the next stage or epoch.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from polylect.base import InputError, Ledger, did_you_mean, generator, write_json
from polylect.runs import StepContext
from polylect.training.config import ExamplesConfig, ExampleStage
from polylect.training.mesh import processes

MIXTURE = "mixture.json"
Cell = tuple[str, str]
"""Language and source; the source is empty where a file names none."""


class RenderedChat(Protocol):
    """Something in a language."""

    @property
    def language(self) -> str:
        """Its tag."""
        ...

    @property
    def source(self) -> str:
        """Where it is from."""
        ...


def name_of(cell: Cell) -> str:
    """``TAG``, or ``TAG/SOURCE``."""
    return "/".join(filter(None, cell))


def quotas(
    sizes: Mapping[Cell, int],
    temperature: float,
    shares: Mapping[str, float],
    total: int,
    where: str = "mixture",
) -> dict[Cell, int]:
    """Examples of each cell among ``total``; they sum to it, each within one of its part.

    Args:
        sizes: examples that each cell has.
        temperature: 1 follows the sizes; T gives sizes^(1/T).
        shares: parts by name, as for ``ExampleStage``, summing to anything; empty follows the
            temperature alone.
        total: of all.
        where: the place, named in errors.

    Raises:
        InputError: a share that no example answers to, or a temperature below 1.
    """
    if not temperature >= 1:
        raise InputError(
            f"{where}: temperature is {temperature}", "give 1 or more; 1 follows the sizes"
        )
    named = {cell: _named(cell, shares) for cell in sorted(sizes)}
    for name, share in shares.items():
        if not 0 <= share < float("inf") or (share > 0 and name not in named.values()):
            known = [*map(name_of, sorted(sizes)), *sorted({f"*/{one}" for _, one in sizes if one})]
            raise InputError(
                f"{where}: shares ask for {share:g} of {name}, of which there is no example",
                did_you_mean(name, known) or f"there are {', '.join(known)}",
            )
    if shares and not any(shares.values()):
        raise InputError(f"{where}: shares are all 0", "give one language a part")
    flat = {cell: num ** (1 / temperature) for cell, num in sorted(sizes.items())}
    if shares:
        sums: dict[str, float] = {}
        for cell, name in named.items():
            sums[name] = sums.get(name, 0.0) + flat[cell]
        flat = {
            cell: shares[name] * flat[cell] / sums[name] if name in shares else 0.0
            for cell, name in named.items()
        }
    scale = total / sum(flat.values())
    found = {cell: int(scale * one) for cell, one in flat.items()}
    # Largest remainders, so that they sum to the total.
    rest = sorted(flat, key=lambda cell: (found[cell] - scale * flat[cell], cell))
    for cell in rest[: total - sum(found.values())]:
        found[cell] += 1
    return found


def _named(cell: Cell, shares: Mapping[str, float]) -> str:
    """The share that counts for a cell; empty where none does."""
    names = (name_of(cell), cell[0], f"*/{cell[1]}")
    return next((name for name in names if name in shares), "")


def stage_sizes(stages: Sequence[ExampleStage], total: int) -> list[int]:
    """Examples of each stage; they sum to ``total``.

    Raises:
        InputError: a part is not above 0, or a stage gets no example.
    """
    parts = [stage.part for stage in stages]
    for number, part in enumerate(parts, start=1):
        if not 0 < part < float("inf"):
            raise InputError(f"stage {number}: part is {part}", "give more than 0")
    ends = [round(total * sum(parts[: i + 1]) / sum(parts)) for i in range(len(parts))]
    sizes = np.diff([0, *ends]).tolist()
    if 0 in sizes:
        raise InputError(
            f"stage {sizes.index(0) + 1} gets none of {total:,} examples",
            "give it a larger part, or more --epochs",
        )
    return sizes


def training_order(
    cells: Sequence[Cell], stages: Sequence[ExampleStage], epochs: float, seed: int, ledger: Ledger
) -> list[np.ndarray]:
    """Indices of examples for each stage, int64, the cells spread evenly over it.

    Args:
        cells: of every example.
        stages: how they are mixed.
        epochs: how often as many examples as there are, over all stages; may be a fraction.
        seed: of the order.
        ledger: counts what repeats and what is left out.

    Raises:
        InputError: no example would be left, or as for ``quotas``.
    """
    total = round(epochs * len(cells))
    if total < 1:
        raise InputError(f"--epochs is {epochs} of {len(cells)} examples: none", "give 1 or more")
    mine: dict[Cell, list[int]] = {cell: [] for cell in sorted(set(cells))}
    for i, cell in enumerate(cells):
        mine[cell].append(i)
    sizes = {cell: len(own) for cell, own in mine.items()}
    used = dict.fromkeys(sizes, 0)
    found = []
    for number, (stage, num) in enumerate(
        zip(stages, stage_sizes(stages, total), strict=True), start=1
    ):
        wanted = quotas(sizes, stage.temperature, stage.shares, num, f"stage {number}")
        drawn, at = [], []
        for cell, own in wanted.items():
            drawn.append(_queue(mine[cell], name_of(cell), used[cell], own, seed))
            used[cell] += own
            # Evenly over the stage, each cell from a place of its own.
            keys = (seed, "offset", name_of(cell), *([number] if number > 1 else []))
            at.append((np.arange(own) + generator(*keys).random()) / max(1, own))
        order = np.argsort(np.concatenate(at), kind="stable")
        found.append(np.concatenate(drawn)[order].astype(np.int64))
    for cell, num in used.items():
        whole = int(np.ceil(epochs)) * sizes[cell]
        ledger.count("repeated: example of a small language", max(0, num - whole), name_of(cell))
        ledger.count(
            "left out: example of a large language", max(0, sizes[cell] - num), name_of(cell)
        )
    return found


def _queue(mine: Sequence[int], name: str, start: int, num: int, seed: int) -> np.ndarray:
    """``num`` of a cell's examples from place ``start`` on, each once before one comes again."""
    first, last = start // len(mine), -(-(start + num) // len(mine))
    turns = [generator(seed, "order", name, i).permutation(mine) for i in range(first, last)]
    begin = start - first * len(mine)
    return np.concatenate([np.array([], np.int64), *turns])[begin : begin + num]


def order_of(
    config: ExamplesConfig,
    examples: Sequence[RenderedChat],
    tokens: Sequence[int],
    context: StepContext,
) -> np.ndarray:
    """Indices of examples over all stages, int64 [round(epochs · N)], as a configuration asks.

    The first process writes ``mixture.json``, who gets how much in each stage.

    Args:
        config: mixes them.
        examples: any.
        tokens: of each.
        context: of the step.

    Raises:
        InputError: as for ``training_order``.
    """
    cells = [(one.language, one.source) for one in examples]
    found = training_order(cells, config.stages, config.epochs, config.seed, context.ledger)
    if processes()[0] == 0:
        write_json(context.out / MIXTURE, mixture_rows(found, cells, tokens))
    return np.concatenate(found)


def mixture_rows(
    orders: Sequence[np.ndarray], cells: Sequence[Cell], tokens: Sequence[int]
) -> list[dict[str, Any]]:
    """Who gets how much, stage by stage; exact, and known before the training.

    Args:
        orders: of ``training_order``.
        cells: of every example.
        tokens: of every example.

    Returns:
        rows of stage (from 1), language, source, examples, tokens, available (examples at hand).
    """
    rows = []
    names = sorted(set(cells))
    at_hand = {cell: cells.count(cell) for cell in names}
    for number, order in enumerate(orders, start=1):
        sums = dict.fromkeys(names, (0, 0))
        for i in order.tolist():
            num, own = sums[cells[i]]
            sums[cells[i]] = (num + 1, own + tokens[i])
        rows += [
            {"stage": number, "language": cell[0], "source": cell[1], "examples": num,
             "tokens": own, "available": at_hand[cell]}
            for cell, (num, own) in sums.items()
        ]  # fmt: skip
    return rows
