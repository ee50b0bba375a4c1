"""Who sees whom in a packed row, and in which pieces attention computes it.

A token sees its own segment causally and all of its ancestors: its parent, that one's parent, and
the prefix that was kept from an earlier pass, which is an ancestor of everything.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

_LEAST_BLOCK = 128


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive segments whose queries are computed together.

    Attributes:
        first: first segment of the block.
        last: one past its last segment.
        ancestors: segments outside the block that all of its tokens see whole, in order; the kept
            prefix is always seen and not among them.
    """

    first: int
    last: int
    ancestors: tuple[int, ...]


@dataclass
class Layout:
    """The structure of one row, and the masks that were made from it so far.

    Attributes:
        lengths: tokens of each segment.
        parents: index of each segment's parent, or -1.
        num_kept: tokens of the prefix that an earlier pass computed; the row continues it.
        flex_masks: FlexAttention's masks by window, made by ``models.attention``.
    """

    lengths: tuple[int, ...]
    parents: tuple[int, ...]
    num_kept: int = 0
    _masks: dict[tuple[int, int | None], torch.Tensor | None] = field(default_factory=dict)
    _blocks: list[Block] | None = None
    flex_masks: dict[int | None, Any] = field(default_factory=dict)

    @property
    def num_tokens(self) -> int:
        """Tokens of the row, without the kept prefix."""
        return sum(self.lengths)

    def blocks(self) -> list[Block]:
        """The row cut into blocks.

        A segment alone is exact and needs no mask, but the keys of its ancestors are copied for it.
        Segments below one parent therefore share a block while it is no longer than what all of
        them see (or 128 tokens): what is masked away is then never more than what is copied.
        """
        if self._blocks is None:
            self._blocks = _cut(self.lengths, self.parents, self.num_kept)
        return self._blocks

    def block_tokens(self, block: Block) -> int:
        """Queries of a block."""
        return sum(self.lengths[block.first : block.last])

    def mask(self, number: int, window: int | None, device: torch.device) -> torch.Tensor | None:
        """Mask [queries, keys] of a block, True where a token looks; None where it is causal.

        Keys are the kept prefix, the ancestors, and the block itself.
        """
        key = (number, window)
        if key not in self._masks:
            made = self._mask(self.blocks()[number], window)
            self._masks[key] = None if made is None else torch.from_numpy(made).to(device)
        return self._masks[key]

    def _mask(self, block: Block, window: int | None) -> np.ndarray | None:
        own = range(block.first, block.last)
        alone = len(own) == 1 and not block.ancestors and not self.num_kept
        if alone and (window is None or self.lengths[block.first] <= window):
            return None
        at = self.positions()
        ends = np.cumsum(self.lengths)
        spans = [np.arange(ends[i] - self.lengths[i], ends[i]) for i in range(len(self.lengths))]
        query = np.concatenate([spans[i] for i in own])
        key_rows = np.concatenate([spans[i] for i in (*block.ancestors, *own)])
        key_at = np.concatenate([np.arange(self.num_kept), at[key_rows]])
        seen = key_at[None, :] <= at[query][:, None]
        if window is not None:
            seen &= at[query][:, None] - key_at[None, :] < window
        if len(own) > 1:
            related = self.related()
            segment = self.segment_of_token()
            inside = related[np.ix_(segment[query], segment[query])]
            seen[:, -len(query) :] &= inside
        return seen

    def positions(self) -> np.ndarray:
        """Position of every token of the row, int64 [T], the kept prefix counted."""
        found: list[np.ndarray] = []
        for length, parent in zip(self.lengths, self.parents, strict=True):
            start = found[parent][-1] + 1 if parent >= 0 else self.num_kept
            found.append(np.arange(start, start + length))
        return np.concatenate(found)

    def segment_of_token(self) -> np.ndarray:
        """Index of the segment of every token, int64 [T]."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    def related(self) -> np.ndarray:
        """[S, S], True where the second is the first or one of its ancestors."""
        num = len(self.lengths)
        found = np.eye(num, dtype=bool)
        for i, parent in enumerate(self.parents):
            if parent >= 0:
                found[i] |= found[parent]
        return found


def _cut(lengths: tuple[int, ...], parents: tuple[int, ...], num_kept: int) -> list[Block]:
    """Blocks of a row; every segment is one of its own where they do not stand depth first."""
    num = len(lengths)
    path: list[int] = []
    straight = True
    for i, parent in enumerate(parents):
        while path and path[-1] != parent:
            path.pop()
        straight &= bool(path) or parent < 0
        path.append(i)
    size = list(lengths)
    last = [i + 1 for i in range(num)]
    for i in range(num - 1, -1, -1):
        if parents[i] >= 0:
            size[parents[i]] += size[i]
            last[parents[i]] = max(last[parents[i]], last[i])
    seen = [num_kept] * num
    above: list[tuple[int, ...]] = [()] * num
    for i, parent in enumerate(parents):
        if parent >= 0:
            seen[i] = seen[parent] + lengths[parent]
            above[i] = (*above[parent], parent)
    blocks: list[Block] = []
    i = 0
    while i < num:
        # Roots without a prefix see nothing in common: each is a tree of its own.
        limit = max(_LEAST_BLOCK, seen[i])
        if size[i] > limit or not straight:
            blocks.append(Block(i, i + 1, above[i]))
            i += 1
            continue
        end, total = last[i], size[i]
        shares = parents[i] >= 0 or num_kept > 0
        while shares and end < num and parents[end] == parents[i] and total + size[end] <= limit:
            total += size[end]
            end = last[end]
        blocks.append(Block(i, end, above[i]))
        i = end
    return blocks
