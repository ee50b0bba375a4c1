import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from polylect.base import InputError
from polylect.mixtures import Share, Stage, interleave
from polylect.mixtures.mixture import plan_stage

TAGS = ("de", "fr", "hi", "ja", "tr", "uk")
positive = st.floats(0.01, 100.0)


@st.composite
def stages(draw):
    tags = TAGS[: draw(st.integers(1, 6))]
    sizes = {(tag, "s"): draw(st.integers(1, 10**6)) for tag in tags}
    num_parts = draw(st.integers(0, len(tags) - 1))
    shares = []
    for number, tag in enumerate(tags):
        part = draw(st.floats(0.01, 1 / len(tags))) if number < num_parts else None
        epochs = draw(st.one_of(st.floats(0.1, 20.0), st.just(math.inf)))
        shares.append(Share(language=tag, weight=draw(positive), part=part, max_epochs=epochs))
    temperature = draw(st.one_of(st.floats(0.05, 50.0), st.just(math.inf)))
    tokens = draw(st.integers(1, 10**6))
    return Stage(tokens=tokens, shares=tuple(shares), temperature=temperature), sizes


def caps_of(stage, sizes):
    return [share.max_epochs * sizes[share.language, "s"] for share in stage.shares]


@settings(max_examples=150, deadline=None)
@given(stages())
def test_tokens_sum_exactly_within_the_caps_or_the_error_is_right(case):
    stage, sizes = case
    caps = caps_of(stage, sizes)
    possible = sum(min(cap, stage.tokens) // 1 for cap in caps) >= stage.tokens
    if not possible:
        with pytest.raises(InputError, match="epoch caps"):
            plan_stage(stage, sizes, "x")
        return
    found = plan_stage(stage, sizes, "x")
    assert sum(found) == stage.tokens
    assert all(type(one) is int for one in found)
    assert all(0 <= one <= cap for one, cap in zip(found, caps, strict=True))


@settings(max_examples=100, deadline=None)
@given(stages())
def test_without_caps_everyone_is_within_a_token_of_the_formula(case):
    stage, sizes = case
    open_shares = tuple(
        Share(language=one.language, weight=one.weight, part=one.part, max_epochs=math.inf)
        for one in stage.shares
    )
    found = plan_stage(
        Stage(tokens=stage.tokens, shares=open_shares, temperature=stage.temperature), sizes, "x"
    )
    fixed = sum(one.part or 0.0 for one in open_shares)
    logs = [
        math.log(one.weight) + math.log(sizes[one.language, "s"]) / stage.temperature
        for one in open_shares
    ]
    top = max(log for log, one in zip(logs, open_shares, strict=True) if one.part is None)
    free = [
        math.exp(log - top) if one.part is None else 0.0
        for log, one in zip(logs, open_shares, strict=True)
    ]
    for one, weight, tokens in zip(open_shares, free, found, strict=True):
        ideal = one.part if one.part is not None else (1 - fixed) * weight / sum(free)
        assert abs(tokens - ideal * stage.tokens) <= 1 + 1e-6 * stage.tokens


@settings(max_examples=60, deadline=None)
@given(stages(), st.integers(0, 5))
def test_a_share_below_its_cap_gets_no_less_when_another_is_capped(case, which):
    stage, sizes = case
    assume(which < len(stage.shares))
    open_shares = [
        Share(language=one.language, weight=one.weight, part=one.part, max_epochs=math.inf)
        for one in stage.shares
    ]
    capped = list(open_shares)
    one = capped[which]
    epochs = 0.4 * stage.tokens / len(capped) / sizes[one.language, "s"]
    capped[which] = Share(
        language=one.language, weight=one.weight, part=one.part, max_epochs=epochs
    )
    assume(len(capped) > 1)
    before, after = (
        plan_stage(
            Stage(tokens=stage.tokens, shares=tuple(s), temperature=stage.temperature), sizes, "x"
        )
        for s in (open_shares, capped)
    )
    for i in range(len(capped)):
        if i != which:
            assert after[i] >= before[i] - 1


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.integers(1, 300), min_size=1, max_size=40), min_size=1, max_size=6))
def test_interleave_keeps_every_member_once_and_in_the_order_of_its_queue(counts):
    order = interleave([np.array(one) for one in counts])
    assert len(order) == sum(map(len, counts))
    for queue, tokens in enumerate(counts):
        assert order[order[:, 0] == queue][:, 1].tolist() == list(range(len(tokens)))
    # What was given of a queue never strays from its share by more than two of the largest members.
    totals = np.array([sum(one) for one in counts], float)
    given_ = np.zeros(len(counts))
    largest = max(map(max, counts))
    for queue, position in order:
        given_[queue] += counts[queue][position]
        expected = given_.sum() * totals / totals.sum()
        assert np.abs(given_ - expected).max() <= 2 * largest * len(counts)
