import json

import pytest
from command_line import run_verb

from polylect.base import InputError, UndecidableError


def run_what(what, *arguments):
    return run_verb(f"simulate {what}", *arguments)


def run(out, *arguments):
    assert run_what(*arguments, "--out", out) == 0
    return json.loads((out / "simulate.json").read_text())


def test_the_two_simulations_of_the_paper_write_their_results(tmp_path, capsys):
    mix = run(tmp_path, "task-mix", "--worlds", 20)
    assert mix["with_retired"] == ["B", "A", "C", "D"]
    hole = run(tmp_path / "hole", "sparse-graph", "--worlds", 10)
    assert hole["refused"] == 1.0
    assert "no joint rank for D" in capsys.readouterr().out


def test_rigging_retirement_and_sampling_run_on_a_file_of_votes(planted, tmp_path):
    votes = planted / "battles.jsonl"
    rig = run(tmp_path, "rigging", votes, "--target", "mid-1", "--accounts", 40, "--worlds", 1)
    # On a board of twelve models rankings of one's own explain more than on one of 129.
    assert 0.2 <= rig["replays"][0]["found"] <= 0.7
    assert rig["target_known"]
    gone = run(tmp_path / "gone", "retire", votes, "--targets", "old-1", "old-2")
    assert gone["retired"] == ["old-1", "old-2"]
    rules = run(
        tmp_path / "rules",
        "sampling",
        "--votes",
        votes,
        "--width",
        60,
        "--registry",
        planted / "registry.jsonl",
    )["rules"]
    parts = {run_of_rule["rule"]: run_of_rule["least_part"]["license"] for run_of_rule in rules}
    assert parts["recorded shares"] < 0.6
    assert parts["recorded shares, fair 0.9"] > 0.8


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rigging"], "VOTES and --target are missing"),
        (["rigging", "--target", "x"], "VOTES is missing"),
        (["retire", "v.jsonl"], "--targets is missing"),
        (["retire", "v.jsonl", "--target", "a"], "--target is now --targets"),
        (["sampling", "v.jsonl", "--width", "0"], "--width"),
        (["task-mix", "--worlds", "0"], "--worlds"),
        (["task-mix", "--accounts", "5"], "unknown option --accounts"),
        (["retire", "v.jsonl", "--targets", "a", "--width", "9"], "unknown option --width"),
        (["task-mix", "--votes", "v.jsonl"], "unknown option --votes"),
        (["rigging", "v.jsonl", "--target", "m", "--honest-share", "2"], "--honest-share"),
    ],
)
def test_wrong_options_are_refused_by_name(arguments, words):
    with pytest.raises(InputError) as caught:
        run_what(*arguments)
    assert words in str(caught.value)


def test_unknown_models_are_named(planted, tmp_path):
    with pytest.raises(InputError, match="did you mean mid-1"):
        run_what("rigging", planted / "battles.jsonl", "--target", "mid1")


def test_models_without_a_finite_rating_are_left_out_and_said(tmp_path, capsys):
    votes = tmp_path / "votes.jsonl"
    rows = [("a", "b", "A"), ("b", "c", "A"), ("c", "a", "A"), ("b", "a", "A")] * 5
    rows += [("a", "winless", "A")] * 3 + [("x", "y", "A"), ("y", "x", "A")]
    votes.write_text(
        "".join(
            json.dumps({"model_a": a, "model_b": b, "verdict": verdict}) + "\n"
            for a, b, verdict in rows
        )
    )
    result = run(tmp_path / "out", "retire", votes, "--targets", "c")
    assert result["replayed_on"] == {
        "models": 3, "left_out": ["winless", "x", "y"], "votes": 20.0, "votes_left_out": 5.0
    }  # fmt: skip
    out = capsys.readouterr().out
    assert out.startswith(
        "3 of 6 models, 20 of 25 votes: left out are models without a finite rating on their scale"
        " (winless, x, y)\n"
    )
    with pytest.raises(
        UndecidableError, match=r"'winless' has no finite rating .* \(3 of 6 models"
    ):
        run(tmp_path / "no", "retire", votes, "--targets", "winless")
    with pytest.raises(InputError, match="no model 'd' among 6"):
        run(tmp_path / "no", "retire", votes, "--targets", "d")


def test_what_a_retirement_leaves_without_a_rating_is_said(tmp_path, capsys):
    votes = tmp_path / "votes.jsonl"
    rows = [("a", "b", "A"), ("b", "a", "A"), ("a", "c", "A"), ("c", "a", "A")] * 4
    rows += [("d", "c", "A"), ("a", "d", "A")] * 4 + [("b", "c", "A"), ("c", "b", "A")] * 4
    votes.write_text(
        "".join(
            json.dumps({"model_a": a, "model_b": b, "verdict": verdict}) + "\n"
            for a, b, verdict in rows
        )
    )
    run(tmp_path / "out", "retire", votes, "--targets", "a")
    assert "now only won or only lost, so without a rating: d" in capsys.readouterr().out
