"""Charts of the page of a sweep over mixtures."""

import re

import polars as pl
import pytest

from polylect.report.charts import curves
from polylect.report.mixture_charts import plan_chart, sweeps
from polylect.report.stacked_bars import Part, stacked_bars


def runs(shares):
    return pl.DataFrame([
        {"variant": name, "seed": seed, "share:text": text, "share:web": 1 - text,
         "share:1/text": text}
        for name, text in shares.items() for seed in (0, 1)
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("shares", "found"),
    [
        ({"code-0": 1.0, "code-25": 0.75, "code-100": 0.0, "mixed": 0.5}, {"code": [0, 25, 100]}),
        ({"text-90": 0.9, "text-10": 0.102, "text-50": 0.5}, {"text": [10, 50, 90]}),
        ({"v-1": 0.4, "v-2": 0.3, "v-3": 0.8}, {}),  # numbers that are no shares
        ({"code-0": 1.0, "code-50": 0.5}, {}),  # two points are no curve
        ({"a": 1.0}, {}),
        ({"über-code-0.5": 0.995, "über-code-1": 0.99, "über-code-2": 0.98},
         {"über-code": [0.5, 1, 2]}),
    ],
)  # fmt: skip
def test_a_sweep_is_known_by_its_shares(shares, found):
    known = {name: list(percents.values()) for name, percents in sweeps(runs(shares)).items()}
    assert known == found


def test_bars_are_as_long_as_what_they_show():
    rows = [("one", [Part(30, 0, "a"), Part(10, 1, "b", begins=True)], "40"),
            ("two & <three>", [Part(20, 1, "c")], "20"), ("none", [], "0")]  # fmt: skip
    svg = stacked_bars(rows, "tokens")
    widths = [float(value) for value in re.findall(r'<rect[^>]* width="([\d.]+)"', svg)]
    assert widths[0] == pytest.approx(3 * widths[1], abs=0.05)
    assert widths[2] == pytest.approx(2 * widths[1], abs=0.05)
    assert "two &amp; &lt;three&gt;" in svg
    assert "NaN" not in stacked_bars([("none", [], "0")], "nothing")


def test_a_plan_shows_stages_and_scales():
    frame = pl.DataFrame([
        {"model": model, "scale": scale, "seed": 3, "stage": stage, "kind": kind, "stream": stream,
         "tokens": tokens}
        for scale in (1.0, 0.5)
        for model, stage, kind, stream, tokens in (
            ("a", 1, "initial", "text", 50), ("a", 1, "initial", "code", 50),
            ("a", 2, "continued", "text", 100), ("b", 1, "initial", "text", 200),
        )
    ])  # fmt: skip
    page = plan_chart(frame)
    assert page.count("<svg") == 2
    assert page.count("<rect") == 8
    assert "a, continued: text 100 %, 100 tokens" in page
    assert "a, initial: code 50 %, 50 tokens" in page


def test_curves_keep_their_intervals_in_view():
    svg = curves({"x": [(0, 1.0), (10, 2.0)]}, "share", "bits", intervals={"x": [(10, 1.5, 9.0)]})
    assert svg.count("<circle") == 2
    heights = [float(value) for value in re.findall(r'y[12]="(-?[\d.]+)"', svg)]
    assert min(heights) >= 0
    assert "<circle" not in curves({"x": [(0, 1.0), (10, 2.0)]}, "share", "bits")
