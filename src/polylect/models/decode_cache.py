"""The key-value cache of continuations that are decoded side by side.

A step computes one token of every lane in one row of fixed width. A lane's result depends on its
own tokens alone: no other lane's length, no padding and no mask enters its attention.
"""

import numpy as np
import torch


class DecodeCache:
    """Keys and values of up to ``width`` continuations, a lane each.

    Attributes:
        width: lanes of every step; free lanes are computed and discarded.
        num_tokens: tokens of each lane, int64 [width]; 0 if free.
    """

    def __init__(self, width: int) -> None:
        """Make a cache with ``width`` free lanes."""
        self.width = width
        self.num_tokens = np.zeros(width, np.int64)
        self._keys: list[dict[int, torch.Tensor]] = [{} for _ in range(width)]
        self._values: list[dict[int, torch.Tensor]] = [{} for _ in range(width)]

    @property
    def used(self) -> list[int]:
        """Lanes in use, ascending."""
        return np.flatnonzero(self.num_tokens).tolist()

    def admit(
        self,
        lane: int,
        keys: dict[int, torch.Tensor],
        values: dict[int, torch.Tensor],
        num_new: int,
    ) -> None:
        """Fill a free lane with the kept prefix of a prompt.

        Args:
            lane: index of the lane.
            keys: [1, key heads, P, dim] by layer; copied.
            values: [1, key heads, P, value dim] by layer.
            num_new: largest number of tokens to be added.
        """
        assert not self.num_tokens[lane], "the lane is in use"
        self._keys[lane] = {i: _with_room(tensor, num_new) for i, tensor in keys.items()}
        self._values[lane] = {i: _with_room(tensor, num_new) for i, tensor in values.items()}
        self.num_tokens[lane] = next(iter(keys.values())).shape[2]

    def free(self, lane: int) -> None:
        """Release a lane."""
        self._keys[lane], self._values[lane] = {}, {}
        self.num_tokens[lane] = 0

    def extend(
        self, lane: int, layer: int, key: torch.Tensor, value: torch.Tensor, window: int | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values [1, key heads, seen, dim] that a lane's new token attends to, itself
        last.

        Args:
            lane: a lane in use.
            layer: index of the attention layer.
            key: key of the new token, [1, key heads, 1, dim].
            value: of the new token, [1, key heads, 1, value dim].
            window: tokens attended to, the new one included; None for all.
        """
        at = int(self.num_tokens[lane])
        keys, values = self._keys[lane][layer], self._values[lane][layer]
        keys[:, :, at : at + 1] = key
        values[:, :, at : at + 1] = value
        first = 0 if window is None else max(0, at + 1 - window)
        return keys[:, :, first : at + 1], values[:, :, first : at + 1]

    def advance(self) -> None:
        """Advance every lane in use by one token."""
        self.num_tokens[self.num_tokens > 0] += 1


def _with_room(kept: torch.Tensor, num_new: int) -> torch.Tensor:
    heads, num, dim = kept.shape[1:]
    grown = kept.new_empty((1, heads, num + num_new, dim))
    grown[:, :, :num] = kept
    return grown
