"""``merge.json``: inputs and settings of a merged checkpoint, so that it can be verified."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

import polylect
from polylect.base import InputError, Ledger, decode, read_json, write_json
from polylect.merging.config import MergeConfig
from polylect.merging.plan import Plan

RECORD = "merge.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedModel:
    """One input of a merge.

    Attributes:
        label: its label.
        path: its folder, relative to the merged checkpoint's folder.
        files: digests of its weights, config and tokenizer files, by name; see
            ``Checkpoint.file_digests``.
    """

    label: str
    path: str
    files: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeRecord:
    """How a merge was done.

    Attributes:
        config: method and options.
        models: the inputs, in order, the base among them.
        versions: versions of polylect and numpy.
        files_from: label of the model whose files beside the weights the result has.
        ledger: what was counted; see ``Ledger.to_json``.
    """

    config: MergeConfig
    models: tuple[RecordedModel, ...]
    versions: dict[str, str]
    files_from: str = ""
    ledger: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, plan: Plan, out: Path) -> "MergeRecord":
        """The record of a plan for a folder, without digests, which would read every tensor."""
        models = tuple(
            RecordedModel(label=label, path=os.path.relpath(model.path.resolve(), out.resolve()))
            for label, model in plan.models.items()
        )
        versions = {"polylect": polylect.__version__, "numpy": np.__version__}
        return cls(config=plan.config, models=models, versions=versions, files_from=plan.files_from)

    def finished(self, files: Mapping[str, Mapping[str, str]], ledger: Ledger) -> "MergeRecord":
        """The record with the digests of the inputs' files, by label and name, and all counts."""
        models = (replace(model, files=dict(files[model.label])) for model in self.models)
        return replace(self, models=tuple(models), ledger=ledger.to_json())


def write_record(folder: Path, record: MergeRecord) -> None:
    """Write ``merge.json``.

    Raises:
        StorageError: the folder cannot be written.
    """
    write_json(folder / RECORD, record)


def read_record(folder: Path) -> MergeRecord:
    """The record of a merged checkpoint.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    path = folder / RECORD
    if not path.is_file():
        raise InputError(f"{folder}: no {RECORD}, so this was not merged here", "check the path")
    return decode(MergeRecord, read_json(path), str(path))
