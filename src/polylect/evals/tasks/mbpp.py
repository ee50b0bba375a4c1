"""MBPP: short Python programs (Austin et al. 2021), as a likelihood; nothing is run.

``mbpp`` completes a function after its signature and description (the form of mxeval, Athiwaratkun
et al. 2023); ``mbpp_text`` has the prompt of lm-evaluation-harness: the description and the tests.
Both score the 500 problems of the published test split; examples are its prompt problems.
"""

from polylect.evals.items import Item
from polylect.evals.sources import Dataset, Row, Source
from polylect.evals.tasks.task import Task

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
# The first three are those that the paper shows.
PROMPT = (2, 3, 4, 1, 5, 6, 7, 8, 9, 10)


def _completion(row: Row, tag: str) -> Item:
    return Item(
        id=row.text("task_id").removeprefix("MBPP/"),
        language=tag,
        context=row.text("prompt"),
        choices=(row.text("canonical_solution"),),
        answer=0,
        delimiter="",
    )


def _described(row: Row, tag: str, end: str) -> Item:
    tests = "\n".join(row.data.get("test_list", ())[:3])
    asked = f"You are an expert Python programmer, and here is your task: {row.text('text')}"
    return Item(
        id=str(row.whole("task_id")),
        language=tag,
        context=f"{asked} Your code should pass these tests:\n\n{tests}\n[BEGIN]\n",
        choices=(row.text("code") + end,),
        answer=0,
        delimiter="",
    )


def _read(source: Source, tag: str) -> list[Item]:
    items = [_completion(row, tag) for row in source.rows(DATA, "", "")]
    return [one for one in items if int(one.id) in _TEST]


def _pool(source: Source, tag: str) -> list[Item]:
    items = [_completion(row, tag) for row in source.rows(DATA, "", "")]
    return _in_order(items)


def _read_text(source: Source, tag: str) -> list[Item]:
    items = [_described(row, tag, "") for row in source.rows(TEXT_DATA, "full", "test")]
    return [one for one in items if int(one.id) in _TEST]


def _pool_text(source: Source, tag: str) -> list[Item]:
    rows = source.rows(TEXT_DATA, "full", "prompt")
    return _in_order([_described(row, tag, "\n[DONE]") for row in rows])


def _in_order(items: list[Item]) -> list[Item]:
    by_number = {int(one.id): one for one in items}
    return [by_number[number] for number in PROMPT if number in by_number]


TASK = Task(
    name="mbpp",
    version=1,
    summary="likelihood of the gold body of a short Python function",
    languages=("code",),
    scorer="likelihood",
    read=_read,
    pool=_pool,
    license=DATA.license,
    home=DATA.home,
)
TEXT_TASK = Task(
    name="mbpp_text",
    version=1,
    summary="likelihood of the gold program for a description and its tests",
    languages=("code",),
    scorer="likelihood",
    read=_read_text,
    pool=_pool_text,
    license=TEXT_DATA.license,
    home=TEXT_DATA.home,
    hub=TEXT_DATA.hub,
)
