import unicodedata

import pytest

from polylect.base import (
    CODE,
    LANGUAGES,
    InputError,
    canonical_tag,
    described,
    fallback_tags,
    find_language,
    language,
    nearest_tag,
    reading_notes,
    use_languages_file,
)

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
        ("zh_TW", "zh-Hant"), ("zho-Hant", "zh-Hant"),
        ("zh-hant", "zh-Hant"), ("zh_HK", "zh-Hant"), ("zh", "zh-Hans"), ("zh_CN", "zh-Hans"),
        ("cmn_Hans", "zh-Hans"), ("iw", "he"), ("in", "id"), ("deu", "de"),
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


@pytest.mark.parametrize("text", ["not a tag!", "a" * 300, "d", "12", "x-", "de--DE", "unknown"])
def test_what_is_no_tag_is_refused_in_one_line_with_place_and_value(text):
    with pytest.raises(InputError, match="unknown language") as caught:
        language(text, "mix.json: stage 1")
    line = str(caught.value)
    assert line.startswith(f"mix.json: stage 1: unknown language '{text[:20]}")
    assert "\n" not in line
    assert len(line) < 200


@pytest.mark.parametrize("text", ["", " ", "\t"])
def test_an_empty_tag_is_called_empty(text):
    with pytest.raises(InputError, match=r"^row 3: the language is empty — give a tag"):
        language(text, "row 3")


def test_the_nearest_name_is_suggested():
    with pytest.raises(InputError, match=r"did you mean German\?"):
        language("germann")


def test_direction_follows_the_script():
    assert {tag for tag, entry in LANGUAGES.items() if entry.direction == "rtl"} == {
        "ar",
        "fa",
        "he",
    }
    assert language("ur").direction == "rtl"
    assert {entry.direction for entry in LANGUAGES.values()} == {"rtl", "ltr"}


FURTHER = (  # noqa: SIM905
    "af am az be bg bn br bs ca cy da eo et eu fi fil fo fy ga gl gu ha hr ht hu hy ig is jv ka kk"
    " km kn ku ky lb lo lt lv mg mi mk ml mn mr ms mt my nb ne nn ny om or pa ps qu rw sd si sk sl"
    " sm sn so sq sr st su sv sw ta te tg th tk tt ug ur uz wo xh yi yo zu"
).split()


@pytest.mark.parametrize("entry", [*LANGUAGES.values(), *map(described, FURTHER)], ids=str)
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


@pytest.mark.parametrize("tag", FURTHER)
def test_a_language_outside_the_23_has_names_script_and_family_and_is_no_default(tag):
    entry = language(tag.upper())
    assert entry.tag == tag == canonical_tag(tag)
    assert entry.name != tag
    assert entry.script != "Zzzz"
    assert entry.family != "unknown"
    assert tag not in LANGUAGES
    assert find_language(tag) is None  # "my" in a path need be no Burmese


RULES = {
    # code, name, locale: canonical tag
    "cym": "cy", "Welsh": "cy", "CYMRAEG": "cy", "glg": "gl", "npi": "ne", "yor": "yo",
    "sr_latn": "sr-Latn", "sr_RS@latin": "sr-Latn-RS", "hbs": "sr-Latn", "sh": "sr-Latn",
    "srp": "sr", "sr-Cyrl": "sr-Cyrl", "PT_br": "pt-BR", "pt_BR.UTF-8": "pt-BR", "por": "pt",
    "X-Mine": "x-mine", "qaa-x-foo": "qaa-x-foo", "tok": "tok", "no": "nb", "nor": "nb",
    "nob": "nb", "nno": "nn", "arz": "arz", "arb": "ar", "cmn": "zh-Hans", "zh": "zh-Hans",
    "zh_HK": "zh-Hant", "zh-Hant-HK": "zh-Hant", "yue": "yue", "tl": "fil", "tgl": "fil",
    "swh": "sw", "zsm": "ms", "ydd": "yi", "als": "sq", "khk": "mn", "plt": "mg", "pbt": "ps",
    "gaz": "om", "kmr": "ku", "lvs": "lv", "azj": "az", "uzn": "uz", "ory": "or", "mo": "ro",
    "en-US": "en-US", "fa_IR": "fa-IR", "de-Latn": "de", "i-klingon": "tlh", "xx": "xx",
    "gsw": "gsw", "nds": "nds", "gd": "gd",
}  # fmt: skip


@pytest.mark.parametrize(("text", "tag"), RULES.items())
def test_a_tag_is_read_by_the_stated_rules(text, tag):
    assert language(text).tag == tag
    assert language(tag).tag == tag
    assert canonical_tag(tag) == tag


def test_a_bare_zh_in_data_stays_and_asked_for_is_the_likeliest_script():
    assert canonical_tag("zh") == "zh"
    assert described("zh").script == "Hani"
    assert language("zh") is LANGUAGES["zh-Hans"]


def test_a_tag_falls_back_to_a_more_general_one_of_the_same_script():
    assert fallback_tags("zh") == ("zh", "zh-Hans")
    assert fallback_tags("x-mine") == ("x-mine",)
    assert fallback_tags("ca-ES-valencia") == ("ca-ES-valencia", "ca-ES", "ca")
    assert fallback_tags("de-x-old") == ("de-x-old", "de")
    assert nearest_tag("pt-BR", ["de", "pt"]) == "pt"
    assert nearest_tag("sr-Latn", ["sr", "sr-Cyrl"]) is None
    assert nearest_tag("pa-PK", ["pa"]) is None  # Arabic script in Pakistan


def test_what_was_made_of_a_text_is_said():
    assert reading_notes(["de", "DE", "pt_BR", "cy", "x-mine", "code"]) == []
    assert reading_notes(["zh", "deu", "Welsh", "xx"]) == [
        "zh is read as zh-Hans: of a script unsaid the likeliest",
        "deu is read as de",
        "Welsh is read as cy",
        "xx is in no registry of languages: taken as it is",
    ]


def test_the_direction_agrees_with_every_locale_of_cldr():
    from babel import Locale
    from babel.localedata import locale_identifiers

    for name in locale_identifiers():
        locale = Locale.parse(name)
        if locale.text_direction == "ttb":
            continue  # Mongolian script; a page says ltr and leaves the rest to its style
        entry = language("-".join(filter(None, (locale.language, locale.script))))
        assert entry.direction == locale.text_direction, name


@pytest.fixture
def languages_file(tmp_path, monkeypatch):
    monkeypatch.setenv("POLYLECT_LANGUAGES", "")

    def use(text):
        path = tmp_path / "languages.json"
        path.write_text(text, encoding="utf-8")
        use_languages_file(path)

    return use


def test_a_file_describes_and_corrects_languages(languages_file):
    languages_file(
        '{"x-mine": {"name": "Mine", "endonym": "ߒߞߏ", "script": "Nkoo", "family": "Mande",'
        ' "resource_class": 0}, "gsw": {"resource_class": 1}, "de": {"endonym": "Hochdeutsch"}}'
    )
    mine = language("Mine")
    assert (mine.tag, mine.direction, mine.family, mine.class_name) == (
        "x-mine", "rtl", "Mande", "0"
    )  # fmt: skip
    assert (language("gsw").name, language("gsw").resource_class) == ("Swiss German", 1)
    assert (language("deu").endonym, language("de").name) == ("Hochdeutsch", "German")
    use_languages_file(None)
    assert language("x-mine").family == "unknown"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[]", "not an object of tags"),
        ('{"not a tag!": {}}', "'not a tag!' is no tag"),
        ('{"cy": {"nam": "Welsh"}}', r"cy: unknown key 'nam' \(did you mean name\?\)"),
        ('{"cy": {"script": "Latin"}}', "script is 'Latin'"),
        ('{"cy": {"direction": "up"}}', "'direction' is 'up'"),
        ('{"cy": {"resource_class": 9}}', "resource_class"),
        ('{"cy": {"name": " "}}', "name is empty"),
        ('{"cy": {}, "cym": {}}', "is there twice"),
        ('{"cy": 1}', "give an object"),
        ("{", "not JSON"),
    ],
)
def test_a_wrong_file_is_one_line(languages_file, text, problem):
    with pytest.raises(InputError, match=problem) as caught:
        languages_file(text)
    assert "\n" not in str(caught.value)
    assert "languages.json" in str(caught.value)


def test_every_code_that_a_list_of_the_source_names_is_a_language():
    from polylect.comparison.lm_eval_languages import _OTHERS
    from polylect.evals.numbers import _COMMA

    for tag in (*_OTHERS.split(), *_COMMA):
        assert language(tag).name != tag, tag
