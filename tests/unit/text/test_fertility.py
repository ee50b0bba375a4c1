import pytest

from polylect.rows import Document
from polylect.text import fertility, train_bpe


def _document(language, text, parallel="", number="1"):
    return Document(id=number, language=language, source="s", text=text, parallel=parallel)


@pytest.fixture(scope="module")
def tokenizer():
    return train_bpe({"en": ["the dog sleeps"]}, vocab_size=259)


def test_sizes_and_rates(tokenizer):
    frame = fertility(tokenizer, [_document("en", "a bc"), _document("ru", "да")])
    rows = {row["language"]: row for row in frame.to_dicts()}
    assert list(rows) == ["en", "ru"]
    assert (rows["en"]["tokens"], rows["en"]["bytes"], rows["en"]["characters"]) == (4, 4, 4)
    assert rows["en"]["tokens_per_word"] == 2.0
    assert (rows["ru"]["tokens_per_character"], rows["ru"]["bytes_per_token"]) == (2.0, 1.0)
    assert rows["ru"]["ratio_to_english"] is None
    assert rows["ru"]["parallel_documents"] == 0


def test_words_of_languages_without_spaces_are_counted(tokenizer):
    documents = [_document("ja", "犬が寝る"), _document("th", "มีมาก"), _document("x-a", "ab cd")]
    # 犬 が 寝る and มี มาก, three bytes a character; white space has no word.
    frame = fertility(tokenizer, documents)
    assert frame["tokens_per_word"].to_list() == [12 / 3, 15 / 2, 5 / 2]


def test_ratio_compares_what_is_translated(tokenizer):
    documents = [
        _document("en", "abcd\nabcd\nabcd\nabcd", "x"),
        _document("de", "abcdefgh\nabcdefgh\nabcdefgh\nabcdefgh", "x"),
        _document("fr", "abcdefgh\nabcdefgh", "x"),
        _document("it", "abcdefgh", "x"),
        _document("es", "abc", "another"),
    ]
    rows = {row["language"]: row for row in fertility(tokenizer, documents).to_dicts()}
    assert rows["en"]["ratio_to_english"] == 1.0
    assert rows["de"]["ratio_to_english"] == pytest.approx(35 / 19)
    assert rows["fr"]["ratio_to_english"] == pytest.approx(17 / 9.5)
    assert rows["it"]["parallel_documents"] == 0, "less than half of it is there"
    assert rows["es"]["ratio_to_english"] is None


def test_of_two_versions_the_first_counts(tokenizer):
    documents = [
        _document("en", "abcd", "x"),
        _document("pt", "abcdefgh", "x", "a/pt_PT"),
        _document("pt", "abcd", "x", "a/pt_BR"),
    ]
    rows = {row["language"]: row for row in fertility(tokenizer, documents).to_dicts()}
    assert (rows["pt"]["parallel_documents"], rows["pt"]["ratio_to_english"]) == (1, 1.0)


def test_no_documents_give_an_empty_frame(tokenizer):
    assert fertility(tokenizer, []).is_empty()
