"""What a plan leaves to a reader to notice: fractions that do not sum to 1."""

from collections.abc import Iterator, Sequence

from polylect.mixtures.plans import Plan

_ROUNDING = 0.01 + 1e-9
"""Fractions whose sum is this near to 1 were rounded: three times 0.33."""


def plan_notes(plan: Plan) -> list[str]:
    """A sentence for every mix, and for the parts of every variant, that reads like fractions of a
    whole and does not sum to 1; empty where there are none.

    Numbers read like fractions where none is above 1 and one is below. Weights relative to each
    other, such as 50 and 50, 3 and 1, or 1 and 1, are what they seem to be.

    Args:
        plan: whose mixes are taken relative to their sums.
    """
    return list(_notes(plan))


def _notes(plan: Plan) -> Iterator[str]:
    mixes = [
        (f"variant {variant!r}, stage {number}", stage.mix)
        for variant, stages in plan.variants.items()
        for number, stage in enumerate(stages, start=1)
    ]
    mixes += [(f"cooldown {name!r}", cooldown.mix) for name, cooldown in plan.cooldowns.items()]
    for where, mix in mixes:
        total = sum(mix.values())
        if _are_odd_fractions(list(mix.values())):
            shown = ", ".join(f"{name} {share / total:.1%}" for name, share in mix.items() if share)
            yield f"{where}: its shares sum to {total:g}, not to 1; taken as {shown}"
    for variant, stages in plan.variants.items():
        parts = [stage.part for stage in stages]
        if _are_odd_fractions(parts):
            shown = ", ".join(f"{part / sum(parts):.1%}" for part in parts)
            yield (f"variant {variant!r}: the parts of its stages sum to {sum(parts):g}, not to 1;"
                   f" taken as {shown}")  # fmt: skip


def _are_odd_fractions(values: Sequence[float]) -> bool:
    are_fractions = max(values) <= 1 and any(0 < value < 1 for value in values)
    return are_fractions and abs(sum(values) - 1) > _ROUNDING
