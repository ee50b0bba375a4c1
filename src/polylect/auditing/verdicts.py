"""The five recommendations of "The Leaderboard Illusion": kept, broken, or not decidable."""

from collections.abc import Sequence

from polylect.auditing.figures import BROKEN, KEPT, OPEN, Finding, Recommendation
from polylect.auditing.lifetimes import MAX_BATTLES, Activity, most_at_once
from polylect.auditing.registry import Registry

_LEVEL = 0.05


def no_retraction(registry: Registry | None) -> Recommendation:
    """1: every submitted variant's final score is published, private ones too."""
    title = "No score is retracted: private variants are published too"
    if registry is None:
        return _open(1, title, "no registry: give --registry")
    private = [one for one in registry.entries if one.private]
    if not private:
        return _open(1, title, "the registry lists no private variant; it may list none on purpose")
    hidden = sorted(one.model for one in private if one.score is None)
    if hidden:
        reason = f"{len(hidden)} of {len(private)} private variants have no published score"
        return Recommendation(1, title, BROKEN, f"{reason}: {_some(hidden)}")
    return Recommendation(1, title, KEPT, f"all {len(private)} private variants have a score")


def capped_variants(registry: Registry | None, cap: int) -> Recommendation:
    """2: a cap on private variants per provider at a time."""
    title = f"At most {cap} private variants per provider at a time"
    if registry is None:
        return _open(2, title, "no registry: give --registry")
    worst: list[str] = []
    dated = True
    for provider in sorted({one.provider for one in registry.entries}):
        private = [one for one in registry.entries if one.private and one.provider == provider]
        at_once = most_at_once(private)
        if at_once is None:
            # Without dates only a total within the cap decides.
            dated = dated and len(private) <= cap
        elif at_once > cap:
            worst.append(f"{provider} had {at_once}")
    if worst:
        return Recommendation(2, title, BROKEN, "; ".join(worst))
    if not any(one.private for one in registry.entries):
        return _open(2, title, "the registry lists no private variant; it may list none on purpose")
    if not dated:
        return _open(2, title, "a provider with more variants than that gives no test dates")
    return Recommendation(2, title, KEPT, "no provider had more, on any day")


def even_retirement(
    activity: Activity | None,
    registry: Registry | None,
    num_components: int | None,
) -> Recommendation:
    """3: retirement falls evenly on the license classes and leaves the graph connected."""
    title = "Retirement is even across license classes and keeps the graph connected"
    if num_components is not None and num_components > 1:
        return Recommendation(3, title, BROKEN, f"the graph has {num_components} components")
    if activity is None or registry is None:
        return _open(3, title, "needs a registry with licenses, and votes with times or two boards")
    table: dict[str, list[int]] = {}
    models = sorted(activity.rate)
    for model, group in zip(models, registry.group("license", models), strict=True):
        row = table.setdefault(group, [0, 0])
        row[activity.rate[model] > MAX_BATTLES] += 1
    table.pop("unknown", None)
    if len(table) < 2:
        return _open(3, title, "fewer than two license classes are known")
    p = even_p_value(list(table.values()))
    rates = ", ".join(f"{name} {row[0]} of {sum(row)}" for name, row in sorted(table.items()))
    reason = f"hardly shown: {rates} (permutation p = {p:.3g})"
    if p <= _LEVEL:
        return Recommendation(3, title, BROKEN, reason)
    smallest = min(sum(row) for row in table.values())
    if smallest < 10:
        return _open(3, title, f"{reason}; {smallest} models of a class cannot show unevenness")
    if num_components is None:
        return _open(3, title, f"{reason}; connection needs votes")
    return Recommendation(3, title, KEPT, reason + "; the graph is connected")


def even_p_value(rows: Sequence[Sequence[int]], num_draws: int = 9999) -> float:
    """Permutation p-value of Pearson's χ² of groups × (retired, not), margins held fixed."""
    import numpy as np

    from polylect.base import generator

    observed = np.array(rows, float)
    sizes, retired = observed.sum(1).astype(int), int(observed[:, 0].sum())
    expected = sizes * retired / max(sizes.sum(), 1)

    def spread(hits: np.ndarray) -> np.ndarray:
        return ((hits - expected) ** 2 / np.maximum(sizes, 1)).sum(-1)

    rng = generator(0, "even retirement")
    drawn = rng.multivariate_hypergeometric(sizes, retired, num_draws)
    seen = spread(observed[:, 0])
    return float((1 + (spread(drawn) >= seen - 1e-12).sum()) / (1 + num_draws))


def fair_sampling(sampling: Sequence[Finding], floor: float) -> Recommendation:
    """4: every license class and provider is shown at least a stated part of its equal share."""
    title = f"Sampling is fair: each class and provider gets {floor:.0%} of its equal part"
    groups = [
        one
        for finding in sampling
        for one in finding.figures
        if one.label != "unknown" and one.reference
    ]
    if not groups:
        return _open(4, title, "needs votes, and a registry or boards with providers")
    short = [
        f"{one.label} {one.value / one.reference:.0%}"
        for one in groups
        if one.reference and one.upper is not None and one.upper < floor * one.reference
    ]
    if short:
        return Recommendation(4, title, BROKEN, "shown less than that: " + _some(short))
    doubtful = [
        one.label
        for one in groups
        if one.reference and one.lower is not None and one.lower < floor * one.reference
    ]
    if doubtful:
        return _open(4, title, f"too few votes to tell for {_some(doubtful)}")
    return Recommendation(4, title, KEPT, "every class and provider is above that")


def public_record(
    registry: Registry | None, models: Sequence[str] | None, silent: set[str] | None
) -> Recommendation:
    """5: what was tested, added and removed is on record."""
    title = "A public record of tests, sampling and removals"
    if registry is None:
        return _open(5, title, "no registry: give --registry")
    if models is None:
        return _open(5, title, "nothing to hold the registry against: give votes or boards")
    missing = sorted(name for name in models if registry.entry(name) is None)
    if missing:
        return Recommendation(5, title, BROKEN, f"not in the registry: {_some(missing)}")
    if silent:
        reason = f"hardly shown, but no retirement is on record: {_some(sorted(silent))}"
        return Recommendation(5, title, BROKEN, reason)
    if silent is None:
        return _open(5, title, "all models are on record; removals need times or two boards")
    return Recommendation(5, title, KEPT, "every model is on record, and every removal has a date")


def _open(number: int, title: str, reason: str) -> Recommendation:
    return Recommendation(number, title, OPEN, reason)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
