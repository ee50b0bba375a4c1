"""``polylect judge`` from answers to the page, with a failing server and with a local judge."""

import json
import re
import time

import polars as pl
import pytest
from planted_server import Planted, serving
from small_models import write_checkpoint

from polylect.base import InputError, Ledger, read_json
from polylect.cli import main
from polylect.judging import outcome_table, pair_answers, read_answers, read_judgments
from polylect.rows import Generated, Judgment, ScoreTable, Verdict, write_rows
from polylect.text import train_bpe

TAGS = ("de", "tr", "zh-Hans")
FAULTS = ("429", "cut", "half", "500 early", "empty", "html")


def write_answers(folder, model, answer, num=8, origin="", **more):
    """Answers of ``answer(id, language)``, each to a prompt that is the same for every model."""
    folder.mkdir()
    rows = [
        Generated(id=str(i), language=tag, sample=0, model=model, answer=answer(i, tag),
                  prompt=f"question {i} {tag}", origin=origin, **more)
        for i in range(num)
        for tag in TAGS
    ]  # fmt: skip
    write_rows(folder / "answers.parquet", Generated, rows)
    return folder


def answers_in(text):
    """What an arena-hard judge was shown first and second."""
    return re.findall(r"The Start of .*?\|>\n(.*?)\n<\|The End", text, re.DOTALL)


def fair(text, _):
    first, second = ("good" in answer for answer in answers_in(text))
    return f"I looked. [[{'A=B' if first == second else 'A>>B' if first else 'B>A'}]]"


def first_wins(text, _):
    return "[[A>B]]"


@pytest.fixture
def sides(tmp_path):
    base = write_answers(tmp_path / "base", "base", lambda i, tag: f"plain {i}")
    new = write_answers(
        tmp_path / "new", "new",
        lambda i, tag: f"plain {i}" if i == 0 else f"good {i}" if tag == "tr" else f"other {i}",
    )  # fmt: skip
    return base, new


def call_of(sides, url, out, *more, preset="arena-hard"):
    return ["judge", *map(str, sides), "--judges", f"{url}/v1#{'planted'}", "--preset", preset,
            "--out", str(out), *more]  # fmt: skip


@pytest.mark.server
def test_every_pair_is_judged_in_both_orders_and_equal_answers_are_not_asked(
    sides, tmp_path, capsys
):
    with serving(plan := Planted(answer=fair)) as url:
        call = call_of(sides, url, tmp_path / "out", "--seen", "de")
        assert main([*call, "--dry-run"]) == 0
        assert plan.requests == 0
        output = capsys.readouterr().out
        assert "24 pairs, 3 of them with equal answers" in output
        assert "42 requests to" in output
        assert "Please act as an impartial judge" in output
        assert main(call) == 0
    output = capsys.readouterr().out
    assert plan.requests == 2 * 21
    shown = [tuple(answers_in(row["messages"][-1]["content"])) for row in plan.bodies]
    assert all((second, first) in shown for first, second in shown)
    rows = read_judgments(tmp_path / "out")
    assert len(rows) == 48
    outcomes = outcome_table(rows)
    by_language = {
        tag: outcomes.filter(pl.col("language") == tag)["value"].to_list() for tag in TAGS
    }
    assert by_language == {"de": [0.5] * 8, "tr": [0.5] + [1.0] * 7, "zh-Hans": [0.5] * 8}
    assert {row.strong for row in rows if row.verdict is Verdict.B} == {True, False}
    assert all(row.reason.startswith(("I looked", "not asked")) for row in rows)
    assert "new wins in tr; open in de zh-Hans" in output
    assert "3 not asked: the answers are equal, a tie" not in output
    assert "1 not asked: the answers are equal, a tie (de)" in output
    page = (tmp_path / "out" / "index.html").read_text("utf-8")
    for words in ("Türkçe", "the longer answer", "By languages seen in training", "flips",
                  "Arena-hard", "first preferred", "unseen"):  # fmt: skip
        assert words in page, words
    table = ScoreTable.read(tmp_path / "out" / "scores.parquet")
    (turkish,) = table.only(language="tr").by("task").iter_rows(named=True)
    assert (turkish["task"], turkish["value"]) == ("against_base_by_arena-hard@3", 7.5 / 8)


@pytest.mark.server
def test_a_judge_that_prefers_a_position_flips_everything_into_ties(sides, tmp_path, capsys):
    with serving(Planted(answer=first_wins)) as url:
        assert main(call_of(sides, url, tmp_path / "out")) == 0
    output = capsys.readouterr().out
    assert "win 0.0%, tie 100.0%, loss 0.0% of 24" in output
    assert "flips 100.0%, invalid 0.0%, first place preferred 100.0%" in output


@pytest.mark.server
def test_failures_of_the_server_change_no_verdict(tmp_path):
    texts = {}
    for name, mark in (("calm", "were"), ("stormy", "fail")):
        (tmp_path / name).mkdir()
        folder = tmp_path / name
        pair = (
            write_answers(folder / "base", "base", lambda i, tag: f"plain {i}", num=6),
            write_answers(
                folder / "new", "new",
                lambda i, tag, mark=mark: f"{'good' if i % 2 else 'bad'} [{mark}: {FAULTS[i]}]",
                num=6,
            ),
        )  # fmt: skip
        with serving(plan := Planted(answer=fair)) as url:
            assert main(call_of(pair, url, folder / "out")) == 0
        rows = read_judgments(folder / "out")
        texts[name] = [(r.id, r.language, r.swapped, r.verdict, r.strong, r.reason) for r in rows]
        assert set(plan.answered.values()) == {1}
    assert texts["calm"] == texts["stormy"]


@pytest.mark.server
def test_unreadable_and_silent_judges_are_counted_and_never_averaged(sides, tmp_path, capsys):
    def odd(text, _):
        first = answers_in(text)[0]
        return {"plain 1": "no label", "plain 2": " ", "plain 3": "[[C]]"}.get(first) or fair(
            text, _
        )

    with serving(Planted(answer=odd)) as url:
        assert main(call_of(sides, url, tmp_path / "out")) == 0
    output = capsys.readouterr().out
    assert "2 invalid: verdict without a label (tr)" in output
    assert "1 invalid: the judge said nothing (tr)" in output
    outcomes = outcome_table(read_judgments(tmp_path / "out"))
    turkish = outcomes.filter(pl.col("language") == "tr")
    assert turkish["value"].to_list() == [0.5, None, None, None, 1, 1, 1, 1]
    assert turkish["abstained"].to_list() == [0, 0, 1, 0, 0, 0, 0, 0]
    (turkish_scores,) = (
        ScoreTable.read(tmp_path / "out" / "scores.parquet").only(language="tr").by("task").rows()
    )
    assert turkish_scores[1:] == (4.5 / 5, 5, 3)


@pytest.mark.server
def test_several_judges_and_people_agree_and_self_judging_is_marked(sides, tmp_path, capsys):
    people = [
        Judgment(id=str(i), language="tr", model_a="new", model_b="base", verdict=Verdict.A,
                 judge="people", swapped=False)
        for i in range(1, 8)
    ]  # fmt: skip
    write_rows(tmp_path / "people.jsonl", Judgment, people)
    with (
        serving(Planted(answer=fair)) as fair_url,
        serving(Planted(answer=first_wins)) as biased_url,
    ):
        call = call_of(sides, fair_url, tmp_path / "out", "--judges", f"{biased_url}#new",
                       "--human", str(tmp_path / "people.jsonl"))  # fmt: skip
        assert main(call) == 0
    output = capsys.readouterr().out
    assert "agreement planted · new: " in output
    assert "agreement planted · people: 100.0% of 7" in output
    assert "agreement new · people: 0.0% of 7" in output
    assert re.search(r"agreement all: .* alpha ", output)
    assert read_json(tmp_path / "out" / "judging.json")["self_judged"] == [
        {"judge": "new", "model": "new"}
    ]
    page = (tmp_path / "out" / "index.html").read_text("utf-8")
    assert "new judged answers of new: its own" in page


@pytest.mark.server
def test_a_stopped_judgment_resumes(sides, tmp_path, capsys):
    with serving(plan := Planted(answer=fair)) as url:
        call = call_of(sides, url, tmp_path / "out", "--concurrency", "2")
        assert main([*call, "--max-requests", "11"]) == 1
        assert "the limit --max-requests 11 is reached" in capsys.readouterr().err
        assert main(call) == 0
        assert plan.requests == 42
        spent = read_json(tmp_path / "out" / "volatile.json")["judges"]["planted"]
        assert (spent["requests"], spent["served_model"]) == (42, "planted")
        started = time.monotonic()
        assert main(call) == 0
        assert time.monotonic() - started < 30
    assert plan.requests == 42


def test_a_local_judge_reads_the_protocol_of_aya(sides, tmp_path, capsys):
    text = "Preferred: Answer (A) Preferred: TIE Comparison: the answer is right " * 4
    tokenizer = train_bpe({"en": [text]}, vocab_size=330)
    import transformers

    write_checkpoint(tmp_path / "judge", tokenizer)
    config = transformers.AutoConfig.from_pretrained(tmp_path / "judge")
    assert config.max_position_embeddings == 512
    call = ["judge", *map(str, sides), "--judges", str(tmp_path / "judge"), "--preset", "aya",
            "--languages", "tr", "--max-new-tokens", "8", "--over-long", "cut", "--out",
            str(tmp_path / "out")]  # fmt: skip
    assert main(call) == 0
    output = capsys.readouterr().out
    rows = read_judgments(tmp_path / "out")
    assert len(rows) == 16
    judged = [row for row in rows if row.id != "0"]
    assert {row.verdict for row in judged} == {Verdict.INVALID}
    assert "no valid verdict" not in output  # the equal answers are a tie
    assert "cut: context longer than the model (judge judge)" in output
    assert sum(int(n) for n in re.findall(r"(\d+) invalid", output)) == 14


def test_answers_are_paired_by_prompt_language_and_sample(tmp_path):
    rows = [
        Generated(id=i, language=tag, sample=sample, model="m", answer=f"{i}{tag}{sample}",
                  prompt=i, stopped=stopped)
        for i, tag, sample, stopped in (
            ("1", "de", 0, "end"), ("1", "de", 1, "end"), ("1", "tr", 0, "end"),
            ("2", "de", 0, "refused"), ("3", "de", 0, "end"),
        )
    ]  # fmt: skip
    write_rows(tmp_path / "a.parquet", Generated, rows)
    write_rows(tmp_path / "b.parquet", Generated, rows[:2] + rows[3:])
    ledger = Ledger()
    a, b = (read_answers(tmp_path / f"{side}.parquet") for side in "ab")
    pairs = pair_answers(a, b, ledger)
    assert [(pair.a.id, pair.a.sample) for pair in pairs] == [("1", 0), ("1", 1), ("3", 0)]
    assert list(ledger.rows()) == [
        ("left out: an answer was refused or withheld", "de", 1),
        ("left out: only one model answered", "tr", 1),
    ]
    other = [Generated(id="1", language="de", sample=0, model="x", answer="y", prompt="another")]
    write_rows(tmp_path / "c.parquet", Generated, other)
    with pytest.raises(InputError, match="one text for m and another for x"):
        pair_answers(a, read_answers(tmp_path / "c.parquet"), Ledger())


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--judges", "http://127.0.0.1:9#planted"], "name each judge once"),
        (["--languages", "fr"], "no pair in fr"),
        (["--seen", "de,x!"], "--seen: unknown language 'x!'"),
        (["--seen", "sw"], "--seen sw: nothing is in these languages — there are"),
        (["--languages", "de,sw"], "no pair in sw — --languages: there are"),
        (["--human", "nowhere.jsonl"], "nowhere.jsonl: no judgments.parquet"),
        (["--judges", "nowhere"], "nowhere"),
    ],
)
def test_wrong_options_are_refused_with_one_line(sides, tmp_path, capsys, more, words):
    assert main(call_of(sides, "http://127.0.0.1:9", tmp_path / "out", *more)) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_people_who_judged_other_models_are_refused(sides, tmp_path, capsys):
    row = {"id": "1", "language": "tr", "model_a": "x", "model_b": "base", "verdict": "A",
           "judge": "p", "swapped": False}  # fmt: skip
    (tmp_path / "p.jsonl").write_text(json.dumps(row) + "\n")
    call = call_of(sides, "http://127.0.0.1:9", tmp_path / "out", "--human",
                   str(tmp_path / "p.jsonl"))  # fmt: skip
    assert main(call) == 2
    assert "a judgment of x and base, not of base and new" in capsys.readouterr().err


@pytest.mark.server
def test_winrate_reads_finished_judgments_and_those_of_people(sides, tmp_path, capsys):
    with (
        serving(Planted(answer=fair)) as fair_url,
        serving(Planted(answer=first_wins)) as biased_url,
    ):
        assert main(call_of(sides, fair_url, tmp_path / "fair")) == 0
        assert main(call_of(sides, biased_url, tmp_path / "biased", preset="m-arena-hard")) == 0
    capsys.readouterr()
    rows = read_judgments(tmp_path / "biased")
    by_people = [
        Judgment(id=r.id, language=r.language, model_a="new", model_b="base", judge="person",
                 verdict=r.verdict.swapped(), swapped=not r.swapped)
        for r in rows
    ]  # fmt: skip
    write_rows(tmp_path / "people.jsonl", Judgment, by_people)
    call = ["winrate", str(tmp_path / "fair"), str(tmp_path / "people.jsonl")]
    assert main([*call, "--out", str(tmp_path / "page")]) == 0
    output = capsys.readouterr().out
    assert output.startswith("new against base\nplanted: win 29.2%, tie 70.8%, loss 0.0% of 24")
    assert "person: win 0.0%, tie 100.0%" in output
    assert "agreement planted · person: 70.8% of 24, kappa 0.000" in output
    assert "people.jsonl" in (tmp_path / "page" / "index.html").read_text("utf-8")


def test_arena_hards_files_are_scored(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    labels = [("A>B", "B>A"), ("B>>A", "A>>B"), ("A=B", "A>B")]
    rows = [
        {"uid": str(i), "model": "m", "baseline": "b", "games": [{"score": x}, {"score": y}]}
        for i, (x, y) in enumerate(labels)
    ] + [{"uid": "x", "model": "m", "games": [None, {"score": "A>B"}]}]  # fmt: skip
    path = tmp_path / "m.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["winrate", str(path)]) == 0
    output = capsys.readouterr().out
    # Rows: 0 0, then 1 three times twice, then 1 and a half: 7.5 of 10.
    assert re.search(r"m +3 +75\.0 ", output)
    assert "1 left out: a game without a verdict (m)" in output
    assert main(["winrate", str(path), "--weight", "1"]) == 0
    assert re.search(r"m +3 +58\.3 ", capsys.readouterr().out)
    (tmp_path / "j.jsonl").write_text("{}\n")
    assert main(["winrate", str(path), str(tmp_path / "j.jsonl")]) == 2
    assert "give the two formats separately" in capsys.readouterr().err


@pytest.mark.server
def test_a_judge_without_a_valid_verdict_still_has_a_page(tmp_path, capsys):
    base = write_answers(tmp_path / "base", "base", lambda i, tag: f"plain {i}", num=3)
    new = write_answers(tmp_path / "new", "new", lambda i, tag: f"other {i}", num=3)
    with serving(Planted(answer=lambda text, _: "I like both.")) as url:
        assert main(call_of((base, new), url, tmp_path / "out")) == 0
    output = capsys.readouterr().out
    assert "no valid verdict" in output
    assert "invalid 100.0%" in output
    assert "100.0%" in (tmp_path / "out" / "index.html").read_text("utf-8")
