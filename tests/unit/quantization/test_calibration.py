"""Quotas by language and source."""

import json
from dataclasses import replace

import numpy as np
import pytest

from polylect.base import InputError, Ledger
from polylect.quantization import CalibrationConfig, read_calibration
from polylect.quantization.calibration import (
    EMPTY_TEXT,
    FEWER,
    NO_SAMPLE,
    SHORT,
    apportion,
    shares_of,
)


def read(text, tokenizer, ledger=None, **changed):
    config = replace(
        CalibrationConfig(num_samples=8, sample_tokens=32, eval_samples_per_language=1), **changed
    )
    return read_calibration(text, tokenizer, config, 64, Ledger() if ledger is None else ledger)


def test_rows_follow_the_quotas(text, tokenizer):
    found = read(text, tokenizer, quotas={"en": 3, "ja/chat": 1})
    assert found.counts == {"en/chat": 1, "en/news": 5, "ja/chat": 2}
    assert found.rows.ids.shape == (8, 32)
    assert found.rows.languages == ("en",) * 6 + ("ja",) * 2
    assert (found.rows.ids[:, 0] == tokenizer.bos_id).all()
    assert "house" in tokenizer.decode(found.rows.ids[0])


def test_named_quotas(text, tokenizer):
    assert set(read(text, tokenizer, quotas={"english": 1.0}).rows.languages) == {"en"}
    uniform = read(text, tokenizer, quotas={"uniform": 1.0}).rows.languages
    assert {tag: uniform.count(tag) for tag in uniform} == dict.fromkeys(
        ("de", "el", "en", "ja"), 2
    )
    sizes = {("en", ""): 300, ("de", ""): 100}
    assert shares_of({"proportional": 1.0}, sizes, "f") == {("de", ""): 0.25, ("en", ""): 0.75}


def test_every_row_is_given_once_and_none_is_lost():
    shares = {("a", ""): 0.5, ("b", ""): 0.3, ("c", ""): 0.2}
    for num in range(1, 40):
        assert sum(apportion(shares, num).values()) == num
    assert apportion(shares, 10) == {("a", ""): 5, ("b", ""): 3, ("c", ""): 2}


def test_measured_text_never_calibrates(text, tokenizer):
    found = read(text, tokenizer, quotas={"uniform": 1.0}, num_samples=40)
    assert found.measured.languages == ("de", "el", "en", "ja")
    rows = {one.tobytes() for one in found.rows.ids}
    assert len(rows) == 40
    assert not rows & {one.tobytes() for one in found.measured.ids}


def test_the_seed_and_the_text_decide_and_nothing_else(text, tokenizer, tmp_path):
    one, other = read(text, tokenizer), read(text, tokenizer)
    assert one.digest == other.digest
    assert np.array_equal(one.rows.ids, other.rows.ids)
    assert read(text, tokenizer, seed=1).digest != one.digest
    copy = tmp_path / "elsewhere.jsonl"
    copy.write_bytes(text.read_bytes())
    assert read(copy, tokenizer).digest == one.digest


def test_a_language_with_too_little_text_is_not_measured_and_counted(text, tokenizer, tmp_path):
    short = tmp_path / "short.jsonl"
    row = json.dumps({"text": "oui", "language": "fr"})
    short.write_text(text.read_text("utf-8") + row + "\n", "utf-8")
    ledger = Ledger()
    assert "fr" not in read(short, tokenizer, ledger).measured.languages
    assert list(ledger.rows()) == [(SHORT, "fr", 1)]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"quotas": {"fr": 1.0, "en": 1.0}},
            "no text in fr, of 2 languages in the quotas .there is de el en ja.",
        ),
        ({"quotas": {"en/books": 1.0}}, "en has no source 'books' .it has chat, news."),
        ({"quotas": {"en": 0.0}}, "quota of en is not above 0"),
        ({"quotas": {"xx": 1.0}}, "xx"),
        (
            {"num_samples": 4000},
            r"en/chat has text for \d+ of \d+ rows of 32 tokens, beside .* — --samples \d+, or add",
        ),
        ({"sample_tokens": 65}, "rows of 65 tokens; the model takes 64"),
        ({"num_samples": -1}, "--num-samples is -1"),
    ],
)
def test_what_cannot_be_is_said(text, tokenizer, changed, words):
    with pytest.raises(InputError, match=words):
        read(text, tokenizer, **changed)


def test_one_language_where_ten_are_asked_for(text, tokenizer, tmp_path):
    english = tmp_path / "english.jsonl"
    rows = [line for line in text.read_text("utf-8").splitlines() if '"en"' in line]
    english.write_text("\n".join(rows), "utf-8")
    ten = dict.fromkeys(("ar", "de", "en", "es", "fr", "it", "ja", "ko", "pt", "ru"), 1.0)
    with pytest.raises(InputError, match="no text in ar de es fr it ja ko pt ru, of 10 languages"):
        read(english, tokenizer, quotas=ten)


def test_a_file_with_less_text_than_usual_is_used_and_that_is_said(text, tokenizer):
    ledger = Ledger()
    config = CalibrationConfig(quotas={"uniform": 1.0})
    found = read_calibration(text, tokenizer, config, 512, ledger)
    num, length = found.rows.ids.shape
    assert (num, length) < (64, 512)
    assert [*ledger.rows()] == [(FEWER, f"{num} of {length} tokens, not 64 of 512", 1)]
    assert len(set(found.rows.languages)) == 4
    assert {tag: found.measured.languages.count(tag) for tag in ("de", "el", "en", "ja")} == (
        dict.fromkeys(("de", "el", "en", "ja"), 2)
    )
    # Asked for as it is, nothing is said, and the rows are the same.
    same = CalibrationConfig(quotas={"uniform": 1.0}, num_samples=num, sample_tokens=length)
    ledger = Ledger()
    assert read_calibration(text, tokenizer, same, 512, ledger).digest == found.digest
    assert not [*ledger.rows()]


def test_the_number_that_is_named_works(text, tokenizer):
    config = CalibrationConfig(quotas={"en": 1.0, "ja": 3.0}, num_samples=500, sample_tokens=40)
    with pytest.raises(InputError) as caught:
        read_calibration(text, tokenizer, config, 512, Ledger())
    num = int(caught.value.hint.split()[1].rstrip(","))
    for samples, works in ((num, True), (num + 1, False)):
        config = replace(config, num_samples=samples)
        if works:
            assert len(read_calibration(text, tokenizer, config, 512, Ledger()).rows.ids) == num
        else:
            with pytest.raises(InputError, match="rows of 40 tokens"):
                read_calibration(text, tokenizer, config, 512, Ledger())
    short = CalibrationConfig(
        quotas={"en": 1.0}, num_samples=1, sample_tokens=100_000, eval_samples_per_language=0
    )
    with pytest.raises(InputError) as caught:
        read_calibration(text, tokenizer, short, 1 << 20, Ledger())
    length = int(caught.value.hint.split()[1].rstrip(","))
    config = replace(short, sample_tokens=length)
    assert read_calibration(text, tokenizer, config, 1 << 20, Ledger()).rows.ids.shape == (
        1,
        length,
    )


def test_a_handful_of_words_calibrates_or_is_refused_in_one_line(tokenizer, tmp_path):
    path = tmp_path / "few.jsonl"
    for words, num in (("the house is small and white " * 3, 2), ("the", 1)):
        path.write_text((json.dumps({"text": words, "language": "en"}) + "\n") * num)
        config = CalibrationConfig(eval_samples_per_language=0)
        if num == 2:
            assert len(read_calibration(path, tokenizer, config, 512, Ledger()).rows.ids) >= 1
            continue
        with pytest.raises(InputError, match="en has text for 0 of 64 rows of 16 tokens") as caught:
            read_calibration(path, tokenizer, config, 512, Ledger())
        assert "\n" not in str(caught.value)


def test_a_language_whose_share_rounds_to_no_sample_is_said(text, tokenizer):
    ledger = Ledger()
    found = read(text, tokenizer, ledger, quotas={"en/news": 1.0, "ja/chat": 1e-3})
    assert [*found.counts] == ["en/news"]
    assert [*ledger.rows()] == [(NO_SAMPLE, "ja/chat", 1)]


def test_empty_texts_and_sources_that_look_alike_are_counted(text, tokenizer, tmp_path):
    more = [{"text": "  ", "language": "en"}, {"text": "", "language": "ja"},
            {"text": "Wiki " * 40, "language": "en", "source": "News"}]  # fmt: skip
    path, ledger = tmp_path / "more.jsonl", Ledger()
    lines = "".join(json.dumps(row) + "\n" for row in more)
    path.write_text(text.read_text("utf-8") + lines, "utf-8")
    read(path, tokenizer, ledger)
    assert [(where, num) for name, where, num in ledger.rows() if name == EMPTY_TEXT] == [
        ("en", 1), ("ja", 1)
    ]  # fmt: skip
    assert "look alike, kept apart: sources 'News', 'news' (other case)" in ledger.by_event()
