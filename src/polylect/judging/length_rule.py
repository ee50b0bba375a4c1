"""The judge who needs no model: the longer answer wins. What a real judge must be better than."""

from collections.abc import Sequence

from polylect.judging.pairs import Pair
from polylect.judging.style_control import Size
from polylect.rows import Judgment, Verdict

NAME = "the longer answer"


def by_length(pairs: Sequence[Pair], names: tuple[str, str], size: Size) -> list[Judgment]:
    """One verdict for every pair: whose answer is longer; a tie where they are equally long."""
    found = []
    for one in pairs:
        a, b = size(one.a.answer), size(one.b.answer)
        found.append(
            Judgment(
                id=one.a.id,
                language=one.a.language,
                model_a=names[0],
                model_b=names[1],
                verdict=Verdict.TIE if a == b else Verdict.A if a > b else Verdict.B,
                judge=NAME,
                swapped=False,
                sample=one.a.sample,
                category=one.a.category,
                origin=one.a.origin,
            )
        )
    return found
