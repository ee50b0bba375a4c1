"""The step that translates a file's rows: what passes the gates, what does not, and counts."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict

from polylect.base import InputError, Ledger, atomic_file, write_json
from polylect.feedback.translation.config import TranslateConfig
from polylect.feedback.translation.gates import GATES
from polylect.feedback.translation.protocol import Pair, TranslatorSource, check_pairs
from polylect.feedback.translation.translated_rows import (
    Row,
    Rows,
    as_line,
    in_language,
    read_any_rows,
    texts_of,
)
from polylect.feedback.translation.translating import Translated, translate_texts
from polylect.rows import PooledAnswer, write_rows
from polylect.runs import FileInput, StepContext
from polylect.text import open_identifier

TRANSLATED_ROWS, TRANSLATED_ANSWERS = "translated.jsonl", "translated.parquet"
FAILED_TEXTS, TRANSLATION_COUNTS = "failed.jsonl", "counts.json"
LEFT_OUT = "left out: a row of which a translation failed"
KEPT_FAILED = "kept: a row of which a translation failed"
IN_TARGET = "left out: a row in the language already"
OTHER_SOURCE = "left out: a row in another language than --from"
EQUAL_ANSWERS = "left out: the two answers have the same translation"


class TranslateInputs(TypedDict):
    """What ``translate`` reads."""

    rows: FileInput
    translator: TranslatorSource


@dataclass(frozen=True)
class _Outcome:
    """A row in a target language: what came of it.

    Attributes:
        source: the row.
        target: tag.
        row: in the target language; None where it has no translation.
        failed: names of the gates that its texts fail.
    """

    source: Row
    target: str
    row: Row | None
    failed: tuple[str, ...]


def rows_by_pair(
    rows: Iterable[Row], config: TranslateConfig, ledger: Ledger
) -> dict[Pair, list[Row]]:
    """The rows that are translated by pair of languages: by target as asked, then by source.

    Args:
        rows: of a file.
        config: languages.
        ledger: counts rows that are left out.

    Raises:
        InputError: no row is in the language that is translated from.
    """
    wanted = [row for row in rows if not config.source or row.language == config.source]
    others = Counter(
        row.language for row in rows if config.source and row.language != config.source
    )
    if not wanted:
        raise InputError(
            f"--from {config.source}: no row is in it", f"there are {' '.join(others)}"
        )
    for tag, num in others.items():
        ledger.count(OTHER_SOURCE, num, tag)
    pairs: dict[Pair, list[Row]] = {}
    for target in config.to:
        for row in wanted:
            if row.language == target:
                ledger.count(IN_TARGET, 1, target)
            else:
                pairs.setdefault((row.language, target), []).append(row)
    if not pairs:
        raise InputError(f"--to {','.join(config.to)}: all rows are in it", "--to another language")
    return pairs


def check_translator(
    translator: TranslatorSource, pairs: Iterable[Pair], config: TranslateConfig
) -> None:
    """Refuse pairs that the translator does not have, those translated back too.

    Raises:
        InputError: names the pair, and those that there are.
    """
    pairs = list(pairs)
    check_pairs(translator, pairs)
    if config.gates.least_back is not None:
        check_pairs(translator, [(target, source) for source, target in pairs])


def run_translate(config: TranslateConfig, inputs: TranslateInputs, context: StepContext) -> None:
    """Write the rows in the other languages, what failed, and counts by pair.

    Raises:
        InputError: a row does not fit, or the translator does not have a pair.
    """
    file = read_any_rows(inputs["rows"].path, config.default_language, context.ledger)
    source = inputs["translator"]
    pairs = rows_by_pair(file.rows, config, context.ledger)
    check_translator(source, pairs, config)
    identifier = open_identifier(config.gates.identifier)
    translator = source.open(context.work, context.report, context.ledger)
    outcomes: list[_Outcome] = []
    failures: list[dict[str, Any]] = []
    counts = []
    for (first, target), rows in pairs.items():
        texts = [texts_of(row, context.ledger) for row in rows]
        translations = iter(translate_texts(
            [text for parts in texts for text in parts], first, target, translator, source.traits,
            config.gates, identifier, context.ledger,
        ))  # fmt: skip
        done = [[next(translations) for _ in parts] for parts in texts]
        failures += _failures(rows, done, target)
        of_pair = [_outcome(row, parts, target, source.name, context.ledger)
                   for row, parts in zip(rows, done, strict=True)]  # fmt: skip
        outcomes += of_pair
        counts.append(_counts(first, target, rows, done, of_pair))
    _write(file, outcomes, config, source.name, context)
    _write_lines(context.out / FAILED_TEXTS, failures)
    write_json(context.out / TRANSLATION_COUNTS, counts)


def _outcome(
    row: Row, parts: Sequence[Translated], target: str, name: str, ledger: Ledger
) -> _Outcome:
    failed = {reason for part in parts for reason in part.failed}
    reasons = tuple(reason for reason in GATES if reason in failed)
    if any(part.source.strip() and not part.text.strip() for part in parts):
        return _Outcome(row, target, None, reasons)
    try:
        translation = in_language(row, [part.text for part in parts], target, name)
    except InputError:
        ledger.count(EQUAL_ANSWERS, int(not reasons), target)
        translation = None
    return _Outcome(row, target, translation, reasons)


def _failures(
    rows: Sequence[Row], done: Sequence[Sequence[Translated]], target: str
) -> Iterator[dict[str, Any]]:
    for row, parts in zip(rows, done, strict=True):
        for part in parts:
            if part.failed:
                yield {"id": row.id, "language": target, "source_language": row.language,
                       "failed": list(part.failed), "text": part.source,
                       "translation": part.text}  # fmt: skip


def _counts(
    source: str,
    target: str,
    rows: Sequence[Row],
    done: Sequence[Sequence[Translated]],
    outcomes: Sequence[_Outcome],
) -> dict[str, Any]:
    """Rows and texts of a pair, how many passed, and how many texts failed each gate."""
    texts = [part for parts in done for part in parts]
    failed = Counter(reason for part in texts for reason in part.failed)
    passed = sum(outcome.row is not None and not outcome.failed for outcome in outcomes)
    return {
        "source_language": source, "language": target, "rows": len(rows), "rows_passed": passed,
        "texts": len(texts), "texts_passed": sum(not part.failed for part in texts),
    } | {f"failed: {gate}": failed[gate] for gate in GATES}  # fmt: skip


def _write(
    file: Rows,
    outcomes: Sequence[_Outcome],
    config: TranslateConfig,
    name: str,
    context: StepContext,
) -> None:
    """Write the rows that are kept, in the form of their kind; count the others."""
    kept = []
    for outcome in outcomes:
        is_kept = outcome.row is not None and (config.keep_failed or not outcome.failed)
        event = KEPT_FAILED if is_kept else LEFT_OUT
        context.ledger.count(event, int(bool(outcome.failed)), outcome.target)
        kept += [outcome] if is_kept else []
    if file.kind == "answers":
        rows = [_with_reasons(outcome) for outcome in kept]
        write_rows(context.out / TRANSLATED_ANSWERS, PooledAnswer, rows)
        return
    lines = []
    for outcome in kept:
        assert outcome.row is not None
        line = as_line(outcome.row, outcome.source, name)
        lines.append(line | ({"failed": list(outcome.failed)} if outcome.failed else {}))
    _write_lines(context.out / TRANSLATED_ROWS, lines)


def _with_reasons(outcome: _Outcome) -> PooledAnswer:
    assert isinstance(outcome.row, PooledAnswer)
    if not outcome.failed:
        return outcome.row
    return replace(outcome.row, why=f"failed: {', '.join(outcome.failed)}")


def _write_lines(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    with atomic_file(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        for line in lines:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
