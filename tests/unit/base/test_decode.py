from dataclasses import dataclass, field
from typing import Literal

import pytest

from polylect.base import InputError, decode, did_you_mean, nearest


@dataclass(frozen=True)
class Inner:
    alpha: int
    beta: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    name: str
    inner: Inner
    many: tuple[Inner, ...] = ()
    maybe: Inner | None = None
    table: dict[str, Inner] = field(default_factory=dict)
    kind: Literal["x", "y"] = "x"
    flag: bool = False
    nested: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        if self.name == "bad":
            raise InputError("'name' is bad", "choose another")


GOOD = {"name": "n", "inner": {"alpha": 1}}


def problems(data, cls=Outer):
    with pytest.raises(InputError) as caught:
        decode(cls, data, "f.json")
    text = str(caught.value)
    assert text.startswith("f.json: ")
    assert "\n" not in text
    return text.removeprefix("f.json: ").split("; ")


def test_nested_dataclasses_lists_and_unions_are_decoded():
    data = GOOD | {
        "many": [{"alpha": 2, "beta": 3}],
        "maybe": {"alpha": 4},
        "table": {"k": {"alpha": 5}},
        "kind": "y",
        "flag": True,
        "nested": [[1, 2], []],
    }
    assert decode(Outer, data, "f") == Outer(
        name="n",
        inner=Inner(1),
        many=(Inner(2, 3.0),),
        maybe=Inner(4),
        table={"k": Inner(5)},
        kind="y",
        flag=True,
        nested=((1, 2), ()),
    )


def test_int_becomes_float_and_nothing_else_is_coerced():
    assert type(decode(Inner, {"alpha": 1, "beta": 2}, "f").beta) is float
    wrongs = (("1", "'1'"), (1.0, "1.0"), (True, "true"), (None, "null"), ([1], "[1]"))
    for wrong, shown in wrongs:
        assert problems({"alpha": wrong}, Inner)[0].startswith(f"'alpha' is {shown}: ")
    for wrong in ("1", True, None):
        assert problems({"alpha": 1, "beta": wrong}, Inner)[0].startswith("'beta' is ")
    for key, wrong in (("name", 3), ("flag", 1), ("flag", "yes"), ("kind", "z")):
        assert problems(GOOD | {key: wrong})[0].startswith(f"'{key}' is {wrong!r}: ")


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("gamma", {**GOOD, "gamma": 1}),
        ("inner.gamma", {"name": "n", "inner": {"alpha": 1, "gamma": 1}}),
        ("many.1.gamma", {**GOOD, "many": [{"alpha": 1}, {"alpha": 1, "gamma": 1}]}),
        ("maybe.gamma", {**GOOD, "maybe": {"alpha": 1, "gamma": 1}}),
        ("table.k.gamma", {**GOOD, "table": {"k": {"alpha": 1, "gamma": 1}}}),
    ],
)
def test_unknown_keys_are_errors_at_every_depth_with_what_is_known(path, data):
    (text,) = problems(data)
    hint = "name" if path == "gamma" else "alpha, beta"
    assert text.startswith(f"unknown key {path!r} (known are {hint}")


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        ({**GOOD, "nmae": 1}, "did you mean name?"),
        ({"name": "n", "inner": {"alpha": 1, "bta": 1}}, "did you mean beta?"),
        ({**GOOD, "many": [{"alpha": 1, "alhpa": 1}]}, "did you mean alpha?"),
        ({**GOOD, "maybe": {"alpha": 1, "betta": 1}}, "did you mean beta?"),
        ({**GOOD, "table": {"k": {"alpha": 1, "betta": 1}}}, "did you mean beta?"),
    ],
)
def test_the_nearest_name_is_suggested_at_every_depth(data, hint):
    (text,) = problems(data)
    assert hint in text


def test_all_errors_come_in_one_message():
    messages = problems({"inner": {"alpha": "1", "x": 1}, "many": [{}], "flag": "no"})
    assert len(messages) == 5
    starts = ("'name' is missing", "'inner.alpha' is '1'", "unknown key 'inner.x'",
              "'many.0.alpha' is missing", "'flag' is 'no'")  # fmt: skip
    for start in starts:
        assert sum(problem.startswith(start) for problem in messages) == 1, start


@pytest.mark.parametrize(
    ("data", "shown"), [(None, "null"), ([1], "[1]"), ("text", "'text'"), (3, "3")]
)
def test_a_value_that_is_not_an_object_is_refused(data, shown):
    (text,) = problems(data)
    assert text.startswith(f"{shown}: ")


def test_the_message_of_post_init_is_kept():
    assert problems(GOOD | {"name": "bad"}) == ["'name' is bad — choose another"]


@pytest.mark.parametrize("value", [b"bytes", object(), "\ud800", {1, 2}])
def test_values_that_json_lacks_are_refused_without_a_crash(value):
    assert "'" in problems({"alpha": value}, Inner)[0]
    problems(GOOD | {"name": value})


def test_long_values_are_shortened():
    (text,) = problems({"alpha": "a" * 5000}, Inner)
    assert len(text) < 150


def test_nearest_ignores_case_and_needs_similarity():
    assert nearest("Germn", ["german", "french"]) == "german"
    assert nearest("zz", ["german"]) is None
    assert did_you_mean("zz", ["german"]) == ""
    assert did_you_mean("frensh", ["german", "french"]) == "did you mean french?"
