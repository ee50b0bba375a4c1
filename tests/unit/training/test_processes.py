"""Several processes: two are one, saved states go from two to one and back, kills are mended."""

import json
import signal
import socket
import subprocess

import numpy as np
import polars as pl
import pytest
from align_cases import chat_rows, pair_rows, write_lines, write_model
from child_processes import COMMAND_LINE, wait_until
from safetensors.numpy import load_file

LETTERS = "def letters(messages, answer, language):\n    return float(len(set(answer)))\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    write_model(folder / "model")
    write_model(folder / "nexus", kind="nexus")
    write_lines(folder / "pairs.jsonl", pair_rows(24))
    write_lines(folder / "chats.jsonl", chat_rows(12))
    (folder / "own.py").write_text(LETTERS, "utf-8")
    return folder


def command(place, kind, out, *more, epochs="3"):
    data = place / ("chats.jsonl" if kind in ("sft", "nexus") else "pairs.jsonl")
    model = "nexus" if kind == "nexus" else "model"
    kind = "sft" if kind == "nexus" else kind
    words = ["train", kind, "--model", str(place / model), "--data", str(data), "--out", str(out),
             "--epochs", epochs, "--batch-size", "5", "--micro-batch-tokens", "100",
             "--save-every", "2", "--learning-rate", "1e-3"]  # fmt: skip
    if kind in ("sft", "preference") and "--probes" not in more:
        words += ["--probes", "0"]
    if kind == "online":
        words += ["--reward", f"{place}/own.py:letters", "--num-samples", "3",
                  "--max-new-tokens", "6", "--prompts-per-round", "10"]  # fmt: skip
    return [*words, *more]


def start(started, words, num):
    """Start the ranks of a training, as torchrun does."""
    if num == 1:
        return [started(COMMAND_LINE, *words)]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {"WORLD_SIZE": str(num), "LOCAL_WORLD_SIZE": str(num), "MASTER_ADDR": "127.0.0.1",
              "MASTER_PORT": port}  # fmt: skip
    return [started(COMMAND_LINE, *words, env=common | {"RANK": str(rank), "LOCAL_RANK": str(rank)})
            for rank in range(num)]  # fmt: skip


def finish(ranks):
    """Wait for all; a rank that fails ends the others. The exit code, and what all have written."""
    wait_until(lambda: all(rank.poll() == 0 for rank in ranks) or any(r.poll() for r in ranks), 300)
    code = max(abs(rank.poll() or 0) for rank in ranks)
    for rank in ranks:
        rank.kill()
    return subprocess.CompletedProcess(
        [], code, "".join(rank.stdout for rank in ranks), "".join(rank.stderr for rank in ranks)
    )


def run(started, words, num):
    return finish(start(started, words, num))


def torchrun(started, words, num):
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", num]
    env = {"OMP_NUM_THREADS": "1"}
    return finish([started("", *launcher, "-m", "polylect", *words, real=True, env=env)])


def weights(out):
    tensors = load_file(out / "model.safetensors")
    return np.concatenate([tensors[name].ravel() for name in sorted(tensors)])


def rows_of(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def same(left_run, other, places=1e-6):
    a, b = weights(left_run), weights(other)
    assert np.linalg.norm(a - b) <= places * np.linalg.norm(a)
    for left, right in zip(rows_of(left_run), rows_of(other), strict=True):
        assert left["loss"] == pytest.approx(right["loss"], rel=1e-5, abs=1e-6)
        assert left["gradient_norm"] == pytest.approx(right["gradient_norm"], rel=1e-4)
        assert left.get("balance_loss", 0) == pytest.approx(right.get("balance_loss", 0), rel=1e-5)
        assert left["by_language"].keys() == right["by_language"].keys()
        assert left.get("probe", {}).get("kl") == pytest.approx(
            right.get("probe", {}).get("kl"), abs=1e-4
        )


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("sft", ("--probes", "2", "--probe-tokens", "5")), ("nexus", ()),
        ("preference", ("--objective", "kto")),
        ("reward", ()), ("preference", ("--lora-rank", "2")), ("online", ("--objective", "copg")),
        ("online", ("--objective", "srpo", "--lora-rank", "2")),
    ],
)  # fmt: skip
def test_two_processes_are_one(place, tmp_path, started, kind, more):
    for num in (1, 2):
        launch = torchrun if kind == "sft" and num == 2 else run
        done = launch(started, command(place, kind, tmp_path / str(num), *more), num)
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stdout.count("index.html") == 1
    same(tmp_path / "1", tmp_path / "2")
    if kind == "sft":
        assert rows_of(tmp_path / "2")[-1]["probe"]["answers"] > 2
    if kind == "online":
        first, second = (pl.read_parquet(tmp_path / num / "samples.parquet") for num in "12")
        assert first["ids"].to_list() == second["ids"].to_list()
        assert first["rewards"].to_list() == second["rewards"].to_list()
    assert not [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")]


def kill_after(ranks, out, moment):
    """Kill the ranks of a training once it has saved the state of a step."""

    def step():
        for path in out.parent.glob(".*.partial/work/state/position.json"):
            try:
                return json.loads(path.read_text())["step"]
            except (OSError, ValueError):
                pass
        return 0

    ranks[0].wait_until(lambda: step() >= moment, pause=0.005)
    for rank in ranks:
        rank.kill()
    assert {rank.wait() for rank in ranks} == {-signal.SIGKILL}
    assert not out.exists()


def test_saved_by_two_it_goes_on_with_two_or_one(place, tmp_path, started):
    whole = tmp_path / "whole"
    assert run(started, command(place, "sft", whole, epochs="12"), 2).returncode == 0
    for num in (2, 1):
        out = tmp_path / f"with-{num}" / "out"
        out.parent.mkdir()
        words = command(place, "sft", out, epochs="12")
        kill_after(start(started, words, 2), out, 4)
        done = run(started, words, num)
        assert done.returncode == 0, done.stderr[-2000:]
        same(whole, out, 1e-6 if num == 1 else 0.0)
        if num == 2:
            for name in ("model.safetensors", "metrics.jsonl"):
                assert (whole / name).read_bytes() == (out / name).read_bytes()


def test_saved_by_one_it_goes_on_with_two(place, tmp_path, started):
    whole, out = tmp_path / "whole", tmp_path / "cut" / "out"
    out.parent.mkdir()
    assert run(started, command(place, "preference", whole, epochs="12"), 1).returncode == 0
    words = command(place, "preference", out, epochs="12")
    kill_after(start(started, words, 1), out, 4)
    done = run(started, words, 2)
    assert done.returncode == 0, done.stderr[-2000:]
    same(whole, out, 1e-6)


def test_a_mixture_of_experts_goes_on_where_it_was_killed(place, tmp_path, started):
    whole, out = tmp_path / "whole", tmp_path / "cut" / "out"
    out.parent.mkdir()
    assert run(started, command(place, "nexus", whole, epochs="12"), 1).returncode == 0
    words = command(place, "nexus", out, epochs="12")
    kill_after(start(started, words, 1), out, 4)
    assert run(started, words, 1).returncode == 0
    for name in ("model.safetensors", "metrics.jsonl"):
        assert (whole / name).read_bytes() == (out / name).read_bytes()


def test_trained_meanwhile_by_another_it_ends(place, tmp_path, started):
    """The first process waits for the lock, finds all done, and lets the second one go."""
    words = command(place, "sft", tmp_path / "out", epochs="40")
    (first,) = start(started, words, 1)
    first.wait_until(lambda: list(tmp_path.glob(".*.partial/work/metrics.jsonl")))
    second = run(started, words, 2)
    assert first.wait() == 0
    is_locked = "another process is working on this step" in second.stderr
    assert second.returncode == 0 or is_locked, second.stderr[-2000:]
    third = run(started, words, 2)
    assert third.returncode == 0, third.stderr[-2000:]
    assert "there already" in third.stderr
