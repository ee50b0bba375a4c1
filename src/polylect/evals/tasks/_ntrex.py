"""NTREX-128 (Federmann et al. 2022): news in parallel, sentence by sentence, in documents."""

from functools import lru_cache

from polylect.base import InputError, generator
from polylect.evals.sources import Dataset, Source

DATA = Dataset(
    name="ntrex",
    license="CC BY-SA 4.0",
    home="https://github.com/MicrosoftTranslator/NTREX",
    layouts=("newstest2019-{config}.txt", "NTREX-128/newstest2019-{config}.txt"),
    columns=("text",),
)
_IDS = Dataset(DATA.name, DATA.license, DATA.home, layouts=("DOCUMENT_IDS.tsv",), columns=("id",))

# Portuguese is that of Brazil, the country that Unicode CLDR takes it for.
LANGUAGES = {
    "ar": "ref.arb", "cs": "ref.ces", "de": "ref.deu", "el": "ref.ell", "en": "src.eng",
    "es": "ref.spa", "fa": "ref.fas", "fr": "ref.fra", "he": "ref.heb", "hi": "ref.hin",
    "id": "ref.ind", "it": "ref.ita", "ja": "ref.jpn", "ko": "ref.kor", "nl": "ref.nld",
    "pl": "ref.pol", "pt": "ref.por-BR", "ro": "ref.ron", "ru": "ref.rus", "tr": "ref.tur",
    "uk": "ref.ukr", "vi": "ref.vie", "zh-Hans": "ref.zho-CN", "zh-Hant": "ref.zho-TW",
}  # fmt: skip

UNSPACED = ("ja", "zh-Hans", "zh-Hant")
"""Languages without a space between sentences."""

Documents = tuple[tuple[str, tuple[int, ...]], ...]
"""Id and sentence numbers (from 0) of every document, in order."""


def sentences(source: Source, tag: str) -> tuple[list[str], Documents]:
    """The sentences of a language, and which of them make which document.

    Raises:
        InputError: another number of sentences than of document ids.
    """
    rows = source.rows(DATA, LANGUAGES[tag], "test")
    texts = [row.text("text").strip() for row in rows]
    ids = tuple(row.text("id").strip() for row in source.rows(_IDS, "", ""))
    if len(ids) != len(texts):
        raise InputError(
            f"ntrex: {len(texts)} sentences in {tag}, {len(ids)} document ids",
            f"get both from {DATA.home}",
        )
    return texts, _documents(ids)


@lru_cache(maxsize=1)
def _documents(ids: tuple[str, ...]) -> Documents:
    numbers: dict[str, list[int]] = {}
    for number, id in enumerate(ids):
        numbers.setdefault(id, []).append(number)
    return tuple((id, tuple(members)) for id, members in numbers.items())


def spread(documents: Documents, step: int, length: int) -> list[tuple[str, tuple[int, ...]]]:
    """Document and sentences of every run of ``length`` sentences, ``step`` apart, interleaved.

    One run of every document comes first, then a second one of each, so that the first items of a
    task cover as many documents as possible. Each document starts at a random run, or the first
    items would all be headlines.
    """
    runs = []
    for index, (name, numbers) in enumerate(documents):
        starts = range(0, len(numbers) - length + 1, step)
        first = int(generator(0, "spread", name).integers(max(len(starts), 1)))
        for turn, start in enumerate([*starts[first:], *starts[:first]]):
            runs.append((turn, index, name, numbers[start : start + length]))
    return [(name, numbers) for _, _, name, numbers in sorted(runs)]
