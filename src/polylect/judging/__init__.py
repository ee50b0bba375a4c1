"""Judges: pairwise in both orders and by rubric, and what can be believed of their verdicts."""

from typing import TYPE_CHECKING

from polylect.base import face

if TYPE_CHECKING:
    from polylect.judging.agreement import grade_agreement, verdict_agreement
    from polylect.judging.arena_hard import (
        ArenaGames,
        ArenaScore,
        arena_points,
        interval_over_prompts,
        interval_over_rows,
        is_arena_file,
        read_arena_games,
    )
    from polylect.judging.config import GradeConfig, JudgeConfig
    from polylect.judging.files import (
        ANSWERS,
        GRADES,
        JUDGMENTS,
        ModelAnswers,
        read_answers,
        read_grades,
        read_judgments,
    )
    from polylect.judging.mean_grades import grade_table, mean_grade_table
    from polylect.judging.pair_outcomes import combine_verdicts, outcome_table
    from polylect.judging.pairs import AnswerPair, pair_answers, select_answers, select_pairs
    from polylect.judging.pairwise import pairwise_generation, pairwise_questions
    from polylect.judging.position_calibration import CALIBRATED_SUFFIX, calibrated_judgments
    from polylect.judging.protocols import PRESETS, find_preset
    from polylect.judging.rubric import rubric_generation, rubric_questions
    from polylect.judging.rubrics import Rubric, find_rubric, read_rubric
    from polylect.judging.steps import GRADING, JUDGING, grade, judge, model_names
    from polylect.judging.style_control import (
        STYLE_FEATURES,
        ControlledWinRate,
        controlled_win_rate,
        longer_answer_judgments,
        style_differences,
    )
    from polylect.judging.win_rates import significant_languages, win_rate_table
else:
    __all__, __getattr__, __dir__ = face(__name__, __file__)
