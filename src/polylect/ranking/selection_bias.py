"""Selection bias on a board: a model that was picked as the best of several private variants."""

from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np

from polylect.base import (
    Finite,
    InputError,
    NonNegative,
    Range,
    UndecidableError,
    check_settings,
    plain,
)
from polylect.ranking.board import Board, fit_ratings
from polylect.ranking.components import identify
from polylect.ranking.counts import PairCounts
from polylect.ranking.order_statistics import expected_gain
from polylect.ranking.votes import VoteTable
from polylect.ranking.winners import bias_curve, fresh_counts, fresh_score, winner_scores

_CURVE_SPREADS = np.array([0.0, 2.5, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0])
_CURVE_RUNS = 2000


@dataclass(frozen=True, slots=True)
class BestOfN:
    """How a model was picked as the best of N variants.

    Attributes:
        model: the picked model.
        num_variants: N, including the picked one.
        variants: names of all variants, if there are votes on them.
        spread: standard deviation of their true scores in Elo, if it is known.
        since: when it was picked, in seconds since 1970; None if that is not known.
    """

    model: str
    num_variants: Annotated[int, Range(2)]
    variants: tuple[str, ...] = ()
    spread: NonNegative | None = None
    since: Finite | None = None

    def __post_init__(self) -> None:
        check_settings(self)


def with_best_of_n(
    board: Board, counts: PairCounts, selection: BestOfN, table: VoteTable | None = None
) -> Board:
    """The board with the corrected scores of a model that was picked as the best of N.

    Args:
        board: of these counts.
        counts: all votes.
        selection: how the model was picked.
        table: the votes with their time, for the score from votes cast after the selection.

    Raises:
        InputError: the model, or a named variant, is not rated; or the numbers do not fit.
    """
    model, num_variants = selection.model, selection.num_variants
    for name in (model, *selection.variants):
        counts.position(name)
    core = identify(counts).core_with(model)
    if len(core) < 2:
        raise InputError(f"{model!r} has no finite rating to correct", "choose a model with one")
    settings = board.settings
    fit = fit_ratings(counts.restricted(core), settings, table)
    anchor = settings.anchor if settings.anchor and settings.anchor[0] in core else None
    shift = fit.shift(anchor)
    scores = winner_scores(fit, shift, model, num_variants, selection.variants, selection.spread)
    fresh = "fresh votes: give --chosen-at and a time column for the score they give"
    if selection.since is not None:
        assert table is not None, "fresh votes need the votes as rows"
        try:
            counts_since = fresh_counts(table, model, selection.since)
            scores.append(fresh_score(counts_since, model, anchor))
            fresh = ""
        except UndecidableError as error:
            fresh = f"fresh votes: {error}"
    sd = float(fit.standard_error[fit.position(model)])
    luck = expected_gain(num_variants, sd).noise
    curve = bias_curve(num_variants, sd, _CURVE_SPREADS, _CURVE_RUNS, settings.seed)
    value: dict[str, Any] = {
        "model": model,
        "num_variants": num_variants,
        "scores": plain(scores),
        "fresh_votes": fresh,
        "luck_of_identical_variants": luck,
        "curve": [
            {
                "spread": float(spread),
                "bias_as_shown": float(shown),
                "bias_median_unbiased": float(median),
                "bias_lower_bound": expected_gain(num_variants, sd, float(spread)).noise - luck,
            }
            for spread, shown, median in zip(
                curve.spread, curve.naive_bias, curve.median_bias, strict=True
            )
        ],
    }
    return replace(board, selections=(*board.selections, value))
