"""The order of examples: a function of the examples, the seed and the epochs.

Examples of one language and source are a cell. A stage of the training gives every cell a share, by
a temperature or as configured. A cell with too few examples repeats them; of one with too many, the
rest waits for the next stage or epoch.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from polylect.base import InputError, Ledger, did_you_mean, generator, write_json
from polylect.runs import StepContext
from polylect.training.config import ExamplesConfig, ExampleStage
from polylect.training.mesh import processes

MIXTURE = "mixture.json"
_MAX_ORDERED = 100_000_000
"""Their order is held in memory, about 50 bytes each."""
Cell = tuple[str, str]
"""Language and source; the source is empty where a file names none."""


class Example(Protocol):
    """An example with a language and a source."""

    @property
    def language(self) -> str:
        """Its tag."""
        ...

    @property
    def source(self) -> str:
        """Where it is from."""
        ...


def cell_of(example: Example) -> Cell:
    """An example's language and source."""
    return example.language, example.source


def name_of(cell: Cell) -> str:
    """``TAG``, or ``TAG/SOURCE``.

    Example:
        >>> name_of(("de", "wiki")), name_of(("de", ""))
        ('de/wiki', 'de')
    """
    return "/".join(filter(None, cell))


def quotas(
    sizes: Mapping[Cell, int],
    temperature: float,
    shares: Mapping[str, float],
    total: int,
    where: str = "mixture",
) -> dict[Cell, int]:
    """How many of ``total`` examples each cell gets; they sum to it, each within 1 of its share.

    Example:
        >>> quotas({("de", ""): 900, ("tr", ""): 100}, 2.0, {}, 100)
        {('de', ''): 75, ('tr', ''): 25}

    Args:
        sizes: examples that each cell has.
        temperature: 1 follows the sizes; T gives sizes^(1/T).
        shares: by name, as for ``ExampleStage``, summing to anything; empty follows the temperature
            alone.
        total: number of examples.
        where: named in errors.

    Raises:
        InputError: a share that no example answers to, or a temperature below 1.
    """
    if not temperature >= 1:
        raise InputError(
            f"{where}: temperature is {temperature}", "give 1 or more; 1 follows the sizes"
        )
    named = {cell: _share_name(cell, shares) for cell in sorted(sizes)}
    for name, share in shares.items():
        if not 0 <= share < float("inf") or (share > 0 and name not in named.values()):
            known = [
                *map(name_of, sorted(sizes)),
                *sorted({f"*/{source}" for _, source in sizes if source}),
            ]
            raise InputError(
                f"{where}: shares ask for {share:g} of {name}, of which there is no example",
                did_you_mean(name, known) or f"there are {', '.join(known)}",
            )
    if shares and not any(shares.values()):
        raise InputError(f"{where}: shares are all 0", "give one language a part")
    flat = {cell: num ** (1 / temperature) for cell, num in sorted(sizes.items())}
    if shares:
        largest = max(shares.values())
        shares = {name: share / largest for name, share in shares.items()}
        sums: dict[str, float] = {}
        for cell, name in named.items():
            sums[name] = sums.get(name, 0.0) + flat[cell]
        flat = {
            cell: shares[name] * flat[cell] / sums[name] if name in shares else 0.0
            for cell, name in named.items()
        }
    scale = total / sum(flat.values())
    counts = {cell: int(scale * weight) for cell, weight in flat.items()}
    # Largest remainders, so that they sum to the total.
    by_remainder = sorted(flat, key=lambda cell: (counts[cell] - scale * flat[cell], cell))
    for cell in by_remainder[: total - sum(counts.values())]:
        counts[cell] += 1
    return counts


def _share_name(cell: Cell, shares: Mapping[str, float]) -> str:
    """The name of the share that applies to a cell; empty if none does."""
    names = (name_of(cell), cell[0], f"*/{cell[1]}")
    return next((name for name in names if name in shares), "")


def stage_sizes(stages: Sequence[ExampleStage], total: int) -> list[int]:
    """Examples of each stage; they sum to ``total``.

    Raises:
        InputError: a stage gets no example.
    """
    parts = [stage.part for stage in stages]
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
    """Indices of examples for each stage, int64, with the cells spread evenly over it.

    Args:
        cells: of every example.
        stages: mixtures.
        epochs: number of examples over all stages, in multiples of those that there are; may be a
            fraction.
        seed: of the order.
        ledger: counts examples that repeat or are left out.

    Raises:
        InputError: no example would be left, or as for ``quotas``.
    """
    total = round(min(epochs * len(cells), 2.0 * _MAX_ORDERED))
    if total < 1:
        raise InputError(f"--epochs is {epochs} of {len(cells)} examples: none", "give 1 or more")
    if total > _MAX_ORDERED:
        raise InputError(
            f"--epochs is {epochs:g} of {len(cells):,} examples: too many",
            f"give at most {_MAX_ORDERED / len(cells):g}",
        )
    members: dict[Cell, list[int]] = {cell: [] for cell in sorted(set(cells))}
    for i, cell in enumerate(cells):
        members[cell].append(i)
    sizes = {cell: len(indices) for cell, indices in members.items()}
    used = dict.fromkeys(sizes, 0)
    orders = []
    for number, (stage, num) in enumerate(
        zip(stages, stage_sizes(stages, total), strict=True), start=1
    ):
        wanted = quotas(sizes, stage.temperature, stage.shares, num, f"stage {number}")
        drawn, positions = [], []
        for cell, count in wanted.items():
            drawn.append(_queue(members[cell], name_of(cell), used[cell], count, seed))
            used[cell] += count
            # Evenly over the stage, each cell from an offset of its own.
            keys = (seed, "offset", name_of(cell), *([number] if number > 1 else []))
            positions.append((np.arange(count) + generator(*keys).random()) / max(1, count))
        order = np.argsort(np.concatenate(positions), kind="stable")
        orders.append(np.concatenate(drawn)[order].astype(np.int64))
    for cell, num in used.items():
        expected = int(np.ceil(epochs)) * sizes[cell]
        repeats = max(0, num - expected)
        ledger.count("repeated: example of a small language", repeats, name_of(cell))
        ledger.count(
            "left out: example of a large language", max(0, sizes[cell] - num), name_of(cell)
        )
    return orders


def _queue(indices: Sequence[int], name: str, start: int, num: int, seed: int) -> np.ndarray:
    """``num`` of a cell's examples from position ``start`` of its shuffled epochs."""
    size = len(indices)
    first, last = start // size, -(-(start + num) // size)
    epochs = [generator(seed, "order", name, i).permutation(indices) for i in range(first, last)]
    begin = start - first * size
    return np.concatenate([np.array([], np.int64), *epochs])[begin : begin + num]


def sample_order(
    config: ExamplesConfig,
    examples: Sequence[Example],
    tokens: Sequence[int],
    context: StepContext,
) -> np.ndarray:
    """Indices of examples over all stages, int64 [round(epochs · N)].

    The first process writes ``mixture.json``: examples and tokens of every cell in each stage.

    Args:
        config: epochs, stages and seed.
        examples: the examples.
        tokens: number of tokens of each.
        context: of the run's step.

    Raises:
        InputError: as for ``training_order``.
    """
    cells = [cell_of(example) for example in examples]
    orders = training_order(cells, config.stages, config.epochs, config.seed, context.ledger)
    if processes()[0] == 0:
        write_json(context.out / MIXTURE, mixture_rows(orders, cells, tokens))
    return np.concatenate(orders)


def mixture_rows(
    orders: Sequence[np.ndarray], cells: Sequence[Cell], tokens: Sequence[int]
) -> list[dict[str, Any]]:
    """Examples and tokens of every cell in each stage; exact, before anything is trained.

    Args:
        orders: of ``training_order``.
        cells: of every example.
        tokens: number of tokens of every example.

    Returns:
        rows of stage (from 1), language, source, examples, tokens, available (examples there are).
    """
    rows = []
    available = Counter(cells)
    for stage, order in enumerate(orders, start=1):
        sums = dict.fromkeys(sorted(available), (0, 0))
        for i in order.tolist():
            num_examples, num_tokens = sums[cells[i]]
            sums[cells[i]] = (num_examples + 1, num_tokens + tokens[i])
        rows += [
            {"stage": stage, "language": cell[0], "source": cell[1], "examples": num_examples,
             "tokens": num_tokens, "available": available[cell]}
            for cell, (num_examples, num_tokens) in sums.items()
        ]  # fmt: skip
    return rows
