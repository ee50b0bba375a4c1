"""Verdicts by the probability of a letter: a checkpoint, servers that list them, and others."""

import math
import re

import numpy as np
import pytest
import torch
import transformers
from planted_server import Planted, serving
from small_models import write_checkpoint

from polylect.cli import main
from polylect.judging import Pair, balanced, find_preset, judging_prompts, outcomes, read_judgments
from polylect.judging.choice_logprobs import (
    READ_AS_TEXT,
    ChoiceLogprobs,
    choice_tokens,
    choices_in,
    likeliest,
    told,
)
from polylect.judging.pairwise import Said, by_letter
from polylect.judging.position_calibration import log_odds
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
    said = by_letter(ChoiceLogprobs(letters), find_preset("aya", "logprob"))
    assert said.reading == (verdict, False)


@pytest.mark.parametrize(
    ("places", "found"),
    [
        ([{"A": -0.5, "B": -1.0, "the": -2.0}], {"A": -0.5, "B": -1.0}),
        ([{" B": -0.5, "A": -1.0, "(C": -3.0}], {"A": -1.0, "B": -0.5, "C": -3.0}),
        ([{"Answer": -0.1, "A": -3.0}, {"B": -0.2, "A": -1.8}], {"A": -1.8, "B": -0.2}),
        ([{"I": -0.1, "B": -3.0, "A": -4.0}, {" am": -0.1}], {"A": -4.0, "B": -3.0}),
        ([{"I": -0.1}, {" am": -0.1}], {}),
        ([], {}),
    ],
)  # fmt: skip
def test_letters_are_found_where_the_answer_has_its_verdict(places, found):
    assert choices_in(places, "ABC") == pytest.approx(found)


def test_spellings_of_one_letter_add_up():
    found = choices_in([{"B": math.log(0.4), "A": math.log(0.3), " A": math.log(0.2)}], "ABC")
    assert found == pytest.approx({"A": math.log(0.5), "B": math.log(0.4)})
    assert likeliest(found) == ["A"]  # though B is the likeliest token


@pytest.mark.parametrize(
    ("text", "verdict"),
    [("B", B), ("(C).", TIE), ("Answer A", A), ("Preferred: B, not A", B), ("Both bad", INVALID),
     ("", INVALID), ("ABC", INVALID), ("答案B", INVALID)],
)  # fmt: skip
def test_a_letter_in_a_text_stands_alone(text, verdict):
    assert read_letter(text) == (verdict, False)


def test_a_verdict_without_probabilities_is_read_from_the_text_or_invalid():
    preset = find_preset("aya", "logprob")
    assert by_letter(ChoiceLogprobs({}, "B.", True), preset) == Said((B, False), "B.", cut=True)
    assert by_letter(ChoiceLogprobs({}, " "), preset) == Said((INVALID, False), " ", abstained=True)
    listed = ChoiceLogprobs({"A": -0.1, "B": -2.0}, "B.")
    assert by_letter(listed, preset) == Said((A, False), "A -0.1000 B -2.0000")


def side(name, answer):
    return Generated(id="7", language="tr", sample=0, model=name, answer=answer, prompt="Neden?")


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    text = "Preferred: A B C Answer (A) which of the following answers is the best one? " * 3
    tokenizer = train_bpe({"en": [text]}, vocab_size=330)
    folder = tmp_path_factory.mktemp("judges") / "judge"
    config = write_checkpoint(folder, tokenizer)
    return config, tokenizer


def test_a_checkpoint_says_what_its_logits_say(judge, tmp_path, capsys):
    checkpoint, tokenizer = judge
    pairs = [Pair(side("a", "çünkü"), side("b", "bilmiyorum " * 40))]
    preset = find_preset("aya", "logprob")
    for name, pick in (("a", 0), ("b", 1)):
        (tmp_path / name).mkdir()
        one = (pairs[0].a, pairs[0].b)[pick]
        write_rows(tmp_path / name / "answers.parquet", Generated, [one])
    call = ["judge", str(tmp_path / "a"), str(tmp_path / "b"), "--judge", str(checkpoint.path),
            "--preset", "aya", "--verdict", "logprob", "--over-long", "cut",
            "--out", str(tmp_path / "out")]  # fmt: skip
    assert main(call) == 0
    rows = read_judgments(tmp_path / "out")
    assert len(rows) == 2
    model = transformers.AutoModelForCausalLM.from_pretrained(checkpoint.path).eval()
    lead, letters = choice_tokens(tokenizer, preset.lead, "ABC")
    for one, row in zip(judging_prompts(pairs, preset), rows, strict=True):
        ids = np.concatenate([Plain(tokenizer).prompt(one.messages), lead])
        expected = {}
        for letter, own in zip("ABC", letters, strict=True):
            room = 512 - max(map(len, letters)) + 1
            whole = np.concatenate([ids[-room:], own])
            with torch.no_grad():
                logits = model(torch.from_numpy(whole[None].astype(np.int64))).logits[0].double()
            steps = logits.log_softmax(-1)[len(whole) - len(own) - 1 : -1]
            expected[letter] = steps[range(len(own)), own.tolist()].sum().item()
        found = {k: float(v) for k, v in re.findall(r"([ABC]) (-?[\d.]+)", row.reason)}
        assert found == pytest.approx(expected, abs=2e-4)
        shown = {"A": A, "B": B, "C": TIE}[likeliest(expected)[0]]
        assert row.verdict is (shown.swapped() if row.swapped else shown)
    assert "aya+logprob@1" in (tmp_path / "out" / "index.html").read_text("utf-8")
    capsys.readouterr()
    at = call.index("--over-long")
    assert main([*call[:at], "--out", str(tmp_path / "refused")]) == 2
    assert re.search(
        r"question '7#0#ab' \(tr\) has \d+ tokens, the judge takes 512", capsys.readouterr().err
    )


def shown_in(text):
    return re.search(r"Answer \(A\): (.*?)\n\nAnswer \(B\): (.*?)\n\n", text).groups()


def likes_good(text):
    first, second = ("good" in one for one in shown_in(text))
    return [
        {"A": -0.2 - 2.0 * second, "B": -0.2 - 2.0 * first, "C": -0.3 - 4.0 * (first != second)}
    ]


def sides_of(tmp_path):
    for name, answers in (("a", ["good", "bad", "plain"]), ("b", ["bad", "good", "other"])):
        rows = [
            Generated(
                id=str(i), language="tr", sample=0, model=name, answer=one, prompt=f"soru {i}"
            )
            for i, one in enumerate(answers)
        ]
        (tmp_path / name).mkdir()
        write_rows(tmp_path / name / "answers.parquet", Generated, rows)
    return [str(tmp_path / "a"), str(tmp_path / "b")]


def call_of(sides, url, preset, out, *more):
    return ["judge", *sides, "--judge", f"{url}/v1#planted", "--preset", preset, "--verdict",
            "logprob", "--out", str(out), *more]  # fmt: skip


@pytest.mark.parametrize("template", ["own", "none"])
def test_a_server_lists_its_alternatives(tmp_path, template):
    sides = sides_of(tmp_path)
    plan = Planted(letters=likes_good, answer=lambda *_: "words that say nothing")
    with serving(plan) as url:
        assert main(call_of(sides, url, "aya", tmp_path / "out", "--template", template)) == 0
    found = outcomes(read_judgments(tmp_path / "out"))
    assert found["verdict"].to_list() == ["A", "B", "TIE"]
    assert not found["flip"].any()
    assert {one["max_tokens"] for one in plan.bodies} == {4}
    if template == "own":
        assert {one["top_logprobs"] for one in plan.bodies} == {20}
    else:
        assert all(one["prompt"].endswith("\n\nPreferred:") for one in plan.bodies)


def test_a_server_that_likes_a_place_flips(tmp_path, capsys):
    sides = sides_of(tmp_path)
    with serving(Planted(letters=lambda _: [{"A": -0.1, "B": -3.0}])) as url:
        assert main(call_of(sides, url, "arena-hard", tmp_path / "out")) == 0
    assert "flips 100.0%, invalid 0.0%, first place preferred 100.0%" in capsys.readouterr().out


@pytest.mark.parametrize(("says", "invalid"), [("B", 0), ("hm", 6)])
def test_a_server_without_probabilities_is_read_or_invalid(tmp_path, capsys, says, invalid):
    sides = sides_of(tmp_path)
    with serving(Planted(log_probabilities=False, answer=lambda *_: says)) as url:
        assert main(call_of(sides, url, "m-arena-hard", tmp_path / "out")) == 0
    rows = read_judgments(tmp_path / "out")
    assert sum(one.verdict is INVALID for one in rows) == invalid
    assert f"6 {READ_AS_TEXT} (judge planted)" in capsys.readouterr().out


def test_what_is_told_is_short():
    assert told({"A": -0.10536, "B": -2.5}) == "A -0.1054 B -2.5000"


def test_both_orders_together_find_what_a_liking_for_a_letter_hides(tmp_path, capsys):
    sides = sides_of(tmp_path)

    def likes_a(text):
        # The letter A is worth 3 nats, a good answer 1.
        first, second = ("good" in one for one in shown_in(text))
        return [{"A": -0.1 - second, "B": -3.1 - first, "C": -9.0}]

    out = tmp_path / "out"
    with serving(Planted(letters=likes_a)) as url:
        assert main(call_of(sides, url, "aya", out)) == 0
    rows = read_judgments(out)
    assert outcomes(rows)["flip"].all()
    found = balanced(rows)
    assert [one.verdict for one in found] == [A, B, TIE]
    assert [float(one.reason) for one in found] == [-2, 2, 0]
    assert {one.judge for one in found} == {"planted, both orders together"}
    told = capsys.readouterr().out
    assert "planted: win 0.0%, tie 100.0%, loss 0.0% of 3" in told
    assert "planted, both orders together: win 33.3%, loss 33.3%; win rate 50.0%" in told
    page = (out / "index.html").read_text("utf-8")
    assert "Both orders together" in page


def test_words_and_half_a_pair_have_no_log_odds():
    def row(reason, swapped=False, name="1"):
        return Judgment(id=name, language="tr", model_a="x", model_b="y", verdict=A, judge="j",
                        swapped=swapped, reason=reason)  # fmt: skip

    assert log_odds(row("A -0.5000 B -2.0000 C -3.0000")) == pytest.approx(-1.5)
    assert log_odds(row("A -0.5000 B -2.0000", True)) == pytest.approx(1.5)
    for words in (
        "A -0.5000",
        "I like A -0.5000 B -2.0000",
        "",
        "not asked: the answers are equal",
    ):
        assert log_odds(row(words)) is None
    alone = [row("A -0.5000 B -2.0000"), row("A -0.5 B -0.6", name="2"), row("no", True, "2")]
    assert balanced(alone) == []
