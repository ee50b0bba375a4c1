import math

import numpy as np
import pytest

from polylect.base import InputError
from polylect.mixtures import Mixture, Share, Stage, interleave, plan, uniform_shares
from polylect.mixtures.mixture import plan_stage

SIZES = {("de", "web"): 800, ("de", "news"): 200, ("fr", "web"): 100, ("hi", "web"): 10}


def planned(tokens, *shares, sizes=SIZES, **stage):
    return plan_stage(Stage(tokens=tokens, shares=shares, **stage), sizes, "here")


def share(language, **kwargs):
    return Share(language=language, **kwargs)


ALL = (share("de"), share("fr"), share("hi"))


def test_temperature_1_is_proportional_and_infinity_is_equal():
    assert planned(111, *ALL) == [100, 10, 1]
    free = [share(tag, max_epochs=math.inf) for tag in ("de", "fr", "hi")]
    assert planned(300, *free, temperature=math.inf) == [100, 100, 100]
    assert planned(300, *free, temperature=1e9) == [100, 100, 100]


@pytest.mark.parametrize("temperature", [0.5, 2.0, 3.0, 5.0])
def test_temperature_is_the_declared_power(temperature):
    sizes = np.array([1000.0, 100.0, 10.0]) ** (1 / temperature)
    expected = 100_000 * sizes / sizes.sum()
    free = [share(tag, max_epochs=1e9) for tag in ("de", "fr", "hi")]
    found = np.array(planned(100_000, *free, temperature=temperature))
    assert np.abs(found - expected).max() <= 1.0
    assert found.sum() == 100_000


def test_a_temperature_near_zero_gives_all_to_the_largest():
    assert planned(50, *ALL, temperature=1e-4) == [50, 0, 0]


def test_weight_is_a_factor_on_the_size():
    assert planned(120, share("de"), share("fr", weight=2.0)) == [100, 20]


def test_parts_are_fixed_and_the_others_split_the_rest():
    assert planned(110, share("de"), share("fr", part=0.5), share("hi")) == [54, 55, 1]
    both = planned(80, share("de", part=0.25), share("fr", part=0.75), temperature=5.0)
    assert both == [20, 60]


def test_parts_of_a_tenth_sum_to_one():
    shares = [share(tag, part=0.1, max_epochs=math.inf) for tag in ("de",) * 10]
    assert planned(1000, *shares) == [100] * 10
    assert planned(1000, *shares, share("fr")) == [100] * 10 + [0]


def test_a_cap_gives_what_is_left_to_the_others_in_their_proportions():
    # Equal parts of 330 would be 110 each; hi has 2 · 10, the others then take 155 each.
    free = [share("de"), share("fr", max_epochs=2.0), share("hi", max_epochs=2.0)]
    assert planned(330, *free, temperature=math.inf) == [155, 155, 20]
    tight = [share("de"), share("fr", max_epochs=1.1), share("hi", max_epochs=2.0)]
    assert planned(330, *tight, temperature=math.inf) == [200, 110, 20]
    part = [share("de"), share("hi", part=0.5, max_epochs=1.0)]
    assert planned(100, *part) == [90, 10]
    three = [share("de", source="web"), share("de", source="news"), share("hi", part=0.5)]
    assert planned(140, *three) == [80, 20, 40]


def test_caps_may_be_used_up_exactly():
    assert planned(1110, *[share(t, max_epochs=1.0) for t in ("de", "fr", "hi")]) == [1000, 100, 10]


def test_a_cap_between_whole_tokens_is_not_passed():
    found = planned(12, share("hi", max_epochs=0.55), share("hi", max_epochs=0.75))
    assert found == [5, 7]


def test_sources():
    news = planned(100, share("de", source="news"), share("fr"))
    assert news == [67, 33]
    assert planned(300, share("de", source="web"), share("de", source="news")) == [240, 60]


@pytest.mark.parametrize(
    ("tokens", "shares", "stage", "words"),
    [
        (10, (), {}, "here: no shares"),
        (4441, ALL, {}, "asks for 4,441 tokens, but text and epoch caps give only 4,440"),
        (10, (share("dee"),), {}, "no text of language 'dee', source '*' — did you mean de?"),
        (10, (share("de", source="wob"),), {}, "source 'wob' — did you mean web?"),
        (10, (share("zzz"),), {}, "known are de fr hi"),
        (10, (share("de", part=0.5),), {}, "fixed parts sum to 0.5"),
        (10, (share("de", part=0.6), share("fr", part=0.6)), {}, "fixed parts sum to 1.2"),
    ],
)
def test_errors_say_where_what_and_what_next(tokens, shares, stage, words):
    with pytest.raises(InputError) as caught:
        planned(tokens, *shares, **stage)
    assert words in str(caught.value)
    assert str(caught.value).startswith("here: ")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (Stage, {"tokens": 0, "shares": ALL}),
        (Stage, {"tokens": 10, "shares": ALL, "temperature": 0.0}),
        (Stage, {"tokens": 10, "shares": ALL, "temperature": math.nan}),
        *((Share, {"language": "de", "weight": weight}) for weight in (0.0, math.inf, math.nan)),
        *((Share, {"language": "de", "max_epochs": most}) for most in (0.0, -1.0, math.nan)),
        *((Share, {"language": "de", "part": part}) for part in (0.0, 1.5)),
    ],
)
def test_numbers_that_are_no_share_are_refused_when_it_is_made(kind, values):
    with pytest.raises(InputError, match=r"^--[\w-]+ is .* — give "):
        kind(**values)


def test_the_plan_answers_who_gets_how_much_before_training():
    stages = (
        Stage(tokens=111, shares=uniform_shares(["de", "fr", "hi"])),
        Stage(tokens=20, shares=(share("hi"),)),
    )
    mixture = Mixture(stages=stages)
    assert mixture.tokens == 131
    rows = plan(mixture, SIZES)
    assert [list(row.values()) for row in rows] == [
        [0, "de", "*", 100, 1000, 0.1],
        [0, "fr", "*", 10, 100, 0.1],
        [0, "hi", "*", 1, 10, 0.1],
        [1, "hi", "*", 20, 10, 2.0],
    ]
    assert list(rows[0]) == ["stage", "language", "source", "tokens", "available", "epochs"]
    with pytest.raises(InputError, match="stage 2 of the mixture"):
        plan(Mixture(stages=(stages[0], Stage(tokens=99, shares=(share("hi"),)))), SIZES)


def test_the_digest_is_of_the_content():
    one = Mixture(stages=(Stage(tokens=5, shares=(share("de"),)),), seed=1)
    assert one.digest == Mixture(stages=(Stage(tokens=5, shares=(share("de"),)),), seed=1).digest
    others = [
        Mixture(stages=one.stages, seed=2),
        Mixture(stages=(Stage(tokens=6, shares=(share("de"),)),), seed=1),
        Mixture(stages=(Stage(tokens=5, shares=(share("de"),), temperature=math.inf),), seed=1),
        Mixture(stages=(Stage(tokens=5, shares=(share("de", weight=2.0),)),), seed=1),
    ]
    assert len({one.digest, *(other.digest for other in others)}) == 5


def test_interleave_lays_queues_evenly():
    order = interleave([np.array([1, 1, 1, 1]), np.array([1, 1])])
    assert order.tolist() == [[0, 0], [1, 0], [0, 1], [0, 2], [1, 1], [0, 3]]
    # By tokens, not by members: one long member stands for many short ones.
    assert interleave([np.array([100, 100]), np.array([10] * 4)]).tolist() == [
        [1, 0], [0, 0], [1, 1], [1, 2], [0, 1], [1, 3],
    ]  # fmt: skip
    assert interleave([np.array([3])]).tolist() == [[0, 0]]


def test_any_prefix_holds_every_queue_at_its_share_within_one_percent():
    random = np.random.default_rng(0)
    targets = np.array([0.5, 0.3, 0.15, 0.05])
    counts = []
    for target in targets:
        tokens = random.integers(20, 256, 40_000)
        counts.append(tokens[: np.searchsorted(np.cumsum(tokens), 4_000_000 * target)])
    order = interleave(counts)
    tokens = np.array([counts[queue][position] for queue, position in order])
    by_queue = np.stack([np.cumsum(tokens * (order[:, 0] == i)) for i in range(4)])
    shares = by_queue / by_queue.sum(axis=0)
    assert len(order) > 20_000
    assert np.abs(shares[:, 9_999::500] - targets[:, None]).max() < 0.01
    # And from any start, not only the first.
    stretch = by_queue[:, 12_000] - by_queue[:, 2_000]
    assert np.abs(stretch / stretch.sum() - targets).max() < 0.01
