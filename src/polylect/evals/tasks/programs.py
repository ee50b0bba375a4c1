"""HumanEval and MBPP run: programs that the model wrote, with their tests, in a confined child.

Completions end before the next thing at the margin (Chen et al. 2021, section 2.1); an answer in a
chat is its first fenced block. ``mbpp_run`` is in mxeval's form, a signature with its description;
``mbpp_text_run`` as published (Austin et al. 2021, section 3): the description and its tests in the
prompt, a program between [BEGIN] and [DONE], three solved problems before it (``--shots 3``).
"""

import re
from collections.abc import Callable
from dataclasses import replace

from polylect.base import InputError
from polylect.evals.items import Item
from polylect.evals.sources import Dataset, Row, Source
from polylect.evals.tasks import humaneval, mbpp
from polylect.evals.tasks.task import Generation, Reader, Task
from polylect.runs import require_sandbox

STOP = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
_FENCED = re.compile(r"```(?:[Pp]ython|py)?[^\S\n]*\n(.*?)(?:```|\Z)", re.DOTALL)


def program_of(item: Item, answer: str) -> str:
    """Prompt, completion, tests, and the call that runs them.

    A fenced block that defines the asked function stands for itself, after the prompt's imports;
    one that does not is the function's body.
    """
    (prompt,) = set(item.contexts())
    block = _FENCED.search(answer)
    body = block[1] if block else answer
    name = item.tests.rpartition("check(")[2].rstrip(")\n")
    if block and re.search(rf"^def {re.escape(name)}\b", body, re.MULTILINE):
        before = "".join(
            f"{line}\n" for line in prompt.splitlines() if re.match(r"(import|from)\s", line)
        )
        return f"{before}{body}\n{item.tests}"
    return f"{prompt}{body}\n{item.tests}"


def text_program_of(item: Item, answer: str) -> str:
    """The program that was written, alone, and the tests of the prompt."""
    block = _FENCED.search(answer)
    body = (block[1] if block else answer).partition("[DONE]")[0]
    return f"{body}\n{item.tests}"


def _text_tests(row: Row) -> str:
    """Assertions, after what they need to be set up."""
    asserts = row.data.get("test_list")
    if not isinstance(asserts, list) or not asserts:
        raise InputError(
            f"{row.where}: 'test_list' is missing", f"get it from {mbpp.TEXT_DATA.home}"
        )
    return "\n".join([str(row.data.get("test_setup_code") or ""), *map(str, asserts), ""])


def _tests(row: Row) -> str:
    name = row.text("entry_point")
    if not name.isidentifier():
        raise InputError(f"{row.where}: 'entry_point' is {name[:40]!r}, not a name")
    return f"{row.text('test')}\ncheck({name})\n"


def _with_tests(
    likelihood: Task, data: Dataset, config: str, tests: Callable[[Row], str]
) -> Reader:
    """A reader of the items of a likelihood task with the tests of their rows."""

    def read(source: Source, tag: str) -> list[Item]:
        require_sandbox()
        by_id = {
            str(row.data.get("task_id")).removeprefix("MBPP/"): row
            for row in source.rows(data, config, "test")
        }
        return [replace(item, tests=tests(by_id[item.id])) for item in likelihood.read(source, tag)]

    return read


_COMPLETED = Generation(max_new_tokens=512, stop=lambda _: STOP, program=program_of)
HUMANEVAL = humaneval.TASK.generated(
    "humaneval_run",
    "pass@k of Python functions, run with their tests",
    _COMPLETED,
    read=_with_tests(humaneval.TASK, humaneval.DATA, "openai_humaneval", _tests),
    max_shots=0,
)
MBPP = mbpp.TASK.generated(
    "mbpp_run",
    "pass@k of short Python functions, run with their tests",
    _COMPLETED,
    read=_with_tests(mbpp.TASK, mbpp.DATA, "full", _tests),
    pool=None,
    max_shots=0,
)
MBPP_TEXT = mbpp.TEXT_TASK.generated(
    "mbpp_text_run",
    "pass@k of short Python programs, their tests in the prompt, run with them",
    Generation(max_new_tokens=512, stop=lambda _: ("[DONE]",), program=text_program_of),
    read=_with_tests(mbpp.TEXT_TASK, mbpp.TEXT_DATA, "full", _text_tests),
    max_shots=len(mbpp.PROMPT),
)
