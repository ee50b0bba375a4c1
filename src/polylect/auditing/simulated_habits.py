"""Habits of simulated honest voters, on top of the real counts of a board."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polylect.base import check_known
from polylect.ranking import FloatArray, IntArray

TIES = ("usual", "never", "coin", "often", "close")
_A, _B, _TIE, _BOTH_BAD = range(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """What an honest voter does otherwise than everybody; several habits go together.

    Attributes:
        ties: ``usual``; ``never`` (ties are left to others: of the votes that everybody casts on
            the pair only decisive ones remain); ``coin`` (would-be ties are decided by a coin);
            ``often`` (of every two decisive votes one becomes a tie); ``close`` (models whose
            ratings are less than 120 Elo points apart, odds of 2 : 1, are tied).
        both_bad: whether the voter ever says that both are bad.
        side: share of votes that go to side A unread.
        tires: share of votes cast at random by the last vote; it grows from 0 with every vote.
        tires_to_side: the same, but tired votes go to side A.
        fashion: share of votes that go to the higher rated of the two unread.
        known: share of votes that go to the better known (more battles) of the two unread.
        underdog: share of votes that go to the lower rated of the two unread.
        unknown: share of votes that go to the less known of the two unread.
        language: standard deviation, in log-odds, of what the models' strengths are different by
            in the voter's language.
    """

    ties: str = "usual"
    both_bad: bool = True
    side: float = 0.0
    tires: float = 0.0
    tires_to_side: float = 0.0
    fashion: float = 0.0
    known: float = 0.0
    underdog: float = 0.0
    unknown: float = 0.0
    language: float = 0.0

    def __post_init__(self) -> None:
        check_known(self.ties, TIES, f"unknown ties {self.ties!r}", "use one of")


@dataclass(frozen=True, eq=False, slots=True)
class ShownBattles:
    """Battles as they were shown to simulated voters.

    Attributes:
        a, b: (N,) the models on each side.
        chance: (N, 4) everybody's share of A, B, TIE and BOTH_BAD on the pair.
        voter: (N,) number of the voter.
        progress: (N,) from 0, the voter's first vote, to 1, the last.
        strength, battles: (M,) of the models on the board.
    """

    a: npt.NDArray[np.integer]
    b: npt.NDArray[np.integer]
    chance: FloatArray
    voter: npt.NDArray[np.integer]
    progress: FloatArray
    strength: FloatArray
    battles: FloatArray


def habitual_outcomes(habits: Habits, shown: ShownBattles, rng: np.random.Generator) -> IntArray:
    """(N,) outcomes of voters with these habits."""
    num = len(shown.a)
    chance = shown.chance.copy()
    if habits.language:
        # Eight languages, each with strengths of its own.
        size = len(shown.strength)
        tilt = rng.normal(0.0, habits.language, (8, size))[shown.voter % 8]
        rows = np.arange(num)
        lead = tilt[rows, shown.a] - tilt[rows, shown.b]
        decisive = chance[:, _A] + chance[:, _B]
        odds = np.exp(lead) * chance[:, _A]
        chance[:, _A] = decisive * odds / np.maximum(odds + chance[:, _B], 1e-12)
        chance[:, _B] = decisive - chance[:, _A]
    if not habits.both_bad:
        chance[:, _BOTH_BAD] = 0.0
    gap = np.abs(shown.strength[shown.a] - shown.strength[shown.b])
    chance = _with_ties(chance, habits.ties, gap < np.log(2.0))
    chance /= chance.sum(1, keepdims=True)
    outcome = (rng.random(num)[:, None] > np.cumsum(chance, axis=1)[:, :3]).sum(1)
    for share, values in ((habits.fashion, shown.strength), (habits.known, shown.battles)):
        is_unread = rng.random(num) < share
        outcome = np.where(is_unread, np.where(values[shown.a] >= values[shown.b], _A, _B), outcome)
    outcome = np.where(rng.random(num) < habits.side, _A, outcome)
    is_random = rng.random(num) < habits.tires * shown.progress
    kinds = 2 if habits.ties in {"never", "coin"} else 3
    outcome = np.where(is_random, rng.integers(0, kinds, num), outcome)
    outcome = np.where(rng.random(num) < habits.tires_to_side * shown.progress, _A, outcome)
    for share, values in ((habits.underdog, shown.strength), (habits.unknown, shown.battles)):
        is_unread = rng.random(num) < share
        outcome = np.where(is_unread, np.where(values[shown.a] <= values[shown.b], _A, _B), outcome)
    return outcome


def _with_ties(chance: FloatArray, ties: str, is_close: npt.NDArray[np.bool_]) -> FloatArray:
    """(N, 4) weights of the outcomes for a voter with this habit of ties."""
    chance = chance.copy()
    decisive = chance[:, _A] + chance[:, _B]
    if ties == "never":
        # A pair that everybody ties is decided by a coin.
        chance[:, :2] = np.where(decisive[:, None] > 0, chance[:, :2], 0.5)
        chance[:, 2:] = 0.0
    elif ties == "coin":
        chance[:, :2] += chance[:, 2:].sum(1, keepdims=True) / 2.0
        chance[:, 2:] = 0.0
    elif ties == "often":
        chance[:, _TIE] += decisive / 2.0
        chance[:, :2] /= 2.0
    elif ties == "close":
        chance[:, _TIE] += np.where(is_close, decisive, 0.0)
        chance[:, :2] *= ~is_close[:, None]
    return chance
