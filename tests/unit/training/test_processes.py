"""Several processes: two are one, saved states go from two to one and back, kills are mended."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from align_cases import chat_rows, pair_rows, write_lines, write_model
from safetensors.numpy import load_file

LETTERS = "def letters(messages, answer, language):\n    return float(len(set(answer)))\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    write_model(folder / "model")
    write_lines(folder / "pairs.jsonl", pair_rows(24))
    write_lines(folder / "chats.jsonl", chat_rows(12))
    (folder / "own.py").write_text(LETTERS, "utf-8")
    return folder


def command(place, kind, out, num, *more, epochs="3"):
    data = place / ("chats.jsonl" if kind == "sft" else "pairs.jsonl")
    words = ["train", kind, "--model", str(place / "model"), "--data", str(data), "--out", str(out),
             "--epochs", epochs, "--batch-size", "5", "--micro-batch-tokens", "100",
             "--save-every", "2", "--learning-rate", "1e-3"]  # fmt: skip
    if kind in ("sft", "preference") and "--probes" not in more:
        words += ["--probes", "0"]
    if kind == "online":
        words += ["--reward", f"{place}/own.py:letters", "--num-samples", "3",
                  "--max-new-tokens", "6", "--prompts-per-round", "10"]  # fmt: skip
    start = [sys.executable, "-m", "polylect"]
    if num > 1:
        start = [sys.executable, "-m", "torch.distributed.run", "--standalone",
                 "--nproc-per-node", str(num), "-m", "polylect"]  # fmt: skip
    return [*start, *words, *more]


def run(words):
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    # A process that waits for another one for ever is an error, not a reason to wait for it.
    return subprocess.run(words, capture_output=True, text=True, env=env, check=False, timeout=300)


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
        assert left["by_language"].keys() == right["by_language"].keys()
        assert left.get("probe", {}).get("kl") == pytest.approx(
            right.get("probe", {}).get("kl"), abs=1e-4
        )


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("sft", ("--probes", "2", "--probe-tokens", "5")), ("preference", ("--objective", "kto")),
        ("reward", ()), ("preference", ("--lora-rank", "2")), ("online", ("--objective", "copg")),
        ("online", ("--objective", "srpo", "--lora-rank", "2")),
    ],
)  # fmt: skip
def test_two_processes_are_one(place, tmp_path, kind, more):
    for num in (1, 2):
        done = run(command(place, kind, tmp_path / str(num), num, *more))
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


def killed(words, out, moment):
    """Kill a training of two processes once it has saved a state."""
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env,
                               start_new_session=True)  # fmt: skip
    deadline = time.monotonic() + 120

    def step():
        for path in out.parent.glob(".*.partial/work/state/position.json"):
            try:
                return json.loads(path.read_text())["step"]
            except (OSError, ValueError):
                pass
        return 0

    while step() < moment and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    alive = process.poll() is None
    if alive:
        # torchrun's children lead sessions of their own: they would train on, holding the lock.
        for pid in [process.pid, *children(process.pid)]:
            os.kill(pid, signal.SIGKILL)
    process.wait()
    return alive


def children(parent):
    """Processes that another one started."""
    pids = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == parent:
                pids.append(int(path.parent.name))
    return pids


def test_saved_by_two_it_goes_on_with_two_or_one(place, tmp_path):
    whole = tmp_path / "whole"
    assert run(command(place, "sft", whole, 2, epochs="12")).returncode == 0
    for num in (2, 1):
        out = tmp_path / f"with-{num}" / "out"
        out.parent.mkdir()
        assert killed(command(place, "sft", out, 2, epochs="12"), out, 4)
        assert not out.exists()
        done = run(command(place, "sft", out, num, epochs="12"))
        assert done.returncode == 0, done.stderr[-2000:]
        same(whole, out, 1e-6 if num == 1 else 0.0)
        if num == 2:
            for name in ("model.safetensors", "metrics.jsonl"):
                assert (whole / name).read_bytes() == (out / name).read_bytes()


def test_saved_by_one_it_goes_on_with_two(place, tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "cut" / "out"
    out.parent.mkdir()
    assert run(command(place, "preference", whole, 1, epochs="12")).returncode == 0
    assert killed(command(place, "preference", out, 1, epochs="12"), out, 4)
    done = run(command(place, "preference", out, 2, epochs="12"))
    assert done.returncode == 0, done.stderr[-2000:]
    same(whole, out, 1e-6)


def test_trained_meanwhile_by_another_it_ends(place, tmp_path):
    """The first process waits for the lock, finds all done, and lets the second one go."""
    out = tmp_path / "out"
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    words = command(place, "sft", out, 1, epochs="40")
    first = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
    while not list(tmp_path.glob(".*.partial/work/metrics.jsonl")):
        assert first.poll() is None
        time.sleep(0.005)
    second = run(command(place, "sft", out, 2, epochs="40"))
    assert first.wait() == 0
    is_locked = "another process is working on this step" in second.stderr
    assert second.returncode == 0 or is_locked, second.stderr[-2000:]
    third = run(command(place, "sft", out, 2, epochs="40"))
    assert third.returncode == 0, third.stderr[-2000:]
    assert "there already" in third.stderr
