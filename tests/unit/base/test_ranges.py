import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from polylect.base import (
    Count,
    Finite,
    InputError,
    Positive,
    Range,
    Seed,
    Share,
    check_settings,
    decode,
    digest_of,
)

INF, NAN = math.inf, math.nan


@pytest.mark.parametrize(
    ("limits", "inside", "outside", "words"),
    [
        (Range(0, 1), (0, 0.5, 1, True), (-1e-9, 1.0000001, INF, -INF, NAN), "0 to 1"),
        (Range(above=0), (1e-300, 1e300), (0, -0.0, -1, INF, NAN), "more than 0"),
        (Range(1), (1, 10**30), (0, 0.999, INF, NAN), "1 or more"),
        (Range(0, below=0.5), (0, 0.4999), (0.5, -1, NAN), "0 or more and less than 0.5"),
        (Range(above=0, at_most=1), (1, 1e-9), (0, 1.1, NAN), "more than 0 and at most 1"),
        (Range(above=0, at_most=INF), (1, INF), (0, -INF, NAN), "more than 0"),
        (Range(), (-1e308, 0, 7), (INF, -INF, NAN), "a finite number"),
        (Range(at_most=3), (3, -5), (4, -INF, NAN), "at most 3"),
    ],
)
def test_a_range_holds_its_ends_and_no_number_that_is_none(limits, inside, outside, words):
    assert all(value in limits for value in inside)
    assert not any(value in limits for value in outside)
    assert limits.words == words


@dataclass(frozen=True)
class Inner:
    depth: Count = 1

    def __post_init__(self):
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class Settings:
    rate: Positive = 1.0
    num: Count = 1
    most: Count | None = None
    sizes: tuple[Count, ...] = ()
    weights: Mapping[str, Annotated[float, Range(0)]] = field(default_factory=dict)
    anchor: tuple[str, Finite] | None = None
    kind: Literal["dpo", "ipo"] = "dpo"
    share: Share = 0.5
    flag: bool = False
    name: str = ""
    file: Path | None = None
    inner: Inner = Inner()
    either: Literal["auto"] | Count = "auto"
    other: Any = None
    seed: Seed = 0

    def __post_init__(self):
        check_settings(self)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"rate": -3}, "--rate is -3 — give more than 0"),
        ({"rate": NAN}, "--rate is nan — give a finite number, more than 0"),
        ({"rate": INF}, "--rate is inf — give a finite number, more than 0"),
        ({"rate": "3"}, "--rate is '3' — give a number, more than 0"),
        ({"rate": True}, "--rate is True — give a number, more than 0"),
        ({"rate": None}, "--rate is None — give a number, more than 0"),
        ({"num": 1.0}, "--num is 1.0 — give a whole number, 1 or more"),
        ({"most": 0}, "--most is 0 — give 1 or more"),
        ({"sizes": (3, 0)}, "--sizes 2 is 0 — give 1 or more"),
        ({"sizes": 3}, "--sizes is 3 — give a list"),
        ({"sizes": "33"}, "--sizes is '33' — give a list"),
        ({"weights": {"de": 1, "hi": -1}}, "--weights hi is -1 — give 0 or more"),
        ({"weights": [1]}, "--weights is [1] — give values by name"),
        ({"anchor": ("m", INF)}, "--anchor 2 is inf — give a finite number"),
        ({"anchor": ("m",)}, "--anchor is ('m',) — give 2 values"),
        ({"kind": "dppo"}, "--kind is 'dppo' — did you mean dpo?"),
        ({"kind": 3}, "--kind is 3 — choose dpo, ipo"),
        ({"flag": 1}, "--flag is 1 — give true or false"),
        ({"name": 1}, "--name is 1 — give text"),
        ({"file": 1}, "--file is 1 — give a path"),
        ({"inner": {}}, "--inner is {} — give an instance of Inner"),
        ({"either": 0}, "--either is 0 — give 1 or more"),
        ({"seed": 0.5}, "--seed is 0.5 — give a whole number"),
    ],
)
def test_a_value_that_a_field_does_not_allow_is_refused_by_its_option(values, line):
    with pytest.raises(InputError) as caught:
        Settings(**values)
    assert str(caught.value) == line


def test_values_within_their_ranges_are_taken():
    import numpy as np

    Settings(rate=2, most=3, sizes=[1, 2], weights={"de": 0}, anchor=("m", -5), kind="ipo",
             file=Path("x"), either=3, other=object(), seed=-1)  # fmt: skip
    Settings(rate=np.float32(0.5), num=np.int64(3), share=np.float64(1))


def test_a_range_changes_no_digest_and_decoding_refuses_what_it_does_not_allow():
    @dataclass(frozen=True)
    class Bare:
        rate: float = 1.0

    @dataclass(frozen=True)
    class Ranged:
        rate: Positive = 1.0

        def __post_init__(self):
            check_settings(self)

    assert digest_of(Bare()) == digest_of(Ranged())
    assert decode(Ranged, {"rate": 2}, "a.json") == Ranged(2.0)
    with pytest.raises(InputError, match=r"a.json: 'rate' is -1.0: give more than 0"):
        decode(Ranged, {"rate": -1.0}, "a.json")
    nested = decode(Settings, {"inner": {"depth": 2}, "sizes": [1], "weights": {"a": 1}}, "a.json")
    assert nested.inner.depth == 2
    with pytest.raises(InputError, match=r"'inner.depth' is 0: give 1"):
        decode(Settings, {"inner": {"depth": 0}}, "a.json")
