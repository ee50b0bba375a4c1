"""Merging checkpoints."""

from polylect.merge.config import LinearConfig, MergeConfig
from polylect.merge.engine import MergeResult, merge
from polylect.merge.linear import label_models, merge_linear
from polylect.merge.operators import Kernel, Operator, PerModel, operator
from polylect.merge.plan import Plan, plan_merge
from polylect.merge.record import MergeRecord, read_record
from polylect.merge.registry import OPERATORS, operator_named
from polylect.merge.verbs import merge_checkpoints, merge_models

__all__ = [
    "OPERATORS",
    "Kernel",
    "LinearConfig",
    "MergeConfig",
    "MergeRecord",
    "MergeResult",
    "Operator",
    "PerModel",
    "Plan",
    "label_models",
    "merge",
    "merge_checkpoints",
    "merge_linear",
    "merge_models",
    "operator",
    "operator_named",
    "plan_merge",
    "read_record",
]
