"""``feedback.translationese``: how translated the texts of files read, language by language."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from polylect.api.fields import Group, Mark, Output, Positional
from polylect.api.results import Plan, Result, run_call, settings_of
from polylect.api.text_tables import text_table
from polylect.api.verbs import verb
from polylect.base import InputError, Seed

if TYPE_CHECKING:
    import polars

    from polylect.feedback import SeenText
    from polylect.runs import StepContext

_TABLE = "translationese.parquet"


@dataclass(frozen=True, kw_only=True)
class TranslationeseOptions:
    """How translated texts read, by language: variety, density, word order, and a classifier.

    Rows have answer, text or prompt, and language; answer_origin (or origin) is native or
    translated, source_text what was translated, id what texts on the same share. Where a file has
    both kinds, a classifier tells them apart on texts of groups that it did not see. For a model
    before and after training, give two files of its answers and --learned-from.

    Examples:
        polylect feedback translationese answers.parquet --out runs/translationese
        polylect feedback translationese before.jsonl after.jsonl --learned-from both.jsonl
        polylect feedback translationese runs/pool/pool.parquet --seed 1 --json
    """

    files: Positional[Annotated[tuple[Path, ...], Mark(metavar="FILE [FILE ...]")]]
    """Texts: JSON lines or Parquet."""
    learned_from: Path | None = None
    """Native and translated texts; a classifier fitted to them judges all files. Default: none."""
    default_language: str = ""
    """Language of rows that name none."""
    seed: Seed = 0
    """Seed of the folds, and of the shuffled labels."""
    output: Group[Output] = field(default_factory=Output)


class Translationese(Result):
    """How translated texts read."""

    @cached_property
    def _table(self) -> "polars.DataFrame":
        import polars

        return polars.read_parquet(self.path / _TABLE)

    def table(self) -> "polars.DataFrame":
        """File, language, origin, measure, value with its interval, texts and groups."""
        return self._table

    def lines(self) -> list[str]:
        """A line per file, language and origin, with the interval below each value."""
        measures = list(dict.fromkeys(self._table["measure"]))
        cells: dict[tuple[str, str, str], dict[str, str]] = {}
        for row in self._table.to_dicts():
            place = (row["file"], row["language"], row["origin"])
            cells.setdefault(place, {})[row["measure"]] = _cell(row)
        rows = [(*place, *(values.get(name, "") for name in measures))
                for place, values in cells.items()]  # fmt: skip
        table = text_table(
            ("file", "language", "origin", *measures), rows, "lll" + "r" * len(measures)
        )
        return [*table, *self.ledger.lines(), str(self.path / _TABLE)]


def _cell(row: dict[str, Any]) -> str:
    if row["value"] is None:
        return "–"
    digits = 1 if row["measure"] == "words" else 3
    bounds = (
        "" if row["lower"] is None else f" [{row['lower']:.{digits}f}, {row['upper']:.{digits}f}]"
    )
    return f"{row['value']:.{digits}f}{bounds}"


@verb("feedback translationese", TranslationeseOptions, name="feedback.translationese")
def feedback_translationese(options: TranslationeseOptions) -> Translationese | Plan:
    """Measure how translated the texts of files read, language by language.

    Returns ``Translationese``: ``.table()`` has a row per file, language, origin and measure.

        pl.feedback.translationese(["answers.parquet"]).table()
    """
    from polylect.base import Ledger
    from polylect.feedback import measure_translationese, read_texts
    from polylect.runs import Call, Files, Step

    if not options.files:
        raise InputError("no file is named", "polylect feedback translationese FILE")
    names = _names(options.files)

    def read(ledger: Ledger) -> dict[str, "list[SeenText]"]:
        return {name: read_texts(file, options.default_language, ledger)
                for name, file in zip(names, options.files, strict=True)}  # fmt: skip

    def write(_: object, inputs: object, context: "StepContext") -> None:
        learned = []
        if options.learned_from:
            learned = read_texts(options.learned_from, options.default_language, context.ledger)
        table = measure_translationese(
            read(context.ledger), learned, options.seed, context.report, context.ledger
        )
        table.write_parquet(context.out / _TABLE)

    def plan(out: Path) -> list[str]:
        lines = [f"{name}: {len(texts):,} texts" for name, texts in read(Ledger()).items()]
        return [*lines, f"would write into {out}"]

    settings = settings_of(options, ["files", "learned_from"]) | {"names": names}
    inputs = {name: Files(file) for name, file in zip(names, options.files, strict=True)}
    if options.learned_from:
        inputs["learned from"] = Files(options.learned_from)
    step = Step("polylect feedback translationese", 1, write)
    call = Call(step, "translationese", settings, inputs)
    return run_call(call, options.output, "feedback-translationese", Translationese, plan)


def _names(files: tuple[Path, ...]) -> list[str]:
    """The files' names without their endings; with their folders where two are called alike."""
    stems = [file.name.partition(".")[0] for file in files]
    names = stems if len(set(stems)) == len(stems) else [str(file) for file in files]
    if len(set(names)) < len(names):
        raise InputError("a file is named twice", "name each once")
    return names
