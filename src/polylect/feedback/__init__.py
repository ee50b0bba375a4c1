"""Feedback: preferences made from scored answers; needs a trained reward."""

from typing import TYPE_CHECKING

from polylect.base import face

if TYPE_CHECKING:
    from polylect.feedback.best_of_n import run_answers, run_ranked
    from polylect.feedback.config import AnswersConfig, RankedConfig
    from polylect.feedback.steps import answers, ranked
else:
    __all__, __getattr__, __dir__ = face(__name__, __file__)
