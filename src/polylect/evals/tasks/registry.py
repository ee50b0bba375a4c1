"""The built-in tasks by name, and tasks in files."""

from collections.abc import Mapping
from types import MappingProxyType

from polylect.base import InputError, did_you_mean
from polylect.evals.tasks import (
    belebele,
    closed_book,
    code_choice,
    gsm8k,
    humaneval,
    mbpp,
    mgsm,
    mmlu,
    next_sentence,
    ntrex_bits,
    programs,
    translate,
    translation_choice,
    xcopa,
    xlsum,
    xquad,
    xstest,
    xstorycloze,
    xwinograd,
)
from polylect.evals.tasks.from_file import SUFFIXES, read_task_file
from polylect.evals.tasks.task import Task

_ALL = (
    xcopa.TASK,
    xstorycloze.TASK,
    xwinograd.TASK,
    belebele.TASK,
    mmlu.GLOBAL,
    mmlu.OKAPI,
    xquad.TASK,
    closed_book.TASK,
    closed_book.CHOICE,
    mgsm.TASK,
    gsm8k.TASK,
    humaneval.TASK,
    mbpp.TASK,
    mbpp.TEXT_TASK,
    code_choice.HUMANEVAL,
    code_choice.MBPP,
    next_sentence.TASK,
    translation_choice.TASK,
    translation_choice.INTO_ENGLISH,
    ntrex_bits.TASK,
    mgsm.DIRECT,
    mgsm.NATIVE,
    mgsm.ENGLISH,
    gsm8k.GENERATE,
    xquad.GENERATE,
    translate.FROM_ENGLISH,
    translate.INTO_ENGLISH,
    translate.FLORES_FROM_ENGLISH,
    translate.FLORES_INTO_ENGLISH,
    xlsum.TASK,
    xstest.TASK,
    programs.HUMANEVAL,
    programs.MBPP,
    programs.MBPP_TEXT,
)

TASKS: Mapping[str, Task] = MappingProxyType({task.name: task for task in _ALL})
"""The built-in tasks, by name."""


def find_task(name_or_path: str) -> Task:
    """A built-in task by its name, or the task in a file of JSON lines (or Parquet).

    Raises:
        InputError: no such task, which names the nearest; or a file that is not a task.
    """
    if name_or_path.endswith(SUFFIXES):
        return read_task_file(name_or_path)
    task = TASKS.get(name_or_path.replace("-", "_").lower())
    if task is None:
        known = f"a file ends in {' or '.join(SUFFIXES)}; built in are {', '.join(TASKS)}"
        raise InputError(f"no task {name_or_path!r}", did_you_mean(name_or_path, TASKS) or known)
    return task
