"""How closely a translation keeps the order of its source's words.

Words are aligned by IBM model 1 (Brown et al. 1993) in both directions, trained on the pairs
themselves; only links that both directions have are counted. The measure is Kendall's rank
correlation of the positions that are linked: 1 where the translation follows its source word by
word, less where it moves words. It needs no dictionary; it needs some hundred pairs.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

LEAST_LINKS = 4
_ROUNDS = 6
Words = Sequence[str]


def train_model1(
    sources: Sequence[Words], targets: Sequence[Words], rounds: int = _ROUNDS
) -> dict[str, dict[str, float]]:
    """Translation probabilities, of a target word by source word; the empty word is ``""``.

    Args:
        sources: words of every source sentence [N].
        targets: words of their translations [N].
        rounds: of expectation maximization, from equal probabilities.
    """
    table: dict[str, dict[str, float]] = {}
    for _ in range(rounds):
        counts: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        for source, target in zip(sources, targets, strict=True):
            given = ["", *source]
            for word in target:
                weights = [table.get(other, {}).get(word, 0.0) if table else 1.0 for other in given]
                total = sum(weights)
                if not total:
                    continue
                for other, weight in zip(given, weights, strict=True):
                    counts[other][word] += weight / total
        table = {
            other: {word: num / total for word, num in row.items()}
            for other, row in counts.items()
            for total in [sum(row.values())]
        }
    return table


def links(source: Words, target: Words, table: dict[str, dict[str, float]]) -> dict[int, int]:
    """The most probable source position of every target position; words of no source are left out.

    Of equally probable positions the one nearest to the same place in the sentence.
    """
    found = {}
    for place, word in enumerate(target):
        scores = [table.get(other, {}).get(word, 0.0) for other in source]
        best = max(scores, default=0.0)
        if best <= table.get("", {}).get(word, 0.0) or not best:
            continue
        here = place / max(1, len(target)) * len(source)
        found[place] = min(
            (i for i, score in enumerate(scores) if score == best), key=lambda i: abs(i - here)
        )
    return found


def monotony(sources: Sequence[Words], targets: Sequence[Words]) -> list[float | None]:
    """Kendall's correlation of linked positions for every pair [N]; None with fewer than 4 links.

    Args:
        sources: words of every source [N].
        targets: words of their translations [N].
    """
    forward, backward = train_model1(sources, targets), train_model1(targets, sources)
    values: list[float | None] = []
    for source, target in zip(sources, targets, strict=True):
        there, back = links(source, target, forward), links(target, source, backward)
        both = [(i, j) for j, i in there.items() if back.get(i) == j]
        values.append(_kendall(both) if len(both) >= LEAST_LINKS else None)
    return values


def _kendall(pairs: Sequence[tuple[int, int]]) -> float:
    """Share of pairs in the same order minus that in the opposite one; positions are distinct."""
    first, second = np.array(pairs).T
    signs = np.sign(first[:, None] - first) * np.sign(second[:, None] - second)
    num = len(pairs)
    return float(signs.sum() / (num * (num - 1)))
