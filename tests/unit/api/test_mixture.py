"""``mixture plan`` and ``mixture fit``: exact ledgers, planted worlds, their pages, mistakes."""

import json
import re

import numpy as np
import polars
import pytest
from command_line import polylect_in_process

import polylect as pl
from polylect.base import InputError
from polylect.mixtures import read_sizes, write_tokens
from polylect.rows import Document, Split
from polylect.text import train_bpe

PLAN = """
tokens = 20_000
seeds = [0, 1]
[streams.text]
[streams.code]
languages = ["code"]
[variants]
text-only = [{mix = {text = 1}}]
balanced-text = [{mix = {text = 1, code = 1}}, {mix = {text = 90, code = 10}}]
[cooldowns.code]
mix = {text = 80, code = 20}
"""
SIZES = {("ar", "web"): 9_000, ("he", "web"): 4_000, ("yo", "text"): 900, ("code", "py"): 60_000}
CELLS = ("ar", "he", "fa", "de", "th", "yo", "zh-Hant", "code")
NAMES = ("نص", "web", "code")
OWN = np.array([0, 0, 0, 1, 1, 0, 1, 2])


def write_runs(path, *, noise=0.005, seeds=2, mixtures=18, effect=0.3, scales=(1.0,)):
    """Runs of a world of powers: what a stream brings its own cells."""
    random = np.random.default_rng(4)
    shares = random.dirichlet(np.ones(3), mixtures)
    rows = []
    for number, share in enumerate(shares):
        for seed in range(seeds):
            for scale in scales:
                losses = 1 + (share[OWN] + 0.02) ** -effect * scale**-0.2
                losses = losses * (1 + noise * random.standard_normal(len(CELLS)))
                first = 0.8 * share
                rows.append(
                    {"run": f"m{number} s{seed} x{scale:g}", "variant": f"v{number}", "seed": seed,
                     "scale": scale}
                    | dict(zip([f"share:{n}" for n in NAMES], share, strict=True))
                    | {f"share:first/{n}": v for n, v in zip(NAMES, first, strict=True)}
                    | {f"share:last/{n}": v
                       for n, v in zip(NAMES, share - first, strict=True)}
                    | {f"loss:{cell}": loss for cell, loss in zip(CELLS, losses, strict=True)}
                )  # fmt: skip
    polars.DataFrame(rows).write_csv(path)
    return path


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.toml").write_text(PLAN)
    rows = [{"language": tag, "source": source, "tokens": num}
            for (tag, source), num in SIZES.items()]  # fmt: skip
    polars.DataFrame(rows).write_csv(tmp_path / "sizes.csv")


def test_a_plan_says_every_token_before_anything_is_trained():
    plan = pl.mixture.plan("plan.toml", sizes="sizes.csv", out="plan")
    table = plan.table()
    assert table["tokens"].sum() == 2 * (20_000 + 22_000 + 20_000 + 22_000)
    content = plan.content
    assert content["num_runs"] == 8
    assert content["tokens"] == table["tokens"].sum()
    # text-only and balanced-text are trained once for both of their ends.
    assert content["tokens_trained"] == 2 * (20_000 + 2_000) * 2
    assert content["tokens_per_seed"] == content["tokens_trained"] // 2
    text = "\n".join(plan.lines())
    assert "8 runs of 168,000 tokens; 88,000 are trained" in text
    assert "2 seeds; a further one: 44,000 tokens" in text
    assert "the plan has no stop rule (stop_at_width, most_tokens)" in text
    page = plan.page.read_text()
    assert page.count("balanced-text+code, cooldown: code 20 %, 400 tokens")
    assert "العربية" in page

    assert re.search(r"balanced-text\+code +1 +3 cooldown +2,000 +1,600 +400", text)
    code = table.filter(polars.col("stream") == "code")
    assert f"{code['tokens'].sum():,}" in text


def test_a_plan_says_when_its_seeds_end(tmp_path):
    (tmp_path / "plan.toml").write_text("stop_at_width = 1.5\nmost_tokens = 50_000\n" + PLAN)
    text = "\n".join(pl.mixture.plan("plan.toml", sizes="sizes.csv", out="plan").lines())
    assert "every interval of the main comparisons is at most 1.5 points" in text
    assert "or when a further seed would bring all trainings above 50,000 tokens" in text
    (tmp_path / "plan.toml").write_text("stop_at_width = 1\n" + PLAN.replace("[0, 1]", "[0]"))
    with pytest.raises(InputError, match="stop_at_width with one seed"):
        pl.mixture.plan("plan.toml", sizes="sizes.csv", out="other")


@pytest.mark.parametrize("kind", ["toml", "flat toml", "jsonl", "parquet", "csv", "folder", "run"])
def test_sizes_are_read_from_what_a_user_has(tmp_path, kind):
    frame = polars.read_csv("sizes.csv")
    path = tmp_path / f"counts.{kind.rpartition(' ')[2]}"
    expected = SIZES
    if kind == "toml":
        lines = [f'["{tag}"]\n{source} = {num}' for (tag, source), num in SIZES.items()]
        path.write_text("\n".join(lines))
    elif kind == "flat toml":
        path.write_text("\n".join(f"{tag} = {num}" for (tag, _), num in SIZES.items()))
        expected = {(tag, "text"): num for (tag, _), num in SIZES.items()}
    elif kind in ("folder", "run"):
        path = tmp_path / "run"
        tokens = path / "steps" / "tokens"
        tokens.mkdir(parents=True)
        tokenizer = train_bpe({"de": ["ein Haus am Fluss " * 20]}, vocab_size=300)
        documents = [Document(id=str(n), language=tag, source=source, text="ein Haus " * (n + 1))
                     for n, (tag, source) in enumerate(SIZES)]  # fmt: skip
        write_tokens(iter(documents), tokenizer, tokens, Split.TRAIN)
        path = tokens if kind == "folder" else path
        expected = {
            (document.language, document.source): len(tokenizer.encode([document.text])[0])
            for document in documents
        }
    elif kind == "csv":
        path = tmp_path / "sizes.csv"
    else:
        getattr(frame, {"jsonl": "write_ndjson", "parquet": "write_parquet"}[kind])(path)
    assert read_sizes(path) == expected


def test_a_folder_of_text_is_counted_with_a_tokenizer(tmp_path):
    tokenizer = train_bpe({"de": ["ein Haus am Fluss " * 20]}, vocab_size=300)
    tokenizer.save(tmp_path / "model")
    (tmp_path / "corpus").mkdir()
    texts = {"ar": "النص رقم واحد عن البيت. ", "th": "บ้านริมแม่น้ำ ", "de": "ein Haus "}
    for name, text in texts.items():
        (tmp_path / "corpus" / f"{name}.txt").write_text(text * 400)
    (tmp_path / "corpus" / "code.py").write_text("def square(x):\n    return x * x\n" * 400)
    plan = pl.mixture.plan("plan.toml", text="corpus", tokenizer="model", out="plan")
    sizes = {tag: num for tag, _, num in plan.content["sizes"]}
    assert set(sizes) == {"ar", "th", "de", "code"}
    assert all(num > 500 for num in sizes.values())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "how much text there is is not known"),
        ({"sizes": "sizes.csv", "text": "sizes.csv"}, "both sizes and text"),
        ({"text": "sizes.csv"}, "text without tokenizer"),
        ({"sizes": "sizes.csv", "tokenizer": "x"}, "tokenizer without text"),
        ({"sizes": "plan"}, "no such file"),
        ({"sizes": "."}, "no tokens in this folder"),
        ({"sizes": "plan.toml"}, "tokens/.*|streams|whole number"),
    ],
)
def test_a_plan_whose_text_is_not_known_is_refused(options, words):
    with pytest.raises(InputError, match=words):
        pl.mixture.plan("plan.toml", **options, out="out")


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ("ar = 500\ncode = 60_000", r"text-only · seed 0, stage 1: asks for .* of ar/text"),
        ("ar = 500_000", "stream 'code': there is no text of it"),
        ("ar = -4", "ar/text: -4 tokens"),
        ("ar = 0", "no tokens"),
        ("ar = 1.5", "1.5 tokens"),
        ("ar = [", "Invalid|Unclosed|invalid"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_trained(tmp_path, counts, words):
    (tmp_path / "counts.toml").write_text(counts)
    with pytest.raises(InputError, match=words) as error:
        pl.mixture.plan("plan.toml", sizes="counts.toml", out="out")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_fit_says_who_gains_and_who_pays(tmp_path):
    runs, reference = write_runs(tmp_path / "runs.csv"), ["نص=0.8", "web=0.15", "code=0.05"]
    fit = pl.mixture.fit(runs, reference=reference, resamples=60, out="fit")
    content = fit.content
    assert content["verdict"] == "change"
    verdicts = dict(fit.table().select("cell", "verdict").rows())
    assert verdicts["de"] == verdicts["th"] == verdicts["code"] == "gained"
    assert verdicts["ar"] == "paid"
    assert fit.shares["recommended"].sum() == pytest.approx(1)
    assert content["num_mixtures"] == 18
    assert content["num_runs"] == 36
    prices = {(row["stream"], row["cell"]): row for row in fit.prices.iter_rows(named=True)}
    assert prices["code", "code"]["upper"] < 0 < prices["code", "ar"]["lower"]
    left_out = fit.left_out.filter(polars.col("law") == content["law"])
    error = (left_out["predicted"] / left_out["observed"] - 1).abs().mean()
    assert error < 0.02
    assert left_out.group_by("mixture").agg(polars.col("fold").n_unique())["fold"].max() == 1
    text = "\n".join(fit.lines())
    assert "Who pays: Arabic" in text
    page = fit.page.read_text("utf-8")
    assert 'lang="ar"' in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")
    assert "<bdi>نص</bdi>" in page


@pytest.mark.parametrize("rule", ["average", "worst", "nobody-pays"])
@pytest.mark.parametrize("seeds", [1, 3])
def test_every_rule_on_one_seed_and_on_three(tmp_path, rule, seeds):
    runs = write_runs(tmp_path / "runs.csv", seeds=seeds)
    fit = pl.mixture.fit(runs, rule=rule, reference="mean", resamples=20, out="fit")
    rows = fit.table()
    if rule == "nobody-pays":
        assert "paid" not in rows["verdict"].to_list()
    assert fit.content["rule"] == rule
    assert fit.page.is_file()


def test_nothing_is_recommended_where_nothing_matters(tmp_path):
    runs = write_runs(tmp_path / "runs.csv", effect=0.0)
    fit = pl.mixture.fit(runs, resamples=20, out="fit")
    assert fit.content["verdict"] == "no effect"
    assert "No change is recommended" in "\n".join(fit.lines())
    assert (fit.shares["recommended"] == fit.shares["reference"]).all()


def test_too_few_mixtures_say_that_no_test_can_tell(tmp_path):
    share = [0.0, 0.5, 1.0]
    frame = polars.DataFrame({
        "run": list("abc"), "share:text": share, "share:code": [1.0, 0.5, 0.0],
        "loss:de": [2.0, 1.6, 1.2],
    })  # fmt: skip
    frame.write_parquet(tmp_path / "runs.parquet")
    fit = pl.mixture.fit(tmp_path, laws=["linear"], resamples=20, out="fit")
    assert "p cannot fall below 0.17: run more mixtures" in "\n".join(fit.lines())


def test_stages_scales_and_held_out_runs(tmp_path):
    runs = write_runs(tmp_path / "runs.csv", scales=(0.25, 0.5, 1.0), seeds=1, noise=0.002)
    staged = pl.mixture.fit(runs, by_stage=True, laws=["linear", "log-linear"], only_scale=0.5,
                            resamples=20, out="staged")  # fmt: skip
    by_stage = staged.shares.with_columns(stage=polars.col("name").str.split("/").list[0])
    sums = dict(by_stage.group_by("stage").agg(polars.col("recommended").sum()).rows())
    assert sums["first"] == pytest.approx(0.8)
    assert list(staged.ledger.rows()) == [("left out: runs of other scales", "", 36)]
    held_out = write_runs(tmp_path / "other.csv", scales=(4.0,), seeds=1, mixtures=20)
    scaled = pl.mixture.fit(runs, at_scale=4, held_out_runs=held_out, resamples=20, out="scaled")
    assert scaled.content["scales"] == [0.25, 0.5, 1.0]
    used = next(row for row in scaled.content["laws"] if row["used"])
    assert used["largest_scale"] < 0.03
    assert used["held_out"] < 0.05
    assert used["held_out_rank"] > 0.8
    assert "At the largest scale" in scaled.page.read_text("utf-8")


def test_a_table_in_python_may_stand_for_the_file(tmp_path):
    frame = polars.read_csv(write_runs(tmp_path / "runs.csv"))
    first = pl.mixture.fit(frame, resamples=20, out="a")
    again = pl.mixture.fit(frame.to_dicts(), resamples=20, out="b")
    assert first.table().equals(again.table())


def test_the_same_call_finds_the_same_result(tmp_path):
    write_runs(tmp_path / "runs.csv", mixtures=8)
    line = "mixture fit runs.csv --resamples 20 --laws linear log-linear"
    done = [polylect_in_process(*line.split(), "--out", name) for name in ("a", "b", "a")]
    assert [each.returncode for each in done] == [0, 0, 0], done[0].stderr
    assert "this result is there already" in done[2].stderr
    for name in ("fit.json", "index.html", "left_out.parquet", "prices.parquet"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    rows = json.loads(polylect_in_process(*line.split(), "--out", "a", "--json").stdout)
    assert {row["cell"] for row in rows} == set(CELLS)
    plan = polylect_in_process(*line.split(), "--dry-run", "--out", "c")
    assert "would fit linear, log-linear to 16 runs of 8 mixtures" in plan.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"reference": "v99"}, "no run or variant of this name"),
        ({"reference": ["code=0.4"]}, "its shares sum to 0.4"),
        ({"reference": ["cod=0.4", "web=0.6"]}, "no stream 'cod' — did you mean code"),
        ({"reference": ["code=many"]}, "'many' is no share"),
        ({"allowed": {"code": "0.3"}}, "no range"),
        ({"allowed": {"code": "0.2..1.3"}}, "1.3 — give shares from 0 to 1"),
        ({"allowed": {"code": "0.6..", "web": "0.6.."}}, "no mixture keeps the bounds"),
        ({"allowed": {"cod": "0.1.."}}, "no stream 'cod'"),
        ({"cells": ["xx"]}, "no loss:xx"),
        ({"at_scale": 2}, "3 scales or more; there are 1"),
        ({"only_scale": 2}, "no runs at scale 2"),
        ({"only_scale": 1, "at_scale": 2}, "both only_scale and at_scale"),
        ({"laws": ["linear", "linear"]}, "name each law once"),
        ({"held_out_losses": "runs.csv"}, "held_out_losses without held_out_runs"),
    ],
)
def test_mistakes_are_one_line(tmp_path, options, words):
    runs = write_runs(tmp_path / "runs.csv", mixtures=8)
    with pytest.raises(InputError, match=words) as error:
        pl.mixture.fit(runs, **{"laws": ["linear"], "resamples": 20} | options, out="out")
    assert "\n" not in str(error.value)
