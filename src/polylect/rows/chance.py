"""Which scores say nothing: those that a model which guesses would have."""

from polylect.rows.metric_ranges import base_name

AT_CHANCE, BELOW_CHANCE = "at chance", "below chance"


def chance_note(lower: float | None, upper: float | None, chance: float | None) -> str:
    """What a score's interval says of guessing; empty where it lies above, or nothing is known.

    A score at chance is no evidence that a model can do a task, and is not ranked.

    >>> chance_note(0.21, 0.29, 0.25), chance_note(0.26, 0.31, 0.25), chance_note(0.1, 0.2, 0.25)
    ('at chance', '', 'below chance')

    Args:
        lower: end of the score's interval; None where there is none.
        upper: likewise.
        chance: the expected score of guessing; None where guessing has none, as for a likelihood.
    """
    if lower is None or upper is None or chance is None or lower > chance:
        return ""
    return AT_CHANCE if upper >= chance else BELOW_CHANCE


def chance_of_answer(metric: str) -> float | None:
    """The expected score of guessing where an answer is written: 0 for what must be hit exactly.

    None for overlaps (F1, ROUGE, chrF), of which any fluent text has some.

    >>> chance_of_answer("pass@1"), chance_of_answer("exact_match[strict]"), chance_of_answer("f1")
    (0.0, 0.0, None)
    """
    return 0.0 if base_name(metric).startswith(("exact_match", "pass@")) else None
