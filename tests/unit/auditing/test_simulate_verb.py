import json

import pytest

from polylect.base import InputError, UndecidableError
from polylect.cli.simulate import main


def run(out, *arguments):
    assert main([*map(str, arguments), "--out", str(out)]) == 0
    return json.loads((out / "simulate.json").read_text())


def test_the_two_simulations_of_the_paper_write_their_results(tmp_path, capsys):
    mix = run(tmp_path, "task-mix", "--worlds", 20)
    assert mix["with_retired"] == ["B", "A", "C", "D"]
    hole = run(tmp_path / "hole", "sparse-graph", "--worlds", 10)
    assert hole["refused"] == 1.0
    assert "no joint rank for D" in capsys.readouterr().out


def test_rigging_retirement_and_sampling_run_on_a_file_of_votes(planted, tmp_path):
    votes = planted / "battles.jsonl"
    rig = run(
        tmp_path, "rigging", "--votes", votes, "--target", "mid-1", "--accounts", 40, "--worlds", 1
    )
    # On a board of twelve models rankings of one's own explain more than on one of 129.
    assert 0.2 <= rig["replays"][0]["found"] <= 0.7
    assert rig["target_known"]
    gone = run(tmp_path / "gone", "retire", "--votes", votes, "--target", "old-1", "old-2")
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
        (["rigging"], "one target"),
        (["rigging", "--target", "x"], "--votes"),
        (["retire"], "--target"),
        (["sampling", "--width", "0"], "--width"),
        (["task-mix", "--accounts", "0"], "--accounts"),
        (["task-mix", "--accounts", "5"], "--accounts belongs to rigging"),
        (["retire", "--target", "a", "--width", "9"], "--width belongs to sampling"),
        (["task-mix", "--votes", "v.jsonl"], "--votes belongs to rigging and sampling and retire"),
        (["rigging", "--honest-share", "2"], "--honest-share"),
        (["voting"], "voting"),
    ],
)
def test_wrong_options_are_refused_by_name(arguments, words):
    with pytest.raises(InputError) as caught:
        main(arguments)
    assert words in str(caught.value)


def test_unknown_models_are_named(planted, tmp_path):
    with pytest.raises(InputError, match="did you mean mid-1"):
        main(["rigging", "--votes", str(planted / "battles.jsonl"), "--target", "mid1"])


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
    result = run(tmp_path / "out", "retire", "--votes", votes, "--target", "c")
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
        run(tmp_path / "no", "retire", "--votes", votes, "--target", "winless")
    with pytest.raises(InputError, match="no model 'd' among 6"):
        run(tmp_path / "no", "retire", "--votes", votes, "--target", "d")


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
    run(tmp_path / "out", "retire", "--votes", votes, "--target", "a")
    assert "now only won or only lost, so without a rating: d" in capsys.readouterr().out
