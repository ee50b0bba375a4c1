import dataclasses

import pytest

from polylect.base import InputError
from polylect.rows import (
    ANSWER_ORIGINS,
    Generated,
    Message,
    PooledAnswer,
    arrow_schema,
    read_rows,
    write_rows,
)

TEXTS = {
    "th": "สวัสดีครับ",
    "ja": "こんにちは。",
    "ar": "مرحبا\u200f بالعالم",
    "yo": "Ẹ káàárọ̀",
    "zh-Hant": "漢字 👩‍👩‍👧",
    "en": "",
}


def row(language, **more):
    values = {
        "id": "1",
        "teacher": "command-r+ (08/24)",
        "answer": TEXTS[language],
        "prompt": "p",
    }
    return PooledAnswer(language=language, **values | more)


ROWS = [
    *(row(tag) for tag in TEXTS),
    row(
        "yo", sample=3, num_tokens=7, stopped="length", log_likelihood=-1.5, system="s",
        category="c", origin="translated", model_digest="d" * 64,
        sampling='{"temperature": 0.7, "seed": 1}', license="CC-BY-NC-4.0", terms="no rivals",
        answer_origin="translated", translator="nllb", source_language="EN", source_text="Hi",
        source_sample=0, identified="ig",
    ),
    row("ar", id="t", turns=(Message("user", "a"), Message("assistant", "b"), Message("user", "p")),
        stopped="refused", why="400: no"),
]  # fmt: skip


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_rows_come_back_with_all_that_they_say(tmp_path, suffix):
    path = tmp_path / f"pool{suffix}"
    assert write_rows(path, PooledAnswer, ROWS) == len(ROWS)
    assert list(read_rows(path, PooledAnswer)) == ROWS
    assert set(arrow_schema(PooledAnswer).names) == {
        field.name for field in dataclasses.fields(PooledAnswer)
    }


@pytest.mark.parametrize("pooled", ROWS, ids=lambda pooled: f"{pooled.language}-{pooled.id}")
def test_a_generated_answer_is_pooled_and_given_back(pooled):
    back = PooledAnswer.of(pooled.generated)
    kept = {field.name for field in dataclasses.fields(Generated)} - {"model"}
    assert all(getattr(back, name) == getattr(pooled, name) for name in kept)
    assert back.teacher == pooled.teacher
    assert pooled.conversation.messages == (*pooled.messages, Message("assistant", pooled.answer))
    assert pooled.conversation.source == pooled.teacher


def test_the_identified_language_never_becomes_the_one_asked():
    assert (ROWS[6].language, ROWS[6].identified) == ("yo", "ig")
    assert ROWS[6].source_language == "en"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"teacher": " "}, "'teacher' is empty"),
        ({"id": ""}, "'id' is empty"),
        ({"answer_origin": "traslated"}, "'answer_origin' is 'traslated'"),
        ({"answer_origin": "translated"}, "without 'source_language'"),
        ({"sampling": "greedy"}, "'sampling' is 'greedy'"),
        ({"stopped": "soon"}, "'stopped' is 'soon'"),
        ({"sample": -1}, "'sample' is -1"),
        ({"identified": "§"}, "§"),
    ],
)
def test_what_a_row_cannot_say_is_refused(more, message):
    with pytest.raises(InputError, match=message):
        row("th", **more)


def test_origins_have_a_word_for_nobody_says():
    assert "" in ANSWER_ORIGINS
