"""Who gained and who paid between two checkpoints: paired, worst-hurt language first.

Scores come as tables or from files (``read_models``); ``compare`` pairs them item by item; a
``Comparison`` holds tables per task, language and group of languages, and says them in words
(``Comparison.sentence``). No engine is needed.
"""

from typing import TYPE_CHECKING

from polylect.base import face

if TYPE_CHECKING:
    from polylect.comparison.cells import pair_items
    from polylect.comparison.language_groups import ALL_LANGUAGES
    from polylect.comparison.lm_eval_languages import language_of_task
    from polylect.comparison.load import (
        ScoredModel,
        check_used,
        input_files,
        read_model,
        read_models,
        with_directions,
    )
    from polylect.comparison.many import compare_many, stack_tables
    from polylect.comparison.metrics import Metrics, display_scale, is_lower_better, unit
    from polylect.comparison.paired import compare
    from polylect.comparison.result import Comparison
    from polylect.comparison.sentences import (
        format_change,
        format_interval,
        format_value,
        no_interval,
        row_label,
    )
    from polylect.comparison.verdicts import GAINED, OPEN, PAID
else:
    __all__, __getattr__, __dir__ = face(__name__, __file__)
