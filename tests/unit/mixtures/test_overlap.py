import pytest

from polylect.mixtures import overlap
from polylect.rows import Document


def _documents(*texts, language="de"):
    return [
        Document(id=str(number), language=language, source="s", text=text)
        for number, text in enumerate(texts)
    ]


def _letters(start, num):
    return "".join(chr(0x4E00 + start + at) for at in range(num))


def test_shares_are_exact_against_a_plain_search():
    training = [_letters(0, 300), _letters(500, 90), "x" * 10]
    evaluation = [_letters(250, 100), _letters(480, 60), _letters(2000, 50), "short"]
    frame = overlap(_documents(*training), _documents(*evaluation))
    grams = [text[at : at + 40] for text in evaluation for at in range(len(text) - 39)]
    seen = sum(any(gram in text for text in training) for gram in grams)
    row = frame.to_dicts()[0]
    assert (row["grams"], row["grams_seen"]) == (len(grams), seen)
    assert seen == 12
    assert row["gram_share"] == pytest.approx(seen / len(grams))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 40])
def test_every_gram_length_agrees_with_a_plain_search(size):
    training, evaluation = "abcabdabe" * 9, "abdabeabcabx" * 6
    frame = overlap(_documents(training), _documents(evaluation), gram_characters=size)
    grams = [evaluation[at : at + size] for at in range(len(evaluation) - size + 1)]
    assert frame["grams_seen"].item() == sum(gram in training for gram in grams)


def test_grams_do_not_cross_documents():
    left, right = _letters(0, 30), _letters(100, 30)
    assert overlap(_documents(left + right), _documents(left, right))["grams"].item() == 0
    assert overlap(_documents(left, right), _documents(left + right))["grams_seen"].item() == 0


def test_lines_and_white_space():
    line = "Ein Satz, der lang genug ist."
    frame = overlap(
        _documents(f"davor\n  {line.replace(' ', '   ')}\ndanach"),
        _documents(f"{line}\nEine andere Zeile, auch lang.\nkurz"),
    )
    assert frame.select("lines", "lines_seen", "line_share").row(0) == (2, 1, 0.5)


def test_other_languages_count_and_nothing_gives_null():
    text = "This text is long enough to have grams of forty characters."
    frame = overlap(
        _documents(text, language="en"),
        _documents(text, language="de") + _documents("x", language="fr"),
    )
    assert frame["language"].to_list() == ["de", "fr"]
    assert frame["gram_share"].to_list() == [1.0, None]
    assert overlap([], _documents(text))["gram_share"].item() == 0.0
    assert overlap(_documents(text), []).is_empty()
