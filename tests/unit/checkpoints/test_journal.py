"""The journal of unfinished work holds its last entry and nothing of another key."""

import numpy as np
import pytest

from polylect.checkpoints import Journal


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_next_process_finds_the_last_entry_with_its_arrays(tmp_path):
    journal = Journal(tmp_path, "key")
    assert journal.entry is None
    (tmp_path / "model.safetensors").touch()
    journal.write({"layers": 1}, {"hidden": np.zeros(2), "full": np.ones(1)})
    journal.write({"layers": 2}, {"hidden": np.arange(3.0)})
    again = Journal(tmp_path, "key")
    assert again.entry == {"layers": 2}
    assert again.array("hidden").tolist() == [0.0, 1.0, 2.0]
    assert again.array("full") is None
    assert names(tmp_path) == [".hidden-2.npy", ".progress.json", "model.safetensors"]
    again.close()
    assert names(tmp_path) == ["model.safetensors"]


def test_half_written_files_go_and_shards_stay_with_an_entry(tmp_path):
    Journal(tmp_path, "key").write({"stop": 7}, {"hidden": np.zeros(1)})
    for name in ("model.safetensors", ".hidden-2.npy", "config.json"):
        (tmp_path / name).touch()
    assert Journal(tmp_path, "key").entry == {"stop": 7}
    assert names(tmp_path) == [".hidden-1.npy", ".progress.json", "model.safetensors"]


@pytest.mark.parametrize("left", ["another key", "not JSON", "nothing"])
def test_without_an_entry_of_this_work_the_folder_is_emptied(tmp_path, left):
    if left == "another key":
        Journal(tmp_path, "other").write({"stop": 7}, {"hidden": np.zeros(1)})
    elif left == "not JSON":
        (tmp_path / ".progress.json").write_text("{")
    (tmp_path / "model.safetensors").touch()
    assert Journal(tmp_path, "key").entry is None
    assert names(tmp_path) == []
