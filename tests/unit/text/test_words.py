"""Words in scripts with and without spaces; the oracle is ICU's own breaker on the whole text."""

import pytest
from icu4py.breakers import WordBreaker

from polylect.text import split_words, words_rule

CASES = {
    "th": ("ประเทศไทยมีประชากรมาก", "ประเทศไทย มี ประชากร มาก"),
    "lo": ("ປະເທດລາວມີພົນລະເມືອງຫຼາຍ", "ປະເທດ ລາວ ມີ ພົນລະເມືອງ ຫຼາຍ"),
    "km": ("ប្រទេសកម្ពុជាមានប្រជាជនច្រើន", "ប្រទេស កម្ពុជា មាន ប្រជាជន ច្រើន"),
    "my": ("မြန်မာနိုင်ငံတွင်လူဦးရေ", "မြန်မာနိုင်ငံ တွင် လူဦးရေ"),
    "zh-Hans": (
        "我喜欢学习自然语言处理，今天天气很好。",
        "我 喜欢 学习 自然 语言 处理 今天 天气 很好",
    ),
    "zh-Hant": ("我喜歡學習自然語言處理", "我 喜歡 學習 自然 語言 處理"),
    "ja": ("私は東京大学で勉強しています。", "私 は 東京 大学 で 勉強 し てい ます"),
    "bo": ("བོད་ཡིག་ནི་སྐད་ཡིག་ཡིན།", "བོད ཡིག ནི སྐད ཡིག ཡིན"),
    "ko": ("나는 한국어를 공부합니다", "나는 한국어를 공부합니다"),
    "ar": ("أنا أدرس اللغة العربية", "أنا أدرس اللغة العربية"),
    "hi": ("मैं हिन्दी पढ़ता हूँ", "मैं हिन्दी पढ़ता हूँ"),
    "en": ("I don't like hello_world 3.14", "I don't like hello_world 3.14"),
}


@pytest.mark.parametrize("tag", CASES)
def test_words_are_those_of_icu(tag):
    text, expected = CASES[tag]
    assert split_words(text) == expected.split()
    by_icu = [part for part in WordBreaker(text, tag) if any(map(str.isalnum, part))]
    assert split_words(text) == by_icu


def test_scripts_are_told_by_the_text_and_may_be_mixed():
    assert split_words("iPhone15で写真 を, ok?") == ["iPhone15", "で", "写真", "を", "ok?"]
    assert split_words("กขค\u200babc \U00020000") == ["กขค", "abc", "\U00020000"]
    assert split_words("") == split_words(" \n") == []
    # Only spaces end a word elsewhere, whatever stands in it.
    assert split_words("e-mail, x.y (z)") == ["e-mail,", "x.y", "(z)"]


def test_scripts_without_a_dictionary_are_cut_into_grapheme_clusters():
    assert split_words("ꦧꦱꦗꦮ abc") == ["ꦧ", "ꦱ", "ꦗ", "ꦮ", "abc"]
    assert split_words("ᨣᩤᩴᨾᩮᩬᩥᨦ")[0] != "ᨣᩤᩴᨾᩮᩬᩥᨦ"
    assert "".join(split_words("ᨣᩤᩴᨾᩮᩬᩥᨦ")) == "ᨣᩤᩴᨾᩮᩬᩥᨦ"


def test_the_rule_names_the_version():
    assert words_rule().partition("icu-")[2].count(".") >= 1
