"""Judges: pairwise in both orders and by rubric, and what can be believed of the verdicts."""

from typing import TYPE_CHECKING

from polylect.base.faces import face

if TYPE_CHECKING:
    from polylect.judging.arena_hard import (
        by_prompt,
        by_row,
        is_games_file,
        points_of_pair,
        read_games,
    )
    from polylect.judging.config import JudgeConfig
    from polylect.judging.grade_config import GradeConfig
    from polylect.judging.grade_means import agreement_of_grades, grade_table, mean_grades
    from polylect.judging.grade_steps import GRADES, GRADING, chosen_answers, grade, read_grades
    from polylect.judging.judge_agreement import agreement
    from polylect.judging.length_rule import by_length
    from polylect.judging.pairs import ANSWERS, Answers, Pair, pairs_of, read_answers
    from polylect.judging.pairwise import judging_generation, judging_prompts
    from polylect.judging.position_calibration import balanced
    from polylect.judging.protocols import PRESETS, Preset, find_preset
    from polylect.judging.read import read_judgments
    from polylect.judging.rubric import grading_generation, grading_prompts
    from polylect.judging.rubrics import RUBRICS, Rubric, find_rubric, read_rubric
    from polylect.judging.steps import JUDGING, JUDGMENTS, chosen_pairs, judge, names_of
    from polylect.judging.style_control import FEATURES, Controlled, controlled, differences
    from polylect.judging.verdict_outcomes import outcome_of, outcomes
    from polylect.judging.win_rates import rates, separated
else:
    __all__, __getattr__, __dir__ = face(__name__, __file__)
