"""A folder that appears whole or not at all."""

import os
import socket
import subprocess
import sys

import pytest

from polylect.base import InputError, StorageError
from polylect.checkpoints import new_folder


def test_appears_when_complete(tmp_path):
    out = tmp_path / "deep" / "out"
    with new_folder(out) as folder:
        (folder / "file").write_text("x")
        assert not out.exists()
        assert folder.parent == out.parent
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert (out / "file").read_text() == "x"
    assert out.stat().st_mode == out.parent.stat().st_mode


def test_nothing_is_left_after_an_error(tmp_path):
    with pytest.raises(KeyError), new_folder(tmp_path / "out"):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_taken_anything_else_refused(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    with new_folder(tmp_path / "empty") as folder:
        (folder / "file").touch()
    for path in [tmp_path / "empty", tmp_path / "empty" / "file", tmp_path]:
        with pytest.raises(InputError, match="something already"), new_folder(path):
            pass
    monkeypatch.chdir(tmp_path)
    with new_folder(tmp_path / "empty" / ".." / "other") as folder:
        assert folder.parent == tmp_path


def test_what_appears_meanwhile_is_not_replaced(tmp_path):
    with pytest.raises(InputError, match="something already"), new_folder(tmp_path / "out"):
        (tmp_path / "out").write_text("mine")
    assert (tmp_path / "out").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1


def test_what_a_killed_process_left_is_removed_what_a_living_one_writes_is_not(tmp_path):
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                          capture_output=True, text=True, check=True).stdout.strip()  # fmt: skip
    host = socket.gethostname()
    leftover = tmp_path / f".out.{host}.{dead}.0123abcd.tmp"
    kept = [
        tmp_path / f".out.{host}.{os.getppid()}.0123abcd.tmp",
        tmp_path / f".other.{host}.{dead}.0123abcd.tmp",
        tmp_path / f".out.{host}x.{dead}.0123abcd.tmp",
    ]
    for path in [leftover, *kept]:
        path.mkdir()
    with new_folder(tmp_path / "out"):
        pass
    assert not leftover.exists()
    assert all(path.exists() for path in kept)


def test_a_parent_that_is_a_file_is_a_storage_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file"), new_folder(tmp_path / "file" / "out"):
        pass
