"""Judges: two answers side by side in both orders, and what can be believed of the verdicts."""

from polylect.evals.judging.agreement import agreement, kappa, krippendorff
from polylect.evals.judging.config import JudgeConfig
from polylect.evals.judging.outcomes import outcome_of, outcomes
from polylect.evals.judging.pairs import Answers, Pair, pairs_of, read_answers
from polylect.evals.judging.presets import PRESETS, Preset, find_preset
from polylect.evals.judging.rates import bootstrap_by_prompt, rates, separated

__all__ = [
    "PRESETS",
    "Answers",
    "JudgeConfig",
    "Pair",
    "Preset",
    "agreement",
    "bootstrap_by_prompt",
    "find_preset",
    "kappa",
    "krippendorff",
    "outcome_of",
    "outcomes",
    "pairs_of",
    "rates",
    "read_answers",
    "separated",
]
