"""Reading verdicts, two orders into one, agreement, and arena-hard's own rules."""

import itertools
import json

import numpy as np
import polars as pl
import pytest
from scipy import stats

from polylect.base import InputError, Ledger
from polylect.judging import (
    PRESETS,
    arena_points,
    combine_verdicts,
    find_preset,
    interval_over_prompts,
    interval_over_rows,
    is_arena_file,
    outcome_table,
    read_arena_games,
    verdict_agreement,
)
from polylect.judging.arena_hard import NO_VERDICT
from polylect.judging.readings import read_label, read_preferred
from polylect.rows import Judgment, Verdict
from polylect.stats import cohen_kappa, krippendorff_alpha

A, B, TIE, BAD, INVALID = Verdict


def judgment(id_="1", verdict=A, swapped=False, judge="j", language="de", **more):
    return Judgment(
        id=id_, language=language, model_a="base", model_b="new", verdict=verdict, judge=judge,
        swapped=swapped, **more,
    )  # fmt: skip


@pytest.mark.parametrize(("first", "second"), list(itertools.product(Verdict, Verdict)))
def test_a_win_needs_both_orders_and_a_flip_is_a_tie(first, second):
    verdict, flip, half = combine_verdicts([first, second])
    assert (verdict, flip, half) == combine_verdicts([second, first])
    if INVALID in (first, second):
        assert (verdict, flip, half) == (INVALID, False, False)
    elif {first, second} == {A, B}:
        assert (verdict, flip, half) == (TIE, True, False)
    elif first == second or {first, second} <= {TIE, BAD}:
        assert (verdict, flip, half) == (TIE if first is BAD else first, False, False)
    else:
        assert (verdict, flip, half) == (TIE, False, True)
    assert combine_verdicts([first])[0] == (TIE if first is BAD else first)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("Comparison: B is wrong.\nPreferred: Answer (A)", A),
        ("Comparison: fine\nPreferred: 'Answer (B)'", B),
        ("Comparison: x\n**Preferred:** TIE", TIE),
        ("preferred: answer ( b )", B),
        ("Preferred: Answer (A)\nNo.\nPreferred: Answer (B)", B),
        ("Answer (A) is preferred", INVALID),
        ("Preferred: neither", INVALID),
        ("", INVALID),
    ],
)
def test_the_last_preferred_line_counts(answer, verdict):
    assert read_preferred(answer) == (verdict, False)


def test_labels_are_those_of_arena_hard():
    points = {
        "A>B": [1], "A>>B": [1] * 3, "A=B": [0.5], "A<<B": [0] * 3, "A<B": [0], "B>A": [0],
        "B>>A": [0] * 3, "B=A": [0.5], "B<<A": [1] * 3, "B<A": [1],
    }  # fmt: skip
    for label, expected in points.items():
        verdict, strong = read_label(f"At first [[B>A]].\nVerdict: [[{label.lower()}]].")
        assert {A: 1, B: 0, TIE: 0.5}[verdict] == expected[0]
        assert strong == (len(expected) == 3)
    assert read_label("[[A>>>B]]")[0] is read_label("A>B")[0] is INVALID


def test_placeholders_in_answers_are_not_replaced():
    for preset in PRESETS.values():
        system, user = preset.messages(
            "tr", "write {second} {x}", "first {prompt}", "zwei {language}"
        )
        assert user.count("write {second} {x}") == 1
        assert user.index("first {prompt}") < user.index("zwei {language}")
        assert ("Turkish" in system) == (not preset.name.startswith("arena-hard"))
    with pytest.raises(InputError, match="did you mean m-arena-hard"):
        find_preset("marena-hard")


def test_outcomes_count_verdicts_and_the_position_they_prefer():
    rows = [
        judgment("1", A), judgment("1", A, True),  # first place, then second
        judgment("2", A), judgment("2", B, True),  # whatever is first: a flip
        judgment("3", TIE), judgment("3", B, True),
        judgment("4", INVALID, abstained=True), judgment("4", B, True),
        judgment("5", BAD, judge="person"),
    ]  # fmt: skip
    outcomes = outcome_table(rows)
    assert outcomes["verdict"].to_list() == ["A", "TIE", "TIE", "INVALID", "TIE"]
    assert outcomes["value"].to_list() == [0.0, 0.5, 0.5, None, 0.5]
    assert outcomes["flip"].to_list() == [False, True, False, False, False]
    assert outcomes["half"].to_list() == [False, False, True, False, False]
    assert outcomes["first"].to_list() == [1, 2, 1, 1, 0]
    assert outcomes["decided"].to_list() == [2, 2, 1, 1, 0]
    assert outcomes["verdicts"].to_list() == [2, 2, 2, 2, 1]
    assert outcomes["abstained"].to_list() == [0, 0, 0, 1, 0]
    with pytest.raises(InputError, match="twice in one order"):
        outcome_table([judgment(), judgment()])


def test_nominal_alpha_of_krippendorffs_example():
    # Krippendorff 2011, section C: four observers, twelve units, some not judged; alpha 0.743.
    text = """1 2 3 3 2 1 4 1 2 . . .
              1 2 3 3 2 2 4 1 2 5 . 3
              . 3 3 3 2 3 4 2 2 5 1 .
              1 2 3 3 2 4 4 1 2 5 1 ."""
    rows = [line.split() for line in text.splitlines()]
    cases = [[value for value in unit if value != "."] for unit in zip(*rows, strict=True)]
    assert krippendorff_alpha(cases) == pytest.approx(0.743, abs=5e-4)


def test_agreement_follows_its_definition():
    random = np.random.default_rng(0)
    cases = [random.choice(["A", "B", "T"], random.integers(1, 5)).tolist() for _ in range(60)]
    judged = [case for case in cases if len(case) > 1]
    everything = [label for case in judged for label in case]
    total = len(everything)
    # In the words of the paper: observed over expected disagreement, pair by pair.
    observed = (
        sum(
            sum(x != y for x, y in itertools.permutations(case, 2)) / (len(case) - 1)
            for case in judged
        )
        / total
    )
    expected = sum(x != y for x, y in itertools.permutations(everything, 2)) / (total * (total - 1))
    assert krippendorff_alpha(cases) == pytest.approx(1 - observed / expected, abs=1e-12)
    # Cohen 1960, table of his first example: kappa 0.429 (of three categories).
    table = [[88, 14, 18], [10, 40, 10], [2, 6, 12]]
    pairs = [(i, k) for i in range(3) for k in range(3) for _ in range(table[i][k])]
    assert cohen_kappa(*zip(*pairs, strict=True)) == pytest.approx((0.70 - 0.41) / 0.59, abs=1e-12)
    assert np.isnan(cohen_kappa(["A"], ["A"]))
    assert np.isnan(krippendorff_alpha([["A", "A"], ["B"]]))
    assert krippendorff_alpha([["A", "B"]] * 4) < 0


def test_agreement_by_language_leaves_invalid_verdicts_out():
    rows = []
    for i, (x, y) in enumerate([(A, A), (A, B), (B, B), (TIE, TIE), (INVALID, A)]):
        rows += [judgment(str(i), x, judge="x"), judgment(str(i), y, judge="y")]
    rows.append(judgment("0", A, judge="z", language="tr"))
    table = verdict_agreement(outcome_table(rows), "language")
    (row,) = table.filter(pl.col("judges") == "x · y", language="de").iter_rows(named=True)
    assert (row["cases"], row["equal"]) == (4, 0.75)
    assert row["kappa"] == pytest.approx(cohen_kappa("AABT", "ABBT"))
    everyone = table.filter(pl.col("judges") == "all", language="de")
    assert everyone["kappa"][0] == pytest.approx(krippendorff_alpha(["AA", "AB", "BB", "TT", "A"]))
    assert table.filter(pl.col("judges") == "x · z")["cases"].sum() == 0


LABELS = ["A>>B", "A>B", "A=B", "B>A", "B>>A", "A<B", "B<<A"]


def games(path, num=200, seed=0, null=3):
    random = np.random.default_rng(seed)
    rows = []
    for i in range(num):
        scores = [str(label) for label in random.choice(LABELS, 2)]
        both_games = [{"score": label, "judgment": {"answer": f"[[{label}]]"}} for label in scores]
        if i < null:
            both_games[i % 2] = None if i else {"score": None}
        rows.append({"uid": f"u{i}", "category": "hard_prompt", "judge": "j", "model": f"m{i % 2}",
                     "baseline": "o3", "games": both_games})  # fmt: skip
    path.write_text("".join(json.dumps(label) + "\n" for label in rows))
    return rows


def test_the_score_equals_arena_hards(tmp_path):
    rows, ledger = games(tmp_path / "m.jsonl"), Ledger()
    assert is_arena_file(tmp_path / "m.jsonl")
    by_model = read_arena_games(tmp_path / "m.jsonl", ledger)
    assert [games_of_model.model for games_of_model in by_model] == ["m0", "m1"]
    assert ledger.total(NO_VERDICT) == 3
    # Its show_result.py in plain words: rows repeated by weight, the second game as it is.
    points = {"A": 1.0, "B": 0.0}
    for games_of_model in by_model:
        expected = []
        for row in rows:
            labels = [game and game["score"] for game in row["games"]]
            if row["model"] != games_of_model.model or None in labels:
                continue
            for game, label in ((1, labels[1]), (0, labels[0])):
                better = label[0] if ">" in label else label[-1] if "<" in label else None
                value = 0.5 if better is None else points[better]
                value = value if game else 1 - value
                expected += [value] * (3 if len(label) == 4 else 1)
        flat = [value for points_of_prompt in games_of_model.points for value in points_of_prompt]
        assert flat == expected
        assert games_of_model.score == pytest.approx(sum(expected) / len(expected), abs=1e-9)
        assert interval_over_prompts(games_of_model.points).score == pytest.approx(
            games_of_model.score, abs=1e-12
        )
        assert interval_over_rows(games_of_model.points).score == pytest.approx(
            games_of_model.score, abs=1e-12
        )


def test_our_judgments_score_like_arena_hards_games():
    # Baseline first and A>>B: the baseline won clearly. Model first and A>B: the model won.
    first = judgment("1", A, strong=True)
    second = judgment("1", B, True)
    assert sorted(arena_points(second, first)) == [0, 0, 0, 1]
    assert arena_points(judgment("1", TIE), judgment("1", B, True, strong=True)) == (1, 1, 1, 0.5)


def test_a_broken_file_of_games_is_refused_by_line(tmp_path):
    path = tmp_path / "g.jsonl"
    good = '{"uid": "1", "model": "m", "games": [{"score": "A>B"}, {"score": "A=B"}]}\n'
    for bad, words in (
        ('{"uid": "2", "model": "m", "games": []}', ":2: not arena-hard's format"),
        (good.replace("A=B", "A?B").replace('"1"', '"2"'), ":2: no label 'A?B'"),
        (good, ":2: prompt '1' is there already"),
    ):
        path.write_text(good + bad)
        with pytest.raises(InputError) as error:
            read_arena_games(path, Ledger())
        assert words in str(error.value)


def simulate(random, num_prompts=200):
    """Rows of arena-hard's score where prompts differ in who answers them better."""
    leaning = random.normal(0.3, 1.5, num_prompts)
    points = []
    for lean in leaning:
        rows = []
        for _ in range(2):
            x = lean + random.normal(0, 0.7)
            value = 0.5 if abs(x) < 0.3 else float(x > 0)
            rows += [value] * (3 if abs(x) > 1.2 else 1)
        points.append(tuple(rows))
    return points


def test_an_interval_over_prompts_covers_and_one_over_rows_does_not():
    random = np.random.default_rng(11)
    pool = simulate(random, 200_000)
    truth = sum(map(sum, pool)) / sum(map(len, pool))
    ours = theirs = 0
    num = 500
    for i in range(num):
        points = simulate(random)
        over_prompts, over_rows = (
            interval_over_prompts(points),
            interval_over_rows(points, level=0.95, seed=i),
        )
        ours += over_prompts.lower <= truth <= over_prompts.upper
        theirs += over_rows.lower <= truth <= over_rows.upper
    low, high = stats.binom.ppf([0.001, 0.999], num, 0.95)
    assert low <= ours <= high
    assert theirs / num < 0.85
