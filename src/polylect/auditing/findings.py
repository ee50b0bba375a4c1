"""Figures with their definition and interval, and verdicts on the paper's recommendations."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polylect.ranking import FloatArray
from polylect.stats import share_of_counts, wilson_interval

KEPT, BROKEN, UNDECIDABLE = "kept", "broken", "not decidable from the data"


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with its interval.

    Attributes:
        label: what the number describes.
        value: the estimate.
        lower, upper: 95 % limits; None for a plain count, which has no error.
        num: number of observations behind it.
        reference: value to compare with, such as an equal share; None if there is none.
    """

    label: str
    value: float
    lower: float | None = None
    upper: float | None = None
    num: float = 0.0
    reference: float | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A section of an audit: figures under one definition.

    Attributes:
        key: name in the JSON.
        title: of the section.
        definition: what each figure is.
        interval: how the limits are computed, or why there are none.
        unit: ``share`` or ``count``.
        figures: in the order in which they are shown.
        remarks: sentences on what the figures do not show.
    """

    key: str
    title: str
    definition: str
    interval: str
    unit: str
    figures: tuple[Figure, ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One of the paper's five recommendations, and whether the data show that it is followed.

    Attributes:
        number: 1 to 5.
        title: short form of the recommendation.
        verdict: ``kept``, ``broken`` or ``not decidable from the data``.
        reason: the figures that decide, or what is missing.
    """

    number: int
    title: str
    verdict: str
    reason: str


def clustered_share_interval(hits: FloatArray, num: FloatArray) -> tuple[float, float]:
    """95 % limits of Σ hits / Σ num over independent clusters (days)."""
    interval = share_of_counts(hits, num)
    return interval.lower, interval.upper


def share_figures(
    labels: Sequence[str], hits: FloatArray, num: float, reference: Sequence[float] | None = None
) -> tuple[Figure, ...]:
    """Shares of a total, largest first."""
    figures = []
    for i in np.argsort(-hits, kind="stable"):
        share = wilson_interval(float(hits[i]) / num, num)
        expected = None if reference is None else float(reference[i])
        figures.append(
            Figure(labels[i], share.value, share.lower, share.upper, float(hits[i]), expected)
        )
    return tuple(figures)
