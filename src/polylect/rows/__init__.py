"""The row types, their Arrow schemas, Parquet and JSON lines in and out, and the score table."""

from typing import TYPE_CHECKING

from polylect.base import face

if TYPE_CHECKING:
    from polylect.rows.cells import (
        columns_of,
        id_cell,
        language_cell,
        name_cell,
        number_cell,
        text_cell,
    )
    from polylect.rows.chance import AT_CHANCE, BELOW_CHANCE, chance_note, chance_of_answer
    from polylect.rows.chat_files import (
        IGNORED_COLUMN,
        read_conversations,
        read_preferences,
        read_prompts,
    )
    from polylect.rows.columns import row_dict
    from polylect.rows.conversations import (
        Conversation,
        Generated,
        Message,
        Passage,
        Preference,
        Prompt,
        Tool,
        ToolCall,
        as_dicts,
    )
    from polylect.rows.files import decode_row, read_dicts, read_rows, write_rows
    from polylect.rows.first_metrics import FIRST_METRICS, first_metric
    from polylect.rows.message_fields import (
        template_arguments,
        with_contents,
        with_other_content,
        without_fields,
    )
    from polylect.rows.metric_ranges import base_name, is_share, metric_range, possible_values
    from polylect.rows.parquet import check_columns, check_utf8
    from polylect.rows.pooled_answers import ANSWER_ORIGINS, AnswerKey, PooledAnswer
    from polylect.rows.refused_rows import RefusedRows
    from polylect.rows.schema import arrow_schema
    from polylect.rows.scores import ScoreTable
    from polylect.rows.types import Battle, Document, Grade, Judgment, Split, Verdict, check_names
else:
    __all__, __getattr__, __dir__ = face(__name__, __file__)
