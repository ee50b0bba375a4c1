"""The attention mask of a packed row, and the blocks in which attention is computed.

A token attends causally to its own segment and fully to all ancestors: its parent, the parent's
parent, and so on up to the kept prefix, which is an ancestor of every segment.
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
        ancestors: segments outside the block that all its tokens attend to, in order; without the
            kept prefix, which all tokens attend to.
    """

    first: int
    last: int
    ancestors: tuple[int, ...]


@dataclass
class Layout:
    """The structure of a packed row, and the masks built from it so far.

    Attributes:
        lengths: tokens of each segment.
        parents: index of each segment's parent, or -1.
        num_kept: tokens of the kept prefix that the row continues.
        flex_masks: FlexAttention's masks by window, built by ``models.attention``.
    """

    lengths: tuple[int, ...]
    parents: tuple[int, ...]
    num_kept: int = 0
    _masks: dict[tuple[int, int | None], torch.Tensor | None] = field(default_factory=dict)
    _blocks: list[Block] | None = None
    flex_masks: dict[int | None, Any] = field(default_factory=dict)

    @property
    def num_tokens(self) -> int:
        """Number of tokens of the row, without the kept prefix."""
        return sum(self.lengths)

    def blocks(self) -> list[Block]:
        """The row divided into blocks.

        A block of one segment needs no mask, but copies the keys of its ancestors. Siblings
        therefore share a block while it is no longer than the ancestors they share (or 128 tokens):
        never more is masked out than would be copied.
        """
        if self._blocks is None:
            self._blocks = _cut(self.lengths, self.parents, self.num_kept)
        return self._blocks

    def block_tokens(self, block: Block) -> int:
        """Number of queries of a block."""
        return sum(self.lengths[block.first : block.last])

    def mask(self, number: int, window: int | None, device: torch.device) -> torch.Tensor | None:
        """Mask [queries, keys] of a block, True where attention is allowed; None if purely causal.

        Keys are the kept prefix, the ancestors, then the block itself.
        """
        key = (number, window)
        if key not in self._masks:
            mask = self._mask(self.blocks()[number], window)
            self._masks[key] = None if mask is None else torch.from_numpy(mask).to(device)
        return self._masks[key]

    def _mask(self, block: Block, window: int | None) -> np.ndarray | None:
        segments = range(block.first, block.last)
        alone = len(segments) == 1 and not block.ancestors and not self.num_kept
        if alone and (window is None or self.lengths[block.first] <= window):
            return None
        at = self.positions()
        ends = np.cumsum(self.lengths)
        spans = [np.arange(ends[i] - self.lengths[i], ends[i]) for i in range(len(self.lengths))]
        query = np.concatenate([spans[i] for i in segments])
        key_rows = np.concatenate([spans[i] for i in (*block.ancestors, *segments)])
        key_at = np.concatenate([np.arange(self.num_kept), at[key_rows]])
        seen = key_at[None, :] <= at[query][:, None]
        if window is not None:
            seen &= at[query][:, None] - key_at[None, :] < window
        if len(segments) > 1:
            related = self.related()
            segment = self.segment_of_token()
            inside = related[np.ix_(segment[query], segment[query])]
            seen[:, -len(query) :] &= inside
        return seen

    def positions(self) -> np.ndarray:
        """Position of every token, counted from the start of the kept prefix, int64 [T]."""
        positions: list[np.ndarray] = []
        for length, parent in zip(self.lengths, self.parents, strict=True):
            start = positions[parent][-1] + 1 if parent >= 0 else self.num_kept
            positions.append(np.arange(start, start + length))
        return np.concatenate(positions)

    def segment_of_token(self) -> np.ndarray:
        """Segment index of every token, int64 [T]."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    def related(self) -> np.ndarray:
        """Bool [S, S], True at [i, j] where j is i or an ancestor of i."""
        num = len(self.lengths)
        related = np.eye(num, dtype=bool)
        for i, parent in enumerate(self.parents):
            if parent >= 0:
                related[i] |= related[parent]
        return related


def _cut(lengths: tuple[int, ...], parents: tuple[int, ...], num_kept: int) -> list[Block]:
    """Blocks of a row; one per segment if the segments are not in depth-first order."""
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
        # Roots without a kept prefix share no ancestors: each is a separate tree.
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
