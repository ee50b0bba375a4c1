"""Global-MMLU: the questions of MMLU, translated and in part post-edited (Singh et al. 2024)."""

from polylect.base import InputError
from polylect.evals.items import Item
from polylect.evals.sources import Dataset, Row, Source
from polylect.evals.tasks.task import Task

DATA = Dataset(
    name="global_mmlu",
    license="Apache-2.0",
    home="https://huggingface.co/datasets/CohereLabs/Global-MMLU",
    hub="CohereLabs/Global-MMLU",
)
_LANGUAGES = (
    "ar", "cs", "de", "el", "en", "es", "fa", "fr", "he", "hi", "id", "it", "ja", "ko", "nl", "pl",
    "pt", "ro", "ru", "tr", "uk", "vi", "zh-Hans", "am", "bn", "fil", "ha", "ig", "ky", "lt", "mg",
    "ms", "ne", "ny", "si", "sn", "so", "sr", "sv", "sw", "te", "yo",
)  # fmt: skip
LETTERS = ("A", "B", "C", "D")


def letter_item(row: Row, tag: str, question: str, name: str, group: str) -> Item:
    """A question with its four options above the letters, as lm-evaluation-harness asks it."""
    options = [row.text(f"option_{one}", blank=True) for one in "abcd"]
    lines = [f"{letter}. {one}" for letter, one in zip(LETTERS, options, strict=True)]
    answer = row.text("answer")
    if answer not in LETTERS:
        raise InputError(f"{row.where}: 'answer' is {answer[:40]!r}, not one of A B C D")
    return Item(
        id=name,
        language=tag,
        context="\n".join([question.strip(), *lines, "Answer:"]),
        choices=LETTERS,
        answer=LETTERS.index(answer),
        group=group,
    )


def _read(source: Source, tag: str, split: str) -> list[Item]:
    return [
        letter_item(row, tag, row.text("question"), row.text("sample_id"), row.text("subject"))
        for row in source.rows(DATA, tag.removesuffix("-Hans"), split)
    ]


TASK = Task(
    name="global_mmlu",
    version=1,
    summary="knowledge of 57 subjects, four letters; examples are of the item's subject",
    languages=_LANGUAGES,
    scorer="choice",
    read=lambda source, tag: _read(source, tag, "test"),
    pool=lambda source, tag: _read(source, tag, "dev"),
    license=DATA.license,
    home=DATA.home,
    hub=DATA.hub,
)
