"""Killed at many moments, a search ends with the archive of one that was not."""

import signal

import chain
import pytest

CODE = "import chain, sys; chain.main(*sys.argv[1:])"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "archive.parquet"
    archive = chain.run(path)
    assert {entry.stage for entry in archive.entries} == {
        "baselines", "cma", "nsga2", "surrogate", "leave-one-out", "pruning",
    }  # fmt: skip
    return path.read_bytes(), len(archive)


@pytest.mark.kill
def test_a_search_killed_again_and_again_gives_the_same_archive(whole, tmp_path, started):
    data, num = whole
    path = tmp_path / "archive.parquet"
    sizes = []
    for moment in (0, 3, 12, 33):
        assert started(CODE, path, moment).wait() == -signal.SIGKILL
        sizes.append(len(chain.Archive.read(path)) if path.exists() else 0)
    assert sizes == [0, 3, 15, 48]  # nothing that was evaluated is evaluated again
    assert num > 48
    chain.run(path)
    assert path.read_bytes() == data


@pytest.mark.kill
def test_killed_from_outside_with_two_workers_too(whole, tmp_path, started):
    data, num = whole
    path = tmp_path / "archive.parquet"
    sizes = [0]
    for wanted in (5, 40):
        child = started(CODE, path, "slow")
        child.wait_until(
            lambda wanted=wanted: path.exists() and len(chain.Archive.read(path)) >= wanted
        )
        child.kill()
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
