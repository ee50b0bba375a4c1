import json
import math
import os

import pytest

from polylect.base import (
    InputError,
    StorageError,
    atomic_file,
    read_json,
    read_text,
    remove_folder,
    write_json,
    write_text,
)


def test_text_round_trip_makes_its_folders(tmp_path):
    path = tmp_path / "new/folder/a.txt"
    write_text(path, "ünïcode\n漢字")
    assert path.read_bytes() == "ünïcode\n漢字".encode()
    assert read_text(path) == "ünïcode\n漢字"
    assert os.listdir(path.parent) == ["a.txt"]


def test_json_is_sorted_readable_and_the_same_for_equal_values(tmp_path):
    write_json(tmp_path / "a.json", {"b": (1, 2), "a": "ü"})
    write_json(tmp_path / "b.json", {"a": "ü", "b": [1, 2]})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert (tmp_path / "a.json").read_text(encoding="utf-8").startswith('{\n "a": "ü"')
    assert read_json(tmp_path / "a.json") == {"a": "ü", "b": [1, 2]}


def test_json_stays_json_when_a_number_is_infinite(tmp_path):
    write_json(tmp_path / "a.json", {"t": math.inf})
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text, parse_constant=lambda name: pytest.fail(name)) == {"t": "inf"}


@pytest.mark.parametrize("before", [None, "old"])
@pytest.mark.parametrize("error", [RuntimeError("x"), KeyboardInterrupt(), OSError(28, "x")])
def test_a_failure_leaves_nothing_and_keeps_what_was_there(tmp_path, before, error):
    path = tmp_path / "a.txt"
    if before:
        path.write_text(before)

    def fail():
        with atomic_file(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(StorageError if isinstance(error, OSError) else type(error)) as caught:
        fail()
    assert os.listdir(tmp_path) == (["a.txt"] if before else [])
    assert not before or path.read_text() == "old"
    if isinstance(error, OSError):
        assert str(caught.value).startswith(f"{path}: the disk is full")


@pytest.mark.parametrize("name", ["file/a.txt", "file/sub/a.txt"])
def test_a_file_where_a_folder_is_needed(tmp_path, name):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError) as caught:
        write_text(tmp_path / name, "y")
    assert str(tmp_path / name) in str(caught.value)
    assert "folder" in str(caught.value)
    assert os.listdir(tmp_path) == ["file"]


def test_byte_order_mark_is_taken_off(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfabc")
    assert read_text(tmp_path / "a.txt") == "abc"
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(tmp_path / "a.json") == {"a": 1}


def test_latin1_is_refused_with_the_byte_and_the_way_out(tmp_path):
    path = tmp_path / "old.txt"
    path.write_bytes("caf\xe9 noir".encode("latin-1"))
    with pytest.raises(InputError) as caught:
        read_text(path)
    text = str(caught.value)
    assert f"{path}: not UTF-8 (byte 3, value 0xe9)" in text
    assert "iconv -f LATIN1 -t UTF-8 old.txt > old.utf8.txt" in text


@pytest.mark.parametrize(("name", "words"), [("none", "no such file"), ("", "this is a folder")])
def test_what_cannot_be_read_is_the_users_mistake(tmp_path, name, words):
    with pytest.raises(InputError, match=words):
        read_text(tmp_path / name)


def test_broken_json_names_the_line(tmp_path):
    (tmp_path / "a.json").write_text('{\n "a": 1,\n}')
    with pytest.raises(InputError, match=r"a\.json:3: not JSON"):
        read_json(tmp_path / "a.json")


def test_remove_folder(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/c").write_text("x")
    remove_folder(tmp_path / "a")
    remove_folder(tmp_path / "a")
    assert os.listdir(tmp_path) == []
    (tmp_path / "f").write_text("x")
    with pytest.raises(StorageError):
        remove_folder(tmp_path / "f")
