"""``confusion``: whether answers are in the language that was asked for."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from polylect.api.fields import Group, Mark, Output, Positional
from polylect.api.paths import file_in
from polylect.api.results import Plan, Result, run_call, settings_of
from polylect.api.text_tables import text_table
from polylect.api.verbs import verb
from polylect.base import InputError, Ledger, read_json

if TYPE_CHECKING:
    import polars

    from polylect.runs import Input, StepContext

_WORDS = Path("language-confusion") / "words"


@dataclass(frozen=True, kw_only=True)
class ConfusionOptions:
    """Measure language confusion by the rules of the Language Confusion Benchmark.

    Writes a score table per model, which 'polylect compare' reads, confusion.json and index.html.

    Examples:
        polylect confusion answers/mine
        polylect confusion answers/base answers/mine --identifiers benchmark,lingua --words words
        polylect confusion outputs/*.csv --json
    """

    answers: Positional[Annotated[tuple[Path, ...], Mark(metavar="ANSWERS [ANSWERS ...]")]]
    """Answers of one model each: a folder of 'polylect generate' (the prompts' category names
    their source), such rows, or a CSV file with completion, source and language, as the benchmark
    publishes them."""
    identifiers: Annotated[tuple[str, ...], Mark(names_function=True)] = ("benchmark", "polylect")
    """Language identifiers to use: benchmark, polylect, lingua, FILE.py:function, or a command
    (docs/guides/identification.md)."""
    words: Path | None = None
    """English words, one per line. Default: language-confusion/words in POLYLECT_DATA; without it,
    no word pass rates."""
    output: Group[Output] = field(default_factory=Output)


class LanguageConfusion(Result):
    """Pass rates of every model's answers, by language and identifier."""

    @cached_property
    def _models(self) -> list[dict[str, Any]]:
        return read_json(self.path / "confusion.json")

    @property
    def overall(self) -> "polars.DataFrame":
        """A row per model and identifier: the mean over languages."""
        table = self.table()
        return table.filter(table["language"].is_null()).drop("language")

    def table(self) -> "polars.DataFrame":
        """A row per model, identifier and language; language is None for the mean over all.

        ``line_pass`` and ``word_pass`` are means over sources, as in the benchmark; None where
        the identifier cannot tell the language (``cannot_tell`` says why), or no answer has a line
        of five words.
        """
        import polars

        rows = [
            {"model": about["model"], "identifier": name, **row}
            for about in self._models
            for name, rates in about["rates"].items()
            for row in _by_language(rates, about.get("cannot_tell", {}).get(name, {}))
        ]
        return polars.DataFrame(rows, schema=_COLUMNS)

    @cached_property
    def ledger(self) -> Ledger:
        """Answers that were skipped, languages that cannot be told."""
        return sum((Ledger.from_json(about["ledger"]) for about in self._models), Ledger())

    def lines(self) -> list[str]:
        """A line per model and identifier, and what could not be said."""
        from polylect.report import percent

        means = {(row["model"], row["identifier"]): row for row in self.overall.to_dicts()}
        rows, reasons = [], {}
        for about in self._models:
            skipped = Ledger.from_json(about["ledger"]).total("skipped")
            for name in about["rates"]:
                mean = means.get((about["model"], name), {})
                shares = [percent(mean.get(kind)) for kind in ("line_pass", "word_pass")]
                rows.append((about["model"], name, *shares, f"{skipped:,}"))
            for by_language in about.get("cannot_tell", {}).values():
                reasons |= {f"cannot tell {tag}: {why}": None for tag, why in by_language.items()}
        head = ("model", "identifier", "line pass", "word pass", "skipped")
        lines = [*text_table(head, rows, "llrrr"), *sorted(reasons)]
        if "words" not in read_json(self.path / "step.json")["inputs"]:
            lines.append("no list of English words: no word pass rates (--words FILE)")
        return [*lines, str(self.page)]


_COLUMNS: dict[str, Any] = {
    "model": str, "identifier": str, "language": str, "line_pass": float, "word_pass": float,
    "answers": int, "skipped": int, "cannot_tell": str,
}  # fmt: skip
_OVERALL = "all"


def _by_language(
    rates: Mapping[str, Mapping[str, Any]], untold: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Means by language, from rates by ``SOURCE/LANGUAGE``; numbers are sums over sources.

    Args:
        rates: of an identifier.
        untold: why it cannot tell a language.
    """
    rows: list[dict[str, Any]] = [
        {"language": tag, "cannot_tell": reason} for tag, reason in sorted(untold.items())
    ]
    for key, mean in rates.items():
        source, _, tag = key.rpartition("/")
        if source != _OVERALL:
            continue
        parts = [part for other, part in rates.items() if _is_part(other, tag)]
        num_answers = sum(part["num_answers"] for part in parts)
        rows.append({
            "language": None if tag == _OVERALL else tag,
            "line_pass": mean["line_pass"] if num_answers else None,
            "word_pass": mean["word_pass"] if num_answers else None,
            "answers": num_answers,
            "skipped": sum(part["num_skipped"] for part in parts),
        })  # fmt: skip
    return rows


def _is_part(key: str, tag: str) -> bool:
    """Whether a rate is of one source in one language, and counts for a language or for all."""
    source, _, language = key.rpartition("/")
    return source != _OVERALL and language != _OVERALL and tag in (language, _OVERALL)


@verb("confusion", ConfusionOptions)
def confusion(options: ConfusionOptions) -> LanguageConfusion | Plan:
    """Measure whether answers are in the language that was asked for.

    Returns a ``LanguageConfusion``: ``.table()`` has a row per model, identifier and language.

        answers = pl.generate("mine", pl.prompts("language_confusion"))
        pl.confusion(answers).overall
    """
    from polylect.evals import (
        find_identifier,
        measure_confusion,
        read_completions,
        read_english_words,
    )
    from polylect.report import write_confusion
    from polylect.runs import Call, Files, Step

    if not options.answers or not options.identifiers:
        raise InputError("confusion: nothing to measure", "polylect confusion DIR_OR_CSV ...")
    identifiers = [find_identifier(name) for name in dict.fromkeys(options.identifiers)]
    words = _words_file(options.words)
    english = read_english_words(words) if words else frozenset()
    completions = [read_completions(path) for path in options.answers]
    names = [rows[0].model for rows in completions]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(f"two of the files are of {repeated[0]!r}", "give each model once")

    def write(_: object, inputs: object, context: "StepContext") -> None:
        measured = [
            measure_confusion(rows, identifiers, english, context.report) for rows in completions
        ]
        write_confusion(context.out, measured, [identifier.summary for identifier in identifiers])

    def plan(out: Path) -> list[str]:
        lines = []
        for path, rows in zip(options.answers, completions, strict=True):
            tags = " ".join(dict.fromkeys(row.language for row in rows))
            lines.append(f"{path}: {len(rows):,} answers of {rows[0].model} in {tags}")
        return [*lines, f"{len(english):,} English words", f"would write into {out}"]

    inputs: dict[str, Input] = {
        f"answers {name}": Files(file_in(path, "answers.parquet"))
        for name, path in zip(names, options.answers, strict=True)
    }
    if words:
        inputs["words"] = Files(words)
    settings = settings_of(options, ["answers", "words"], {"identifiers": "identifier"})
    for number, name in enumerate(options.identifiers):
        file, colon, function = name.rpartition(":")
        if colon and file.endswith(".py"):
            # The content decides, wherever the file lies.
            inputs[f"identifier {number}"] = Files(Path(file))
            settings["identifier"] = [
                function if other == name else other for other in settings["identifier"]
            ]
    call = Call(
        Step("polylect confusion", 4, write, uses_languages=True), "confusion", settings, inputs
    )
    return run_call(call, options.output, "confusion", LanguageConfusion, plan)


def _words_file(option: Path | None) -> Path | None:
    """The list of English words: that of ``--words``, or the benchmark's in POLYLECT_DATA."""
    data = os.environ.get("POLYLECT_DATA")
    if option is None and data and (Path(data) / _WORDS).is_file():
        return Path(data) / _WORDS
    return option
