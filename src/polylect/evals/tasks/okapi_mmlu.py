"""MMLU as the Okapi project translated it by machine (Lai et al. 2023): the form of Aya 23."""

from polylect.evals.items import Item, unique_ids
from polylect.evals.sources import Dataset, Row, Source
from polylect.evals.tasks.global_mmlu import letter_item
from polylect.evals.tasks.task import Task

DATA = Dataset(
    name="okapi_mmlu",
    license="CC BY-NC 4.0",
    home="https://github.com/nlp-uoregon/mlmm-evaluation",
    hub="alexandrainst/m_mmlu",
    layouts=("{config}_{split}.json", "datasets/m_mmlu/{config}_{split}.json"),
    splits={"train": "dev"},
)
_LANGUAGES = (
    "ar", "de", "en", "es", "fr", "hi", "id", "it", "nl", "pt", "ro", "ru", "uk", "vi", "zh-Hans",
    "bn", "ca", "da", "eu", "gu", "hr", "hu", "hy", "is", "kn", "ml", "mr", "nb", "ne", "sk", "sr",
    "sv", "ta", "te",
)  # fmt: skip


def _item(row: Row, tag: str, split: str) -> Item:
    # The id is subject/split/number. Examples are the same for all subjects, as in
    # lm-evaluation-harness, so that they have no group.
    name = row.text("id")
    group = name.split("/")[0] if split == "test" and "/" in name else ""
    return letter_item(row, tag, row.text("instruction"), name, group)


def _read(source: Source, tag: str, split: str) -> list[Item]:
    rows = source.rows(DATA, tag.removesuffix("-Hans"), split)
    return unique_ids(_item(row, tag, split) for row in rows)


TASK = Task(
    name="okapi_mmlu",
    version=1,
    summary="knowledge of 57 subjects, machine-translated, four letters",
    languages=_LANGUAGES,
    scorer="choice",
    read=lambda source, tag: _read(source, tag, "test"),
    pool=lambda source, tag: _read(source, tag, "train"),
    license=DATA.license,
    home=DATA.home,
    hub=DATA.hub,
)
