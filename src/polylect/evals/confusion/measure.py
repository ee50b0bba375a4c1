"""Language confusion of a model's answers by several identifiers, as a table of scores."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from polylect.base import Ledger
from polylect.evals.confusion.identifiers import Identifier
from polylect.evals.confusion.rates import Rates, averages, pass_rates
from polylect.evals.confusion.read import Completion
from polylect.evals.confusion.rules import WORD_LANGUAGES, Checked, check, code_of, long_lines
from polylect.evals.confusion.segmenters import segmenter
from polylect.rows import ScoreTable
from polylect.runs import Reporter

TASK = "language_confusion@1"
SKIPPED = "skipped: no line of five words"
_BATCH = 512


@dataclass(frozen=True)
class Confusion:
    """What was found in a model's answers.

    Attributes:
        model: whose answers.
        scores: ``line_pass[NAME]`` and ``word_pass[NAME]`` of every answer by every identifier;
            the group is task and source. Skipped answers are invalid.
        rates: by identifier, then by (source, language), with the benchmark's averages. The
            benchmark's own file puts the two tasks of a source together.
        agreement: share of lines on which two identifiers agree, by their names.
        num_lines: lines that were looked at.
        ledger: skipped answers, by language.
    """

    model: str
    scores: ScoreTable
    rates: dict[str, dict[tuple[str, str], Rates]]
    agreement: dict[tuple[str, str], float]
    num_lines: int
    ledger: Ledger


def measure(
    completions: Sequence[Completion],
    identifiers: Sequence[Identifier],
    english: Collection[str],
    report: Reporter,
) -> Confusion:
    """Language confusion of answers of one model.

    Args:
        completions: at least one.
        identifiers: one or more.
        english: words that count as English; none finds no confusion by words, and word pass rates
            are left out.
        report: told the answers that are done.

    Raises:
        InputError: a package that a language or an identifier needs is not installed.
    """
    cut = {tag: segmenter(tag) for tag in dict.fromkeys(one.language for one in completions)}
    ledger = Ledger()
    found: dict[str, list[Checked]] = {one.name: [] for one in identifiers}
    labels: dict[str, list[str]] = {one.name: [] for one in identifiers}
    for start in range(0, len(completions), _BATCH):
        batch = completions[start : start + _BATCH]
        lines = [long_lines(one.text, cut[one.language]) for one in batch]
        flat = [line for own in lines for line, _ in own]
        for identifier in identifiers:
            own_labels = identifier.label(flat)
            labels[identifier.name] += own_labels
            at = 0
            for completion, own in zip(batch, lines, strict=True):
                part = own_labels[at : at + len(own)]
                at += len(own)
                found[identifier.name].append(check(own, part, completion.language, english))
        report.update(start + len(batch), len(completions), "answers")
    for completion, own in zip(completions, found[identifiers[0].name], strict=True):
        ledger.count(SKIPPED, int(own.skipped), completion.language)
    names = list(found)
    return Confusion(
        model=completions[0].model,
        scores=ScoreTable.from_rows(
            [
                row
                for name in names
                for row in _rows(name, completions, found[name], words=bool(english))
            ]
        ),
        rates={name: _rates(completions, found[name], words=bool(english)) for name in names},
        agreement={
            (one, other): _share_equal(labels[one], labels[other])
            for i, one in enumerate(names)
            for other in names[i + 1 :]
        },
        num_lines=len(labels[names[0]]),
        ledger=ledger,
    )


def _share_equal(one: Sequence[str], other: Sequence[str]) -> float:
    return sum(a == b for a, b in zip(one, other, strict=True)) / max(1, len(one))


def _rates(
    completions: Sequence[Completion], found: Sequence[Checked], *, words: bool
) -> dict[tuple[str, str], Rates]:
    groups: dict[tuple[str, str], list[Checked]] = {}
    for one, own in zip(completions, found, strict=True):
        groups.setdefault((one.source, one.language), []).append(own)
    # Without a word list nothing is known of words: rates as for a language that has none.
    rates = {key: pass_rates(own, key[1] if words else "en") for key, own in groups.items()}
    return averages(rates)


def _rows(
    name: str, completions: Sequence[Completion], found: Sequence[Checked], *, words: bool
) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for one, own in zip(completions, found, strict=True):
        shared: dict[str, object] = {
            "checkpoint": one.model,
            "task": TASK,
            "language": one.language,
            "group": f"{one.task}/{one.source}" if one.task else one.source,
            "item": one.id,
            "cluster": f"{one.source}/{one.cluster}",
            "settings": f"identifier={name}",
        }
        row = shared | {"metric": f"line_pass[{name}]", "value": float(own.line_pass)}
        rows.append(row | {"invalid": own.skipped})
        if words and code_of(one.language) in WORD_LANGUAGES:
            row = shared | {"metric": f"word_pass[{name}]", "value": float(own.word_pass)}
            rows.append(row | {"invalid": own.skipped or not own.line_pass})
    return rows
