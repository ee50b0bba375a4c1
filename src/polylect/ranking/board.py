"""The board of a set of votes: identifiability, fits per component, and the rows that are shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from polylect.base import InputError, Ledger, UndecidableError, plain
from polylect.ranking.bradley_terry import fit_bradley_terry
from polylect.ranking.components import Identifiability, identify
from polylect.ranking.config import BoardSettings
from polylect.ranking.contextual import fit_contextual
from polylect.ranking.counts import PairCounts
from polylect.ranking.intervals import bootstrap, cluster_sandwich
from polylect.ranking.ranks import rank_sets, votes_to_separate
from polylect.ranking.rating_bounds import (
    Bound,
    CoreStrengths,
    separation_bounds,
    sides_without_core,
)
from polylect.ranking.ratings import ELO_PER_NAT, Ratings
from polylect.ranking.ties import fit_both_bad, fit_davidson, fit_rao_kupper
from polylect.ranking.votes import VoteTable
from polylect.ranking.weights import pair_weights

_ALONE = "no two models have finite ratings on one scale"
_TIE_FITS = {"davidson": fit_davidson, "rao-kupper": fit_rao_kupper, "both-bad": fit_both_bad}


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardRow:
    """A model on the board; ratings in Elo points as displayed.

    Attributes:
        model: name.
        rating, lower, upper: the estimate and its 95 % limits.
        rank: by rating; equal ratings have the same.
        rank_low, rank_high: simultaneous 95 % rank set.
        marginal_rank_low, marginal_rank_high: 95 % rank set of this model alone.
        separated_rank: 1 + number of models whose interval lies above this one's.
        battles: votes with this model.
        votes_to_next, direct_votes_to_next: further votes on the whole board, or on this pair
            alone, that separate it from the next row with 80 % power; None in the last row and for
            equal ratings.
        difference, difference_lower, difference_upper: to the contrast model, if there is one.
    """

    model: str
    rating: float
    lower: float
    upper: float
    rank: int
    rank_low: int
    rank_high: int
    marginal_rank_low: int
    marginal_rank_high: int
    separated_rank: int
    battles: int
    votes_to_next: float | None = None
    direct_votes_to_next: float | None = None
    difference: float | None = None
    difference_lower: float | None = None
    difference_upper: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """The board of one finite group of models, or of one in a stratum.

    Attributes:
        name: of the stratum; empty for all votes.
        num_votes: valid votes among its models.
        num_rated_votes: those that its ratings are made of.
        component: number of the component, from 0.
        anchor: the model that sets the scale; empty if the mean is 1000.
        rows: best first; empty if no two models have finite ratings on one scale.
        separated: models and groups of the component without a finite rating on this scale, with
            their bounds in displayed Elo on it; only of a component's largest group. In a
            component without a group all models, without bounds.
        method: what was fitted, or why nothing was.
        interval: how intervals were computed.
        gradient_norm: of the mean log-likelihood per vote.
        parameters: name, value and standard error of coefficients fitted with the strengths.
    """

    name: str
    num_votes: int
    num_rated_votes: int = 0
    component: int = 0
    anchor: str = ""
    rows: tuple[BoardRow, ...] = ()
    separated: tuple[Bound, ...] = ()
    method: str = ""
    interval: str = ""
    gradient_norm: float = 0.0
    parameters: tuple[tuple[str, float, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """The content of ``board.json`` and of the page.

    Attributes:
        sections: one per finite group, or per component without one, most votes first; several if
            a joint rank is refused.
        components: models by component, most votes first.
        unfought: models without a valid vote.
        settings: what was fitted.
        num_votes: valid votes, in a rating or not.
        shares: of decisive, tied and both-bad votes among all votes.
        strata: by stratum, the sections of its components.
        selections: corrected scores of models selected as the best of several.
        ledger: votes that were dropped, or that are in no rating.
    """

    sections: tuple[Section, ...]
    components: tuple[tuple[str, ...], ...]
    unfought: tuple[str, ...]
    settings: BoardSettings
    num_votes: int
    shares: Mapping[str, float]
    strata: Mapping[str, tuple[Section, ...]] = field(default_factory=dict)
    selections: tuple[Mapping[str, Any], ...] = ()
    ledger: Ledger = field(default_factory=Ledger)

    @property
    def is_refused(self) -> bool:
        """Whether there is no joint rank: several finite groups, or no two finite ratings."""
        return len(self.sections) != 1 or not self.sections[0].rows

    def to_json(self) -> dict[str, Any]:
        """The value of ``board.json``."""
        first = self.sections[0]
        boards = [plain(section.rows) for section in self.sections]
        return {
            "ratings": [] if self.is_refused else boards[0],
            "boards": boards if self.is_refused else [],
            "gradient_norm": max(section.gradient_norm for section in self.sections),
            "components": plain(self.components),
            "groups": [
                {
                    "component": section.component + 1,
                    "models": len(section.rows),
                    "votes": section.num_rated_votes,
                    "anchor": section.anchor,
                    "method": section.method,
                }
                for section in self.sections
            ],
            "separated": [
                {**plain(bound), "on_scale_of_group": number}
                for number, part in enumerate(self.sections, 1)
                for bound in part.separated
            ],
            "unfought": list(self.unfought),
            "method": first.method,
            "interval": first.interval,
            "settings": plain(self.settings),
            "votes": self.num_votes,
            "shares": plain(dict(self.shares)),
            "parameters": [
                {"name": name, "value": value, "standard_error": error}
                for name, value, error in first.parameters
            ],
            "strata": {
                name: [
                    {
                        "ratings": plain(section.rows),
                        "method": section.method,
                        "gradient_norm": section.gradient_norm,
                        "separated": plain(section.separated),
                        "votes": section.num_votes,
                    }
                    for section in sections
                ]
                for name, sections in self.strata.items()
            },
            "selections": plain(self.selections),
            "ledger": self.ledger.to_json(),
        }


def build_board(
    counts: PairCounts,
    settings: BoardSettings,
    table: VoteTable | None = None,
    strata: Mapping[str, PairCounts] | None = None,
    by: str = "",
) -> Board:
    """The board of the votes: what is identified, a fit per finite group, then rank sets.

    Args:
        counts: all valid votes.
        settings: what to fit.
        table: the same votes as rows, for clusters and features.
        strata: counts by value of a column; each gets a board of its own beside the joint one.
        by: name of that column, which is coded in the table if there is a table.

    Raises:
        InputError: the anchor or the contrast is not a rated model.
    """
    identified = identify(counts)
    _require_models(counts, identified, settings)
    ledger = Ledger() + counts.ledger
    sections = _sections("", counts, table, settings, identified, ledger)
    boards = {}
    for name, part in (strata or {}).items():
        rows = None if table is None else table.filter(table.codes[by] == table.code(by, name))
        boards[name] = _sections(
            name, part, rows, settings, identify(part), ledger, is_stratum=True
        )
    return Board(
        sections=sections,
        components=identified.components,
        unfought=identified.unfought,
        settings=settings,
        num_votes=round(counts.num_votes),
        shares=counts.shares(),
        strata=boards,
        ledger=ledger,
    )


def _require_models(
    counts: PairCounts, identified: Identifiability, settings: BoardSettings
) -> None:
    anchor = settings.anchor[0] if settings.anchor else ""
    for option, model in (("anchor", anchor), ("contrast", settings.contrast)):
        if not model:
            continue
        counts.position(model)
        if settings.prior_sd is None and not identified.core_with(model):
            raise InputError(
                f"{option} {model!r} has no finite rating: it only won, only lost or never battled",
                "choose another model",
            )


def fit_ratings(
    counts: PairCounts, settings: BoardSettings, table: VoteTable | None = None
) -> Ratings:
    """The ratings that the settings specify, of counts whose strengths are all finite.

    Args:
        counts: the votes.
        settings: what to fit.
        table: the same votes as rows, for clusters and features; other models are left out.
    """
    if settings.features:
        assert table is not None, "features need the votes as rows"
        return fit_contextual(table.restricted(counts.models), settings.features)
    if settings.model != "bradley-terry":
        return _TIE_FITS[settings.model](counts)
    weights = None if settings.reweight is None else pair_weights(counts, settings.reweight)
    fit = fit_bradley_terry(counts, weights=weights, prior_sd=settings.prior_sd)
    if settings.cluster:
        assert table is not None, "clusters need the votes as rows"
        fit = cluster_sandwich(counts, table, settings.cluster, fit)
    if settings.bootstrap:
        fit = bootstrap(
            counts,
            fit,
            settings.bootstrap,
            settings.seed,
            table if settings.cluster else None,
            settings.cluster,
            weights,
            settings.prior_sd,
        )
    return fit


def _sections(
    name: str,
    counts: PairCounts,
    table: VoteTable | None,
    settings: BoardSettings,
    identified: Identifiability,
    ledger: Ledger,
    *,
    is_stratum: bool = False,
) -> tuple[Section, ...]:
    """The boards of all finite groups; counts the votes that are in no rating.

    With a prior every strength is finite, and a component is a group. The only group of all votes
    raises if its fit is refused; other groups have no rows then.
    """
    sections: list[Section] = []
    for component, models in enumerate(identified.components):
        part = counts.restricted(models)
        groups = identified.finite_groups[component] if settings.prior_sd is None else (models,)
        if not groups:
            section = Section(
                name=name,
                num_votes=round(part.num_votes),
                method=_ALONE,
                separated=sides_without_core(part),
            )
            sections.append(replace(section, component=component))
        raises = not is_stratum and identified.is_connected and len(groups) == 1
        for number, group in enumerate(groups):
            outside = part if number == 0 and len(group) < len(models) else None
            section = _section(name, part.restricted(group), outside, table, settings, raises)
            sections.append(replace(section, component=component))
    refused = sum(part.num_votes for part in sections if not part.rows and part.method != _ALONE)
    rated = sum(part.num_rated_votes for part in sections)
    where = f" of part {name!r}" if is_stratum else ""
    ledger.count(f"not in a rating{where}: the fit was refused", refused)
    one_sided = round(counts.num_votes) - rated - refused
    ledger.count(f"not in a rating{where}: vote across a one-sided cut", one_sided)
    return tuple(sections)


def _section(
    name: str,
    counts: PairCounts,
    component: PairCounts | None,
    table: VoteTable | None,
    settings: BoardSettings,
    raises: bool,
) -> Section:
    """The board of one group whose strengths are all finite.

    Args:
        name: of the stratum.
        counts: votes of the group.
        component: votes of its whole component; adds the bounds of the models outside. None: none.
        table: the votes as rows.
        settings: what to fit.
        raises: whether a refused fit is an error; else the section has no rows.
    """
    section = Section(name=name, num_votes=round(counts.num_votes))
    try:
        fit = fit_ratings(counts, settings, table)
    except UndecidableError as error:
        if raises:
            raise
        return replace(section, method=str(error))
    anchor = settings.anchor if settings.anchor and settings.anchor[0] in fit.index else None
    shift = fit.shift(anchor)
    bounds = ()
    if component is not None:
        bounds = separation_bounds(component, CoreStrengths(fit.models, fit.strength))
    return replace(
        section,
        num_rated_votes=section.num_votes,
        anchor=anchor[0] if anchor else "",
        rows=_rows(counts, fit, shift, settings),
        separated=_as_displayed(bounds, shift),
        method=fit.method,
        interval=fit.interval,
        gradient_norm=fit.gradient_norm,
        parameters=tuple((p.name, p.value, p.standard_error) for p in fit.parameters),
    )


def _rows(
    counts: PairCounts, fit: Ratings, shift: float, settings: BoardSettings
) -> tuple[BoardRow, ...]:
    ranks = rank_sets(fit, settings.seed)
    lower, upper = fit.bounds
    contrast = fit.contrast(settings.contrast) if settings.contrast in fit.index else None
    rows = []
    for i, below in zip(fit.order, (*fit.order[1:], None), strict=True):
        votes, direct = (None, None)
        if below is not None:
            votes, direct = votes_to_separate(counts, fit, i, below)
        row = BoardRow(
            model=fit.models[i],
            rating=float(fit.elo[i]) + shift,
            lower=float(lower[i]) + shift,
            upper=float(upper[i]) + shift,
            rank=int(ranks.rank[i]),
            rank_low=int(ranks.low[i]),
            rank_high=int(ranks.high[i]),
            marginal_rank_low=int(ranks.marginal_low[i]),
            marginal_rank_high=int(ranks.marginal_high[i]),
            separated_rank=int(ranks.separated[i]),
            battles=round(float(fit.battles[i])),
            votes_to_next=votes,
            direct_votes_to_next=direct,
        )
        if contrast is not None:
            row = replace(
                row,
                difference=float(contrast.difference[i]),
                difference_lower=float(contrast.lower[i]),
                difference_upper=float(contrast.upper[i]),
            )
        rows.append(row)
    return tuple(rows)


def _as_displayed(bounds: tuple[Bound, ...], shift: float) -> tuple[Bound, ...]:
    """The bounds with their limits in displayed Elo points."""
    return tuple(
        bound if bound.limit is None else replace(bound, limit=bound.limit * ELO_PER_NAT + shift)
        for bound in bounds
    )
