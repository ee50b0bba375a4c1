"""The batch plan: which tokens go into which forward pass; depends on the set of requests alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from polylect.engine.encode import TokenRequest
from polylect.text import Node, path_of, prefix_tree, sort_sequences


@dataclass(frozen=True, slots=True)
class Pass:
    """One forward pass.

    Attributes:
        nodes: nodes of the plan's tree to compute, depth first.
        kept: the node whose path from the root is the cached prefix to continue, or -1.
        keeps: whether to cache it for later passes; then it is a single node.
        rows: row of the pass that predicts each slot, ascending, int64 [slots].
        targets: the token to score in each slot, int64 [slots].
    """

    nodes: tuple[int, ...]
    kept: int
    keeps: bool
    rows: np.ndarray
    targets: np.ndarray


@dataclass(frozen=True, slots=True)
class Plan:
    """Passes, and where to find the results of every request.

    A slot is the log-probability of one token; equal ones are shared. Slots are numbered through
    the passes in order.

    Attributes:
        sequences: distinct inputs, in lexicographic order.
        nodes: their tree.
        passes: in running order: a cached node before the passes that continue it.
        slots: for each request the slots of its tokens, in order.
    """

    sequences: list[np.ndarray]
    nodes: list[Node]
    passes: list[Pass]
    slots: list[np.ndarray]

    @property
    def num_tokens(self) -> int:
        """Number of tokens that the passes compute."""
        return sum(node.num_tokens for node in self.nodes)

    def ids(self, node: int) -> np.ndarray:
        """Tokens of a node."""
        tree_node = self.nodes[node]
        return self.sequences[tree_node.sequence][tree_node.start : tree_node.end]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Requests with their passes.

    Attributes:
        plan: the passes.
        truncated: whether each request's context was cut, bool [N].
        num_asked: tokens that separate passes would compute.
    """

    plan: Plan
    truncated: np.ndarray
    num_asked: int

    @property
    def num_tokens(self) -> int:
        """Number of tokens that the passes compute."""
        return self.plan.num_tokens

    def joined(self, sizes: Sequence[int]) -> "Prepared":
        """Neighbors as one request: the tokens of all of them are its own.

        Args:
            sizes: how many neighbors each request is made of.
        """
        if len(sizes) == len(self.truncated):
            return self
        ends = np.cumsum(sizes)
        slots = [
            np.concatenate(self.plan.slots[end - size : end])
            for end, size in zip(ends, sizes, strict=True)
        ]
        return replace(
            self, plan=replace(self.plan, slots=slots), truncated=self.truncated[ends - 1]
        )


def plan_passes(
    requests: Sequence[TokenRequest], micro_batch_tokens: int, *, shares: bool = True
) -> Plan:
    """The plan of a set of requests; their order only changes the order of ``slots``.

    Shared prefixes are computed once. A subtree that fits goes into one pass, with as many of its
    neighbors as fit; the root of a larger subtree is computed alone and cached while the passes
    that continue it run.

    Args:
        requests: contexts and continuations.
        micro_batch_tokens: maximum tokens per pass.
        shares: False where nothing may be shared: a sequence is then one node, of any length.
    """
    sequences, rank = sort_sequences([request.input_ids() for request in requests])
    if shares:
        nodes, last = prefix_tree(sequences, max_tokens=micro_batch_tokens)
    else:
        nodes = [Node(number, 0, len(ids), -1) for number, ids in enumerate(sequences)]
        last = [*range(len(nodes))]
    size = [node.num_tokens for node in nodes]
    for i in range(len(nodes) - 1, -1, -1):
        if nodes[i].parent >= 0:
            size[nodes[i].parent] += size[i]
    targets_of, keys = _targets(requests, rank, nodes, last)
    passes: list[Pass] = []
    number_of: dict[tuple[int, int, int], int] = {}
    for members, kept, keeps in _schedule(nodes, size, micro_batch_tokens):
        starts = np.cumsum([0, *[nodes[i].num_tokens for i in members]])
        slots = sorted(
            (int(start) + offset, target, node)
            for start, node in zip(starts, members, strict=False)
            for offset, target in targets_of.get(node, ())
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
    request_slots = [np.array([number_of[key] for key in request], np.int64) for request in keys]
    return Plan(sequences, nodes, passes, request_slots)


def _targets(
    requests: Sequence[TokenRequest], rank: list[int], nodes: list[Node], last: list[int]
) -> tuple[dict[int, set[tuple[int, int]]], list[list[tuple[int, int, int]]]]:
    """(offset, target) to score in each node, and (node, offset, target) of each request."""
    targets_of: dict[int, set[tuple[int, int]]] = {}
    keys: list[list[tuple[int, int, int]]] = []
    for request, sequence in zip(requests, rank, strict=True):
        path = path_of(nodes, last[sequence])
        request_keys: list[tuple[int, int, int]] = []
        at = len(path) - 1
        for back in range(1, len(request.continuation) + 1):
            target = int(request.continuation[-back])
            position = len(request.context) + len(request.continuation) - 1 - back
            while nodes[path[at]].start > position:
                at -= 1
            offset = position - nodes[path[at]].start
            targets_of.setdefault(path[at], set()).add((offset, target))
            request_keys.append((path[at], offset, target))
        keys.append(request_keys[::-1])
    return targets_of, keys


def _schedule(
    nodes: list[Node], size: list[int], micro_batch_tokens: int
) -> list[tuple[list[int], int, bool]]:
    """Nodes of each pass, the node they continue (-1 for none), and whether they are cached."""
    children: dict[int, list[int]] = {}
    for i, node in enumerate(nodes):
        children.setdefault(node.parent, []).append(i)
    passes: list[tuple[list[int], int, bool]] = []
    stack = [-1]
    while stack:
        kept = stack.pop()
        if kept >= 0:
            passes.append(([kept], nodes[kept].parent, True))
        row: list[int] = []
        total = 0
        large = []
        for child in children.get(kept, ()):
            if size[child] > micro_batch_tokens:
                large.append(child)
                continue
            if total + size[child] > micro_batch_tokens:
                passes.append((row, kept, False))
                row, total = [], 0
            row = row + _below(child, children)
            total += size[child]
        if row:
            passes.append((row, kept, False))
        stack.extend(reversed(large))
    return passes


def _below(top: int, children: dict[int, list[int]]) -> list[int]:
    """A node and its descendants, depth first."""
    nodes, stack = [], [top]
    while stack:
        node = stack.pop()
        nodes.append(node)
        stack.extend(reversed(children.get(node, ())))
    return nodes
