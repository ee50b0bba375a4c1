import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from polylect.text import Segment, pack, pack_rows, split_document


@st.composite
def trees(draw):
    num = draw(st.integers(1, 12))
    segments = []
    for index in range(num):
        length = draw(st.integers(1, 9))
        parent = draw(st.integers(-1, index - 1))
        weight = np.array(draw(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=length,
                                        max_size=length)), np.float32)  # fmt: skip
        if parent < 0:
            weight[0] = 0.0
        ids = np.array(draw(st.lists(st.integers(0, 999), min_size=length, max_size=length)))
        segments.append(Segment(ids, weight, "de", parent=parent, item=index))
    return segments


def context_of(segments, index):
    """The tokens before a segment, by walking up: what a separate pass would be given."""
    parent = segments[index].parent
    if parent < 0:
        return []
    return context_of(segments, parent) + segments[parent].ids.tolist()


@settings(max_examples=150, deadline=None)
@given(trees())
def test_no_token_is_lost_and_each_knows_its_place_and_its_predecessor(segments):
    batch = pack(segments)
    assert batch.ids.tolist() == [one for segment in segments for one in segment.ids.tolist()]
    assert batch.loss_weight.tolist() == [
        float(one) for segment in segments for one in segment.loss_weight
    ]
    before = batch.predecessors()
    at = 0
    for index, segment in enumerate(segments):
        context = context_of(segments, index)
        for offset in range(len(segment.ids)):
            assert batch.segment_of_token()[at] == index
            assert batch.positions[at] == len(context) + offset
            seen = context + segment.ids[:offset].tolist()
            # Following predecessors back from a token spells what it continues.
            chain, here = [], before[at]
            while here >= 0:
                chain.append(int(batch.ids[here]))
                here = before[here]
            assert chain[::-1] == seen
            at += 1
    assert at == batch.num_tokens


def row_of(length, item):
    weight = np.ones(length, np.float32)
    weight[0] = 0.0
    return Segment(np.full(length, item), weight, "de", item=item)


lengths_and_rows = st.tuples(st.lists(st.integers(1, 30), max_size=60), st.integers(1, 60))


@settings(max_examples=150, deadline=None)
@given(lengths_and_rows)
def test_rows_lose_nothing_and_are_within_one_segment_of_their_size(case):
    lengths, row_tokens = case
    segments = [row_of(length, i) for i, length in enumerate(lengths)]
    rows = list(pack_rows(segments, row_tokens))
    assert [one for row in rows for one in row.items] == list(range(len(lengths)))
    assert [one for row in rows for one in row.lengths] == lengths
    longest = max(lengths, default=0)
    assert all(row.num_tokens < row_tokens + longest for row in rows)
    if longest <= row_tokens:
        assert all(row.num_tokens > row_tokens - longest for row in rows[:-1])


@settings(max_examples=100, deadline=None)
@given(lengths_and_rows, st.integers(0, 10))
def test_the_plan_of_rows_does_not_depend_on_how_they_are_consumed(case, stop):
    lengths, row_tokens = case
    segments = [row_of(length, i) for i, length in enumerate(lengths)]
    whole = [row.lengths for row in pack_rows(segments, row_tokens)]
    # A lazy source, stopped early: the rows up to there are the same.
    part = itertools.islice(pack_rows(iter(segments), row_tokens), stop)
    assert [row.lengths for row in part] == whole[:stop]
    # What comes later does not move an earlier row.
    longer = [*segments, *(row_of(7, i) for i in range(20))]
    again = [row.lengths for row in pack_rows(longer, row_tokens)]
    assert again[: max(0, len(whole) - 1)] == whole[:-1]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(3, 2**16 - 1), max_size=80), st.integers(2, 20))
def test_split_documents_reassemble(ids, context_tokens):
    array = np.array(ids, np.uint16)
    runs = split_document(array, 1, 2, context_tokens)
    assert all(run[0] == 1 and 2 <= len(run) <= context_tokens for run in runs)
    assert [int(one) for run in runs for one in run[1:]] == [*ids, 2]
    assert all(len(run) == context_tokens for run in runs[:-1])
