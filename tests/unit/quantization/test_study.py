"""The study and the search over schemes, end to end on tiny models."""

import json

import numpy as np
import polars as pl
import pytest

from polylect.base import InputError, UndecidableError, read_json
from polylect.comparison import compare
from polylect.quantization import SCHEMES
from polylect.recipes.quantization.bit_search import SchemesConfig, schemes
from polylect.recipes.quantization.bit_search_steps import ARCHIVE, groups_of, order_of_raising
from polylect.recipes.quantization.comparisons import definition_of
from polylect.recipes.quantization.study import StudyConfig, study, study_plan, variants_of
from polylect.report import relative_change, verdict_of_change
from polylect.rows import Judgment, ScoreTable, Verdict, write_rows
from polylect.runs import Run

WORDS = {
    "en": ["the", "house", "is", "small", "and", "white", "but", "nobody"],
    "de": ["das", "Haus", "ist", "klein", "und", "weiß", "niemand"],
    "el": ["το", "σπίτι", "είναι", "μικρό", "και", "λευκό"],
    "ja": ["家", "は", "小さい", "白い", "です", "と"],
}


@pytest.fixture(scope="module")
def items(tmp_path_factory):
    """A likelihood task in four languages."""
    path = tmp_path_factory.mktemp("items") / "sentences.jsonl"
    random = np.random.default_rng(5)
    rows = [
        {"id": str(i), "language": tag, "context": "", "answer": 0, "delimiter": "",
         "choices": [" ".join(random.choice(words, 6))]}
        for i in range(8)
        for tag, words in WORDS.items()
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


@pytest.fixture(scope="module")
def studied(llama, text, items, tmp_path_factory):
    """Three variants, and judgments of one."""
    root = tmp_path_factory.mktemp("study")
    judged = [
        Judgment(
            id=str(i),
            language="ja",
            model_a="full",
            model_b="w4",
            verdict=verdict,
            judge=who,
            swapped=False,
        )
        for who, verdicts in (("gpt", "ABB"), ("ann", "AAAT"))
        for i, verdict in enumerate(
            {"A": Verdict.A, "B": Verdict.B, "T": Verdict.TIE}[one] for one in verdicts
        )
    ]
    write_rows(root / "judged.jsonl", Judgment, judged)
    config = StudyConfig(
        model=llama.path, calibration=text, schemes=("w8", "w4", "w4-gptq"), quotas=("uniform",),
        tasks=(str(items),), samples=6, sample_tokens=40, eval_samples_per_language=1,
        judgments=(root / "judged.jsonl",), people=("ann",), note="Quantized <twice>.",
    )  # fmt: skip
    run = Run(root / "run", "study", config, num_workers=1)
    study(run, config)
    return run


def test_variants_are_schemes_by_calibration():
    names = list(variants_of(StudyConfig()))
    assert len(names) == 6 + 2 * 4
    assert {"w4", "w4-gptq.english", "w4-gptq.uniform", "nf4"} <= set(names)
    assert {one.partition(".")[0] for one in names} == set(SCHEMES)
    with pytest.raises(InputError, match="no calibration 'englisch'"):
        variants_of(StudyConfig(quotas=("englisch",)))


def test_the_tables_are_those_of_compare(studied):
    folder = studied.artifacts["damage"].path
    scores = ScoreTable.read(folder / "scores.parquet")
    assert set(scores.frame["checkpoint"]) == {"full", "w8", "w4", "w4-gptq.uniform"}
    direct = compare(scores.only(checkpoint="full"), scores.only(checkpoint="w4"))
    table = pl.read_parquet(folder / "languages.parquet").filter(
        (pl.col("what") == "damage") & (pl.col("after") == "w4")
    )
    assert table["language"].to_list() == direct.languages["language"].to_list()
    assert table["gain"].to_list() == direct.languages["gain"].to_list()
    groups = pl.read_parquet(folder / "groups.parquet")
    assert {"all", "latin-ie", "script", "family"} <= set(groups["kind"])
    whats = set(groups["what"])
    assert whats == {"damage", "GPTQ for nearest, column-wise (uniform)"}


def test_changes_are_turned_so_that_below_zero_is_worse():
    bits = {
        "metric": "bits",
        "relative": 0.1,
        "gain": -0.2,
        "relative_lower": 0.05,
        "relative_upper": 0.15,
    }
    assert relative_change(bits) == pytest.approx((-10.0, -15.0, -5.0))
    share = {"metric": "acc", "relative": -0.1, "gain": -0.04, "lower": -0.06, "upper": -0.02}
    assert relative_change(share) == pytest.approx((-10.0, -15.0, -5.0))
    assert relative_change({"metric": "acc", "relative": None, "gain": 0.1}) is None
    assert verdict_of_change(relative_change(bits)) == "paid"
    assert verdict_of_change((1.0, 0.5, 1.5)) == "gained"
    assert verdict_of_change((-1.0, -2.5, 0.5)) == verdict_of_change(None) == "not separable"


def test_judges_and_people_stand_side_by_side(studied):
    found = read_json(studied.artifacts["damage"].path / "damage.json")["preferences"]
    by = {one["by"]: one for one in found}
    assert by["judge"]["win_rate"] == pytest.approx(2 / 3)
    assert by["judge"]["net"] == pytest.approx(1 / 3)
    assert (by["people"]["wins"], by["people"]["ties"], by["people"]["losses"]) == (0, 1, 3)
    assert by["people"]["win_rate"] == pytest.approx(0.125)
    assert by["people"]["net"] == pytest.approx(-0.75)


def test_the_page_has_every_table_and_links_to_what_made_it(studied):
    page = (studied.path / "index.html").read_text("utf-8")
    for title in ("Relative change by scheme", "Relative change by language", "Script and family",
                  "Worst-hurt language first", "One thing changed", "Divergence of the predictions",
                  "Automatic metrics, judges and people", "Size and cost"):  # fmt: skip
        assert title in page
    assert "round-half-even" in page
    assert "Quantized &lt;twice&gt;." in page
    for link in {one.split('"')[0] for one in page.split('href="')[1:]}:
        assert (studied.path / link).is_file()


def test_a_judgment_of_others_and_a_missing_file_are_refused(llama, text, items, tmp_path):
    config = StudyConfig(model=llama.path, calibration=text, tasks=(str(items),),
                         judgments=(tmp_path / "no.jsonl",))  # fmt: skip
    run = Run(tmp_path / "run", "study", config, num_workers=1)
    with pytest.raises(InputError, match="no such file"):
        study_plan(run, config)


def test_a_mixture_without_its_own_scheme_is_described_by_what_is_there():
    assert definition_of({"w4": "four", "w8": "eight"}, "w4") == "four"
    assert definition_of({"w8": "eight"}, "w4") == "w8: eight"


def test_groups_are_attention_and_feed_forward_of_each_layer():
    names = [f"model.layers.{i}.{one}" for i in (0, 1)
             for one in ("self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj")]  # fmt: skip
    groups = groups_of(names)
    assert list(groups) == [f"model.layers.{i}.{one}" for i in (0, 1)
                            for one in ("self_attn", "mlp")]  # fmt: skip
    assert groups["model.layers.1.self_attn"] == names[3:5]
    single = {"a": 0.10, "b": 0.05, "c": 0.05}
    assert order_of_raising(single, 0.20, {"a": 10, "b": 100, "c": 20}) == ["a", "c", "b"]


@pytest.fixture(scope="module")
def mixed(llama, text, items, tmp_path_factory):
    def make(name, **changed):
        options = {"model": llama.path, "calibration": text, "tasks": (str(items),), "samples": 6,
                   "sample_tokens": 40, "low": "w4", "max_increase": 0.5, "limit": 4,
                   **changed}  # fmt: skip
        config = SchemesConfig(**options)
        run = Run(tmp_path_factory.mktemp(name) / "run", "schemes", config, num_workers=1)
        schemes(run, config)
        return run

    return make


def test_the_search_finds_the_smallest_that_keeps_the_floor(mixed):
    run = mixed("loose")
    found = read_json(run.artifacts["search"].path / "mixture.json")
    points = found["points"]
    assert len(points) == 2 + 6 + 4  # the ends, each group alone, raised one after another
    good = [one for one in points if one["loss"] <= 0.5]
    assert found["chosen"]["bytes"] == min(one["bytes"] for one in good)
    ends = {len(one["raised"]): one for one in points}
    assert ends[6]["loss"] < ends[0]["loss"]
    assert ends[6]["bytes"] > ends[0]["bytes"]
    # What was weighed in memory is what the artifact weighs.
    made = run.artifacts["quantize-low"].path / "quantize.json"
    assert read_json(made)["bytes"] == ends[0]["bytes"]
    for one in points:
        better = [o for o in points if o["bytes"] <= one["bytes"] and o["loss"] <= one["loss"]
                  and (o["bytes"], o["loss"]) != (one["bytes"], one["loss"])]  # fmt: skip
        assert one["front"] == (not better)
    assert (run.artifacts["search"].path / ARCHIVE).is_file()
    assert "Size against the worst language" in (run.path / "index.html").read_text("utf-8")


def test_the_chosen_mixture_is_made_and_a_floor_in_between_raises_some(mixed):
    points = read_json(mixed("first").artifacts["search"].path / "mixture.json")["points"]
    ends = {len(one["raised"]): one["loss"] for one in points}
    floor = 0.5 * (ends[0] + ends[6])
    run = mixed("between", max_increase=floor)
    chosen = read_json(run.artifacts["search"].path / "mixture.json")["chosen"]
    assert 0 < len(chosen["raised"]) < 6
    record = read_json(run.artifacts["quantize-mixed"].path / "quantize.json")
    assert record["bytes"] == chosen["bytes"]
    with pytest.raises(UndecidableError, match="keeps the worst language's loss within"):
        mixed("none", max_increase=1e-9, budget_mb=0.001)
