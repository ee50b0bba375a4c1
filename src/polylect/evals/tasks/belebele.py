"""Belebele: questions on a passage, parallel in 122 languages (Bandarkar et al. 2024)."""

from polylect.evals.items import Item
from polylect.evals.sources import Dataset, Row
from polylect.evals.tasks import _flores
from polylect.evals.tasks.task import Task, item_per_row

DATA = Dataset(
    name="belebele",
    license="CC BY-SA 4.0",
    home="https://github.com/facebookresearch/belebele",
    hub="facebook/belebele",
    layouts=("{config}.jsonl", "data/{config}.jsonl"),
)
_CONFIGS = _flores.LANGUAGES | {
    "af": "afr_Latn", "am": "amh_Ethi", "bg": "bul_Cyrl", "bn": "ben_Beng", "ca": "cat_Latn",
    "da": "dan_Latn", "et": "est_Latn", "eu": "eus_Latn", "fi": "fin_Latn", "fil": "tgl_Latn",
    "gu": "guj_Gujr", "ha": "hau_Latn", "hr": "hrv_Latn", "ht": "hat_Latn", "hu": "hun_Latn",
    "hy": "hye_Armn", "ig": "ibo_Latn", "is": "isl_Latn", "ka": "kat_Geor", "kk": "kaz_Cyrl",
    "kn": "kan_Knda", "ky": "kir_Cyrl", "lt": "lit_Latn", "lv": "lvs_Latn", "mg": "plt_Latn",
    "ml": "mal_Mlym", "mr": "mar_Deva", "ms": "zsm_Latn", "my": "mya_Mymr", "nb": "nob_Latn",
    "ne": "npi_Deva", "ny": "nya_Latn", "si": "sin_Sinh", "sk": "slk_Latn", "sl": "slv_Latn",
    "sn": "sna_Latn", "so": "som_Latn", "sr": "srp_Cyrl", "sv": "swe_Latn", "sw": "swh_Latn",
    "ta": "tam_Taml", "te": "tel_Telu", "th": "tha_Thai", "ur": "urd_Arab", "yo": "yor_Latn",
    "zu": "zul_Latn",
}  # fmt: skip


def _item(row: Row, tag: str) -> Item:
    passage = "#".join([row.text("link"), *([row.text("split")] if row.has("split") else [])])
    answers = [row.text(f"mc_answer{i}") for i in range(1, 5)]
    options = "\n".join(map("{}: {}".format, "ABCD", answers))
    context = f"P: {row.text('flores_passage')}\nQ: {row.text('question').strip()}\n{options}"
    return Item(
        id=f"{passage}#{row.whole('question_number')}",
        language=tag,
        context=f"{context}\nAnswer:",
        choices=("A", "B", "C", "D"),
        answer=row.whole("correct_answer_num") - 1,
        cluster=passage,
    )


TASK = Task(
    name="belebele",
    summary="a question on a passage, four letters",
    languages=tuple(_CONFIGS),
    scorer="choice",
    # Files without the column "split" name two passages of one article alike.
    read=item_per_row(DATA, "test", _item, _CONFIGS, ids_repeat=True),
    data=DATA,
)
