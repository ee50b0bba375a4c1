"""The ledger of plans as lines for the terminal: a row per variant and stage."""

from collections.abc import Sequence

import polars as pl

from polylect.mixtures import Plan, Sizes, plan_ledger


def ledger_lines(plans: Sequence[Plan], sizes: Sizes) -> list[str]:
    """Tokens by variant, stage and stream of the first seed, and most passes over a text.

    Args:
        plans: of a run.
        sizes: tokens of the text at hand.
    """
    lines: list[str] = []
    for plan in plans:
        ledger = plan_ledger(plan, sizes).filter(pl.col("seed") == plan.seeds[0])
        streams = ledger["stream"].unique(maintain_order=True).to_list()
        widths = [max(11, len(name) + 1) for name in streams]
        longest = max(len(name) for name in ledger["run"]) + 1
        titles = "".join(f"{name:>{width}}" for name, width in zip(streams, widths, strict=True))
        lines += ["", f"{'tokens':<{longest}}{'stage':<11}{titles}{'epochs':>8}"]
        for (run, _, kind), part in ledger.group_by(["run", "stage", "kind"], maintain_order=True):
            sums = dict(part.group_by("stream").agg(pl.col("tokens").sum()).rows())
            cells = "".join(
                f"{sums.get(name, 0):>{width},}" if name in sums else " " * width
                for name, width in zip(streams, widths, strict=True)
            )
            epochs = part["epochs"].max()
            lines.append(f"{run:<{longest}}{kind:<11}{cells}{epochs:>8.2f}")
    return lines[1:]
