"""Merging checkpoints: operators, exact arithmetic, vocabularies."""

from typing import TYPE_CHECKING

from polylect.base.faces import face

if TYPE_CHECKING:
    from polylect.merging.arithmetic.fma import abs_sum
    from polylect.merging.arithmetic.stack import block_elements, broken, buffer
    from polylect.merging.blocks import cut, merge_blocks, merged_bytes
    from polylect.merging.config import LinearConfig, MergeConfig
    from polylect.merging.engine import MergeResult, lineage_of, merge
    from polylect.merging.journal import Journal
    from polylect.merging.linear import label_models, merge_linear
    from polylect.merging.mergekit_recipe import read_recipe
    from polylect.merging.operators.operator import Kernel, Operator, PerModel, operator
    from polylect.merging.operators.registry import OPERATORS, operator_named
    from polylect.merging.plan import Plan, plan_merge
    from polylect.merging.record import MergeRecord, read_record
    from polylect.merging.steps import merge_checkpoints, merge_models
    from polylect.merging.verification import verify
    from polylect.merging.vocabulary.inputs import VOCABULARIES, on_one_vocabulary, open_models
    from polylect.merging.vocabulary.prepared import inputs_folder, unique_names
else:
    __all__, __getattr__, __dir__ = face(__name__, __file__)
