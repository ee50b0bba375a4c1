"""Pools of stored and served answers: joined, asked once, resumed, counted."""

import json

import pytest
from planted_pools import NAMES, TEXTS, write_lines
from planted_server import Planted, serving

import polylect as pl
from polylect.base import InputError
from polylect.feedback import NOT_TOLD, read_pool, read_rewards, reward_folder, without_length

LANGUAGES = ("th", "ja", "ar", "yo")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write_prompts(path, num=3, languages=LANGUAGES):
    return write_lines(path, [
        {"id": f"p{i}", "language": tag, "prompt": f"{TEXTS[tag]} {i}?", "category": "c"}
        for tag in languages for i in range(num)
    ])  # fmt: skip


def write_answers(path, names, num=3, languages=LANGUAGES, **more):
    return write_lines(path, [
        {"id": f"p{i}", "language": tag, "answer": f"{TEXTS[tag]} {name}", "model": name} | more
        for name in names for tag in languages for i in range(num)
    ])  # fmt: skip


def test_files_of_answers_become_a_pool_with_all_that_is_stated(tmp_path):
    prompts = write_prompts(tmp_path / "p.jsonl")
    stored = write_answers(tmp_path / "a.jsonl", NAMES)
    pool = pl.feedback.pool(prompts, teacher=[str(stored)], license=[f"{NAMES[0]}=CC-BY-NC-4.0"],
                            terms=[f"{NAMES[1]}=no rivals, a=b"],
                            answer_origin=[f"{NAMES[2]}=native"], out="pool")  # fmt: skip
    rows = read_pool(pool.path)
    assert len(rows) == 3 * 4 * 3
    assert {row.teacher for row in rows} == set(NAMES)
    first = {row.teacher: row for row in rows if row.language == "ar"}
    assert first[NAMES[0]].license == "CC-BY-NC-4.0"
    assert first[NAMES[1]].terms == "no rivals, a=b"
    assert first[NAMES[2]].answer_origin == "native"
    assert all(row.identified == row.language for row in rows if row.language != "yo")
    assert all(row.prompt.startswith(TEXTS[row.language]) for row in rows)
    page = pool.page.read_text("utf-8")
    assert all(word in page for word in (*NAMES, "CC-BY-NC-4.0", "no rivals, a=b", 'dir="auto"'))
    assert pool.teachers["asked"].to_list() == [12, 12, 12]


def test_a_doubtful_guess_of_another_language_says_nothing(tmp_path):
    # Yoruba that is taken for Irish with a third of the probability is not Irish.
    guesses = {"th": ("th", 0.2), "ja": ("zh", 0.9), "ar": ("fa", 0.49), "yo": ("ga", 0.3)}
    (tmp_path / "who.py").write_text(
        f"GUESSES = {[(TEXTS[tag], guess) for tag, guess in guesses.items()]!r}\n"
        "def who(texts):\n"
        "    return [next(g for t, g in GUESSES if text.startswith(t)) for text in texts]\n"
    )
    prompts = write_prompts(tmp_path / "p.jsonl")
    stored = write_answers(tmp_path / "a.jsonl", ["a"])
    pool = pl.feedback.pool(prompts, teacher=[str(stored)], identifier="who.py:who", out="pool")
    identified = {row.language: row.identified for row in read_pool(pool.path)}
    assert identified == {"th": "th", "ja": "zh", "ar": "", "yo": ""}
    assert pool.ledger.by_event()[NOT_TOLD] == 6


def test_missing_other_and_further_answers_are_counted(tmp_path):
    prompts = write_prompts(tmp_path / "p.jsonl")
    lines = write_answers(tmp_path / "a.jsonl", ["a"]).read_text("utf-8").splitlines()[1:]
    lines.append(json.dumps({"id": "p9", "language": "th", "answer": "x", "model": "a"}))
    lines.append(json.dumps({"id": "p1", "language": "th", "answer": "x", "model": "a",
                             "sample": 4}))  # fmt: skip
    (tmp_path / "a.jsonl").write_text("\n".join(lines), "utf-8")
    pool = pl.feedback.pool(prompts, teacher=["a=a.jsonl"], out="pool")
    assert pool.ledger.total("missing: no stored answer of a") == 1
    assert pool.ledger.total("not used: stored answer to a prompt") == 1
    assert pool.ledger.total("not used: stored answer beyond") == 1
    assert pool.teachers["missing"].to_list() == [1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"teacher": []}, "no teacher"),
        ({"teacher": ["x=nowhere"]}, "no such folder or file"),
        ({"teacher": ["z=a.jsonl"]}, "answers of 2 models, none is called 'z'"),
        ({"teacher": ["a=a.jsonl", "a=a.jsonl"]}, "two teachers are called 'a'"),
        ({"teacher": ["a=a.jsonl"], "license": ["b=MIT"]}, "no such teacher"),
        ({"teacher": ["a=a.jsonl"], "teacher_languages": ["a=fr"]}, "no prompt in them"),
        (
            {"teacher": ["a=a.jsonl"], "answer_origin": ["a=translated"]},
            "answer_origin a=translated",
        ),
        ({"teacher": ["twice.jsonl"]}, "twice"),
        ({"teacher": ["other.jsonl"]}, "answers 'another'"),
    ],
)
def test_mistakes_are_one_line(tmp_path, options, message):
    write_prompts(tmp_path / "p.jsonl")
    write_answers(tmp_path / "a.jsonl", ["a", "b"])
    write_answers(tmp_path / "other.jsonl", ["o"], prompt="another")
    twice = write_answers(tmp_path / "twice.jsonl", ["t"]).read_text("utf-8")
    (tmp_path / "twice.jsonl").write_text(twice + twice, "utf-8")
    with pytest.raises(InputError, match=message) as error:
        pl.feedback.pool("p.jsonl", **options, out="pool")
    assert "\n" not in str(error.value)


@pytest.mark.server
def test_a_server_is_asked_once_and_only_for_what_is_new(tmp_path):
    prompts = write_prompts(tmp_path / "p.jsonl", 2, ("th", "de"))
    more = write_prompts(tmp_path / "more.jsonl", 3, ("th", "de", "ar"))
    plan, second = Planted(), Planted()
    sampling = {"temperature": 0.7, "max_new_tokens": 9}
    with serving(plan) as url, serving(second) as other:
        first = pl.feedback.pool(prompts, teacher=[f"a={url}#m"], answers=2, out="one", **sampling)
        assert plan.requests == 2 * 2 * 2
        wider = pl.feedback.pool(more, teacher=[f"a={url}#m", f"b={other}#n"], answers=3,
                                 teacher_languages=["b=ar"], reuse=[first], out="two",
                                 **sampling)  # fmt: skip
    assert plan.requests == 9 * 3
    assert set(plan.answered.values()) == {1}
    assert second.requests == 3 * 3
    old = {row.key: row.answer for row in read_pool(first.path)}
    new = {row.key: row for row in read_pool(wider.path)}
    assert all(new[key].answer == answer for key, answer in old.items())
    assert wider.teachers["reused"].to_list() == [8, 0]
    assert json.loads(new["de", "p0", "a", 2].sampling)["temperature"] == 0.7
    assert new["de", "p0", "a", 0].answer_origin == "native"


@pytest.mark.server
def test_no_answer_is_generated_by_a_teacher_that_was_not_chosen(tmp_path):
    prompts = write_prompts(tmp_path / "p.jsonl", 3, ("th", "de"))
    import polars

    polars.DataFrame([
        {"language": tag, "id": f"p{i}", "teacher": "a" if tag == "th" else "b"}
        for tag in ("th", "de") for i in range(3)
    ]).write_parquet("choices.parquet")  # fmt: skip
    plans = Planted(), Planted()
    with serving(plans[0]) as url, serving(plans[1]) as other:
        pool = pl.feedback.pool(prompts, teacher=[f"a={url}#m", f"b={other}#n"], max_new_tokens=9,
                                choices="choices.parquet", out="pool")  # fmt: skip
    assert [plan.requests for plan in plans] == [3, 3]
    assert {(row.teacher, row.language) for row in read_pool(pool.path)} == {
        ("a", "th"), ("b", "de")
    }  # fmt: skip
    assert all(TEXTS["th"] in text for text, _ in plans[0].received)


def test_rewards_are_kept_beside_the_pool_and_a_killed_scoring_resumes(tmp_path):
    prompts = write_prompts(tmp_path / "p.jsonl", 20)
    stored = write_answers(tmp_path / "a.jsonl", NAMES, 20)
    pool = pl.feedback.pool(prompts, teacher=[str(stored)], out="pool")
    before = pool.file.read_bytes()
    (tmp_path / "r.py").write_text(
        "import os, pathlib\n"
        "def length(prompt, answer, language):\n"
        "    calls = pathlib.Path('calls')\n"
        "    num = int(calls.read_text()) + 1 if calls.exists() else 1\n"
        "    calls.write_text(str(num))\n"
        "    if num == 150: raise KeyboardInterrupt\n"
        "    return float(len(answer))\n"
    )
    with pytest.raises(KeyboardInterrupt):
        pl.feedback.score(pool, reward=["length of it=r.py:length"])
    scored = pl.feedback.score(pool, reward=["length of it=r.py:length"])
    # 80 prompts in blocks of 32: the first 96 answers are not scored again.
    assert int((tmp_path / "calls").read_text()) == 150 + 3 * 80 - 96
    rewards = read_rewards(reward_folder(pool.path, "length of it"))
    assert rewards.values == {row.key: float(len(row.answer)) for row in read_pool(pool.path)}
    assert pool.file.read_bytes() == before
    assert scored.table()["answers"].sum() == 3 * 80


def test_length_is_taken_out_and_nothing_else(tmp_path):
    import numpy as np
    from planted_pools import pooled

    random, rows, values, merit = np.random.default_rng(0), [], {}, {}
    for number in range(200):
        for name in NAMES:
            row = pooled("ja", number, name, "字" * int(random.integers(1, 300)))
            rows.append(row)
            merit[row.key] = float(random.standard_normal())
            values[row.key] = merit[row.key] + 2.5 * np.log2(len(row.answer)) + number
    rest, slopes = without_length(rows, values)
    assert slopes["ja"] == pytest.approx(2.5, abs=0.1)
    within = np.array([[rest[row.key] for row in rows[i : i + 3]] for i in range(0, 600, 3)])
    lengths = np.array(
        [[np.log2(len(r.answer)) for r in rows[i : i + 3]] for i in range(0, 600, 3)]
    )
    centered = lengths - lengths.mean(1, keepdims=True)
    assert abs((centered * within).sum()) < 1e-8
    same, none = without_length(rows[:1], {rows[0].key: 4.0})
    assert (list(same.values()), none["ja"]) == ([4.0], 0.0)
