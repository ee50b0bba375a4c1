"""A board's section on a model that was picked as the best of several private variants."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from polylect.base import InputError, UndecidableError, plain
from polylect.ranking.board import Board, fit_core
from polylect.ranking.components import identify
from polylect.ranking.counts import PairCounts
from polylect.ranking.selection import expected_gain
from polylect.ranking.votes import VoteTable
from polylect.ranking.winners import bias_curve, fresh_counts, fresh_score, winner_scores

_CURVE_SPREADS = np.array([0.0, 2.5, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0])
_CURVE_RUNS = 2000


@dataclass(frozen=True, slots=True)
class Choice:
    """What is known about how a model was picked.

    Attributes:
        model: the picked one.
        num_variants: how many were tested, it included.
        variants: names of all of them, when they are in the votes.
        spread: standard deviation of their true scores in Elo, when it is known.
        since: when it was picked, in seconds since 1970.
    """

    model: str
    num_variants: int
    variants: tuple[str, ...] = ()
    spread: float | None = None
    since: float | None = None


def with_selection(
    board: Board, counts: PairCounts, choice: Choice, table: VoteTable | None = None
) -> Board:
    """The board with every corrected score that what is known allows.

    Args:
        board: of these counts.
        counts: all votes.
        choice: what is known.
        table: the votes with their time, for the score from fresh votes.

    Raises:
        InputError: the model, or a named variant, is not rated; or the numbers do not fit.
    """
    for name in (choice.model, *choice.variants):
        counts.position(name)
    cores = identify(counts).cores
    core = next((one for one in cores if choice.model in one), ())
    if len(core) < 2:
        raise InputError(
            f"{choice.model!r} has no finite rating to correct", "choose a model with one"
        )
    settings = board.settings
    fit = fit_core(counts.restricted(core), settings, table)
    anchor = settings.anchor if settings.anchor and settings.anchor[0] in core else None
    shift = fit.shift(anchor)
    scores = winner_scores(
        fit, shift, choice.model, choice.num_variants, choice.variants, choice.spread
    )
    fresh = "fresh votes: give --chosen-at and a time column for the score they give"
    if choice.since is not None:
        assert table is not None, "fresh votes need the votes as rows"
        try:
            scores.append(
                fresh_score(fresh_counts(table, choice.model, choice.since), choice.model, anchor)
            )
            fresh = ""
        except UndecidableError as error:
            fresh = f"fresh votes: {error}"
    sd = float(fit.standard_error[fit.position(choice.model)])
    curve = bias_curve(choice.num_variants, sd, _CURVE_SPREADS, _CURVE_RUNS, settings.seed)
    value: dict[str, Any] = {
        "model": choice.model,
        "num_variants": choice.num_variants,
        "scores": plain(scores),
        "fresh_votes": fresh,
        "luck_of_identical_variants": expected_gain(choice.num_variants, sd).noise,
        "curve": [
            {
                "spread": float(spread),
                "bias_as_shown": float(shown),
                "bias_median_unbiased": float(median),
                "bias_lower_bound": expected_gain(choice.num_variants, sd, float(spread)).noise
                - expected_gain(choice.num_variants, sd).noise,
            }
            for spread, shown, median in zip(
                curve.spread, curve.naive_bias, curve.median_bias, strict=True
            )
        ],
    }
    return replace(board, selections=(*board.selections, value))
