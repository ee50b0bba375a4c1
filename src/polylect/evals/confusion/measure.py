"""Language confusion in a model's answers, by several identifiers, as a table of scores."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations, islice

from polylect.base import Ledger
from polylect.evals.confusion.identifiers import Identifier
from polylect.evals.confusion.rates import Rates, add_averages, pass_rates
from polylect.evals.confusion.read import Completion
from polylect.evals.confusion.rules import (
    AnswerCheck,
    Segment,
    check_language,
    code_of,
    has_word_rates,
    long_lines,
)
from polylect.rows import ScoreTable
from polylect.runs import Reporter
from polylect.text import split_words, words_rule

TASK = "language_confusion@2"
SKIPPED = "skipped: no line of five words"
_BATCH = 512


@dataclass(frozen=True)
class Confusion:
    """Language confusion in a model's answers.

    Attributes:
        model: its name.
        scores: ``line_pass[NAME]`` and ``word_pass[NAME]`` of every answer by every identifier;
            the group is task and source. Skipped answers are invalid.
        rates: by identifier, then by (source, language), with the benchmark's averages. The
            benchmark's own file puts the two tasks of a source together.
        agreement: share of lines on which two identifiers agree, by their names.
        num_lines: lines that were identified.
        ledger: skipped answers, by language, and those of which an identifier cannot tell.
        untold: by identifier and language, why it cannot tell; no rate is given there.
    """

    model: str
    scores: ScoreTable
    rates: dict[str, dict[tuple[str, str], Rates]]
    agreement: dict[tuple[str, str], float]
    num_lines: int
    ledger: Ledger
    untold: dict[str, dict[str, str]] = field(default_factory=dict)


def measure_confusion(
    completions: Sequence[Completion],
    identifiers: Sequence[Identifier],
    english: Collection[str],
    report: Reporter,
    segment_of: Callable[[str], Segment] = lambda _: split_words,
) -> Confusion:
    """Language confusion in the answers of one model.

    Args:
        completions: at least one.
        identifiers: one or more.
        english: words that count as English; with none, word pass rates are left out.
        report: progress, in answers.
        segment_of: what cuts a line into words, by language.
    """
    segmenters = {
        tag: segment_of(tag)
        for tag in dict.fromkeys(completion.language for completion in completions)
    }
    checks: dict[str, list[AnswerCheck]] = {identifier.name: [] for identifier in identifiers}
    labels: dict[str, list[str]] = {name: [] for name in checks}
    for start in range(0, len(completions), _BATCH):
        batch = completions[start : start + _BATCH]
        answers = [
            long_lines(completion.text, segmenters[completion.language]) for completion in batch
        ]
        flat = [line for lines in answers for line, _ in lines]
        for identifier in identifiers:
            batch_labels = identifier.label(flat)
            labels[identifier.name] += batch_labels
            remaining = iter(batch_labels)
            checks[identifier.name] += [
                check_language(
                    lines,
                    list(islice(remaining, len(lines))),
                    completion.language,
                    english,
                    identifier.matches,
                )
                for completion, lines in zip(batch, answers, strict=True)
            ]
        report.update(start + len(batch), len(completions), "answers")
    ledger = Ledger()
    names = list(checks)
    for completion, check in zip(completions, checks[names[0]], strict=True):
        ledger.count(SKIPPED, int(check.skipped), completion.language)
    words = bool(english)
    counts = Counter(completion.language for completion in completions)
    untold = {
        identifier.name: {tag: reason for tag in counts if (reason := identifier.cannot_tell(tag))}
        for identifier in identifiers
    }
    for reasons in untold.values():
        for tag, reason in reasons.items():
            ledger.count(f"cannot tell: {reason}", counts[tag], tag)
    return Confusion(
        model=completions[0].model,
        scores=ScoreTable.from_rows(
            [
                row
                for name in names
                for row in _rows(name, completions, checks[name], words=words)
                if row["language"] not in untold[name]
            ]
        ),
        rates={
            name: _rates(completions, checks[name], words=words, without=untold[name])
            for name in names
        },
        agreement={
            pair: _share_equal(*(labels[name] for name in pair)) for pair in combinations(names, 2)
        },
        num_lines=len(labels[names[0]]),
        ledger=ledger,
        untold=untold,
    )


def _share_equal(labels: Sequence[str], others: Sequence[str]) -> float:
    pairs = zip(map(code_of, labels), map(code_of, others), strict=True)
    return sum(label == other for label, other in pairs) / max(1, len(labels))


def _rates(
    completions: Sequence[Completion],
    checks: Sequence[AnswerCheck],
    *,
    words: bool,
    without: Collection[str],
) -> dict[tuple[str, str], Rates]:
    groups: dict[tuple[str, str], list[AnswerCheck]] = {}
    for completion, check in zip(completions, checks, strict=True):
        if completion.language not in without:
            groups.setdefault((completion.source, completion.language), []).append(check)
    # Without a word list there are no word pass rates, as for a language in Latin script.
    return add_averages(
        {key: pass_rates(group, key[1] if words else "en") for key, group in groups.items()}
    )


def _rows(
    identifier: str,
    completions: Sequence[Completion],
    checks: Sequence[AnswerCheck],
    *,
    words: bool,
) -> Iterator[dict[str, object]]:
    for completion, check in zip(completions, checks, strict=True):
        source = completion.source
        shared: dict[str, object] = {
            "checkpoint": completion.model,
            "task": TASK,
            "language": completion.language,
            "group": f"{completion.task}/{source}" if completion.task else source,
            "item": completion.id,
            "cluster": f"{source}/{completion.cluster}",
            "settings": f"identifier={identifier};words={words_rule()}",
        }
        yield shared | {
            "metric": f"line_pass[{identifier}]",
            "value": float(check.line_pass),
            "invalid": check.skipped,
        }
        if words and has_word_rates(completion.language):
            yield shared | {
                "metric": f"word_pass[{identifier}]",
                "value": float(check.word_pass),
                "invalid": check.skipped or not check.line_pass,
            }
