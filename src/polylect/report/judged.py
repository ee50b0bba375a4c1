"""What the page of a judgment needs, gathered from a finished folder and the answers beside it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl

from polylect.base import Ledger, read_json
from polylect.judging import (
    FEATURES,
    JUDGING,
    Controlled,
    Pair,
    balanced,
    by_length,
    controlled,
    differences,
    outcomes,
    points_of_pair,
    read_judgments,
)
from polylect.report.judging import Judged
from polylect.rows import Judgment, Verdict


def judged_from(
    folder: Path,
    pairs: Sequence[Pair],
    people: Sequence[Judgment],
    size: tuple[str, Callable[[str], int]],
    seen: tuple[str, ...],
    ledger: Ledger,
) -> Judged:
    """All that the page is drawn from.

    Args:
        folder: of ``polylect judge``.
        pairs: what was judged there.
        people: judgments by people, of the same models; may be none.
        size: what a length is counted in, and how.
        seen: languages that the second model was trained in; none for unknown.
        ledger: of the folder.
    """
    about = read_json(folder / JUDGING)
    rows = read_judgments(folder)
    names = tuple(about["models"])
    found = outcomes([*rows, *people])
    together = outcomes(balanced(rows))
    return Judged(
        models=names,
        found=found,
        beside=pl.concat([together, outcomes(by_length(pairs, names, size[1]))]),
        together=together,
        controlled=_controlled(outcomes(rows), pairs, size[1]),
        points=points_by_judge(rows, about["weight"]) if about["weight"] > 1 else {},
        seen=seen,
        self_judged=about["self_judged"],
        about={"preset": about["preset"], "source": about["source"], "lengths": size[0],
               **read_json(folder / "step.json")["config"]},
        ledger=ledger,
        length=size[0],
    )  # fmt: skip


def points_by_judge(rows: Sequence[Judgment], weight: int) -> dict[str, list[tuple[float, ...]]]:
    """Rows of arena-hard's score for every pair with two verdicts, by judge."""
    open_: dict[tuple[str, str, str, int], Judgment] = {}
    found: dict[str, list[tuple[float, ...]]] = {}
    for one in rows:
        key = (one.judge, one.language, one.id, one.sample)
        other = open_.pop(key, None)
        if other is None:
            open_[key] = one
        elif Verdict.INVALID not in {one.verdict, other.verdict}:
            found.setdefault(one.judge, []).append(points_of_pair(other, one, weight))
    return found


def _controlled(
    found: pl.DataFrame, pairs: Sequence[Pair], size: Callable[[str], int]
) -> dict[str, list[Controlled]]:
    features = differences(pairs, size)
    place = {(one.a.id, one.a.language, one.a.sample): i for i, one in enumerate(pairs)}
    result = {}
    for judge in found["judge"].unique(maintain_order=True):
        own = found.filter(pl.col("judge") == judge)
        keys = own.select("id", "language", "sample").rows()
        mine = features[[place[key] for key in keys]]
        result[judge] = [controlled(own, mine[:, :1], FEATURES[:1]), controlled(own, mine)]
    return result
