"""What is known of judgments before a page is drawn: outcomes, references, doubts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from polylect.base import Ledger, read_json
from polylect.judging import (
    JUDGING,
    STYLE_FEATURES,
    AnswerPair,
    ControlledWinRate,
    arena_points,
    calibrated_judgments,
    controlled_win_rate,
    longer_answer_judgments,
    outcome_table,
    read_judgments,
    style_differences,
    verdict_agreement,
    win_rate_table,
)
from polylect.rows import Judgment, Verdict, read_rows, write_rows
from polylect.runs import open_artifact

_PEOPLE, _LONGER = "people.parquet", "longer_answer.parquet"
"""Judgments that are only compared with the judges': by people, and of the longer answer."""


@dataclass(frozen=True)
class Judged:
    """All that the page of pairwise judgments is drawn from.

    Attributes:
        models: the baseline, and the model that is compared with it.
        outcomes: of all judges that are reported.
        references: outcomes of those that judges are only compared with: a length rule, and
            judges by both orders together.
        both_orders: outcomes of judges by both orders together; None where verdicts are words.
        controlled: win rates at equal length, and at equal length and style, by judge.
        points: rows of arena-hard's score by judge; empty where the protocol has none.
        seen: tags of languages that the second model was trained on; empty if unknown.
        self_judged: judges that judged answers of their own.
        settings: shown on the page.
        ledger: what was counted.
        length: what a length was counted in.
    """

    models: tuple[str, str]
    outcomes: pl.DataFrame
    references: pl.DataFrame | None = None
    both_orders: pl.DataFrame | None = None
    controlled: Mapping[str, Sequence[ControlledWinRate]] = field(default_factory=dict)
    points: Mapping[str, Sequence[Sequence[float]]] = field(default_factory=dict)
    seen: tuple[str, ...] = ()
    self_judged: Sequence[Mapping[str, str]] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    length: str = "characters"

    @property
    def judges(self) -> list[str]:
        """Their names, in order."""
        return self.outcomes["judge"].unique(maintain_order=True).to_list()

    def only(self, judge: str) -> pl.DataFrame:
        """The outcomes of one judge."""
        return self.outcomes.filter(pl.col("judge") == judge)

    def rates_of_both_orders(self, *by: str) -> list[dict[str, Any]]:
        """Win rates by both orders together; none where there are no log-odds."""
        if self.both_orders is None or self.both_orders.is_empty():
            return []
        return win_rate_table(self.both_orders, "judge", *by).to_dicts()

    def agreement(self, *by: str) -> pl.DataFrame:
        """Agreement of all judges with each other and with the references."""
        if self.references is None:
            return verdict_agreement(self.outcomes, *by)
        names = self.references["judge"].unique().to_list()
        return verdict_agreement(pl.concat([self.outcomes, self.references]), *by, beside=names)


def read_judged(folder: Path) -> Judged:
    """All that a finished folder of ``polylect judge`` says by itself.

    That is everything but the win rates at equal length and style, for which the answers are
    needed.
    """
    about = read_json(folder / JUDGING)
    rows = read_judgments(folder)
    people, by_length = (
        list(read_rows(folder / name, Judgment)) if (folder / name).is_file() else []
        for name in (_PEOPLE, _LONGER)
    )
    both_orders = outcome_table(calibrated_judgments(rows))
    return Judged(
        models=tuple(about["models"]),
        outcomes=outcome_table([*rows, *people]),
        references=pl.concat([both_orders, outcome_table(by_length)]),
        both_orders=both_orders,
        points=points_by_judge(rows, about["weight"]) if about["weight"] > 1 else {},
        self_judged=about["self_judged"],
        settings={"preset": about["preset"], "source": about["source"],
                  **read_json(folder / "step.json")["config"]},
        ledger=open_artifact(folder).ledger,
    )  # fmt: skip


def judged_with_answers(
    folder: Path,
    pairs: Sequence[AnswerPair],
    people: Sequence[Judgment],
    size: tuple[str, Callable[[str], int]],
    seen: tuple[str, ...],
) -> Judged:
    """All that the page is drawn from, from a finished folder and the answers judged there.

    Beside the judgments it writes what the judges are compared with, so that ``read_judged`` has
    it.

    Args:
        folder: of ``polylect judge``.
        pairs: what was judged there.
        people: judgments of the same models by people; may be none.
        size: what a length is counted in, and how.
        seen: languages that the second model was trained on; none if unknown.
    """
    models = tuple(read_json(folder / JUDGING)["models"])
    _write_or_remove(folder / _PEOPLE, people)
    _write_or_remove(folder / _LONGER, longer_answer_judgments(pairs, models, size[1]))
    judged = read_judged(folder)
    rows = outcome_table(read_judgments(folder))
    return replace(
        judged,
        controlled=_controlled(rows, pairs, size[1]),
        seen=seen,
        settings={"lengths": size[0], **judged.settings},
        length=size[0],
    )


def _write_or_remove(path: Path, rows: Sequence[Judgment]) -> None:
    if rows:
        write_rows(path, Judgment, rows)
    else:
        path.unlink(missing_ok=True)


def points_by_judge(rows: Sequence[Judgment], weight: int) -> dict[str, list[tuple[float, ...]]]:
    """Rows of arena-hard's score for every pair with two valid verdicts, by judge.

    Args:
        rows: both orders of every pair.
        weight: of a strong verdict.
    """
    first_order: dict[tuple[str, str, str, int], Judgment] = {}
    points: dict[str, list[tuple[float, ...]]] = {}
    for row in rows:
        key = (row.judge, row.language, row.id, row.sample)
        first = first_order.pop(key, None)
        if first is None:
            first_order[key] = row
        elif Verdict.INVALID not in {row.verdict, first.verdict}:
            points.setdefault(row.judge, []).append(arena_points(first, row, weight))
    return points


def _controlled(
    judged: pl.DataFrame, pairs: Sequence[AnswerPair], size: Callable[[str], int]
) -> dict[str, list[ControlledWinRate]]:
    """Win rates at equal length, and at equal length and style, by judge."""
    features = style_differences(pairs, size)
    index = {(pair.a.id, pair.a.language, pair.a.sample): i for i, pair in enumerate(pairs)}
    by_judge = {}
    for judge in judged["judge"].unique(maintain_order=True):
        of_judge = judged.filter(pl.col("judge") == judge)
        keys = of_judge.select("id", "language", "sample").rows()
        chosen = features[[index[key] for key in keys]]
        by_judge[judge] = [
            controlled_win_rate(of_judge, chosen[:, :1], STYLE_FEATURES[:1]),
            controlled_win_rate(of_judge, chosen),
        ]  # fmt: skip
    return by_judge
