"""The findings of the recipe nexus: intervals over seeds and documents, planted effects, nulls."""

import json

import numpy as np
import polars as pl
import pytest

from polylect.base import Ledger
from polylect.comparison import GAINED, OPEN, PAID
from polylect.recipes.experts.claims import (
    CLAIMS,
    answer,
    by_language,
    gain,
    gain_rows,
    own_share,
    share_line,
)
from polylect.recipes.experts.findings import NexusFindingsConfig, find_nexus, verdict_of
from polylect.recipes.intervals import ratio_interval
from polylect.rows import ScoreTable
from polylect.runs import Files, Silent, StepContext

LANGUAGES = {"previous": ("de", "hi"), "appended": ("code",)}


def crossed(random, effect, seeds, documents, by_seed, by_document, noise, languages=("de", "hi")):
    """Scores of two models on crossed seeds and documents; ``after`` has fewer bits by effect."""
    rows = []
    shift = random.normal(0, by_seed, seeds)
    for tag in languages:
        of_document = random.normal(0, by_document, documents)
        base = random.uniform(1.0, 3.0, documents)
        size = random.uniform(200, 2000, documents)
        for seed in range(seeds):
            ratio = 1 - effect + shift[seed] + of_document + random.normal(0, noise, documents)
            for name, value in (("linear", base), ("nexus", base * ratio)):
                rows += [
                    {"seed": seed, "checkpoint": name, "language": tag, "item": f"{tag}{i}",
                     "cluster": f"{tag}{i}", "value": value[i], "weight": size[i]}
                    for i in range(documents)
                ]  # fmt: skip
    return pl.DataFrame(rows)


def test_the_mean_is_the_plain_mean_over_seeds_and_languages_of_the_relative_gain():
    scores = crossed(np.random.default_rng(0), 0.1, 3, 8, 0.02, 0.02, 0.02)
    wanted = []
    for seed in range(3):
        of_language = []
        for tag in ("de", "hi"):
            part = scores.filter(seed=seed, language=tag)
            sums = {
                name: sum(row["value"] * row["weight"]
                          for row in part.filter(checkpoint=name).iter_rows(named=True))
                for name in ("linear", "nexus")
            }  # fmt: skip
            of_language.append(100 * (1 - sums["nexus"] / sums["linear"]))
        wanted.append(np.mean(of_language))
    have = gain(gain_rows(scores, "linear", "nexus", ["de", "hi"]))
    assert have.mean == pytest.approx(np.mean(wanted), rel=1e-12)
    assert have.seeds == pytest.approx(wanted, rel=1e-12)
    assert have.num_documents == 16


@pytest.mark.parametrize(
    ("seeds", "documents", "by_seed", "by_document", "noise"),
    [(3, 12, 0.02, 0.0, 0.02), (3, 12, 0.0, 0.03, 0.01), (3, 8, 0.02, 0.02, 0.02),
     (1, 12, 0.0, 0.03, 0.03), (5, 30, 0.01, 0.05, 0.01)],
)  # fmt: skip
def test_the_interval_covers_the_truth_whichever_varies(
    seeds, documents, by_seed, by_document, noise
):
    random = np.random.default_rng(seeds * 100 + documents)
    covered, num = 0, 150
    for _ in range(num):
        scores = crossed(random, 0.03, seeds, documents, by_seed, by_document, noise)
        have = gain(gain_rows(scores, "linear", "nexus", ["de", "hi"]))
        covered += have.lower <= 3.0 <= have.upper
    assert covered >= 0.91 * num  # 95 % less two and a half standard errors


def test_a_planted_effect_is_found_and_a_planted_null_is_not():
    claim = next(claim for claim in CLAIMS if (claim.before, claim.after) == ("linear", "nexus"))
    said = []
    for number, effect in enumerate((0.06, -0.06, 0.0)):
        random = np.random.default_rng(number)
        scores = crossed(random, effect, 3, 20, 0.005, 0.02, 0.01)
        found = answer(claim, scores, LANGUAGES)
        said.append(found["verdict"])
        assert found["steps"] == ["test-linear", "test-nexus"]
        assert len(found["seeds"]) == 3
    assert said == ["same direction", "opposite", "not separable"]


def test_an_effect_that_one_of_three_seeds_shows_is_not_separable():
    random = np.random.default_rng(0)
    scores = crossed(random, 0.0, 3, 40, 0.0, 0.0, 0.001)
    lucky = pl.when((pl.col("seed") == 0) & (pl.col("checkpoint") == "nexus"))
    scores = scores.with_columns(value=lucky.then(0.7 * pl.col("value")).otherwise("value"))
    claim = CLAIMS[0]
    assert answer(claim, scores, LANGUAGES)["verdict"] == "not separable"


def test_a_claim_on_a_model_that_was_not_made_is_left_out():
    scores = crossed(np.random.default_rng(0), 0.1, 1, 4, 0, 0, 0.01)
    assert [answer(claim, scores, LANGUAGES) is not None for claim in CLAIMS].count(True) == 1


def test_one_document_has_no_interval():
    rows = pl.DataFrame(
        {"seed": [0, 1], "group": "de", "cluster": "a", "top": [1.0, 2.0], "bottom": [2.0, 2.0]}
    )
    have = ratio_interval(rows)
    assert have.mean == pytest.approx(0.75)
    assert have.bounds() == {"lower": None, "upper": None}
    assert have.verdict(1) == "not separable"


def test_who_gained_and_who_paid_by_language():
    random = np.random.default_rng(1)
    parts = [crossed(random, effect, 3, 20, 0.002, 0.01, 0.01, (tag,))
             for tag, effect in (("de", 0.1), ("el", 0.0), ("hi", -0.1))]  # fmt: skip
    rows = by_language(pl.concat(parts), "linear", "nexus", ("de", "el", "hi", "ja"), verdict_of)
    assert [(row["language"], row["verdict"]) for row in rows] == [
        ("hi", PAID), ("el", OPEN), ("de", GAINED),
    ]  # fmt: skip


# The step, on planted scores and routing.


def write_scores(folder, name, seed, gains, documents=24):
    random = np.random.default_rng([seed, len(name)])
    base = np.random.default_rng(7)  # the documents are the same for every model
    rows = []
    for tag in ("de", "hi", "code"):
        value = base.uniform(1, 3, documents)
        size = base.uniform(300, 900, documents)
        ratio = 1 - gains.get((name, tag), 0.0) + random.normal(0, 0.01, documents)
        rows += [
            {"checkpoint": name, "task": "bits-per-byte@1", "language": tag, "group": "x",
             "item": f"{tag}{i}", "cluster": f"{tag}{i}", "metric": "bits_per_byte",
             "value": value[i] * ratio[i], "weight": size[i], "settings": "s"}
            for i in range(documents)
        ]  # fmt: skip
    folder.mkdir(parents=True)
    ScoreTable.from_rows(rows).write(folder / "scores.parquet")


def write_routing(folder, seed, experts, own, documents=10):
    random = np.random.default_rng(seed)
    tables, counts = [], []
    for domain, tag in (("north", "de"), ("south", "hi"), ("code", "code")):
        for i in range(documents):
            for block in range(2):
                known = domain in experts
                share = own.get(domain, 0.5) if known else 1 / len(experts)
                parts = np.full(len(experts), (1 - share) / (len(experts) - 1))
                if known:
                    parts[experts.index(domain)] = share
                chosen = random.multinomial(100, parts / parts.sum())
                tables += [
                    {"domain": domain, "language": tag, "document": f"{tag}{i}", "block": block,
                     "expert": e, "choices": int(num), "gate": float(num), "tokens": 100}
                    for e, num in enumerate(chosen)
                ]  # fmt: skip
                if known:
                    counts.append(
                        {"domain": domain, "language": tag, "document": f"{tag}{i}",
                         "own": int(chosen[experts.index(domain)]), "choices": 100}
                    )  # fmt: skip
    folder.mkdir(parents=True)
    pl.DataFrame(tables).write_parquet(folder / "routing.parquet")
    grouped = pl.DataFrame(counts).group_by("domain", "language", "document", maintain_order=True)
    grouped.agg(pl.col("own", "choices").sum()).write_parquet(folder / "own.parquet")
    model = {"experts": experts, "active": 10, "total": 20}
    (folder / "model.json").write_text(json.dumps(model), encoding="utf-8")


def find(tmp_path, gains, own, seeds=(0, 1, 2)):
    models = ("base", "linear", "nexus", "linear-reset-extended", "nexus-extended")
    inputs = {}
    for seed in seeds:
        for name in models:
            place = tmp_path / f"{seed}-{name}"
            write_scores(place, name, seed, gains)
            inputs[f"{seed} test-{name}"] = Files(place)
        for name, experts in (
            ("nexus", ["north", "south"]), ("nexus-extended", ["north", "south", "code"]),
        ):  # fmt: skip
            place = tmp_path / f"{seed}-route-{name}"
            write_routing(place, seed, experts, own)
            inputs[f"{seed} route-{name}"] = Files(place)
    config = NexusFindingsConfig(
        seeds=seeds, previous={"north": ("de",), "south": ("hi",)}, anchors=(), appended="code",
        appended_languages=("code",), models=models, routed=("nexus", "nexus-extended"),
        upcycle_tokens=40_000, extend_tokens=1000,
    )  # fmt: skip
    out = tmp_path / "out"
    out.mkdir()
    find_nexus.function(config, inputs, StepContext(out, out, Silent(), Ledger()))
    return json.loads((out / "findings.json").read_text(encoding="utf-8"))


def test_the_step_finds_what_was_planted_and_nothing_else(tmp_path):
    gains = {("nexus", tag): 0.05 for tag in ("de", "hi")}
    gains |= {("nexus-extended", "code"): 0.2, ("nexus-extended", "de"): 0.02,
              ("nexus-extended", "hi"): 0.02}  # fmt: skip
    found = find(tmp_path, gains, {"north": 0.8, "south": 0.65, "code": 0.55})
    said = {(line["before"], line["after"], line["text"]): line["verdict"]
            for line in found["lines"]}  # fmt: skip
    assert said["linear", "nexus", "previous"] == "same direction"
    assert said["base", "nexus", "previous"] == "same direction"
    assert said["linear-reset-extended", "nexus-extended", "appended"] == "same direction"
    assert said["nexus", "nexus-extended", "previous"] == "same direction"  # the paper says it pays
    assert said["linear", "linear-reset-extended", "previous"] == "not separable"
    assert said["chance", "nexus", ""] == "same direction"
    assert said["chance", "nexus-extended", ""] == "same direction"
    targets = found["targets"]
    assert targets["own_share_met"]
    assert targets["appended_share_met"]
    assert targets["own_share"]["north"] == pytest.approx(0.8, abs=0.03)
    assert all(len(line["seeds"]) == 3 for line in found["lines"])


def test_routing_by_chance_is_not_called_specialized(tmp_path):
    found = find(tmp_path, {}, {"north": 0.5, "south": 0.5, "code": 1 / 3})
    said = {(line["before"], line["after"], line["text"]): line["verdict"]
            for line in found["lines"]}  # fmt: skip
    assert said["chance", "nexus", ""] == "not separable"
    assert said["chance", "nexus-extended", ""] == "not separable"
    assert said["linear", "nexus", "previous"] == "not separable"
    assert not found["targets"]["own_share_met"]
    assert not found["targets"]["appended_share_met"]


def test_one_seed_says_that_its_interval_is_over_documents(tmp_path):
    found = find(tmp_path, {}, {"north": 0.8, "south": 0.8, "code": 0.8}, seeds=(5,))
    assert {line["note"] for line in found["lines"]} == {
        "one seed: the interval is over documents alone"
    }


def shares_of(counts):
    """Rows of ``own_counts`` from (seed, document, own, choices)."""
    return pl.DataFrame(
        [{"seed": seed, "domain": "code", "document": document, "own": own, "choices": choices}
         for seed, document, own, choices in counts]
    )  # fmt: skip


@pytest.mark.parametrize(
    "counts",
    [
        [(0, "a", 0, 100), (0, "b", 30, 90)],  # two documents, far apart
        [(0, "a", 1, 100), (0, "b", 2, 90), (0, "c", 0, 50)],
        [(seed, doc, 0, 40) for seed in (0, 1, 2) for doc in "abcd"],  # never
        [(seed, doc, 40, 40) for seed in (0, 1, 2) for doc in "abcd"],  # always
        [(seed, doc, 38 + seed, 40) for seed in (0, 1, 2) for doc in "abcd"],
    ],
)
def test_a_share_stays_a_share(counts):
    have = own_share(shares_of(counts))
    assert 0 <= have.lower <= have.mean <= have.upper <= 1
    assert have.upper > have.lower


def test_two_documents_say_little_of_a_share():
    """They spread from 0 to a third; nobody may say that the share is below a fifth."""
    line = share_line(shares_of([(0, "a", 0, 100), (0, "b", 30, 90)]), "?", "69.1 %", "nexus", 0.2)
    assert line["verdict"] == "not separable"
    many = shares_of([(0, name, 5 + i, 10) for i, name in enumerate("abcde")])
    asked = share_line(many, "?", "", "mlp", 0.2, claimed=0)
    assert asked["verdict"] == "better"


def test_the_interval_of_a_share_covers_it():
    random = np.random.default_rng(5)
    for true, concentration in ((0.03, 6.0), (0.5, 6.0), (0.9, 12.0)):
        covered, num = 0, 150
        for _ in range(num):
            p = random.beta(true * concentration, (1 - true) * concentration, 15)
            rows = [(seed, f"d{i}", int(random.binomial(200, p[i])), 200)
                    for seed in range(3) for i in range(15)]  # fmt: skip
            have = own_share(shares_of(rows))
            covered += have.lower <= true <= have.upper
        assert covered >= 0.89 * num, true
