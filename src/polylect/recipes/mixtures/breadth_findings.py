"""What the runs of the recipe ``breadth`` found; its page is drawn from these files.

``runs.parquet``, ``bits.parquet``, ``ledger.parquet``: as in ``findings.py``
``breadth.parquet``  budget (total, each), before, after (names of runs), added (languages that
                     joined), scale, language, gain (% fewer bits), lower, upper, verdict (gained,
                     paid, not separable; over all languages at once), documents, family and script
                     (languages of the same that joined, separated by spaces)
``findings.json``    ``lines`` as in ``findings.py`` (with ``budget`` and ``per_language``: the mean
                     divided by the languages that joined), ``sets``, ``ledger``, ``tokens``,
                     ``seeds``, ``not_measured``
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import polars as pl

from polylect.base import UNKNOWN, UNKNOWN_SCRIPT, Count, check_settings, described, write_json
from polylect.mixtures import RUNS_FILE, write_run_table
from polylect.recipes.intervals import line_of, ratio_interval
from polylect.recipes.mixtures.claims import bit_rows, scale_note
from polylect.recipes.mixtures.findings import token_counts, unscored
from polylect.recipes.mixtures.reading import ledger_line, read_against_plan
from polylect.recipes.mixtures.run_steps import RunSteps
from polylect.recipes.mixtures.tables import bits_frame, bits_table, change_table, run_table
from polylect.runs import Artifact, StepContext, step

PAPER = "breadth costs (Aya 23 against Aya 101)"


@dataclass(frozen=True, kw_only=True)
class LanguageSet:
    """The languages of a run.

    Attributes:
        model: the run's variant.
        budget: ``total`` or ``each``.
        languages: that it is trained on.
    """

    model: str
    budget: str
    languages: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class BreadthFindingsConfig:
    """What is compared: every set with the next larger one of its budget."""

    runs: tuple[RunSteps, ...]
    sets: tuple[LanguageSet, ...]
    context_tokens: Count = 256

    def __post_init__(self) -> None:
        check_settings(self)


@step(version=1, uses_languages=True)
def find_breadth(
    config: BreadthFindingsConfig, inputs: Mapping[str, Artifact], context: StepContext
) -> None:
    """Writes what the module's docstring names; inputs as of ``find_mixtures``."""
    plan = inputs["plan"].path
    cells = pl.read_parquet(plan / "cells.parquet")
    ledger = read_against_plan(pl.read_parquet(plan / "ledger.parquet"), config.runs, inputs)
    ledger.write_parquet(context.out / "ledger.parquet")
    bits = bits_frame(config.runs, cells, inputs)
    bits_table(bits).write_parquet(context.out / "bits.parquet")
    write_run_table(run_table(config.runs, cells, ledger, bits, inputs), context.out / RUNS_FILE)
    steps = [
        (before, after) for before, after in pairwise(config.sets) if before.budget == after.budget
    ]
    breadth_table(bits, steps).write_parquet(context.out / "breadth.parquet")
    lines = [
        line | {"scale": scale, "question": line["question"] + scale_note(scale)}
        for (scale,), part in bits.group_by(["scale"], maintain_order=True)
        for before, after in steps
        for line in step_lines(part, before, after, config.runs)
    ]
    write_json(
        context.out / "findings.json",
        {
            "lines": lines,
            "sets": {one.model: list(one.languages) for one in config.sets},
            "ledger": ledger_line(ledger, config.context_tokens),
            "tokens": token_counts(ledger),
            "seeds": sorted({run.seed for run in config.runs}),
            "not_measured": unscored(cells, bits),
        },
    )


def step_lines(
    bits: pl.DataFrame, before: LanguageSet, after: LanguageSet, runs: Sequence[RunSteps]
) -> list[dict[str, Any]]:
    """What the languages of a set pay when further ones join, and whether relatives help.

    Args:
        bits: see ``bit_rows``, of one scale.
        before: the smaller set.
        after: the larger one.
        runs: name the steps.
    """
    added = tuple(tag for tag in after.languages if tag not in before.languages)
    rows = bit_rows(bits, before.model, after.model, before.languages)
    if not rows.height:
        return []
    there = set(rows["group"])
    words = "as many tokens in all" if before.budget == "total" else "as many tokens of each"
    old, new = len(before.languages), len(after.languages)
    head = {
        "before": before.model, "after": after.model, "kind": "breadth", "budget": before.budget,
        "measure": f"bits per byte of the {old} languages", "asked_by": "paper",
        "stands_in": False,
        "steps": [f"bits-{run.steps[-1]}" for run in runs
                  if run.model in (before.model, after.model)],
    }  # fmt: skip
    interval = ratio_interval(rows).mapped(-100.0, 100.0)
    claimed = -1 if before.budget == "total" else 0
    lines = [
        head | line_of(interval, claimed)
        | {"question": f"{old} languages, then {new}, on {words}: what do the {old} pay?",
           "paper": PAPER if claimed else "", "unit": "% fewer bits",
           "per_language": interval.mean / len(added)}
    ]  # fmt: skip
    for what, kin in relatives(before.languages, added).items():
        near = [tag for tag in kin if kin[tag] and tag in there]
        far = [tag for tag in kin if not kin[tag] and tag in there]
        if not near or not far:
            continue
        weights = dict.fromkeys(near, 1 / len(near)) | dict.fromkeys(far, -1 / len(far))
        chosen = rows.filter(pl.col("group").is_in([*near, *far]))
        lines.append(
            head | line_of(ratio_interval(chosen, weights=weights).mapped(-100.0), 0)
            | {"question": f"{old} languages, then {new}, on {words}: do those that a language of"
                           f" their {what} joins ({' '.join(near)}) fare better than the others?",
               "paper": "", "asked_by": "us", "unit": "points of % fewer bits",
               "per_language": None}
        )  # fmt: skip
    return lines


def relatives(
    languages: Sequence[str], added: Sequence[str]
) -> dict[str, dict[str, tuple[str, ...]]]:
    """For each language those that joined and are of its family, and of its script.

    A language of unknown family or script has none.

    >>> relatives(["de", "ja"], ["nl"])["family"]
    {'de': ('nl',), 'ja': ()}
    """
    known = {tag: described(tag) for tag in (*languages, *added)}
    kinds = {
        "family": {tag: known[tag].family for tag in known if known[tag].family != UNKNOWN},
        "script": {tag: known[tag].script for tag in known
                   if known[tag].script not in (UNKNOWN_SCRIPT, "Zyyy")},
    }  # fmt: skip
    return {
        what: {
            tag: tuple(other for other in added if tag in of and of.get(other) == of[tag])
            for tag in languages
        }
        for what, of in kinds.items()
    }


def breadth_table(
    bits: pl.DataFrame, steps: Sequence[tuple[LanguageSet, LanguageSet]]
) -> pl.DataFrame:
    """Who gained and who paid when languages joined, by step and language of the smaller set.

    Languages that joined are left out: they were not trained on before.
    """
    parts = []
    for before, after in steps:
        added = [tag for tag in after.languages if tag not in before.languages]
        old = bits.filter(pl.col("language").is_in(before.languages))
        table = change_table(old, [(before.model, after.model)])
        kin = relatives(before.languages, added)
        parts.append(
            table.drop("stream").with_columns(
                pl.lit(before.budget).alias("budget"),
                pl.lit(len(added), pl.Int64).alias("added"),
                *(
                    pl.Series(what, [" ".join(kin[what][tag]) for tag in table["language"]],
                              dtype=pl.String)
                    for what in kin
                ),
            )
        )  # fmt: skip
    return pl.concat(parts)
