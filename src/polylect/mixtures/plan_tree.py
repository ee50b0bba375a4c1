"""The trainings that a plan needs: runs that begin alike train their beginning once.

A training is one stage after its parent. Two runs share it where scale, seed and every stage up to
there are equal: content decides, not names.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from polylect.base import InputError, digest_of
from polylect.mixtures.mixture import Mixture, plan_stage
from polylect.mixtures.plans import Plan, PlannedRun, RunStage, Sizes, planned_runs, stream_cells


@dataclass(frozen=True, kw_only=True)
class Training:
    """One stage of one or more runs.

    Attributes:
        key: digest of scale, seed and the stages up to this one.
        parent: key of the training before; empty for the first.
        stage: what is trained on.
        before: the stages before it.
        scale: factor on tokens and parameters.
        seed: of everything that is drawn.
        runs: names of the runs that it is part of.
    """

    key: str
    parent: str
    stage: RunStage
    before: tuple[RunStage, ...]
    scale: float
    seed: int
    runs: tuple[str, ...]

    @property
    def depth(self) -> int:
        """How many stages are before it."""
        return len(self.before)

    @property
    def mixture(self) -> Mixture:
        """Its stage after those before it, so that it goes on in the text where they stopped."""
        stages = (*self.before, self.stage)
        return Mixture(stages=tuple(stage.stage for stage in stages), seed=self.seed)


def trainings_of(runs: Sequence[PlannedRun]) -> list[Training]:
    """The trainings of runs, each once, parents before children.

    Args:
        runs: of a plan.
    """
    by_key: dict[str, Training] = {}
    for run in runs:
        parent = ""
        for depth, stage in enumerate(run.stages):
            key = digest_of([parent or [run.scale, run.seed], stage])
            before = by_key.get(key)
            by_key[key] = Training(
                key=key, parent=parent, stage=stage, before=run.stages[:depth], scale=run.scale,
                seed=run.seed, runs=(*(before.runs if before else ()), run.name),
            )  # fmt: skip
            parent = key
    return sorted(by_key.values(), key=lambda training: training.depth)


def tokens_saved(runs: Sequence[PlannedRun]) -> tuple[int, int]:
    """Tokens that are trained, and tokens that the runs would read one by one."""
    shared = sum(training.stage.stage.tokens for training in trainings_of(runs))
    return shared, sum(run.tokens for run in runs)


def plan_ledger(plan: Plan, sizes: Sizes) -> pl.DataFrame:
    """Exact tokens of every run, stage, stream and language, before anything is trained.

    A cell that two streams of a stage share is split between them by their shares.

    Args:
        plan: the plan.
        sizes: tokens of the text at hand, by language and source.

    Returns:
        Columns run, variant, cooldown, scale, seed, stage (from 1), kind, stream, language, source,
        tokens, available, epochs.

    Raises:
        InputError: a stream without text, or more tokens than text and epoch caps give; it names
            the run and the stage.
    """
    cells = {name: stream_cells(plan, name, sizes) for name in plan.streams}
    rows = []
    for run in planned_runs(plan, sizes):
        for number, stage in enumerate(run.stages, start=1):
            where = f"{run.name}, stage {number}"
            _check_epochs(stage, sizes, where)
            tokens = plan_stage(stage.stage, sizes, where)
            for share, num in zip(stage.stage.shares, tokens, strict=True):
                cell = (share.language, share.source)
                owners = {name: part * cells[name].get(cell, 0.0)
                          for name, part in stage.mix.items() if cell in cells[name]}  # fmt: skip
                left, weight = num, sum(owners.values())
                for position, (name, part) in enumerate(owners.items(), start=1):
                    given = left if position == len(owners) else round(num * part / weight)
                    left -= given
                    rows.append({
                        "run": run.name, "variant": run.variant, "cooldown": run.cooldown,
                        "scale": run.scale, "seed": run.seed, "stage": number, "kind": stage.kind,
                        "stream": name, "language": cell[0], "source": cell[1], "tokens": given,
                        "available": sizes[cell], "epochs": round(given / sizes[cell], 4),
                    })  # fmt: skip
    return pl.DataFrame(rows)


def most_tokens(plan: Plan, sizes: Sizes) -> int:
    """The most tokens of a run before its cooldown, at scale 1, that text and epoch caps allow.

    Args:
        plan: the plan; its own tokens do not matter.
        sizes: tokens of the text at hand.

    Raises:
        InputError: a stream without text.
    """
    factor = min(
        share.max_epochs * sizes[share.language, share.source] / (share.part * stage.stage.tokens)
        for run in planned_runs(plan, sizes)
        for stage in run.stages
        for share in stage.stage.shares
        if share.part
    )
    return math.floor(plan.tokens * factor)


def _check_epochs(stage: RunStage, sizes: Sizes, where: str) -> None:
    """Refuse a share beyond its epochs: a mixture would fill it up with the others."""
    for share in stage.stage.shares:
        wanted = (share.part or 0.0) * stage.stage.tokens
        at_hand = sizes[share.language, share.source]
        if wanted > share.max_epochs * at_hand + 1:
            raise InputError(
                f"{where}: asks for {wanted:,.0f} tokens of {share.language}/{share.source},"
                f" {wanted / at_hand:.1f} times its text; the most is {share.max_epochs:g}",
                "plan fewer tokens or a smaller share of it, or raise max_epochs",
            )
