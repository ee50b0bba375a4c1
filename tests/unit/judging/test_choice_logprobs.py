"""Verdicts by the probability of a letter: a checkpoint, servers that list them, and others."""

import math
import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
import transformers
from planted_server import Planted, serving
from small_models import write_checkpoint

from polylect.cli import main
from polylect.judging import (
    AnswerPair,
    calibrated_judgments,
    find_preset,
    outcome_table,
    pairwise_questions,
    read_grades,
    read_judgments,
)
from polylect.judging.ask import SILENT
from polylect.judging.choice_logprobs import (
    READ_AS_TEXT,
    JudgeAnswer,
    choice_tokens,
    choices_in,
    format_logprobs,
    likeliest,
)
from polylect.judging.pairwise import CUT, Reading, read_answer
from polylect.judging.position_calibration import log_odds, log_odds_in_text
from polylect.judging.protocols import read_letter
from polylect.rows import Generated, Judgment, Verdict, write_rows
from polylect.text import train_bpe
from polylect.text.turns import Plain

A, B, TIE, INVALID = Verdict.A, Verdict.B, Verdict.TIE, Verdict.INVALID
NAN = float("nan")


@pytest.mark.parametrize(
    ("letters", "verdict"),
    [
        ({"A": -0.1, "B": -2.0, "C": -9.0}, A),
        ({"A": -3.0, "B": -2.0, "C": -9.0}, B),
        ({"B": -2.0, "C": -1.0}, TIE),
        ({"A": -2.0, "B": -2.0, "C": -3.0}, TIE),
        ({"A": NAN, "B": -5.0, "C": NAN}, B),
        ({"A": NAN, "B": NAN, "C": NAN}, INVALID),
        ({}, INVALID),
    ],
)
def test_the_likeliest_letter_decides(letters, verdict):
    reading = read_answer(JudgeAnswer(letters), find_preset("aya", "logprob"))
    assert (reading.verdict, reading.strong) == (verdict, False)


@pytest.mark.parametrize(
    ("alternatives", "logprobs"),
    [
        ([{"A": -0.5, "B": -1.0, "the": -2.0}], {"A": -0.5, "B": -1.0}),
        ([{" B": -0.5, "A": -1.0, "(C": -3.0}], {"A": -1.0, "B": -0.5, "C": -3.0}),
        ([{"Answer": -0.1, "A": -3.0}, {"B": -0.2, "A": -1.8}], {"A": -1.8, "B": -0.2}),
        ([{"I": -0.1, "B": -3.0, "A": -4.0}, {" am": -0.1}], {"A": -4.0, "B": -3.0}),
        ([{"I": -0.1}, {" am": -0.1}], {}),
        ([], {}),
    ],
)  # fmt: skip
def test_letters_are_found_where_the_answer_has_its_verdict(alternatives, logprobs):
    assert choices_in(alternatives, "ABC") == pytest.approx(logprobs)


def test_spellings_of_one_letter_add_up():
    logprobs = choices_in([{"B": math.log(0.4), "A": math.log(0.3), " A": math.log(0.2)}], "ABC")
    assert logprobs == pytest.approx({"A": math.log(0.5), "B": math.log(0.4)})
    assert likeliest(logprobs) == ["A"]  # though B is the likeliest token


@pytest.mark.parametrize(
    ("text", "verdict"),
    [("B", B), ("(C).", TIE), ("Answer A", A), ("Preferred: B, not A", INVALID),
     ("Both bad", INVALID), ("", INVALID), ("ABC", INVALID), ("答案B", INVALID)],
)  # fmt: skip
def test_a_letter_in_a_text_stands_alone(text, verdict):
    assert read_letter(text) == (verdict, False)


def test_a_verdict_without_probabilities_is_read_from_the_text_or_invalid():
    preset = find_preset("aya", "logprob")
    assert read_answer(JudgeAnswer({}, "B.", True), preset) == Reading(B, False, "B.")
    assert read_answer(JudgeAnswer({}, " "), preset) == Reading(INVALID, False, " ", SILENT)
    assert read_answer(JudgeAnswer({}, "hm", True), preset) == Reading(INVALID, False, "hm", CUT)
    listed = JudgeAnswer({"A": -0.1, "B": -2.0}, "B.")
    assert read_answer(listed, preset) == Reading(A, False, "A -0.1000 B -2.0000")


def side(name, answer):
    return Generated(id="7", language="tr", sample=0, model=name, answer=answer, prompt="Neden?")


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    text = "Preferred: A B C Answer (A) which of the following answers is the best one? " * 3
    tokenizer = train_bpe({"en": [text]}, vocab_size=330)
    folder = tmp_path_factory.mktemp("judges") / "judge"
    config = write_checkpoint(folder, tokenizer)
    return config, tokenizer


def test_a_checkpoint_s_verdict_follows_from_its_logits(judge, tmp_path, capsys):
    checkpoint, tokenizer = judge
    pairs = [AnswerPair(side("a", "çünkü"), side("b", "bilmiyorum " * 40))]
    preset = find_preset("aya", "logprob")
    for name, pick in (("a", 0), ("b", 1)):
        (tmp_path / name).mkdir()
        question = (pairs[0].a, pairs[0].b)[pick]
        write_rows(tmp_path / name / "answers.parquet", Generated, [question])
    call = ["judge", str(tmp_path / "a"), str(tmp_path / "b"), "--judges", str(checkpoint.path),
            "--preset", "aya", "--verdict", "logprob", "--over-long", "cut",
            "--out", str(tmp_path / "out")]  # fmt: skip
    assert main(call) == 0
    rows = read_judgments(tmp_path / "out")
    assert len(rows) == 2
    model = transformers.AutoModelForCausalLM.from_pretrained(checkpoint.path).eval()
    lead, letters = choice_tokens(tokenizer, preset.lead, "ABC")
    for question, row in zip(pairwise_questions(pairs, preset), rows, strict=True):
        ids = np.concatenate([Plain(tokenizer).prompt(question.messages), lead])
        expected = {}
        for letter, letter_ids in zip("ABC", letters, strict=True):
            room = 512 - max(map(len, letters)) + 1
            ids_with_letter = np.concatenate([ids[-room:], letter_ids])
            with torch.no_grad():
                logits = (
                    model(torch.from_numpy(ids_with_letter[None].astype(np.int64)))
                    .logits[0]
                    .double()
                )
            steps = logits.log_softmax(-1)[len(ids_with_letter) - len(letter_ids) - 1 : -1]
            expected[letter] = steps[range(len(letter_ids)), letter_ids.tolist()].sum().item()
        logged = {k: float(v) for k, v in re.findall(r"([ABC]) (-?[\d.]+)", row.reason)}
        assert logged == pytest.approx(expected, abs=2e-4)
        shown = {"A": A, "B": B, "C": TIE}[likeliest(expected)[0]]
        assert row.verdict is (shown.swapped() if row.swapped else shown)
    assert "aya+logprob@3" in (tmp_path / "out" / "index.html").read_text("utf-8")
    capsys.readouterr()
    at = call.index("--over-long")
    assert main([*call[:at], "--out", str(tmp_path / "refused")]) == 2
    assert re.search(
        r"question '7#0#ab' \(tr\) has \d+ tokens, the judge takes 512", capsys.readouterr().err
    )


def shown_in(text):
    return re.search(r"Answer \(A\): (.*?)\n\nAnswer \(B\): (.*?)\n\n", text).groups()


def likes_good(text):
    first, second = ("good" in answer for answer in shown_in(text))
    return [
        {"A": -0.2 - 2.0 * second, "B": -0.2 - 2.0 * first, "C": -0.3 - 4.0 * (first != second)}
    ]


def sides_of(tmp_path):
    for name, answers in (("a", ["good", "bad", "plain"]), ("b", ["bad", "good", "other"])):
        rows = [
            Generated(
                id=str(i), language="tr", sample=0, model=name, answer=answer, prompt=f"soru {i}"
            )
            for i, answer in enumerate(answers)
        ]
        (tmp_path / name).mkdir()
        write_rows(tmp_path / name / "answers.parquet", Generated, rows)
    return [str(tmp_path / "a"), str(tmp_path / "b")]


def call_of(sides, url, preset, out, *more):
    return ["judge", *sides, "--judges", f"{url}/v1#planted", "--preset", preset, "--verdict",
            "logprob", "--out", str(out), *more]  # fmt: skip


@pytest.mark.parametrize("template", ["own", "none"])
@pytest.mark.server
def test_a_server_lists_its_alternatives(tmp_path, template):
    sides = sides_of(tmp_path)
    plan = Planted(letters=likes_good, answer=lambda *_: "words that say nothing")
    with serving(plan) as url:
        assert main(call_of(sides, url, "aya", tmp_path / "out", "--template", template)) == 0
    outcomes = outcome_table(read_judgments(tmp_path / "out"))
    assert outcomes["verdict"].to_list() == ["A", "B", "TIE"]
    assert not outcomes["flip"].any()
    assert {body["max_tokens"] for body in plan.bodies} == {4}
    if template == "own":
        assert {body["top_logprobs"] for body in plan.bodies} == {20}
    else:
        assert all(body["prompt"].endswith("\n\nPreferred:") for body in plan.bodies)


@pytest.mark.server
def test_a_server_that_prefers_a_position_flips(tmp_path, capsys):
    sides = sides_of(tmp_path)
    with serving(Planted(letters=lambda _: [{"A": -0.1, "B": -3.0}])) as url:
        assert main(call_of(sides, url, "arena-hard", tmp_path / "out")) == 0
    assert "flips 100.0%, invalid 0.0%, first place preferred 100.0%" in capsys.readouterr().out


@pytest.mark.parametrize(("text", "invalid"), [("B", 0), ("hm", 6)])
@pytest.mark.server
def test_a_server_without_probabilities_is_read_or_invalid(tmp_path, capsys, text, invalid):
    sides = sides_of(tmp_path)
    with serving(Planted(log_probabilities=False, answer=lambda *_: text)) as url:
        assert main(call_of(sides, url, "m-arena-hard", tmp_path / "out")) == 0
    rows = read_judgments(tmp_path / "out")
    assert sum(row.verdict is INVALID for row in rows) == invalid
    assert f"6 {READ_AS_TEXT} (judge planted)" in capsys.readouterr().out


def test_log_probabilities_are_shown_with_four_decimals():
    assert format_logprobs({"A": -0.10536, "B": -2.5}) == "A -0.1054 B -2.5000"


@pytest.mark.server
def test_both_orders_together_show_what_a_preference_for_a_letter_hides(tmp_path, capsys):
    sides = sides_of(tmp_path)

    def likes_a(text):
        # The letter A adds 3 nats, a good answer 1.
        first, second = ("good" in row for row in shown_in(text))
        return [{"A": -0.1 - second, "B": -3.1 - first, "C": -9.0}]

    out = tmp_path / "out"
    with serving(Planted(letters=likes_a)) as url:
        assert main(call_of(sides, url, "aya", out)) == 0
    rows = read_judgments(out)
    assert outcome_table(rows)["flip"].all()
    calibrated = calibrated_judgments(rows)
    assert [row.verdict for row in calibrated] == [A, B, TIE]
    assert [float(row.reason) for row in calibrated] == [-2, 2, 0]
    assert [row.log_odds for row in rows[:2]] == pytest.approx([-4, 2])
    assert {row.judge for row in calibrated} == {"planted, both orders together"}
    output = capsys.readouterr().out
    assert "planted: win 0.0%, tie 100.0%, loss 0.0% of 3" in output
    assert "planted, both orders together: win 33.3%, loss 33.3%; win rate 50.0%" in output
    page = (out / "index.html").read_text("utf-8")
    assert "Both orders together" in page


def judgment(reason, swapped=False, name="1", **more):
    return Judgment(id=name, language="tr", model_a="x", model_b="y", verdict=A, judge="j",
                    swapped=swapped, reason=reason, **more)  # fmt: skip


def test_log_odds_are_of_the_second_model_and_need_both_letters():
    assert log_odds({"A": -0.5, "B": -2.0, "C": -3.0}, swapped=False) == pytest.approx(-1.5)
    assert log_odds({"A": -0.5, "B": -2.0}, swapped=True) == pytest.approx(1.5)
    for choices in ({"A": -0.5}, {}, {"A": -0.5, "B": NAN}, {"A": -0.5, "B": -math.inf}):
        assert log_odds(choices, swapped=False) is None
    letters = {"A": -0.10536, "B": -2.49996, "C": -9.0}
    assert log_odds(letters, swapped=True) == log_odds_in_text(
        judgment(format_logprobs(letters), swapped=True)
    )


def test_words_have_no_log_odds():
    assert log_odds_in_text(judgment("A -0.5000 B -2.0000 C -3.0000")) == pytest.approx(-1.5)
    assert log_odds_in_text(judgment("A -0.5000 B -2.0000", True)) == pytest.approx(1.5)
    for reason in (
        "A -0.5000",
        "I like A -0.5000 B -2.0000",
        "",
        "not asked: the answers are equal",
    ):
        assert log_odds_in_text(judgment(reason)) is None


def test_half_a_pair_is_not_calibrated():
    rows = [
        judgment("A -0.5000 B -2.0000", log_odds=-1.5),
        judgment("A -0.5 B -0.6", name="2", log_odds=-0.1),
        judgment("no", True, "2"),
    ]
    assert calibrated_judgments(rows) == []


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
def test_log_odds_are_read_from_the_reason_only_in_files_without_their_column(tmp_path, ending):
    rows = [judgment("A -0.5000 B -2.0000"), judgment("A -1.0000 B -1.5000", True)]
    path = tmp_path / f"judgments.{ending}"
    write_rows(path, Judgment, rows)
    assert [row.log_odds for row in read_judgments(path)] == [None, None]
    if ending == "parquet":
        pl.read_parquet(path).drop("log_odds").write_parquet(path)
    else:
        path.write_text(path.read_text().replace(', "log_odds": null', ""))
    assert [row.log_odds for row in read_judgments(path)] == [-1.5, 0.5]
    turned = read_judgments(path, ("y", "x"))
    assert [(row.swapped, row.log_odds) for row in turned] == [(True, 1.5), (False, -0.5)]
    assert calibrated_judgments(turned)[0].verdict is B


@pytest.mark.parametrize("preset", ["aya", "arena-hard"])
@pytest.mark.parametrize("verdict", ["logprob", "text"])
def test_a_question_that_the_judges_template_refuses_is_invalid(
    judge, tmp_path, capsys, preset, verdict
):
    checkpoint, _ = judge
    template = "{% if 'XXL' in messages[-1]['content'] %}{{ raise_exception('too large') }}"
    (tmp_path / "t.jinja").write_text(
        template + "{% endif %}{% for m in messages %}{{ m['content'] }}{% endfor %}"
    )
    for name in "ab":
        (tmp_path / name).mkdir()
        rows = [replace(side(name, f"{name} {text}"), id=text) for text in ("S", "XXL", "M")]
        write_rows(tmp_path / name / "answers.parquet", Generated, rows)
    sides = [str(tmp_path / "a"), str(tmp_path / "b")]
    how = ["--judges", str(checkpoint.path), "--template", str(tmp_path / "t.jinja")]
    how += ["--over-long", "cut"]
    call = ["judge", *sides, *how, "--preset", preset, "--verdict", verdict]
    call += ["--max-new-tokens", "2"] if verdict == "text" else []
    assert main([*call, "--out", str(tmp_path / "out")]) == 0
    said = "2 refused: the chat template does not take the prompt"
    assert f'{said}; the first: "the chat template cannot' in capsys.readouterr().out
    judgments = read_judgments(tmp_path / "out")
    refused = [row for row in judgments if row.abstained and "too large" in row.reason]
    assert [(row.id, row.verdict) for row in refused] == [("XXL", INVALID)] * 2
    assert len(judgments) == 6


@pytest.mark.parametrize("verdict", ["logprob", "text"])
@pytest.mark.server
def test_what_the_judges_server_says_instead_stands_in_the_rows(tmp_path, capsys, verdict):
    for name in "ab":
        (tmp_path / name).mkdir()
        answers = [f"{name} good", f"{name} [detail] {name}", f"{name} [declined]"]
        rows = [replace(side(name, text), id=str(i)) for i, text in enumerate(answers)]
        write_rows(tmp_path / name / "answers.parquet", Generated, rows)
    plan = Planted(letters=lambda _: [{"A": -0.1, "B": -3.0}], answer=lambda *_: "Preferred: A")
    sides = [str(tmp_path / "a"), str(tmp_path / "b")]
    with serving(plan) as url:
        call = call_of(sides, url, "aya", tmp_path / "out")
        call[call.index("logprob")] = verdict
        assert main(call) == 0
        grade = ["grade", *sides, "--judges", f"{url}/v1#planted", "--out", str(tmp_path / "g")]
        assert main([*grade, "--verdict", verdict]) == 0
    out = capsys.readouterr().out
    said = '2 refused: the server did not take the prompt; the first: "422: body.messages: too'
    assert out.count(said) == 2
    assert out.count("2 refused: the model declined to answer") == 2
    rows = read_judgments(tmp_path / "out") + read_grades(tmp_path / "g")
    reasons = [row.reason for row in rows]
    assert reasons.count("422: body.messages: too many") == 4
    assert reasons.count("I cannot help with that") == 4
    assert [row.verdict for row in read_judgments(tmp_path / "out")][2:] == [INVALID] * 4
