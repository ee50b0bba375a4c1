"""World knowledge: XQuAD's questions without their paragraphs (ours, on XQuAD).

``xquad_closed`` scores the likelihood of the gold answer, ``xquad_closed_choice`` picks it among
the answers to three other questions of other articles, of one kind (with digits or without) and
much the same length; no choice contains another. The prompt is that of ``xquad`` but for the
paragraph, so that the difference of the two is what the paragraph says. The choices of a language
are its own answers: the items are parallel, their wrong choices are not.
"""

from dataclasses import replace

from polylect.evals.items import Item
from polylect.evals.sources import Source
from polylect.evals.tasks import xquad
from polylect.evals.tasks._quartets import contains_none, quartets
from polylect.evals.tasks.task import Task

_PARAGRAPHS_PER_ARTICLE = 5
"""XQuAD has five paragraphs in a row of each of 48 articles (Artetxe et al. 2020, section 3)."""


def _read(source: Source, tag: str) -> list[Item]:
    return xquad.questions(source, tag, with_paragraph=False)


def _read_choices(source: Source, tag: str) -> list[Item]:
    items = _read(source, tag)
    answers = [item.choices[0].strip() for item in items]
    places = [int(item.cluster.rpartition("-")[2]) for item in items]
    plan = quartets(
        answers,
        places,
        _PARAGRAPHS_PER_ARTICLE,
        contains_none(answers),
        f"xquad_closed_choice ({tag})",
    )
    return [
        replace(item, choices=tuple(answers[number] for number in choices), answer=index)
        for item, (choices, index) in zip(items, plan, strict=True)
    ]


TASK = Task(
    name="xquad_closed",
    summary="likelihood of the gold answer to a question, without the paragraph",
    languages=xquad.TASK.languages,
    scorer="likelihood",
    read=_read,
    data=xquad.DATA,
)
CHOICE = Task(
    name="xquad_closed_choice",
    summary="the answer to a question without the paragraph, four choices",
    languages=xquad.TASK.languages,
    scorer="choice",
    read=_read_choices,
    data=xquad.DATA,
)
