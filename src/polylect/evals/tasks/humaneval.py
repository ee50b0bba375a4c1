"""HumanEval: the body of a Python function (Chen et al. 2021), as a likelihood; nothing is run."""

from polylect.evals.items import Item
from polylect.evals.sources import Dataset, Source
from polylect.evals.tasks.task import Task

DATA = Dataset(
    name="humaneval",
    license="MIT",
    home="https://github.com/openai/human-eval",
    hub="openai/openai_humaneval",
    layouts=("HumanEval.jsonl.gz", "data/HumanEval.jsonl.gz", "HumanEval.jsonl"),
)


def _read(source: Source, tag: str) -> list[Item]:
    return [
        Item(
            id=row.text("task_id"),
            language=tag,
            context=row.text("prompt"),
            choices=(row.text("canonical_solution"),),
            answer=0,
            delimiter="",
        )
        for row in source.rows(DATA, "openai_humaneval", "test")
    ]


TASK = Task(
    name="humaneval",
    version=1,
    summary="likelihood of the gold body of a Python function",
    languages=("code",),
    scorer="likelihood",
    read=_read,
    license=DATA.license,
    home=DATA.home,
    hub=DATA.hub,
)
