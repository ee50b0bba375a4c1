"""Every command that writes ``--out``: found again, refused by name, replaced whole."""

import json

import numpy as np
import pytest

from polylect.cli import main
from polylect.rows import Judgment, ScoreTable, write_rows

VOTES = [
    {"model_a": a, "model_b": b, "verdict": verdict, "voter": "u", "time": 1.7e9 + 60 * number}
    for number, (a, b, verdict) in enumerate([("x", "y", "A"), ("y", "x", "A"), ("x", "y", "TIE")])
]


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


@pytest.fixture
def inputs(tmp_path):
    """One small file of every kind that a command reads."""
    folder = tmp_path / "inputs"
    folder.mkdir()
    write_lines(folder / "votes.jsonl", VOTES)
    right = np.random.default_rng(0).random(40) < 0.5
    for name in ("before", "after"):
        ScoreTable.from_rows(
            {"checkpoint": name, "task": "t@1", "language": "de", "item": str(item),
             "metric": "acc", "value": float(value), "chance": 0.25}
            for item, value in enumerate(right)
        ).write(folder / f"{name}.parquet")  # fmt: skip
    text = "Das ist ein ganz gewöhnlicher deutscher Satz mit vielen Wörtern darin."
    (folder / "answers.csv").write_text(f"completion,source,language\n{text},s,de\n", "utf-8")
    judgments = [
        Judgment(id=str(number), language="de", model_a="a", model_b="b", judge="person",
                 verdict="A", swapped=bool(number % 2))
        for number in range(4)
    ]  # fmt: skip
    write_rows(folder / "judgments.jsonl", Judgment, judgments)
    write_lines(folder / "p.jsonl", [
        {"user": user, "chosen": "a", "rejected": "b", "language": "de"} for user in "uvw"
    ])  # fmt: skip
    return folder


COMMANDS = {
    "rank": (["votes.jsonl"], ["--seed", "1"], "seed 0 → 1", "board.html"),
    "audit": (["votes.jsonl"], ["--cap", "2"], "cap 3 → 2", "audit.html"),
    "compare": (
        ["before.parquet", "after.parquet"], ["--level", "0.9"], "level 0.95 → 0.9", "index.html",
    ),
    "confusion": (
        ["answers.csv"], ["--identifiers", "polylect"],
        'identifier ["benchmark", "polylect"] → ["polylect"]', "index.html",
    ),
    "winrate": (["judgments.jsonl"], ["--seen", "de"], 'seen [] → ["de"]', "index.html"),
    "people": (["describe", "p.jsonl"], ["--resamples", "9"], "resamples 200 → 9", "index.html"),
    "simulate": (["task-mix", "--worlds", "2"], ["--seed", "3"], "seed 0 → 3", "simulate.json"),
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_an_earlier_result_is_found_refused_or_replaced(
    command, inputs, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(inputs)
    words, change, difference, page = COMMANDS[command]
    out = tmp_path / "out"
    call = [command, *words, "--out", str(out)]
    assert main(call) == 0
    first = (out / page).read_bytes()
    assert f"{out / page}\n" in capsys.readouterr().out
    assert main(call) == 0
    output = capsys.readouterr()
    assert output.err == f"polylect: {out}: this result is there already\n"
    assert f"{out / page}" in output.out
    assert main([*call, *change]) == 2
    assert capsys.readouterr().err == (
        f"polylect: {out}: holds another result ({difference}) — --force replaces it, or choose "
        "another --out DIR\n"
    )
    assert (out / page).read_bytes() == first
    assert main([*call, *change, "--force"]) == 0
    assert capsys.readouterr().err == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inputs", "out"]
    assert main([*call, *change]) == 0
    assert "there already" in capsys.readouterr().err


def test_another_input_is_named(inputs, tmp_path, capsys):
    call = ["rank", str(inputs / "votes.jsonl"), "--out", str(tmp_path / "out")]
    assert main(call) == 0
    write_lines(inputs / "votes.jsonl", [*VOTES, VOTES[0]])
    assert main(call) == 2
    assert "holds another result (input votes " in capsys.readouterr().err
