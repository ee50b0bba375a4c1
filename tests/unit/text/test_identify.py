import os
import sys
from pathlib import Path

import pytest

from polylect.base import LANGUAGES, find_language
from polylect.text import identify_all
from polylect.text.identify import chinese_script, identify

ALL = list(LANGUAGES.values())
# The folder of real data beside the repository, when it is there; the product does not need it.
DATA = Path(os.environ.get("POLYLECT_DATA", Path(__file__).parents[4] / "shared" / "data"))


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("Der schnelle braune Fuchs springt über den faulen Hund.", "de"),
        ("Швидкий бурий лис стрибає через лінивого пса.", "uk"),
        ("この文章は日本語で書かれています。", "ja"),
        ("这是一个用简体中文写的句子，我们来试试看。", "zh-Hans"),
        ("這是一個用繁體中文寫的句子，我們來試試看。", "zh-Hant"),
    ],
)
def test_clear_sentences(text, tag):
    language, probability = identify(text, ALL)
    assert language == LANGUAGES[tag]
    assert probability > 0.7


def test_only_wanted_languages_are_answered():
    text = "Tiga ekor kucing sedang tidur di atas kursi di ruang tamu."
    assert identify(text, [LANGUAGES["id"], LANGUAGES["en"]])[0] == LANGUAGES["id"]
    assert (
        identify("這是一個用繁體中文寫的句子。", [LANGUAGES["zh-Hans"]])[0] == LANGUAGES["zh-Hans"]
    )
    language, probability = identify("Это предложение написано по-русски.", [LANGUAGES["de"]])
    assert (language, probability) == (None, 0.0)
    assert identify("Der Hund schläft.", []) == (None, 0.0)


def test_placeholders_are_not_looked_at():
    text = "%(unknown_gender_name)s is in %(month_year)s in %(birth_place)s geboren.\n" * 3
    assert identify(text, ALL)[0] == LANGUAGES["nl"]


def test_script_ties_are_simplified():
    assert chinese_script("abc 人") == ("zh-Hans", 0.5)
    assert chinese_script("国國")[0] == "zh-Hans"
    assert chinese_script("國國国") == ("zh-Hant", pytest.approx(2 / 3))


def test_line_ends_and_empty_text_do_no_harm():
    assert identify("", ALL)[1] <= 1
    assert identify("Der Hund\n\nschläft\tim Garten.\r\n", ALL)[0] == LANGUAGES["de"]


def test_accuracy_on_real_news(capsys):
    """99.3 % of single sentences and every paragraph of five, over 24 sets."""
    files = sorted((DATA / "ntrex").glob("newstest2019-*.txt"))
    if not files:
        with capsys.disabled():
            sys.stderr.write("skipped: no data (ntrex)\n")
        pytest.skip("no data")
    right = {1: [], 5: []}
    for file in files:
        tag = find_language(file.name.split(".")[1]).tag
        lines = file.read_text(encoding="utf-8").splitlines()[:400]
        for unit, shares in right.items():
            texts = [" ".join(lines[at : at + unit]) for at in range(0, len(lines), unit)]
            answers = [language for language, _ in identify_all(texts, ALL)]
            shares.append(
                sum(language is not None and language.tag == tag for language in answers)
                / len(texts)
            )
    assert sum(right[1]) / len(files) > 0.985
    assert min(right[1]) > 0.93
    assert min(right[5]) > 0.99
