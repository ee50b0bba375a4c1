"""Pages and charts: escaping, scales, and what they say."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polylect.base import LANGUAGES
from polylect.report import (
    Dot,
    Html,
    curves,
    dot_plot,
    formats,
    language_cell,
    table,
    tag,
    write_page,
)
from polylect.report.charts import Point, scatter, ticks
from polylect.report.formats import language_cell_of, minus, signed


def test_text_is_escaped_once_and_html_is_left_alone() -> None:
    inner = tag("b", "a < b & c")
    assert inner == "<b>a &lt; b &amp; c</b>"
    assert tag("p", inner, title='"x"') == '<p title="&quot;x&quot;"><b>a &lt; b &amp; c</b></p>'
    assert isinstance(inner, Html)


def test_every_language_names_itself_in_its_direction() -> None:
    assert 'lang="he" dir="rtl">עברית<' in language_cell(LANGUAGES["he"])
    assert 'lang="hi" dir="ltr">हिन्दी<' in language_cell(LANGUAGES["hi"])
    assert len({language.endonym for language in LANGUAGES.values()}) == 24


def test_an_unknown_tag_is_shown_as_it_is_and_never_as_code() -> None:
    assert "program code" in language_cell_of("code")
    assert 'lang="sw"' in language_cell_of("sw")
    assert "Swahili" in language_cell_of("sw")
    assert "all" in language_cell_of("all")
    assert "program code" not in language_cell_of("all")


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-3.2, 4.9), (2.03, 2.09), (0.0, 1.2e6)])
def test_ticks_are_round_and_inside(low: float, high: float) -> None:
    values = ticks(low, high)
    assert 3 <= len(values) <= 8
    assert all(low - 1e-9 <= value <= high + 1e-9 for value in values)
    steps = {round(b - a, 9) for a, b in pairwise(values)}
    assert len(steps) == 1
    assert re.match(r"^[125]e[+-]\d+$", f"{steps.pop():.0e}")


@settings(max_examples=300, deadline=None)
@given(low=st.floats(-1e6, -1e-6), high=st.floats(1e-6, 1e6))
def test_there_is_a_tick_on_either_side_of_zero(low: float, high: float) -> None:
    values = ticks(low, high)
    assert 0.0 in values
    assert values == sorted(set(values))
    assert len(values) <= 12
    assert all(low - 1e-9 <= value <= high + 1e-9 for value in values)
    for side, has_tick in ((-low, min(values) < 0), (high, max(values) > 0)):
        assert has_tick or side <= (high - low) / 15


@pytest.mark.parametrize("value", [4.0, 0.9])
def test_every_chart_of_signed_values_names_both_sides(value: float) -> None:
    dots = [("a", [Dot(v, v, v, 0, "") for v in (-value, 6.0)])]
    points = [Point(-value, -value, 0, ""), Point(6.0, 6.0, 0, "")]
    charts = {
        "dots": dot_plot(dots, "x", zero=True),
        "points": scatter(points, ["all"], "x", "y"),
        "curves": curves({"a": [(0.0, -value), (1.0, 6.0)]}, "x", "y", zero=True),
    }
    for name, drawn in charts.items():
        labels = re.findall(r'<text[^>]*class="soft"[^>]*>([^<]*)</text>', drawn)
        negative = [label for label in labels if label.startswith("\u2212")]
        assert len(negative) >= (2 if name == "points" else 1), (name, labels)


def test_zero_has_no_minus_and_a_long_chart_scrolls_on_a_phone() -> None:
    assert signed(-0.04, 1) == signed(0.04, 1) == "+0.0"
    assert minus("-0.00 to -0.01, -0.0 %, x-0, -0.5") == "0.00 to \u22120.01, 0.0 %, x-0, \u22120.5"
    rows = [(f"stream {n}", [Dot(n, n, n, 0, "")]) for n in range(40)]
    assert 'class="scroll long"' in dot_plot(rows, "x")
    assert 'class="scroll"' in dot_plot(rows[:24], "x")
    assert ".long svg { min-width" in (Path(formats.__file__).parent / "page.css").read_text(
        "utf-8"
    )


def test_a_dot_lies_where_its_value_says() -> None:
    rows = [("a", [Dot(0.0, -1.0, 1.0, 0, "zero")]), ("b", [Dot(1.0, 0.0, 2.0, 1, "one")])]
    drawn = dot_plot(rows, "x", zero=True, width=760)
    first, second = (float(number) for number in re.findall(r'<circle cx="([\d.]+)"', drawn))
    line = re.search(r'<line x1="([\d.]+)"[^>]*class="zero"', drawn)
    assert line is not None
    assert first == float(line[1])
    # From −1 to 2 with a margin of 4 % on each side, over 594 units.
    assert second - first == pytest.approx(594 / 3.24, abs=0.02)


def test_equal_values_and_single_points_can_be_drawn() -> None:
    assert "polyline" in curves({"flat": [(1.0, 2.0)]}, "x", "y")
    assert "circle" in dot_plot([("a", [Dot(1.0, 1.0, 1.0, 0, "")])], "x")


def test_a_table_names_its_rows_and_sets_numbers_right() -> None:
    drawn = table(["name", "n"], [["<a>", 3]], numbers=(1,))
    assert '<th scope="row">&lt;a&gt;</th><td class="n">3</td>' in drawn


def test_a_page_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    write_page(tmp_path / "p.html", "T & U", "lead", [])
    text = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert "<title>T &amp; U</title>" in text
    for word in ("http:", "https:", "<script", "@import", "url("):
        assert word not in text
    assert "prefers-color-scheme: dark" in text


def test_points_are_where_their_axes_say_and_the_last_series_lies_on_top() -> None:
    points = [Point(2.0, 0.0, 1, "b"), Point(0.0, 0.0, 0, "a"), Point(1.0, 5.0, 0, "c<")]
    drawn = scatter(points, ["one", "two"], "x", "y", width=284, height=166)
    drawn_points = re.findall(r'<title>(.*?)</title><circle cx="([\d.]+)" cy="([\d.]+)"', drawn)
    # 200 wide and 100 high between the axes, with a twentieth of the range at either end.
    assert [name for name, _, _ in drawn_points] == ["a", "c&lt;", "b"]
    across = {name: float(x) for name, x, _ in drawn_points}
    up = {name: float(y) for name, _, y in drawn_points}
    assert across["c&lt;"] == pytest.approx(160.0)
    assert across["b"] - across["a"] == pytest.approx(2 / 2.2 * 200, abs=0.2)
    assert up["a"] - up["c&lt;"] == pytest.approx(5 / 5.5 * 100, abs=0.2)
    assert "two" in drawn
