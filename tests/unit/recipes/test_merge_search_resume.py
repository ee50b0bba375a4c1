"""Killed at many moments, a search ends with the archive of one that was not."""

import os
import signal
import subprocess
import sys
import time

import chain
import pytest

SCRIPT = chain.__file__


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "archive.parquet"
    archive = chain.run(path)
    assert {entry.stage for entry in archive.entries} == {
        "baselines", "cma", "nsga2", "surrogate", "leave-one-out", "pruning",
    }  # fmt: skip
    return path.read_bytes(), len(archive)


def test_a_search_killed_again_and_again_gives_the_same_archive(whole, tmp_path):
    data, num = whole
    path = tmp_path / "archive.parquet"
    sizes = []
    for moment in (0, 3, 12, 33):
        done = subprocess.run([sys.executable, SCRIPT, str(path), str(moment)], check=False)
        assert done.returncode == -signal.SIGKILL
        sizes.append(len(chain.Archive.read(path)) if path.exists() else 0)
    assert sizes == [0, 3, 15, 48]  # nothing that was evaluated is evaluated again
    assert num > 48
    chain.run(path)
    assert path.read_bytes() == data


def test_killed_from_outside_with_two_workers_too(whole, tmp_path):
    data, num = whole
    path = tmp_path / "archive.parquet"
    sizes = [0]
    for wanted in (5, 40):
        process = subprocess.Popen([sys.executable, SCRIPT, str(path), "slow"])
        deadline = time.monotonic() + 120
        while not path.exists() or len(chain.Archive.read(path)) < wanted:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        sizes.append(len(chain.Archive.read(path)))
    assert sizes == sorted(set(sizes))
    assert sizes[-1] < num
    chain.run(path, num_workers=2)
    assert path.read_bytes() == data


def test_a_finished_search_asks_for_nothing(whole, tmp_path):
    path = tmp_path / "archive.parquet"
    path.write_bytes(whole[0])

    def never(weights):
        raise AssertionError("asked again")

    chain.run(path, objective=never)
    assert path.read_bytes() == whole[0]
