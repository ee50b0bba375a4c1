"""Rates with intervals by prompt, languages at once, and win rates at equal length."""

import numpy as np
import pytest
from scipy import stats

from polylect.judging import (
    AnswerPair,
    controlled_win_rate,
    outcome_table,
    significant_languages,
    style_differences,
    win_rate_table,
)
from polylect.judging.style_control import style_of_answer
from polylect.rows import Generated, Judgment, Verdict
from polylect.stats import cluster_bootstrap


def rows_of(values, languages=("de",), judge="j"):
    """Judgments whose outcome is 0 (A), 1 (B), 0.5 (a flip) or None, [prompts][languages]."""
    judgments = []
    for i, row in enumerate(values):
        for tag, value in zip(languages, row, strict=True):
            first = {0: "A", 1: "B", 0.5: "A", None: "INVALID"}[value]
            second = {0: "A", 1: "B", 0.5: "B", None: "B"}[value]
            for swapped, verdict in ((False, first), (True, second)):
                judgments.append(
                    Judgment(id=str(i), language=tag, model_a="a", model_b="b", judge=judge,
                             verdict=Verdict(verdict), swapped=swapped)
                )  # fmt: skip
    return judgments


def test_wins_ties_and_losses_stand_together():
    table = win_rate_table(outcome_table(rows_of([[1], [1], [0.5], [0], [None]])), "language")
    (row,) = table.iter_rows(named=True)
    assert (row["pairs"], row["invalid_pairs"]) == (5, 1)
    assert (row["wins"], row["ties"], row["losses"]) == (2, 1, 1)
    assert row["win_rate"] == 2.5 / 4
    assert (row["flip"], row["half"], row["tie"], row["invalid"]) == (0.25, 0, 0, 0.1)
    # Of eight decided verdicts: every clear pair has one for each place, the flip has two for the
    # first. What stands beside the unreadable one was read in one order alone.
    assert row["first"] == pytest.approx((3 + 2) / 8)


def test_nothing_valid_has_no_rate():
    outcomes = outcome_table(rows_of([[None], [None]]))
    (row,) = win_rate_table(outcomes, "judge").iter_rows(named=True)
    assert row["win_rate"] is row["lower"] is row["flip"] is row["first"] is None
    assert significant_languages(outcomes).is_empty()


def test_the_interval_is_of_prompts_with_all_their_translations():
    random = np.random.default_rng(1)
    tags = ("de", "tr", "ja")
    hard = random.random(80)
    values = [[float(random.random() < p) for _ in tags] for p in hard]
    (row,) = win_rate_table(outcome_table(rows_of(values, tags)), "judge").iter_rows(named=True)
    means = np.mean(values, axis=1)
    low, high = stats.t.interval(0.95, 79, means.mean(), means.std(ddof=1) / np.sqrt(80))
    # Of 80 prompts Student's interval of the prompts' means is near; Wilson's leans to a half.
    assert (row["lower"], row["upper"]) == pytest.approx((low, high), abs=0.005)
    assert row["num_prompts"] == 80
    # The bootstrap over prompts finds the same spread, the one over single pairs a smaller one.
    prompts, groups = np.repeat(np.arange(80), 3), np.zeros(240, int)
    drawn = cluster_bootstrap(np.ravel(values), prompts, groups, num_resamples=4000)[:, 0]
    assert drawn.std() == pytest.approx((high - low) / 2 / stats.t.ppf(0.975, 79), rel=0.06)
    alone = cluster_bootstrap(np.ravel(values), np.arange(240), groups, num_resamples=4000)[:, 0]
    assert alone.std() < 0.85 * drawn.std()


def test_the_bootstrap_keeps_groups_apart():
    values = np.array([1.0, 0, 1, 1, 0, 0])
    drawn = cluster_bootstrap(values, np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1] * 3),
                                num_resamples=20_000)  # fmt: skip
    assert drawn.mean(axis=0) == pytest.approx([2 / 3, 1 / 3], abs=0.01)
    # Multinomial draws of 3 prompts: variance of a mean of three 0/1 values, p (1 - p) / 3.
    assert drawn.var(axis=0) == pytest.approx([2 / 27, 2 / 27], rel=0.05)


def test_languages_are_decided_all_at_once():
    random = np.random.default_rng(2)
    tags = ("de", "tr", "ja", "ar", "hi", "ko")
    share = np.array([0.5, 0.8, 0.5, 0.2, 0.5, 0.5])
    table = significant_languages(
        outcome_table(rows_of((random.random((150, 6)) < share).astype(float), tags))
    )
    by_language = {row["language"]: row for row in table.iter_rows(named=True)}
    assert (by_language["tr"]["verdict"], by_language["ar"]["verdict"]) == ("B", "A")
    assert all(row["lower"] <= row["win_rate"] <= row["upper"] for row in by_language.values())
    # With no difference anywhere, a false one among six comes in at most five of a hundred.
    wrong = 0
    for i in range(200):
        values = (np.random.default_rng(i).random((60, 6)) < 0.5).astype(float)
        wrong += (
            significant_languages(outcome_table(rows_of(values, tags)))["verdict"] != "open"
        ).any()
    assert wrong <= stats.binom.ppf(0.999, 200, 0.05)


def test_one_prompt_decides_nothing_and_equal_verdicts_are_no_certainty():
    assert significant_languages(outcome_table(rows_of([[1]])))["verdict"].to_list() == ["open"]
    (row,) = significant_languages(outcome_table(rows_of([[1]] * 6))).iter_rows(named=True)
    assert row["lower"] < 0.99


@pytest.mark.parametrize(
    "values", [[0.5, 0.5, 0, 0.5, 0, 0, 0.5, 0], [0.25] * 8, [1, 1, 1], [0], [0.5] * 8]
)
def test_few_pairs_have_an_interval_with_width_inside_the_scale(values):
    values = [0.5 if value == 0.25 else value for value in values]
    outcomes = outcome_table(rows_of([[value] for value in values]))
    (row,) = win_rate_table(outcomes, "judge").iter_rows(named=True)
    (at_once,) = significant_languages(outcomes).iter_rows(named=True)
    for bounds in (row, at_once):
        assert 0 <= bounds["lower"] <= row["win_rate"] <= bounds["upper"] <= 1
        assert bounds["upper"] - bounds["lower"] > 0.15
    assert at_once["lower"] <= row["lower"]
    assert at_once["upper"] >= row["upper"]


def test_ties_narrow_the_interval_and_do_not_close_it():
    widths = []
    for num_ties in (0, 60, 100):
        values = [[0.5]] * num_ties + [[float(i % 2)] for i in range(100 - num_ties)]
        (row,) = win_rate_table(outcome_table(rows_of(values)), "judge").iter_rows(named=True)
        widths.append(row["upper"] - row["lower"])
    assert widths == sorted(widths, reverse=True)
    # Of 100 ties the rule of three leaves 3 % of decisive verdicts, so 1.5 points to either side.
    assert widths[2] == pytest.approx(0.03, rel=0.2)


def test_one_order_alone_shows_no_liking_for_the_first_place():
    rows = [row for row in rows_of([[0], [0], [0], [1]]) if not row.swapped]
    (row,) = win_rate_table(outcome_table(rows), "judge").iter_rows(named=True)
    assert row["first"] is None
    both = [*rows, *[row for row in rows_of([[0]] * 4) if row.swapped]]
    (row,) = win_rate_table(outcome_table(both), "judge").iter_rows(named=True)
    assert row["first"] == pytest.approx(3 / 8)


def test_decoration_is_counted_outside_of_code():
    text = "# Title\n\n- one **bold** word\n2. two\n\n```\n# no title\n- no item\n```\nend __too__"
    assert style_of_answer(text, len) == (len(text), 1, 2, 2)
    assert style_of_answer("", len) == (0, 0, 0, 0)


def answer(text, id_):
    return Generated(id=id_, language="de", sample=0, model="m", answer=text)


def test_a_win_that_is_only_length_goes_away_at_equal_length():
    random = np.random.default_rng(3)
    pairs, values = [], []
    for i in range(1200):
        lengths = random.integers(20, 200), random.integers(60, 260)
        pairs.append(AnswerPair(*[answer("x" * n, str(i)) for n in lengths]))
        longer = (lengths[1] - lengths[0]) / sum(lengths)
        values.append([float(random.random() < 1 / (1 + np.exp(-4 * longer)))])
    outcomes = outcome_table(rows_of(values))
    features = style_differences(pairs, len)
    assert np.all(features[:, 1:] == 0)
    (uncontrolled,) = win_rate_table(outcomes, "judge").iter_rows(named=True)
    assert uncontrolled["lower"] > 0.6
    # Features that never differ are left out.
    equal_length = controlled_win_rate(outcomes, features)
    assert equal_length.features == ("length",)
    assert equal_length.lower < 0.5 < equal_length.upper
    assert 0.4 < equal_length.win_rate < 0.6
    assert equal_length.upper - equal_length.lower < 0.2
    hopeless = controlled_win_rate(
        outcome_table(rows_of([[1]] * 30)), np.ones((30, 1)), ("length",)
    )
    assert hopeless.problem
    assert np.isnan(hopeless.win_rate)
