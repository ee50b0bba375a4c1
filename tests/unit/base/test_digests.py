import enum
import hashlib
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from polylect.base import (
    InputError,
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
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert digest_bytes(b"abc") == known
    (tmp_path / "f").write_bytes(b"abc")
    assert digest_file(tmp_path / "f") == known
    assert digest_of({"b": 1, "a": "ü"}) == hashlib.sha256('{"a":"ü","b":1}'.encode()).hexdigest()


def test_order_of_keys_does_not_count_order_of_lists_does():
    assert digest_of({"a": 1, "b": {"c": 2, "d": 3}}) == digest_of({"b": {"d": 3, "c": 2}, "a": 1})
    assert digest_of([1, 2]) != digest_of([2, 1])
    assert digest_of({3, 1, 2}) == digest_of({2, 3, 1}) == digest_of([1, 2, 3])


def test_types_that_differ_have_other_digests():
    values = [1, 1.5, "1", True, None, [1], {"1": 1}, "inf", ""]
    assert len({digest_of(value) for value in values}) == len(values)


def test_plain():
    assert plain(Point(1, Color.RED, Path("a/b"))) == {"x": 1, "color": "red", "path": "a/b"}
    assert plain((1, [2, (3,)])) == [1, [2, [3]]]
    with pytest.raises(TypeError, match="no plain form for object"):
        plain({"a": object()})


def test_numbers_that_json_does_not_have():
    assert json_value([math.inf, {"a": -math.inf}, 1.5]) == ["inf", {"a": "-inf"}, 1.5]
    assert json_value(math.nan) == "nan"
    assert json.loads(canonical_json({"t": math.inf})) == {"t": "inf"}
    assert digest_of({"t": math.inf}) != digest_of({"t": 1e308})
    assert plain(math.inf) == math.inf


def test_a_folder_is_its_names_and_contents_not_its_place(tmp_path):
    files = {"a.txt": "1", "sub/b.txt": "2", "sub/.hidden": "3"}
    here, there = tree(tmp_path / "here", files), tree(tmp_path / "deep/there", files)
    first = digest_folder(here)
    os.utime(there / "a.txt", (0, 0))
    assert digest_folder(there) == first
    changes = [
        files | {"a.txt": "9"},
        files | {"new": ""},
        {"c.txt": "1", "sub/b.txt": "2", "sub/.hidden": "3"},
        {"a.txt": "1", "b.txt": "2", "sub/.hidden": "3"},
        files | {"sub/.hidden": "4"},
    ]
    digests = [digest_folder(tree(tmp_path / str(i), one)) for i, one in enumerate(changes)]
    assert len({first, *digests}) == 6


def test_what_is_left_out_does_not_count_at_any_depth(tmp_path):
    root = tree(tmp_path, {"a": "1", "volatile.json": "x", "sub/volatile.json": "y"})
    assert file_digests(root, leave_out=frozenset({"volatile.json"})) == {"a": digest_bytes(b"1")}
    assert list(file_digests(root)) == ["a", "sub/volatile.json", "volatile.json"]


def test_a_link_that_leads_nowhere_is_named(tmp_path):
    (tmp_path / "gone").symlink_to(tmp_path / "nothing")
    with pytest.raises(InputError, match="gone: neither a file nor a folder"):
        digest_folder(tmp_path)


def test_names_that_are_not_utf8_have_a_digest(tmp_path):
    for name, other in ((b"caf\xe9", b"caf\xe8"),):
        one, two = tmp_path / "one", tmp_path / "two"
        one.mkdir()
        two.mkdir()
        (one / os.fsdecode(name)).write_text("x")
        (two / os.fsdecode(other)).write_text("x")
        assert digest_folder(one) != digest_folder(two)
