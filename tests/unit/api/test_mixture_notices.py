"""What a fit of mixtures says of a table and of options that one could misread."""

import json
import re

import numpy as np
import polars
import pytest
from command_line import polylect_in_process

import polylect as pl
from polylect.base import InputError

NAMES, CELLS = ("نص", "web", "code"), ("ar", "yo", "zh-Hant", "code")
QUICK = {"laws": ["linear", "log-linear"], "resamples": 20}


def runs_frame(scales=(1.0,), mixtures=12, seed=4, **changed):
    """Runs of a world of powers, of shares between 5 and 90 %."""
    random = np.random.default_rng(seed)
    shares = 0.05 + 0.85 * random.dirichlet(np.ones(3), mixtures)
    rows = []
    for number, share in enumerate(shares):
        for scale in scales:
            losses = (1 + share[[0, 0, 1, 2]] ** -0.3 * scale**-0.2) * (
                1 + 0.003 * random.standard_normal(4)
            )
            rows.append(
                {"run": f"m{number} x{scale:g}", "scale": scale}
                | {f"share:{name}": value for name, value in zip(NAMES, share, strict=True)}
                | {f"loss:{cell}": value for cell, value in zip(CELLS, losses, strict=True)}
            )
    return polars.DataFrame(rows)


def said(fit):
    """Lines and page as text."""
    return "\n".join(fit.lines()), fit.page.read_text("utf-8")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_columns_that_nothing_is_made_of_are_named(tmp_path):
    frame = runs_frame().with_columns(note=polars.lit("x"), нота=polars.lit(1))
    frame.write_csv("runs.csv")
    fit = pl.mixture.fit("runs.csv", held_out_runs=runs_frame(seed=9), out="fit", **QUICK)
    counted = [where for event, where, _ in fit.ledger.rows() if "nothing was made" in event]
    assert counted == ["note", "нота"]
    text, page = said(fit)
    assert "note" in text
    assert "нота" in page
    plan = polylect_in_process("mixture", "fit", "runs.csv", "--dry-run", "--out", "other")
    assert "nothing was made of: note" in plan.stdout


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        (["نص=1"], r"نص.{0,2} 100\.0% \(most tried \d\d\.\d%\)"),
        (["code=1"], r"code 100\.0% \(most tried"),
        (["web=0.02", "نص=0.49", "code=0.49"], r"web 2\.0% \(least tried"),
    ],
)
def test_a_reference_beyond_what_was_tried_is_named(reference, words):
    fit = pl.mixture.fit(runs_frame(), reference=reference, out="fit", **QUICK)
    for text in said(fit):
        assert "The reference is beyond what was tried: " in text
    assert re.search(words, "\n".join(fit.lines()))
    stored = json.loads((fit.path / "fit.json").read_text("utf-8"))["reference_beyond"]
    tried = runs_frame()
    for row in stored:
        column = tried[f"share:{row['name']}"]
        assert row["tried"] == pytest.approx(column.max() if row["end"] == "most" else column.min())


@pytest.mark.parametrize("reference", ["mean", (), "m3 x1"])
def test_a_reference_that_was_tried_is_not(reference):
    fit = pl.mixture.fit(runs_frame(), reference=reference, out="fit", **QUICK)
    assert fit.content["reference_beyond"] == []
    assert "beyond what was tried" not in "".join(said(fit))


def test_a_recommendation_beyond_what_was_tried_is_named():
    fit = pl.mixture.fit(
        runs_frame(), cells=["code"], allowed={"code": "..1", "web": "0..1", "نص": "0..1"},
        out="fit", **QUICK,
    )  # fmt: skip
    assert fit.content["verdict"] == "change"
    for text in said(fit):
        assert "The recommended mixture is beyond what was tried: " in text


@pytest.mark.parametrize(
    ("scale", "words"),
    [(1000, "Scale 1000 is 1e+03 times the largest that was run (1)"),
     (4, "Scale 4 is 4 times the largest that was run (1)"),
     (0.1, "Scale 0.1 is below the smallest that was run (0.25)"), (0.7, ""), (1, "")],
)  # fmt: skip
def test_a_scale_that_was_not_run_is_named_with_its_factor(scale, words):
    frame = runs_frame(scales=(0.25, 0.5, 1.0))
    fit = pl.mixture.fit(frame, at_scale=scale, out="fit", **QUICK)
    for text in said(fit):
        assert words.replace("1e+03", "1,000") in text or words in text
        assert bool(words) == ("that was run (" in text)


@pytest.mark.parametrize("num", [0, 1, 19])
def test_too_few_resamples_for_an_interval_are_refused(num):
    with pytest.raises(InputError, match=f"resamples is {num} — give 20 or more"):
        pl.mixture.fit(runs_frame(), resamples=num, out="fit")
    runs_frame().write_csv("runs.csv")
    done = polylect_in_process("mixture", "fit", "runs.csv", "--resamples", str(num))
    assert done.returncode == 2
    assert "20 or more" in done.stderr


@pytest.mark.parametrize(
    ("held_out", "words"),
    [
        (lambda frame: frame, "12 of 12 were fitted, too: 'm0 x1' is in the table of runs, with"),
        (lambda frame: polars.concat(
            [runs_frame(seed=9).with_columns(run="new " + polars.col("run")), frame[5:6]]),
         "1 of 13 were fitted, too: 'm5 x1' is"),
        (lambda frame: frame[2:4].with_columns(run="b" + polars.col("run")),
         "2 of 2 were fitted, too: 'bm2 x1' is in the table of runs as 'm2 x1'"),
        (lambda frame: frame[2:4].drop("run"), "2 of 2 were fitted, too: '1' is in .* as 'm2 x1'"),
        (lambda frame: frame[2:4].with_columns(polars.col("^loss:.*$").round(4)),
         "2 of 2 were fitted, too"),
    ],
)  # fmt: skip
def test_held_out_runs_that_were_fitted_are_refused(held_out, words):
    frame = runs_frame()
    with pytest.raises(InputError, match=words):
        pl.mixture.fit(frame, held_out_runs=held_out(frame), out="fit", **QUICK)


def test_held_out_errors_are_said(tmp_path):
    # Tables that number their runs alike, and other seeds of the same mixtures, are no error.
    frame, other = runs_frame(), runs_frame(seed=9)
    same = frame.with_columns(polars.col("^loss:.*$") * 1.01)
    fit = pl.mixture.fit(frame.drop("run"), out="fit", **QUICK,
                         held_out_runs=polars.concat([other, same]).drop("run"))  # fmt: skip
    used = next(row for row in fit.content["laws"] if row["used"])
    for text in said(fit):
        assert f"On 24 held-out runs it is off by {used['held_out']:.2%}" in text
    assert "rank correlation" in "\n".join(fit.lines())
    one = pl.mixture.fit(frame, held_out_runs=other[:1], out="one", **QUICK)
    assert "On 1 held-out run it is" in "\n".join(one.lines())


def test_a_loss_is_said_to_be_better_when_it_is_less():
    for text in said(pl.mixture.fit(runs_frame(), out="fit", **QUICK)):
        assert "Less is better in every loss; an accuracy belongs in the table as 1 " in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cells": ["yo", "yo"]}, "cells: yo is given twice"),
        ({"reference": ["web=0.5", "code=0.2", "web=0.3"]}, "reference: web is given twice"),
        ({"laws": ["linear", "linear"]}, "name each law once"),
    ],
)
def test_what_is_given_twice_is_refused(options, words):
    with pytest.raises(InputError, match=words):
        pl.mixture.fit(runs_frame(), **{**QUICK, **options}, out="fit")


def test_what_is_allowed_twice_is_refused():
    runs_frame().write_csv("runs.csv")
    done = polylect_in_process("mixture", "fit", "runs.csv", "--allowed", "web=0..1", "web=0..0.2")
    assert done.returncode == 2
    assert "web" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("option", ["scales=1,1", "languages=de,pt,de", "tasks=xcopa,xcopa"])
def test_recipes_refuse_what_is_given_twice(option):
    name, _, values = option.partition("=")
    done = polylect_in_process("run", "code", f"--{name}", values, "--dry-run", "--out", "run")
    assert done.returncode == 2
    assert "is given twice" in done.stderr


def test_the_run_and_cell_that_is_farthest_off_is_named():
    frame = runs_frame()
    factors = [1000.0 if number in (3, 7) else 1.0 for number in range(frame.height)]
    far = frame.with_columns(polars.col("loss:yo") * polars.Series(factors))
    fit = pl.mixture.fit(far, out="fit", **QUICK)
    row = fit.content["farthest"]
    assert (row["run"] in ("m3 x1", "m7 x1"), row["cell"]) == (True, "yo")
    assert row["observed"] > 500
    for text in said(fit):
        assert f"On 1 cell the law is off by more than 10 %; farthest is run {row['run']}" in text
    fine = pl.mixture.fit(frame, out="fine", **QUICK)
    assert fine.content["farthest"] is None
    assert "farthest" not in "".join(said(fine))


def test_one_of_a_kind_is_no_plural():
    fit = pl.mixture.fit(runs_frame(), cells=["yo"], reference="mean", out="fit", **QUICK)
    text = "".join(said(fit))
    assert "the loss on 1 kind of text" in text
    for wrong in ("1 kinds", "1 cells", "1 mixtures", "1 streams", "1 runs"):
        assert f" {wrong}" not in text
    plan = pl.mixture.fit(runs_frame()[:1], dry_run=True, out="other", **QUICK).lines()
    assert "1 run of 1 mixture:" in plan[0]
    with pytest.raises(InputError, match=r"^1 mixture \(1 run\) for 1 stream with"):
        pl.mixture.fit(runs_frame()[:1], laws=["log-linear"], resamples=20, out="fit1")


def test_zero_has_no_minus(tmp_path):
    frame = runs_frame().with_columns(polars.col("share:web") * 0)
    shares = [f"share:{name}" for name in NAMES]
    total = sum(polars.col(name) for name in shares)
    frame = frame.with_columns([polars.col(name) / total for name in shares])
    for text in said(pl.mixture.fit(frame, out="fit", **QUICK)):
        assert not re.search(r"[−-]0(\.0+)?(?![.\d])", re.sub(r"<[^>]*>", " ", text))
