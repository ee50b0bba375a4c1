"""Both orders together: what a judge prefers once its preference for a position and letter cancels.

Read by the probability of a letter, a weak judge names the same letter whatever is shown: every
pair is a flip. Its log-odds still change with the answers. Their sum over the two orders is free of
what the position and the letter add (balanced position calibration, Wang et al. 2023,
arXiv 2305.17926, section 3.2, on log-odds). It is reported beside the verdicts and never instead of
them: a flip stays one.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from polylect.rows import Judgment, Verdict

CALIBRATED_SUFFIX = ", both orders together"
_LETTER = re.compile(r"([ABC]) (-?\d+\.\d+)(?= |$)")


def log_odds(choices: Mapping[str, float], *, swapped: bool) -> float | None:
    """Log-odds of ``model_b`` over ``model_a`` in nats, to the four decimals that a reason shows.

    None if a letter's log-probability is unknown.

    Args:
        choices: log-probability of each letter; A is the answer shown first.
        swapped: the answer of ``model_b`` was shown first.

    >>> log_odds({"A": -0.5, "B": -2.0}, swapped=False)
    -1.5
    """
    if not {"A", "B"} <= choices.keys() or not all(map(math.isfinite, choices.values())):
        return None
    odds = round(round(choices["B"], 4) - round(choices["A"], 4), 4)
    return -odds if swapped else odds


def log_odds_in_text(judgment: Judgment) -> float | None:
    """The log-odds in the reason of a row that was written before they had a column."""
    choices = {letter: float(value) for letter, value in _LETTER.findall(judgment.reason)}
    if _LETTER.sub("", judgment.reason).strip():
        return None
    return log_odds(choices, swapped=judgment.swapped)


def calibrated_judgments(judgments: Sequence[Judgment]) -> list[Judgment]:
    """One judgment per pair whose two orders have log-odds, by their sum.

    The judge's name ends in ``CALIBRATED_SUFFIX``; the reason is the sum. A sum of 0 is a tie.
    """
    pairs: dict[tuple[str, str, str, int], list[Judgment]] = {}
    for judgment in judgments:
        if judgment.log_odds is not None:
            key = (judgment.judge, judgment.language, judgment.id, judgment.sample)
            pairs.setdefault(key, []).append(judgment)
    calibrated = []
    for orders in pairs.values():
        if {judgment.swapped for judgment in orders} != {False, True}:
            continue
        first = orders[0]
        total = round(sum(judgment.log_odds or 0.0 for judgment in orders), 4)
        calibrated.append(
            replace(
                first,
                verdict=Verdict.B if total > 0 else Verdict.A if total < 0 else Verdict.TIE,
                judge=first.judge + CALIBRATED_SUFFIX,
                swapped=False,
                reason=f"{total:.4f}",
                prompt_digest="",
                strong=False,
                abstained=False,
                log_odds=None,
            )
        )
    return calibrated
