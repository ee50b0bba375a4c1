"""What the votes identify: connected components, finite cores and separated groups."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from polylect.base import UndecidableError
from polylect.ranking.counts import FloatArray, IntArray, PairCounts

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@dataclass(frozen=True, eq=False, slots=True)
class Identifiability:
    """Which models can be ranked together.

    Attributes:
        components: models that are linked by any chain of votes; the component with most votes
            first. Models without votes are in none.
        cores: per component, the models of its largest strongly connected part: their strengths
            are finite (Zermelo 1929; Ford 1957).
        groups: per component, its other strongly connected parts.
        unfought: models without a single valid vote.
    """

    components: tuple[tuple[str, ...], ...]
    cores: tuple[tuple[str, ...], ...]
    groups: tuple[tuple[tuple[str, ...], ...], ...]
    unfought: tuple[str, ...]

    @property
    def is_connected(self) -> bool:
        """Whether all models with votes are linked."""
        return len(self.components) <= 1

    @property
    def is_finite(self) -> bool:
        """Whether all models with votes have finite strengths on one scale."""
        return self.is_connected and not any(self.groups)

    @property
    def largest_core(self) -> tuple[str, ...]:
        """The core with most models, the first of equal ones; empty without votes."""
        return max(self.cores, key=len, default=())

    @property
    def finite_groups(self) -> tuple[tuple[tuple[str, ...], ...], ...]:
        """Per component, the groups of two models or more on a finite scale; the core first."""
        return tuple(
            tuple(group for group in (core, *groups) if len(group) > 1)
            for core, groups in zip(self.cores, self.groups, strict=True)
        )

    def core_with(self, model: str) -> tuple[str, ...]:
        """The finite group that contains a model; empty if none does."""
        groups = (group for part in self.finite_groups for group in part)
        return next((group for group in groups if model in group), ())


def identify(counts: PairCounts) -> Identifiability:
    """Components, their finite cores and the separated groups of the votes.

    A strength is finite exactly when the directed graph "i took at least half a point from j" is
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
    unfought = tuple(np.array(counts.models, object)[~fought])
    return Identifiability(tuple(components), tuple(cores), tuple(groups), unfought)


def all_finite(counts: PairCounts) -> bool:
    """Whether every model has votes and a finite strength on one scale."""
    return counts.num_votes > 0 and not bool(_labels(counts, directed=True).any())


def require_finite(counts: PairCounts) -> None:
    """Check that every model has votes and a finite strength.

    Raises:
        UndecidableError: the votes do not give one finite scale; names the models.
    """
    if not counts.num_votes:
        raise UndecidableError("there are no votes", "check the file")
    if all_finite(counts):
        return
    result = identify(counts)
    if result.unfought:
        raise UndecidableError(
            f"{first_names(result.unfought)} has no votes", "leave it out: counts.restricted(...)"
        )
    if not result.is_connected:
        groups = "; ".join(first_names(models) for models in result.components)
        raise UndecidableError(
            f"no votes link these {len(result.components)} groups of models: {groups}",
            "rank each group on its own, or collect votes between them",
        )
    separated = [name for group in result.groups[0] for name in group]
    raise UndecidableError(
        f"the strength of {first_names(separated)} is not finite: it only won or only lost",
        "rank the core: counts.restricted(identify(counts).cores[0])",
    )


def score_graph(counts: PairCounts, *, directed: bool = True) -> "csr_array":
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


def first_names(names: Sequence[str]) -> str:
    """Up to five names for a message, and how many more there are.

    >>> first_names("abcdefg")
    'a, b, c, d, e and 2 more'
    """
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"


def _labels(counts: PairCounts, *, directed: bool) -> IntArray:
    """(M,) number of the (strongly) connected component of each model."""
    from scipy.sparse.csgraph import connected_components

    graph = score_graph(counts, directed=directed)
    return connected_components(graph, directed=directed, connection="strong")[1]


def _parts(labels: IntArray, inside: npt.NDArray[np.bool_], battles: FloatArray) -> list[IntArray]:
    """Members of each label among ``inside``; most votes first, then in order of names."""
    members = [np.flatnonzero(inside & (labels == label)) for label in np.unique(labels[inside])]
    return sorted(members, key=lambda part: (-battles[part].sum(), part[0]))


def _names(counts: PairCounts, members: IntArray) -> tuple[str, ...]:
    return tuple(counts.models[i] for i in members)
