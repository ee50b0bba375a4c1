from dataclasses import dataclass

import pytest

from polylect.base import InputError, Ledger, digest_of
from polylect.mixtures import CollectConfig
from polylect.mixtures.collect import collect, count_documents, wanted_languages
from polylect.rows import Document, Split

GERMAN = "Der schnelle braune Fuchs springt über den faulen Hund, Nummer {}."
FRENCH = "Le renard brun et rapide saute par-dessus le chien paresseux, numéro {}."


@dataclass(frozen=True)
class Given:
    rows: tuple[Document, ...]
    name: str = "given"

    @property
    def digest(self):
        return digest_of(self.rows)

    def documents(self, languages, ledger):
        return (one for one in self.rows if one.language in languages)


def _rows(tag, pattern, num=100, source="given", parallel=True):
    return tuple(
        Document(
            id=f"{number:03d}", language=tag, source=source, text=pattern.format(number),
            parallel=f"p{number}" if parallel else "",
        )
        for number in range(num)
    )  # fmt: skip


def _collect(rows, **options):
    ledger = Ledger()
    return collect([Given(tuple(rows))], CollectConfig(**options), ledger), ledger


def test_splits_are_about_as_large_as_asked_and_disjoint():
    kept, _ = _collect(_rows("de", GERMAN, 1000), languages=("de",))
    sizes = {split: len(rows) for split, rows in kept.items()}
    assert sum(sizes.values()) == 1000
    assert 30 < sizes[Split.TEST] < 70
    assert 30 < sizes[Split.VALIDATION] < 70


def test_a_thin_language_gets_its_share_whatever_the_draw():
    rows = [*_rows("de", GERMAN, 400), *_rows("fr", FRENCH, 12)]
    for seed in range(8):
        kept, ledger = _collect(rows, languages=("de", "fr"), seed=seed)
        for split in (Split.VALIDATION, Split.TEST):
            assert sum(one.language == "fr" for one in kept[split]) >= 3
        assert len(kept[Split.TRAIN]) > 340
        assert not ledger.total("dropped:")


def test_further_text_moves_nothing_that_was_drawn():
    few, _ = _collect(_rows("de", GERMAN, 300), languages=("de",))
    many, _ = _collect(_rows("de", GERMAN, 900), languages=("de",))
    drawn = {one.id for one in few[Split.TEST]}
    assert len(drawn - {one.id for one in many[Split.TEST]}) <= len(drawn) // 3


def test_seeds_split_otherwise():
    first, _ = _collect(_rows("de", GERMAN, 200), languages=("de",))
    again, _ = _collect(_rows("de", GERMAN, 200), languages=("de",))
    other, _ = _collect(_rows("de", GERMAN, 200), languages=("de",), seed=1)
    assert first == again
    assert first[Split.TEST] != other[Split.TEST]


def test_what_is_said_stands_and_what_seems_to_be_is_counted():
    foreign = [
        Document(id=f"b.txt#{n}", language="de", source="given", text=FRENCH.format(n))
        for n in range(3)
    ]
    kept, ledger = _collect([*_rows("de", GERMAN, 100), *foreign], languages=("de",))
    assert sum(map(len, kept.values())) == 103
    assert {one.language for rows in kept.values() for one in rows} == {"de"}
    assert list(ledger.rows()) == [
        ("kept: seems to be in another language than it is said to be", "de seems fr", 3),
        ("read: documents", "de", 103),
        ("seems to be in another language: most in one file", "de seems fr: b.txt", 3),
    ]


def test_foreign_text_is_dropped_where_that_was_asked_for_and_duplicates_are():
    rows = [
        *_rows("de", GERMAN, 100),
        Document(id="x", language="de", source="given", text=FRENCH.format(1)),
        Document(id="y", language="de", source="given", text=GERMAN.format(5).replace(" ", "\n ")),
        Document(id="z", language="de", source="given", text="kurz"),
    ]
    kept, ledger = _collect(rows, languages=("de",), drop_other_language=0.9)
    ids = {one.id for rows in kept.values() for one in rows}
    assert ids == {f"{number:03d}" for number in range(100)} | {"z"}
    assert list(ledger.rows()) == [
        ("dropped: exact duplicate", "de", 1),
        ("dropped: seems to be in another language than it is said to be", "de seems fr", 1),
        ("not identified: too short", "de", 1),
        ("read: documents", "de", 103),
        ("seems to be in another language: most in one file", "de seems fr: x", 1),
    ]


def test_one_text_may_stand_in_two_languages():
    rows = [*_rows("de", "OK {}"), *_rows("fr", "OK {}")]
    kept, ledger = _collect(rows)
    assert sum(map(len, kept.values())) == 200
    assert ledger.total("dropped:") == 0


def test_code_is_not_identified():
    rows = _rows("code", "def f():\n    return 'un deux trois quatre cinq six sept huit', {}")
    kept, ledger = _collect(rows)
    assert sum(map(len, kept.values())) == 100
    assert list(ledger.rows()) == [("read: documents", "code", 100)]


def test_a_language_with_too_little_is_dropped_unless_it_was_asked_for():
    rows = [*_rows("de", GERMAN), *_rows("fr", FRENCH, 2, parallel=False)]
    kept, ledger = _collect(rows)
    assert {one.language for rows in kept.values() for one in rows} == {"de"}
    assert ("dropped: too few documents in its language", "fr", 2) in list(ledger.rows())
    with pytest.raises(InputError, match=r"too little text in fr \(French\): of 2 documents"):
        _collect(rows, languages=("de", "fr"))


def test_counts_add_up():
    kept, _ = _collect(_rows("de", GERMAN))
    counts = count_documents(kept)
    assert counts["documents"].sum() == 100
    assert counts["characters"].sum() == sum(len(GERMAN.format(n)) for n in range(100))
    assert counts.columns == ["language", "source", "split", "documents", "characters", "bytes"]
    assert (counts["bytes"] > counts["characters"]).all()


def test_aliases_are_languages():
    assert wanted_languages(("pt_BR", "deu", "zh-CN", "de")) == ("de", "pt-BR", "zh-Hans")
    assert len(wanted_languages(())) == 25


@pytest.mark.parametrize(
    ("rows", "options", "says"),
    [
        (_rows("de", GERMAN), {"languages": ("de", "ko")}, r"no text in ko \(Korean\)"),
        (_rows("de", GERMAN), {"languages": ("de", "klingoon")}, "unknown language 'klingoon'"),
        (
            _rows("de", FRENCH),
            {"languages": ("de",), "drop_other_language": 0.9},
            r"no text in de \(German\)",
        ),
        ((), {}, "no usable text"),
    ],
)
def test_bad_input_is_one_line(rows, options, says):
    with pytest.raises(InputError, match=says) as error:
        _collect(rows, **options)
    assert "\n" not in str(error.value)
    assert error.value.hint


@pytest.mark.parametrize(
    "options",
    [{"test_share": 0.0}, {"validation_share": 0.6}, {"min_confidence": 0.0},
     {"min_test_documents": 0}],
)  # fmt: skip
def test_bad_settings_are_refused(options):
    name = next(iter(options)).replace("_", "-")
    with pytest.raises(InputError, match=f"^--{name} is "):
        CollectConfig(**options)


def test_two_sources_need_two_names():
    with pytest.raises(InputError, match="two sources have the same name"):
        collect([Given(()), Given(())], CollectConfig(), Ledger())


def test_languages_that_no_source_has_are_refused_together_before_anything_is_read(monkeypatch):
    from polylect.mixtures import CatalogSource, StandardLibrary

    def documents(*_):
        raise AssertionError("text was read")

    for source in (CatalogSource, StandardLibrary):
        monkeypatch.setattr(source, "documents", documents)
    sources = [CatalogSource(), StandardLibrary()]
    config = CollectConfig(languages=("yo", "qu", "ar", "code"))
    with pytest.raises(InputError, match=r"no text in qu \(Quechua\), yo \(Yoruba\): no source"):
        collect(sources, config, Ledger())
    with pytest.raises(AssertionError):
        collect(sources, CollectConfig(languages=("pt-BR", "cy", "en", "code")), Ledger())


def test_languages_of_which_nothing_was_read_are_named_together():
    with pytest.raises(InputError, match=r"no text in sw \(Swahili\), yo \(Yoruba\): nothing was"):
        _collect(_rows("de", GERMAN), languages=("de", "yo", "sw"))
