"""Pass rates of answers, and the averages of the Language Confusion Benchmark."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from polylect.evals.confusion.rules import AnswerCheck, has_word_rates

OVERALL = "all"
"""The source, and the language, of an average."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Pass rates of a group of answers.

    Attributes:
        line_accuracy: mean over answers of the share of their lines in the language.
        line_pass: share of answers with all lines in the language.
        word_pass: share of those without an English word; None in Latin script.
        num_answers: answers that were checked; 0 in an average.
        num_skipped: answers without a line of five words; 0 in an average.
    """

    line_accuracy: float
    line_pass: float
    word_pass: float | None
    num_answers: int = 0
    num_skipped: int = 0


def pass_rates(checks: Sequence[AnswerCheck], language: str) -> Rates:
    """The rates of answers that should be in one language.

    By the benchmark's rule a rate over no answer is 1: see ``num_answers``.
    """
    answers = [check for check in checks if not check.skipped]
    passed = [check for check in answers if check.line_pass]
    shares = [1 - check.num_wrong / check.num_lines for check in answers]
    word_pass = None
    if has_word_rates(language):
        word_pass = 1 - sum(check.has_english for check in passed) / max(1, len(passed))
    return Rates(
        line_accuracy=sum(shares) / len(shares) if shares else 1.0,
        line_pass=1 - (len(answers) - len(passed)) / max(1, len(answers)),
        word_pass=word_pass,
        num_answers=len(answers),
        num_skipped=len(checks) - len(answers),
    )


def add_averages(rates: Mapping[tuple[str, str], Rates]) -> dict[tuple[str, str], Rates]:
    """The rates by (source, language), and the benchmark's averages under the name ``all``.

    A source is averaged over its languages, a language over its sources, and the overall rate is
    the mean over languages; all count alike. Word pass rates are averaged where there are any.
    Without any rate there is no average.
    """
    if not rates:
        return {}
    result = dict(sorted(rates.items()))
    languages = list(dict.fromkeys(language for _, language in result))
    for source in dict.fromkeys(source for source, _ in result):
        result[source, OVERALL] = _mean([rates[key] for key in rates if key[0] == source])
    for language in languages:
        result[OVERALL, language] = _mean(
            [rates[key] for key in sorted(rates) if key[1] == language]
        )
    result[OVERALL, OVERALL] = _mean([result[OVERALL, language] for language in languages])
    return result


def _mean(rates: Sequence[Rates]) -> Rates:
    word_passes = [rate.word_pass for rate in rates if rate.word_pass is not None]
    return Rates(
        line_accuracy=sum(rate.line_accuracy for rate in rates) / len(rates),
        line_pass=sum(rate.line_pass for rate in rates) / len(rates),
        word_pass=sum(word_passes) / len(word_passes) if word_passes else None,
    )
