"""Merging checkpoints: operators, exact arithmetic, vocabularies."""

from typing import TYPE_CHECKING

from polylect.base import face

if TYPE_CHECKING:
    from polylect.merging.blocks import tensor_blocks
    from polylect.merging.companions import model_of_files
    from polylect.merging.config import LinearConfig, MergeConfig
    from polylect.merging.engine import MergeResult, lineage_of, merge, merge_key
    from polylect.merging.inputs import (
        VOCABULARIES,
        input_digests,
        open_models,
        unify_vocabularies,
    )
    from polylect.merging.linear import label_models, merge_linear
    from polylect.merging.mergekit_recipe import read_recipe
    from polylect.merging.names import unique_names
    from polylect.merging.operators.registry import OPERATORS, operator_named
    from polylect.merging.plan import Plan, plan_merge
    from polylect.merging.prepared import inputs_folder
    from polylect.merging.record import MergeRecord, read_record
    from polylect.merging.steps import merge_checkpoints, merge_models
    from polylect.merging.verification import Verified, verify
else:
    __all__, __getattr__, __dir__ = face(__name__, __file__)
