"""``compare``: who gained and who paid between two checkpoints."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from polylect.api.fields import Group, Mark, Output, Positional, Switch
from polylect.api.results import Plan, Result, html_table, run_call, settings_of
from polylect.api.text_tables import text_table
from polylect.api.verbs import verb
from polylect.base import Ledger, Range, Seed, language, one_blas_thread, read_json, write_json

if TYPE_CHECKING:
    import polars

    from polylect.comparison import Comparison
    from polylect.runs import StepContext

_SHOWN_ROWS = 30


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """Compare two checkpoints on the same items: who gained, who paid, what is not separable.

    Each side is a folder of 'polylect eval', a score table (.parquet), or sample logs of
    lm-evaluation-harness: the folder of --output_path, or one samples_*.jsonl. Writes compare.json,
    compare.parquet and index.html.

    Examples:
        polylect compare runs/base runs/merged
        polylect compare runs/base runs/merged --metrics acc_norm --level 0.9
        polylect compare logs/base logs/tuned --task-languages 'mmlu_*=en' --json
    """

    before: Positional[Path]
    """Scores of the baseline."""
    after: Positional[Path]
    """Scores of the checkpoint to compare with it."""
    metrics: tuple[str, ...] = ()
    """Metrics to compare. Default: the first of each task ('polylect tasks NAME')."""
    level: Annotated[float, Range(above=0, below=1)] = 0.95
    """Confidence level of the intervals, simultaneous over all languages."""
    resamples: Annotated[int, Range(100)] = 2000
    """Bootstrap resamples."""
    seed: Seed = 0
    """Seed of the bootstrap."""
    allow_other_settings: Switch = False
    """Compare even if prompts, shots, engine or settings differ."""
    task_languages: Annotated[Mapping[str, str], Mark(metavar="TASK=TAG")] = field(
        default_factory=dict
    )
    """Language of harness tasks whose name does not contain it; TASK may contain a *."""
    higher_is_better: tuple[str, ...] = ()
    """Further metrics for which higher is better."""
    lower_is_better: tuple[str, ...] = ()
    """Further metrics for which lower is better."""
    name_before: str = ""
    """Name of BEFORE. Default: the name in its scores."""
    name_after: str = ""
    """Name of AFTER. Default: the name in its scores."""
    output: Group[Output] = field(default_factory=Output)


class ComparisonResult(Result):
    """Who gained and who paid."""

    @cached_property
    def comparison(self) -> "Comparison":
        """The tables by task, language and group, and their wording."""
        from polylect.comparison import Comparison

        return Comparison.read(self.path)

    @property
    def languages(self) -> "polars.DataFrame":
        """A row per metric and language, worst-hurt first."""
        return self.comparison.languages

    @property
    def sentence(self) -> str:
        """Who gained, who paid, who cannot be told apart and how many items that would take."""
        return self.comparison.sentence()

    def table(self) -> "polars.DataFrame":
        """The rows of tasks, languages and groups, told apart by ``of``."""
        return self.comparison.rows()

    def lines(self) -> list[str]:
        """A table per metric, worst-hurt first, its sentence, and what was left out."""
        lines = []
        for metric in self.comparison.metrics:
            lines += [f"{metric} · worst-hurt first", *_table_lines(self.comparison, metric)]
            lines += textwrap.wrap(self.comparison.sentence(metric), 100)
        manifest = read_json(self.path / _MANIFEST)
        counts = self.comparison.ledger.by_event()
        for side in manifest["sides"]:
            for event, num in Ledger.from_json(side["ledger"]).by_event().items():
                counts[event] = counts.get(event, 0) + num
        lines += [f"{num:,} {event}" for event, num in sorted(counts.items())]
        return [*lines, str(self.page)]

    def _repr_html_(self) -> str:
        words = f"<p>{escape(self.sentence)}</p>"
        return words + html_table(self.languages.select(*_SHOWN_COLUMNS))


_MANIFEST = "compare.json"
_FORMER_NAMES = {"metrics": "metric", "name_before": "name_a", "name_after": "name_b"}
_SHOWN_COLUMNS = ("metric", "language", "before", "after", "change", "change_lower", "change_upper",
                  "items", "verdict")  # fmt: skip


@verb("compare", CompareOptions)
def compare(options: CompareOptions) -> ComparisonResult | Plan:
    """Compare two checkpoints on the same items: who gained, who paid, what is not separable.

    Returns a ``ComparisonResult``: ``.languages`` has a row per language, worst-hurt first, and
    ``.sentence`` says it in words.

        pl.compare(pl.evaluate("base", tasks=["xcopa"]), pl.evaluate("merged", tasks=["xcopa"]))
    """
    with one_blas_thread():
        return _compare(options)


def _compare(options: CompareOptions) -> ComparisonResult | Plan:
    from polylect.comparison import (
        Metrics,
        check_used,
        compare,
        input_files,
        pair_items,
        read_models,
        with_directions,
    )
    from polylect.report import write_comparison
    from polylect.runs import Call, Files, Step, headline

    names = (options.name_before, options.name_after)
    languages = {
        task: language(tag, f"--task-languages {task}").tag
        for task, tag in options.task_languages.items()
    }
    sides = read_models(options.before, options.after, names, languages)
    metrics = Metrics(options.metrics, options.higher_is_better, options.lower_is_better)
    check_used(languages, metrics, sides)
    metrics = with_directions(metrics, sides)

    def write(_: object, inputs: object, context: "StepContext") -> None:
        comparison = compare(
            sides[0].table,
            sides[1].table,
            metrics=metrics,
            level=options.level,
            num_resamples=options.resamples,
            seed=options.seed,
            allow_other_settings=options.allow_other_settings,
        )
        about = [
            {"name": side.name, "kind": side.kind, "ledger": side.ledger.to_json()}
            | {"settings": dict(side.settings), "languages": dict(side.languages)}
            for side in sides
        ]
        write_json(context.out / _MANIFEST, comparison.to_json() | {"sides": about})
        headline(_headline(comparison))
        comparison.write(context.out / "compare.parquet")
        write_comparison(context.out / "index.html", comparison, sides)

    def plan(out: Path) -> list[str]:
        ledger = Ledger()
        joined = pair_items(
            sides[0].table, sides[1].table, metrics,
            allow_other_settings=options.allow_other_settings, ledger=ledger,
        )  # fmt: skip
        return _plan(joined, (sides[0].name, sides[1].name), ledger, out)

    inputs = {"a": Files(input_files(options.before)), "b": Files(input_files(options.after))}
    settings = settings_of(options, ["before", "after", "task_languages"], _FORMER_NAMES)
    settings["language"] = [f"{task}={tag}" for task, tag in options.task_languages.items()]
    call = Call(
        Step("polylect compare", 5, write, uses_languages=True), "compare", settings, inputs
    )
    return run_call(call, options.output, "compare", ComparisonResult, plan)


def _headline(comparison: "Comparison") -> str:
    """The worst-hurt language of the first metric."""
    from polylect.comparison import format_change, row_label

    rows, kind = comparison.claims(comparison.metrics[0])
    row = rows.row(0, named=True)
    if row["change"] is None:
        return "no interval: too few items"
    return f"most hurt: {row_label(row, kind)} {format_change(row)} ({row['verdict']})"


def _plan(
    joined: "polars.DataFrame", names: tuple[str, str], ledger: Ledger, out: Path
) -> list[str]:
    """What would be compared: items by task, metric and language."""
    import polars as pl

    counted = (
        joined.group_by("metric", "task", "language")
        .agg(items=pl.col("both").sum(), unmatched=(~pl.col("both")).sum())
        .sort("metric", "task", "language")
    )
    total = counted["items"].sum()
    lines = [f"would compare {names[1]} against {names[0]} on {total:,} items that both have:"]
    for (metric, task), part in counted.group_by("metric", "task", maintain_order=True):
        cells = ", ".join(
            f"{row['language']} {row['items']:,}"
            + (f" ({row['unmatched']:,} unmatched)" if row["unmatched"] else "")
            for row in part.iter_rows(named=True)
        )
        lines.append(f"  {task} · {metric}: {cells}")
    lines += [f"  {line}" for line in ledger.lines("left out")]
    return [*lines, f"would write compare.json, compare.parquet and index.html into {out}"]


def _chance_words(row: Mapping[str, object]) -> str:
    """What is said of a row whose first model guesses, if not both do."""
    from polylect.rows import AT_CHANCE

    return " (near chance)" if row["near_chance"] and row["verdict"] != AT_CHANCE else ""


def _table_lines(comparison: "Comparison", metric: str) -> list[str]:
    """The languages of a metric, worst-hurt first; rows in the middle of many are left out."""
    from polylect.comparison import format_change, format_interval, format_value, row_label

    rows, kind = comparison.claims(metric)
    shown = [
        (
            row_label(row, kind),
            *(format_value(row, column) for column in ("before", "after")),
            "–" if row["change"] is None else format_change(row),
            format_interval(row),
            f"{row['items']:,}",
            row["verdict"] + _chance_words(row),
        )
        for row in rows.iter_rows(named=True)
    ]
    head = (kind, "before", "after", "gain", f"{100 * comparison.level:g} % interval", "items", "")
    lines = text_table(head, shown, "lrrrrrl", shrink=(0,))
    if len(shown) > _SHOWN_ROWS:
        half = _SHOWN_ROWS // 2
        rest = f"… {len(shown) - 2 * half} rows between them are in the page"
        lines = [*lines[: half + 1], rest, *lines[-half:]]
    return lines
