"""One-sided bounds for models that have no finite rating."""

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from polylect.ranking.bradley_terry import fit_strengths
from polylect.ranking.components import identify, score_graph
from polylect.ranking.counts import FloatArray, PairCounts

BOUND_LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Bound:
    """A group of models that the votes separate from the core: no finite rating exists.

    Attributes:
        models: the group; inside it the order is decided by votes.
        side: ``above`` (chains of won votes lead from the group to the core, none back),
            ``below`` (the reverse), or ``apart`` (no such chain; both met only third parties).
            Without a core: ``won`` (every vote), ``lost`` (every vote) or ``between``.
        num_votes: votes between the group and the core; without a core, all of the model's.
        limit: one-sided 95 % limit of the group's mean strength minus the core's mean strength, in
            log-odds: a lower limit when ``above``, an upper limit when ``below``; None when the
            group never met the core, or without one: a limit needs a scale.
    """

    models: tuple[str, ...]
    side: str
    num_votes: float
    limit: float | None


@dataclass(frozen=True, slots=True, eq=False)
class CoreStrengths:
    """Names and strengths (log-odds, centered) of a finite core."""

    models: tuple[str, ...]
    strength: FloatArray


def separation_bounds(counts: PairCounts, core: CoreStrengths) -> tuple[Bound, ...]:
    """What the votes say about each separated group of the core's component.

    The limit solves ``P(all votes across the cut as they were | offset) = 1 − level``: the exact
    one-sided limit for a run without a loss, with the strengths inside the core and inside the
    group held at their estimates.

    Does not: account for the error of those estimates.
    """
    result = identify(counts)
    component = next(i for i, names in enumerate(result.components) if core.models[0] in names)
    reached = {side: _reached(counts, core, side) for side in ("above", "below")}
    strength = np.full(counts.num_models, np.nan)
    strength[[counts.position(name) for name in core.models]] = core.strength
    bounds = []
    for group in result.groups[component]:
        members = np.array([counts.position(name) for name in group])
        inside = np.full(counts.num_models, np.nan)
        inside[members] = fit_strengths(counts.restricted(group)) if len(group) > 1 else 0.0
        side = next((name for name, models in reached.items() if models[members[0]]), "apart")
        # Of these two, one is NaN at least, unless the pair crosses from the group to the core.
        gap = np.concatenate(
            [
                inside[counts.first] - strength[counts.second],
                inside[counts.second] - strength[counts.first],
            ]
        )
        across = np.isfinite(gap)
        votes = np.concatenate([counts.totals, counts.totals])[across]
        sign = -1.0 if side == "below" else 1.0
        limit = sign * _offset(sign * gap[across], votes) if len(votes) else None
        bounds.append(Bound(group, side, float(votes.sum()), limit))
    return tuple(bounds)


def sides_without_core(counts: PairCounts) -> tuple[Bound, ...]:
    """Whether each model won or lost every vote, best side first, where no two are on one scale.

    Args:
        counts: of a component without a finite group of two models or more.
    """
    up, down = counts.first_score > 0, counts.second_score > 0
    won = {*counts.first[up].tolist(), *counts.second[down].tolist()}
    lost = {*counts.first[down].tolist(), *counts.second[up].tolist()}
    sides = {"won": won - lost, "between": won & lost, "lost": lost - won}
    return tuple(
        Bound((counts.models[i],), side, float(counts.battles[i]), None)
        for side, members in sides.items()
        for i in sorted(members)
    )


def _reached(counts: PairCounts, core: CoreStrengths, side: str) -> npt.NDArray[np.bool_]:
    """(M,) whether a chain of won votes leads from a model to the core, or from the core to it."""
    from scipy.sparse.csgraph import breadth_first_order

    graph = score_graph(counts)
    graph = graph.T.tocsr() if side == "above" else graph
    reached = np.zeros(counts.num_models, bool)
    reached[breadth_first_order(graph, counts.position(core.models[0]))[0]] = True
    return reached


def _offset(gap: FloatArray, votes: FloatArray) -> float:
    """The offset at which winning all ``votes`` has probability ``1 − BOUND_LEVEL``."""
    from scipy.optimize import brentq

    def excess(offset: float) -> float:
        return float(-votes @ np.logaddexp(0.0, -(offset + gap)) - np.log(1.0 - BOUND_LEVEL))

    wide = 50.0 + float(np.abs(gap).max()) + float(np.log(votes.sum() + 1.0))
    return cast(float, brentq(excess, -wide, wide, xtol=1e-12))
