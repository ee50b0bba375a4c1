"""The rules of the Language Confusion Benchmark (Marchisio et al. 2024), answer by answer.

As its published script applies them, but for what cuts the words (``text.split_words``; the script
takes jieba and MeCab for Chinese and Japanese, spaces elsewhere), and with word pass rates in every
script but Latin: an answer ends before the first line that begins with ``Q:``;
ASCII punctuation is deleted; lines of fewer than five words are ignored, and an answer without a
longer one is skipped. An answer passes by lines when every line that is left is in the language; it
then passes by words unless a token is a lower-case English word of four letters or more.
"""

import string
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from polylect.base import described, read_text
from polylect.text import is_same

LEAST_WORDS = 5
LEAST_LETTERS = 4
_NO_SCRIPT = frozenset({"Latn", "Zyyy", "Zzzz"})

_TABLE = str.maketrans("—", " ", string.punctuation + "،")

Segment = Callable[[str], Sequence[str]]
"""Splits a line into words."""


@dataclass(frozen=True, slots=True)
class AnswerCheck:
    """What the rules say of one answer.

    Attributes:
        num_lines: lines long enough to be identified; 0 is a skipped answer.
        num_wrong: those of them in another language or an unknown one.
        has_english: whether a token is an English word.
    """

    num_lines: int
    num_wrong: int
    has_english: bool

    @property
    def skipped(self) -> bool:
        """No line was long enough."""
        return self.num_lines == 0

    @property
    def line_pass(self) -> bool:
        """Every line is in the language; meaningless for a skipped answer."""
        return self.num_wrong == 0

    @property
    def word_pass(self) -> bool:
        """No token is an English word; meaningful only where the lines pass."""
        return not self.has_english


def code_of(tag: str) -> str:
    """The benchmark's name of a language: the tag without script; a private tag stays whole.

    >>> code_of("zh-Hant"), code_of("x-mine")
    ('zh', 'x-mine')
    """
    return tag if tag.startswith("x-") else tag.partition("-")[0]


def has_word_rates(tag: str) -> bool:
    """Whether English words stand out in a language: its script is known, and is not Latin.

    >>> has_word_rates("th"), has_word_rates("sr-Latn"), has_word_rates("x-mine")
    (True, False, False)
    """
    return described(tag).script not in _NO_SCRIPT


def long_lines(answer: str, segment: Segment) -> list[tuple[str, list[str]]]:
    """The lines of an answer that are long enough to be identified, each with its words."""
    bare = answer.split("\nQ:")[0].strip().translate(_TABLE)
    pairs = [(line, list(segment(line))) for line in bare.split("\n")]
    return [(line, words) for line, words in pairs if len(words) >= LEAST_WORDS]


def check_language(
    lines: Sequence[tuple[str, Sequence[str]]],
    labels: Sequence[str],
    language: str,
    english: Collection[str],
    matches: Callable[[str, str], bool] = is_same,
) -> AnswerCheck:
    """Check whether an answer is in the language that was asked for.

    Args:
        lines: of ``long_lines``.
        labels: what each line seems to be.
        language: tag of the language that was asked for.
        english: of ``read_english_words``.
        matches: whether a label is the language.
    """
    words = (word.strip() for _, line in lines for word in line)
    return AnswerCheck(
        num_lines=len(lines),
        num_wrong=sum(not matches(label, language) for label in labels),
        has_english=any(word in english for word in words),
    )


def read_english_words(path: Path) -> frozenset[str]:
    """The words that count as English, from a word list with one word per line.

    Raises:
        InputError: the file cannot be read.
    """
    words = (line.strip() for line in read_text(path).split("\n"))
    return frozenset(word for word in words if word.islower() and len(word) >= LEAST_LETTERS)
