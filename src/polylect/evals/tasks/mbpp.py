"""MBPP: short Python programs (Austin et al. 2021), as a likelihood; nothing is run.

``mbpp`` completes a function after its signature and description (the form of mxeval, Athiwaratkun
et al. 2023); ``mbpp_text`` has the prompt of lm-evaluation-harness: the description and the tests.
Both score the 500 problems of the published test split; examples are its prompt problems.
"""

from collections.abc import Callable, Sequence
from functools import partial

from polylect.evals.items import Item
from polylect.evals.sources import Dataset, Row, Source
from polylect.evals.tasks.task import Reader, Task, item_per_row

DATA = Dataset(
    name="mbpp",
    license="Apache-2.0, data CC BY 4.0",
    home="https://github.com/amazon-science/mxeval",
    layouts=("mbpp_release_v1.jsonl", "data/mbxp/mbpp_release_v1.jsonl"),
)
TEXT_DATA = Dataset(
    name="mbpp_text",
    license="CC BY 4.0",
    home="https://github.com/google-research/google-research/tree/master/mbpp",
    hub="google-research-datasets/mbpp",
    layouts=("mbpp.jsonl",),
)
_TEST = range(11, 511)
PROMPT = (2, 3, 4, 1, 5, 6, 7, 8, 9, 10)
"""The problems that are examples; the first three are those that the paper shows."""


def _completion(row: Row, tag: str) -> Item:
    return Item(
        id=row.text("task_id").removeprefix("MBPP/"),
        language=tag,
        context=row.text("prompt"),
        choices=(row.text("canonical_solution"),),
        delimiter="",
    )


def _description(row: Row, tag: str, end: str = "") -> Item:
    tests = "\n".join(row.data.get("test_list", ())[:3])
    return Item(
        id=str(row.whole("task_id")),
        language=tag,
        context="You are an expert Python programmer, and here is your task:"
        f" {row.text('text')} Your code should pass these tests:\n\n{tests}\n[BEGIN]\n",
        choices=(row.text("code") + end,),
        delimiter="",
    )


def _problems(
    data: Dataset, split: str, item: Callable[[Row, str], Item], numbers: Sequence[int]
) -> Reader:
    """A reader of the problems with the given numbers, in their order."""
    read_all = item_per_row(data, split, item, {"code": "full"})

    def read(source: Source, tag: str) -> list[Item]:
        items = [item for item in read_all(source, tag) if int(item.id) in numbers]
        return sorted(items, key=lambda item: numbers.index(int(item.id)))

    return read


TASK = Task(
    name="mbpp",
    summary="likelihood of the gold body of a short Python function",
    languages=("code",),
    scorer="likelihood",
    read=_problems(DATA, "test", _completion, _TEST),
    pool=_problems(DATA, "prompt", _completion, PROMPT),
    data=DATA,
)
TEXT_TASK = Task(
    name="mbpp_text",
    summary="likelihood of the gold program for a description and its tests",
    languages=("code",),
    scorer="likelihood",
    read=_problems(TEXT_DATA, "test", _description, _TEST),
    pool=_problems(TEXT_DATA, "prompt", partial(_description, end="\n[DONE]"), PROMPT),
    data=TEXT_DATA,
)
