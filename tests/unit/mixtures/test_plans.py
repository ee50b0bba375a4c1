"""Plans: exact tokens, shared beginnings, budgets, sweeps, files, and what is refused."""

import math
from collections import defaultdict

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polylect.base import InputError
from polylect.mixtures import (
    Cooldown,
    Plan,
    PlannedStage,
    Stream,
    plan_ledger,
    planned_runs,
    read_plan,
    stream_cells,
    tokens_saved,
    trainings_of,
)

SIZES = {
    ("de", "books"): 40_000, ("hi", "books"): 10_000, ("hi", "web"): 6_000, ("yo", "web"): 900,
    ("code", "python"): 50_000, ("code", "markup"): 20_000,
}  # fmt: skip
STREAMS = {
    "text": Stream(),
    "code": Stream(languages=("code",), sources=("python",)),
    "markup": Stream(languages=("code",), sources=("markup",)),
}
HALF = PlannedStage(mix={"text": 1, "code": 1})
TEXT = PlannedStage(mix={"text": 1})
MOSTLY = PlannedStage(mix={"text": 90, "code": 10})
CODE = PlannedStage(mix={"code": 80, "markup": 20})


def paper(**changes):
    """The four variants of "To Code, or Not To Code", with and without the cooldown."""
    options = {
        "streams": STREAMS, "tokens": 20_000, "seeds": (0,),
        "variants": {
            "text-only": (TEXT,), "balanced-only": (HALF,), "balanced-text": (HALF, MOSTLY),
            "code-text": (CODE, MOSTLY),
        },
        "cooldowns": {"code": Cooldown(mix={"text": 80, "code": 20})},
    }  # fmt: skip
    return Plan(**options | changes)


def test_the_ledger_is_exact():
    plan = paper()
    ledger, runs = plan_ledger(plan, SIZES), planned_runs(plan, SIZES)
    assert [run.name for run in runs][:3] == [
        "text-only · seed 0", "text-only+code · seed 0", "balanced-only · seed 0"
    ]  # fmt: skip
    for run in runs:
        rows = ledger.filter(pl.col("run") == run.name)
        assert rows["tokens"].sum() == run.tokens == 20_000 + (2_000 if run.cooldown else 0)
        for number, stage in enumerate(run.stages, start=1):
            tokens = rows.filter(pl.col("stage") == number)
            assert tokens["tokens"].sum() == stage.stage.tokens
            for stream, part in stage.mix.items():
                got = tokens.filter(pl.col("stream") == stream)["tokens"].sum()
                assert got == pytest.approx(part * stage.stage.tokens, abs=3)
    kinds = ledger.filter(pl.col("run") == "code-text+code · seed 0")
    assert kinds.unique(["stage", "kind"]).sort("stage")["kind"].to_list() == [
        "initial", "continued", "cooldown"
    ]  # fmt: skip


def test_runs_that_begin_alike_train_it_once():
    plan = paper(seeds=(0, 1))
    runs = planned_runs(plan, SIZES)
    trainings = trainings_of(runs)
    # Per seed: 4 first stages, 2 continued, 4 cooldowns. Balanced-only trains twice as long on its
    # mix as balanced-text does before it goes on: no beginning in common.
    assert len(trainings) == 2 * 10
    assert len(runs) == 16
    keys = set()
    for training in trainings:
        assert not training.parent or training.parent in keys
        keys.add(training.key)
    shared, apart = tokens_saved(runs)
    assert (shared, apart) == (2 * (4 * 20_000 + 4 * 2_000), 2 * (8 * 20_000 + 4 * 2_000))
    by_run = defaultdict(int)
    for training in trainings:
        for name in training.runs:
            by_run[name] += training.stage.stage.tokens
    assert by_run == {run.name: run.tokens for run in runs}


@pytest.mark.parametrize(
    ("schedule", "stated", "rate"),
    [
        ("cosine", None, 3e-4),
        ("constant", None, 3e-3),
        ("linear", None, 3e-3),
        ("cosine", 1e-5, 1e-5),
    ],
)
def test_a_cooldown_goes_on_at_the_rate_at_which_the_stage_before_it_ended(schedule, stated, rate):
    first = PlannedStage(mix={"text": 1}, schedule=schedule, learning_rate=3e-3)
    ends = {"end": Cooldown(mix={"text": 1}, learning_rate=stated)}
    plan = paper(variants={"one": (first,)}, cooldowns=ends)
    (run,) = [run for run in planned_runs(plan, SIZES) if run.cooldown and run.seed == 0]
    assert run.stages[-1].learning_rate == pytest.approx(rate)
    assert run.stages[-1].schedule == "linear"


def test_budgets_are_competitive_or_additive():
    for budget, tokens, text in (("competitive", 20_000, 10_000), ("additive", 40_000, 20_000)):
        plan = paper(budget=budget, variants={"half": (HALF,)}, cooldowns={})
        ledger = plan_ledger(plan, SIZES)
        assert ledger["tokens"].sum() == tokens
        assert ledger.filter(pl.col("stream") == "text")["tokens"].sum() == text
    with pytest.raises(InputError, match="only code, and an additive budget fixes"):
        paper(budget="additive")


def test_one_factor_scales_a_plan():
    plan = paper(scales=(1.0, 0.25), cooldowns={})
    sizes = {run.scale: run.tokens for run in planned_runs(plan, SIZES)}
    assert sizes == {1.0: 20_000, 0.25: 5_000}
    assert {run.name for run in planned_runs(plan, SIZES)} >= {"text-only · x0.25 · seed 0"}


def test_a_streams_languages_share_by_size_and_temperature():
    plan = paper()
    cells = stream_cells(plan, "text", SIZES)
    assert cells[("de", "books")] == pytest.approx(40_000 / 56_900)
    assert ("code", "python") not in cells
    even = Plan(streams={"text": Stream(temperature=1e9)}, variants={"t": (TEXT,)}, tokens=100)
    assert stream_cells(even, "text", SIZES)[("yo", "web")] == pytest.approx(0.25)
    named = Plan(
        streams={"text": Stream(), "yoruba": Stream(languages=("yo",))},
        variants={"t": (TEXT,)}, tokens=100,
    )  # fmt: skip
    assert ("yo", "web") not in stream_cells(named, "text", SIZES)
    assert stream_cells(named, "yoruba", SIZES) == {("yo", "web"): 1.0}


@settings(max_examples=60, deadline=None)
@given(
    parts=st.lists(st.floats(0.1, 10), min_size=1, max_size=5),
    mixes=st.lists(st.dictionaries(st.sampled_from(["text", "code", "markup"]), st.floats(0.01, 5),
                                   min_size=1), min_size=5, max_size=5),
    tokens=st.integers(500, 5_000), scale=st.floats(0.5, 2), seed=st.integers(0, 3),
)  # fmt: skip
def test_every_plan_adds_up(parts, mixes, tokens, scale, seed):
    stages = tuple(
        PlannedStage(mix=mix, part=part) for part, mix in zip(parts, mixes, strict=False)
    )
    plan = Plan(streams=STREAMS, variants={"v": stages}, tokens=tokens, scales=(scale,),
                seeds=(seed,), max_epochs=1e3)  # fmt: skip
    ledger = plan_ledger(plan, SIZES)
    assert ledger["tokens"].sum() == round(tokens * scale)
    assert (ledger["tokens"] >= 0).all()
    assert ledger.unique(["stage"])["stage"].len() == len(parts)


TOML = """
tokens = 20_000
seeds = [0, 1]

[streams.text]
temperature = 3.0

[streams.code]
languages = ["code"]
sources = ["python"]

[variants]
text-only = [{ mix = { text = 1 } }]
balanced-text = [{ mix = { text = 50, code = 50 } }, { mix = { text = 90, code = 10 } }]

[[sweep]]
stream = "code"
percent = [0, 25, 100]
rest = "text"

[cooldowns.code]
mix = { text = 80, code = 20 }
"""


def test_a_plan_in_toml(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text(TOML, "utf-8")
    plan = read_plan(path)
    assert list(plan.variants) == ["text-only", "balanced-text", "code-0", "code-25", "code-100"]
    assert plan.variants["code-25"][0].mix == {"code": 25, "text": 75}
    assert plan.variants["code-0"][0].mix == {"text": 100}
    # Three variants of text alone are one training for each seed.
    assert len(planned_runs(plan, SIZES)) == 2 * 5 * 2
    firsts = [t for t in trainings_of(planned_runs(plan, SIZES)) if not t.parent]
    assert len(firsts) == 2 * 4


def test_a_plan_in_python_is_the_same(tmp_path):
    (tmp_path / "plan.toml").write_text(TOML, "utf-8")
    (tmp_path / "mine.py").write_text(
        "from polylect.mixtures import read_plan\n"
        f"def plan():\n    return read_plan({str(tmp_path / 'plan.toml')!r})\n"
        "def other():\n    return 3\n"
    )
    assert read_plan(tmp_path / "mine.py") == read_plan(tmp_path / "plan.toml")
    with pytest.raises(InputError, match=r"other\(\) returned int, no Plan"):
        read_plan(f"{tmp_path}/mine.py:other")
    with pytest.raises(InputError, match="no function 'nothing'"):
        read_plan(f"{tmp_path}/mine.py:nothing")


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("tokens = 20_000", "token = 20_000", "did you mean tokens"),
        ("tokens = 20_000", "tokens = 0", "tokens"),
        ("code = 20 }", "cod = 20 }", "cooldown 'code': no stream 'cod'"),
        ("text = 1 }", "text = 0 }", "shares sum to 0"),
        ("percent = [0, 25, 100]", "percent = [0, 125]", "125 %"),
        ('rest = "text"', 'rest = "txt"', "no stream 'txt'"),
        ("seeds = [0, 1]", "seeds = [0, 0]", "give each of them once"),
        ("tokens = 20_000", "tokens = 20_000\nx = [", "plan.toml"),
    ],
)
def test_mistakes_in_a_plan_are_one_line(tmp_path, before, after, words):
    path = tmp_path / "plan.toml"
    assert before in TOML
    path.write_text(TOML.replace(before, after, 1), "utf-8")
    with pytest.raises(InputError) as caught:
        read_plan(path)
    assert words in str(caught.value)
    assert "plan.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_is_refused_before_anything_starts(tmp_path):
    with pytest.raises(InputError, match="stream 'markup': there is no text of it"):
        planned_runs(paper(), {key: num for key, num in SIZES.items() if key[1] != "markup"})
    too_much = paper(tokens=520_000, variants={"code-text": (CODE, TEXT)})
    words = (r"code-text · seed 0, stage 1: asks for 208,000 tokens of code/python, 4\.2 times its"
             r" text; the most is 4")  # fmt: skip
    with pytest.raises(InputError, match=words):
        plan_ledger(too_much, SIZES)
    with pytest.raises(InputError, match="no plan"):
        read_plan(tmp_path / "plan.yaml")
    with pytest.raises(InputError, match="no variants"):
        paper(variants={})
    assert math.isclose(sum(stream_cells(paper(), "code", SIZES).values()), 1)
