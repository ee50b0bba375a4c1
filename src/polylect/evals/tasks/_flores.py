"""FLORES-200 (NLLB Team 2022) and FLORES+: parallel sentences and the page of each."""

from polylect.base import InputError
from polylect.evals.sources import Dataset, Source

DATA = Dataset(
    name="flores",
    license="CC BY-SA 4.0",
    home="https://huggingface.co/datasets/openlanguagedata/flores_plus",
    hub="openlanguagedata/flores_plus",
    layouts=(
        "{split}/{config}.{split}",
        "flores200_dataset/{split}/{config}.{split}",
        "{split}/{config}.parquet",
    ),
    columns=("text",),
)
_PAGES = Dataset(
    DATA.name, DATA.license, DATA.home,
    layouts=("metadata_{split}.tsv", "flores200_dataset/metadata_{split}.tsv"),
)  # fmt: skip

LANGUAGES = {
    "ar": "arb_Arab", "cs": "ces_Latn", "de": "deu_Latn", "el": "ell_Grek", "en": "eng_Latn",
    "es": "spa_Latn", "fa": "pes_Arab", "fr": "fra_Latn", "he": "heb_Hebr", "hi": "hin_Deva",
    "id": "ind_Latn", "it": "ita_Latn", "ja": "jpn_Jpan", "ko": "kor_Hang", "nl": "nld_Latn",
    "pl": "pol_Latn", "pt": "por_Latn", "ro": "ron_Latn", "ru": "rus_Cyrl", "tr": "tur_Latn",
    "uk": "ukr_Cyrl", "vi": "vie_Latn", "zh-Hans": "zho_Hans", "zh-Hant": "zho_Hant",
}  # fmt: skip
_PLUS = {"zh-Hans": "cmn_Hans", "zh-Hant": "cmn_Hant"}
"""Configurations of FLORES+ that differ from those of FLORES-200."""


def sentences(source: Source, tag: str) -> tuple[list[str], list[str]]:
    """The sentences of a language (split devtest), and the page of each; empty where unknown.

    Raises:
        InputError: the data are not at hand, or the pages are another number than the sentences.
    """
    config = _PLUS.get(tag, "")
    if not config or not source.has(DATA, config, "devtest"):
        config = LANGUAGES[tag]
    rows = source.rows(DATA, config, "devtest")
    texts = [row.text("text").strip() for row in rows]
    if rows[0].has("url"):
        return texts, [row.text("url") for row in rows]
    if not source.has(_PAGES, "", "devtest"):
        return texts, [""] * len(texts)
    pages = [row.text("URL", "url") for row in source.rows(_PAGES, "", "devtest")]
    if len(pages) != len(texts):
        raise InputError(
            f"flores: {len(texts)} sentences in {tag}, {len(pages)} lines of metadata",
            f"get both from {DATA.home}",
        )
    return texts, pages
