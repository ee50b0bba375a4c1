import numpy as np
import pytest

from polylect.text import Segment, pack, pack_rows, split_document


def segment(*ids, parent=-1, language="de", item=-1):
    weight = np.ones(len(ids), np.float32)
    if parent < 0:
        weight[0] = 0.0
    return Segment(np.array(ids), weight, language, parent=parent, item=item)


def test_a_tree_by_hand():
    # 0 ── 1 ── 3        row: a b c | d e | f | g h | i
    #  └── 2         4
    batch = pack(
        [
            segment(10, 11, 12, item=7),
            segment(13, 14, parent=0, language="fr"),
            segment(15, parent=0),
            segment(16, 17, parent=1, language="fr"),
            segment(18, item=8),
        ]
    )
    assert batch.ids.tolist() == list(range(10, 19))
    assert batch.positions.tolist() == [0, 1, 2, 3, 4, 3, 5, 6, 0]
    assert batch.predecessors().tolist() == [-1, 0, 1, 2, 3, 2, 4, 6, -1]
    assert batch.segment_of_token().tolist() == [0, 0, 0, 1, 1, 2, 3, 3, 4]
    assert batch.loss_weight.tolist() == [0, 1, 1, 1, 1, 1, 1, 1, 0]
    assert batch.lengths == (3, 2, 1, 2, 1)
    assert batch.parents == (-1, 0, 0, 1, -1)
    assert batch.languages == ("de", "fr", "de", "fr", "de")
    assert batch.items == (7, -1, -1, -1, 8)
    assert (batch.ids.dtype, batch.positions.dtype) == (np.int64, np.int64)
    assert batch.loss_weight.dtype == np.float32
    assert batch.num_tokens == 9


def test_rows_by_hand():
    # Starts 0, 4, 8, 11, 20: the rows of ten begin at tokens 0, 10 and 20.
    lengths = (4, 4, 3, 9, 2)
    rows = list(pack_rows([segment(*range(n)) for n in lengths], 10))
    assert [row.lengths for row in rows] == [(4, 4, 3), (9,), (2,)]


def test_a_segment_longer_than_a_row_is_a_row():
    rows = list(pack_rows([segment(*range(n)) for n in (25, 3, 3)], 10))
    assert [row.lengths for row in rows] == [(25,), (3, 3)]
    assert list(pack_rows([], 10)) == []


@pytest.mark.parametrize("num", range(12))
def test_split_by_hand(num):
    runs = split_document(np.arange(100, 100 + num), 1, 2, 5)
    assert all(2 <= len(run) <= 5 and run[0] == 1 for run in runs)
    assert [token for run in runs for token in run[1:]] == [*range(100, 100 + num), 2]
    assert len(runs) == -(-(num + 1) // 4)
    assert all(len(run) == 5 for run in runs[:-1])


def test_mistakes_of_a_programmer_are_assertions():
    with pytest.raises(AssertionError, match="nothing to pack"):
        pack([])
    with pytest.raises(AssertionError, match="a parent comes before"):
        pack([segment(1, parent=0)])
    with pytest.raises(AssertionError, match="no context"):
        Segment(np.array([1]), np.ones(1, np.float32), "de")
    with pytest.raises(AssertionError):
        Segment(np.array([], int), np.array([]), "de")
    with pytest.raises(AssertionError, match="packed tree by tree"):
        list(pack_rows([segment(1), segment(2, parent=0)], 10))
    with pytest.raises(AssertionError):
        split_document(np.arange(3), 1, 2, 1)
