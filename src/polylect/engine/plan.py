"""The batch plan: which tokens go into which forward pass. A fixed function of the request set."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polylect.engine.encode import TokenRequest
from polylect.text import Node, path_of, prefix_tree, sort_sequences


@dataclass(frozen=True, slots=True)
class Pass:
    """One forward pass.

    Attributes:
        nodes: what it computes, depth first: nodes of the plan's tree.
        kept: the node whose path from the root was kept before and is continued, or -1.
        keeps: whether it is kept for later passes; then it is one node.
        rows: row of the pass that predicts each slot, ascending, int64 [slots].
        targets: the token that each slot asks for, int64 [slots].
    """

    nodes: tuple[int, ...]
    kept: int
    keeps: bool
    rows: np.ndarray
    targets: np.ndarray


@dataclass(frozen=True, slots=True)
class Plan:
    """Passes, and where the answers of every request are found in them.

    A slot is one token's log-probability; requests that ask the same share it. Slots are numbered
    through the passes in order.

    Attributes:
        sequences: distinct inputs, in lexicographic order.
        nodes: their tree.
        passes: in the order in which they run: a kept node before what continues it.
        slots: for each request the slots of its tokens, in order.
    """

    sequences: list[np.ndarray]
    nodes: list[Node]
    passes: list[Pass]
    slots: list[np.ndarray]

    @property
    def num_tokens(self) -> int:
        """Tokens that the passes compute."""
        return sum(node.num_tokens for node in self.nodes)

    def ids(self, node: int) -> np.ndarray:
        """Tokens of a node."""
        one = self.nodes[node]
        return self.sequences[one.sequence][one.start : one.end]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Requests that wait for their passes.

    Attributes:
        plan: the passes.
        truncated: whether each request's context was cut, bool [N].
        num_asked: tokens of all requests, as separate passes would compute them.
    """

    plan: Plan
    truncated: np.ndarray
    num_asked: int

    @property
    def num_tokens(self) -> int:
        """Tokens that the passes compute."""
        return self.plan.num_tokens


def plan_passes(requests: Sequence[TokenRequest], micro_batch_tokens: int) -> Plan:
    """The plan of a set of requests; their order changes nothing but the order of ``slots``.

    What several requests begin with is computed once. A subtree that fits into a pass goes into
    one, with as many of its neighbors as fit; the root of a larger one is computed on its own and
    kept while what continues it runs.

    Args:
        requests: any.
        micro_batch_tokens: most tokens of one pass.
    """
    sequences, rank = sort_sequences([one.input_ids() for one in requests])
    nodes, last = prefix_tree(sequences, max_tokens=micro_batch_tokens)
    size = [node.num_tokens for node in nodes]
    for i in range(len(nodes) - 1, -1, -1):
        if nodes[i].parent >= 0:
            size[nodes[i].parent] += size[i]
    asked, keys = _asked(requests, rank, nodes, last)
    passes: list[Pass] = []
    number_of: dict[tuple[int, int, int], int] = {}
    for members, kept, keeps in _schedule(nodes, size, micro_batch_tokens):
        starts = np.cumsum([0, *[nodes[i].num_tokens for i in members]])
        slots = sorted(
            (int(start) + offset, target, node)
            for start, node in zip(starts, members, strict=False)
            for offset, target in asked.get(node, ())
        )
        begin = dict(zip(members, starts.tolist(), strict=False))
        for row, target, node in slots:
            number_of[node, row - begin[node], target] = len(number_of)
        passes.append(
            Pass(
                nodes=tuple(members),
                kept=kept,
                keeps=keeps,
                rows=np.array([row for row, _, _ in slots], np.int64),
                targets=np.array([target for _, target, _ in slots], np.int64),
            )
        )
    found = [np.array([number_of[key] for key in one], np.int64) for one in keys]
    return Plan(sequences, nodes, passes, found)


def _asked(
    requests: Sequence[TokenRequest], rank: list[int], nodes: list[Node], last: list[int]
) -> tuple[dict[int, set[tuple[int, int]]], list[list[tuple[int, int, int]]]]:
    """What is asked of each node, (offset, target), and what each request asks, node first."""
    asked: dict[int, set[tuple[int, int]]] = {}
    keys: list[list[tuple[int, int, int]]] = []
    for one, sequence in zip(requests, rank, strict=True):
        path = path_of(nodes, last[sequence])
        mine: list[tuple[int, int, int]] = []
        at = len(path) - 1
        for back in range(1, len(one.continuation) + 1):
            target = int(one.continuation[-back])
            position = len(one.context) + len(one.continuation) - 1 - back
            while nodes[path[at]].start > position:
                at -= 1
            offset = position - nodes[path[at]].start
            asked.setdefault(path[at], set()).add((offset, target))
            mine.append((path[at], offset, target))
        keys.append(mine[::-1])
    return asked, keys


def _schedule(
    nodes: list[Node], size: list[int], micro_batch_tokens: int
) -> list[tuple[list[int], int, bool]]:
    """Nodes of each pass, the node they continue (-1 for none), and whether they are kept."""
    children: dict[int, list[int]] = {}
    for i, node in enumerate(nodes):
        children.setdefault(node.parent, []).append(i)
    found: list[tuple[list[int], int, bool]] = []
    stack = [-1]
    while stack:
        kept = stack.pop()
        if kept >= 0:
            found.append(([kept], nodes[kept].parent, True))
        row: list[int] = []
        total = 0
        large = []
        for child in children.get(kept, ()):
            if size[child] > micro_batch_tokens:
                large.append(child)
                continue
            if total + size[child] > micro_batch_tokens:
                found.append((row, kept, False))
                row, total = [], 0
            row = row + _below(child, children)
            total += size[child]
        if row:
            found.append((row, kept, False))
        stack.extend(reversed(large))
    return found


def _below(top: int, children: dict[int, list[int]]) -> list[int]:
    """A node and all that descends from it, depth first."""
    found, stack = [], [top]
    while stack:
        here = stack.pop()
        found.append(here)
        stack.extend(reversed(children.get(here, ())))
    return found
