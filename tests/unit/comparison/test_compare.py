import math

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_matrix

from polylect.base import InputError
from polylect.comparison import (
    ALL_LANGUAGES,
    Metrics,
    compare,
    compare_many,
    format_change,
    stack_tables,
)
from polylect.rows import ScoreTable
from polylect.stats import ClaimFamily, max_t

TAGS = ("ar", "de", "fr", "hi", "ja", "tr")


def world(values, name, *, tags=TAGS, weights=None, clusters=None, **columns):
    """The table of a matrix [documents, languages]; a row of it is one document's translations."""
    num = len(values)
    weights = np.ones_like(values) if weights is None else weights
    rows = [
        {
            "checkpoint": name, "task": "t@1", "language": tag, "item": f"{tag}{i}",
            "cluster": f"c{i}" if clusters is None else str(clusters[i]), "metric": "bits",
            "value": float(values[i, j]), "weight": float(weights[i, j]),
            **{key: values_of[i][j] for key, values_of in columns.items()},
        }
        for j, tag in enumerate(tags) for i in range(num)
    ]  # fmt: skip
    return ScoreTable.from_rows(rows)


def noise(random, num, languages=6, shared=0.7):
    """Differences with mean 0 whose translations go together."""
    common = random.normal(size=(num, 1))
    return 0.2 * (shared * common + random.normal(size=(num, languages)))


def coverage(num, languages, worlds=800):
    """Share of worlds of normal differences in which all intervals hold; the core alone, fast."""
    random = np.random.default_rng(num)
    hits = 0
    for world in range(worlds):
        values = noise(random, num, languages)
        center = values.mean(axis=0)
        pulls = csr_matrix((values - center) / num * math.sqrt(num / (num - 1)))
        family = ClaimFamily(pulls, np.full(languages, float(num)), np.zeros(languages))
        (widths,) = max_t([family], 0.95, 300, world)
        hits += bool((np.abs(center) <= widths.half_width).all())
    return hits / worlds


@pytest.mark.parametrize(("num", "languages"), [(4, 6), (8, 1), (8, 24), (40, 24)])
def test_intervals_hold_simultaneously_however_few_documents(num, languages):
    # 800 worlds have a standard error of 0.8 %.
    assert 0.93 <= coverage(num, languages) <= 0.99


def test_intervals_hold_simultaneously_when_nobody_paid():
    random = np.random.default_rng(0)
    covered, marginal, worlds = 0, 0.0, 100
    for seed in range(worlds):
        old = random.normal(3, 1, (12, len(TAGS)))
        new = old + noise(random, 12)
        table = compare(world(old, "a"), world(new, "b"), num_resamples=400, seed=seed).languages
        holds = ((table["change_lower"] <= 0) & (table["change_upper"] >= 0)).to_numpy()
        covered += holds.all()
        marginal += holds.mean()
        wrong = set(table["verdict"]) != {"not separable"}
        assert wrong == (not holds.all())
    assert 0.89 <= covered / worlds < 1.0
    # Each alone holds more often: that is what simultaneous costs.
    assert marginal > covered


def test_intervals_hold_for_what_is_true_when_somebody_paid():
    random = np.random.default_rng(1)
    truth = np.array([0.0, 0.5, -0.5, 0.0, 0.1, 0.0])
    covered, decided, worlds = 0, 0, 60
    for seed in range(worlds):
        old = random.normal(3, 1, (40, len(TAGS)))
        new = old + noise(random, 40) + truth
        table = compare(world(old, "a"), world(new, "b"), num_resamples=400, seed=seed).languages
        rows = {row["language"]: row for row in table.iter_rows(named=True)}
        covered += all(
            rows[tag]["lower"] <= -true <= rows[tag]["upper"]
            for tag, true in zip(TAGS, truth, strict=True)
        )
        decided += rows["de"]["verdict"] == "paid"
        decided += rows["fr"]["verdict"] == "gained"
        assert table["language"][0] == "de"  # worst first
        assert table["language"][-1] == "fr"
        assert table["change"].is_sorted()
    assert covered >= 52
    assert decided == 2 * worlds


def test_bits_per_byte_are_all_bits_over_all_bytes():
    random = np.random.default_rng(2)
    old, new = random.uniform(1, 3, (2, 9, len(TAGS)))
    weights = random.uniform(1, 100, old.shape)
    comparison = compare(world(old, "a", weights=weights), world(new, "b", weights=weights))
    for row in comparison.languages.iter_rows(named=True):
        j = TAGS.index(row["language"])
        before = np.average(old[:, j], weights=weights[:, j])
        after = np.average(new[:, j], weights=weights[:, j])
        assert row["before"] == pytest.approx(before, rel=1e-12)
        assert row["after"] == pytest.approx(after, rel=1e-12)
        assert row["difference"] == pytest.approx(after - before, rel=1e-9)
        assert row["relative"] == pytest.approx((after - before) / before, rel=1e-9)
        assert row["gain"] == pytest.approx(before - after, rel=1e-9)
        assert row["upper"] - row["gain"] == pytest.approx(row["gain"] - row["lower"])
    assert (comparison.before, comparison.after, comparison.level) == ("a", "b", 0.95)


def test_one_language_has_the_interval_of_its_mean():
    values = np.random.default_rng(3).normal(0.1, 1, (400, 1))
    zero = np.ones((400, 1))
    comparison = compare(
        world(zero, "a", tags=("de",)), world(zero + values, "b", tags=("de",)), num_resamples=4000
    )
    half = 1.96 * values.std() / math.sqrt(400)
    row = comparison.languages.row(0, named=True)
    assert row["upper"] - row["gain"] == pytest.approx(half, rel=0.08)


def test_swapping_the_sides_flips_the_sign_and_the_verdict():
    random = np.random.default_rng(4)
    old = random.normal(3, 1, (40, len(TAGS)))
    new = old + noise(random, 40) + np.array([0.5, -0.5, 0, 0, 0, 0])
    forward = compare(world(old, "a"), world(new, "b")).languages
    backward = compare(world(new, "b"), world(old, "a")).languages
    by_language = {row["language"]: row for row in forward.iter_rows(named=True)}
    flipped = {"paid": "gained", "gained": "paid", "not separable": "not separable"}
    for row in backward.iter_rows(named=True):
        other = by_language[row["language"]]
        assert row["difference"] == pytest.approx(-other["difference"])
        assert row["gain"] == pytest.approx(-other["gain"])
        assert row["lower"] == pytest.approx(-other["upper"])
        assert row["verdict"] == flipped[other["verdict"]]


def test_groups_are_means_over_languages_each_counting_alike():
    random = np.random.default_rng(5)
    old = random.uniform(1, 3, (30, len(TAGS)))
    factor = np.array([1.1, 1.2, 0.9, 1.0, 1.0, 1.3])
    new = old * factor
    groups = {"worse": ("ar", "de", "tr"), "none": ("uk",), "one": ("fr", "uk")}
    table = compare(world(old, "a"), world(new, "b"), groups=groups).groups
    rows = {row["group"]: row for row in table.iter_rows(named=True)}
    assert list(rows) == [ALL_LANGUAGES, "worse", "none", "one"]
    for name, value, num in (
        (ALL_LANGUAGES, factor.mean() - 1, 6),
        ("worse", 0.2, 3),
        ("one", -0.1, 1),
    ):
        assert rows[name]["relative"] == pytest.approx(value, rel=1e-9)
        assert rows[name]["num_languages"] == num
        # Every document changed by the same factor: that says nothing of how others would.
        assert rows[name]["relative_upper"] - rows[name]["relative_lower"] == np.inf
    assert rows["none"]["num_languages"] == 0
    for name in ("relative", "relative_lower", "relative_upper", "gain", "lower", "upper"):
        assert rows["none"][name] is None


def test_the_interval_of_a_group_covers_the_truth():
    random = np.random.default_rng(6)
    covered, worlds = 0, 80
    for seed in range(worlds):
        old = np.full((40, len(TAGS)), 2.0)
        new = old + noise(random, 40)
        comparison = compare(
            world(old, "a"), world(new, "b"), num_resamples=300, seed=seed, groups={}
        )
        row = comparison.groups.row(0, named=True)
        assert row["group"] == ALL_LANGUAGES
        covered += row["lower"] <= 0 <= row["upper"]
    assert 0.88 <= covered / worlds < 1.0


def test_translations_are_resampled_together():
    # The same difference in all languages of a document: the mean over languages is as uncertain
    # as one language, not 1/√6 of it.
    values = np.repeat(np.random.default_rng(7).normal(size=(100, 1)), len(TAGS), axis=1)
    old = np.full_like(values, 10.0)
    comparison = compare(world(old, "a"), world(old + values, "b"), num_resamples=3000, groups={})
    row = comparison.groups.row(0, named=True)
    half = 1.96 * values[:, 0].std() / 10 / math.sqrt(100)
    assert row["relative_upper"] - row["relative_lower"] == pytest.approx(2 * half, rel=0.1)
    assert row["upper"] - row["lower"] == pytest.approx(20 * half, rel=0.1)
    unclustered = [
        ScoreTable(world(side, name).frame.with_columns(cluster=pl.col("item")))
        for side, name in ((old, "a"), (old + values, "b"))
    ]
    row = compare(*unclustered, num_resamples=3000, groups={}).groups.row(0, named=True)
    span = row["relative_upper"] - row["relative_lower"]
    assert span == pytest.approx(2 * half / math.sqrt(6), rel=0.1)


def test_equal_seeds_give_equal_tables_whatever_the_order_of_rows():
    random = np.random.default_rng(8)
    old = random.normal(3, 1, (20, len(TAGS)))
    before, after = world(old, "a"), world(old + noise(random, 20), "b")
    shuffled = [ScoreTable(t.frame.sample(fraction=1.0, shuffle=True, seed=1)) for t in
                (before, after)]  # fmt: skip
    first, second = compare(before, after, seed=3), compare(*shuffled, seed=3)
    for left, right in ((first.languages, second.languages), (first.cells, second.cells),
                        (first.groups, second.groups)):  # fmt: skip
        assert left.equals(right)
    assert not first.languages.equals(compare(before, after, seed=4).languages)


@pytest.mark.parametrize("num", [1, 3])
def test_fewer_than_four_documents_are_never_separable(num):
    old = np.full((num, 1), 2.0)
    comparison = compare(world(old, "a", tags=("de",)), world(old + 1, "b", tags=("de",)))
    row = comparison.languages.row(0, named=True)
    assert (row["difference"], row["verdict"]) == (1.0, "not separable")
    assert (row["lower"], row["upper"]) == (-math.inf, math.inf)
    assert row["items_needed"] is None
    assert "too few items for an interval" in comparison.sentence()
    assert comparison.to_json()["languages"][0]["lower"] is None
    # Beside a language with many documents, neither disturbs the other.
    many = world(np.full((30, 1), 2.0), "a", tags=("fr",))
    new = world(2.5 + noise(np.random.default_rng(9), 30, 1), "b", tags=("fr",))
    merged = compare(
        ScoreTable.concat([many, world(old, "a", tags=("de",))]),
        ScoreTable.concat([new, world(old + 1, "b", tags=("de",))]),
    )
    verdicts = dict(merged.languages.select("language", "verdict").rows())
    assert verdicts == {"de": "not separable", "fr": "paid"}


def test_the_sentence_says_who_paid_who_gained_and_what_is_open():
    random = np.random.default_rng(10)
    old = np.full((60, 4), 2.0)
    error = 0.02 * random.normal(size=old.shape)
    new = old + error - error.mean(axis=0) + np.array([0.2, 0.4, -0.1, 0.0])
    tags = ("de", "zh-Hant", "hi", "code")
    comparison = compare(world(old, "base", tags=tags), world(new, "merged", tags=tags))
    sentence = comparison.sentence()
    assert sentence.startswith(
        "merged against base: 2 of 4 languages paid, most Chinese (traditional) (-20.0 % bits, "
    )
    assert "; the worst of 4); 1 of 4 languages gained, most Hindi (+5.0 % bits, " in sentence
    assert "; 1 cannot be told apart at this number of items" in sentence
    assert "Mean over languages -6.2 % bits, " in sentence
    nobody = compare(world(old, "base", tags=tags), world(old, "same", tags=tags)).sentence()
    assert "nobody paid; nobody gained; 4 cannot be told apart" in nobody
    assert "no item changed. Mean over languages +0.0 % bits, no item changed (less" in nobody
    worse = compare(world(old, "base", tags=tags), world(new + 1, "bad", tags=tags)).sentence()
    assert "all 4 languages paid, most" in worse


def test_what_is_unmatched_or_invalid_is_left_out_and_counted():
    old = np.full((10, 1), 2.0)
    invalid = [[i == 0] for i in range(10)]
    before = world(old, "a", tags=("de",), invalid=invalid)
    after = world(old + 1, "b", tags=("de",))
    cut = ScoreTable(after.frame.filter(pl.col("item") != "de9"))
    row = compare(before, cut).languages.row(0, named=True)
    assert (row["items"], row["unmatched"], row["difference"]) == (8, 2, 1.0)


def test_what_cannot_be_compared_is_refused_with_the_reason():
    table = world(np.full((3, 6), 2.0), "a")
    with pytest.raises(InputError, match="no task has the metric 'bit' — did you mean bits"):
        compare(table, table, metrics=Metrics(names=("bit",)))
    with pytest.raises(InputError, match="share no item"):
        compare(table, ScoreTable(table.frame.with_columns(task=pl.lit("u@1"))))
    with pytest.raises(InputError, match="share no item"):
        compare(table, ScoreTable(table.frame.with_columns(item=pl.col("item") + "x")))
    settings = ScoreTable(table.frame.with_columns(settings=pl.lit("other")))
    with pytest.raises(InputError, match="scored with other settings"):
        compare(table, settings)
    assert compare(table, settings, allow_other_settings=True).languages.height == 6
    strange = ScoreTable(table.frame.with_columns(metric=pl.lit("oddness")))
    with pytest.raises(InputError, match="task 't@1' has no metric that is known: oddness"):
        compare(strange, strange)
    with pytest.raises(InputError, match="whether higher or lower is better is not known"):
        compare(strange, strange, metrics=Metrics(names=("oddness",)))
    metrics = Metrics(names=("oddness",), lower=("oddness",))
    assert compare(strange, strange, metrics=metrics).languages.height == 6


def halves(random, num, hurt_latin, hurt_rest):
    """Bits before and after of six languages; Latin script, Indo-European are de and fr."""
    before = 100 + 10 * random.normal(size=(num, 1)) + random.normal(size=(num, 6))
    change = np.array([hurt_rest, hurt_latin, hurt_latin, hurt_rest, hurt_rest, hurt_rest])
    return before, before * (1 + change) + 3 * noise(random, num)


def test_the_gap_between_the_halves_is_below_zero_where_the_second_pays_more():
    before, after = halves(np.random.default_rng(1), 80, 0.01, 0.03)
    comparison = compare(world(before, "a"), world(after, "b"))
    (row,) = comparison.gaps.iter_rows(named=True)
    by_group = {
        group_row["group"]: group_row["relative"]
        for group_row in comparison.groups.iter_rows(named=True)
    }
    assert (row["first"], row["second"]) == ("Latin script, Indo-European", "all other languages")
    assert row["relative"] == pytest.approx(
        by_group[row["first"]] - by_group[row["second"]]
    )  # bits: turned
    assert row["relative"] == pytest.approx(-0.02, abs=0.003)
    assert (row["verdict"], row["relative_upper"] < 0) == ("paid", True)
    # The standard error of the mean of what a document adds to the difference of the two means.
    means = before.mean(axis=0)
    share = (after - before - (after.sum(0) / before.sum(0) - 1) * before) / means
    contrast = share[:, [1, 2]].mean(axis=1) - share[:, [0, 3, 4, 5]].mean(axis=1)
    half = row["relative_upper"] - row["relative"]
    assert half / (contrast.std(ddof=1) / math.sqrt(80)) == pytest.approx(2.0, abs=0.12)
    # An accuracy that falls more in the second half is the same verdict.
    shares = compare(
        world(before, "a"), world(2 * before - after, "b"), metrics=Metrics(higher=("bits",))
    )
    assert shares.gaps["relative"][0] == pytest.approx(row["relative"])
    assert "gaps" in shares.to_json()


def test_the_gap_holds_95_of_100_times_and_needs_both_halves():
    covered = 0
    for number in range(100):
        before, after = halves(np.random.default_rng(number), 12, 0.01, 0.01)
        covered += compare(
            world(before, "a"), world(after, "b"), num_resamples=300
        ).gaps["verdict"][0] == "not separable"  # fmt: skip
    assert 0.88 <= covered / 100 < 1.0
    german = [
        world(part[:, :1], name, tags=("de",)) for part, name in ((before, "a"), (after, "b"))
    ]
    assert compare(*german).gaps.is_empty()
    assert compare(world(before, "a"), world(after, "b"), groups={"x": ["de"]}).gaps.is_empty()


def test_many_comparisons_are_stacked_with_the_names_of_each_pair_in_front():
    random = np.random.default_rng(3)
    tables = {name: world(noise(random, 12), name) for name in ("a", "b", "c")}
    pairs = [("a", "b", "first"), ("b", "c", "second")]
    compared = compare_many(tables, pairs, groups=lambda after: {after: ("de", "fr")}, seed=4)
    assert [pair.described()["what"] for pair in compared] == ["first", "second"]
    for kind in ("cells", "languages", "groups", "gaps"):
        stacked = stack_tables(compared, kind)
        assert stacked.columns[:3] == ["what", "before", "after"]
        for before, after, what in pairs:
            alone = compare(tables[before], tables[after], groups={after: ("de", "fr")}, seed=4)
            part = stacked.filter(what=what).drop("what", "before", "after")
            expected = getattr(alone, kind).rename(
                {"before": "score_before", "after": "score_after"}, strict=False
            )
            assert part.equals(expected)


def shares(name, values, metric="acc", tags=("de", "hi", "zh")):
    return ScoreTable.from_rows([
        {"checkpoint": name, "task": "t@1", "language": tag, "item": str(i), "metric": metric,
         "value": float(value)}
        for tag, row in zip(tags, values, strict=True) for i, value in enumerate(row)
    ])  # fmt: skip


@pytest.mark.parametrize("metric", ["acc", "chrf", "rouge1"])
def test_gains_of_few_items_have_width_and_stay_on_their_scale(metric):
    top = 100.0 if metric == "chrf" else 1.0
    random = np.random.default_rng(0)
    for num in (4, 5, 8):
        old, new = (top * random.integers(0, 2, (3, num)) for _ in range(2))
        old[0], new[0] = 0.0, top
        new[1] = old[1]
        table = compare(
            shares("a", old, metric), shares("b", new, metric), num_resamples=200
        )  # fmt: skip
        for frame in (table.cells, table.languages, table.groups):
            assert frame["lower"].min() >= -top
            assert frame["upper"].max() <= top
            assert (frame["upper"] - frame["lower"]).min() > 0.2 * top
            assert ((frame["lower"] <= frame["gain"]) & (frame["gain"] <= frame["upper"])).all()
    certain = compare(
        shares("a", np.zeros((3, 30)), metric), shares("b", np.full((3, 30), top), metric)
    )
    assert set(certain.languages["verdict"]) == {"gained"}


def test_a_relative_change_from_next_to_nothing_has_no_interval():
    old, new = np.zeros((3, 12)), np.zeros((3, 12))
    old[:, 0], new[:, :2], old[2] = 1, 1, 1
    table = compare(shares("a", old), shares("b", new), num_resamples=200)
    rows = {row["language"]: row for row in table.languages.iter_rows(named=True)}
    assert rows["de"]["relative"] == pytest.approx(1.0)
    assert rows["de"]["relative_upper"] == math.inf
    assert math.isfinite(rows["zh"]["relative_upper"])
    assert rows["zh"]["relative_lower"] >= -1
    assert table.gaps["relative_lower"].to_list() == [-math.inf]
    assert table.ledger.total("no interval of the relative change: A is not separable from 0") == 2


def test_the_order_is_that_of_what_is_printed_with_one_sign():
    # In bits the largest difference is German's, relative to the baseline it is Chinese's.
    old = np.array([[4.0], [2.0], [1.0]]) + 0.01 * np.random.default_rng(1).normal(size=(3, 30))
    new = old + np.array([[0.2], [0.02], [0.1]])
    table = compare(
        shares("a", old, "bits_per_byte"), shares("b", new, "bits_per_byte"), num_resamples=200
    )
    assert table.languages["gain"].arg_min() == 1
    assert table.languages["language"].to_list() == ["zh", "de", "hi"]
    assert table.languages["change"].is_sorted()
    assert (table.languages["change"] < 0).all()
    row = table.languages.row(0, named=True)
    bounds = f"{100 * row['change_lower']:+.1f} to {100 * row['change_upper']:+.1f}"
    assert f"most Chinese (-10.0 % bits per byte, {bounds}; the worst of 3)" in (table.sentence())
    assert format_change(row) == "-10.0 % bits per byte"


def test_where_no_item_changed_there_is_no_width_to_give():
    """A copy of a model: nothing is known of how much other items would change."""
    bits = world(np.full((60, 2), 2.0), "a", tags=("de", "hi"))
    same = compare(bits, ScoreTable(bits.frame.with_columns(checkpoint=pl.lit("b"))))
    for row in same.languages.iter_rows(named=True):
        assert (row["change"], row["verdict"]) == (0.0, "not separable")
        assert (row["change_lower"], row["change_upper"]) == (-math.inf, math.inf)
        assert (row["items_needed"], row["detectable"]) == (None, None)
    assert "+0.0 to +0.0" not in same.sentence()
    assert "Mean over languages +0.0 % bits, no item changed" in same.sentence()
    # On a scale there is one: of 60 items, some of the others may well change.
    right = bits.frame.with_columns(metric=pl.lit("acc"), value=pl.lit(1.0), chance=pl.lit(0.25))
    before = ScoreTable(right)
    after = ScoreTable(right.with_columns(checkpoint=pl.lit("b")))
    row = compare(before, after).languages.row(0, named=True)
    assert row["change_lower"] < -0.01
    assert row["change_upper"] > 0.01
