"""The mixtures that may be recommended: between bounds, and nowhere that no run has been near.

Unless told otherwise, a share stays between the smallest and the largest that a run had, or the
reference has. Streams that always moved together in the runs keep doing so: nothing is known of
moving one of them. Shares by stage leave the lengths of the stages as they are in the reference.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polylect.base import InputError, generator
from polylect.mixtures.law_forms import Floats

_EXACT = 1e-9


@dataclass(frozen=True)
class ShareSpace:
    """Mixtures between bounds.

    Attributes:
        reference: a mixture [streams].
        lowest: smallest shares [streams].
        highest: largest shares [streams].
        groups: columns whose sum stays what it is in the reference: one group of all streams, or
            one per stage.
        frozen: orthonormal directions in which no two runs differ [n, streams].
    """

    reference: Floats
    lowest: Floats
    highest: Floats
    groups: tuple[tuple[int, ...], ...]
    frozen: Floats

    def sample(self, num: int, seed: int) -> Floats:
        """Mixtures [n, streams] spread over the space, the reference first where it belongs to it.

        Raises:
            InputError: no mixture keeps the bounds.
        """
        pool = np.zeros((num + max(len(group) for group in self.groups), len(self.reference)))
        for number, group in enumerate(self.groups):
            columns = list(group)
            total = float(self.reference[columns].sum())
            if total <= _EXACT:
                continue
            low, high = self.lowest[columns] / total, np.minimum(1, self.highest[columns] / total)
            draws = candidates(len(columns), num, seed + number, low, high) * total
            pool[:, columns] = np.resize(draws, (len(pool), len(columns)))
        keeps = bool((self.reference >= self.lowest - _EXACT).all()
                     and (self.reference <= self.highest + _EXACT).all())  # fmt: skip
        if len(self.frozen):
            away = pool - self.reference
            away = away - away @ self.frozen.T @ self.frozen
            pool = self.reference + away * self._reach(away)[:, None] if keeps else (
                self._keeping(self.reference + away))  # fmt: skip
        return np.concatenate([self.reference[None], pool]) if keeps else pool

    def price_directions(self) -> Floats:
        """The direction of one more of every stream [streams, streams], the others of its group
        giving in proportion; NaN where the runs never moved that way, or nothing can give.
        """
        directions = np.full((len(self.reference),) * 2, np.nan)
        for group in self.groups:
            for stream in group:
                others = [other for other in group if other != stream]
                give = self.reference[others]
                if not others:
                    continue
                # A stream that is everything gives to all others alike.
                give = give if give.sum() > _EXACT else np.ones(len(others))
                parts = give / give.sum()
                direction = np.zeros(len(self.reference))
                direction[stream], direction[others] = 1.0, -parts
                if not len(self.frozen) or np.abs(self.frozen @ direction).max() < 1e-6:
                    directions[stream] = direction
        return directions

    def _reach(self, away: Floats) -> Floats:
        """How far along each direction the bounds are kept, at most 1 [n]."""
        room = np.where(away > 0, self.highest - self.reference, self.reference - self.lowest)
        steps = np.divide(room, np.abs(away), out=np.full_like(away, np.inf),
                          where=np.abs(away) > _EXACT)  # fmt: skip
        return np.clip(steps.min(axis=1), 0.0, 1.0)

    def _keeping(self, pool: Floats) -> Floats:
        kept = pool[((pool >= self.lowest - _EXACT) & (pool <= self.highest + _EXACT)).all(axis=1)]
        if not len(kept):
            raise InputError(
                "no mixture keeps the bounds: streams that always moved together in the runs cannot"
                " be moved apart",
                "give bounds that the reference keeps",
            )
        return kept


def space_around(
    shares: Floats,
    reference: Floats,
    *,
    lowest: Sequence[float | None] | Floats | None = None,
    highest: Sequence[float | None] | Floats | None = None,
    groups: tuple[tuple[int, ...], ...] | None = None,
) -> ShareSpace:
    """The space of mixtures around the runs.

    Args:
        shares: of every run [runs, streams].
        reference: the mixture that a change is compared with [streams].
        lowest: smallest shares [streams]; None is the smallest of any run.
        highest: largest shares [streams]; None is the largest of any run.
        groups: columns of each stage; default all in one.

    Raises:
        InputError: bounds that no mixture keeps, or a reference unlike anything that was run.
    """
    tried = np.concatenate([shares, reference[None]])
    low = _bounds(lowest, tried.min(axis=0))
    high = _bounds(highest, tried.max(axis=0))
    if low.sum() > 1 + _EXACT or high.sum() < 1 - _EXACT or (low > high + _EXACT).any():
        raise _no_mixture(low, high)
    sizes, directions = np.linalg.svd(shares - shares.mean(axis=0), full_matrices=True)[1:]
    rank = int((sizes > 1e-7).sum())
    frozen = directions[rank:]
    off = frozen @ (reference - shares.mean(axis=0))
    if np.abs(off).max(initial=0.0) > 1e-6:
        raise InputError(
            "the reference differs from the runs in a way in which no two of them differ",
            "give a reference like one of the runs, or runs that vary all of its streams",
        )
    # The sums of groups are frozen anyway, or kept by sampling within them.
    constant = np.zeros((0, len(reference)))
    for group in groups or (tuple(range(len(reference))),):
        row = np.zeros(len(reference))
        row[list(group)] = 1 / np.sqrt(len(group))
        constant = np.concatenate([constant, row[None]])
    beyond = frozen - frozen @ constant.T @ constant
    values, left = np.linalg.svd(beyond, full_matrices=False)[1:]
    return ShareSpace(
        reference, low, high, groups or (tuple(range(len(reference))),), left[values > 1e-6]
    )


def _bounds(given: Sequence[float | None] | Floats | None, tried: Floats) -> Floats:
    if given is None:
        return tried
    return np.array([value if bound is None else bound
                     for bound, value in zip(given, tried, strict=True)], dtype=float)  # fmt: skip


def _no_mixture(low: Floats, high: Floats) -> InputError:
    return InputError(
        f"no mixture keeps the bounds: the smallest shares sum to {low.sum():.2f}, the largest to"
        f" {high.sum():.2f}",
        "the first must be at most 1, the second at least 1, and none above its largest",
    )


def candidates(
    num_streams: int,
    num: int,
    seed: int,
    lowest: Sequence[float] | Floats | None = None,
    highest: Sequence[float] | Floats | None = None,
) -> Floats:
    """Mixtures [n, streams] spread over the simplex between bounds; its corners among them.

    Raises:
        InputError: no mixture keeps the bounds.
    """
    low = np.zeros(num_streams) if lowest is None else np.asarray(lowest, float)
    high = np.ones(num_streams) if highest is None else np.asarray(highest, float)
    if low.sum() > 1 + _EXACT or high.sum() < 1 - _EXACT or (low > high + _EXACT).any():
        raise _no_mixture(low, high)
    random = generator(seed, "candidates")
    # Half of them sparse, so that edges and corners are looked at as well as the middle.
    free = np.concatenate(
        [random.dirichlet(np.ones(num_streams), num // 2),
         random.dirichlet(np.full(num_streams, 0.3), num - num // 2), np.eye(num_streams)]
    )  # fmt: skip
    return _within(low + free * max(0.0, 1 - low.sum()), high)


def _within(shares: Floats, high: Floats) -> Floats:
    """Mixtures whose shares above a bound are cut to it, the rest spread over the others' room."""
    for _ in range(shares.shape[1]):
        over = np.clip(shares - high, 0, None).sum(axis=1, keepdims=True)
        if float(over.max()) < 1e-12:
            break
        shares = np.minimum(shares, high)
        room = high - shares
        shares = shares + over * room / np.maximum(room.sum(axis=1, keepdims=True), 1e-300)
    return shares
