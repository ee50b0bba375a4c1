import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from polylect.engine import TokenRequest, plan_passes
from polylect.text import path_of, prefix_tree, sort_sequences

# Two letters and short runs, so that most sequences share something, repeat, or end inside another.
ids = st.lists(st.integers(0, 1), min_size=1, max_size=14)
sequences = st.lists(ids, min_size=1, max_size=12)


def spell(nodes, ordered, last, length):
    path = path_of(nodes, last)
    whole = np.concatenate(
        [ordered[nodes[i].sequence][nodes[i].start : nodes[i].end] for i in path]
    )
    return whole[:length].tolist()


@settings(max_examples=300, deadline=None)
@given(sequences, st.integers(1, 5), st.one_of(st.none(), st.integers(1, 6)))
def test_walking_up_the_tree_spells_every_sequence(given_ids, min_shared, max_tokens):
    given_arrays = [np.array(one) for one in given_ids]
    ordered, rank = sort_sequences(given_arrays)
    assert [one.tolist() for one in ordered] == sorted(map(list, set(map(tuple, given_ids))))
    nodes, last = prefix_tree(ordered, min_shared, max_tokens)
    for one, where in zip(given_ids, rank, strict=True):
        assert spell(nodes, ordered, last[where], len(one)) == one
    for i, node in enumerate(nodes):
        assert node.num_tokens >= 1
        assert max_tokens is None or node.num_tokens <= max_tokens
        assert node.parent < i
        assert node.start == (nodes[node.parent].end if node.parent >= 0 else 0)
    assert sum(node.num_tokens for node in nodes) <= sum(map(len, ordered))


@settings(max_examples=100, deadline=None)
@given(sequences)
def test_with_nothing_too_short_to_share_no_prefix_stands_twice(given_ids):
    ordered, _ = sort_sequences([np.array(one) for one in given_ids])
    nodes, _ = prefix_tree(ordered, min_shared=1)
    prefixes = {tuple(one[: k + 1].tolist()) for one in ordered for k in range(len(one))}
    assert sum(node.num_tokens for node in nodes) == len(prefixes)


requests = st.lists(st.tuples(ids, ids), min_size=1, max_size=10)


@settings(max_examples=200, deadline=None)
@given(requests, st.integers(1, 20), st.randoms(use_true_random=False))
def test_a_plan_answers_every_token_once_within_the_bound_in_any_order(pairs, bound, random):
    asked = [TokenRequest(np.array(context), np.array(more)) for context, more in pairs]
    plan = plan_passes(asked, bound)
    seen: set[int] = set()
    answers: list[tuple[tuple[int, ...], int]] = []
    for one in plan.passes:
        assert sum(plan.nodes[node].num_tokens for node in one.nodes) <= bound
        assert one.kept < 0 or one.kept in seen, "a kept node runs before what continues it"
        assert not one.keeps or len(one.nodes) == 1
        assert one.rows.tolist() == sorted(one.rows.tolist())
        at = []
        for node in one.nodes:
            parent = plan.nodes[node].parent
            assert parent == one.kept or parent in one.nodes
            before = [token for i in path_of(plan.nodes, parent) for token in plan.ids(i).tolist()]
            own = plan.ids(node).tolist()
            at += [tuple(before + own[: k + 1]) for k in range(len(own))]
        answers += [(at[row], int(t)) for row, t in zip(one.rows, one.targets, strict=True)]
        assert not seen & set(one.nodes)
        seen |= set(one.nodes)
    assert seen == set(range(len(plan.nodes)))
    assert sorted({int(slot) for one in plan.slots for slot in one}) == [*range(len(answers))]
    for (context, more), slots in zip(pairs, plan.slots, strict=True):
        wanted = [(tuple(context + more[:k]), more[k]) for k in range(len(more))]
        assert [answers[slot] for slot in slots] == wanted
    order = list(range(len(asked)))
    random.shuffle(order)
    other = plan_passes([asked[i] for i in order], bound)
    assert [one.nodes for one in other.passes] == [one.nodes for one in plan.passes]
    assert [other.slots[k].tolist() for k in range(len(order))] == [
        plan.slots[i].tolist() for i in order
    ]
