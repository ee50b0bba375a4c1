"""Merges of whole checkpoints: resumed after a kill, verified, asked for by recipe and command."""

import json
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models

from polylect.base import InputError, PolylectError, StorageError
from polylect.checkpoints import Checkpoint, ShardWriter, TensorSpec, to_bytes
from polylect.cli import main
from polylect.merging import (
    LinearConfig,
    MergeConfig,
    merge,
    merge_checkpoints,
    merge_models,
    plan_merge,
    read_recipe,
    verify,
)
from polylect.runs import NOT_CONTENT, Artifact, Files, Run

SHAPES = {
    "embed": (60, 40), "layers.0.w": (40, 50), "layers.1.w": (40, 50), "norm": (40,),
}  # fmt: skip
CONFIG = {"architectures": ["Tiny"], "model_type": "tiny", "num_hidden_layers": 2}
WEIGHTS = {"m1": {"weight": 0.6}, "m2": {"weight": 0.4}}
MERGES = {
    "ties": MergeConfig(
        method="ties", base="m0", options={"density": 0.5}, model_options=WEIGHTS
    ),
    "dare_ties": MergeConfig(
        method="dare_ties", base="m0", options={"density": 0.5, "rescale": "l1"},
        model_options=WEIGHTS, seed=7,
    ),
    "linear": MergeConfig(model_options=WEIGHTS | {"m0": {"weight": 0.1}}),
    "slerp": MergeConfig(method="slerp", base="m0", options={"t": [0, 1]}),
}  # fmt: skip


def make(folder, number, *, max_shard_bytes=10**9):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    Tokenizer(models.BPE()).save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    specs = [TensorSpec(name, "BF16", shape) for name, shape in sorted(SHAPES.items())]
    writer = ShardWriter(folder, specs, max_shard_bytes=max_shard_bytes)
    for place, spec in enumerate(specs):
        num = int(np.prod(spec.shape))
        base = np.random.default_rng(place).standard_normal(num) * 0.02
        moved = np.random.default_rng([place, number]).standard_normal(num) * 0.002
        writer.write(spec.name, 0, to_bytes((base + number * moved).astype(np.float32), "BF16"))
    writer.finish()


@pytest.fixture
def root(tmp_path):
    for number in range(3):
        make(tmp_path / f"m{number}", number)
        make(tmp_path / f"cut{number}", number, max_shard_bytes=3000 + 1000 * number)
    return tmp_path


def opened(root, config, prefix="m"):
    num = 2 if config.method == "slerp" else 3
    return {f"m{n}": Checkpoint.open(root / f"{prefix}{n}") for n in range(num)}


def weights(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("model*"))}


SCRIPT = """
import os, signal, sys, time
from pathlib import Path
from polylect.checkpoints import Checkpoint, ShardWriter
import polylect.runs.folders as folder
import polylect.merging.engine as engine
sys.path.insert(0, sys.argv[4])
from test_merge_engine import MERGES, opened

moment, root, name, threads = sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[5])

def die(*args, **options):
    os.kill(os.getpid(), signal.SIGKILL)

write, num_written = ShardWriter.write, 0
def write_some(self, *args):
    global num_written
    time.sleep(0.003)  # time for the journal, which waits for the disk
    write(self, *args)
    num_written += 1
    if moment == str(num_written):
        die()

ShardWriter.write = write_some
if moment == "seal": engine.seal = die
if moment == "rename": folder.os.rename = die
engine.merge(
    MERGES[name], opened(root, MERGES[name]), root / "out",
    block_elems=100, journal_bytes=800, num_threads=threads,
)
"""


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("moment", ["1", "30", "60", "seal", "rename"])
@pytest.mark.parametrize("name", ["ties", "dare_ties"])
@pytest.mark.kill
def test_a_killed_merge_resumes_and_gives_the_same_bytes(root, name, moment, threads, monkeypatch):
    config = MERGES[name]
    whole = merge(config, opened(root, config), root / "whole")
    arguments = [moment, str(root), name, str(Path(__file__).parent), str(threads)]
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), *arguments]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert not (root / "out").exists()
    if moment.isdigit():  # unfinished weights are no checkpoint to anyone
        with pytest.raises(InputError, match=r"no config\.json"):
            Checkpoint.open(root / ".out.partial")
    written: list[int] = []
    write = ShardWriter.write

    def counting(self, tensor, start, raw):
        written.append(raw.size)
        write(self, tensor, start, raw)

    monkeypatch.setattr(ShardWriter, "write", counting)
    again = merge(config, opened(root, config), root / "out", block_elems=100, journal_bytes=800)
    total = sum(2 * int(np.prod(shape)) for shape in SHAPES.values())
    if threads == 1:  # more threads may be killed before the first entry of the journal
        assert (sum(written) < total) == (moment in {"30", "60"})  # the rest began again
    assert again.ledger.to_json() == whole.ledger.to_json()
    names = {path.name for path in (root / "whole").iterdir()}
    assert {path.name for path in (root / "out").iterdir()} == names
    for name in names - NOT_CONTENT:
        assert (root / "out" / name).read_bytes() == (root / "whole" / name).read_bytes()
    assert not (root / ".out.partial").exists()


@pytest.mark.parametrize("name", sorted(MERGES))
def test_same_bytes_for_threads_blocks_and_shards(root, name):
    config = MERGES[name]
    whole = weights(merge(config, opened(root, config), root / "a").checkpoint.path)
    for number, (prefix, options) in enumerate(
        [("m", {"num_threads": 1, "block_elems": 64}), ("cut", {"num_threads": 3})]
    ):
        out = root / f"b{number}"
        merge(config, opened(root, config, prefix), out, **options)
        assert weights(out) == whole


def test_another_recipe_does_not_resume_what_was_left(root):
    partial = root / ".out.partial"
    partial.mkdir()
    (partial / "model.safetensors").write_bytes(b"stale")
    key = {"key": "other", "tensor": "norm", "stop": 40, "counts": {}, "ledger": []}
    (partial / ".progress.json").write_text(json.dumps(key))
    config = MERGES["linear"]
    merge(config, opened(root, config), root / "out")
    assert weights(root / "out") == weights(
        merge(config, opened(root, config), root / "other").checkpoint.path
    )


def test_two_processes_do_not_write_one_folder(root, monkeypatch):
    import fcntl

    monkeypatch.setattr("polylect.runs.folders._LOCK_SECONDS", 0.0)
    with open(root / ".out.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(PolylectError, match="another process is writing it"):
            merge(MERGES["linear"], opened(root, MERGES["linear"]), root / "out")


def test_too_small_a_disk_is_refused_before_anything_is_written(root, monkeypatch):
    import shutil

    usage = shutil.disk_usage(root)._replace(free=1000)
    monkeypatch.setattr("polylect.checkpoints.writer.shutil.disk_usage", lambda _: usage)
    with pytest.raises(StorageError, match="the disk is full"):
        merge(MERGES["linear"], opened(root, MERGES["linear"]), root / "out")
    assert [path.name for path in root.glob(".out*")] == [".out.run"]  # what went wrong


@pytest.mark.parametrize("name", sorted(MERGES))
def test_verify_finds_one_flipped_byte(root, name):
    config = MERGES[name]
    out = merge(config, opened(root, config), root / "out").checkpoint.path
    verified = verify(out, num_blocks=3)
    assert (verified.num_blocks, verified.num_inputs) == (3, 4 * len(opened(root, config)))
    for path in (out / "model.safetensors", out / "merge.json", root / "m1/model.safetensors"):
        raw = bytearray(path.read_bytes())
        raw[-5] ^= 1
        path.write_bytes(raw)
        with pytest.raises(InputError, match=path.name):
            verify(out)
        raw[-5] ^= 1
        path.write_bytes(raw)
    verify(out)


def test_verify_finds_a_block_that_the_recipe_does_not_give(root):
    from polylect.checkpoints import Lineage, Parent, seal

    config = MERGES["linear"]
    out = merge(config, opened(root, config), root / "out").checkpoint.path
    lineage = Checkpoint.open(out).lineage
    path = out / "model.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    seal(out, Lineage(method=lineage.method, parents=tuple(map(_same, lineage.parents))))
    assert isinstance(lineage.parents[0], Parent)
    with pytest.raises(InputError, match="is not what the inputs and the recipe give"):
        verify(out, num_blocks=10**6)


def _same(parent):
    return parent


def test_a_mergekit_recipe_gives_the_bytes_of_the_same_merge_in_python(root):
    (root / "r.yml").write_text(
        """
merge_method: slerp
base_model: m0
slices:
  - sources:
      - {model: m0, layer_range: [0, 2]}
      - {model: m1, layer_range: [0, 2]}
parameters:
  t:
    - {filter: embed, value: 0.25}
    - value: [0, 1]
dtype: bfloat16
"""
    )
    assert main(["merge", str(root / "r.yml"), "--out", str(root / "out")]) == 0
    merged = weights(root / "out")["model.safetensors"]
    config = MergeConfig(
        method="slerp", base="m0",
        options={"t": [{"filter": "embed", "value": 0.25}, {"value": [0, 1]}]},
    )  # fmt: skip
    models = {label: Checkpoint.open(root / label) for label in ("m0", "m1")}
    merge(config, models, root / "direct")
    assert merged == weights(root / "direct")["model.safetensors"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("merge_method: [", "not YAML"),
        ("- a", "not a recipe"),
        ("models: []", "no merge_method"),
        ("merge_method: linear", "either models or slices"),
        ("merge_method: linera\nmodels: [{model: m0}]", "did you mean linear"),
        ("merge_method: linear\nmodles: []", "did you mean models"),
        ("merge_method: linear\nmodules: {}", "modules.*not supported"),
        ("merge_method: linear\nmodels: [{model: m0+lora}]", "lora: no adapter_config"),
        (
            "merge_method: linear\nmodels: [{model: m0}]\ntokenizer_source: 3",
            "is 3 — union, base, or one of the models: m0",
        ),
        ("merge_method: linear\nmodels: [{model: m0}]\ndtype: int8", "dtype 'int8'"),
        ("merge_method: passthrough\nslices: [{sources: []}, {sources: []}]", "several slices"),
    ],
)
def test_an_unsupported_recipe_is_refused_in_one_line(root, text, message, capsys):
    (root / "r.yml").write_text(text)
    assert main(["merge", str(root / "r.yml"), "--out", str(root / "out")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    import re

    assert re.search(message, error), error


def test_the_command_merges_verifies_and_plans(root, capsys):
    paths = [str(root / f"m{n}") for n in range(3)]
    command = ["merge", "--method", "ties", "--models", *paths[1:], "--base", paths[0]]
    command += ["--weights", "0.6", "0.4", "--density", "0.5", "--out", str(root / "out")]
    assert main([*command, "--dry-run"]) == 0
    assert not (root / "out").exists()
    assert main(command) == 0
    assert main(["verify", str(root / "out")]) == 0
    assert "blocks recomputed and equal" in capsys.readouterr().out
    direct = merge(MERGES["ties"], opened(root, MERGES["ties"]), root / "direct")
    assert weights(root / "out") == weights(direct.checkpoint.path)
    assert (root / "out/chat_template.jinja").read_text() == "{{ messages }}"
    assert read_recipe is not None


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--method", "ties"], "needs a base"),
        (["--density", "1"], "linear takes no --density — it takes --weights, --normalize"),
        (["--weights", "1"], "1 weights for 3 models"),
        (["--weights", "1", "-1", "0"], "sum to 0"),
        (["--set", "x"], "--set is now an option of each name, --NAME VALUE"),
        (["--set", "density=0.5", "t=1"], "--set is now --density 0.5 --t 1"),
        (["--method", "tie"], "--method is 'tie' — did you mean ties?"),
        (["--t", "x"], "--t is 'x'"),
        (["--out-dtype", "int8"], "out_dtype is 'int8'"),
        (["--threads", "0"], "--threads is 0"),
        (["--method", "slerp", "--t", "0.5"], "slerp takes 1 model besides the base"),
    ],
)
def test_invalid_options_are_refused_in_one_line(root, extra, message, capsys):
    paths = [str(root / f"m{n}") for n in range(3)]
    assert main(["merge", "--models", *paths, "--out", str(root / "out"), *extra]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (root / "out").exists()


def test_a_merge_in_a_run_verifies_in_place_and_after_moving_the_run(root):
    run = Run(root / "run", "merges", MergeConfig())
    inputs = {f"m{n}": Files(root / f"m{n}") for n in range(3)}
    first = run.step(merge_models, "first", MERGES["ties"], inputs)
    assert verify(first.path, num_blocks=4).num_blocks == 4
    pair = {"a": first, "b": Artifact(first.path, first.digest, "b", first.ledger)}
    second = run.step(merge_checkpoints, "second", LinearConfig(), pair)
    assert verify(second.path, num_blocks=4).num_inputs == 8
    (root / "run").rename(root / "moved")
    (moved,) = (root / "moved" / "steps").glob("second-*")
    assert verify(moved, num_blocks=4).num_inputs == 8


# -- what identifies a model, and weights that were not given --------------------------------------


def test_models_of_one_folder_are_told_apart_by_position(root, capsys):
    twice = [str(root / "m1"), str(root / "m1"), str(root / "m2")]
    command = ["merge", "--models", *twice, "--weights", "0.3", "0.7", "1"]
    assert main([*command, "--out", str(root / "out")]) == 0
    said = capsys.readouterr().out
    assert "m1#1  0.3" in said
    assert "m1#2  0.7" in said
    pair = [str(root / "m1"), str(root / "m2")]
    assert main(["merge", "--models", *pair, "--out", str(root / "equal")]) == 0
    record = json.loads((root / "out/merge.json").read_text())["config"]["model_options"]
    assert [options["weight"] for options in record.values()] == [0.3, 0.7, 1]
    ties = ["merge", "--method", "ties", "--base", str(root / "m0")]
    assert main([*ties, "--models", *twice, "--weights", "0.3", "0.7", "1", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "m0 (base)" in said
    assert "m1#3  0.7" in said


def test_a_base_among_the_models_is_one_of_them_and_its_weight_is_said(root, capsys):
    models = [str(root / f"m{n}") for n in (1, 0, 2)]
    command = ["merge", "--method", "ties", "--base", str(root / "m0"), "--models", *models]
    assert main([*command, "--weights", "0.6", "9", "0.4", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "ignored: weight of the base" in said
    assert "m2  0.4" in said
    assert main([*command, str(root / "m0"), "--dry-run"]) == 2
    assert "among the models twice" in capsys.readouterr().err


@pytest.mark.parametrize("method", ["dare_linear", "dare_ties", "della", "della_linear"])
def test_random_masks_follow_the_content_not_the_place(root, method):
    options = {"density": 0.5}
    orders = {"a": (("runA/ckpt", 1), ("runB/ckpt", 2)), "b": (("runB/ckpt", 1), ("runA/ckpt", 2)),
              "c": (("x", 1), ("y", 2)), "d": (("x", 2), ("y", 1))}  # fmt: skip
    merged = {}
    for name, places in orders.items():
        models = {"base": Checkpoint.open(root / "m0")}
        weight = {}
        for place, number in places:
            folder = root / name / place
            make(folder, number)
            models[place] = Checkpoint.open(folder)
            weight[place] = {"weight": {1: 0.6, 2: 0.4}[number]}
        config = MergeConfig(
            method=method, base="base", options=options, model_options=weight, seed=3
        )
        merged[name] = weights(merge(config, models, root / name / "out").checkpoint.path)
    assert merged["a"] == merged["b"] == merged["c"]
    # In another order only the sum's rounding may differ, the masks do not.
    first, other = (
        np.frombuffer(merged[name]["model.safetensors"], np.uint8).astype(int) for name in "ad"
    )
    assert (first != other).mean() < 0.01


def given(root, model_options, options=None, method="linear"):
    needs_base = method != "linear"
    labels = ["m0", "m1", "m2"] if needs_base else ["m1", "m2"]
    config = MergeConfig(
        method=method, base="m0" if needs_base else None, options=options or {},
        model_options=model_options,
    )  # fmt: skip
    return plan_merge(config, {label: Checkpoint.open(root / label) for label in labels})


MLP = [{"filter": "layers.0", "value": 0.7}]


@pytest.mark.parametrize("method", ["linear", "ties", "task_arithmetic", "multislerp", "della"])
@pytest.mark.parametrize(
    ("model_options", "options"),
    [
        ({"m1": {"weight": MLP}, "m2": {"weight": 0.5}}, {}),
        ({"m1": {"weight": 0.3}}, {}),
        ({"m1": {"weight": MLP}, "m2": {"weight": MLP}}, {}),
        ({}, {"weight": MLP}),
        ({"m2": {"weight": MLP}}, {"weight": [{"filter": "norm", "value": 1}]}),
    ],
)
def test_beside_given_weights_a_missing_one_is_refused(root, method, model_options, options):
    with pytest.raises(InputError, match=r"m[12]: no weight for tensor"):
        given(root, model_options, options, method)


def test_no_weights_are_equal_weights_and_complete_ones_are_taken(root):
    assert "weight" not in given(root, {}).options("norm")
    both = given(root, {"m1": {"weight": [*MLP, {"value": 0.1}]}}, {"weight": 0.5})
    assert both.options("norm")["weight"] == (0.1, 0.5)
    assert both.options("layers.0.w")["weight"] == (0.7, 0.5)


def test_defaults_beside_given_values_are_counted(root):
    density = {"m1": {"density": [{"filter": "layers", "value": 0.5}]}}
    plan = given(root, density, method="ties")
    assert list(plan.ledger.rows()) == [
        ("filled in: default density for a tensor without one", "m1", 2),
        ("filled in: default density for a tensor without one", "m2", 4),
    ]


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("della", {"density": 0.9, "epsilon": 0.3}, "leaves the range"),
        ("dare_ties", {"rescale": "l3"}, "rescale is 'l3'"),
        ("multislerp", {"weight": [{"filter": "norm", "value": 0}, {"value": 1}]}, "sum to 0"),
        ("linear", {"weight": [{"filter": "norm", "value": 0}, {"value": 1}]}, "sum to 0"),
    ],
)
def test_what_a_merge_refuses_its_plan_refuses(root, method, options, message):
    with pytest.raises(InputError, match=message):
        given(root, {}, options, method)
