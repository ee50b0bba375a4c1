"""A folder that appears whole or not at all."""

import shutil

import pytest

from polylect.base import InputError, StorageError
from polylect.runs import kept_folder


def test_a_folder_appears_when_it_is_complete(tmp_path):
    out = tmp_path / "deep" / "out"
    with kept_folder(out) as folder:
        (folder / "file").write_text("x")
        assert not out.exists()
        assert folder.parent == out.parent
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert (out / "file").read_text() == "x"
    assert out.stat().st_mode == out.parent.stat().st_mode


def test_nothing_is_left_after_an_error(tmp_path):
    with pytest.raises(KeyError), kept_folder(tmp_path / "out"):
        raise KeyError
    # But the record of what went wrong, until the output is made.
    assert [path.name for path in tmp_path.iterdir()] == [".out.run"]
    with kept_folder(tmp_path / "out"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_empty_folder_is_used_and_anything_else_is_refused(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    with kept_folder(tmp_path / "empty") as folder:
        (folder / "file").touch()
    for path in [tmp_path / "empty", tmp_path / "empty" / "file", tmp_path]:
        with pytest.raises(InputError, match="something already"), kept_folder(path):
            pass
    monkeypatch.chdir(tmp_path)
    with kept_folder(tmp_path / "empty" / ".." / "other") as folder:
        assert folder.parent == tmp_path


def test_what_appears_meanwhile_is_not_replaced(tmp_path):
    with pytest.raises(InputError, match="something already"), kept_folder(tmp_path / "out"):
        (tmp_path / "out").write_text("mine")
    assert (tmp_path / "out").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.run", "out"]


@pytest.mark.kill
def test_what_a_killed_process_left_is_kept_for_the_next_or_removed(tmp_path):
    for resume, left in ((True, ["half"]), (False, [])):
        (tmp_path / ".out.partial").mkdir()
        (tmp_path / ".out.partial" / "half").touch()
        (tmp_path / ".out.lock").touch()
        with kept_folder(tmp_path / "out", resume=resume) as folder:
            assert [path.name for path in folder.iterdir()] == left
        assert [path.name for path in tmp_path.iterdir()] == ["out"]
        shutil.rmtree(tmp_path / "out")


def test_a_parent_that_is_a_file_is_a_storage_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file"), kept_folder(tmp_path / "file" / "out"):
        pass
