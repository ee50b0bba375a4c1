"""What the votes identify: connected components, separated groups, and the bound that is left."""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from polylect.base import UndecidableError
from polylect.ranking.counts import FloatArray, IntArray, PairCounts

BOUND_LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Bound:
    """A group of models that the votes separate from the core: no finite rating exists.

    Attributes:
        models: the group; inside it the order is decided by votes.
        side: ``above`` (chains of won votes lead from the group to the core, none back),
            ``below`` (the reverse), or ``apart`` (no such chain; both met only third parties).
        num_votes: votes between the group and the core.
        limit: one-sided 95 % limit of the group's mean strength minus the core's mean strength, in
            log-odds: a lower limit when ``above``, an upper limit when ``below``; None when the
            group never met the core.
    """

    models: tuple[str, ...]
    side: str
    num_votes: float
    limit: float | None


@dataclass(frozen=True, eq=False, slots=True)
class Identified:
    """What can be ranked with what.

    Attributes:
        components: lists of models that any chain of votes links; most votes first. Models without
            votes are not in any.
        cores: per component, the models of its largest strongly connected part: their strengths
            are finite (Ford 1957; Zermelo 1929).
        groups: per component, the other strongly connected parts.
        unfought: models without a single valid vote.
    """

    components: tuple[tuple[str, ...], ...]
    cores: tuple[tuple[str, ...], ...]
    groups: tuple[tuple[tuple[str, ...], ...], ...]
    unfought: tuple[str, ...]

    @property
    def is_connected(self) -> bool:
        """All models with votes are linked."""
        return len(self.components) <= 1

    @property
    def is_finite(self) -> bool:
        """All models with votes have finite strengths on one scale."""
        return self.is_connected and not any(self.groups)


@dataclass(frozen=True, slots=True, eq=False)
class CoreStrengths:
    """Names and strengths (log-odds, centered) of a finite core."""

    models: tuple[str, ...]
    strength: FloatArray


def identify(counts: PairCounts) -> Identified:
    """Components, their finite cores and the separated groups of the votes.

    A strength is finite exactly when the directed graph "i took at least a half point from j" is
    strongly connected (Ford 1957); a tie is an edge in both directions.
    """
    weak = _labels(counts, directed=False)
    strong = _labels(counts, directed=True)
    fought = counts.battles > 0
    components, cores, groups = [], [], []
    for members in _parts(weak, fought, counts.battles):
        inside = np.zeros(counts.num_models, bool)
        inside[members] = True
        parts = _parts(strong, inside, counts.battles)
        # The core: most models, then most votes.
        parts.sort(key=lambda part: (-len(part), -counts.battles[part].sum(), part[0]))
        components.append(_names(counts, members))
        cores.append(_names(counts, parts[0]))
        groups.append(tuple(_names(counts, part) for part in parts[1:]))
    return Identified(
        tuple(components),
        tuple(cores),
        tuple(groups),
        tuple(np.array(counts.models, object)[~fought]),
    )


def require_finite(counts: PairCounts) -> None:
    """Nothing, when every model has votes and a finite strength.

    Raises:
        UndecidableError: the votes do not give one finite scale; names the models.
    """
    labels = _labels(counts, directed=True)
    if counts.num_votes and labels.max() == 0:
        return
    if not counts.num_votes:
        raise UndecidableError("there are no votes", "check the file")
    found = identify(counts)
    if found.unfought:
        raise UndecidableError(
            f"{_some(found.unfought)} has no votes", "leave it out: counts.restricted(...)"
        )
    if not found.is_connected:
        parts = "; ".join(_some(one) for one in found.components)
        raise UndecidableError(
            f"no votes link these {len(found.components)} groups of models: {parts}",
            "rank each group on its own, or collect votes between them",
        )
    apart = [name for group in found.groups[0] for name in group]
    raise UndecidableError(
        f"the strength of {_some(tuple(apart))} is not finite: it only won or only lost",
        "rank the core: counts.restricted(identify(counts).cores[0])",
    )


def bounds(counts: PairCounts, core: CoreStrengths) -> tuple[Bound, ...]:
    """What the votes say about each separated group of the core's component.

    The limit solves ``P(all votes across the cut as they were | offset) = 1 − level``: the exact
    one-sided limit for a run without a loss, with the strengths inside the core and inside the
    group held at their estimates.

    Does not: account for the error of those estimates.
    """
    from polylect.ranking.bradley_terry import fit_strengths

    found = identify(counts)
    here = next(i for i, one in enumerate(found.components) if core.models[0] in one)
    reached = {way: _reached(counts, core, way) for way in ("above", "below")}
    strength = np.full(counts.num_models, np.nan)
    strength[[counts.position(one) for one in core.models]] = core.strength
    result = []
    for group in found.groups[here]:
        members = np.array([counts.position(one) for one in group])
        own = np.full(counts.num_models, np.nan)
        own[members] = fit_strengths(counts.restricted(group)) if len(group) > 1 else 0.0
        side = next((way for way, seen in reached.items() if seen[members[0]]), "apart")
        # One of the two is not a number unless the pair crosses from the group to the core.
        gap = np.concatenate(
            [
                own[counts.first] - strength[counts.second],
                own[counts.second] - strength[counts.first],
            ]
        )
        across = np.isfinite(gap)
        votes = np.concatenate([counts.totals, counts.totals])[across]
        sign = -1.0 if side == "below" else 1.0
        limit = sign * _offset(sign * gap[across], votes) if len(votes) else None
        result.append(Bound(group, side, float(votes.sum()), limit))
    return tuple(result)


def _reached(counts: PairCounts, core: CoreStrengths, way: str) -> np.ndarray:
    """(M,) whether a chain of won votes leads from a model down to the core, or from it down."""
    from scipy.sparse.csgraph import breadth_first_order

    graph = _graph(counts, directed=True)
    graph = graph.T.tocsr() if way == "above" else graph
    seen = np.zeros(counts.num_models, bool)
    seen[breadth_first_order(graph, counts.position(core.models[0]))[0]] = True
    return seen


def _offset(gap: FloatArray, votes: FloatArray) -> float:
    """The offset at which winning all ``votes`` has probability ``1 − BOUND_LEVEL``."""
    from scipy.optimize import brentq

    def excess(offset: float) -> float:
        return float(-votes @ np.logaddexp(0.0, -(offset + gap)) - np.log(1.0 - BOUND_LEVEL))

    wide = 50.0 + float(np.abs(gap).max()) + float(np.log(votes.sum() + 1.0))
    return cast(float, brentq(excess, -wide, wide, xtol=1e-12))


def _labels(counts: PairCounts, *, directed: bool) -> IntArray:
    from scipy.sparse.csgraph import connected_components

    graph = _graph(counts, directed=directed)
    return connected_components(graph, directed=directed, connection="strong")[1]


def _graph(counts: PairCounts, *, directed: bool) -> Any:
    """Sparse (M, M) with an edge from i to j where i took at least half a point from j."""
    from scipy.sparse import coo_array

    up, down = counts.first_score > 0, counts.second_score > 0
    if directed:
        rows = np.concatenate([counts.first[up], counts.second[down]])
        columns = np.concatenate([counts.second[up], counts.first[down]])
    else:
        fought = up | down
        rows, columns = counts.first[fought], counts.second[fought]
    size = counts.num_models
    return coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(size, size)).tocsr()


def _parts(labels: IntArray, inside: np.ndarray, battles: FloatArray) -> list[IntArray]:
    """Members of each label among ``inside``; most votes first, then in order of names."""
    members = [np.flatnonzero(inside & (labels == one)) for one in np.unique(labels[inside])]
    return sorted(members, key=lambda part: (-battles[part].sum(), part[0]))


def _names(counts: PairCounts, members: IntArray) -> tuple[str, ...]:
    return tuple(counts.models[i] for i in members)


def _some(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
