"""Shared prefixes: sequences of tokens as a tree that holds each shared prefix once."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np


@dataclass(frozen=True, slots=True)
class Node:
    """A run of tokens that one or several sequences contain.

    Attributes:
        sequence: index of a sequence that contains it.
        start: its first token in that sequence.
        end: one past its last token.
        parent: index of the node before it, or -1.
    """

    sequence: int
    start: int
    end: int
    parent: int

    @property
    def num_tokens(self) -> int:
        """Its length."""
        return self.end - self.start


def sort_sequences(sequences: Sequence[np.ndarray]) -> tuple[list[np.ndarray], list[int]]:
    """The distinct sequences in lexicographic order, and the index there of each given one.

    Args:
        sequences: token ids, not negative; none of them empty.
    """
    # Big-endian bytes compare as the numbers do.
    keys = [np.ascontiguousarray(ids, dtype=">i4").tobytes() for ids in sequences]
    first = {key: i for i, key in reversed(list(enumerate(keys)))}
    order = {key: rank for rank, key in enumerate(sorted(first))}
    return [sequences[first[key]] for key in order], [order[key] for key in keys]


def prefix_tree(
    sequences: Sequence[np.ndarray], min_shared: int = 4, max_tokens: int | None = None
) -> tuple[list[Node], list[int]]:
    """Nodes in depth-first order, and for each sequence the node that holds its last token.

    The path from the root to that node spells the sequence, which may end inside the node. A token
    is repeated only where sharing it would save less than ``min_shared`` tokens.

    Args:
        sequences: as ``sort_sequences`` gives them: distinct, in order, not empty.
        min_shared: a shared run shorter than this is repeated, not shared.
        max_tokens: longer nodes are split.
    """
    nodes: list[Node] = []
    last = [-1] * len(sequences)
    # A group of neighbors [low, high) whose first `depth` tokens stand in `parent` and above.
    stack = [(0, len(sequences), 0, -1)] if sequences else []
    while stack:
        low, high, depth, parent = stack.pop()
        if high - low == 1:
            last[low] = _add(nodes, Node(low, depth, len(sequences[low]), parent), max_tokens)
            continue
        shared = _common_prefix(sequences[low], sequences[high - 1])
        if shared - depth >= min_shared:
            parent = _add(nodes, Node(low, depth, shared, parent), max_tokens)
            depth = shared
            if len(sequences[low]) == shared:
                last[low] = parent
                low += 1
        edges = [low]
        for i in range(low + 1, high):
            previous, current = sequences[i - 1], sequences[i]
            if len(previous) <= shared or previous[shared] != current[shared]:
                edges.append(i)
        groups = [*pairwise([*edges, high])]
        stack.extend((first, end, depth, parent) for first, end in reversed(groups))
    return nodes, last


def path_of(nodes: Sequence[Node], last: int) -> list[int]:
    """Indices of the nodes from the root down to ``last``."""
    path = []
    while last >= 0:
        path.append(last)
        last = nodes[last].parent
    return path[::-1]


def _add(nodes: list[Node], node: Node, max_tokens: int | None) -> int:
    """Append a node, split if it is too long; returns the index of its last piece."""
    step = max_tokens or node.num_tokens
    parent = node.parent
    for start in range(node.start, node.end, max(1, step)):
        nodes.append(Node(node.sequence, start, min(start + step, node.end), parent))
        parent = len(nodes) - 1
    return parent


def _common_prefix(a: np.ndarray, b: np.ndarray) -> int:
    """Number of tokens in the common prefix of two sequences."""
    num = min(len(a), len(b))
    differ = np.flatnonzero(a[:num] != b[:num])
    return int(differ[0]) if len(differ) else num
