"""The built-in tasks by name, and tasks in files."""

from collections.abc import Mapping
from types import MappingProxyType

from polylect.base import InputError, did_you_mean
from polylect.evals.tasks import (
    belebele,
    global_mmlu,
    gsm8k,
    gsm8k_generate,
    humaneval,
    mbpp,
    mgsm,
    mgsm_generate,
    next_sentence,
    ntrex_bits,
    okapi_mmlu,
    programs,
    translate,
    translation_choice,
    xcopa,
    xlsum,
    xquad,
    xquad_generate,
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
    global_mmlu.TASK,
    okapi_mmlu.TASK,
    xquad.TASK,
    mgsm.TASK,
    gsm8k.TASK,
    humaneval.TASK,
    mbpp.TASK,
    mbpp.TEXT_TASK,
    next_sentence.TASK,
    translation_choice.TASK,
    translation_choice.INTO_ENGLISH,
    ntrex_bits.TASK,
    mgsm_generate.DIRECT,
    mgsm_generate.NATIVE,
    mgsm_generate.ENGLISH,
    gsm8k_generate.TASK,
    xquad_generate.TASK,
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

TASKS: Mapping[str, Task] = MappingProxyType({one.name: one for one in _ALL})
"""The built-in tasks, by name."""


def task_names() -> tuple[str, ...]:
    """Names of the built-in tasks."""
    return tuple(TASKS)


def find_task(name_or_path: str) -> Task:
    """A built-in task by its name, or the task in a file of JSON lines (or Parquet).

    Raises:
        InputError: no such task, which names the nearest; or a file that is not a task.
    """
    if name_or_path.endswith(SUFFIXES):
        return read_task_file(name_or_path)
    found = TASKS.get(name_or_path.replace("-", "_").lower())
    if found is None:
        raise InputError(
            f"no task {name_or_path!r}",
            did_you_mean(name_or_path, TASKS)
            or f"a file ends in {' or '.join(SUFFIXES)}; built in are {', '.join(TASKS)}",
        )
    return found
