"""XStoryCloze: which of two sentences ends a story of four (Lin et al. 2022)."""

from polylect.evals.items import Item
from polylect.evals.sources import Dataset, Row
from polylect.evals.tasks.task import Task, item_per_row

DATA = Dataset(
    name="xstorycloze",
    license="CC BY-SA 4.0",
    home="https://github.com/facebookresearch/fairseq/tree/main/examples/xglm",
    hub="juletxara/xstory_cloze",
    layouts=("spring2016.val.{config}.tsv.split_20_80_{split}.tsv",),
)
_LANGUAGES = ("ar", "en", "es", "eu", "hi", "id", "my", "ru", "sw", "te", "zh-Hans")


def _item(row: Row, tag: str) -> Item:
    story = [row.text(f"input_sentence_{i}", f"InputSentence{i}") for i in range(1, 5)]
    endings = [row.text(f"sentence_quiz{i}", f"RandomFifthSentenceQuiz{i}") for i in (1, 2)]
    return Item(
        id=row.text("story_id", "InputStoryid"),
        language=tag,
        context=" ".join(story),
        choices=tuple(endings),
        answer=row.whole("answer_right_ending", "AnswerRightEnding") - 1,
    )


TASK = Task(
    name="xstorycloze",
    summary="the right ending of a short story, two choices",
    languages=_LANGUAGES,
    scorer="choice",
    read=item_per_row(DATA, "eval", _item),
    pool=item_per_row(DATA, "train", _item),
    data=DATA,
)
