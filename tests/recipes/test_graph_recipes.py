"""Experts and soups, clusters of languages: merged as said, and refused in one line."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
from align_cases import chat_rows, pair_rows, write_lines, write_model
from command_line import changed, polylect, polylect_in_process
from test_alignment_recipes import stages_of

from polylect.base import InputError, file_digests
from polylect.checkpoints import Checkpoint, read_floats
from polylect.recipes.alignment.experts import check_anchors, soup, train_experts
from polylect.runs import Call, Files, Run
from polylect.training import ExamplesConfig, OptimConfig, SftConfig, sft

CLUSTERS = ["--clusters", "north=en,de", "south=en,tr", "--anchors", "en"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("graphs")
    write_model(folder / "model")
    write_lines(folder / "pairs.jsonl", pair_rows(6))
    write_lines(folder / "other.jsonl", pair_rows(3, seed=3))
    write_lines(folder / "chats.jsonl", chat_rows(6, seed=4))
    write_lines(folder / "more.jsonl", chat_rows(3, seed=5))
    write_lines(folder / "prompts.jsonl", chat_rows(9, seed=1))
    write_lines(folder / "held.jsonl", pair_rows(3, seed=2))
    return folder


def options(place, *more):
    named = {"model": "model", "prompts": "prompts.jsonl", "held-out": "held.jsonl",
             "pairs": "pairs.jsonl"}  # fmt: skip
    words = [word for key, name in named.items() for word in (f"--{key}", str(place / name))]
    return [
        *words,
        "--max-new-tokens",
        "6",
        "--batch-size",
        "3",
        "--learning-rate",
        "1e-2",
        "--reward",
        "language",
        *more,
    ]


def tracks(place):
    return ["--tracks", f"code={place / 'chats.jsonl'}", f"chat={place / 'more.jsonl'}",
            "--preferences", f"safe={place / 'pairs.jsonl'}",
            f"kind={place / 'other.jsonl'}"]  # fmt: skip


def experts_of(place, recipe):
    return tracks(place) if recipe == "soups" else [*CLUSTERS, "--conversations",
                                                    str(place / "chats.jsonl")]  # fmt: skip


def of(out, label):
    return Checkpoint.open(next(out.glob(f"steps/{label}-????????????")))


def mean(checkpoints, weights):
    name = next(iter(checkpoints[0].tensors))
    parts = [read_floats(checkpoint.tensors[name]) for checkpoint in checkpoints]
    return sum(weight * part for weight, part in zip(weights, parts, strict=True)), name


def test_soups_average_experts_by_weight_and_scale_those_trained_on_preferences(place, tmp_path):
    out = tmp_path / "soups"
    words = ["run", "soups", "--workers", "1", "--out", str(out), *options(place), *tracks(place),
             "--expert-weights", "code=3", "chat=1", "--delta-scale", "0.5"]  # fmt: skip
    done = polylect(*words)
    assert done.returncode == 0, done.stderr
    names = ["expert-code", "expert-chat", "soup-1", "preferring-safe", "preferring-kind-eased",
             "soup-2", "best-of-n", "srpo-1", "copg-1"]  # fmt: skip
    stages_of(out, [*names, "answers-soup-1", "answers-copg-1"], ["soup-2", "mean of languages"])
    soup = of(out, "soup-1")
    expected, name = mean([of(out, "expert-code"), of(out, "expert-chat")], [0.75, 0.25])
    np.testing.assert_allclose(read_floats(soup.tensors[name]), expected, atol=1e-6)
    assert not np.array_equal(expected, read_floats(of(out, "expert-code").tensors[name]))
    eased = [soup, of(out, "preferring-kind")]
    expected, name = mean(eased, [0.5, 0.5])
    np.testing.assert_allclose(
        read_floats(of(out, "preferring-kind-eased").tensors[name]), expected, atol=1e-6
    )
    before = file_digests(out / "steps")
    assert polylect(*words).returncode == 0
    assert file_digests(out / "steps") == before


@dataclass(frozen=True)
class Nothing:
    """A recipe without options."""


def test_seeds_and_parts_are_averaged_and_another_weight_is_another_soup(place, tmp_path):
    def soup_of(weight):
        run = Run(tmp_path / "run", "graph", Nothing())
        start = Files(place / "model")

        def call(seed, model, label):
            examples = ExamplesConfig(batch_size=2, seed=seed, probes=0)
            optim = OptimConfig(learning_rate=1e-2, warmup=0.0, schedule="constant")
            return Call(sft, label, SftConfig(examples=examples, optim=optim),
                        {"model": model, "data": Files(place / "more.jsonl")})  # fmt: skip

        experts = train_experts(run, "x", start, {"a": call}, num_seeds=2, num_parts=2)
        experts["b"] = run.artifacts["x-a-seed0-part0"]
        return soup(run, "soup", experts, start, weights={"a": weight, "b": 1.0})

    first, second = (Checkpoint.open(soup_of(weight).path) for weight in (3.0, 1.0))
    assert first.path != second.path, "an old stage is never used again"
    parts = [of(tmp_path / "run", f"x-a-seed{n}-part{m}") for n in (0, 1) for m in (0, 1)]
    whole, name = mean(parts, [0.25] * 4)
    average = read_floats(of(tmp_path / "run", "x-a").tensors[name])
    np.testing.assert_allclose(average, whole, atol=1e-6)
    digests = {part.digest for part in parts}
    assert len(digests) == 4
    assert parts[1].lineage.parents[0].digest == parts[0].digest, "a part goes on from the last"
    early = read_floats(parts[0].tensors[name])
    for checkpoint, share in ((first, 0.75), (second, 0.5)):
        merged = read_floats(checkpoint.tensors[name])
        np.testing.assert_allclose(merged, share * average + (1 - share) * early, atol=1e-6)


def test_methods_with_a_base_take_the_parent(place, tmp_path):
    run = Run(tmp_path / "run", "graph", Nothing())
    parent = Files(place / "model")
    merged = soup(run, "soup", {"a": parent, "b": parent}, parent, method="ties")
    same = Checkpoint.open(merged.path)
    assert same.lineage.settings["base"] == "parent"
    name = next(iter(same.tensors))
    there = Checkpoint.open(place / "model").tensors[name]
    assert np.array_equal(read_floats(same.tensors[name]), read_floats(there))


def test_clusters_train_on_their_own_rows_and_continue_from_each_merge(place, tmp_path):
    out = tmp_path / "clusters"
    words = ["run", "clusters", "--workers", "1", "--out", str(out), *options(place), *CLUSTERS,
             "--rounds", "1", "--conversations", str(place / "chats.jsonl")]  # fmt: skip
    done = polylect(*words)
    assert done.returncode == 0, done.stderr
    names = ["tuned-north", "tuned-south", "tuned-merged", "offline-merged", "round-1-south",
             "round-1-merged"]  # fmt: skip
    stages_of(out, names, ["round-1-merged", "mean of languages"])
    kept = next(out.glob("steps/chats-north-*")) / "rows.jsonl"
    rows = [json.loads(line) for line in kept.read_text("utf-8").splitlines()]
    assert {row["language"] for row in rows} == {"en", "de"}
    assert len(rows) == 4
    expected, name = mean([of(out, "tuned-north"), of(out, "tuned-south")], [0.5, 0.5])
    merged = read_floats(of(out, "tuned-merged").tensors[name])
    np.testing.assert_allclose(merged, expected, atol=1e-6)
    assert not np.array_equal(merged, read_floats(of(out, "tuned-north").tensors[name]))
    # Every stage starts from the merge of the stage before.
    parent = of(out, "offline-north").lineage.parents[0].digest
    assert parent == of(out, "tuned-merged").digest


@pytest.mark.parametrize(
    ("recipe", "lines"),
    [
        ("soups", ["expert-code: 2 trainings of 6 rows, 2 updates each", "copg-1: at most 9"]),
        ("clusters", ["south (en tr): updates tuned 2, offline 2, round 2", "16 trainings"]),
    ],
)
def test_a_dry_run_says_what_and_writes_nothing(place, tmp_path, recipe, lines):
    experts = experts_of(place, recipe)
    out = tmp_path / "out"
    done = polylect_in_process("run", recipe, "--out", str(out), "--dry-run", "--seeds", "2",
                    *options(place), *experts)  # fmt: skip
    assert done.returncode == 0, done.stderr
    for words in [*lines, "57,072 parameters"]:
        assert words in done.stdout
    assert not out.exists()


@pytest.mark.parametrize(
    ("recipe", "more", "words"),
    [
        ("soups", ["--tracks", "a=chats.jsonl"], "1 experts of --tracks"),
        ("soups", ["--expert-weights", "maths=2"], "a weight for 'maths'"),
        ("soups", ["--expert-weights", "code=2"], "--expert-weights: no weight for chat"),
        ("soups", ["--delta-scale", "0"], "--delta-scale is 0.0"),
        ("clusters", ["--clusters", "a=en,de", "b=tr"], "--clusters b: the anchor languages en"),
        ("clusters", ["--clusters", "a=en,de", "b=en,ja"], "--clusters b: no rows in ja"),
        ("clusters", ["--clusters", "a=en,de"], "1 clusters of languages"),
        ("soups", ["--method", "soup"], "unknown merge method 'soup'"),
        ("soups", ["--method", "slerp"], "--method slerp merges 1 model"),
        ("clusters", ["--method", "lineer"], "did you mean linear?"),
        ("soups", ["--max-new-tokens", "100000"], "the model takes"),
        ("clusters", ["--template", "none.jinja"], "none.jinja"),
    ],
)
def test_impossible_options_are_refused_in_one_line_and_write_nothing(
    place, tmp_path, recipe, more, words
):
    given = changed([*options(place), *experts_of(place, recipe)], more)
    out = str(tmp_path / "o")
    done = polylect_in_process("run", recipe, "--out", out, *given)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("o/steps/*"))
    dry = polylect_in_process("run", recipe, "--out", out, *given, "--dry-run")
    assert (dry.returncode, dry.stderr) == (done.returncode, done.stderr)


def test_every_cluster_holds_the_anchors():
    rows = {"en": 3, "es": 2, "de": 1, "ja": 1}
    check_anchors({"a": ("en", "es", "de"), "b": ("en", "es", "ja")}, ("en", "es"), rows)
    with pytest.raises(InputError, match="--clusters b: the anchor languages es are missing"):
        check_anchors({"a": ("en", "es"), "b": ("en", "ja")}, ("en", "es"), rows)
    with pytest.raises(InputError, match="no rows in es"):
        check_anchors({"a": ("en", "es"), "b": ("en", "es")}, ("en", "es"), {"en": 1})
