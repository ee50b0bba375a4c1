"""The board: what was fitted, what may be compared with what, and the rows that are shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from polylect.base import InputError, Ledger, UndecidableError, plain
from polylect.ranking.bradley_terry import fit_bradley_terry
from polylect.ranking.components import Bound, CoreStrengths, Identified, bounds, identify
from polylect.ranking.contextual import fit_contextual
from polylect.ranking.counts import PairCounts
from polylect.ranking.intervals import bootstrap, cluster_sandwich
from polylect.ranking.ranks import rank_sets, votes_to_separate
from polylect.ranking.ratings import ELO_PER_NAT, Ratings
from polylect.ranking.ties import fit_both_bad, fit_davidson, fit_rao_kupper
from polylect.ranking.votes import VoteTable
from polylect.ranking.weights import pair_weights

MODELS = ("bradley-terry", "davidson", "rao-kupper", "both-bad")
_TIE_FITS = {"davidson": fit_davidson, "rao-kupper": fit_rao_kupper, "both-bad": fit_both_bad}


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardSettings:
    """What is fitted and how it is shown.

    Attributes:
        model: one of ``MODELS``.
        anchor: a model and the rating that it is shown with; without it the mean is 1000.
        bootstrap: number of resamples; 0 for sandwich intervals.
        cluster: column whose equal values make votes hang together; empty for none.
        features: style features to hold equal.
        reweight: floor of the inverse-propensity weights; None for unweighted.
        prior_sd: standard deviation in Elo of a normal prior; None for no prior.
        contrast: model to which differences are reported; empty for none.
        seed: of resampling and of the rank sets' draws.
    """

    model: str = "bradley-terry"
    anchor: tuple[str, float] | None = None
    bootstrap: int = 0
    cluster: str = ""
    features: tuple[str, ...] = ()
    reweight: float | None = None
    prior_sd: float | None = None
    contrast: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        assert self.model in MODELS, self.model
        plain_fit = self.model == "bradley-terry" and not self.features
        extra = {
            "bootstrap": self.bootstrap,
            "cluster": self.cluster,
            "reweight": self.reweight,
            "prior": self.prior_sd,
        }
        asked = [name for name, value in extra.items() if value]
        if asked and not plain_fit:
            raise InputError(
                f"{asked[0]!r} goes with plain Bradley–Terry only, not with ties or features",
                f"leave out {asked[0]!r}",
            )
        if self.features and self.model != "bradley-terry":
            raise InputError("features go with Bradley–Terry only", "leave out the ties model")


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardRow:
    """One model on the board; ratings in Elo points as displayed.

    Attributes:
        model: name.
        rating, lower, upper: the estimate and its 95 % limits (of the centered rating, shifted).
        rank: by rating.
        rank_low, rank_high: simultaneous 95 % rank set.
        marginal_rank_low, marginal_rank_high: 95 % rank set of this model alone.
        separated_rank: 1 + number of models whose interval lies above this one's.
        battles: votes with this model.
        votes_to_next: votes on the whole board, and direct ones, to tell it from the next row with
            80 % power; None in the last row and for equal ratings.
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
    """The board of one component, or of one stratum of it.

    Attributes:
        name: of the stratum; empty for all votes.
        rows: best first; empty when no two models have finite ratings on one scale.
        separated: groups without a finite rating, with their bound in displayed Elo.
        is_anchored: the anchor is among the rows.
    """

    name: str
    rows: tuple[BoardRow, ...]
    separated: tuple[Bound, ...]
    is_anchored: bool
    method: str
    interval: str
    gradient_norm: float
    num_votes: int
    parameters: tuple[tuple[str, float, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """All that ``board.json`` and the page say.

    Attributes:
        sections: one per component, most votes first; more than one when a joint rank is refused.
        strata: per stratum its component sections.
        components: models by component, most votes first.
        unfought: models without a valid vote.
        shares: of decisive, tied and both-bad votes among all.
        selections: corrected scores of models chosen as the best of several.
    """

    sections: tuple[Section, ...]
    components: tuple[tuple[str, ...], ...]
    unfought: tuple[str, ...]
    settings: BoardSettings
    shares: Mapping[str, float]
    strata: Mapping[str, tuple[Section, ...]] = field(default_factory=dict)
    selections: tuple[Mapping[str, Any], ...] = ()
    ledger: Ledger = field(default_factory=Ledger)

    @property
    def is_refused(self) -> bool:
        """No joint rank: several components, or no two models on one finite scale."""
        return len(self.sections) != 1 or not self.sections[0].rows

    def to_json(self) -> dict[str, Any]:
        """The value of ``board.json``."""
        first = self.sections[0]
        return {
            "ratings": [] if self.is_refused else plain(first.rows),
            "boards": [plain(one.rows) for one in self.sections] if self.is_refused else [],
            "gradient_norm": max(one.gradient_norm for one in self.sections),
            "components": plain(self.components),
            "separated": [plain(bound) for one in self.sections for bound in one.separated],
            "unfought": list(self.unfought),
            "method": first.method,
            "interval": first.interval,
            "settings": plain(self.settings),
            "votes": sum(one.num_votes for one in self.sections),
            "shares": plain(dict(self.shares)),
            "parameters": [
                {"name": name, "value": value, "standard_error": error}
                for name, value, error in first.parameters
            ],
            "strata": {
                name: [
                    {
                        "ratings": plain(one.rows),
                        "method": one.method,
                        "gradient_norm": one.gradient_norm,
                        "separated": plain(one.separated),
                        "votes": one.num_votes,
                    }
                    for one in sections
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
    """The board of the votes: identifiability first, then a fit per component, then rank sets.

    Args:
        counts: all valid votes.
        settings: what to fit.
        table: the same votes as rows, for clusters and features.
        strata: counts by value of a column; each gets a board of its own beside the joint one.
        by: that column's name, coded in the table, where there is a table.

    Raises:
        InputError: the anchor or the contrast is not a rated model.
    """
    found = identify(counts)
    _require_models(counts, found, settings)
    sections = tuple(
        _section("", counts.restricted(names), table, settings, raises=found.is_connected)
        for names in found.components
    )
    boards = {}
    for name, part in (strata or {}).items():
        rows = None
        if table is not None:
            rows = table.chosen(table.codes[by] == table.code(by, name))
        boards[name] = tuple(
            _section(name, part.restricted(names), rows, settings)
            for names in identify(part).components
        )
    ledger = Ledger() + counts.ledger
    for one in sections:
        set_aside = sum(bound.num_votes for bound in one.separated)
        ledger.count("not in a rating: vote across a one-sided cut", round(set_aside))
    return Board(
        sections=sections,
        components=found.components,
        unfought=found.unfought,
        settings=settings,
        shares=counts.shares(),
        strata=boards,
        ledger=ledger,
    )


def _require_models(counts: PairCounts, found: Identified, settings: BoardSettings) -> None:
    for what, name in (
        ("anchor", settings.anchor[0] if settings.anchor else ""),
        ("contrast", settings.contrast),
    ):
        if not name:
            continue
        counts.position(name)
        if settings.prior_sd is None and not any(name in core for core in found.cores):
            raise InputError(
                f"{what} {name!r} has no finite rating: it only won, only lost or never battled",
                "choose another model",
            )


def fit_core(
    counts: PairCounts, settings: BoardSettings, table: VoteTable | None = None
) -> Ratings:
    """The ratings that the settings ask for, of counts whose strengths are all finite."""
    if settings.features:
        assert table is not None, "features need the votes as rows"
        return fit_contextual(table.restricted(counts.models), settings.features)
    if settings.model != "bradley-terry":
        return _TIE_FITS[settings.model](counts)
    weights = None if settings.reweight is None else pair_weights(counts, settings.reweight)
    fit = fit_bradley_terry(counts, weights=weights, prior_sd=settings.prior_sd)
    if settings.cluster:
        assert table is not None, "clusters need the votes as rows"
        if weights is not None or settings.prior_sd is not None:
            raise InputError(
                "clusters go with neither weights nor a prior", "leave out one of the two"
            )
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


def _section(
    name: str,
    counts: PairCounts,
    table: VoteTable | None,
    settings: BoardSettings,
    *,
    raises: bool = False,
) -> Section:
    """The board of one component; where the fit is refused it has no rows, unless it ``raises``."""
    found = identify(counts)
    core = found.cores[0] if settings.prior_sd is None else counts.models
    inside = counts.restricted(core)
    if len(core) < 2:
        alone = CoreStrengths(core, np.zeros(1))
        left = _displayed(bounds(counts, alone), 0.0)
        why = "no two models have finite ratings on one scale"
        return _without_rows(name, counts, why, left)
    try:
        fit = fit_core(inside, settings, table)
    except UndecidableError as error:
        if raises:
            raise
        return _without_rows(name, counts, str(error), ())
    is_anchored = settings.anchor is not None and settings.anchor[0] in fit.index
    shift = fit.shift(settings.anchor if is_anchored else None)
    is_whole = len(core) == len(counts.models)
    separated = () if is_whole else bounds(counts, CoreStrengths(fit.models, fit.strength))
    return Section(
        name=name,
        rows=_rows(inside, fit, shift, settings),
        separated=_displayed(separated, shift),
        is_anchored=is_anchored,
        method=fit.method,
        interval=fit.interval,
        gradient_norm=fit.gradient_norm,
        num_votes=round(counts.num_votes),
        parameters=tuple((one.name, one.value, one.standard_error) for one in fit.parameters),
    )


def _without_rows(name: str, counts: PairCounts, why: str, separated: tuple[Bound, ...]) -> Section:
    return Section(
        name=name,
        rows=(),
        separated=separated,
        is_anchored=False,
        method=why,
        interval="",
        gradient_norm=0.0,
        num_votes=round(counts.num_votes),
    )


def _rows(
    counts: PairCounts, fit: Ratings, shift: float, settings: BoardSettings
) -> tuple[BoardRow, ...]:
    ranks = rank_sets(fit, settings.seed)
    lower, upper = fit.bounds
    contrast = fit.contrast(settings.contrast) if settings.contrast in fit.index else None
    rows = []
    for place, i in enumerate(fit.order):
        after = fit.order[place + 1] if place + 1 < len(fit.order) else None
        needed = (None, None) if after is None else votes_to_separate(counts, fit, i, after)
        extra = {}
        if contrast is not None:
            extra = {
                "difference": float(contrast.difference[i]),
                "difference_lower": float(contrast.lower[i]),
                "difference_upper": float(contrast.upper[i]),
            }
        rows.append(
            BoardRow(
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
                votes_to_next=needed[0],
                direct_votes_to_next=needed[1],
                **extra,
            )
        )
    return tuple(rows)


def _displayed(found: tuple[Bound, ...], shift: float) -> tuple[Bound, ...]:
    """The bounds with their limit in displayed Elo points."""
    return tuple(
        Bound(
            one.models,
            one.side,
            one.num_votes,
            None if one.limit is None else one.limit * ELO_PER_NAT + shift,
        )
        for one in found
    )
