import json

import pytest

from polylect.base import InputError
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
