"""What taking models off a board, or sampling them less, does to everyone else on it."""

from collections.abc import Iterable, Mapping, Sequence
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
    """One model that stays, before and after; ranks count the models that stay.

    Attributes:
        model: name.
        rank_before, rank_after: by rating; after None when the model has no joint rank any more.
        change: of the rating, in Elo points, after both boards are centered on the models that have
            a rating in both; None likewise.
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
    """What a retirement does to the models that stay.

    Attributes:
        retired: the models that are removed or sampled less.
        keep_share: share of their votes that is kept; 0 for a removal.
        votes_lost: votes that go with them.
        moves: every model that stays, in the order of its rank before.
        lost_pairs: (better, worse) whose difference was significant at 95 %, each pair looked at
            alone, and is not any more; largest differences first.
        gained_pairs: the other way round: the rest of the votes tell them apart, all together did
            not.
        split_off: components beside the largest one, that no chain of votes links any more.
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
        """Models whose rank changes, or is lost."""
        return sum(one.rank_after != one.rank_before for one in self.moves)


def retire(
    counts: PairCounts,
    models: Sequence[str],
    keep_share: float = 0.0,
    ratings: Ratings | None = None,
) -> Retirement:
    """The board without the votes of some models, or with a share of them.

    Under Bradley–Terry a retirement only costs precision; where the model does not hold, ratings
    are averages over opponents, and with other opponents they move ("The Leaderboard Illusion",
    section 5). Both show here.

    Args:
        counts: votes whose strengths are all finite.
        models: who goes.
        keep_share: 0 removes them; 0.2 shows what a fifth of their votes would have given, in
            expectation: every cell of their pairs is scaled, and the models stay on the board.
        ratings: the fit of the counts; made when left out.

    Raises:
        InputError: no such model.
        UndecidableError: fewer than two models stay.
    """
    assert 0.0 <= keep_share < 1.0, keep_share
    ratings = ratings or fit_bradley_terry(counts)
    gone = sorted({counts.position(name) for name in models})
    stay = [i for i in range(counts.num_models) if keep_share > 0.0 or i not in gone]
    if len(stay) < 2:
        raise UndecidableError(f"{len(stay)} models stay", "retire fewer")
    touched = np.isin(counts.first, gone) | np.isin(counts.second, gone)
    scaled = counts.outcomes * np.where(touched, keep_share, 1.0)[:, None]
    kept = scaled.sum(1) > 0
    less = PairCounts(counts.models, counts.first[kept], counts.second[kept], scaled[kept])
    after = less.restricted(counts.models[i] for i in stay)
    found = identify(after)
    core = max(found.cores, key=len, default=())
    fit = fit_bradley_terry(after.restricted(core)) if len(core) >= 2 else None
    home = next((i for i, one in enumerate(found.cores) if one == core), 0)
    apart = [one for i, one in enumerate(found.components) if i != home]
    split_off = (*apart, *((name,) for name in found.unfought))
    lost, gained = _separable_changes(ratings, fit)
    return Retirement(
        retired=tuple(counts.models[i] for i in gone),
        keep_share=keep_share,
        votes_lost=counts.num_votes - float(scaled.sum()),
        moves=_moves(ratings, fit, [counts.models[i] for i in stay]),
        lost_pairs=lost,
        gained_pairs=gained,
        split_off=tuple(split_off),
        separated=tuple(name for group in found.groups[home] for name in group)
        if found.groups
        else (),
    )


def rank_ranges(
    counts: PairCounts, groups: Mapping[str, Sequence[str]], ratings: Ratings | None = None
) -> dict[str, tuple[int, int]]:
    """Lowest and highest rank of each model when one group at a time is left out.

    Ranks are among the models that stay, shifted by the members of the group that stood above, so
    that a model's own rank on the whole board is where nothing moved.

    Args:
        counts: votes whose strengths are all finite.
        groups: e.g. the models of each provider.
        ratings: the fit of the counts.

    Does not: cover models that lose their joint rank; ``retire`` names those.
    """
    ratings = ratings or fit_bradley_terry(counts)
    place = {ratings.models[i]: rank for rank, i in enumerate(ratings.order, start=1)}
    ranges = {name: (rank, rank) for name, rank in place.items()}
    for members in groups.values():
        inside = [name for name in members if name in place]
        if not inside or len(place) - len(inside) < 2:
            continue
        for move in retire(counts, inside, 0.0, ratings).moves:
            if move.rank_after is not None:
                rank = place[move.model] + move.rank_after - move.rank_before
                low, high = ranges[move.model]
                ranges[move.model] = (min(low, rank), max(high, rank))
    return ranges


def _moves(before: Ratings, after: Ratings | None, stay: Iterable[str]) -> tuple[Move, ...]:
    staying = set(stay)
    order = [before.models[i] for i in before.order if before.models[i] in staying]
    rank_after: dict[str, int] = {}
    change: dict[str, float] = {}
    half_after: dict[str, float] = {}
    if after is not None:
        rank_after = {after.models[i]: k for k, i in enumerate(after.order, start=1)}
        common = [before.position(name) for name in after.models]
        old = before.elo[common] - before.elo[common].mean()
        change = dict(zip(after.models, (after.elo - old).tolist(), strict=True))
        half_after = dict(zip(after.models, _half(after).tolist(), strict=True))
    half = _half(before)
    return tuple(
        Move(
            name,
            rank,
            rank_after.get(name),
            change.get(name),
            float(half[before.position(name)]),
            half_after.get(name),
        )
        for rank, name in enumerate(order, start=1)
    )


def _half(ratings: Ratings) -> FloatArray:
    return two_sided_z(_LEVEL) * ratings.standard_error


def _separable_changes(
    before: Ratings, after: Ratings | None
) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]:
    """Pairs that stop, and pairs that begin, to be separable; among models with both ratings."""
    if after is None:
        return (), ()
    places = [before.position(name) for name in after.models]
    was = _significance(before)[np.ix_(places, places)]
    now = _significance(after)
    gap = before.strength[places][:, None] - before.strength[places][None, :]
    limit = two_sided_z(_LEVEL)

    names = after.models

    def named(chosen: npt.NDArray[np.bool_]) -> tuple[tuple[str, str], ...]:
        rows, columns = np.nonzero(chosen)
        order = np.argsort(-gap[rows, columns], kind="stable")
        return tuple((names[rows[k]], names[columns[k]]) for k in order)

    lost = named((was > limit) & (now <= limit))
    gained = named((now > limit) & (was <= limit))
    return lost, gained


def _significance(ratings: Ratings) -> FloatArray:
    """(M, M) difference over its standard error; 0 on the diagonal."""
    gap = (ratings.strength[:, None] - ratings.strength[None, :]) * ELO_PER_NAT
    error = ratings.difference_error
    return np.divide(gap, error, out=np.zeros_like(gap), where=error > 0)
