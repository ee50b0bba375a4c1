"""Pass rates of answers, and their averages as the Language Confusion Benchmark takes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from polylect.evals.confusion.rules import WORD_LANGUAGES, Checked, code_of

ALL = "all"


@dataclass(frozen=True, slots=True)
class Rates:
    """Pass rates of a group of answers.

    Attributes:
        line_accuracy: mean over answers of the share of their lines that are in the language.
        line_pass: share of answers all of whose lines are.
        word_pass: share, of those, without an English word; None where that means nothing.
        num_answers: answers that were looked at; 0 in an average.
        num_skipped: answers without a line to look at; 0 in an average.
    """

    line_accuracy: float
    line_pass: float
    word_pass: float | None
    num_answers: int = 0
    num_skipped: int = 0


def pass_rates(found: Sequence[Checked], language: str) -> Rates:
    """The rates of answers that were to be in one language.

    By the benchmark's rule a rate over no answer is 1: look at ``num_answers``.
    """
    looked = [one for one in found if not one.skipped]
    passed = [one for one in looked if one.line_pass]
    shares = [1 - one.num_wrong / one.num_lines for one in looked]
    word_pass = None
    if code_of(language) in WORD_LANGUAGES:
        word_pass = 1 - sum(one.has_english for one in passed) / max(1, len(passed))
    return Rates(
        line_accuracy=sum(shares) / len(shares) if shares else 1.0,
        line_pass=1 - (len(looked) - len(passed)) / max(1, len(looked)),
        word_pass=word_pass,
        num_answers=len(looked),
        num_skipped=len(found) - len(looked),
    )


def averages(rates: Mapping[tuple[str, str], Rates]) -> dict[tuple[str, str], Rates]:
    """The rates by (source, language) with the benchmark's averages, under the name ``all``.

    A source's is over its languages, a language's over its sources, and that of everything over
    the languages; each part counts alike. Word pass rates are averaged where there are any.
    """
    found = dict(sorted(rates.items()))
    sources = list(dict.fromkeys(source for source, _ in found))
    languages = list(dict.fromkeys(language for _, language in found))
    for source in sources:
        found[source, ALL] = _mean([one for (own, _), one in rates.items() if own == source])
    for language in languages:
        own = [one for (_, tag), one in sorted(rates.items()) if tag == language]
        found[ALL, language] = _mean(own)
    found[ALL, ALL] = _mean([found[ALL, language] for language in languages])
    return found


def _mean(rates: Sequence[Rates]) -> Rates:
    words = [one.word_pass for one in rates if one.word_pass is not None]
    return Rates(
        line_accuracy=sum(one.line_accuracy for one in rates) / len(rates),
        line_pass=sum(one.line_pass for one in rates) / len(rates),
        word_pass=sum(words) / len(words) if words else None,
    )
