"""What a piece of work is expected to take: tokens, memory and time, for a dry run."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from polylect.runs.durations import duration

_MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Tokens, memory and time of a piece of work, as far as they are known before it starts.

    Attributes:
        tokens: number by purpose.
        memory: bytes by what takes them; their sum is the peak.
        seconds: wall clock; None where it is not known.
        memory_note: what the memory leaves out.
        time_note: what the time leaves out, or how it was measured.
    """

    tokens: Mapping[str, int] = field(default_factory=dict)
    memory: Mapping[str, int] = field(default_factory=dict)
    seconds: float | None = None
    memory_note: str = ""
    time_note: str = ""

    @property
    def memory_bytes(self) -> int:
        """Sum over all parts."""
        return sum(self.memory.values())

    def lines(self) -> list[str]:
        r"""A line each for tokens, memory and time, where they are known.

        >>> estimate = Estimate(tokens={"new": 1200}, memory={"weights": 3 << 20}, seconds=90)
        >>> print(*estimate.lines(), sep="\n")
        tokens: 1,200 new
        memory: about 3 MiB
        time: about 1 min 30 s
        """
        lines = []
        if self.tokens:
            parts = [f"{num:,} {purpose}" for purpose, num in self.tokens.items()]
            lines.append(f"tokens: {', '.join(parts)}")
        if self.memory:
            total = f"memory: about {_mebibytes(self.memory_bytes)} MiB"
            parts = [f"{name} {_mebibytes(num)}" for name, num in self.memory.items()]
            detail = f" ({', '.join(parts)})" if len(parts) > 1 else ""
            lines.append(f"{total}{detail}{self.memory_note and f', {self.memory_note}'}")
        if self.seconds is not None:
            note = self.time_note and f", {self.time_note}"
            lines.append(f"time: about {duration(self.seconds)}{note}")
        return lines


def _mebibytes(num_bytes: int) -> str:
    return f"{-(-num_bytes // _MIB):,}"
