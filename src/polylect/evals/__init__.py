"""Evaluation: bits per byte, and the paired comparison that says who gained and who paid."""

from polylect.evals.compare import Comparison, compare
from polylect.evals.config import BitsConfig
from polylect.evals.verbs import score_bits

__all__ = ["BitsConfig", "Comparison", "compare", "score_bits"]
