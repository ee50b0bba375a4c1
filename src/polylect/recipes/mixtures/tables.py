"""Tables of the findings: bits by stream and language, who paid, fronts, prices, the run table."""

from collections.abc import Mapping, Sequence

import polars as pl

from polylect.checkpoints import Checkpoint
from polylect.comparison import GAINED, OPEN, PAID
from polylect.recipes.intervals import ratio_interval
from polylect.recipes.mixtures.claims import bit_rows
from polylect.recipes.mixtures.run_steps import RunSteps
from polylect.rows import ScoreTable
from polylect.runs import Artifact

_RUN = ["model", "variant", "cooldown", "scale"]


def bits_frame(
    runs: Sequence[RunSteps], cells: pl.DataFrame, inputs: Mapping[str, Artifact]
) -> pl.DataFrame:
    """Every scored document of every run, with its stream.

    Args:
        runs: with the steps that trained them.
        cells: columns stream, language, source, is_code.
        inputs: ``bits LABEL`` of every training that ends a run.

    Returns:
        Columns run, model, variant, cooldown, scale, seed, stream, is_code, language, group, item,
        cluster, value, weight. A text of two streams is there twice.
    """
    keys = ["language", "group", "item", "cluster", "value", "weight"]
    parts = []
    for run in runs:
        path = inputs[f"bits {run.steps[-1]}"].path / "scores.parquet"
        parts.append(ScoreTable.read(path).frame.select(keys).with_columns(_marks(run)))
    of_stream = cells.rename({"source": "group"})
    return pl.concat(parts).join(of_stream, on=["language", "group"], how="inner",
                                 maintain_order="left")  # fmt: skip


def task_frame(
    runs: Sequence[RunSteps],
    kinds: Mapping[str, str],
    metrics: Mapping[str, str],
    inputs: Mapping[str, Artifact],
) -> pl.DataFrame:
    """Every item of every task and run, in its first metric; empty where no task was evaluated.

    Args:
        runs: with the steps that trained them.
        kinds: kind of evaluation of every task, by its name.
        metrics: the metric that stands for it, likewise.
        inputs: ``tasks LABEL`` of every training that ends a run.
    """
    keys = ["task", "language", "item", "cluster", "metric", "value", "weight", "chance"]
    parts = []
    for run in runs if kinds else ():
        path = inputs[f"tasks {run.steps[-1]}"].path / "scores.parquet"
        valid = ScoreTable.read(path).frame.filter(~pl.col("invalid"))
        parts.append(valid.select(keys).with_columns(_marks(run)))
    if not parts:
        return pl.DataFrame()
    name = pl.col("task").str.split("@").list.first()
    frame = pl.concat(parts).with_columns(kind=name.replace_strict(dict(kinds), default="other"))
    return frame.filter(pl.col("metric") == name.replace_strict(dict(metrics), default=""))


def _marks(run: RunSteps) -> list[pl.Expr]:
    return [
        pl.lit(run.name).alias("run"), pl.lit(run.model).alias("model"),
        pl.lit(run.variant).alias("variant"), pl.lit(run.cooldown).alias("cooldown"),
        pl.lit(run.scale).alias("scale"), pl.lit(run.seed, pl.Int64).alias("seed"),
    ]  # fmt: skip


def bits_table(bits: pl.DataFrame) -> pl.DataFrame:
    """Bits per byte of every model by stream and language, and over its languages (empty)."""
    sums = bits.with_columns(top=pl.col("value") * pl.col("weight"), bottom=pl.col("weight"))
    rows = []
    for key, part in sums.group_by([*_RUN, "stream"], maintain_order=True):
        of_all = part.select("seed", "cluster", "top", "bottom", "language",
                             group=pl.col("language"))  # fmt: skip
        languages = sorted(part["language"].unique())
        for tag in ["", *languages] if len(languages) > 1 else languages:
            interval = ratio_interval(of_all.filter(language=tag) if tag else of_all)
            rows.append((*key, tag, interval.mean, *interval.bounds().values(),
                         len(interval.seeds), interval.num_documents))  # fmt: skip
    texts = dict.fromkeys(["model", "variant", "cooldown"], pl.String)
    schema = texts | {"scale": pl.Float64, "stream": pl.String, "language": pl.String}
    schema |= dict.fromkeys(["bits", "lower", "upper"], pl.Float64)
    return pl.DataFrame(
        rows, schema=schema | {"seeds": pl.Int64, "documents": pl.Int64}, orient="row"
    )


def change_table(bits: pl.DataFrame, pairs: Sequence[tuple[str, str]]) -> pl.DataFrame:
    """Who gained and who paid, by pair, stream and language, worst first.

    The intervals of a pair hold for all its languages at once (Bonferroni), so that the worst-hurt
    one may be singled out.
    """
    rows = []
    for (scale,), of_scale in bits.group_by(["scale"], maintain_order=True):
        for before, after in pairs:
            models = of_scale.filter(pl.col("model").is_in([before, after]))
            cells = sorted(models.select("stream", "language").unique().rows())
            for stream, tag in cells:
                chosen = bit_rows(models.filter(language=tag), before, after, [stream])
                if not chosen.height:
                    continue
                interval = ratio_interval(chosen, 1 - 0.05 / len(cells)).mapped(-100.0, 100.0)
                verdict = GAINED if interval.lower > 0 else PAID if interval.upper < 0 else OPEN
                rows.append((before, after, scale, stream, tag, interval.mean,
                             *interval.bounds().values(), verdict,
                             interval.num_documents))  # fmt: skip
    schema = {"before": pl.String, "after": pl.String, "scale": pl.Float64, "stream": pl.String,
              "language": pl.String, "gain": pl.Float64, "lower": pl.Float64, "upper": pl.Float64,
              "verdict": pl.String, "documents": pl.Int64}  # fmt: skip
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return frame.sort("before", "after", "scale", "gain", maintain_order=True)


def of_runs(bits: pl.DataFrame) -> pl.DataFrame:
    """Bits per byte of every run by stream and language."""
    total = (pl.col("value") * pl.col("weight")).sum() / pl.col("weight").sum()
    keys = ["run", *_RUN, "seed", "stream", "is_code", "language"]
    return bits.group_by(keys, maintain_order=True).agg(bits=total)


def pareto_table(bits: pl.DataFrame, text: str, code: str) -> pl.DataFrame:
    """Bits of code against bits of language, a row per run.

    A run is on the front where no other of its scale and seed is as good on both and better on one.
    """
    keys = [*_RUN, "seed"]
    means = (
        of_runs(bits).group_by([*keys, "stream"], maintain_order=True).agg(pl.col("bits").mean())
    )
    rows = means.filter(stream=code).select(*keys, code_bits="bits").join(
        means.filter(stream=text).select(*keys, text_bits="bits"), on=keys, maintain_order="left"
    )  # fmt: skip
    on_front = []
    points = rows.select("scale", "seed", "code_bits", "text_bits").rows()
    for scale, seed, *here in points:
        rivals = [other for at, of, *other in points if (at, of) == (scale, seed)]
        on_front.append(not any(
            all(x <= y for x, y in zip(other, here, strict=True)) and other != here
            for other in rivals
        ))  # fmt: skip
    return rows.with_columns(on_front=pl.Series(on_front, dtype=pl.Boolean))


def price_table(
    bits: pl.DataFrame, pairs: Sequence[tuple[str, str]], text: str, code: str
) -> pl.DataFrame:
    """What a language pays for a point of code: % more bits of it per % fewer bits of code.

    Only where the second run of a pair has fewer bits of code in every seed. The interval is over
    seeds; with one seed there is none.
    """
    from scipy.special import stdtrit

    each = of_runs(bits)
    keys = ["scale", "seed", "stream", "language"]
    rows = []
    for before, after in pairs:
        joined = each.filter(model=after).join(
            each.filter(model=before).select(*keys, first="bits"), on=keys, maintain_order="left"
        )  # fmt: skip
        change = joined.with_columns(more=100.0 * (pl.col("bits") / pl.col("first") - 1.0))
        points = change.filter(stream=code).group_by("scale", "seed").agg(
            points=-pl.col("more").mean()
        )  # fmt: skip
        paid = change.filter(stream=text).join(points, on=["scale", "seed"], maintain_order="left")
        for (scale, tag), part in paid.group_by(["scale", "language"], maintain_order=True):
            if not (part["points"] > 0).all():
                continue
            prices = (part["more"] / part["points"]).to_numpy()
            mean, num, half = float(prices.mean()), len(prices), None
            if num > 1:
                half = float(prices.std(ddof=1) / num**0.5 * stdtrit(num - 1, 0.975))
            bounds = (None, None) if half is None else (mean - half, mean + half)
            rows.append((before, after, scale, tag, mean, *bounds, num))
    schema = {"before": pl.String, "after": pl.String, "scale": pl.Float64, "language": pl.String,
              "price": pl.Float64, "lower": pl.Float64, "upper": pl.Float64,
              "seeds": pl.Int64}  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")


def run_table(
    runs: Sequence[RunSteps],
    cells: pl.DataFrame,
    ledger: pl.DataFrame,
    bits: pl.DataFrame,
    inputs: Mapping[str, Artifact],
) -> pl.DataFrame:
    """The table of runs, as ``mixtures.read_run_table`` reads it.

    Args:
        runs: with the steps that trained them.
        cells: columns stream, language, source, is_code.
        ledger: tokens by run, stage (from 1), kind, stream.
        bits: see ``bits_frame``.
        inputs: ``train LABEL`` of every training.
    """
    streams = cells["stream"].unique(maintain_order=True).to_list()
    names = {name: f"loss:{name}" for name in streams}
    losses = of_runs(bits).with_columns(
        cell=pl.when("is_code").then("stream").otherwise(
            pl.concat_str("stream", "language", separator="/")
        )
    )  # fmt: skip
    losses = losses.group_by("run", "cell", maintain_order=True).agg(pl.col("bits").mean())
    by_run: dict[str, dict[str, float]] = {}
    for name, cell, value in losses.rows():
        by_run.setdefault(name, {})[f"loss:{cell}"] = value
    rows = []
    for run in runs:
        own = ledger.filter(run=run.name)
        total = int(own["tokens"].sum())
        shares = {f"share:{name}": int(own.filter(stream=name)["tokens"].sum()) / total
                  for name in names}  # fmt: skip
        stages = {
            f"share:{_stage(number, kind)}/{stream}": num / total
            for number, kind, stream, num in own.group_by(
                "stage", "kind", "stream", maintain_order=True
            ).agg(pl.col("tokens").sum()).rows()
        }  # fmt: skip
        rows.append(
            {
                "run": run.name, "variant": run.variant, "cooldown": run.cooldown,
                "seed": run.seed, "scale": run.scale, "tokens": total,
                "num_parameters": Checkpoint.open(
                    inputs[f"train {run.steps[-1]}"].path
                ).num_parameters,
            } | shares | stages | by_run[run.name]
        )  # fmt: skip
    frame = pl.DataFrame(rows, infer_schema_length=None)
    staged = [name for name in frame.columns if name.startswith("share:") and "/" in name]
    # A share of a stage that a run does not have is none of its tokens.
    every = {f"share:{_of(name)}/{stream}" for name in staged for stream in streams}
    frame = frame.with_columns(
        [pl.lit(0.0).alias(name) for name in sorted(every - set(frame.columns))]
    )
    return frame.with_columns(pl.col(name).fill_null(0.0) for name in sorted(every))


def _stage(number: int, kind: str) -> str:
    return kind if number < 3 or kind == "cooldown" else f"{kind}-{number}"


def _of(column: str) -> str:
    return column.removeprefix("share:").partition("/")[0]
