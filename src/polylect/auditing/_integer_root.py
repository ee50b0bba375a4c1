"""Search for the smallest whole number at which a falling function is below zero."""

import numpy as np

from polylect.ranking import FloatArray

# Two strengths this close, in log-odds, are equal: refits agree to far less.
EQUAL = 1e-8


class IntegerRoot:
    """A bracket of the root that proposes where to evaluate next, by secants.

    The function is the gap between two models after a number of votes has changed. Where the
    strengths of a refit are not finite it has no value, and fewer votes are tried.

    Attributes:
        low, low_gap: largest number known to leave the gap at zero or above, and that gap.
        high, high_gap: smallest number known to bring it below zero, and that gap; high is None
            before there is one.
        strength_at_high: (M,) strengths of the refit at ``high``.
        proposal: number to evaluate next.
    """

    def __init__(self, gap: float, guess: float, end: float) -> None:
        self.low, self.low_gap = 0, gap
        self.high: int | None = None
        self.high_gap = 0.0
        self.strength_at_high: FloatArray | None = None
        self.proposal = int(min(max(np.ceil(guess), 1), int(end))) if end >= 1 else 0
        self._end = int(end)
        self._has_failed = end < 1

    @property
    def is_done(self) -> bool:
        """Whether the root is known, or known not to exist up to the end."""
        return self._has_failed or (self.high is not None and self.high - self.low <= 1)

    def update(self, num: int, strength: FloatArray | None, gap: float | None) -> None:
        """Take the refit after ``num`` changed votes; None where its strengths are not finite."""
        if gap is None or strength is None:
            self._end = num - 1
            self._has_failed = self._end <= self.low
            self.proposal = (self.low + self._end + 1) // 2
            return
        if gap < -EQUAL:
            self.high, self.high_gap, self.strength_at_high = num, gap, strength
        else:
            slope = (self.low_gap - gap) / max(num - self.low, 1)
            self.low, self.low_gap = num, gap
            if self.high is None:
                if num >= self._end:
                    self._has_failed = True
                    return
                ahead = np.ceil(gap / slope) if slope > 0 else num
                self.proposal = int(min(num + max(ahead, 1), max(4 * num, 8), self._end))
                return
        assert self.high is not None
        width = self.high - self.low
        low_gap = max(self.low_gap, 0.0)
        step = int(np.ceil(width * low_gap / (low_gap - self.high_gap)))
        self.proposal = self.low + min(max(step, 1), max(width - 1, 1))
