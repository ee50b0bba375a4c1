"""``train.sft``, ``preference``, ``reward`` and ``online``: in Python and as commands."""

import dataclasses
import json
from typing import get_args

import pytest
from align_cases import CHATML, chat_rows, pair_rows, write_lines, write_model
from command_line import run_verb

import polylect
from polylect.api.option_fields import option_fields
from polylect.api.training_options import OnlineOptions, PreferenceOptions
from polylect.base import InputError
from polylect.training import (
    ONLINE_OPTIONS,
    PREFERENCE_OPTIONS,
    Objective,
    OnlineConfig,
    OnlineObjective,
    PreferenceConfig,
)

FEW = {"epochs": 0.5, "micro_batch_tokens": 200, "batch_size": 2}
KINDS = ("sft", "preference", "reward", "online")
MORE = {
    "sft": {"probes": 0, "turns": "last"},
    "preference": {"probes": 0, "objective": "ipo", "beta": 0.2},
    "reward": {},
    "online": {"reward": "language", "max_new_tokens": 4, "num_samples": 2},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("train")
    write_model(folder / "model", template=CHATML)
    write_lines(folder / "sft.jsonl", chat_rows(4))
    for kind in ("preference", "reward"):
        write_lines(folder / f"{kind}.jsonl", pair_rows(4))
    prompts = [{"prompt": row["prompt"], "language": row["language"]} for row in pair_rows(4)]
    write_lines(folder / "online.jsonl", prompts)
    return folder


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in {"volatile.json", "log.txt"}
    }


def words_of(options):
    return [word for name, value in options.items()
            for word in (f"--{name.replace('_', '-')}", value)]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_python_and_the_command_write_the_same_bytes(kind, place, capsys, monkeypatch):
    monkeypatch.chdir(place)
    train = getattr(polylect.train, kind)
    made = train("model", f"{kind}.jsonl", **FEW, **MORE[kind])
    assert made.path.parent.name == "runs"
    assert made.path.name.startswith(f"train-{kind}-")
    run_verb(f"train {kind}", "--model", "model", "--data", f"{kind}.jsonl",
             *words_of(FEW | MORE[kind]), "--out", f"{kind}-by-command", "--json")  # fmt: skip
    ours, theirs = files(made.path), files(place / f"{kind}-by-command")
    # The manifest of a step has its label, which is the folder's name.
    for name, content in ours.items():
        assert (
            content.replace(made.path.name.encode(), f"{kind}-by-command".encode())
            == (theirs[name])
        ), name
    assert set(ours) == set(theirs)
    assert json.loads(capsys.readouterr().out) == made.rows()
    assert made.page.is_file()
    assert made.table()["step"].to_list() == list(range(1, made.table().height + 1))


@pytest.mark.parametrize("kind", KINDS)
def test_a_dry_run_writes_nothing_and_takes_rows(kind, place, monkeypatch):
    monkeypatch.chdir(place)
    before = files(place)
    lines = (place / f"{kind}.jsonl").read_text("utf-8").splitlines()
    train = getattr(polylect.train, kind)
    plan = train(place / "model", list(map(json.loads, lines)), **MORE[kind], dry_run=True)
    assert any("parameters" in line for line in plan.lines())
    assert files(place) == before


def test_every_objective_says_what_it_uses():
    for table, objectives, config in (
        (PREFERENCE_OPTIONS, Objective, PreferenceConfig),
        (ONLINE_OPTIONS, OnlineObjective, OnlineConfig),
    ):
        assert set(table) == set(get_args(objectives))
        names = {field.name for field in dataclasses.fields(config)}
        assert {name for used in table.values() for name in used} <= names


CHANGED = {"beta": 0.3, "label_smoothing": 0.1, "alpha": 0.2, "margin": 0.7, "sft_weight": 0.4,
           "self_refine_prompt": "Better?"}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "objective", "name"),
    [
        (kind, objective, name)
        for kind, table in (("preference", PREFERENCE_OPTIONS), ("online", ONLINE_OPTIONS))
        for objective in table
        for name in sorted({option for used in table.values() for option in used})
        if name not in table[objective]
    ],
)
def test_what_an_objective_does_not_use_is_refused(kind, objective, name, place):
    train = getattr(polylect.train, kind)
    more = {"reward": "language"} if kind == "online" else {}
    with pytest.raises(InputError) as caught:
        train(place / "model", place / "preference.jsonl", objective=objective,
              **{name: CHANGED[name]}, **more)  # fmt: skip
    words = str(caught.value)
    assert f"{name} has no effect: {objective} does not use it — leave it out" in words
    assert caught.value.hint.split("objective")[1]


def test_options_of_other_kinds_are_no_options():
    names = {field.key for field in option_fields(PreferenceOptions)}
    assert {"objective", "margin", "probes", "weight_decay", "shares", "held_out"} <= names
    assert not {"turns", "stages", "reward", "num_samples", "examples"} & names
    assert not {"turns", "probes", "held_out"} & {f.key for f in option_fields(OnlineOptions)}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"objective": "dop"}, "objective is 'dop' — did you mean dpo?"),
        ({"turns": "last"}, "train.preference: no option 'turns'"),
        (
            {"mixture": [{"part": 1}], "shares": {"de": 1}},
            "mixture beside shares or language_temperature",
        ),
        ({"mixture": [{"prt": 1}]}, "stage 1: "),
        ({"shares": {"de": -1}}, "shares de is -1.0 — give 0 or more"),
        ({"probes": 0, "probe_tokens": 9}, "probe_tokens has no effect: probes=0 asks nothing"),
        ({"lora_alpha": 3}, "lora_alpha without lora_rank"),
    ],
)
def test_what_does_not_fit_is_one_line(options, words, place):
    with pytest.raises(InputError) as caught:
        polylect.train.preference(place / "model", place / "preference.jsonl", **options)
    assert words in str(caught.value)
