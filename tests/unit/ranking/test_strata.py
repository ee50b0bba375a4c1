import numpy as np
import pytest
from scipy.special import expit

from polylect.base import InputError, UndecidableError
from polylect.ranking import PairCounts, combine_strata, fit_bradley_terry, fit_strata

ELO = np.log(10) / 400
# The paper's "changing task mix", parameters that reproduce its rank moves (research notes, 1.6).
TASK_1 = np.array([1450.0, 1050.0, 1200.0, 1100.0]) * ELO
TASK_2 = np.array([1000.0, 1350.0, 950.0, 1100.0]) * ELO


def expected(strength, without=()):
    pairs = [(i, j) for i in range(4) for j in range(i + 1, 4) if not {i, j} & set(without)]
    first, second = np.array(pairs).T
    win = expit(strength[first] - strength[second]) * 1000 / len(pairs)
    lose = 1000 / len(pairs) - win
    zero = np.zeros(len(pairs))
    return PairCounts(tuple("ABCD"), first, second, np.column_stack([win, lose, zero, zero]))


def names(ratings):
    return "".join(ratings.models[i] for i in ratings.order)


def test_retiring_a_model_turns_the_board_and_strata_turn_it_back():
    full = expected(TASK_1).merged(expected(TASK_2))
    retired = expected(TASK_1).merged(expected(TASK_2, without=[3]))
    assert names(fit_bradley_terry(full)) == "ABDC"
    assert names(fit_bradley_terry(retired)) == "BACD"
    ratings = fit_strata({"1": expected(TASK_1), "2": expected(TASK_2, [3]).restricted("ABC")})
    board = combine_strata(ratings, {"1": 1.0, "2": 1.0})
    assert names(board) == "ABC"
    truth = ((TASK_1 + TASK_2) / 2)[:3]
    assert board.strength == pytest.approx(truth - truth.mean(), abs=1e-9)


def test_covariances_add_and_are_centered():
    ratings = fit_strata({"1": expected(TASK_1), "2": expected(TASK_2)})
    board = combine_strata(ratings, {"1": 3.0, "2": 1.0})
    average = 0.75**2 * ratings["1"].covariance + 0.25**2 * ratings["2"].covariance
    assert board.covariance == pytest.approx(average, abs=1e-12)
    assert "shares 1 0.75, 2 0.25" in board.method


def test_missing_shares_and_disjoint_strata_are_refused():
    ratings = fit_strata({"1": expected(TASK_1), "2": expected(TASK_2)})
    with pytest.raises(InputError, match="stratum '2' has no share"):
        combine_strata(ratings, {"1": 1.0})
    with pytest.raises(InputError, match="all shares are zero"):
        combine_strata(ratings, {"1": 0.0, "2": 0.0})
    apart = fit_strata(
        {"1": expected(TASK_1).restricted("AB"), "2": expected(TASK_2).restricted("CD")}
    )
    with pytest.raises(UndecidableError, match="0 models are rated in all of 2 strata"):
        combine_strata(apart, {"1": 1.0, "2": 1.0})


def test_a_stratum_keeps_its_finite_core():
    counts = PairCounts.from_cells(["a", "b", "top"], [0, 1, 2], [1, 0, 0], [0, 0, 0])
    lonely = PairCounts.from_cells(["a", "b"], [0], [1], [0])
    ratings = fit_strata({"de": counts, "ar": lonely})
    assert list(ratings) == ["de"]
    assert ratings["de"].models == ("a", "b")
    assert ratings["de"].stratum == "de"
