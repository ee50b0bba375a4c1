"""A reward for ``feedback_real.py``: whether lingua finds an answer in its prompt's language.

As an identifier of the reward ``language`` lingua is refused for Arabic, of which it finds 82 % of
held-out sentences; as a judge beside another identifier it may be wrong there more often.
"""

from polylect.text import is_same, open_identifier


def lingua_agrees(prompt: str, answer: str, language: str) -> float:
    """1 for an answer that lingua finds in the language, else 0."""
    (guess,) = open_identifier("lingua").guess([answer])
    return float(bool(guess.tag) and is_same(guess.tag, language))
