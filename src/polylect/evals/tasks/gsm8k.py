"""GSM8K: the worked solution of a word problem (Cobbe et al. 2021), as a likelihood."""

from polylect.evals.items import Item
from polylect.evals.sources import Dataset, Source
from polylect.evals.tasks.task import Task

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
            answer=0,
        )
        for number, row in enumerate(source.rows(DATA, "main", split))
    ]


TASK = Task(
    name="gsm8k",
    version=1,
    summary="likelihood of the worked solution of a word problem",
    languages=("en",),
    scorer="likelihood",
    read=lambda source, tag: _read(source, tag, "test"),
    pool=lambda source, tag: _read(source, tag, "train"),
    license=DATA.license,
    home=DATA.home,
    hub=DATA.hub,
)
