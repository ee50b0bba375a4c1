"""Comparisons of several pairs of checkpoints, stacked into one table of each kind."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from polylect.comparison.paired import compare
from polylect.comparison.result import Comparison
from polylect.rows import ScoreTable
from polylect.runs import Reporter, Silent

Groups = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class ComparedPair:
    """A comparison and what it is for.

    Attributes:
        comparison: of the two checkpoints.
        what: what the pair shows; empty adds no column.
    """

    comparison: Comparison
    what: str = ""

    def described(self) -> dict[str, str]:
        """Names of the pair, and who gained and who paid in a sentence."""
        names = {"before": self.comparison.before, "after": self.comparison.after}
        what = {"what": self.what} if self.what else {}
        return names | what | {"sentence": self.comparison.sentence()}


def compare_many(
    tables: Mapping[str, ScoreTable],
    pairs: Sequence[tuple[str, str, str]],
    *,
    groups: Groups | Callable[[str], Groups] | None = None,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> list[ComparedPair]:
    """The paired comparison of every pair, in order; see ``compare``.

    Args:
        tables: scores by checkpoint.
        pairs: names of the checkpoint before and the one after, and what the pair shows.
        groups: groups of languages, or a function of the second name that returns them.
        seed: of the bootstrap.
        reporter: told after every comparison.

    Raises:
        InputError: see ``compare``.
    """
    reporter = reporter or Silent()
    compared = []
    for number, (before, after, what) in enumerate(pairs, 1):
        chosen = groups(after) if callable(groups) else groups
        comparison = compare(tables[before], tables[after], groups=chosen, seed=seed)
        compared.append(ComparedPair(comparison, what))
        reporter.update(number, len(pairs), "comparisons")
    return compared


def stack_tables(compared: Sequence[ComparedPair], table: str) -> pl.DataFrame:
    """One table of all comparisons, the names of each pair in front.

    The scores of the two checkpoints, ``before`` and ``after`` in a single comparison, are
    ``score_before`` and ``score_after`` here.

    Args:
        compared: of ``compare_many``.
        table: ``cells``, ``languages``, ``groups`` or ``gaps``.
    """
    frames = []
    for pair in compared:
        frame: pl.DataFrame = getattr(pair.comparison, table)
        names = {"what": pair.what} if pair.what else {}
        names |= {"before": pair.comparison.before, "after": pair.comparison.after}
        frame = frame.rename({"before": "score_before", "after": "score_after"}, strict=False)
        frames.append(
            frame.select(*(pl.lit(name).alias(column) for column, name in names.items()), pl.all())
        )
    return pl.concat(frames)
