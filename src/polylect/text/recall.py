"""How much of each language an identifier finds: the measured table that the package carries.

``benchmarks/identification.py`` writes it; ``docs/guides/identification.md`` shows it.
"""

from functools import cache
from pathlib import Path
from typing import NamedTuple

TABLE = Path(__file__).parent / "identification.tsv"


class Recall(NamedTuple):
    """What an identifier made of held-out sentences in one language.

    Attributes:
        num: sentences.
        share: of them that it found to be in the language.
        others: what else it took them for, with its share; only from 1 % on.
    """

    num: int
    share: float
    others: tuple[tuple[str, float], ...]


@cache
def measured(identifier: str) -> dict[str, Recall]:
    """What was measured of an identifier, by tag; empty for one that was not."""
    if not TABLE.is_file():
        return {}
    rows: dict[str, Recall] = {}
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        name, tag, num, share, others = line.split("\t")
        if name == identifier:
            pairs = [pair.split("=") for pair in others.split()]
            rows[tag] = Recall(
                int(num), float(share), tuple((other, float(value)) for other, value in pairs)
            )
    return rows
