"""Continuations that grow side by side, token by token, each over its own keys and values.

A step computes one token of every lane in one row of fixed width. What a lane computes depends on
its own tokens alone: no length of another lane, no padding and no mask enters its attention.
"""

import numpy as np
import torch


class Lanes:
    """The keys and values of up to ``width`` continuations.

    Attributes:
        width: rows of every step; a lane that is not in use is computed and thrown away.
        num_tokens: tokens that each lane holds, int64 [width]; 0 where it is free.
    """

    def __init__(self, width: int) -> None:
        """``width`` free lanes."""
        self.width = width
        self.num_tokens = np.zeros(width, np.int64)
        self._keys: list[dict[int, torch.Tensor]] = [{} for _ in range(width)]
        self._values: list[dict[int, torch.Tensor]] = [{} for _ in range(width)]

    @property
    def used(self) -> list[int]:
        """The lanes that hold something, in order."""
        return np.flatnonzero(self.num_tokens).tolist()

    def admit(
        self,
        lane: int,
        keys: dict[int, torch.Tensor],
        values: dict[int, torch.Tensor],
        num_new: int,
    ) -> None:
        """Fill a free lane with what a prompt kept.

        Args:
            lane: its number.
            keys: [1, key heads, P, dim] by layer; copied.
            values: as keys.
            num_new: most tokens that will be added.
        """
        assert not self.num_tokens[lane], "the lane is in use"
        self._keys[lane] = {i: _with_room(one, num_new) for i, one in keys.items()}
        self._values[lane] = {i: _with_room(one, num_new) for i, one in values.items()}
        self.num_tokens[lane] = next(iter(keys.values())).shape[2]

    def free(self, lane: int) -> None:
        """Forget what a lane holds."""
        self._keys[lane], self._values[lane] = {}, {}
        self.num_tokens[lane] = 0

    def extend(
        self, lane: int, layer: int, key: torch.Tensor, value: torch.Tensor, window: int | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values [1, key heads, seen, dim] that a lane's new token sees, itself the last.

        Args:
            lane: one in use.
            layer: number of the attention layer.
            key: the new token's, [1, key heads, 1, dim].
            value: as key.
            window: how many tokens back it sees, itself included; None for all.
        """
        at = int(self.num_tokens[lane])
        keys, values = self._keys[lane][layer], self._values[lane][layer]
        keys[:, :, at : at + 1] = key
        values[:, :, at : at + 1] = value
        first = 0 if window is None else max(0, at + 1 - window)
        return keys[:, :, first : at + 1], values[:, :, first : at + 1]

    def advance(self) -> None:
        """Count the token that every lane in use was given by one step."""
        self.num_tokens[self.num_tokens > 0] += 1


def _with_room(kept: torch.Tensor, num_new: int) -> torch.Tensor:
    heads, num, dim = kept.shape[1:]
    made = kept.new_empty((1, heads, num + num_new, dim))
    made[:, :, :num] = kept
    return made
