import math
import os

import numpy as np
import polars as pl
import pytest

from polylect.base import InputError
from polylect.rows import ScoreTable


def table(values, *, checkpoint="m", language="de", weights=None, clusters=None, **columns):
    rows = []
    for i, value in enumerate(values):
        row = {
            "checkpoint": checkpoint, "task": "t@1", "language": language, "item": f"{i:05d}",
            "metric": "bits", "value": float(value),
        }  # fmt: skip
        if weights is not None:
            row["weight"] = float(weights[i])
        if clusters is not None:
            row["cluster"] = str(clusters[i])
        rows.append(row | {name: column[i] for name, column in columns.items()})
    return ScoreTable.from_rows(rows)


def test_by_is_the_weighted_mean_of_valid_rows():
    random = np.random.default_rng(0)
    tables, expected = [], {}
    for language in ("de", "fr", "hi"):
        values, weights = random.normal(size=40), random.uniform(0.1, 5, 40)
        invalid = random.random(40) < 0.3
        tables.append(
            table(values, language=language, weights=weights, invalid=[bool(x) for x in invalid])
        )
        mean = np.average(values[~invalid], weights=weights[~invalid])
        expected[language] = (mean, int((~invalid).sum()), int(invalid.sum()))
    result = ScoreTable.concat(tables).by("language")
    assert result["language"].to_list() == ["de", "fr", "hi"]
    for language, value, items, invalid in result.rows():
        assert value == pytest.approx(expected[language][0], rel=1e-12)
        assert (items, invalid) == expected[language][1:]


def test_invalid_is_never_averaged_whatever_its_value():
    for poison in (1e300, math.nan):
        result = table([1.0, 2.0, poison], invalid=[False, False, True]).by("language")
        assert result.select("value", "items", "invalid").row(0) == (1.5, 2, 1)
    before = table([1.0, 2.0, 9.0], invalid=[False, False, True])
    after = table([1.5, 2.5, 0.0], checkpoint="n")
    assert before.paired(after, "language").select("difference", "items", "unmatched").row(0) == (
        0.5, 2, 1,
    )  # fmt: skip
    bounds, without = before.interval("language"), table([1.0, 2.0]).interval("language")
    assert bounds.select("lower", "upper").equals(without.select("lower", "upper"))


def test_a_group_with_nothing_valid_has_no_value_and_no_interval():
    both = ScoreTable.concat([table([1.0]), table([2.0], language="fr", invalid=[True])])
    result = both.interval("language")
    row = result.filter(pl.col("language") == "fr").row(0, named=True)
    assert (row["items"], row["invalid"]) == (0, 1)
    assert row["value"] is None or math.isnan(row["value"])
    assert row["lower"] is None
    assert row["upper"] is None


def test_the_interval_of_a_mean_is_the_normal_one_for_many_items():
    values = np.random.default_rng(1).normal(3, 2, 2000)
    result = table(values).interval("language").row(0, named=True)
    half = 1.959964 * values.std() / math.sqrt(len(values))
    # The error of a bootstrap quantile at 2000 draws is about 3 % of a half-width.
    assert result["value"] == pytest.approx(values.mean(), rel=1e-12)
    assert result["lower"] == pytest.approx(values.mean() - half, abs=0.12 * half)
    assert result["upper"] == pytest.approx(values.mean() + half, abs=0.12 * half)
    narrow = table(values).interval("language", level=0.5).row(0, named=True)
    assert narrow["upper"] - narrow["lower"] == pytest.approx(2 * half * 0.67449 / 1.95996, rel=0.1)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    # 400 worlds as the languages of one table; percentile intervals at 40 items cover about 94 %.
    random = np.random.default_rng(2)
    worlds = ScoreTable.concat(
        [table(random.exponential(1.0, 40), task=[f"w{i}@1"] * 40) for i in range(400)]
    )
    result = worlds.interval("task")
    covered = ((result["lower"] <= 1.0) & (result["upper"] >= 1.0)).mean()
    assert 0.89 <= covered <= 0.97


def test_clusters_are_resampled_whole():
    # 50 clusters of 20 equal values: the interval is that of 50 values, not of 1000.
    values = np.random.default_rng(3).normal(0, 1, 50)
    repeated, names = np.repeat(values, 20), np.repeat(np.arange(50), 20)
    clustered = table(repeated, clusters=names).interval("language")
    single = table(values).interval("language")
    naive = table(repeated).interval("language")

    def width(frame):
        return frame["upper"][0] - frame["lower"][0]

    assert width(clustered) == pytest.approx(width(single), rel=0.12)
    assert width(naive) == pytest.approx(width(single) / math.sqrt(20), rel=0.12)


def test_intervals_do_not_follow_the_order_of_rows():
    scores = table(np.random.default_rng(4).normal(size=60), clusters=np.arange(60) // 3)
    other = ScoreTable(scores.frame.sample(fraction=1.0, shuffle=True, seed=1))
    assert (
        scores.interval("language")
        .select("lower", "upper")
        .equals(other.interval("language").select("lower", "upper"))
    )


@pytest.mark.parametrize("num", [3, 5, 10, 20])
def test_the_interval_holds_however_few_clusters_there_are(num):
    # A percentile bootstrap of 5 values covers 83 %. 1,000 worlds: a standard error of 0.7 %.
    random = np.random.default_rng(num)
    worlds = ScoreTable.concat(
        [table(random.normal(1, 1, num), task=[f"w{i}@1"] * num) for i in range(1000)]
    )
    result = worlds.interval("task")
    covered = ((result["lower"] <= 1.0) & (result["upper"] >= 1.0)).mean()
    assert 0.925 <= covered <= 0.972
    zero = ScoreTable(worlds.frame.with_columns(checkpoint=pl.lit("n"), value=pl.lit(0.0)))
    paired = zero.paired(ScoreTable(worlds.frame.with_columns(checkpoint=pl.lit("m"))), "task")
    covered = ((paired["lower"] <= 1.0) & (paired["upper"] >= 1.0)).mean()
    assert 0.925 <= covered <= 0.972


def test_the_interval_is_students_in_closed_form():
    from scipy import stats

    values = np.random.default_rng(14).normal(2, 3, 7)
    row = table(values).interval("language", level=0.9).row(0, named=True)
    low, high = stats.t.interval(0.9, 6, values.mean(), stats.sem(values))
    assert (row["lower"], row["upper"]) == pytest.approx((low, high), rel=1e-12)
    single = table([1.0]).interval("language").row(0, named=True)
    assert (single["lower"], single["upper"]) == (-math.inf, math.inf)


def test_paired_is_the_weighted_difference_on_matched_items():
    random = np.random.default_rng(5)
    old, new, weight = random.normal(size=30), random.normal(size=30), random.uniform(1, 3, 30)
    before, after = table(old, weights=weight), table(new, checkpoint="n", weights=weight)
    cut = ScoreTable(after.frame.filter(pl.col("item") >= "00010"))
    result = before.paired(cut, "language").row(0, named=True)
    assert result["before"] == pytest.approx(np.average(old[10:], weights=weight[10:]), rel=1e-12)
    assert result["after"] == pytest.approx(np.average(new[10:], weights=weight[10:]), rel=1e-12)
    expected = np.average((new - old)[10:], weights=weight[10:])
    assert result["difference"] == pytest.approx(expected, rel=1e-9)
    assert (result["items"], result["unmatched"]) == (20, 10)
    back = cut.paired(before, "language").row(0, named=True)
    assert back["difference"] == pytest.approx(-result["difference"], rel=1e-12)
    assert back["unmatched"] == 10


def test_pairing_takes_out_what_makes_an_item_hard():
    random = np.random.default_rng(6)
    hard, noise = random.normal(0, 10, 200), random.normal(0.1, 0.1, 200)
    result = table(hard).paired(table(hard + noise, checkpoint="n"), "language")
    half = 1.96 * noise.std() / math.sqrt(200)
    assert result["upper"][0] - result["lower"][0] == pytest.approx(2 * half, rel=0.15)
    assert result["lower"][0] > 0


def test_other_settings_are_refused_unless_allowed():
    before = table([1.0, 2.0], settings=["a", "a"])
    after = table([1.0, 3.0], checkpoint="n", settings=["a", "b"])
    with pytest.raises(InputError, match=r"1 of 2 items were scored with other settings.*'t@1'"):
        before.paired(after, "language")
    result = before.paired(after, "language", allow_other_settings=True)
    assert result["difference"][0] == 0.5


def test_what_cannot_be_paired_is_said():
    spelled = [["prompt=1 doc=2"] * 2, ["prompt=1 doc=3"] * 2]
    sides = [table([1.0, 2.0], checkpoint="m", settings=spelled[0]),
             table([1.0, 2.0], checkpoint="n", settings=spelled[1])]  # fmt: skip
    with pytest.raises(InputError, match=r"first: task 't@1'; another doc\)"):
        sides[0].paired(sides[1], "language")
    heavy = table([1.0, 2.0], checkpoint="n", weights=[1, 2], settings=spelled[0])
    with pytest.raises(InputError, match=r"another weight\)"):
        sides[0].paired(heavy, "language")
    with pytest.raises(InputError, match="share no item"):
        table([1.0]).paired(table([1.0], checkpoint="n", language="fr"), "language")
    mixed = ScoreTable.concat([table([1.0]), table([1.0], checkpoint="n")])
    with pytest.raises(InputError, match=r"one checkpoint a side, found \['m', 'n'\]"):
        mixed.paired(table([1.0]), "language")


def test_an_item_that_is_there_twice_is_the_users_mistake():
    twice = ScoreTable.concat([table([1.0, 2.0]), table([1.0])])
    for pair in ((twice, table([1.0], checkpoint="n")), (table([1.0], checkpoint="n"), twice)):
        with pytest.raises(InputError, match="item '00000' of task 't@1' is there more than once"):
            pair[0].paired(pair[1], "language")


def test_a_group_that_only_one_side_has_is_counted_not_lost():
    before = ScoreTable.concat([table([1.0, 2.0]), table([3.0], language="fr")])
    result = before.paired(table([1.5, 2.5], checkpoint="n"), "language")
    assert result.select("language", "difference", "items", "unmatched").rows() == [
        ("de", 0.5, 2, 0),
        ("fr", None, 0, 1),
    ]


def test_file_round_trip_and_equal_bytes_for_shuffled_rows(tmp_path):
    parts = [
        table(np.arange(50), language=language, checkpoint=name)
        for language in ("de", "fr")
        for name in ("m", "n")
    ]
    whole = ScoreTable.concat(parts)
    for seed, name in enumerate(("a", "b", "c")):
        shuffled = ScoreTable(whole.frame.sample(fraction=1.0, shuffle=True, seed=seed))
        shuffled.write(tmp_path / f"{name}.parquet")
        assert shuffled.digest == whole.digest
    files = {(tmp_path / f"{name}.parquet").read_bytes() for name in "abc"}
    assert len(files) == 1
    again = ScoreTable.read(tmp_path / "a.parquet")
    assert again.digest == whole.digest
    assert again.frame.equals(whole.frame.sort("checkpoint", "task", "language", "group", "item"))
    assert len(os.listdir(tmp_path)) == 3
    other = ScoreTable(whole.frame.with_columns(value=pl.col("value") + 1e-12))
    assert other.digest != whole.digest


def test_a_digest_of_an_invalid_row_without_a_number():
    assert table([math.nan], invalid=[True]).digest != table([0.0], invalid=[True]).digest


def test_files_that_are_no_score_table(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        ScoreTable.read(tmp_path / "none.parquet")
    (tmp_path / "x.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(InputError, match="not a whole Parquet file") as caught:
        ScoreTable.read(tmp_path / "x.parquet")
    assert "\n" not in str(caught.value)
    table([1.0]).frame.drop("metric").write_parquet(tmp_path / "y.parquet")
    with pytest.raises(InputError, match=r"not a score table: no column .metric."):
        ScoreTable.read(tmp_path / "y.parquet")


def test_only_keeps_the_rows_asked_for():
    both = ScoreTable.concat(
        [table([1.0]), table([2.0], language="fr"), table([3.0], language="hi")]
    )
    assert both.only(language="fr").frame["value"].to_list() == [2.0]
    assert both.only(language=["de", "hi"], checkpoint="m").frame["value"].to_list() == [1.0, 3.0]
    assert both.only(language="xx").frame.height == 0
