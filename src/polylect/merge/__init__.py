"""Merging checkpoints."""

from polylect.merge.config import LinearConfig
from polylect.merge.linear import MergeResult, merge_linear
from polylect.merge.verbs import merge_checkpoints

__all__ = ["LinearConfig", "MergeResult", "merge_checkpoints", "merge_linear"]
