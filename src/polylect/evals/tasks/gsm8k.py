"""GSM8K: word problems in English (Cobbe et al. 2021).

``gsm8k`` scores the likelihood of the worked solution, ``gsm8k_generate`` the last number of a
generated one. Prompt, examples and stop text are those of lm-evaluation-harness's ``gsm8k``;
examples write their result after ``####``. The last number counts: its ``flexible-extract``.
"""

from polylect.evals.answers import number_metrics
from polylect.evals.items import Item
from polylect.evals.sources import Dataset, Source
from polylect.evals.tasks.task import Generation, Task

DATA = Dataset(
    name="gsm8k",
    license="MIT",
    home="https://github.com/openai/grade-school-math",
    hub="openai/gsm8k",
    layouts=("{split}.jsonl", "grade_school_math/data/{split}.jsonl"),
)


def _read(source: Source, tag: str, split: str) -> list[Item]:
    return [
        Item(
            id=f"{split}-{number}",
            language=tag,
            context=f"Question: {row.text('question')}\nAnswer:",
            choices=(row.text("answer"),),
        )
        for number, row in enumerate(source.rows(DATA, "main", split))
    ]


TASK = Task(
    name="gsm8k",
    summary="likelihood of the worked solution of a word problem",
    languages=("en",),
    scorer="likelihood",
    read=lambda source, tag: _read(source, tag, "test"),
    pool=lambda source, tag: _read(source, tag, "train"),
    data=DATA,
)
GENERATE = TASK.generated(
    "gsm8k_generate",
    "word problems: the last number of a solution that the model works out",
    Generation(
        max_new_tokens=512,
        stop=lambda _: ("Question:", "</s>", "<|im_end|>"),
        score=number_metrics,
    ),
    version=2,
)
