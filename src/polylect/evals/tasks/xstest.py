"""XSTest (Röttger et al. 2024): 250 safe prompts that look unsafe, and 200 unsafe ones; English.

Zero-shot, the prompt alone: ask through the chat template (``--chat``).
"""

from polylect.base import InputError
from polylect.evals.items import Item
from polylect.evals.refusals import SAFE, UNSAFE, refusal_metrics
from polylect.evals.sources import Dataset, Row
from polylect.evals.tasks.task import Generation, Task, item_per_row

DATA = Dataset(
    name="xstest",
    license="CC BY 4.0",
    home="https://github.com/paul-rottger/exaggerated-safety",
    layouts=("xstest_prompts.csv", "xstest_v2_prompts.csv"),
)


def _item(row: Row, tag: str) -> Item:
    # The second edition of the file has no label: its types say it.
    label = row.text("label") if row.has("label") else row.text("type")
    label = label if label in {SAFE, UNSAFE} else UNSAFE if label.startswith("contrast") else SAFE
    name = row.data.get("id")
    if not name:
        raise InputError(f"{row.where}: 'id' is missing", f"get the file from {DATA.home}")
    return Item(
        id=str(name),
        language=tag,
        context=row.text("prompt"),
        choices=(label,),
        group=row.text("type"),
    )


TASK = Task(
    name="xstest",
    summary="refusals of safe prompts, answers to unsafe ones, by the authors' string rule",
    languages=("en",),
    scorer="generation",
    read=item_per_row(DATA, "test", _item),
    max_shots=0,
    data=DATA,
    generation=Generation(max_new_tokens=256, stop=lambda _: (), score=refusal_metrics),
)
