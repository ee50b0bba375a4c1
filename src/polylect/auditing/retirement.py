"""Effects of removing models from a board, or of sampling them less, on the other models."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polylect.base import UndecidableError
from polylect.ranking import (
    ELO_PER_NAT,
    FloatArray,
    PairCounts,
    Ratings,
    fit_bradley_terry,
    identify,
)
from polylect.stats import two_sided_z

_LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Move:
    """A model that stays, before and after; ranks are among the models that stay.

    Attributes:
        model: name.
        rank_before, rank_after: by rating; after is None if the model has no joint rank any more.
        change: of the rating, in Elo points, with both boards centered on the models that have a
            rating in both; None if the model has no joint rank any more.
        half_width_before, half_width_after: of the 95 % interval of the centered rating.
    """

    model: str
    rank_before: int
    rank_after: int | None
    change: float | None
    half_width_before: float
    half_width_after: float | None


@dataclass(frozen=True, slots=True)
class Retirement:
    """Effect of a retirement on the models that stay.

    Attributes:
        retired: the models that are removed or sampled less.
        keep_share: share of their votes that is kept; 0 for a removal.
        votes_lost: number of votes that are not kept.
        moves: every model that stays, in the order of its rank before.
        lost_pairs: (better, worse) whose difference was significant at 95 %, each pair on its own,
            and is not any more; largest differences first.
        gained_pairs: (better, worse) whose difference is significant only now.
        split_off: components other than the largest, which no chain of votes links any more.
        separated: models in the largest component that now only won or only lost.
    """

    retired: tuple[str, ...]
    keep_share: float
    votes_lost: float
    moves: tuple[Move, ...]
    lost_pairs: tuple[tuple[str, str], ...]
    gained_pairs: tuple[tuple[str, str], ...]
    split_off: tuple[tuple[str, ...], ...]
    separated: tuple[str, ...]

    @property
    def num_moved(self) -> int:
        """Number of models whose rank changes or is lost."""
        return sum(move.rank_after != move.rank_before for move in self.moves)


def retire(
    counts: PairCounts,
    models: Sequence[str],
    keep_share: float = 0.0,
    ratings: Ratings | None = None,
) -> Retirement:
    """Compare the board with one without some models, or with only a share of their votes.

    Under Bradley–Terry a retirement only costs precision. Where the model does not hold, ratings
    are averages over opponents, and change with the opponents ("The Leaderboard Illusion",
    section 5). The result shows both effects.

    Args:
        counts: votes whose strengths are all finite.
        models: models to retire.
        keep_share: 0 removes the models. With 0.2 they stay on the board with, in expectation, a
            fifth of their votes: every cell of their pairs is scaled.
        ratings: the fit of the counts; fitted if left out.

    Raises:
        InputError: no such model.
        UndecidableError: fewer than two models stay.
    """
    assert 0.0 <= keep_share < 1.0, keep_share
    ratings = ratings or fit_bradley_terry(counts)
    retired = sorted({counts.position(name) for name in models})
    stay = [name for i, name in enumerate(counts.models) if keep_share > 0.0 or i not in retired]
    if len(stay) < 2:
        raise UndecidableError(f"{len(stay)} models stay", "retire fewer")
    is_scaled = np.isin(counts.first, retired) | np.isin(counts.second, retired)
    scaled = counts.outcomes * np.where(is_scaled, keep_share, 1.0)[:, None]
    kept = scaled.sum(1) > 0
    after = PairCounts(
        counts.models, counts.first[kept], counts.second[kept], scaled[kept]
    ).restricted(stay)
    identified = identify(after)
    core = identified.largest_core
    fit = fit_bradley_terry(after.restricted(core)) if len(core) >= 2 else None
    home = identified.cores.index(core) if core else 0
    others = [models for i, models in enumerate(identified.components) if i != home]
    separated = identified.groups[home] if identified.groups else ()
    lost, gained = _separable_changes(ratings, fit)
    return Retirement(
        retired=tuple(counts.models[i] for i in retired),
        keep_share=keep_share,
        votes_lost=counts.num_votes - float(scaled.sum()),
        moves=_moves(ratings, fit, stay),
        lost_pairs=lost,
        gained_pairs=gained,
        split_off=(*others, *((name,) for name in identified.unfought)),
        separated=tuple(name for group in separated for name in group),
    )


def _moves(before: Ratings, after: Ratings | None, stay: Iterable[str]) -> tuple[Move, ...]:
    staying = set(stay)
    order = [before.models[i] for i in before.order if before.models[i] in staying]
    rank_after: dict[str, int] = {}
    change: dict[str, float] = {}
    half_width_after: dict[str, float] = {}
    if after is not None:
        rank_after = {after.models[i]: rank for rank, i in enumerate(after.order, start=1)}
        common = [before.position(name) for name in after.models]
        elo_before = before.elo[common] - before.elo[common].mean()
        change = dict(zip(after.models, (after.elo - elo_before).tolist(), strict=True))
        half_width_after = _half_widths(after)
    half_width_before = _half_widths(before)
    return tuple(
        Move(
            name,
            rank,
            rank_after.get(name),
            change.get(name),
            half_width_before[name],
            half_width_after.get(name),
        )
        for rank, name in enumerate(order, start=1)
    )


def _half_widths(ratings: Ratings) -> dict[str, float]:
    half_widths = two_sided_z(_LEVEL) * ratings.standard_error
    return dict(zip(ratings.models, half_widths.tolist(), strict=True))


def _separable_changes(
    before: Ratings, after: Ratings | None
) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]:
    """Pairs that stop being significant, and pairs that begin; of models with both ratings."""
    if after is None:
        return (), ()
    names = after.models
    places = [before.position(name) for name in names]
    was_significant = _z_scores(before)[np.ix_(places, places)] > two_sided_z(_LEVEL)
    is_significant = _z_scores(after) > two_sided_z(_LEVEL)
    gap = before.strength[places][:, None] - before.strength[places][None, :]

    def named(chosen: npt.NDArray[np.bool_]) -> tuple[tuple[str, str], ...]:
        rows, columns = np.nonzero(chosen)
        order = np.argsort(-gap[rows, columns], kind="stable")
        return tuple((names[rows[k]], names[columns[k]]) for k in order)

    return named(was_significant & ~is_significant), named(is_significant & ~was_significant)


def _z_scores(ratings: Ratings) -> FloatArray:
    """(M, M) difference over its standard error; 0 on the diagonal."""
    gap = (ratings.strength[:, None] - ratings.strength[None, :]) * ELO_PER_NAT
    error = ratings.difference_error
    return np.divide(gap, error, out=np.zeros_like(gap), where=error > 0)
