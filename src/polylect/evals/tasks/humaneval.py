"""HumanEval: the body of a Python function (Chen et al. 2021), as a likelihood; nothing is run."""

from polylect.evals.items import Item
from polylect.evals.sources import Dataset, Row
from polylect.evals.tasks.task import Task, item_per_row

DATA = Dataset(
    name="humaneval",
    license="MIT",
    home="https://github.com/openai/human-eval",
    hub="openai/openai_humaneval",
    layouts=("HumanEval.jsonl.gz", "data/HumanEval.jsonl.gz", "HumanEval.jsonl"),
)


def _item(row: Row, tag: str) -> Item:
    return Item(
        id=row.text("task_id"),
        language=tag,
        context=row.text("prompt"),
        choices=(row.text("canonical_solution"),),
        delimiter="",
    )


TASK = Task(
    name="humaneval",
    summary="likelihood of the gold body of a Python function",
    languages=("code",),
    scorer="likelihood",
    read=item_per_row(DATA, "test", _item, {"code": "openai_humaneval"}),
    data=DATA,
)
