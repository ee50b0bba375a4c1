"""``polylect compare``: who gained and who paid between two checkpoints."""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from polylect.base import Range, Seed
from polylect.cli.fields import Switch
from polylect.cli.options import parse
from polylect.cli.results import finish, is_already_there, result_call
from polylect.cli.values import limit_blas_threads

if TYPE_CHECKING:
    from polylect.comparison import Comparison

_SHOWN_ROWS = 30


@dataclass(frozen=True, kw_only=True)
class Options:
    """Compare two checkpoints on the same items: who gained, who paid, what is not separable.

    Each side is a folder of 'polylect eval', a score table (.parquet), or sample logs of
    lm-evaluation-harness: the folder of --output_path, or one samples_*.jsonl. Writes compare.json,
    compare.parquet and index.html.
    """

    before: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="A")]]
    """Scores of the baseline."""
    after: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="B")]]
    """Scores of the checkpoint to compare with it."""
    out: Path = Path("runs/compare")
    """Folder for compare.json, compare.parquet and index.html."""
    metric: tuple[str, ...] = ()
    """Metrics to compare. Default: the first of each task ('polylect tasks NAME')."""
    level: Annotated[float, Range(above=0, below=1)] = 0.95
    """Confidence level of the intervals, simultaneous over all languages."""
    resamples: Annotated[int, Range(100)] = 2000
    """Bootstrap resamples."""
    seed: Seed = 0
    """Seed of the bootstrap."""
    allow_other_settings: Switch = False
    """Compare even if prompts, shots, engine or settings differ."""
    language: Annotated[tuple[str, ...], tyro.conf.arg(metavar="TASK=TAG")] = ()
    """Language of harness tasks whose name does not contain it; TASK may contain a *."""
    higher_is_better: tuple[str, ...] = ()
    """Further metrics for which higher is better."""
    lower_is_better: tuple[str, ...] = ()
    """Further metrics for which lower is better."""
    name_a: str = ""
    """Name of A. Default: the name in its scores."""
    name_b: str = ""
    """Name of B. Default: the name in its scores."""
    force: Switch = False
    """Replace what --out holds, once the new comparison is complete."""
    dry_run: Switch = False
    """Print what would be compared; write nothing."""


def main(arguments: Sequence[str]) -> int:
    """Exit code of ``polylect compare A B [options]``."""
    options = parse(Options, arguments, "compare")
    limit_blas_threads()
    from polylect.base import Ledger, read_json, write_json
    from polylect.comparison import (
        Metrics,
        check_used,
        compare,
        input_files,
        read_models,
        with_directions,
    )
    from polylect.report import write_comparison
    from polylect.runs import Files, StepContext

    names = (options.name_a, options.name_b)
    languages = _languages(options.language)
    sides = read_models(options.before, options.after, names, languages)
    metrics = Metrics(options.metric, options.higher_is_better, options.lower_is_better)
    check_used(languages, metrics, sides)
    metrics = with_directions(metrics, sides)
    comparisons = []

    def write(context: StepContext) -> None:
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
        write_json(context.out / "compare.json", comparison.to_json() | {"sides": about})
        comparison.write(context.out / "compare.parquet")
        write_comparison(context.out / "index.html", comparison, sides)
        comparisons.append(comparison)

    inputs = {"a": Files(input_files(options.before)), "b": Files(input_files(options.after))}
    call = result_call("compare", 3, options, inputs, write, leave_out=["before", "after"])
    if options.dry_run:
        from polylect.comparison import pair_items

        if is_already_there(call, options.out, force=options.force):
            return 0
        ledger = Ledger()
        joined = pair_items(
            sides[0].table, sides[1].table, metrics,
            allow_other_settings=options.allow_other_settings, ledger=ledger,
        )  # fmt: skip
        sys.stdout.write(_plan(joined, (sides[0].name, sides[1].name), ledger, options.out))
        return 0
    artifact = finish(call, options.out, force=options.force)
    for comparison in comparisons:
        _print_comparison(comparison, [*sides[0].ledger.rows(), *sides[1].ledger.rows()])
    if not comparisons:
        sys.stdout.write(f"{read_json(artifact.path / 'compare.json')['sentence']}\n")
    sys.stdout.write(f"{options.out / 'index.html'}\n")
    return 0


def _languages(arguments: Sequence[str]) -> Mapping[str, str]:
    """Language tag by task, from ``TASK=TAG``."""
    from polylect.base import InputError, find_language, parse_pairs

    languages = {}
    for task, text in parse_pairs("language", arguments, "TASK=TAG").items():
        language = find_language(text)
        if language is None and not re.fullmatch(r"[a-z]{2,3}(-\w+)*", text):
            raise InputError(
                f"--language {task}={text!r} is not TASK=TAG", "e.g. --language 'mmlu_*=en'"
            )
        languages[task] = language.tag if language else text
    return languages


def _plan(joined: Any, names: tuple[str, str], ledger: Any, out: Path) -> str:
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
    lines.append(f"would write compare.json, compare.parquet and index.html into {out}")
    return "\n".join(lines) + "\n"


def _print_comparison(comparison: "Comparison", left_out: Sequence[tuple[str, str, int]]) -> None:
    """Print a table by language, worst-hurt first, and the sentence."""
    import polars as pl
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from polylect.comparison import format_change, format_interval, format_value, row_label

    console = Console(file=sys.stdout, highlight=False, soft_wrap=False)
    colors = {"paid": "red", "gained": "green"}
    for metric in comparison.metrics:
        rows, kind = comparison.claims(metric)
        title = Text(f"{metric} · worst-hurt first", style="bold")
        table = Table(title=title, title_justify="left", box=None)
        for name in (kind, "A", "B", "gain", f"{100 * comparison.level:g} % interval", "items", ""):
            table.add_column(name, justify="left" if name in {kind, ""} else "right")
        order = rows.with_row_index("n")
        last = _SHOWN_ROWS // 2
        for row in order.iter_rows(named=True):
            if _SHOWN_ROWS - last <= row["n"] < rows.height - last:
                continue
            near = " (near chance)" if row["near_chance"] else ""
            table.add_row(
                Text(row_label(row, kind)),
                *(format_value(row, column) for column in ("before", "after")),
                "–" if row["change"] is None else format_change(row),
                format_interval(row),
                f"{row['items']:,}",
                Text(row["verdict"] + near, style=colors.get(row["verdict"], "dim")),
            )
        console.print(table)
        if rows.height > _SHOWN_ROWS:
            console.print(f"… {rows.height - _SHOWN_ROWS} rows between them are in the page")
        console.print(Text(comparison.sentence(metric)), width=100)
    counts = pl.DataFrame(
        [*left_out, *comparison.ledger.rows()], ["event", "where", "num"], orient="row"
    )
    for event, num in counts.group_by("event").agg(pl.col("num").sum()).sort("event").rows():
        console.print(Text(f"{num:,} {event}"))
