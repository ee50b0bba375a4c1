import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_line import run_verb

from polylect.base import InputError


def run(*arguments):
    return run_verb("rank", *arguments)


@pytest.fixture
def votes(tmp_path):
    rng = np.random.default_rng(0)
    strength = np.linspace(0.6, -0.6, 5)
    rows = []
    for k in range(1500):
        a, b = rng.permutation(5)[:2]
        win = rng.random() < 1 / (1 + np.exp(strength[b] - strength[a]))
        verdict = "TIE" if rng.random() < 0.2 else "A" if win else "B"
        rows.append(
            {
                "model_a": "vwxyz"[a],
                "model_b": "vwxyz"[b],
                "verdict": verdict,
                "language": ["ar", "de"][k % 2],
                "voter": f"u{k % 50}",
                "time": f"2025-01-{1 + k // 50:02}",
                "length_a": int(rng.integers(1, 99)),
                "length_b": int(rng.integers(1, 99)),
            }
        )
    path = tmp_path / "votes.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def board_of(out):
    page = (out / "board.html").read_text()
    assert "http" not in page.replace("http-equiv", "")
    assert "<script" not in page
    return json.loads((out / "board.json").read_text())


def test_the_board_has_ratings_intervals_ranks_and_counts(votes, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(votes, "--anchor", "x=1100", "--out", out) == 0
    board = board_of(out)
    assert [row["model"] for row in board["ratings"]] == list("vwxyz")
    assert [row["rank"] for row in board["ratings"]] == [1, 2, 3, 4, 5]
    assert board["ratings"][2]["rating"] == pytest.approx(1100)
    for row in board["ratings"]:
        assert row["lower"] < row["rating"] < row["upper"]
        assert row["rank_low"] <= row["rank"] <= row["rank_high"]
    assert sum(row["battles"] for row in board["ratings"]) == 2 * board["votes"] == 3000
    assert board["gradient_norm"] < 1e-12
    assert board["components"] == [["v", "w", "x", "y", "z"]]
    assert board["boards"] == []
    assert sum(board["shares"].values()) == pytest.approx(1.0)
    assert "1,500 votes" in capsys.readouterr().out


def test_the_same_input_gives_the_same_bytes(votes, tmp_path):
    for name in ("first", "second"):
        run(votes, "--bootstrap", 100, "--cluster", "voter", "--out", tmp_path / name)
    for file in ("board.json", "board.html"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()


def test_an_anchor_only_shifts(votes, tmp_path):
    run(votes, "--out", tmp_path / "first")
    run(votes, "--anchor", "v=0", "--out", tmp_path / "second")
    plain, anchored = (board_of(tmp_path / name)["ratings"] for name in ("first", "second"))
    for a, b in zip(plain, anchored, strict=True):
        assert a["upper"] - a["lower"] == pytest.approx(b["upper"] - b["lower"], abs=1e-9)
        assert a["rating"] - plain[0]["rating"] == pytest.approx(b["rating"], abs=1e-9)
    assert np.mean([row["rating"] for row in plain]) == pytest.approx(1000.0)


@pytest.mark.parametrize(
    "options",
    [
        ("--tie-model", "davidson"),
        ("--tie-model", "rao-kupper"),
        ("--bootstrap", 100),
        ("--cluster", "voter"),
        ("--cluster", "voter", "--bootstrap", 100),
        ("--reweight", 50, "--bootstrap", 100),
        ("--prior", 200),
        ("--features", "length"),
        ("--contrast", "w"),
        ("--by", "language"),
    ],
)
def test_every_option_gives_a_board_that_says_so(votes, tmp_path, options):
    assert run(votes, *options, "--out", tmp_path / "out") == 0
    board = board_of(tmp_path / "out")
    text = board["method"] + board["interval"] + json.dumps(board["strata"])
    text += json.dumps(board["ratings"][0])
    word = {"--tie-model": "ties", "--contrast": "difference", "--by": '"ar"'}
    word |= {"--features": "length", "--cluster": "by voter", "--reweight": "reweighted"}
    assert word.get(options[0], options[0][2:]) in text
    assert board["ratings"][0]["model"] == "v"
    if options[0] == "--by":
        assert list(board["strata"]) == ["ar", "de"]


def test_islands_are_refused_with_a_board_each(tmp_path, capsys):
    path = tmp_path / "votes.jsonl"
    rows = [
        ("a", "b", "A"),
        ("b", "a", "A"),
        ("c", "d", "TIE"),
        ("c", "d", "A"),
        ("x", "c", "INVALID"),
    ]
    path.write_text(
        "".join(
            json.dumps(dict(zip(("model_a", "model_b", "verdict"), r, strict=True))) + "\n"
            for r in rows
        )
    )
    assert run(path, "--out", tmp_path / "out") == 3
    board = board_of(tmp_path / "out")
    assert board["ratings"] == []
    assert board["components"] == [["a", "b"], ["c", "d"]]
    assert [{row["model"] for row in rows} for rows in board["boards"]] == [{"a", "b"}, {"c", "d"}]
    assert board["unfought"] == ["x"]
    assert board["ledger"] == [{"event": "dropped: invalid verdict", "where": "", "count": 1}]
    output = capsys.readouterr()
    assert "no votes link 2 groups of models (a, b; c, d)" in output.err
    assert "Group 1 of 2: 2 models, 2 votes; their mean is 1000, a scale of its own" in output.out
    assert run(path, "--anchor", "d=1200", "--out", tmp_path / "anchored") == 3
    output = capsys.readouterr().out
    assert "Group 1 of 2: 2 models, 2 votes; their mean is 1000" in output
    assert "Group 2 of 2: 2 models, 2 votes; d = 1200" in output


@pytest.mark.parametrize("bridges", [1, 3])
def test_one_sided_votes_between_halves_leave_both_their_boards(tmp_path, capsys, bridges):
    rng = np.random.default_rng(0)
    rows = []
    for half, num in (("x", 5), ("y", 4)):
        for _ in range(300):
            a, b = rng.choice(num, 2, replace=False)
            rows.append((f"{half}{a}", f"{half}{b}", rng.choice(["A", "B", "TIE"])))
    rows += [("x0", "y0", "A")] * bridges + [("lone", "x1", "A")] * 2
    path = tmp_path / "votes.jsonl"
    keys = ("model_a", "model_b", "verdict")
    text = "".join(json.dumps(dict(zip(keys, map(str, r), strict=True))) + "\n" for r in rows)
    path.write_text(text)
    assert run(path, "--out", tmp_path / "out") == 3
    board = board_of(tmp_path / "out")
    assert len(board["components"]) == 1
    shown = [sorted(row["model"] for row in rows) for rows in board["boards"]]
    assert shown == [[f"x{i}" for i in range(5)], [f"y{i}" for i in range(4)]]
    assert [group["votes"] for group in board["groups"]] == [300, 300]
    assert board["votes"] == 600 + bridges + 2
    counted = {entry["event"]: entry["count"] for entry in board["ledger"]}
    assert counted == {"not in a rating: vote across a one-sided cut": bridges + 2}
    assert {bound["on_scale_of_group"] for bound in board["separated"]} == {1}
    output = capsys.readouterr()
    assert "Group 2 of 2: 4 models, 300 votes" in output.out
    assert "no rating on the scale of group 1 (below, mean ≤" in output.out
    assert "not linked by votes in both directions" in output.err
    assert "Group 2 of 2" in (tmp_path / "out" / "board.html").read_text()
    # The second board is the same as without the first half.
    alone = tmp_path / "alone.jsonl"
    alone.write_text(
        "".join(line + "\n" for line in text.split("\n") if '"y' in line and "x" not in line)
    )
    assert run(alone, "--out", tmp_path / "second") == 0
    for row, same in zip(board["boards"][1], board_of(tmp_path / "second")["ratings"], strict=True):
        assert row["rating"] == pytest.approx(same["rating"], abs=1e-6)


def test_who_only_won_is_named_with_a_bound_and_has_no_rank(votes, tmp_path):
    table = pq.read_table(votes, columns=["model_a", "model_b", "verdict"]).to_pylist()
    table += [{"model_a": "top", "model_b": "v", "verdict": "A"}] * 4
    table += [{"model_a": "low", "model_b": "z", "verdict": "B"}] * 3
    path = tmp_path / "more.parquet"
    pq.write_table(pa.Table.from_pylist(table), path)
    assert run(path, "--out", tmp_path / "out") == 0
    board = board_of(tmp_path / "out")
    assert [row["model"] for row in board["ratings"]] == list("vwxyz")
    bounds = {entry["models"][0]: entry for entry in board["separated"]}
    assert bounds["top"]["side"] == "above"
    assert bounds["low"]["side"] == "below"
    # 4 wins against v, 3 losses against z: 0.05 ** (1 / 4) and 0.05 ** (1 / 3) as odds.
    best, worst = board["ratings"][0]["rating"], board["ratings"][-1]["rating"]
    for gap, num in ((bounds["top"]["limit"] - best, 4), (worst - bounds["low"]["limit"], 3)):
        assert (1 / (1 + 10 ** (-gap / 400))) ** num == pytest.approx(0.05, rel=1e-6)
    counted = {entry["event"]: entry["count"] for entry in board["ledger"]}
    assert counted == {"not in a rating: vote across a one-sided cut": 7}
    with pytest.raises(InputError, match="anchor 'top' has no finite rating"):
        run(path, "--anchor", "top=1000", "--out", tmp_path / "anchored")
    assert run(path, "--prior", 200, "--out", tmp_path / "prior") == 0
    board = board_of(tmp_path / "prior")
    assert [row["model"] for row in board["ratings"]][0::6] == ["top", "low"]
    assert "normal prior of sd 200 Elo" in board["method"]
    assert board["separated"] == []


def test_only_one_sided_votes_have_no_board(tmp_path, capsys):
    path = tmp_path / "votes.jsonl"
    vote = '{"model_a": "%s", "model_b": "%s", "verdict": "A"}\n'
    path.write_text(vote % ("b", "c") + vote % ("a", "b") * 3 + vote % ("a", "c"))
    assert run(path, "--out", tmp_path / "out") == 3
    board = board_of(tmp_path / "out")
    assert board["ratings"] == []
    assert board["boards"] == [[]]
    # There is no scale: who won and lost is named, without a limit.
    sides = [(*part["models"], part["side"], part["limit"]) for part in board["separated"]]
    assert sides == [("a", "won", None), ("b", "between", None), ("c", "lost", None)]
    assert [part["num_votes"] for part in board["separated"]] == [4, 4, 2]
    output = capsys.readouterr()
    assert "every model only won or only lost" in output.err
    assert "no rating (above: won every vote): a" in output.out
    assert "no rating (below: lost every vote): c" in output.out
    assert "≤" not in output.out
    page = (tmp_path / "out" / "board.html").read_text()
    assert "lost every vote" in page
    assert "at most" not in page


def test_the_best_of_several_is_corrected(votes, tmp_path):
    arguments = (votes, "--best-of", "v=3", "--variants", "v", "w", "x", "--spread", 20)
    assert run(*arguments, "--chosen-at", "2025-01-15", "--out", tmp_path / "out") == 0
    (chosen,) = board_of(tmp_path / "out")["selections"]
    estimates = " / ".join(score["estimate"] for score in chosen["scores"])
    assert estimates.startswith(
        "as shown, not corrected / bounds from N = 3 alone / N = 3 and a spread"
    )
    assert "all 3 scores / its" in estimates
    assert "votes cast after the choice" in estimates
    assert chosen["fresh_votes"] == ""
    assert "polyline" in (tmp_path / "out" / "board.html").read_text()
    run(votes, "--best-of", "v=3", "--out", tmp_path / "out", "--force")
    (chosen,) = board_of(tmp_path / "out")["selections"]
    assert "give --chosen-at" in chosen["fresh_votes"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--anchor", "v"), "--anchor 'v' is not MODEL=SCORE"),
        (("--anchor", "v=high"), "is not MODEL=SCORE"),
        (("--anchor", "vv=3"), "no model 'vv'"),
        (("--contrast", "q"), "no model 'q'"),
        (("--bootstrap", -1), "--bootstrap is -1"),
        (("--prior", "nan"), "--prior is nan"),
        (("--prior", 0), "--prior is 0"),
        (("--prior", "1e-9"), "--prior is 1e-09 — give 1 or more"),
        (("--reweight", 0), "--reweight is 0"),
        (("--best-of", "v"), "--best-of 'v' is not MODEL=N"),
        (("--best-of", "v=1"), "is not MODEL=N"),
        (("--best-of", "q=2"), "no model 'q'"),
        (("--best-of", "w=2", "--variants", "v", "w"), "'v' has a higher score than 'w'"),
        (("--spread", 3), "--spread goes with --best-of"),
        (("--best-of", "v=2", "--chosen-at", "soon"), "--chosen-at is 'soon'"),
        (("--features", "height"), "no column 'height_a'"),
        (
            ("--features", "length", "--bootstrap", 5),
            "--bootstrap with --features: it goes with plain",
        ),
        (("--cluster", "voter", "--prior", 100), "neither weights nor a prior"),
        (("--by", "category"), "no column 'category'"),
    ],
)
def test_wrong_options_are_one_line(votes, tmp_path, arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        run(votes, *arguments, "--out", tmp_path / "out")
    assert "\n" not in str(caught.value)


def test_names_are_escaped(tmp_path):
    path = tmp_path / "votes.jsonl"
    names = ("<b>&\"'", "نموذج")
    rows = [
        {"model_a": names[0], "model_b": names[1], "verdict": "A", "count": 3},
        {"model_a": names[1], "model_b": names[0], "verdict": "A", "count": 2},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run(path, "--out", tmp_path / "out")
    page = (tmp_path / "out" / "board.html").read_text()
    assert "<b>&" not in page
    assert "<bdi>&lt;b&gt;&amp;&quot;&#x27;</bdi>" in page
    assert "<bdi>نموذج</bdi>" in page


def test_a_part_that_cannot_be_ranked_does_not_take_the_board_away(votes, tmp_path):
    rows = pq.read_table(votes, columns=["model_a", "model_b", "verdict", "language"]).to_pylist()
    few = [{"model_a": "v", "model_b": "w", "language": "he"} | {"verdict": v} for v in "ABA"]
    lone = [{"model_a": "v", "model_b": "w", "language": "ja", "verdict": "A"}]
    path = tmp_path / "more.parquet"
    pq.write_table(pa.Table.from_pylist(rows + few + lone), path)
    assert run(path, "--by", "language", "--bootstrap", 100, "--out", tmp_path / "out") == 0
    strata = board_of(tmp_path / "out")["strata"]
    assert len(strata["de"][0]["ratings"]) == 5
    assert strata["he"][0]["ratings"] == []
    assert "won or lost every vote" in strata["he"][0]["method"]
    assert "no two models have finite ratings" in strata["ja"][0]["method"]


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from polylect.cli import main; main(['rank', '--help']); "
        "print('numpy' in sys.modules, 'pyarrow' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.split()[-2:] == ["False", "False"]
