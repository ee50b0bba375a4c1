"""XQuAD generated (Artetxe et al. 2020): a short answer to a question on a paragraph.

Prompt and stop text are those of lm-evaluation-harness's ``xquad``; F1 and exact match are SQuAD's
with MLQA's normalizer of each language.
"""

from dataclasses import replace

from polylect.evals.answers import span_metrics
from polylect.evals.tasks.task import Generation
from polylect.evals.tasks.xquad import TASK as LIKELIHOOD

TASK = replace(
    LIKELIHOOD,
    name="xquad_generate",
    version=1,
    summary="the answer that the model writes to a question on a paragraph: F1, exact match",
    scorer="generation",
    generation=Generation(max_new_tokens=64, stop=lambda _: ("\n",), score=span_metrics),
)
