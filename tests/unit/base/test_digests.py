import enum
import hashlib
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from polylect.base import (
    canonical_json,
    digest_bytes,
    digest_file,
    digest_folder,
    digest_of,
    file_digests,
    json_value,
    plain,
)


class Color(enum.StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Point:
    x: int
    color: Color
    path: Path


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_digest_is_sha256_of_the_bytes(tmp_path):
    # FIPS 180-2, appendix B.1.
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert digest_bytes(b"abc") == expected
    (tmp_path / "f").write_bytes(b"abc")
    assert digest_file(tmp_path / "f") == expected
    assert digest_of({"b": 1, "a": "ü"}) == hashlib.sha256('{"a":"ü","b":1}'.encode()).hexdigest()


def test_the_digest_ignores_the_order_of_keys_but_not_of_lists():
    assert digest_of({"a": 1, "b": {"c": 2, "d": 3}}) == digest_of({"b": {"d": 3, "c": 2}, "a": 1})
    assert digest_of([1, 2]) != digest_of([2, 1])
    assert digest_of({3, 1, 2}) == digest_of({2, 3, 1}) == digest_of([1, 2, 3])


def test_values_of_different_types_have_different_digests():
    values = [1, 1.5, "1", True, None, [1], {"1": 1}, "inf", ""]
    assert len({digest_of(value) for value in values}) == len(values)


def test_plain_turns_values_into_json_types():
    assert plain(Point(1, Color.RED, Path("a/b"))) == {"x": 1, "color": "red", "path": "a/b"}
    assert plain((1, [2, (3,)])) == [1, [2, [3]]]
    with pytest.raises(TypeError, match="no plain form for object"):
        plain({"a": object()})


def test_numbers_that_json_lacks_become_text():
    assert json_value([math.inf, {"a": -math.inf}, 1.5]) == ["inf", {"a": "-inf"}, 1.5]
    assert json_value(math.nan) == "nan"
    assert json.loads(canonical_json({"t": math.inf})) == {"t": "inf"}
    assert digest_of({"t": math.inf}) != digest_of({"t": 1e308})
    assert plain(math.inf) == math.inf


def test_the_digest_of_a_folder_covers_names_and_contents_not_its_path(tmp_path):
    files = {"a.txt": "1", "sub/b.txt": "2", "sub/.hidden": "3"}
    original, copy = tree(tmp_path / "here", files), tree(tmp_path / "deep/there", files)
    first = digest_folder(original)
    os.utime(copy / "a.txt", (0, 0))
    assert digest_folder(copy) == first
    changes = [
        files | {"a.txt": "9"},
        files | {"new": ""},
        {"c.txt": "1", "sub/b.txt": "2", "sub/.hidden": "3"},
        {"a.txt": "1", "b.txt": "2", "sub/.hidden": "3"},
        files | {"sub/.hidden": "4"},
    ]
    digests = [digest_folder(tree(tmp_path / str(i), files)) for i, files in enumerate(changes)]
    assert len({first, *digests}) == 6


def test_left_out_names_do_not_count_at_any_depth(tmp_path):
    root = tree(tmp_path, {"a": "1", "volatile.json": "x", "sub/volatile.json": "y"})
    assert file_digests(root, leave_out=frozenset({"volatile.json"})) == {"a": digest_bytes(b"1")}
    assert list(file_digests(root)) == ["a", "sub/volatile.json", "volatile.json"]


def test_a_link_to_nothing_and_a_pipe_count_by_what_they_are(tmp_path):
    digests = []
    for name, target in (("gone", "nothing"), ("gone", "nobody"), ("went", "nobody")):
        (tmp_path / name).unlink(missing_ok=True)
        (tmp_path / name).symlink_to(tmp_path / target)
        digests.append(digest_folder(tmp_path))
    os.mkfifo(tmp_path / "pipe")
    digests.append(digest_folder(tmp_path))
    assert len(set(digests)) == 4


def test_file_names_that_are_not_utf8_have_a_digest(tmp_path):
    for name, other in ((b"caf\xe9", b"caf\xe8"),):
        first_folder, second_folder = tmp_path / "one", tmp_path / "two"
        first_folder.mkdir()
        second_folder.mkdir()
        (first_folder / os.fsdecode(name)).write_text("x")
        (second_folder / os.fsdecode(other)).write_text("x")
        assert digest_folder(first_folder) != digest_folder(second_folder)
