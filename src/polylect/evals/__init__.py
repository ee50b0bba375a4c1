"""Evaluation: tasks of choice and likelihood, and the comparison that says who gained and paid."""

from polylect.evals.compare import Comparison, compare
from polylect.evals.config import BitsConfig, EvalConfig
from polylect.evals.evaluate import Cell, Evaluation, evaluate, evaluate_engine, gather
from polylect.evals.folder import EvalFolder
from polylect.evals.items import Item
from polylect.evals.metrics import Metrics
from polylect.evals.sources import Source
from polylect.evals.tasks import Task, find_task
from polylect.evals.verbs import score_bits, score_tasks

__all__ = [
    "BitsConfig",
    "Cell",
    "Comparison",
    "EvalConfig",
    "EvalFolder",
    "Evaluation",
    "Item",
    "Metrics",
    "Source",
    "Task",
    "compare",
    "evaluate",
    "evaluate_engine",
    "find_task",
    "gather",
    "score_bits",
    "score_tasks",
]
