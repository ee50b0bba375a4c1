"""How translated texts read, by language: one long table of values with intervals.

| measure | of | what |
|---|---|---|
| ``words`` | native, translated | words of a text |
| ``variety`` | native, translated | moving-average type-token ratio over 50 words, texts joined |
| ``density`` | native, translated | share of words that are no function words |
| ``monotony`` | translated | how closely a translation keeps its source's order of words |
| ``accuracy`` | both | of telling translated from native on held-out groups, balanced |
| ``shuffled`` | both | the same with shuffled labels: what it is by chance |
| ``translated`` | each file | mean probability that it is translated, by a classifier |

Intervals are 95 %, each for itself, over groups (a source sentence, a prompt): Student's t, and
Wilson's of the effective number for shares; those
of ``variety`` over stretches of 200 words, whose windows of 50 overlap at their borders alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from polylect.base import InputError, Ledger
from polylect.feedback.translationese.classifier import fit_classifier, held_out
from polylect.feedback.translationese.lexical import (
    WINDOW,
    function_words,
    lexical_density,
    moving_ttr,
    words_of,
)
from polylect.feedback.translationese.word_order import monotony
from polylect.rows import id_cell, language_cell, read_dicts, text_cell
from polylect.runs import Reporter
from polylect.stats import cluster_interval, share_interval

NATIVE, TRANSLATED_TEXT, BOTH = "native", "translated", "both"
EMPTY_TEXT = "left out: a text without a word"
OTHER_ORIGIN = "left out: a text that is neither native nor translated"
FEW_TEXTS = "not measured: a classifier of fewer than 20 native or 20 translated texts"
_LEAST_TEXTS, _STRETCH = 20, 200
_SHARES = ("accuracy", "shuffled", "translated")
_TEXT_COLUMNS = ("answer", "text", "prompt")
_SCHEMA = {
    "file": pl.String, "language": pl.String, "origin": pl.String, "measure": pl.String,
    "value": pl.Float64, "lower": pl.Float64, "upper": pl.Float64, "texts": pl.Int64,
    "groups": pl.Int64,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SeenText:
    """A text, and how it was made.

    Attributes:
        text: of one language.
        language: tag.
        origin: ``native``, ``translated``, or empty for one that is only to be judged.
        group: what it shares with texts on the same: no fold divides a group.
        source: what it was translated from; may be empty.
    """

    text: str
    language: str
    origin: str
    group: str
    source: str = ""


def read_texts(path: Path, default_language: str, ledger: Ledger) -> list[SeenText]:
    """The texts of a file.

    A row has ``answer``, ``text`` or ``prompt``, and ``language``; ``answer_origin`` (of a text or
    prompt: ``origin``) says how it was made, ``source_text`` from what, ``id`` (or ``group``) what
    texts on the same share. Texts of one id or one source are one group.

    Raises:
        InputError: a row does not fit.
    """
    rows: list[tuple[str, str, str, str, str]] = []
    for place, row in read_dicts(path):
        column = next((name for name in _TEXT_COLUMNS if isinstance(row.get(name), str)), "")
        if not column:
            raise InputError(f"{place}: no text", f"give one of {', '.join(_TEXT_COLUMNS)}")
        text, language = row[column], language_cell(row, place, default_language)
        origin = text_cell(row, "answer_origin" if column == "answer" else "origin", place)
        if not words_of(text):
            ledger.count(EMPTY_TEXT, 1, language)
        elif origin not in (NATIVE, TRANSLATED_TEXT, ""):
            ledger.count(OTHER_ORIGIN, 1, language)
        else:
            group = text_cell(row, "group", place) or id_cell(row, place) or place
            rows.append((text, language, origin, group, text_cell(row, "source_text", place)))
    first: dict[str, str] = {}
    joined: dict[str, str] = {}
    for _, _, _, group, source in rows:
        if source:
            _join(joined, group, first.setdefault(source, group))
    return [
        SeenText(text, language, origin, _root(joined, group), source)
        for text, language, origin, group, source in rows
    ]


def _root(joined: Mapping[str, str], group: str) -> str:
    while group in joined:
        group = joined[group]
    return group


def _join(joined: dict[str, str], first: str, second: str) -> None:
    first, second = _root(joined, first), _root(joined, second)
    if first != second:
        joined[first] = second


def measure_translationese(
    files: Mapping[str, Sequence[SeenText]],
    learned_from: Sequence[SeenText],
    seed: int,
    report: Reporter,
    ledger: Ledger,
) -> pl.DataFrame:
    """The table of all measures: file, language, origin, measure, value, lower, upper, texts.

    Args:
        files: texts by the file's name.
        learned_from: native and translated texts, of which a classifier judges the files; may be
            empty. Texts of groups that a file shares with them are not learned from.
        seed: of folds and shuffling.
        report: progress, in languages.
        ledger: counts what is not measured.
    """
    rows: list[dict[str, Any]] = []
    tags = sorted({text.language for texts in files.values() for text in texts})
    for number, tag in enumerate(tags):
        here = {name: [text for text in texts if text.language == tag]
                for name, texts in files.items()}  # fmt: skip
        everything = [words_of(text.text) for texts in here.values() for text in texts]
        function = function_words(everything)
        for name, texts in here.items():
            for origin in sorted({text.origin for text in texts}):
                some = [text for text in texts if text.origin == origin]
                rows += _of_origin(name, tag, origin, some, function)
            rows += _told_apart(name, tag, texts, seed, ledger)
        rows += _judged(here, tag, [t for t in learned_from if t.language == tag], ledger)
        report.update(number + 1, len(tags), "languages")
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def _of_origin(
    name: str, tag: str, origin: str, texts: Sequence[SeenText], function: frozenset[str]
) -> Iterator[dict[str, Any]]:
    words = [words_of(text.text) for text in texts]
    groups = [text.group for text in texts]
    place = {"file": name, "language": tag, "origin": origin}
    yield place | _interval("words", [float(len(some)) for some in words], groups)
    yield place | _variety(texts, words)
    yield place | _interval("density", [lexical_density(some, function) for some in words], groups)
    pairs = [(words_of(text.source), some, text.group)
             for text, some in zip(texts, words, strict=True) if text.source]  # fmt: skip
    if pairs:
        sources, targets, of_pairs = zip(*pairs, strict=True)
        yield place | _interval("monotony", monotony(sources, targets), of_pairs)


def _variety(texts: Sequence[SeenText], words: Sequence[list[str]]) -> dict[str, Any]:
    """The moving-average type-token ratio of texts joined in the order of their groups."""
    order = sorted(range(len(texts)), key=lambda i: (texts[i].group, texts[i].text))
    joined = [word for i in order for word in words[i]]
    starts = range(0, max(0, len(joined) - WINDOW + 1))
    stretches: dict[int, list[float]] = {}
    for start in range(0, len(starts), _STRETCH):
        stretch = joined[start : min(start + _STRETCH, len(starts)) + WINDOW - 1]
        value = moving_ttr(stretch)
        if value is not None:
            stretches[start] = [value] * (len(stretch) - WINDOW + 1)
    values = [value for some in stretches.values() for value in some]
    clusters = [str(start) for start, some in stretches.items() for _ in some]
    return _interval("variety", values, clusters) | {"texts": len(texts)}


def _told_apart(
    name: str, tag: str, texts: Sequence[SeenText], seed: int, ledger: Ledger
) -> Iterator[dict[str, Any]]:
    known = [text for text in texts if text.origin]
    labels = [text.origin == TRANSLATED_TEXT for text in known]
    if not _enough(labels):
        ledger.count(FEW_TEXTS, int(bool(known)), tag)
        return
    groups = [text.group for text in known]
    for measure, shuffled in (("accuracy", False), ("shuffled", True)):
        told = held_out([text.text for text in known], labels, groups, seed, shuffled=shuffled)
        row = _interval(measure, told.correct.astype(float).tolist(), groups, told.weight)
        yield {"file": name, "language": tag, "origin": BOTH} | row


def _judged(
    here: Mapping[str, Sequence[SeenText]], tag: str, learned: Sequence[SeenText], ledger: Ledger
) -> Iterator[dict[str, Any]]:
    from scipy.special import expit

    judged = {text.group for texts in here.values() for text in texts}
    apart = [text for text in learned if text.origin and text.group not in judged]
    labels = [text.origin == TRANSLATED_TEXT for text in apart]
    if not _enough(labels):
        ledger.count(FEW_TEXTS, int(bool(learned)), tag)
        return
    model = fit_classifier([text.text for text in apart], labels)
    for name, texts in here.items():
        if texts:
            values = expit(model.log_odds([text.text for text in texts])).tolist()
            row = _interval("translated", values, [text.group for text in texts])
            yield {"file": name, "language": tag, "origin": "all"} | row


def _enough(labels: Sequence[bool]) -> bool:
    return min(sum(labels), len(labels) - sum(labels)) >= _LEAST_TEXTS


def _interval(
    measure: str,
    values: Sequence[float | None],
    groups: Sequence[str],
    weight: "np.ndarray | None" = None,
) -> dict[str, Any]:
    """Mean and interval; without a value where there is none, without bounds of a single group."""
    weights = np.ones(len(values)) if weight is None else weight
    frame = pl.DataFrame(
        {"cluster": list(groups), "value": list(values), "weight": weights},
        schema={"cluster": pl.String, "value": pl.Float64, "weight": pl.Float64},
    ).drop_nulls("value")
    row = {"measure": measure, "value": None, "lower": None, "upper": None,
           "texts": frame.height, "groups": frame["cluster"].n_unique()}  # fmt: skip
    if not frame.height:
        return row
    # A share may be 1 of all, where Student's t would see no spread.
    interval = share_interval if measure in _SHARES else cluster_interval
    frame = frame.with_columns(all=pl.lit(""))
    table = interval(frame, ["all"], pl.col("value"), pl.col("weight")).to_dicts()[0]
    bounds = {
        side: table[side] if np.isfinite(table[side]) else None for side in ("lower", "upper")
    }
    return row | {"value": table["mean"]} | bounds
