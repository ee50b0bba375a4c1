import unicodedata

import pytest

from polylect.base import CODE, LANGUAGES, OTHER_LANGUAGES, InputError, find_language, language

THE_23 = {
    "ar", "zh", "cs", "nl", "en", "fr", "de", "el", "he", "hi", "id", "it", "ja", "ko", "fa", "pl",
    "pt", "ro", "ru", "es", "tr", "uk", "vi",
}  # fmt: skip


def test_the_23_languages_have_24_entries():
    assert len(LANGUAGES) == 24
    assert {tag.split("-")[0] for tag in LANGUAGES} == THE_23
    assert [tag for tag in LANGUAGES if tag.startswith("zh")] == ["zh-Hans", "zh-Hant"]
    assert all(entry.tag == tag for tag, entry in LANGUAGES.items())
    assert CODE.tag not in LANGUAGES


@pytest.mark.parametrize(
    ("alias", "tag"),
    [
        ("pt_BR", "pt"), ("PT-br", "pt"), ("zh_TW", "zh-Hant"), ("zho-Hant", "zh-Hant"),
        ("zh-hant", "zh-Hant"), ("zh_HK", "zh-Hant"), ("zh", "zh-Hans"), ("zh_CN", "zh-Hans"),
        ("cmn_Hans", "zh-Hans"), ("iw", "he"), ("in", "id"), ("fa_IR", "fa"), ("deu", "de"),
        (" de ", "de"), ("arb", "ar"), ("code", "code"),
    ],
)  # fmt: skip
def test_an_alias_stands_for_its_language(alias, tag):
    assert find_language(alias).tag == language(alias).tag == tag


@pytest.mark.parametrize("text", ["", "xx", "german", "d", "zh-Latn"])
def test_text_that_is_no_tag_is_not_guessed(text):
    assert find_language(text) is None


@pytest.mark.parametrize("tag", LANGUAGES)
def test_every_tag_finds_itself_in_any_case(tag):
    assert find_language(tag) is LANGUAGES[tag]
    assert find_language(tag.upper().replace("-", "_")) is LANGUAGES[tag]


def test_an_unknown_language_is_refused_with_place_value_and_the_nearest():
    with pytest.raises(InputError) as caught:
        language("zh-Hantt", "mix.json: stage 1")
    assert "mix.json: stage 1: unknown language 'zh-Hantt'" in str(caught.value)
    assert "did you mean zh-Hant?" in str(caught.value)
    with pytest.raises(InputError, match="known are ar cs de"):
        language("qqq")


def test_direction_follows_the_script():
    assert {tag for tag, entry in LANGUAGES.items() if entry.direction == "rtl"} == {
        "ar",
        "fa",
        "he",
    }
    assert language("ur").direction == "rtl"
    assert {entry.direction for entry in LANGUAGES.values()} == {"rtl", "ltr"}


@pytest.mark.parametrize("entry", [*LANGUAGES.values(), *OTHER_LANGUAGES.values()], ids=str)
def test_the_endonym_is_written_in_the_script(entry):
    # The independent source is Unicode's own character names.
    names = {
        "Arab": "ARABIC", "Latn": "LATIN", "Grek": "GREEK", "Hebr": "HEBREW", "Deva": "DEVANAGARI",
        "Armn": "ARMENIAN", "Beng": "BENGALI", "Ethi": "ETHIOPIC", "Geor": "GEORGIAN",
        "Gujr": "GUJARATI", "Knda": "KANNADA", "Mlym": "MALAYALAM", "Mymr": "MYANMAR",
        "Sinh": "SINHALA", "Taml": "TAMIL", "Telu": "TELUGU", "Thai": "THAI",
        "Jpan": "CJK", "Kore": "HANGUL", "Cyrl": "CYRILLIC", "Hans": "CJK", "Hant": "CJK",
        "Hani": "CJK", "Khmr": "KHMER", "Laoo": "LAO", "Orya": "ORIYA", "Guru": "GURMUKHI",
    }  # fmt: skip
    letters = [c for c in entry.endonym if unicodedata.category(c).startswith("L")]
    assert letters
    assert all(unicodedata.name(c).startswith(names[entry.script]) for c in letters)


def test_script_letters_tell_the_two_chinese_apart():
    assert (LANGUAGES["zh-Hans"].script, LANGUAGES["zh-Hant"].script) == ("Hans", "Hant")
    assert all(0 <= entry.resource_class <= 5 for entry in LANGUAGES.values())


def test_further_languages_are_not_among_the_23():
    assert not set(LANGUAGES) & set(OTHER_LANGUAGES)
    assert {"et", "ht", "qu", "sw", "ta", "th", "bn", "te", "eu", "my"} <= set(OTHER_LANGUAGES)
    for tag, entry in OTHER_LANGUAGES.items():
        assert entry.tag == tag
        assert entry.resource_class == -1  # none was looked up
        if tag != "zh":
            assert language(tag.upper()) is entry
            assert find_language(tag) is None  # "my" in a path is no Burmese
    assert language("zh") is LANGUAGES["zh-Hans"]


@pytest.mark.parametrize(
    ("alias", "tag"), [("tha", "th"), ("swh", "sw"), ("swa", "sw"), ("tl", "fil"), ("ZSM", "ms")]
)
def test_an_alias_stands_for_its_further_language(alias, tag):
    assert language(alias).tag == tag


def test_every_further_alias_leads_to_a_further_language():
    from polylect.base.languages import _OTHER_ALIASES

    assert set(_OTHER_ALIASES.values()) <= set(OTHER_LANGUAGES)
    assert not set(_OTHER_ALIASES) & set(OTHER_LANGUAGES)


def test_every_tag_that_a_list_of_the_source_names_is_a_language():
    from polylect.comparison.lm_eval_languages import _OTHERS
    from polylect.evals.numbers import _COMMA

    for tag in (*_OTHERS.split(), *_COMMA):
        assert language(tag).tag in {*LANGUAGES, *OTHER_LANGUAGES}, tag
    assert (language("mk").name, language("mkd").tag, language("no").tag) == (
        "Macedonian",
        "mk",
        "nb",
    )
