"""XWinograd: whom a pronoun means (Tikhonov & Ryabinin 2021; Muennighoff et al. 2023).

The choices stand in the context and the rest of the sentence is scored after each. The languages'
sentences are not translations of each other.
"""

from polylect.base import InputError
from polylect.evals.items import Item
from polylect.evals.sources import Dataset, Row, Source
from polylect.evals.tasks.task import Task

DATA = Dataset(
    name="xwinograd",
    license="CC BY 4.0",
    home="https://huggingface.co/datasets/Muennighoff/xwinograd",
    hub="Muennighoff/xwinograd",
    layouts=("{split}/{config}.jsonl",),
)
_CONFIGS = {"en": "en", "fr": "fr", "ja": "jp", "pt": "pt", "ru": "ru", "zh-Hans": "zh"}


def _item(row: Row, number: int, tag: str) -> Item:
    sentence = row.text("sentence")
    before, blank, after = sentence.partition("_")
    if not blank or not after.strip():
        raise InputError(f"{row.where}: 'sentence' is {sentence[:60]!r}, with nothing after a '_'")
    return Item(
        id=f"{tag}-{number}",
        language=tag,
        context=(before + row.text("option1"), before + row.text("option2")),
        choices=(after.strip(),) * 2,
        answer=row.whole("answer") - 1,
    )


def _read(source: Source, tag: str) -> list[Item]:
    rows = source.rows(DATA, _CONFIGS[tag], "test")
    return [_item(row, number, tag) for number, row in enumerate(rows)]


TASK = Task(
    name="xwinograd",
    summary="whom a pronoun means, two readings",
    languages=tuple(_CONFIGS),
    scorer="choice",
    read=_read,
    data=DATA,
)
