"""Findings of plans: planted gains, prices, fronts; chance; relatives; the stop rule."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from polylect.base import InputError
from polylect.mixtures import Plan, plan_ledger, planned_runs, tokens_saved, trainings_of
from polylect.recipes.intervals import ratio_interval
from polylect.recipes.mixtures.breadth import nested_sets, ordered_languages, plans_of
from polylect.recipes.mixtures.breadth_findings import LanguageSet, relatives, step_lines
from polylect.recipes.mixtures.claims import CLAIMS, answers, bits_gain, task_cells
from polylect.recipes.mixtures.engine import Sweep, label_of, train_config
from polylect.recipes.mixtures.findings import compared_pairs, not_measured
from polylect.recipes.mixtures.options import BreadthConfig, CodeConfig
from polylect.recipes.mixtures.paper import PLANS, proportions, quality, variants
from polylect.recipes.mixtures.reading import ledger_line
from polylect.recipes.mixtures.run_steps import RunSteps
from polylect.recipes.mixtures.sweeping import rounds, why_stop, widest
from polylect.recipes.mixtures.tables import change_table, pareto_table, price_table
from polylect.recipes.mixtures.texts import Prepared, changed

SIZES = {
    ("de", "catalogues"): 400_000, ("ja", "catalogues"): 300_000, ("ar", "catalogues"): 90_000,
    ("code", "stdlib"): 3_000_000, ("code", "markup"): 200_000, ("code", "adjacent"): 400_000,
    ("code", "synthetic"): 300_000,
}  # fmt: skip


def bits_of(models, *, seeds=(0, 1, 2), documents=30, noise=0.01, draw=0):
    """Scores of documents whose bits are a language's base times a model's factor of its stream."""
    random = np.random.default_rng(draw)
    base = random.uniform(2, 4, (documents, 4))
    cells = [("text", "de", "c"), ("text", "ja", "c"), ("text", "ar", "c"), ("web", "code", "s")]
    rows = []
    for seed in seeds:
        for model, factors in models.items():
            for number, (stream, tag, source) in enumerate(cells):
                for document in range(documents):
                    factor = factors.get(tag, factors.get(stream, 1.0))
                    value = base[document, number] * factor * (1 + noise * random.normal())
                    rows.append((model, model, model, "", 1.0, seed, stream, stream == "web", tag,
                                 source, f"d{document}", f"d{document}", value, 100.0))  # fmt: skip
    names = ["run", "model", "variant", "cooldown", "scale", "seed", "stream", "is_code",
             "language", "group", "item", "cluster", "value", "weight"]  # fmt: skip
    frame = pl.DataFrame(rows, schema=names, orient="row")
    return frame.with_columns(run=pl.concat_str("model", pl.col("seed").cast(pl.String)))


BITS = bits_of({
    "text-only": {}, "balanced-text": {"de": 0.95, "ja": 1.02, "ar": 1.0, "web": 0.5},
    "balanced-only": {"text": 1.1, "web": 0.6},
})  # fmt: skip


def test_planted_gains_come_back_and_the_claims_are_beside_the_paper():
    gain = bits_gain(BITS, "text-only", "balanced-text", "text")
    assert gain is not None
    assert gain.lower < 1.0 < gain.upper
    assert gain.mean == pytest.approx(1.0, abs=0.2)
    claims = [one for one in CLAIMS if (one.before, one.after) == ("text-only", "balanced-text")]
    lines = [line for claim in claims
             for line in answers(claim, BITS, pl.DataFrame(), pl.DataFrame(),
                                 {"text": "text", "code": "web"}, ["bits-x"])]  # fmt: skip
    code = next(line for line in lines if line["kind"] == "code" and line["stands_in"])
    assert code["verdict"] == "same direction"
    assert code["mean"] == pytest.approx(50, abs=1)
    assert code["paper"] == "12×"
    assert len(code["seeds"]) == 3
    papers = [line for line in lines if not line["stands_in"]]
    assert {line["verdict"] for line in papers} == {"not checkable here"}
    assert {line["kind"] for line in papers} == {"reasoning", "knowledge", "code", "generation"}
    assert bits_gain(BITS, "text-only", "nobody", "text") is None


def test_a_null_is_not_separable_and_who_pays_is_named_worst_first():
    same = bits_of({"text-only": {}, "balanced-text": {}}, draw=4)
    (claim,) = [one for one in CLAIMS if one.paper == "+8.2 %"]
    line = answers(claim, same, pl.DataFrame(), pl.DataFrame(), {"text": "text"}, [])[-1]
    assert line["verdict"] == "not separable"
    table = change_table(BITS, [("text-only", "balanced-text")])
    rows = {row["language"]: row for row in table.to_dicts()}
    assert table["language"].to_list() == ["ja", "ar", "de", "code"]
    assert [rows[tag]["verdict"] for tag in ("ja", "ar", "de", "code")] == [
        "paid", "not separable", "gained", "gained"
    ]  # fmt: skip


def test_the_price_of_a_point_of_code_and_the_front():
    price = price_table(BITS, [("text-only", "balanced-text"), ("balanced-text", "text-only")],
                        "text", "web")  # fmt: skip
    rows = {row["language"]: row for row in price.to_dicts()}
    assert set(price["before"]) == {"text-only"}  # the other way nothing of code is won
    assert rows["ja"]["price"] == pytest.approx(2 / 50, abs=0.01)
    assert rows["de"]["price"] == pytest.approx(-5 / 50, abs=0.01)
    assert rows["ja"]["lower"] < rows["ja"]["price"] < rows["ja"]["upper"]
    one = price_table(BITS.filter(seed=0), [("text-only", "balanced-text")], "text", "web")
    assert one["lower"].null_count() == one.height
    front = pareto_table(BITS, "text", "web").filter(seed=0)
    assert dict(front.select("model", "on_front").rows()) == {
        "text-only": False, "balanced-text": True, "balanced-only": False
    }  # fmt: skip


def tasks_of(models, chance, items=200, draw=0):
    random = np.random.default_rng(draw)
    rows = [
        (model, seed, "xcopa@1", "reasoning", tag, "acc", f"i{item}", f"i{item}",
         float(random.random() < share), 1.0, chance)
        for model, share in models.items() for seed in (0, 1, 2) for tag in ("de", "ja")
        for item in range(items)
    ]  # fmt: skip
    names = ["model", "seed", "task", "kind", "language", "metric", "item", "cluster", "value",
             "weight", "chance"]  # fmt: skip
    return pl.DataFrame(rows, schema=names, orient="row")


def test_a_task_at_chance_says_so_and_is_not_ranked():
    (claim,) = [one for one in CLAIMS if one.paper == "+8.2 %"]
    guessing = tasks_of({"text-only": 0.5, "balanced-text": 0.5}, 0.5)
    cells = task_cells(guessing)
    assert cells["at_chance"].all()
    assert cells["rank"].null_count() == cells.height
    line = answers(claim, BITS, guessing, cells, {"text": "text"}, [])[0]
    assert line["verdict"] == "at chance"
    assert line["mean"] is None
    able = tasks_of({"text-only": 0.6, "balanced-text": 0.9}, 0.5)
    cells = task_cells(able)
    assert not cells["at_chance"].any()
    assert set(cells.filter(model="balanced-text")["rank"]) == {1}
    line = answers(claim, BITS, able, cells, {"text": "text"}, [])[0]
    assert line["verdict"] == "same direction"
    assert line["mean"] == pytest.approx(50, abs=15)
    assert line["measure"] == "xcopa@1"


def test_accuracies_and_likelihoods_are_lines_of_their_own():
    (claim,) = [one for one in CLAIMS if one.paper == "+8.2 %"]
    guessing = tasks_of({"text-only": 0.5, "balanced-text": 0.5}, 0.5)
    random = np.random.default_rng(1)
    value = pl.Series(2 + 0.01 * random.normal(size=guessing.height))
    value = pl.when(model="balanced-text").then(0.9 * value).otherwise(value)
    bits = guessing.with_columns(
        task=pl.lit("xquad@1"), metric=pl.lit("bits_per_byte"), value=value,
        chance=pl.lit(None, pl.Float64),
    )  # fmt: skip
    tasks = pl.concat([guessing, bits])
    lines = answers(claim, BITS, tasks, task_cells(tasks), {"text": "text"}, [])
    assert [(line["measure"], line["verdict"]) for line in lines[:2]] == [
        ("xcopa@1", "at chance"), ("xquad@1", "same direction")
    ]  # fmt: skip
    assert lines[1]["mean"] == pytest.approx(10, abs=0.5)
    assert lines[1]["unit"] == "% fewer bits"


def test_what_was_not_measured_is_said():
    cells = pl.DataFrame({"stream": ["text", "text"], "language": ["de", "yo"]})
    missing = not_measured({"xcopa": "reasoning"}, cells, BITS)
    assert not any("reasoning" in text for text in missing)
    assert missing[-1] == "text in yo: no held-out text"


def test_a_difference_of_means_is_an_interval_with_weights():
    rows = BITS.filter(model="text-only", stream="text").select(
        "seed", "cluster", group="language", top=pl.col("value") * 100, bottom=pl.lit(100.0)
    )  # fmt: skip
    each = {tag: ratio_interval(rows.filter(group=tag)).mean for tag in ("de", "ja", "ar")}
    weights = {"de": 0.5, "ja": 0.5, "ar": -1.0}
    found = ratio_interval(rows, weights=weights)
    assert found.mean == pytest.approx((each["de"] + each["ja"]) / 2 - each["ar"])
    even = dict.fromkeys(each, 1 / 3)
    one, other = ratio_interval(rows), ratio_interval(rows, weights=even)
    assert one.mean == pytest.approx(other.mean)
    assert (one.lower, one.upper) == pytest.approx((other.lower, other.upper))


# The plans of the paper.


def swept(*plans: Plan) -> Sweep:
    ready = Prepared(None, None, plans, SIZES, ())  # pyrefly: ignore
    runs = tuple(run for plan in plans for run in planned_runs(plan, SIZES))
    return Sweep(ready, runs, {1.0: 5_000_000})


def test_the_ten_runs_of_the_paper_cost_less_than_half():
    plan = replace(variants(), seeds=(0,))
    runs = planned_runs(plan, SIZES)
    assert len(runs) == 10
    shared, apart = tokens_saved(runs)
    assert shared / apart == pytest.approx(4.6 / 10.6)
    ledger = plan_ledger(plan, SIZES)
    assert ledger.filter(variant="code-text", stage=1)["stream"].unique().sort().to_list() == [
        "markup", "web"
    ]  # fmt: skip


def test_experiments_share_what_they_have_in_common_and_labels_do_not_depend_on_them():
    alone = [swept(replace(make(), seeds=(0, 1))) for make in (variants, proportions, quality)]
    together = swept(*(replace(make(), seeds=(0, 1)) for make in (variants, proportions, quality)))
    labels = {label for sweep in alone for label in sweep.labels.values()}
    assert labels == set(together.labels.values())
    assert len(labels) < sum(len(sweep.trainings) for sweep in alone)
    assert len({run.name for run in together.runs}) == len(together.runs)
    half = [t for t in together.trainings if "balanced-text · seed 0" in t.runs and not t.parent]
    assert "code-50 · seed 0" in half[0].runs
    assert together.of_seeds([1]).seeds == (1,)
    claimed = {name for claim in CLAIMS for name in (claim.before, claim.after)}
    made = {
        run.variant + (f"+{run.cooldown}" if run.cooldown else "")
        for name in PLANS
        for make in PLANS[name]
        for run in planned_runs(make(), SIZES)
    }
    assert claimed <= made


def test_a_stage_goes_on_in_the_text_and_has_a_schedule_of_its_own():
    sweep = swept(replace(variants(), seeds=(0,)))
    config = CodeConfig()
    for training in trainings_of(sweep.runs):
        made = train_config(training, config)
        assert made.first_stage == training.depth == len(made.mixture.stages) - 1
        is_last = training.stage.kind == "cooldown"
        assert made.optim.schedule == ("linear" if is_last else "cosine")
        assert made.optim.min_lr_ratio == (0.0 if is_last else 0.1)
        assert len(label_of(training)) < 100


def test_options_take_the_place_of_the_plans_own():
    plan = changed(variants(), CodeConfig(seeds=2, seed=5, scales=(1.0, 0.5), budget=None))
    assert plan.seeds == (5, 6)
    assert plan.scales == (1.0, 0.5)
    assert changed(variants(), CodeConfig()) == variants()
    with pytest.raises(InputError, match="--scales: 1 is given twice"):
        CodeConfig(scales=(1.0, 1.0))
    with pytest.raises(InputError, match="--experiments variant: no such experiment"):
        CodeConfig(experiments=("quality", "variant"))


# The stop rule.


def test_seeds_end_when_intervals_are_narrow_or_the_budget_is_spent():
    assert rounds((0, 1, 2, 3), True) == [(0, 1), (2,), (3,)]
    sweep = swept(replace(variants(tokens=1000), seeds=(0, 1, 2)))
    per_seed = sweep.of_seeds([0]).tokens
    config = CodeConfig(most_tokens=2 * per_seed)
    assert why_stop(config, sweep, (), (0, 1)) == ""
    assert "a further one would need" in why_stop(config, sweep, (0, 1), (2,))
    with pytest.raises(InputError, match="2 seeds need"):
        why_stop(replace(config, most_tokens=per_seed), sweep, (), (0, 1))
    loose, tight = (bits_of({"a": {}, "b": {}}, noise=noise) for noise in (0.2, 0.01))
    compared = [("a", "b", ("text",)), ("a", "nobody", ("text",))]
    assert widest(tight, compared) < 1 < widest(loose, compared)


def test_the_ledger_line_is_to_one_sequence():
    ledger = pl.DataFrame({"run": ["a", "b"], "tokens": [100, 50], "read": [100, 49]})
    line = ledger_line(ledger, 1)
    assert line["equal_to_one_sequence"]
    assert line["most_apart"] == 1
    assert not ledger_line(ledger.with_columns(read=pl.lit(10)), 1)["equal_to_one_sequence"]


def test_a_plan_without_claims_compares_the_first_run_with_every_other():
    runs = [RunSteps(name=n, variant=n, cooldown="", scale=1.0, seed=0, steps=("x",))
            for n in ("mine", "yours", "theirs")]  # fmt: skip
    assert compared_pairs(runs) == [("mine", "yours"), ("mine", "theirs")]


# Breadth.


@pytest.mark.parametrize(
    ("numbers", "sets"),
    [((2,), {2: 2, 5: 5}), ((2, 4, 9), {2: 2, 4: 4, 5: 5}), ((5,), None), ((9,), None)],
)
def test_sets_of_languages_are_nested_and_end_with_all(numbers, sets):
    order = ["de", "nl", "hi", "ja", "x-mine"]
    if sets is None:
        with pytest.raises(InputError, match=r"5 languages at hand .*nothing to compare"):
            nested_sets(order, numbers)
        return
    found = nested_sets(order, numbers)
    assert {num: len(tags) for num, tags in found.items()} == sets
    assert all(tags == tuple(order[: len(tags)]) for tags in found.values())


def test_breadth_has_two_budgets_that_share_the_fewest_languages():
    sizes = {key: num for key, num in SIZES.items() if key[0] != "code"}
    order = ordered_languages((), SIZES)
    assert order == ["de", "ja", "ar"]
    assert ordered_languages(("ar", "code", "de"), SIZES) == ["ar", "de"]
    plans = [
        replace(plan, seeds=(0,)) for plan in plans_of(nested_sets(order, (1, 2)), order, 9000)
    ]
    ledgers = pl.concat(plan_ledger(plan, sizes) for plan in plans)
    sums = dict(ledgers.group_by("variant").agg(pl.col("tokens").sum()).rows())
    assert sums == {"total-1": 9000, "total-2": 9000, "total-3": 9000,
                    "each-1": 9000, "each-2": 18_000, "each-3": 27_000}  # fmt: skip
    each = ledgers.filter(pl.col("variant").str.starts_with("each"))
    assert each["tokens"].is_between(8998, 9002).all()
    runs = [run for plan in plans for run in planned_runs(plan, sizes)]
    assert len(trainings_of(runs)) == len(runs) - 1


def test_relatives_are_of_the_family_or_the_script_and_unknown_languages_have_none():
    kin = relatives(["de", "ja", "x-mine", "ar"], ["nl", "fa", "zh-Hans"])
    assert kin["family"] == {"de": ("nl", "fa"), "ja": (), "x-mine": (), "ar": ()}
    assert kin["script"]["ar"] == ("fa",)
    assert kin["script"]["de"] == ("nl",)
    assert kin["script"]["x-mine"] == ()


def test_who_pays_for_breadth_and_whom_a_relative_helps():
    bits = bits_of({"total-3": {}, "total-4": {"de": 0.97, "ja": 1.05, "ar": 1.05}})
    bits = bits.with_columns(stream="language")
    runs = [RunSteps(name=n, variant=n, cooldown="", scale=1.0, seed=0, steps=(n,))
            for n in ("total-3", "total-4")]  # fmt: skip
    before = LanguageSet(model="total-3", budget="total", languages=("de", "ja", "ar"))
    after = LanguageSet(model="total-4", budget="total", languages=("de", "ja", "ar", "nl"))
    lines = step_lines(bits, before, after, runs)
    assert lines[0]["verdict"] == "same direction"
    assert lines[0]["mean"] == pytest.approx(-7 / 3, abs=0.3)
    assert lines[0]["per_language"] == lines[0]["mean"]
    family = next(line for line in lines if "their family" in line["question"])
    assert family["verdict"] == "better"
    assert family["mean"] == pytest.approx(8, abs=0.5)
    json.dumps(lines)


def test_numbers_of_languages_rise():
    with pytest.raises(InputError, match="--languages-at-once 8 4"):
        BreadthConfig(languages_at_once=(8, 4))
