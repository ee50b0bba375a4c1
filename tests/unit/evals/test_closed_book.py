"""Closed-book questions and bodies of code: choices that nobody tells without the question."""

import json
import os
import sys
import unicodedata
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from border_tokenizers import LOSSLESS, TOKENIZERS
from hypothesis import given, settings
from hypothesis import strategies as st

from polylect.base import InputError, Ledger
from polylect.engine import Scores, encode_requests
from polylect.evals import TASKS, Source
from polylect.evals.scorers import build_requests, score_items
from polylect.evals.tasks._quartets import contains_none, kind_of, plain_text, quartets

FIXTURES = Path(__file__).parents[2] / "fixtures" / "tasks"
DATA = Path(os.environ.get("POLYLECT_DATA", Path(__file__).parents[4] / "shared" / "data"))
CHOICES = ("xquad_closed_choice", "humaneval_choice", "mbpp_choice")
WORDS = {  # of several lengths, with and without spaces, right to left, digits of two scripts
    "ar": ["القاهرة", "النيل الأزرق", "مدينة", "عام ١٩٧٣", "١٩٧٣", "أحمد شوقي", "البحر", "السماء"],
    "de": ["Straße", "STRASSE 5", "Köln", "1999", "2001", "1815", "1648", "der Rhein bei Bonn"],
    "th": ["กรุงเทพ", "แม่น้ำเจ้าพระยา", "วันจันทร์", "พ.ศ. 2500", "2500", "สวน", "ดอกไม้", "อากาศ"],
    "zh-Hans": ["北京", "长江", "两次", "1519", "1520年", "公园里的花", "天气", "散步"],
    "hi": ["दिल्ली", "गंगा", "पार्क में फूल", "१९४७", "१८५७", "मौसम", "फूल", "आज"],
}  # fmt: skip


def plan_of(texts, places=None, apart=1, name="test"):
    texts = list(texts)
    return quartets(texts, places or range(len(texts)), apart, contains_none(texts), name)


def squad(tag, questions):
    """The questions in the form of SQuAD, two of each paragraph."""
    paragraphs = [
        {"context": f"{tag} {start}", "qas": [
            {"id": f"q{start + i}", "question": question, "answers": [{"text": answer}]}
            for i, (question, answer) in enumerate(questions[start : start + 2])
        ]}
        for start in range(0, len(questions), 2)
    ]  # fmt: skip
    return {"data": [{"title": "t", "paragraphs": paragraphs}]}


@pytest.fixture
def source(tmp_path):
    """XQuAD of three copies of ``WORDS`` in five languages, 24 questions each."""
    (tmp_path / "xquad").mkdir()
    for tag, words in WORDS.items():
        questions = [
            (f"{words[i % 8]}?", word if copy == 0 else f"{word}{'xyz'[copy]}")
            for copy in range(3)
            for i, word in enumerate(words)
        ]
        name = f"xquad.{tag.removesuffix('-Hans')}.json"
        text = json.dumps(squad(tag, questions), ensure_ascii=False)
        (tmp_path / "xquad" / name).write_text(text, encoding="utf-8")
    return Source.at(tmp_path)


@pytest.fixture
def real(capsys):
    if not all((DATA / name).is_dir() for name in ("xquad", "humaneval", "mbpp")):
        with capsys.disabled():
            sys.stderr.write("skipped: no data (xquad, humaneval, mbpp)\n")
        pytest.skip("no data")
    return Source.at(DATA)


def test_the_question_stands_without_its_paragraph():
    opened, closed = (
        TASKS[name].items(Source.at(FIXTURES), "el") for name in ("xquad", "xquad_closed")
    )
    for with_paragraph, without in zip(opened, closed, strict=True):
        assert with_paragraph.context.endswith(f"\n\n{without.context}")
        assert with_paragraph.context.startswith("Συμφραζόμενα: ")
        assert without.context.startswith("Ερώτηση: ")
        for field in ("id", "choices", "cluster", "delimiter"):
            assert getattr(with_paragraph, field) == getattr(without, field)


@pytest.mark.parametrize("tag", WORDS)
def test_no_choice_is_or_contains_another_in_any_script(source, tag):
    items = TASKS["xquad_closed_choice"].items(source, tag)
    gold = TASKS["xquad_closed"].items(source, tag)
    assert len(items) == 24
    for item, own in zip(items, gold, strict=True):
        assert item.choices[item.answer] == own.choices[0]
        assert item.context == own.context
        bare = [plain_text(choice) for choice in item.choices]
        assert len(bare) == 4
        assert not any(one in other for one in bare for other in bare if one is not other)


def test_the_real_questions_in_all_languages(real):
    ids = set()
    for tag in ("ar", "de", "el", "en", "es", "hi", "ro", "ru", "tr", "vi", "zh-Hans"):
        items = TASKS["xquad_closed_choice"].items(real.fresh(), tag)
        assert items == TASKS["xquad_closed_choice"].items(real.fresh(), tag)
        ids.add(tuple(item.id for item in items))
        groups = Counter(frozenset(item.choices) for item in items)
        assert sum(num for num in groups.values() if num == 4) >= 1180  # of 1,190
        by_answer = Counter(item.answer for item in items)
        assert min(by_answer.values()) > 0.23 * len(items)
        same_kind = [len({kind_of(choice) for choice in item.choices}) == 1 for item in items]
        assert sum(same_kind) > 0.98 * len(items)
    assert len(ids) == 1  # the same questions in every language


@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.parametrize("taste", ["short", "long", "first", "random"])
def test_who_ignores_the_question_is_right_in_one_of_four(real, name, taste):
    task = TASKS[name]
    items = task.items(real, "zh-Hans" if name.startswith("xquad") else "code")
    random = np.random.default_rng(5)
    drawn = {text: random.normal() for item in items for text in item.choices}
    value = {"short": lambda t: -len(t), "long": len, "first": lambda _: 0, "random": drawn.get}
    lls = [float(value[taste](text)) for item in items for text in item.choices]
    none = np.zeros(len(lls), bool)
    rows = score_items(task, items, Scores(np.array(lls), np.ones(len(lls), int), none, none))
    right = [row["value"] for row in rows if row["metric"] == "acc"]
    assert abs(np.mean(right) - 0.25) < 0.02
    assert {row["chance"] for row in rows} == {0.25}


@pytest.mark.parametrize("name", ["humaneval", "mbpp"])
def test_bodies_of_code_are_the_gold_ones(real, name):
    gold = {item.id: item for item in TASKS[name].items(real, "code")}
    for item in TASKS[f"{name}_choice"].items(real, "code"):
        assert item.choices[item.answer] == gold[item.id].choices[0]
        assert item.context == gold[item.id].context
        assert set(item.choices) <= {other.choices[0] for other in gold.values()}
        assert len(set(item.choices)) == 4


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("tag", WORDS)
def test_choices_are_scored_whole_after_the_same_tokens(source, kind, tag):
    tokenizer = TOKENIZERS[kind]()
    for name in ("xquad_closed", "xquad_closed_choice"):
        items = TASKS[name].items(source, tag)
        for delimiter in (" ", ""):  # with and without a space before the choice
            requests = build_requests([with_delimiter(item, delimiter) for item in items])
            encoded = encode_requests(
                tokenizer, requests, add_bos=tokenizer.adds_bos, max_tokens=400,
                over_long="refuse", ledger=Ledger(),
            )  # fmt: skip
            step = len(items[0].choices)
            for start in range(0, len(encoded), step):
                own = encoded[start : start + step]
                assert len({request.context.tobytes() for request in own}) == 1
            if kind.startswith(LOSSLESS):
                for request, tokens in zip(requests, encoded, strict=True):
                    spelled = unicodedata.normalize("NFKC", tokenizer.decode(tokens.continuation))
                    wanted = unicodedata.normalize("NFKC", request.continuation)
                    assert spelled.strip() == wanted.strip()


def with_delimiter(item, delimiter):
    return replace(item, delimiter=delimiter)


@given(
    st.lists(st.text("aßあ١1 ", min_size=1, max_size=5).filter(str.strip), max_size=40),
    st.integers(1, 6),
)
@settings(max_examples=80, deadline=None)
def test_any_answers_have_four_choices_or_are_refused(answers, apart):
    differs = contains_none(answers)
    try:
        plan = plan_of(answers, apart=apart)
    except InputError:
        everyone = range(len(answers))
        assert not all(
            sum(differs(one, other) for other in everyone) > 2 * 12 for one in everyone
        ), "each has many that differ"
        return
    for number, (choices, index) in enumerate(plan):
        assert len(set(choices)) == 4
        assert choices[index] == number
        assert all(differs(one, other) for one in choices for other in choices if one != other)
    assert plan == plan_of(answers, apart=apart)


def test_of_one_group_each_is_right_once_and_places_are_apart_where_they_can_be():
    texts = [f"{letter}{number:02}" for letter in "abcd" for number in range(10)]
    places = [number // 10 for number in range(40)]
    plan = plan_of(texts, places)
    for number, (choices, _) in enumerate(plan):
        assert all(plan[other][0] == choices for other in choices)
        assert sorted(plan[other][1] for other in choices) == [0, 1, 2, 3]
        assert len({places[other] for other in choices}) == 4, number
    assert plan_of(texts, [0] * 40)  # none is apart: they are choices all the same


@pytest.mark.parametrize("texts", [[], ["a"], ["a", "b", "c"], ["a", "A", "ａ", "b"]])
def test_fewer_than_four_different_answers_are_refused(texts):
    if not texts:
        assert plan_of(texts) == []
        return
    with pytest.raises(InputError, match=r"item \d has no three texts"):
        plan_of(texts)
