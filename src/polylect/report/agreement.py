"""Agreement of judges with each other and with people: lines for the terminal, a table."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from polylect.base import Ledger
from polylect.report.formats import coefficient, language_cell_of, ledger_section, percent
from polylect.report.page import Html, table_section, tag, write_page


def agreement_lines(agreement: pl.DataFrame) -> list[str]:
    """A line per pair of judges, with the language where there is a column ``language``."""
    lines = []
    for row in agreement.iter_rows(named=True):
        where = f" in {row['language']}" if "language" in row else ""
        lines.append(
            f"agreement {row['judges']}{where}: {percent(row['equal'])} of {row['cases']:,},"
            f"{_kappa(row)} ordinal alpha {coefficient(row['ordinal'])}"
        )
    return lines


def _kappa(row: Mapping[str, Any]) -> str:
    # All judges together have no kappa: of judgments it is the nominal alpha, of grades nothing.
    together = row["judges"] == "all"
    if together and row["kappa"] is None:
        return ""
    return f" {'nominal alpha' if together else 'kappa'} {coefficient(row['kappa'])},"


def named_kappa(row: Mapping[str, Any]) -> str:
    """Agreement beyond chance, with its name: kappa for two judges, alpha for all together."""
    return f"{'alpha' if row['judges'] == 'all' else 'kappa'} {coefficient(row['kappa'])}"


def agreement_section(
    overall: pl.DataFrame,
    by_language: pl.DataFrame,
    head: Sequence[str],
    note: str,
    *,
    named: bool = False,
) -> Html:
    """Agreement over all languages, then by language; nothing where there is none.

    Args:
        overall: of all languages.
        by_language: the same with a column ``language``.
        head: titles of the columns after that of the language.
        note: below the title.
        named: say whether it is a kappa or an alpha.
    """
    rows = []
    for frame in (overall, by_language):
        for row in frame.iter_rows(named=True):
            where = language_cell_of(row["language"]) if "language" in row else "all languages"
            kappa = named_kappa(row) if named else coefficient(row["kappa"])
            rows.append([where, row["judges"], f"{row['cases']:,}", percent(row["equal"]), kappa,
                         coefficient(row["ordinal"])])  # fmt: skip
    return table_section("Agreement", ["", *head], rows, numbers=(2, 3, 4, 5), note=note)


VERDICTS = ("judges", "pairs", "same verdict", "beyond chance", "ordinal alpha")
GRADES = ("judges", "answers", "same grade", "kappa", "alpha")
"""Titles of the columns, for judgments and for grades."""
OF_VERDICTS = (
    "Kappa is Cohen's, for two judges; alpha is Krippendorff's, for more; ordinal alpha puts a tie"
    " between the two models. 0 is chance, 1 is perfect agreement."
)
OF_GRADES = (
    "Kappa is Cohen's with squared differences as weights, alpha Krippendorff's ordinal alpha; 0 is"
    " chance, 1 is perfect agreement."
)


def write_agreement_page(
    path: Path,
    overall: pl.DataFrame,
    by_language: pl.DataFrame,
    ledger: Ledger,
    *,
    are_grades: bool,
) -> None:
    """Write the page of an agreement; the file appears complete or not at all."""
    head, note = (GRADES, OF_GRADES) if are_grades else (VERDICTS, OF_VERDICTS)
    parts = [
        agreement_section(overall, by_language, head, note, named=not are_grades),
        ledger_section(ledger.rows()),
    ]
    write_page(path, "Agreement of judges and people", Html(""), parts)


def self_judged_lines(self_judged: Sequence[Mapping[str, str]], did: str) -> list[Html]:
    """A warning for every judge that judged answers of its own.

    Args:
        self_judged: judge and model.
        did: what the judge did, such as ``graded``.
    """
    return [
        tag("p", tag("strong", f"{row['judge']} {did} answers of {row['model']}: its own. Expect"
                     " it to favor them."))
        for row in self_judged
    ]  # fmt: skip
