"""MMLU in other languages: Global-MMLU, and the machine translation of the Okapi project.

Global-MMLU is translated and in part post-edited (Singh et al. 2024); Okapi's translation (Lai et
al. 2023) is the form that Aya 23 reports.
"""

from polylect.base import InputError
from polylect.evals.items import Item
from polylect.evals.sources import Dataset, Row
from polylect.evals.tasks.task import Task, item_per_row

GLOBAL_DATA = Dataset(
    name="global_mmlu",
    license="Apache-2.0",
    home="https://huggingface.co/datasets/CohereLabs/Global-MMLU",
    hub="CohereLabs/Global-MMLU",
)
OKAPI_DATA = Dataset(
    name="okapi_mmlu",
    license="CC BY-NC 4.0",
    home="https://github.com/nlp-uoregon/mlmm-evaluation",
    hub="alexandrainst/m_mmlu",
    layouts=("{config}_{split}.json", "datasets/m_mmlu/{config}_{split}.json"),
    splits={"train": "dev"},
)
_GLOBAL_LANGUAGES = (
    "ar", "cs", "de", "el", "en", "es", "fa", "fr", "he", "hi", "id", "it", "ja", "ko", "nl", "pl",
    "pt", "ro", "ru", "tr", "uk", "vi", "zh-Hans", "am", "bn", "fil", "ha", "ig", "ky", "lt", "mg",
    "ms", "ne", "ny", "si", "sn", "so", "sr", "sv", "sw", "te", "yo",
)  # fmt: skip
_OKAPI_LANGUAGES = (
    "ar", "de", "en", "es", "fr", "hi", "id", "it", "nl", "pt", "ro", "ru", "uk", "vi", "zh-Hans",
    "bn", "ca", "da", "eu", "gu", "hr", "hu", "hy", "is", "kn", "ml", "mr", "nb", "ne", "sk", "sr",
    "sv", "ta", "te",
)  # fmt: skip
_LETTERS = ("A", "B", "C", "D")


def _letter_item(row: Row, tag: str, question: str, id: str, group: str) -> Item:
    """A question with its four options above the letters, as in lm-evaluation-harness."""
    lines = [f"{letter}. {row.text(f'option_{letter.lower()}', blank=True)}" for letter in _LETTERS]
    answer = row.text("answer")
    if answer not in _LETTERS:
        raise InputError(f"{row.where}: 'answer' is {answer[:40]!r}, not one of A B C D")
    return Item(
        id=id,
        language=tag,
        context="\n".join([question.strip(), *lines, "Answer:"]),
        choices=_LETTERS,
        answer=_LETTERS.index(answer),
        group=group,
    )


def _global_item(row: Row, tag: str) -> Item:
    return _letter_item(row, tag, row.text("question"), row.text("sample_id"), row.text("subject"))


def _okapi_item(row: Row, tag: str) -> Item:
    # The id is subject/split/number.
    id = row.text("id")
    subject = id.split("/")[0] if "/" in id else ""
    return _letter_item(row, tag, row.text("instruction"), id, subject)


def _okapi_example(row: Row, tag: str) -> Item:
    # No group: the examples are the same for all subjects, as in lm-evaluation-harness.
    return _letter_item(row, tag, row.text("instruction"), row.text("id"), "")


GLOBAL = Task(
    name="global_mmlu",
    summary="knowledge of 57 subjects, four letters; examples are of the item's subject",
    languages=_GLOBAL_LANGUAGES,
    scorer="choice",
    read=item_per_row(GLOBAL_DATA, "test", _global_item),
    pool=item_per_row(GLOBAL_DATA, "dev", _global_item),
    data=GLOBAL_DATA,
)
OKAPI = Task(
    name="okapi_mmlu",
    summary="knowledge of 57 subjects, machine-translated, four letters",
    languages=_OKAPI_LANGUAGES,
    scorer="choice",
    read=item_per_row(OKAPI_DATA, "test", _okapi_item, ids_repeat=True),
    pool=item_per_row(OKAPI_DATA, "train", _okapi_example, ids_repeat=True),
    data=OKAPI_DATA,
)
