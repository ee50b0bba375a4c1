"""The five recommendations of "The Leaderboard Illusion": kept, broken, or not decidable."""

from collections.abc import Sequence

import numpy as np

from polylect.auditing.findings import BROKEN, KEPT, UNDECIDABLE, Finding, Recommendation
from polylect.auditing.lifetimes import Activity, most_at_once
from polylect.auditing.registry import Registry
from polylect.base import generator
from polylect.ranking import FloatArray, first_names

_LEVEL = 0.05
_NO_REGISTRY = "no registry: give --registry"
_NO_VARIANT = "the registry lists no private variant; it may list none on purpose"


def no_retraction(registry: Registry | None) -> Recommendation:
    """1: the final score of every submitted variant is published, also of private ones."""
    title = "No score is retracted: private variants are published too"
    if registry is None:
        return Recommendation(1, title, UNDECIDABLE, _NO_REGISTRY)
    private = [entry for entry in registry.entries if entry.private]
    if not private:
        return Recommendation(1, title, UNDECIDABLE, _NO_VARIANT)
    hidden = sorted(entry.model for entry in private if entry.score is None)
    if hidden:
        reason = f"{len(hidden)} of {len(private)} private variants have no published score"
        return Recommendation(1, title, BROKEN, f"{reason}: {first_names(hidden)}")
    return Recommendation(1, title, KEPT, f"all {len(private)} private variants have a score")


def capped_variants(registry: Registry | None, cap: int) -> Recommendation:
    """2: a cap on private variants per provider at a time."""
    title = f"At most {cap} private variants per provider at a time"
    if registry is None:
        return Recommendation(2, title, UNDECIDABLE, _NO_REGISTRY)
    variants = registry.private_by_provider()
    above_cap: list[str] = []
    is_dated = True
    for provider, private in variants.items():
        at_once = most_at_once(private)
        if at_once is None:
            # Without dates, only a total within the cap is decisive.
            is_dated = is_dated and len(private) <= cap
        elif at_once > cap:
            above_cap.append(f"{provider} had {at_once}")
    if above_cap:
        return Recommendation(2, title, BROKEN, "; ".join(above_cap))
    if not any(variants.values()):
        return Recommendation(2, title, UNDECIDABLE, _NO_VARIANT)
    if not is_dated:
        reason = "a provider with more variants than that gives no test dates"
        return Recommendation(2, title, UNDECIDABLE, reason)
    return Recommendation(2, title, KEPT, "no provider had more, on any day")


def even_retirement(
    activity: Activity | None, registry: Registry | None, num_components: int | None
) -> Recommendation:
    """3: retirement is even across license classes and keeps the graph connected."""
    title = "Retirement is even across license classes and keeps the graph connected"
    if num_components is not None and num_components > 1:
        return Recommendation(3, title, BROKEN, f"the graph has {num_components} components")
    if activity is None or registry is None:
        reason = "needs a registry with licenses, and votes with times or two boards"
        return Recommendation(3, title, UNDECIDABLE, reason)
    table: dict[str, list[int]] = {}
    models, hardly_shown = activity.judged, activity.hardly_shown
    for model, license in zip(models, registry.group("license", models), strict=True):
        row = table.setdefault(license, [0, 0])
        row[model not in hardly_shown] += 1
    table.pop("unknown", None)
    if len(table) < 2:
        reason = "fewer than two license classes are known"
        return Recommendation(3, title, UNDECIDABLE, reason)
    p = permutation_p_value(list(table.values()))
    rates = ", ".join(f"{name} {row[0]} of {sum(row)}" for name, row in sorted(table.items()))
    reason = f"hardly shown: {rates} (permutation p = {p:.3g})"
    if p <= _LEVEL:
        return Recommendation(3, title, BROKEN, reason)
    smallest = min(sum(row) for row in table.values())
    if smallest < 10:
        reason = f"{reason}; {smallest} models of a class cannot show unevenness"
        return Recommendation(3, title, UNDECIDABLE, reason)
    if num_components is None:
        return Recommendation(3, title, UNDECIDABLE, f"{reason}; connection needs votes")
    return Recommendation(3, title, KEPT, reason + "; the graph is connected")


def permutation_p_value(rows: Sequence[Sequence[int]], num_draws: int = 9999) -> float:
    """Permutation p-value of Pearson's χ² of a G × 2 table, with both margins fixed.

    Args:
        rows: per group, the number of retired models and of the others.
        num_draws: random tables.
    """
    observed = np.array(rows, float)
    sizes, retired = observed.sum(1).astype(int), int(observed[:, 0].sum())
    expected = sizes * retired / max(sizes.sum(), 1)

    def chi_square(hits: FloatArray) -> FloatArray:
        return ((hits - expected) ** 2 / np.maximum(sizes, 1)).sum(-1)

    rng = generator(0, "even retirement")
    drawn = rng.multivariate_hypergeometric(sizes, retired, num_draws)
    reached = chi_square(drawn.astype(float)) >= chi_square(observed[:, 0]) - 1e-12
    return float((1 + reached.sum()) / (1 + num_draws))


def fair_sampling(sampling: Sequence[Finding], floor: float, has_times: bool) -> Recommendation:
    """4: every license class and provider is shown at least ``floor`` times its equal share.

    Without times nobody knows which models were on the board together: not decidable.
    """
    title = f"Sampling is fair: each class and provider gets {floor:.0%} of its equal part"
    groups = [
        (figure, figure.reference)
        for finding in sampling
        for figure in finding.figures
        if figure.label != "unknown" and figure.reference
    ]
    if not groups:
        reason = "needs votes, and a registry or boards with providers"
        return Recommendation(4, title, UNDECIDABLE, reason)
    if not has_times:
        reason = "needs votes with times: which models were on the board together is not known"
        return Recommendation(4, title, UNDECIDABLE, reason)
    below = [
        f"{figure.label} {figure.value / equal:.0%}"
        for figure, equal in groups
        if figure.upper is not None and figure.upper < floor * equal
    ]
    if below:
        reason = "shown less than that: " + first_names(below)
        return Recommendation(4, title, BROKEN, reason)
    unclear = [
        figure.label
        for figure, equal in groups
        if figure.lower is not None and figure.lower < floor * equal
    ]
    if unclear:
        reason = f"too few votes to tell for {first_names(unclear)}"
        return Recommendation(4, title, UNDECIDABLE, reason)
    return Recommendation(4, title, KEPT, "every class and provider is above that")


def public_record(
    registry: Registry | None, models: Sequence[str] | None, silent: set[str] | None
) -> Recommendation:
    """5: tests, additions and removals of models are on record."""
    title = "A public record of tests, sampling and removals"
    if registry is None:
        return Recommendation(5, title, UNDECIDABLE, _NO_REGISTRY)
    if models is None:
        reason = "nothing to compare the registry with: give votes or boards"
        return Recommendation(5, title, UNDECIDABLE, reason)
    missing = sorted(name for name in models if registry.entry(name) is None)
    if missing:
        return Recommendation(5, title, BROKEN, f"not in the registry: {first_names(missing)}")
    if silent:
        reason = f"hardly shown, but no retirement is on record: {first_names(sorted(silent))}"
        return Recommendation(5, title, BROKEN, reason)
    if silent is None:
        reason = "all models are on record; removals need times or two boards"
        return Recommendation(5, title, UNDECIDABLE, reason)
    reason = "every model is on record, and none without a date has stopped being shown"
    return Recommendation(5, title, KEPT, reason)
