"""Evaluation: tasks, their scorers, and language confusion."""

from typing import TYPE_CHECKING

from polylect.base import face

if TYPE_CHECKING:
    from polylect.evals.bits import (
        bits_of_model,
        bits_of_texts,
        bits_per_byte,
        bits_table,
        nats_of_segments,
        scored_segments,
    )
    from polylect.evals.config import BitsConfig, EvalConfig
    from polylect.evals.confusion.identifiers import find_identifier
    from polylect.evals.confusion.measure import SKIPPED, Confusion, measure_confusion
    from polylect.evals.confusion.rates import OVERALL
    from polylect.evals.confusion.read import read_completions
    from polylect.evals.confusion.rules import read_english_words
    from polylect.evals.evaluation import Evaluation, evaluate, evaluate_engine
    from polylect.evals.folder import EvalFolder, describe_evaluation, save_evaluation
    from polylect.evals.items import Item
    from polylect.evals.labelled import KINDS, labelled_rows
    from polylect.evals.prepared import PreparedTask, prepare_tasks
    from polylect.evals.prompt_sets import PROMPT_SETS, find_set, read_set
    from polylect.evals.sources import Source
    from polylect.evals.steps import score_bits, score_tasks
    from polylect.evals.suites import (
        SUITES,
        Absent,
        Suite,
        described_suite,
        find_suite,
        prepare_suite,
        suite_rows,
    )
    from polylect.evals.tasks.registry import TASKS, find_task
    from polylect.evals.tasks.task import Task
else:
    __all__, __getattr__, __dir__ = face(__name__, __file__)
