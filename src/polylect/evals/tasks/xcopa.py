"""XCOPA: which of two sentences is the cause or the effect of a premise (Ponti et al. 2020)."""

from polylect.evals.items import Item
from polylect.evals.sources import Dataset, Row
from polylect.evals.tasks.task import Task, item_per_row

DATA = Dataset(
    name="xcopa",
    license="CC BY 4.0",
    home="https://github.com/cambridgeltl/xcopa",
    hub="cambridgeltl/xcopa",
    layouts=("data/{config}/{split}.{config}.jsonl",),
    splits={"validation": "val"},
)

# Words between premise and choice, for a cause and for an effect, as in lm-evaluation-harness.
_CONNECTORS = {
    "et": ("sest", "seetõttu"),
    "ht": ("poukisa", "donk sa"),
    "id": ("karena", "maka"),
    "it": ("perché", "quindi"),
    "qu": ("imataq", "chaymi"),
    "sw": ("kwa sababu", "kwa hiyo"),
    "ta": ("காரணமாக", "எனவே"),
    "th": ("เพราะ", "ดังนั้น"),
    "tr": ("çünkü", "bu yüzden"),
    "vi": ("bởi vì", "vì vậy"),
    "zh-Hans": ("因为", "所以"),
}


def _item(row: Row, tag: str) -> Item:
    cause, effect = _CONNECTORS[tag]
    connector = cause if row.text("question") == "cause" else effect
    premise = row.text("premise").strip()[:-1]  # without its full stop
    choices = [row.text("choice1"), row.text("choice2")]
    return Item(
        id=str(row.whole("idx")),
        language=tag,
        context=f"{premise} {connector}",
        choices=tuple(choice[0].lower() + choice[1:] for choice in choices),
        answer=row.whole("label"),
    )


TASK = Task(
    name="xcopa",
    summary="cause or effect of a premise, two choices",
    languages=tuple(_CONNECTORS),
    scorer="choice",
    read=item_per_row(DATA, "test", _item),
    pool=item_per_row(DATA, "validation", _item),
    data=DATA,
)
