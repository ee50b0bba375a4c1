"""Belebele: questions on a passage, parallel in 122 languages (Bandarkar et al. 2024)."""

from polylect.evals.items import Item, unique_ids
from polylect.evals.sources import Dataset, Row, Source
from polylect.evals.tasks.task import Task

DATA = Dataset(
    name="belebele",
    license="CC BY-SA 4.0",
    home="https://github.com/facebookresearch/belebele",
    hub="facebook/belebele",
    layouts=("{config}.jsonl", "data/{config}.jsonl"),
)
_CONFIGS = {
    "ar": "arb_Arab", "cs": "ces_Latn", "de": "deu_Latn", "el": "ell_Grek", "en": "eng_Latn",
    "es": "spa_Latn", "fa": "pes_Arab", "fr": "fra_Latn", "he": "heb_Hebr", "hi": "hin_Deva",
    "id": "ind_Latn", "it": "ita_Latn", "ja": "jpn_Jpan", "ko": "kor_Hang", "nl": "nld_Latn",
    "pl": "pol_Latn", "pt": "por_Latn", "ro": "ron_Latn", "ru": "rus_Cyrl", "tr": "tur_Latn",
    "uk": "ukr_Cyrl", "vi": "vie_Latn", "zh-Hans": "zho_Hans", "zh-Hant": "zho_Hant",
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
    options = "\n".join(f"{letter}: {one}" for letter, one in zip("ABCD", answers, strict=True))
    context = f"P: {row.text('flores_passage')}\nQ: {row.text('question').strip()}\n{options}"
    return Item(
        id=f"{passage}#{row.whole('question_number')}",
        language=tag,
        context=f"{context}\nAnswer:",
        choices=("A", "B", "C", "D"),
        answer=row.whole("correct_answer_num") - 1,
        cluster=passage,
    )


def _read(source: Source, tag: str) -> list[Item]:
    # Where the split is not told, two passages of one article share their names.
    return unique_ids(_item(row, tag) for row in source.rows(DATA, _CONFIGS[tag], "test"))


TASK = Task(
    name="belebele",
    version=1,
    summary="a question on a passage, four letters",
    languages=tuple(_CONFIGS),
    scorer="choice",
    read=_read,
    license=DATA.license,
    home=DATA.home,
    hub=DATA.hub,
)
