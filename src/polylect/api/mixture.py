"""``mixture.plan`` and ``mixture.fit``: what a plan of mixtures will read, and what runs say."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polylect.api.mixture_options import MixtureFitOptions, MixturePlanOptions
from polylect.api.results import Plan, Result, run_call, settings_of
from polylect.api.text_tables import text_table
from polylect.api.verbs import verb
from polylect.base import InputError, Ledger, numbered, one_blas_thread, read_json, write_json

if TYPE_CHECKING:
    import polars

    from polylect.mixtures import RunTable
    from polylect.runs import StepContext

_LEDGER, _PLAN = "ledger.parquet", "plan.json"
_LEFT_OUT, _PRICES = "left_out.parquet", "prices.parquet"
_SHOWN = 40
UNREAD = "columns of the table of runs that nothing was made of"
"""Ledger event, by column."""


class MixturePlan(Result):
    """What a plan will read, before anything is trained."""

    @cached_property
    def content(self) -> dict[str, Any]:
        """Runs, tokens read one by one and with shared beginnings, and the price of a seed."""
        return read_json(self.path / _PLAN)

    def table(self) -> "polars.DataFrame":
        """A row per run, stage, stream, language and source: tokens, available and epochs."""
        import polars

        return polars.read_parquet(self.path / _LEDGER)

    def lines(self) -> list[str]:
        """Tokens of every variant by stage and stream, of every language, and what it costs."""
        from polylect.report import plan_sentences

        table, content = self.table(), self.content
        lines = [*plan_lines(table), "", *plan_sentences(content), *self.ledger.lines()]
        return [*lines, str(self.page)]


class MixtureFit(Result):
    """What trained runs recommend, and what it does to each language."""

    @cached_property
    def content(self) -> dict[str, Any]:
        """All figures, as plain values."""
        from polylect.report import FIT

        return read_json(self.path / FIT)

    @property
    def shares(self) -> "polars.DataFrame":
        """A row per stream: its share in the reference, recommended, and considered."""
        import polars

        return polars.DataFrame(self.content["shares"])

    @property
    def prices(self) -> "polars.DataFrame":
        """A row per stream and cell: what one point more of the stream does to its loss, in %."""
        import polars

        return polars.read_parquet(self.path / _PRICES)

    @property
    def left_out(self) -> "polars.DataFrame":
        """A row per run, cell and law: the loss, and as it is predicted without its mixture."""
        import polars

        return polars.read_parquet(self.path / _LEFT_OUT)

    def table(self) -> "polars.DataFrame":
        """A row per cell: its predicted loss before and after, gain with interval, and verdict."""
        import polars

        return polars.DataFrame(self.content["gains"])

    def lines(self) -> list[str]:
        """The mixture, what it does to each cell, worst first, and what the law is worth."""
        from polylect.report import fit_sentences

        content = self.content
        shares = [[row["name"], f"{row['reference']:z.1%}", f"{row['recommended']:z.1%}"]
                  for row in content["shares"]]  # fmt: skip
        lines = text_table(["stream", "reference", "recommended"], shares, "lrr")
        if content["verdict"] == "change":
            gains = [[row["cell"], f"{row['before']:.4f}", f"{row['after']:.4f}",
                      f"{100 * row['value']:+z.2f}",
                      f"{100 * row['lower']:+z.2f} to {100 * row['upper']:+z.2f}", row["verdict"]]
                     for row in content["gains"][:_SHOWN]]  # fmt: skip
            head = ["cell", "before", "after", "gain, %", "95 %", ""]
            lines += ["", *text_table(head, gains, "lrrrrl")]
            if len(content["gains"]) > _SHOWN:
                lines.append(f"and {len(content['gains']) - _SHOWN} more")
        return [*lines, "", *fit_sentences(content), *self.ledger.lines(), str(self.page)]


def plan_lines(table: "polars.DataFrame") -> list[str]:
    """Tokens of a plan's ledger by run and stage, and by language; seeds alike are shown once.

    Args:
        table: the ledger.
    """
    import polars as pl

    first = table.filter(pl.col("seed") == table["seed"][0])
    streams = list(dict.fromkeys(first["stream"]))
    keys = ["variant", "cooldown", "scale", "stage", "kind"]
    rows = []
    for key, part in first.group_by(keys, maintain_order=True):
        tokens = {name: int(num) for name, num in
                  part.group_by("stream").agg(pl.col("tokens").sum()).rows()}  # fmt: skip
        variant, cooldown, scale, stage, kind = key
        name = f"{variant}+{cooldown}" if cooldown else str(variant)
        rows.append([name, f"{scale:g}", f"{stage} {kind}", f"{sum(tokens.values()):,}",
                     *(f"{tokens[name]:,}" if name in tokens else "" for name in streams),
                     f"{part['epochs'].max():.2f}"])  # fmt: skip
    head = ["variant", "scale", "stage", "tokens", *streams, "most epochs"]
    lines = text_table(head, rows[:_SHOWN], "lrl" + "r" * (len(streams) + 2))
    if len(rows) > _SHOWN:
        lines.append(f"and {len(rows) - _SHOWN} more: .table()")
    languages = (
        table.group_by("language")
        .agg(pl.col("tokens").sum(), pl.col("epochs").max())
        .sort("tokens", "language", descending=[True, False])
    )
    by_language = [[tag, f"{num:,}", f"{epochs:.2f}"] for tag, num, epochs in languages.rows()]
    more = languages.height - _SHOWN
    lines += ["", *text_table(["language", "tokens in all runs", "most epochs"],
                              by_language[:_SHOWN], "lrr")]  # fmt: skip
    return [*lines, f"and {more} more: .table()"] if more > 0 else lines


@verb("mixture plan", MixturePlanOptions, name="mixture.plan")
def mixture_plan(options: MixturePlanOptions) -> MixturePlan | Plan:
    """The exact tokens of every run, stage, stream and language, before anything is trained.

    Returns a ``MixturePlan``: ``.table()`` is the ledger, ``.content`` what the plan costs.

        pl.mixture.plan("code.toml", sizes="tokens.csv").table()
    """
    from polylect.mixtures import plan_ledger, plan_notes, planned_runs, read_plan, tokens_saved
    from polylect.runs import Call, Files, Step

    plan = read_plan(options.plan)
    counts = Ledger()
    sizes = _sizes(options, counts)

    def write(_: object, inputs: object, context: "StepContext") -> None:
        from polylect.report import write_plan_page

        context.ledger.add(counts)
        table, runs = plan_ledger(plan, sizes), planned_runs(plan, sizes)
        table.write_parquet(context.out / _LEDGER, compression="zstd")
        shared, alone = tokens_saved(runs)
        one_seed = tokens_saved([run for run in runs if run.seed == plan.seeds[0]])[0]
        content = {
            "num_runs": len(runs), "tokens": alone, "tokens_trained": shared,
            "tokens_per_seed": one_seed, "seeds": list(plan.seeds), "scales": list(plan.scales),
            "notes": plan_notes(plan), "budget": plan.budget, "available": sum(sizes.values()),
            "sizes": [[language, source, num] for (language, source), num in sorted(sizes.items())],
            "stop_at_width": plan.stop_at_width, "most_tokens": plan.most_tokens,
        }  # fmt: skip
        write_json(context.out / _PLAN, content)
        write_plan_page(context.out, content, table, counts)

    def lines(out: Path) -> list[str]:
        lines = plan_lines(plan_ledger(plan, sizes))
        return [*lines, *plan_notes(plan), f"would write into {out}"]

    file = Path(options.plan.rpartition(":")[0] if ".py:" in options.plan else options.plan)
    settings = settings_of(options, ["sizes", "text", "tokenizer", "plan"]) | {
        "function": options.plan.rpartition(".py")[2],
        "counts": [[language, source, num] for (language, source), num in sorted(sizes.items())],
    }  # fmt: skip
    call = Call(Step("polylect mixture plan", 2, write), "mixture-plan", settings,
                {"plan": Files(file)})  # fmt: skip
    return run_call(call, options.output, "mixture-plan", MixturePlan, lines)


def _sizes(options: MixturePlanOptions, counts: Ledger) -> dict[tuple[str, str], int]:
    from polylect.mixtures import read_sizes, text_sizes

    if (options.sizes is None) == (options.text is None):
        raise InputError(
            "mixture plan: " + ("how much text there is is not known" if options.sizes is None
                                else "both --sizes and --text"),
            "give --sizes FOLDER or TABLE, or --text FOLDER --tokenizer MODEL",
        )  # fmt: skip
    if options.sizes is not None:
        if options.tokenizer is not None:
            raise InputError("--tokenizer without --text", "leave it out: --sizes are tokens")
        return read_sizes(options.sizes)
    if options.tokenizer is None:
        raise InputError("--text without --tokenizer: its tokens cannot be counted",
                         "give the tokenizer of your model: --tokenizer MODEL")  # fmt: skip
    assert options.text is not None
    return text_sizes(options.text, options.tokenizer, counts, options.default_language)


@verb("mixture fit", MixtureFitOptions, name="mixture.fit")
def mixture_fit(options: MixtureFitOptions) -> MixtureFit | Plan:
    """Fit laws to trained runs: the mixture that they recommend, and what it does to each language.

    Returns a ``MixtureFit``: ``.table()`` has a row per cell, ``.shares`` one per stream,
    ``.prices`` what a point of each stream costs each cell.

        pl.mixture.fit("runs/code", rule="worst").shares
    """
    from polylect.mixtures import FitConfig, TableConfig
    from polylect.runs import Call, Files, Step

    if options.held_out_losses is not None and options.held_out_runs is None:
        raise InputError("--held-out-losses without --held-out-runs", "give both tables")
    config = FitConfig(
        laws=options.laws, rule=options.rule, level=options.p_value, resamples=options.resamples,
        folds=options.folds, seed=options.seed,
    )  # fmt: skip
    about = TableConfig(reference=options.reference, bounds=options.allowed, cells=options.cells,
                        by_stage=options.by_stage, only_scale=options.only_scale,
                        at_scale=options.at_scale)  # fmt: skip
    table, held_out = _tables(options)

    def write(_: object, inputs: object, context: "StepContext") -> None:
        from polylect.mixtures import (
            content_of_fit,
            fit_runs,
            held_out_errors,
            left_out_table,
            price_table,
        )
        from polylect.report import FIT, write_fit_page

        with one_blas_thread():
            fitted = fit_runs(table, config, about)
            errors = [] if held_out is None else held_out_errors(fitted, held_out)
        num_held_out = 0 if held_out is None else len(held_out.runs)
        context.ledger.count("left out: runs of other scales", fitted.num_other_scales)
        for name in dict.fromkeys(table.unread + (held_out.unread if held_out else ())):
            context.ledger.count(UNREAD, 1, name)
        content = content_of_fit(fitted, config, errors, num_held_out)
        write_json(context.out / FIT, content)
        left_out_table(fitted).write_parquet(context.out / _LEFT_OUT, compression="zstd")
        price_table(fitted).write_parquet(context.out / _PRICES, compression="zstd")
        write_fit_page(context.out, content, left_out_table(fitted), context.ledger)

    def plan(out: Path) -> list[str]:
        num = int(table.mixtures().max()) + 1
        return [
            f"would fit {', '.join(options.laws)} to {numbered(len(table.runs), 'run')} of"
            f" {numbered(num, 'mixture')}: {', '.join(table.streams)};"
            f" {numbered(len(table.cells), 'cell')}",
            *(f"{UNREAD}: {name}" for name in table.unread),
            f"would write into {out}",
        ]

    left_out = ["runs", "losses", "held_out_runs", "held_out_losses"]
    files = {name: Files(path) for name in left_out if (path := getattr(options, name)) is not None}
    call = Call(Step("polylect mixture fit", 2, write), "mixture-fit",
                settings_of(options, left_out), files)  # fmt: skip
    return run_call(call, options.output, "mixture-fit", MixtureFit, plan)


def _tables(options: MixtureFitOptions) -> "tuple[RunTable, RunTable | None]":
    """The runs, and those that are not fitted."""
    from polylect.mixtures import read_run_table

    table = read_run_table(options.runs, options.losses)
    if options.held_out_runs is None:
        return table, None
    return table, read_run_table(options.held_out_runs, options.held_out_losses)
