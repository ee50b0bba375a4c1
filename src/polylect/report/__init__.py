"""Reports: static pages, tables and charts drawn from stored rows."""

from typing import TYPE_CHECKING

from polylect.base import face

if TYPE_CHECKING:
    from polylect.report.agreement import agreement_lines, write_agreement_page
    from polylect.report.audit import write_audit_page
    from polylect.report.board import write_board_page
    from polylect.report.charts import Dot, curves, dot_plot, legend
    from polylect.report.compare import write_comparison
    from polylect.report.confusion import write_confusion
    from polylect.report.crowd import crowd_lines, write_crowd_page
    from polylect.report.evaluation import (
        absent_lines,
        evaluation_rows,
        evaluation_summary,
        write_eval_page,
    )
    from polylect.report.experts import REPORT, ROUTING, report_sentences, write_experts_page
    from polylect.report.feedback import (
        route_rows,
        route_sentences,
        write_pool_page,
        write_route_page,
    )
    from polylect.report.formats import percent
    from polylect.report.grading import Graded, grading_summary, read_graded, write_grades_page
    from polylect.report.instructions import write_instructions_page
    from polylect.report.judged import Judged, judged_with_answers, read_judged
    from polylect.report.judging import judging_summary, write_arena_page, write_judging_page
    from polylect.report.languages import (
        describe_languages,
        known_languages,
        language_rows,
        list_languages,
    )
    from polylect.report.lifecycle import write_lifecycle_page
    from polylect.report.mixture_fit import FIT, fit_sentences, write_fit_page
    from polylect.report.mixture_plans import plan_sentences, write_plan_page
    from polylect.report.mixtures import write_mixtures_page
    from polylect.report.nexus import write_nexus_page, write_nexus_summary
    from polylect.report.page import Html, language_cell, link, section, table, tag, write_page
    from polylect.report.people import write_people_page
    from polylect.report.quantization import write_schemes_page, write_study_page
    from polylect.report.relative_changes import relative_change, verdict_of_change
    from polylect.report.search import write_search_page
    from polylect.report.stages import write_stages_page
    from polylect.report.training import write_training_page
else:
    __all__, __getattr__, __dir__ = face(__name__, __file__)
