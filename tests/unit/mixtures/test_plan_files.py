"""Files of plans: what is wrong in them is named by file and key, and odd fractions are said."""

import re

import pytest

from polylect.base import InputError
from polylect.mixtures import plan_notes, read_plan

TOML = """
tokens = {tokens}
scales = [{scale}]
[streams.text]
temperature = {temperature}
[streams.code]
languages = ["code"]
[variants]
one = [{{mix = {mix}, part = {part}}}, {{mix = {{text = 1}}, part = {rest}}}]
"""
GOOD = {"tokens": 1000, "scale": 1, "temperature": 1.0, "mix": "{text = 3, code = 1}", "part": 1,
        "rest": 1}  # fmt: skip
PYTHON = """
from polylect.mixtures import Plan, PlannedStage, Stream


def plan():
    half = 0
    {body}
"""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mix": "{text = -1.0}"},
         "plan.toml: 'variants.one.0.mix.text' is -1.0: give 0 or more"),
        ({"part": 0}, "'variants.one.0.part' is 0"),
        ({"temperature": 0.5}, "'streams.text.temperature' is 0.5"),
        ({"tokens": 0}, "plan.toml: 'tokens' is 0"),
        ({"scale": 0}, "plan.toml: 'scales' 1 is 0"),
    ],
)  # fmt: skip
def test_a_key_of_a_file_is_no_option(tmp_path, monkeypatch, change, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.toml").write_text(TOML.format(**GOOD | change))
    with pytest.raises(InputError, match=words) as error:
        read_plan("plan.toml")
    assert "--" not in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return 1 / half", r"plan.py:7: plan\(\) raised ZeroDivisionError: division by zero"),
        ("return {}['نص']", r"plan.py:7: plan\(\) raised KeyError: 'نص'"),
        ("raise ValueError('a\\nb')", r"plan.py:7: plan\(\) raised ValueError: a b — mend"),
        ("assert half", r"plan.py:7: plan\(\) raised AssertionError — mend"),
        ("return int('x' * 3)", r"plan.py:7: plan\(\) raised ValueError: invalid literal"),
        ("return PlannedStage(mix={'text': -1.0})", r"plan.py:7: plan\(\): 'mix.text' is -1.0"),
        ("return Plan(streams={}, variants={}, tokens=9)", r"plan.py:7: plan\(\): the plan has no"),
        ("return 3\nimport nowhere_at_all", r"plan.py:8 raised ModuleNotFoundError: No module"),
        ("return 3\n1 / 0", r"plan.py:8 raised ZeroDivisionError"),
        ("return (", r"plan.py:7: not valid Python"),
    ],
)  # fmt: skip
def test_a_function_that_raises_is_one_line(tmp_path, monkeypatch, body, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.py").write_text(PYTHON.format(body=body))
    with pytest.raises(InputError, match=words) as error:
        read_plan("plan.py")
    assert "\n" not in str(error.value)


def test_ctrl_c_in_a_function_passes(tmp_path):
    (tmp_path / "plan.py").write_text(PYTHON.format(body="raise KeyboardInterrupt"))
    with pytest.raises(KeyboardInterrupt):
        read_plan(tmp_path / "plan.py")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mix": "{text = 0.5, code = 0.3}"},
         ["variant 'one', stage 1: its shares sum to 0.8, not to 1; taken as text 62.5%, code"
          " 37.5%"]),
        ({"mix": "{text = 0.9, code = 0.9}"}, ["stage 1: its shares sum to 1.8"]),
        ({"mix": "{text = 0.5}"}, ["stage 1: its shares sum to 0.5"]),
        ({"part": 0.5, "rest": 0.4},
         ["'one': the parts of its stages sum to 0.9, not to 1; taken as 55.6%, 44.4%"]),
        ({"part": 0.5}, ["the parts of its stages sum to 1.5"]),
        ({"mix": "{text = 0.2, code = 0.2}", "part": 0.2, "rest": 0.2}, ["to 0.4", "to 0.4"]),
        ({}, []),
        ({"mix": "{text = 50, code = 50}", "part": 9}, []),
        ({"mix": "{text = 1, code = 1}"}, []),
        ({"mix": "{text = 0.333, code = 0.667}", "part": 0.9, "rest": 0.1}, []),
        ({"mix": "{text = 0.333, code = 0.66}"}, []),
        ({"mix": "{text = 1, code = 0}"}, []),
        ({"mix": "{text = 1.5, code = 0.5}"}, []),
    ],
)  # fmt: skip
def test_fractions_that_do_not_sum_are_said_and_weights_are_not(tmp_path, change, words):
    (tmp_path / "plan.toml").write_text(TOML.format(**GOOD | change))
    notes = plan_notes(read_plan(tmp_path / "plan.toml"))
    assert len(notes) == len(words)
    for note, part in zip(notes, words, strict=True):
        assert part in note


def test_notes_are_in_the_lines_of_a_plan(tmp_path, monkeypatch):
    import polylect as pl

    monkeypatch.chdir(tmp_path)
    mix = {"mix": "{text = 0.5, code = 0.3}"}
    (tmp_path / "plan.toml").write_text(
        TOML.format(**GOOD | mix) + "[cooldowns.end]\nmix = {text = 0.7, code = 0.2}\n"
    )
    (tmp_path / "sizes.toml").write_text("yo = 90_000\ncode = 90_000")
    for plan in (
        pl.mixture.plan("plan.toml", sizes="sizes.toml", dry_run=True, out="a"),
        pl.mixture.plan("plan.toml", sizes="sizes.toml", out="b"),
    ):
        text = "\n".join(plan.lines())
        assert "variant 'one', stage 1: its shares sum to 0.8" in text
        assert re.search(r"cooldown 'end': its shares sum to 0\.9", text)
