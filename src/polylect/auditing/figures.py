"""Figures with their definition and interval, and the verdicts that rest on them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from polylect.base import Ledger, plain
from polylect.ranking import FloatArray
from polylect.stats import two_sided_z, wilson_interval

KEPT, BROKEN, OPEN = "kept", "broken", "not decidable from the data"


@dataclass(frozen=True, slots=True)
class Figure:
    """One number.

    Attributes:
        label: what it is of.
        value: the estimate.
        lower, upper: 95 % limits; None for a count of what is there, which has no error.
        num: how many observations it rests on.
        reference: what it is compared with (an equal part); None for nothing.
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
        interval: how the limits are made; or why there are none.
        unit: ``share``, ``count``, ``votes``, ``ratio`` or ``Elo``.
        figures: in the order in which they are shown.
        remarks: whole sentences that the figures do not say.
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
    """One of the paper's five recommendations and what the data say of it.

    Attributes:
        number: 1 to 5.
        title: in short.
        verdict: ``kept``, ``broken`` or ``not decidable from the data``.
        reason: the figures that decide, or what is missing.
    """

    number: int
    title: str
    verdict: str
    reason: str


@dataclass(frozen=True, eq=False, slots=True)
class Audit:
    """Everything that the page and ``audit.json`` say."""

    sources: tuple[str, ...]
    findings: tuple[Finding, ...]
    recommendations: tuple[Recommendation, ...]
    ledger: Ledger = field(default_factory=Ledger)

    def finding(self, key: str) -> Finding | None:
        """The finding of a key, or None."""
        return next((one for one in self.findings if one.key == key), None)

    def to_json(self) -> dict[str, Any]:
        """The value of ``audit.json``."""
        return {
            "sources": list(self.sources),
            "recommendations": [plain(one) for one in self.recommendations],
            "findings": {one.key: plain(one) for one in self.findings},
            "ledger": self.ledger.to_json(),
        }


def clustered(hits: FloatArray, num: FloatArray) -> tuple[float, float]:
    """95 % limits of Σ hits / Σ num over independent clusters (days): the delta method.

    With fewer than ten clusters it is Wilson's, as if votes were independent.
    """
    total = float(num.sum())
    if len(num) < 10:
        interval = wilson_interval(float(hits.sum()) / total if total else 0.0, total)
        return interval.lower, interval.upper
    share = float(hits.sum()) / total
    size = len(num)
    spread = float(((hits - share * num) ** 2).sum()) * size / (size - 1)
    half = two_sided_z(0.95) * float(np.sqrt(spread)) / total
    return max(0.0, share - half), min(1.0, share + half)


def share_figures(
    labels: Sequence[str], hits: FloatArray, num: float, reference: Sequence[float] | None = None
) -> tuple[Figure, ...]:
    """Shares of a total, largest first."""
    order = np.argsort(-hits, kind="stable")
    rows = []
    for i in order:
        share = wilson_interval(float(hits[i]) / num, num)
        expected = None if reference is None else float(reference[i])
        rows.append(
            Figure(labels[i], share.value, share.lower, share.upper, float(hits[i]), expected)
        )
    return tuple(rows)
