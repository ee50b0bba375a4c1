"""Rubric judges: one answer at a time gets a score on a stated scale; INVALID is no score."""

from polylect.evals.grading.config import GradeConfig
from polylect.evals.grading.rates import agreement_of_grades, grade_table, mean_grades
from polylect.evals.grading.rubrics import RUBRICS, Rubric, find_rubric, read_rubric

__all__ = [
    "RUBRICS",
    "GradeConfig",
    "Rubric",
    "agreement_of_grades",
    "find_rubric",
    "grade_table",
    "mean_grades",
    "read_rubric",
]
