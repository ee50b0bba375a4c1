"""Code as a choice: the body of a function among those of three other problems (ours).

On the problems of HumanEval and MBPP (mxeval's form); nothing is run. A model that cannot write a
program that passes may still tell which body belongs to a signature and its description. The four
bodies are of much the same length, and the same for four problems (``_quartets``).
"""

from dataclasses import replace

from polylect.evals.items import Item
from polylect.evals.sources import Source
from polylect.evals.tasks import humaneval, mbpp
from polylect.evals.tasks._quartets import contains_none, quartets
from polylect.evals.tasks.task import Task


def _choice(likelihood: Task, summary: str) -> Task:
    """The choice among the gold texts of a likelihood task."""
    name = f"{likelihood.name}_choice"

    def read(source: Source, tag: str) -> list[Item]:
        items = likelihood.read(source, tag)
        bodies = [item.choices[0] for item in items]
        plan = quartets(bodies, range(len(items)), 1, contains_none(bodies), name)
        return [
            replace(item, choices=tuple(bodies[number] for number in choices), answer=index)
            for item, (choices, index) in zip(items, plan, strict=True)
        ]

    return Task(
        name=name,
        summary=summary,
        languages=likelihood.languages,
        scorer="choice",
        read=read,
        data=likelihood.data,
    )


HUMANEVAL = _choice(humaneval.TASK, "the body of a Python function, four choices")
MBPP = _choice(mbpp.TASK, "the body of a short Python function, four choices")
