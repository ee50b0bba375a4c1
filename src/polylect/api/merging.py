"""``merge``: several checkpoints into one."""

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from polylect.api.merge_options import MergeOptions
from polylect.api.notices import is_quiet, notice
from polylect.api.results import Plan, Result, check_room, is_there, out_folder
from polylect.api.verbs import verb
from polylect.base import Ledger

if TYPE_CHECKING:
    import polars

    from polylect.checkpoints import Checkpoint
    from polylect.merging import MergeConfig, MergeRecord


class Merged(Result):
    """A merged checkpoint: what went in, with which weights."""

    @cached_property
    def record(self) -> "MergeRecord":
        """Method, options, inputs and counts."""
        from polylect.merging import read_record

        return read_record(self.path)

    @cached_property
    def checkpoint(self) -> "Checkpoint":
        """The handle of the merged checkpoint; nothing is loaded."""
        from polylect.checkpoints import Checkpoint

        return Checkpoint.open(self.path)

    @cached_property
    def ledger(self) -> Ledger:
        """Settings in which the models differ, files that were left, ties kept."""
        return Ledger.from_json(self.record.ledger)

    def table(self) -> "polars.DataFrame":
        """A row per input: its label, role, weight, folder, digest and license."""
        import polars

        lineage = self.checkpoint.lineage
        parents = {parent.label: parent for parent in lineage.parents} if lineage else {}
        rows = [
            {
                "model": label,
                "role": "base" if label == self.record.config.base else "model",
                "weight": _number(_weight(self.record.config, label)),
                "path": str(path),
                "digest": parents[label].digest if label in parents else "",
                "license": parents[label].license if label in parents else "",
            }
            for label, path in self._paths().items()
        ]
        return polars.DataFrame(rows, schema_overrides={"weight": polars.Float64})

    def lines(self) -> list[str]:
        """The method, the inputs with their weights, what was counted, and the folder."""
        num = len(self.checkpoint.tensors), self.checkpoint.num_parameters
        described = _describe(self.record.config, self._paths(), *num, self.record.files_from)
        return [*described, *self.ledger.lines(), str(self.path)]

    def _paths(self) -> dict[str, Path]:
        """The folder of each input, by label."""
        return {
            model.label: Path(os.path.normpath(self.path / model.path))
            for model in self.record.models
        }


@verb("merge", MergeOptions)
def merge(options: MergeOptions) -> Merged | Plan:
    """Merge checkpoints of one family block by block, in constant memory.

    Returns a ``Merged``, which may be given wherever a checkpoint may: ``.table()`` has a row per
    input with its weight.

        pl.merge(["de", "fr"], method="ties", base="base", density=0.5, out="merged")
    """
    from polylect.api.merge_inputs import open_inputs, with_recipe
    from polylect.merging import (
        input_digests,
        inputs_folder,
        lineage_of,
        merge,
        merge_key,
        plan_merge,
    )
    from polylect.runs import TaskReporter, display

    options = with_recipe(options)
    output, out = options.output, options.output.out
    if out is not None:
        check_room(out, output)
    inputs = open_inputs(options, None)
    # What cannot be merged is refused before an adapter or a vocabulary is written.
    plan = plan_merge(inputs.config, inputs.models)
    if out is None and not output.dry_run:
        key = merge_key(plan, input_digests(inputs.names), inputs.vocabulary)
        out = out_folder(output, "merge", key)
    if inputs.are_prepared and out is not None and not output.dry_run:
        inputs = open_inputs(options, inputs_folder(out))
        plan = plan_merge(inputs.config, inputs.models)
    if out is not None and is_there(out, output, lambda: lineage_of(plan)):
        return Plan([]) if output.dry_run else Merged(out)
    if output.dry_run or out is None:
        paths = {label: model.path for label, model in plan.models.items()}
        elements = sum(spec.num_elements for spec in plan.specs)
        described = _describe(plan.config, paths, len(plan.specs), elements, plan.files_from)
        place = out or "runs/merge-KEY; KEY comes of the inputs' content, which is read then"
        where = f"would write into {place}"
        return Plan([*described, *(inputs.ledger + plan.ledger).lines(), where])
    with display(silent=is_quiet()) as progress:
        result = merge(
            inputs.config,
            inputs.models,
            out,
            num_threads=options.threads or len(os.sched_getaffinity(0)),
            max_shard_bytes=options.max_shard_bytes,
            replace=output.force,
            ledger=inputs.ledger,
            report=TaskReporter("merge", progress.handle),
        )
    notice(", ".join(f"{name} {value:.2f} s" for name, value in result.seconds.items()))
    return Merged(out)


def _describe(
    config: "MergeConfig", paths: Mapping[str, Path], tensors: int, elements: int, files_from: str
) -> list[str]:
    """A merge in lines: its size, and what goes in."""
    lines = [f"{config.method}: {elements:,} parameters in {tensors:,} tensors"]
    for label, path in paths.items():
        weight = _weight(config, label)
        note = "(base)  " if label == config.base else ""
        if weight is not None and not note:
            shown = _number(weight)
            note = "by tensor  " if shown is None else f"{shown:g}  "
        lines.append(f"  {label}{' ' if label == config.base else '  '}{note}{path}")
    if files_from:
        lines.append(f"  files beside the weights: those of {files_from}")
    return lines


def _weight(config: "MergeConfig", label: str) -> object:
    """The weight of a model as it was given; None for the base, and without weights."""
    if label == config.base:
        return None
    return config.model_options.get(label, {}).get("weight", config.options.get("weight"))


def _number(weight: object) -> float | None:
    """A weight that is one number for all tensors."""
    is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
    return float(weight) if is_number else None
