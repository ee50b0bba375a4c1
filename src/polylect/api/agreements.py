"""``agreement``: how far judges and people agree, by language."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from polylect.api.fields import Group, Mark, Output, Positional
from polylect.api.paths import file_in
from polylect.api.results import Plan, Result, run_call
from polylect.api.verbs import verb
from polylect.base import InputError

if TYPE_CHECKING:
    import polars

    from polylect.runs import Input, StepContext


@dataclass(frozen=True, kw_only=True)
class AgreementOptions:
    """Agreement of all judges and people in FILEs, in all languages and in each.

    Cohen's kappa for every two (squared weights for grades), Krippendorff's ordinal alpha for every
    two and for all. Writes agreement.parquet and index.html.

    Examples:
        polylect agreement runs/judged people.jsonl
        polylect agreement runs/graded people-grades.jsonl --out runs/graded-beside-people
        polylect agreement judge-a.parquet judge-b.parquet judge-c.parquet --json
    """

    files: Positional[Annotated[tuple[Path, ...], Mark(metavar="FILE [FILE ...]")]]
    """Folders of 'polylect judge' or of 'polylect grade', or rows of judgments or of grades by
    models or people (JSON lines or Parquet)."""
    output: Group[Output] = field(default_factory=Output)


class Agreement(Result):
    """How far every two judges agree beyond chance."""

    @cached_property
    def _table(self) -> "polars.DataFrame":
        import polars

        return polars.read_parquet(self.path / _FILE)

    @property
    def overall(self) -> "polars.DataFrame":
        """A row per two judges, and one for all, over all languages."""
        return self._table.filter(self._table["language"].is_null()).drop("language")

    @property
    def languages(self) -> "polars.DataFrame":
        """A row per language and two judges."""
        return self._table.filter(self._table["language"].is_not_null())

    def table(self) -> "polars.DataFrame":
        """A row per two judges; language is None over all languages together."""
        return self._table

    def lines(self) -> list[str]:
        """A line per row, and what was counted."""
        from polylect.report import agreement_lines

        lines = [*agreement_lines(self.overall), *agreement_lines(self.languages)]
        return [*lines, *self.ledger.lines(), str(self.page)]


_FILE = "agreement.parquet"


@verb("agreement", AgreementOptions)
def agreement(options: AgreementOptions) -> Agreement | Plan:
    """How far judges and people agree beyond chance, by language.

    Returns an ``Agreement``: ``.table()`` has a row per language and two judges.

        judged = pl.judge(a, b, judges=["judge-model"])
        pl.agreement([judged, "people.jsonl"]).overall
    """
    import polars

    from polylect.base import count_look_alikes
    from polylect.judging import GRADES, JUDGMENTS
    from polylect.report import write_agreement_page
    from polylect.runs import Call, Files, Step

    table, are_grades = _labels(options.files)
    if table["judge"].n_unique() < 2:
        raise InputError(f"there is one judge, {table['judge'][0]}", "add a file of another judge")

    def write(_: object, inputs: object, context: "StepContext") -> None:
        from polylect.judging import grade_agreement, verdict_agreement

        count_look_alikes(context.ledger, "judges", table["judge"].to_list())
        measure = grade_agreement if are_grades else verdict_agreement
        overall, by_language = measure(table), measure(table, "language")
        both = polars.concat([overall, by_language], how="diagonal_relaxed")
        columns = ["language", *(name for name in both.columns if name != "language")]
        both.select(columns).write_parquet(context.out / _FILE)
        page = context.out / Agreement.page_name
        write_agreement_page(page, overall, by_language, context.ledger, are_grades=are_grades)

    def plan(out: Path) -> list[str]:
        kind = "grades" if are_grades else "pairs"
        judges = ", ".join(table["judge"].unique(maintain_order=True))
        return [f"would compare {judges} on {table.height:,} {kind}", f"would write into {out}"]

    name = GRADES if are_grades else JUDGMENTS
    inputs: dict[str, Input] = {
        f"file {number}": Files(file_in(path, name))
        for number, path in enumerate(options.files, start=1)
    }
    call = Call(Step("polylect agreement", 1, write), "agreement", {}, inputs)
    return run_call(call, options.output, "agreement", Agreement, plan)


def _labels(files: Sequence[Path]) -> tuple["polars.DataFrame", bool]:
    """A row per judged pair or grade, and whether they are grades.

    Raises:
        InputError: no file, or judgments and grades together.
    """
    from polylect.judging import grade_table, outcome_table, read_grades, read_judgments

    kinds = [_has_grades(path) for path in files]
    if not kinds:
        raise InputError("agreement: nothing to compare", "polylect agreement FILE FILE ...")
    if any(kinds) and not all(kinds):
        raise InputError(
            f"{files[kinds.index(True)]} has grades, others have judgments",
            "compare grades and judgments separately",
        )
    if all(kinds):
        return grade_table([row for path in files for row in read_grades(path)]), True
    first = read_judgments(files[0])[0]
    models = (first.model_a, first.model_b)
    return outcome_table([row for path in files for row in read_judgments(path, models)]), False


def _has_grades(path: Path) -> bool:
    """Whether a folder or file has grades: its first row has a score."""
    from polylect.judging import GRADES
    from polylect.rows import read_dicts

    if path.is_dir():
        return (path / GRADES).is_file()
    return any("score" in row for _, row in islice(read_dicts(path), 1))
