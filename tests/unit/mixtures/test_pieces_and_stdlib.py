import pickle

from polylect.base import Ledger
from polylect.mixtures import StandardLibrary
from polylect.mixtures.pieces import code_pieces, paragraph_pieces


def test_paragraphs_are_joined_up_to_the_limit_and_nothing_is_lost():
    text = "\n\n".join(f"paragraph {number} " + "x" * 80 for number in range(60))
    pieces = list(paragraph_pieces(text))
    assert all(len(one) <= 2000 for one in pieces)
    assert len(pieces) == 3
    assert "\n\n".join(pieces) == text


def test_a_long_paragraph_is_cut_at_line_ends():
    text = "\n".join(f"line {number} " + "y" * 50 for number in range(100))
    pieces = list(paragraph_pieces(text))
    assert len(pieces) == 3
    assert " ".join(pieces).split() == text.split()
    assert list(paragraph_pieces("z" * 5000)) == ["z" * 5000]
    assert list(paragraph_pieces(" \n\n \n")) == []


def test_code_is_cut_before_top_level_statements():
    function = "def f():\n    x = 1\n\n    return x\n"
    text = '"""Doc."""\n\n' + (function + "\n\n") * 200
    pieces = list(code_pieces(text))
    assert len(pieces) > 1
    assert all(len(one) <= 3000 for one in pieces)
    assert all(one.startswith(("def f", '"""Doc')) for one in pieces)
    assert sum(one.count("def f") for one in pieces) == 200
    assert list(code_pieces("\n\n")) == []


def test_the_standard_library_is_code_by_file():
    source = pickle.loads(pickle.dumps(StandardLibrary()))
    ledger = Ledger()
    documents = list(source.documents(("code",), ledger))
    assert sum(len(one.text) for one in documents) > 5_000_000
    assert {one.language for one in documents} == {"code"}
    assert all(one.parallel == f"stdlib/{one.id.partition('#')[0]}" for one in documents)
    assert len({one.id for one in documents}) == len(documents)
    assert not any("/test/" in one.id or one.id.startswith("test") for one in documents)
    assert max(len(one.text) for one in documents) < 4000
    assert source.digest == StandardLibrary().digest
    assert list(source.documents(("de",), ledger)) == []
