"""Plans of instruction mixtures, and the split of their rows: no leak, nothing silent."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylect.base import InputError
from polylect.recipes.mixtures.instruction_plans import (
    InstructionPlan,
    num_examples,
    own_mixtures,
    read_instruction_plan,
    shares_of,
)
from polylect.recipes.mixtures.instruction_steps import StreamsConfig, instruction_streams
from polylect.runs import Call, Files, Run

SIZES = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 10_000), min_size=2)


@given(SIZES)
def test_own_mixtures_are_different_and_cover_every_stream(sizes):
    mixtures = own_mixtures(sizes)
    assert len(mixtures) == 2 + len(sizes) * (2 if len(sizes) == 2 else 3)
    for name, weights in mixtures.items():
        shares = shares_of(weights, sizes)
        assert sum(shares.values()) == pytest.approx(1.0)
        assert tuple(shares) == tuple(sizes)
        assert (name == f"without-{next(iter(sizes))}") <= (shares[next(iter(sizes))] == 0)


@given(SIZES, st.floats(0.5, 8))
def test_no_stream_is_read_more_often_than_the_plan_allows(sizes, most):
    plan = InstructionPlan(streams=dict.fromkeys(sizes, "x.jsonl"), mixtures=own_mixtures(sizes),
                           max_epochs=most)  # fmt: skip
    num = num_examples(plan, sizes)
    assert 1 <= num <= sum(sizes.values())
    for weights in plan.mixtures.values():
        for name, share in shares_of(weights, sizes).items():
            assert num == 1 or num * share <= most * sizes[name] * (1 + 1e-9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("streams = 3", "streams"),
        ("[streams]\nhuman = 'h.jsonl'\n[mixtures.x]\nhumane = 1", "no stream 'humane'.*human"),
        ("[streams]\nhuman = 'h.jsonl'\n[mixtures.x]\nhuman = 0", "mixture x: all weights are 0"),
        ("[streams]\n'a b' = 'h.jsonl'", "is called 'a b'"),
        ("[streams]\nhuman = 'h.jsonl'\nexampels = 3", "exampels"),
        ("seeds = [1, 1]\n[streams]\nhuman = 'h.jsonl'", "seeds, each once"),
        ("[streams", "streams"),
    ],
)
def test_a_plan_that_is_wrong_names_file_and_place(tmp_path, text, message):
    path = tmp_path / "plan.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_instruction_plan(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_files_of_a_plan_lie_beside_it(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text("[streams]\nhuman = 'h.jsonl'\nsynthetic = 's.parquet'")
    plan = read_instruction_plan(path)
    assert plan.streams == {"human": tmp_path / "h.jsonl", "synthetic": tmp_path / "s.parquet"}


def row(name, asked, answer="ja", language="de"):
    return {"id": name, "prompt": asked, "completion": answer, "language": language}


def split(tmp_path, streams, **more):
    inputs = {}
    for name, rows in streams.items():
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in rows))
        inputs[name] = Files(path)
    config = StreamsConfig(streams=tuple(streams), **more)
    with Run(tmp_path / "run", "test", config) as run:
        (made,) = run.steps([Call(instruction_streams, "streams", config, inputs)])
    return [
        [json.loads(line) for line in (made.path / name).read_text().splitlines()]
        for name in ("train.jsonl", "held.jsonl")
    ], made


def test_translations_and_equal_prompts_are_on_one_side(tmp_path):
    tags = ("de", "ar", "zh")
    human = [row(str(n), f"Frage {n}", language=tag) for n in range(20) for tag in tags]
    synthetic = [row(f"s{n}", f"Frage {n}", "nein") for n in range(40)]
    (train, held), _ = split(tmp_path, {"human": human, "synthetic": synthetic}, held_out=0.2)
    assert not {one["prompt"] for one in train} & {one["prompt"] for one in held}
    assert not {one["id"] for one in train} & {one["id"] for one in held}
    by_id = [one["id"] for one in held if one["source"] == "human"]
    assert len(by_id) == 3 * len(set(by_id)) == 12
    assert {one["source"] for one in train} == {"human", "synthetic"}
    assert len(train) + len(held) < 100  # what asks the same as a held-out row was left out


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row("1", "x"), row("1", "x", language="hi")], "2 rows, none to hold out"),
        ([], "no row|empty|no conversation|nothing"),
    ],
)
def test_a_stream_of_one_prompt_is_refused(tmp_path, rows, message):
    other = [row(str(n), f"Frage {n}") for n in range(5)]
    with pytest.raises(InputError, match=message):
        split(tmp_path, {"human": rows, "synthetic": other})


def test_two_prompts_of_every_language_are_held_out(tmp_path):
    rows = [row(f"{tag}{n}", f"q{tag}{n}", language=tag)
            for tag, num in (("de", 60), ("yo", 5), ("th", 4), ("gl", 3), ("ta", 1))
            for n in range(num)]  # fmt: skip
    (train, held), _ = split(tmp_path, {"human": rows, "synthetic": rows}, held_out=0.1)
    counts = Counter(one["language"] for one in held if one["source"] == "human")
    assert counts == {"de": 6, "yo": 2, "th": 2, "gl": 1}
    assert {one["language"] for one in train} == {"de", "yo", "th", "gl", "ta"}


def test_one_language_only(tmp_path):
    rows = [row(str(n), f"q{n}", language=tag) for n in range(9) for tag in ("de", "he")]
    (train, held), _ = split(tmp_path, {"human": rows, "synthetic": rows}, languages=("he",))
    assert {one["language"] for one in train + held} == {"he"}
