"""GSM8K generated (Cobbe et al. 2021): the last number of a worked solution.

Prompt, examples and stop text are those of lm-evaluation-harness's ``gsm8k``; examples write their
result after ``####``. The last number counts, which is its ``flexible-extract``.
"""

from dataclasses import replace

from polylect.evals.answers import number_metrics
from polylect.evals.tasks.gsm8k import TASK as LIKELIHOOD
from polylect.evals.tasks.task import Generation

TASK = replace(
    LIKELIHOOD,
    name="gsm8k_generate",
    version=1,
    summary="word problems: the last number of a solution that the model works out",
    scorer="generation",
    generation=Generation(
        max_new_tokens=512,
        stop=lambda _: ("Question:", "</s>", "<|im_end|>"),
        score=number_metrics,
    ),
)
