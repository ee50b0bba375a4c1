"""XL-Sum (Hasan et al. 2021): a summary of a news article, zero-shot; RougeLsum by language.

The prompt is ours: English, naming the language of the summary, the same for all languages.
lm-evaluation-harness has XL-Sum in few languages, each with a prompt of its own.
"""

from polylect.base import language as language_of
from polylect.evals.items import Item
from polylect.evals.sources import Dataset, Row
from polylect.evals.summaries import corpus_scores, summary_metrics
from polylect.evals.tasks.task import Generation, Task, item_per_row

DATA = Dataset(
    name="xlsum",
    license="CC BY-NC-SA 4.0",
    home="https://github.com/csebuetnlp/xl-sum",
    hub="csebuetnlp/xlsum",
    layouts=("{config}_{split}.jsonl", "data/{config}_{split}.jsonl"),
    splits={"validation": "val"},
)
_CONFIGS = {
    "am": "amharic", "ar": "arabic", "bn": "bengali", "en": "english", "es": "spanish",
    "fa": "persian", "fr": "french", "gu": "gujarati", "ha": "hausa", "hi": "hindi",
    "id": "indonesian", "ig": "igbo", "ja": "japanese", "ko": "korean", "ky": "kyrgyz",
    "mr": "marathi", "my": "burmese", "ne": "nepali", "pt": "portuguese", "ru": "russian",
    "si": "sinhala", "so": "somali", "sw": "swahili", "ta": "tamil", "te": "telugu", "th": "thai",
    "tr": "turkish", "uk": "ukrainian", "ur": "urdu", "vi": "vietnamese", "yo": "yoruba",
    "zh-Hans": "chinese_simplified", "zh-Hant": "chinese_traditional",
}  # fmt: skip


def _item(row: Row, tag: str) -> Item:
    return Item(
        id=row.text("id"),
        language=tag,
        context=f"Article: {row.text('text').strip()}\nSummary in {language_of(tag).name}:",
        choices=(row.text("summary").strip(),),
    )


TASK = Task(
    name="xlsum",
    version=2,
    summary="a summary of a news article: ROUGE, words cut as the script cuts them",
    languages=tuple(_CONFIGS),
    scorer="generation",
    read=item_per_row(DATA, "test", _item, _CONFIGS),
    data=DATA,
    generation=Generation(
        max_new_tokens=128,
        stop=lambda _: ("\n",),
        score=summary_metrics,
        corpus=corpus_scores,
        needs=("rouge_score", "summaries"),
    ),
)
