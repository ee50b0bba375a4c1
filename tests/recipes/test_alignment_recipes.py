"""The alignment recipes end to end: every stage there, the page, and the same bytes again."""

import json
import re

import polars as pl
import pytest
from align_cases import chat_rows, pair_rows, write_lines, write_model
from command_line import polylect, polylect_in_process

from polylect.base import Ledger, file_digests
from polylect.feedback.best_of_n import EQUAL, LOW, kept_groups
from polylect.training import Group


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipes")
    write_model(folder / "model")
    write_lines(folder / "pairs.jsonl", pair_rows(18))
    write_lines(folder / "prompts.jsonl", chat_rows(12, seed=1))
    write_lines(folder / "held.jsonl", pair_rows(6, seed=2))
    return folder


def options(place, *more):
    named = {"model": "model", "prompts": "prompts.jsonl", "held-out": "held.jsonl",
             "pairs": "pairs.jsonl"}  # fmt: skip
    words = [word for key, name in named.items() for word in (f"--{key}", str(place / name))]
    return [*words, "--max-new-tokens", "8", "--learning-rate", "1e-3", *more]


def stages_of(out, names, words):
    run = json.loads((out / "run.json").read_text())
    assert run["state"] == "done"
    assert set(names) <= set(run["steps"])
    page = (out / "index.html").read_text("utf-8")
    for word in words:
        assert word in page
    links = re.findall(r'href="([^"]+)"', page)
    assert links
    assert all((out / link).is_file() for link in links)
    return run


def test_polish_makes_pairs_and_every_stage_and_repeats_byte_for_byte(place, tmp_path):
    out = tmp_path / "polish"
    words = ["run", "polish", "--workers", "1", "--out", str(out), *options(place, "--cycles", "2")]
    done = polylect(*words)
    assert done.returncode == 0, done.stderr
    names = ["reward", "best-of-n", "pairs-1", "srpo-1", "copg-1", "pairs-2", "srpo-2", "copg-2"]
    stages_of(out, [*names, "answers-start", "answers-copg-2"], ["Right language", "copg-2"])
    before = file_digests(out)
    assert polylect(*words).returncode == 0
    assert file_digests(out) == before
    pairs = next(out.glob("steps/pairs-1-*")) / "pairs.jsonl"
    row = json.loads(pairs.read_text("utf-8").splitlines()[0])
    assert row["chosen_score"] > row["rejected_score"]
    look = next(out.glob("steps/answers-start-*"))
    assert len(pl.read_parquet(look / "answers.parquet")) == 6


def test_rounds_merge_after_every_round_and_show_every_stage(place, tmp_path):
    out = tmp_path / "rounds"
    words = options(place, "--rounds", "2", "--reward", "language")
    done = polylect("run", "rounds", "--out", str(out), *words)
    assert done.returncode == 0, done.stderr
    names = ["offline", "round-1", "merged-1", "round-2", "merged-2"]
    stages_of(out, names, ["merged-2", "mean of languages"])


def test_neither_reward_nor_preferences_is_refused_in_one_line(place, tmp_path):
    words = options(place)
    at = words.index("--pairs")
    words = [*words[:at], *words[at + 2 :]]
    done = polylect_in_process("run", "polish", "--out", str(tmp_path / "out"), *words)
    assert done.returncode == 2
    assert "--pairs FILE trains a reward model" in done.stderr


@pytest.mark.parametrize("option", ["--model", "--prompts", "--held-out"])
def test_a_file_that_nobody_gave_is_named_by_its_option(place, tmp_path, monkeypatch, option):
    monkeypatch.chdir(tmp_path)
    words = options(place)
    at = words.index(option)
    words = [*words[:at], *words[at + 2 :]]
    done = polylect_in_process("run", "polish", "--out", "out", *words)
    assert done.returncode == 2
    assert f"{option}: " in done.stderr
    assert f"give {option} PATH" in done.stderr


@pytest.mark.parametrize(
    ("recipe", "stages"),
    [
        ("polish", ["reward: at most 18 pairs, 3 updates", "srpo-1: at most 9 prompts, 2 updates"]),
        ("rounds", ["offline: at most 18 pairs", "round-3: at most 12 prompts, 2 updates"]),
    ],
)
def test_a_dry_run_says_what_and_writes_nothing(place, tmp_path, recipe, stages):
    out = tmp_path / "out"
    done = polylect_in_process("run", recipe, "--out", str(out), "--dry-run", *options(place))
    assert done.returncode == 0, done.stderr
    for words in [*stages, "57,072 parameters", "held out: 6 (de 2, en 2, tr 2)"]:
        assert words in done.stdout
    assert not out.exists()


def group(language, rewards, answers=("a", "b")):
    return Group(0, 0, language, (("user", "x"),), answers, ((1,), (2,)), ("end", "end"),
                 rewards, (True, True), (0.0, 0.0))  # fmt: skip


def test_low_prompts_are_left_out_language_by_language():
    rich = [group("de", (10.0 + i, 11.0 + i)) for i in range(5)]
    poor = [group("hi", (float(i), i + 0.5)) for i in range(5)]
    alike = [group("tr", (1.0, 1.0)), group("tr", (1.0, 2.0), ("a", "a")), group("tr", (3.0, 1.0))]
    ledger = Ledger()
    kept = kept_groups([*rich, *poor, *alike], 0.2, ledger)
    assert [group.language for group in kept] == ["de"] * 4 + ["hi"] * 4 + ["tr"]
    assert rich[0] not in kept
    assert poor[0] not in kept
    counts = {(event, where): num for event, where, num in ledger.rows()}
    assert counts == {(LOW, "de"): 1, (LOW, "hi"): 1, (EQUAL, "tr"): 2}
