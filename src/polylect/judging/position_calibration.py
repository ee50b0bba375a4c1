"""Both orders together: what a judge prefers once its liking for a place and a letter cancels.

Read by the probability of a letter, a weak judge names the same letter whatever is shown: every
pair is a flip. Its log-odds still move with the answers. Their sum over the two orders loses
whatever the place and the letter add to them (balanced position calibration, Wang et al. 2023,
arXiv 2305.17926, section 3.2, on log-odds). It is told beside the verdicts and never instead of
them: a flip stays one.
"""

import re
from collections.abc import Sequence

from polylect.rows import Judgment, Verdict

SUFFIX = ", both orders together"
_LETTER = re.compile(r"([ABC]) (-?\d+\.\d+)(?= |$)")


def log_odds(judgment: Judgment) -> float | None:
    """How much likelier ``model_b``'s letter was than ``model_a``'s, in nats; None if unknown."""
    found = dict(_LETTER.findall(judgment.reason))
    if not {"A", "B"} <= found.keys() or _LETTER.sub("", judgment.reason).strip():
        return None
    odds = float(found["B"]) - float(found["A"])
    return -odds if judgment.swapped else odds


def balanced(judgments: Sequence[Judgment]) -> list[Judgment]:
    """One verdict for every pair whose two orders have log-probabilities, by their sum.

    The judge's name carries ``SUFFIX``; the reason is the sum. Ties are sums of exactly 0.
    """
    pairs: dict[tuple[str, str, str, int], list[tuple[Judgment, float]]] = {}
    for one in judgments:
        odds = log_odds(one)
        if odds is not None:
            key = (one.judge, one.language, one.id, one.sample)
            pairs.setdefault(key, []).append((one, odds))
    found = []
    for own in pairs.values():
        if {one.swapped for one, _ in own} != {False, True}:
            continue
        first, total = own[0][0], round(sum(odds for _, odds in own), 4)
        found.append(
            Judgment(
                id=first.id,
                language=first.language,
                model_a=first.model_a,
                model_b=first.model_b,
                verdict=Verdict.B if total > 0 else Verdict.A if total < 0 else Verdict.TIE,
                judge=first.judge + SUFFIX,
                swapped=False,
                reason=f"{total:.4f}",
                sample=first.sample,
                category=first.category,
                origin=first.origin,
            )
        )
    return found
