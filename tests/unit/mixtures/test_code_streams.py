"""Markup, code-adjacent text, synthetic problems: what is read, checked and counted."""

import ast
import json
import sys
from pathlib import Path

import pytest

from polylect.base import InputError, Ledger
from polylect.mixtures import AdjacentSource, MarkupSource, SyntheticPrograms
from polylect.mixtures._installed import stated_license
from polylect.mixtures._synthetic_pieces import INT, INTS, PIECES, TEXT, WORDS, Piece
from polylect.mixtures.synthetic import Problem, compose, passing


def read(source, languages=("code",)):
    ledger = Ledger()
    return list(source.documents(languages, ledger)), ledger


def folder(tmp_path: Path) -> Path:
    (tmp_path / "doc").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "hidden.md").write_text("# not read")
    (tmp_path / "doc" / "a.html").write_text("<p>سلام</p>\n\n<p>two</p>", "utf-8")
    (tmp_path / "b.md").write_text("# One\n\nText.")
    (tmp_path / "c.css").write_text("p{}" * 1000)
    (tmp_path / "d.py").write_text("x = 1")
    (tmp_path / "e.xml").write_bytes(b"\xff\xfe<a/>")
    cells = [{"cell_type": "markdown", "source": ["# Sums\n", "of two"]},
             {"cell_type": "code", "source": "1 + 1", "outputs": [{"text": "SECRET"}]}]  # fmt: skip
    (tmp_path / "f.ipynb").write_text(json.dumps({"cells": cells, "nbformat": 4}))
    (tmp_path / "g.ipynb").write_text("{}")
    (tmp_path / "commits.log").write_text("commit 1\n\n    Add the sum\n")
    return tmp_path


def test_markup_is_read_from_a_folder(tmp_path):
    source = MarkupSource(folder(tmp_path))
    documents, ledger = read(source)
    assert [one.id for one in documents] == ["b.md#000", "doc/a.html#000"]
    assert {one.language for one in documents} == {"code"}
    assert {one.source for one in documents} == {"markup"}
    assert documents[1].parallel == "markup/doc/a.html"
    assert "سلام" in documents[1].text
    assert ledger.by_event() == {
        "dropped file: a line of more than 2,000 characters": 1, "dropped file: not UTF-8": 1,
    }  # fmt: skip
    digest = source.digest
    (tmp_path / "b.md").write_text("# Two")
    assert MarkupSource(tmp_path).digest != digest
    assert read(source, ("de",))[0] == []


def test_code_adjacent_text_is_read_from_a_folder_without_outputs(tmp_path):
    documents, ledger = read(AdjacentSource(folder(tmp_path)))
    assert [one.id for one in documents] == ["commits.log#000", "f.ipynb#000"]
    assert documents[1].text == "# Sums\nof two\n\n1 + 1"
    assert ledger.by_event() == {"dropped file: neither UTF-8 text nor a notebook": 1}


@pytest.mark.parametrize("kind", [MarkupSource, AdjacentSource])
def test_a_folder_without_any_is_refused(tmp_path, kind):
    with pytest.raises(InputError, match="nothing to read here"):
        read(kind(tmp_path))
    with pytest.raises(InputError, match="no such file or folder"):
        _ = kind(tmp_path / "none").digest


def test_installed_packages_state_their_licenses():
    documents, _ = read(AdjacentSource())
    licenses = {one.id.partition("/")[0]: one.license for one in documents}
    assert licenses["numpy"].startswith("BSD-3-Clause")
    assert licenses["pydoc"] == "PSF-2.0"
    assert len(documents) > 200
    markup, _ = read(MarkupSource())
    assert len(markup) > 50
    assert not any("polylect" in one.id for one in markup)


@pytest.mark.parametrize(
    ("metadata", "license"),
    [
        ({"License-Expression": ["MIT OR Apache-2.0"], "License": ["x"]}, "MIT OR Apache-2.0"),
        ({"License": ["BSD"]}, "BSD"),
        ({"License": ["Long\ntext"],
          "Classifier": ["A :: B", "License :: OSI Approved :: MIT License"]}, "MIT License"),
        ({}, ""),
    ],
)  # fmt: skip
def test_a_license_is_the_shortest_that_is_stated(metadata, license):
    class Metadata:
        metadata = type("M", (), {"get_all": lambda self, key: metadata.get(key)})()

    assert stated_license(Metadata()) == license


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs seccomp")


def test_problems_are_distinct_deterministic_and_grow():
    some, more = compose(60, 3), compose(90, 3)
    assert some == more[:60]
    assert len({one.key for one in more}) == len({one.text for one in more}) == 90
    assert compose(60, 4) != some
    for one in more:
        ast.parse(one.text)
    kinds = {line.partition("(")[0] for one in more for line in one.solution.split("\n")}
    assert any(line.strip().startswith("for ") for line in kinds)
    assert len(compose(20_000, 0)) == 20_000


@linux
def test_every_solution_was_run_and_none_of_the_pieces_is_wrong():
    documents, ledger = read(SyntheticPrograms(num_problems=400, seed=5))
    assert len(documents) == 400
    assert ledger.by_event() == {"composed: problems": 400}
    used = {piece.name for piece in PIECES if any(piece.name in one.id for one in documents)}
    assert len(used) > 0.9 * len(PIECES)
    assert SyntheticPrograms(seed=1).digest != SyntheticPrograms(seed=2).digest


@linux
@pytest.mark.parametrize("piece", PIECES, ids=lambda piece: piece.name)
def test_a_piece_says_the_same_as_an_expression_and_as_a_loop(piece: Piece):
    values = {
        INTS: [[3, -1, 3, 8], [2], [0, 0, 5]], INT: [0, 1, 28, -6], TEXT: ["Ada  a", "x", "aab-É"],
        WORDS: [["b", "aa", "b"], ["level"]],
    }  # fmt: skip
    for value in values[piece.takes]:
        for k in piece.numbers or (0,):
            expected = piece.run(value, k)
            for text in (piece.code and f"out = {piece.code}", piece.loop):
                if text:
                    space = {"argument": value}
                    exec(piece.imports, space)
                    exec(text.format(a="argument", k=k, out="out"), space)
                    assert space["out"] == expected, (value, k, text)


@linux
def test_a_wrong_solution_is_found_among_right_ones(monkeypatch):
    problems = compose(9, 0)
    wrong = Problem("x", "wrong", "def f(x):\n    return x", "assert f(1) == 2")
    endless = Problem("y", "exits", "raise SystemExit", "")
    assert passing([*problems[:4], wrong, *problems[4:], endless]) == [
        *[True] * 4, False, *[True] * 5, False
    ]  # fmt: skip
    monkeypatch.setattr("polylect.mixtures.synthetic.compose", lambda num, seed: [wrong])
    documents, ledger = read(SyntheticPrograms())
    assert documents == []
    assert ledger.by_event()["dropped: the solution failed its tests"] == 1


def test_where_nothing_can_be_confined_the_users_own_are_asked_for(monkeypatch):
    def refuse():
        raise InputError("programs cannot be confined on darwin")

    monkeypatch.setattr("polylect.mixtures.synthetic.require_sandbox", refuse)
    with pytest.raises(InputError, match=r"no synthetic problems: .*--synthetic-code FOLDER"):
        read(SyntheticPrograms())
